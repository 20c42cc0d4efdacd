import { Writable } from 'node:stream';
import { runCli } from '../../../src/cli/cli.ts';

/** Starts a command in this process: for what needs no process of its own, whose start takes a second. `stop`: as SIGTERM. */
export const startInProcess = (args: readonly string[], env: Readonly<Record<string, string>>) => {
  const written: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
  const collect = (name: 'stdout' | 'stderr') =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        written[name].push(chunk);
        done();
      },
    });
  const [stdout, stderr] = [collect('stdout'), collect('stderr')];
  const stopping = new AbortController();
  return {
    stdout: () => `${Buffer.concat(written.stdout)}`,
    stderr: () => `${Buffer.concat(written.stderr)}`,
    ended: runCli(args, { env, stdout, stderr, interactive: false, signal: stopping.signal }),
    stop: () => stopping.abort(143),
  };
};

/** Runs a command to its end in this process. */
export const runInProcess = async (
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ code: number; stdout: string; stderr: string }> => {
  const running = startInProcess(args, env);
  const code = await running.ended;
  return { code, stdout: running.stdout(), stderr: running.stderr() };
};
