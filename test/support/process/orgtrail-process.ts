import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Half of what a start costs is reading the source; tests start hundreds. */
export const compileCache = fileURLToPath(new URL('../../../node_modules/.cache/compile', import.meta.url));

/** A real orgtrail process, as an operator would run it. */
export interface OrgtrailProcess {
  readonly child: ChildProcess;
  /** Everything written so far. */
  stdout(): string;
  stderr(): string;
  /** Resolves with the exit code, or with the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
  /** Resolves once the text has been written to stdout or stderr; rejects if the process ends first. */
  waitFor(text: string): Promise<void>;
}

export interface StartOptions {
  /** Where it looks for a `.env`. */
  readonly cwd?: string | undefined;
  /** The command that starts it. */
  readonly within?: readonly string[];
  /** Another checkout, whose source it runs. Default: the bundle of this one, which the set-up of the tests makes. */
  readonly root?: string;
  /** In a session of its own, which a Ctrl-C in the terminal does not reach. */
  readonly detached?: boolean;
}

const bundle = fileURLToPath(new URL('../../../dist/orgtrail.js', import.meta.url));
const mainOf = (root: string | undefined): string => (root === undefined ? bundle : join(root, 'src/main.ts'));

/** Starts `orgtrail ARGS` with nothing of this process's environment but the PATH, and with a cache of compiled source. */
export const startOrgtrail = (
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  { cwd, within = [], root, detached = false }: StartOptions = {},
): OrgtrailProcess => {
  const [program = process.execPath, ...rest] = [...within, process.execPath, mainOf(root), ...args];
  const child = spawn(program, rest, {
    cwd,
    detached,
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: compileCache, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const out: string[] = [];
  const err: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => out.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text));
  const written = () => out.join('') + err.join('');
  const ended = once(child, 'close').then(([code, signal]: (number | string | null)[]) => code ?? signal ?? 'unknown');
  return {
    child,
    stdout: () => out.join(''),
    stderr: () => err.join(''),
    ended,
    waitFor: async (text) => {
      while (!written().includes(text)) {
        const more = Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data')]);
        const over = await Promise.race([more.then(() => false), ended.then(() => true)]);
        if (over && !written().includes(text)) throw new Error(`ended without "${text}":\n${written()}`);
      }
    },
  };
};

/** Runs a command to its end. */
export const runOrgtrail = async (
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd?: string,
): Promise<{ code: number | string; stdout: string; stderr: string }> => {
  const running = startOrgtrail(args, env, { cwd });
  const code = await running.ended;
  return { code, stdout: running.stdout(), stderr: running.stderr() };
};
