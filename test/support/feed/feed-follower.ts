import { type FeedLine, readFeedLine } from '../../../studies/chaos/readers/http-feed-lines.ts';
import { type OrgtrailProcess, startOrgtrail } from '../process/orgtrail-process.ts';

/** A collector that runs `orgtrail feed --follow`, and starts it again behind the last whole line that it has. */
export class FeedFollower {
  /** What it has, in the order in which it came. */
  readonly events: FeedLine[] = [];
  /** Lines that were none. */
  readonly faults: string[] = [];
  readonly #env: Readonly<Record<string, string>>;
  #process: OrgtrailProcess;

  constructor(env: Readonly<Record<string, string>>) {
    this.#env = env;
    this.#process = this.#start();
  }

  /** SIGKILL, and another one. */
  async restart(): Promise<void> {
    this.#process.child.kill('SIGKILL');
    // All that it had written has been read by then.
    await this.#process.ended;
    this.#process = this.#start();
  }

  /** Ends it as an operator would; resolves with how it ended. */
  async end(): Promise<number | string> {
    this.#process.child.kill('SIGTERM');
    return await this.#process.ended;
  }

  /** What the process that runs, or that ran last, has said beside the events. */
  stderr(): string {
    return this.#process.stderr();
  }

  #start(): OrgtrailProcess {
    const after = String(this.events.at(-1)?.position ?? 0);
    const started = startOrgtrail(['feed', '--follow', '--after', after], this.#env);
    // What stands behind the last newline of one that was killed is forgotten with it.
    let rest = '';
    started.child.stdout?.on('data', (text: string) => {
      const lines = `${rest}${text}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#take(line);
    });
    return started;
  }

  #take(line: string): void {
    try {
      this.events.push(readFeedLine('native', line));
    } catch (error) {
      this.faults.push(`${String(error)}: ${line.slice(0, 200)}`);
    }
  }
}
