import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { exitCodes } from '../../src/base/errors.ts';
import { type OrgtrailProcess, startOrgtrail } from '../../test/support/process/orgtrail-process.ts';
import type { Tally } from './tally.ts';

const SHUTDOWN_TIMEOUT_MS = 20_000;
const RESTART_AFTER_MS = 1_000;

/** One replica of the daemon: a place that has a process most of the time, with its log in one file. */
export class Replica {
  readonly name: string;
  /** Where it serves HTTP: always the same. */
  readonly port: number;
  readonly #env: Readonly<Record<string, string>>;
  readonly #logFile: string;
  readonly #tally: Tally;
  #process: OrgtrailProcess | undefined;
  #isPaused = false;
  #atWorkSinceMs: number | undefined;
  #isEnding = false;

  constructor(name: string, port: number, env: Readonly<Record<string, string>>, logFile: string, tally: Tally) {
    this.name = name;
    this.port = port;
    this.#env = { ...env, ORGTRAIL_HTTP_PORT: String(port) };
    this.#logFile = logFile;
    this.#tally = tally;
  }

  get pid(): number | undefined {
    return this.#process?.child.pid;
  }

  /** It has a process, and that one is not stopped. */
  get isRunning(): boolean {
    return this.#process !== undefined && !this.#isPaused;
  }

  /** How long ago it said that it runs: start and migrations lie behind it. Undefined before that, and while it is stopped. */
  get atWorkForMs(): number | undefined {
    if (!this.isRunning || this.#atWorkSinceMs === undefined) return undefined;
    return performance.now() - this.#atWorkSinceMs;
  }

  get isPaused(): boolean {
    return this.#process !== undefined && this.#isPaused;
  }

  /** Does nothing where it has a process, or is to have none any more. */
  start(): void {
    if (this.#process !== undefined || this.#isEnding) return;
    const started = startOrgtrail(['run'], this.#env, { detached: true });
    this.#process = started;
    this.#isPaused = false;
    this.#atWorkSinceMs = undefined;
    const { stdout } = started.child;
    if (stdout !== null) createInterface({ input: stdout }).on('line', (line) => this.#read(started, line));
    void started.ended.then((end) => this.#ended(started, end));
  }

  /** SIGKILL. Resolves when the process is gone. */
  async kill(): Promise<void> {
    const killed = this.#process;
    if (killed === undefined) return;
    if (this.#isPaused) this.#tally.killedWhileStopped += 1;
    this.#process = undefined;
    killed.child.kill('SIGKILL');
    await killed.ended;
    this.#tally.kills += 1;
  }

  /** SIGSTOP. What it returns sends SIGCONT, and is true where the process was stopped, and alive, all the time. */
  pause(): () => boolean {
    const paused = this.#process;
    if (paused === undefined) return () => false;
    paused.child.kill('SIGSTOP');
    this.#isPaused = true;
    return () => {
      if (this.#process !== paused) return false;
      this.#isPaused = false;
      return paused.child.kill('SIGCONT');
    };
  }

  /** Ends it as an operator would, then without asking. Resolves when the process is gone; there will be no other. */
  async end(): Promise<void> {
    this.#isEnding = true;
    const ending = this.#process;
    this.#process = undefined;
    if (ending === undefined) return;
    ending.child.kill('SIGCONT');
    ending.child.kill('SIGTERM');
    const timer = setTimeout(() => ending.child.kill('SIGKILL'), SHUTDOWN_TIMEOUT_MS);
    await ending.ended;
    clearTimeout(timer);
  }

  #read(process: OrgtrailProcess, line: string): void {
    appendFileSync(this.#logFile, `${line}\n`);
    if (line.includes('"msg":"orgtrail started"') && this.#process === process) this.#atWorkSinceMs = performance.now();
    if (line.includes('"msg":"commit rejected:')) this.#tally.fencedWrites += 1;
    if (line.includes('"msg":"lease expired before')) this.#tally.leasesLost += 1;
  }

  #ended(process: OrgtrailProcess, end: number | string): void {
    const stderr = process.stderr();
    if (stderr !== '') appendFileSync(this.#logFile, `${stderr}\n`);
    if (this.#process !== process) return;
    this.#process = undefined;
    if (end === exitCodes.unreachable) this.#tally.endedWithoutDatabase += 1;
    else this.#tally.crashes.push(`replica ${this.name} ended by itself with ${end}: ${stderr.slice(-2_000)}`);
    setTimeout(() => this.start(), RESTART_AFTER_MS);
  }
}
