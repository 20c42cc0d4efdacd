import { expect } from 'vitest';
import { compareWithTruth } from '../../../src/cli/demo/verdict.sql.ts';
import type { SimulatorOptions } from '../../../src/simulator/options.ts';
import { type RunningDaemon, startDaemonProcess } from '../process/running-daemon.ts';
import { until } from '../process/until.ts';
import { openWorld, type SyncWorld } from '../sync/sync-world.ts';

type Env = Readonly<Record<string, string>>;

/** A world, and the real daemons in it. */
export interface LeastPrivilegedWorld extends SyncWorld {
  /** The organizations' ids, in the order of the listing. */
  readonly ids: readonly string[];
  /** When it was opened, by the simulator's clock: what has an earlier time is its history. */
  readonly startMs: number;
  /** `orgtrail run`, ticking every second, with the default number of workers. */
  run(env?: Env): Promise<RunningDaemon>;
  /** Appends new entries to every organization, or to these. */
  generate(count: number, ids?: readonly string[]): void;
  /** Resolves once every entry that the simulator serves, with a time before this if one is given, is stored. */
  untilAllStored(beforeMs?: number): Promise<void>;
  /** How many events are stored. */
  stored(): Promise<number>;
  /** Resolves once so many events are stored. */
  untilStored(count: number): Promise<void>;
  /** Asks for one number. */
  number(sql: string, values?: readonly unknown[]): Promise<number>;
}

/** Of each daemon's log, when what was waited for does not come. */
const LAST_LINES = 30;

/** As `openWorld`, without late passes unless `env` says otherwise: what is stored was found by the first reading. */
export const openLeastPrivileged = async (
  options: SimulatorOptions = {},
  env: Env = {},
): Promise<LeastPrivilegedWorld> => {
  const world = await openWorld(options, { ORGTRAIL_CONCURRENCY: '16', ORGTRAIL_SETTLE: 'none', ...env });
  const { simulator, database } = world;
  const { organizations, nowMs: startMs } = simulator.summary();
  const ids = organizations.map(({ id }) => id);
  const number = async (sql: string, values: readonly unknown[] = []) => {
    const { rows } = await database.pool.query<[number | string]>({ text: sql, values: [...values], rowMode: 'array' });
    expect(rows).toHaveLength(1);
    return Number(rows[0]?.[0]);
  };
  const stored = () => number('select count(*) from audit_events');
  const daemons: RunningDaemon[] = [];
  const lastLines = () => daemons.map(({ process }) => process.stdout().split('\n').slice(-LAST_LINES).join('\n'));
  return {
    ...world,
    ids,
    startMs,
    run: async (more = {}) => {
      const daemon = await startDaemonProcess({ ...world.env, ...more });
      daemons.push(daemon);
      return daemon;
    },
    generate: (count, some = ids) => {
      for (const id of some) simulator.generate(id, count);
    },
    untilAllStored: async (beforeMs = Number.POSITIVE_INFINITY) => {
      const served = () => [...simulator.truth()].filter(({ logTimeMs }) => logTimeMs < beforeMs);
      const missing = async () =>
        (await compareWithTruth(database.pool, { truth: served, summary: () => simulator.summary() })).missing;
      // The comparison reads everything: not before there is enough to compare.
      await until(
        'every entry is stored',
        async () => (await stored()) >= served().length && (await missing()) === 0,
      ).catch(async (error) => {
        throw new Error(`${error}: ${await missing()} are missing\n${lastLines().join('\n\n')}`);
      });
    },
    stored,
    number,
    untilStored: (count) => until(`${count} events are stored`, async () => (await stored()) >= count),
  };
};
