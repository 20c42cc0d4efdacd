import { randomInt } from 'node:crypto';
import { Command, InvalidArgumentError } from 'commander';
import { parseDurationMs } from '../../src/base/time.ts';
import { parseFaultList } from '../../src/simulator/faults/fault-list.ts';
import type { FaultPatch } from '../../src/simulator/faults/fault-plan.ts';

/** What a run is asked to do. Lease and settle delays also as they were typed: so the replicas get them. */
export interface ChaosOptions {
  readonly durationMs: number;
  /** It goes on for longer, until so many replicas were killed, a third as many were stopped, and PostgreSQL has crashed. */
  readonly leastKills: number;
  readonly seed: number;
  readonly lease: string;
  readonly leaseMs: number;
  readonly settle: string;
  readonly settleDelaysMs: readonly number[];
  readonly faults: FaultPatch;
  /** Entries of the history. */
  readonly entries: number;
  /** New entries per second, beside bursts and large pages. */
  readonly liveRate: number;
  readonly json: boolean;
}

/** Options as commander has parsed them; absent where they were not given. */
interface Flags {
  readonly for?: number;
  readonly leastKills?: number;
  readonly seed?: number;
  readonly lease?: Pick<ChaosOptions, 'lease' | 'leaseMs'>;
  readonly settle?: Pick<ChaosOptions, 'settle' | 'settleDelaysMs'>;
  readonly faults?: FaultPatch;
  readonly entries?: number;
  readonly liveRate?: number;
  readonly json?: true;
}

const help = `
Everything is real: three processes of the daemon on one PostgreSQL, pulling from a simulated Cloudflare over HTTP. While new
entries come, replicas are killed (SIGKILL) or stopped for longer than their lease (SIGSTOP, SIGCONT), and PostgreSQL is stopped
with -m immediate and started again. A reader follows the feed by position all the time. At the end the store is compared with
what was served. Late entries come within three quarters of the last settle delay. The seed decides what is done to whom; when
exactly it hits depends on the machine.

Exit codes: 0 nothing is lost, doubled or out of order; 1 something is, and the logs and the data are kept; 2 usage;
130/143 stopped by a signal.

Examples:
  $ npm run chaos                                ten minutes, and two or three to catch up
  $ npm run chaos -- --for 40s --seed 7          a short one
  $ npm run chaos -- --for 1h --json > result.json
  $ npm run chaos -- --faults none               only the processes and the database suffer`;

/** Reads the command line. Leaves with 2 and a sentence on a bad one, with 0 after --help. */
export const readChaosOptions = (argv: readonly string[]): ChaosOptions => {
  const flags = new Command('chaos')
    .description('Kills, stops and restarts everything for a while, then says whether anything was lost.')
    .option('--for <duration>', 'how long to disrupt (default 10m)', duration)
    .option('--least-kills <number>', 'goes on until there were so many, on a slow machine (default 0)', wholeNumber)
    .option('--seed <number>', 'decides what is done to whom (default: any)', wholeNumber)
    .option('--lease <duration>', 'ORGTRAIL_LEASE of the replicas (default 3s)', lease)
    .option('--settle <durations>', 'ORGTRAIL_SETTLE of the replicas (default 20s,60s)', settle)
    .option('--faults <list>', 'as `orgtrail simulate` takes them (default all,late=0.05)', faultList)
    .option('--entries <number>', 'entries of the history (default 100000)', wholeNumber)
    .option('--live-rate <number>', 'new entries per second (default 25)', wholeNumber)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', help)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .parse([...argv], { from: 'user' })
    .opts<Flags>();
  return {
    durationMs: flags.for ?? duration('10m'),
    leastKills: flags.leastKills ?? 0,
    seed: flags.seed ?? randomInt(1_000_000),
    ...(flags.lease ?? lease('3s')),
    ...(flags.settle ?? settle('20s,60s')),
    faults: flags.faults ?? faultList('all,late=0.05'),
    entries: flags.entries ?? 100_000,
    liveRate: flags.liveRate ?? 25,
    json: flags.json === true,
  };
};

const duration = (text: string): number => {
  const durationMs = parseDurationMs(text);
  if (durationMs === undefined) throw new InvalidArgumentError('Give a duration such as 40s, 10m or 1h.');
  return durationMs;
};

const lease = (text: string): NonNullable<Flags['lease']> => ({ lease: text, leaseMs: duration(text) });

const settle = (text: string): NonNullable<Flags['settle']> => ({
  settle: text,
  settleDelaysMs: text.split(',').map(duration),
});

const faultList = (text: string): FaultPatch => {
  // The first content seen wins, and it is not known which one a killed replica had seen.
  if (text.includes('changed_content')) throw new InvalidArgumentError('changed_content has no single truth.');
  try {
    return parseFaultList(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
};

const wholeNumber = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Give an integer.');
  return Number(text);
};
