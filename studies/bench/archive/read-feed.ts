import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type CommandCost, costOf } from './command-cost.ts';

const bundle = fileURLToPath(new URL('../../../dist/orgtrail.js', import.meta.url));
const BEGIN = '{"position":';
const NEWLINE = 0x0a;

/** A reader of all events: what it got of the archive, and behind it of the database. */
export interface FeedReading extends CommandCost {
  readonly coldEvents: number;
  readonly hotEvents: number;
  /** Until the last archived event, the start of the process included; and from there on. */
  readonly coldSeconds: number;
  readonly hotSeconds: number;
}

/**
 * Reads the feed from its beginning through `orgtrail feed`, and nothing is done with the lines but to look at their positions. Rejects for a
 * position that does not follow the one before it: `makeLargeHistory` leaves none out.
 */
export const readWholeFeed = async (
  env: Readonly<Record<string, string>>,
  postmaster: number | undefined,
  { lastCold, last }: { readonly lastCold: number; readonly last: number },
): Promise<FeedReading> => {
  const startedAt = performance.now();
  let [position, coldSeconds] = [0, 0];
  const onLine = (line: Buffer) => {
    const text = line.toString('latin1', BEGIN.length, BEGIN.length + 20);
    const next = Number.parseInt(text, 10);
    if (next !== position + 1) throw new Error(`position ${next} comes after ${position}`);
    position = next;
    if (next === lastCold) coldSeconds = (performance.now() - startedAt) / 1_000;
  };
  const cost = await costOf('orgtrail feed', postmaster, () => startFeed(env, onLine));
  if (position !== last) throw new Error(`the feed ends at position ${position}, not ${last}`);
  return {
    ...cost,
    coldEvents: lastCold,
    hotEvents: last - lastCold,
    coldSeconds,
    hotSeconds: cost.seconds - coldSeconds,
  };
};

const startFeed = (env: Readonly<Record<string, string>>, onLine: (line: Buffer) => void) => {
  const child = spawn(process.execPath, [bundle, 'feed'], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const errors: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => errors.push(text));
  const lines = async () => {
    let rest: Buffer = Buffer.alloc(0);
    for await (const chunk of child.stdout) {
      const bytes = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer]);
      let from = 0;
      for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, from)) {
        onLine(bytes.subarray(from, end));
        from = end + 1;
      }
      rest = bytes.subarray(from);
    }
  };
  const exited = once(child, 'close').then(([code, signal]: (number | string | null)[]) => code ?? signal ?? 'unknown');
  const ended = lines().then(
    () => exited,
    (error) => {
      child.kill();
      throw error;
    },
  );
  return { child, ended, stderr: () => errors.join('') };
};
