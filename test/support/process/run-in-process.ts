import { Writable } from 'node:stream';
import { runCli } from '../../../src/cli/cli.ts';

/** Runs a command to its end in this process: for what needs no process of its own, whose start takes a second. */
export const runInProcess = async (
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ code: number; stdout: string; stderr: string }> => {
  const written: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
  const collect = (name: 'stdout' | 'stderr') =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        written[name].push(chunk);
        done();
      },
    });
  const [stdout, stderr] = [collect('stdout'), collect('stderr')];
  const signal = new AbortController().signal;
  const code = await runCli(args, { env, stdout, stderr, interactive: false, signal });
  return { code, stdout: `${Buffer.concat(written.stdout)}`, stderr: `${Buffer.concat(written.stderr)}` };
};
