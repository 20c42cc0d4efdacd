import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Pool, PoolClient } from 'pg';
import { type OrgtrailProcess, startOrgtrail } from '../../test/support/process/orgtrail-process.ts';
import { until } from '../../test/support/process/until.ts';
import type { ArchiveServers, SeedWorld } from './archive-world.ts';
import { type StorageMoment, storageMoments } from './storage-proxy.ts';

/** Where a process is killed. Those of the database are between read-back, catalogue and drop. */
const databaseMoments = ['cataloguing', 'catalogued', 'dropping', 'dropped'] as const;
export type Moment = StorageMoment | (typeof databaseMoments)[number] | 'any time';
export const moments: readonly Moment[] = [...storageMoments, ...databaseMoments, 'any time'];

const isOfStorage = (moment: Moment): moment is StorageMoment => storageMoments.some((each) => each === moment);

export interface KilledRun {
  readonly moment: Moment;
  /** Of the requests for objects, and of the objects that come into the catalogue. */
  readonly nth: number;
  /** Of objects with such a key alone. */
  readonly of?: RegExp;
  /** So that a month has several. Default: the command itself, for which it has one. */
  readonly hasSmallObjects?: boolean;
  /** Default: `archive run --drop`, and the settings of the world. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** For `any time`. */
  readonly afterMs: number;
}

const smallObjects = fileURLToPath(new URL('small-objects.ts', import.meta.url));

/** Runs `orgtrail archive run --drop`, or the same with small objects, and kills it there; says whether it came so far. Resolves when nothing of it is at work any more. */
export const runAndKill = async (
  { proxy }: ArchiveServers,
  world: SeedWorld,
  {
    moment,
    nth,
    of,
    hasSmallObjects = false,
    afterMs,
    args = ['archive', 'run', '--drop'],
    env = world.env,
  }: KilledRun,
): Promise<{ readonly isKilled: boolean; readonly output: string }> => {
  const held = await hold(world.owner, moment);
  const within = hasSmallObjects ? [process.execPath, smallObjects] : [];
  const running = startOrgtrail(args, env, { within });
  let isKilled = false;
  const kill = () => {
    isKilled = running.child.exitCode === null;
    running.child.kill('SIGKILL');
  };
  if (isOfStorage(moment)) proxy.stopAt(moment, nth, kill, of);
  else if (moment === 'any time') setTimeout(kill, afterMs).unref();
  else killOnce(world.owner, moment, moment === 'catalogued' ? nth : 1, running, kill).catch(() => kill());
  await running.ended;
  proxy.clear();
  await held?.release();
  await idle(world.owner);
  return { isKilled, output: running.stdout() + running.stderr() };
};

/** Holds what the process will wait for. */
const hold = async (owner: Pool, moment: Moment): Promise<{ release(): Promise<void> } | undefined> => {
  const statement =
    moment === 'cataloguing'
      ? 'lock table archive_objects in share mode'
      : moment === 'dropping'
        ? 'select from audit_events limit 1'
        : undefined;
  if (statement === undefined) return undefined;
  const client: PoolClient = await owner.connect();
  await client.query('begin');
  await client.query(statement);
  return {
    release: async () => {
      await client.query('rollback');
      client.release();
    },
  };
};

const killOnce = async (
  owner: Pool,
  moment: Moment,
  nth: number,
  running: OrgtrailProcess,
  kill: () => void,
): Promise<void> => {
  const before = await countOf(owner, moment);
  while (running.child.exitCode === null && running.child.signalCode === null) {
    if ((await countOf(owner, moment)) >= before + nth) return kill();
    await sleep(2);
  }
};

const counts: Readonly<Record<(typeof databaseMoments)[number], string>> = {
  cataloguing: `select count(*)::integer as count from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
    and query like '%orgtrail_note_archive%'`,
  catalogued: 'select count(*)::integer as count from archive_objects',
  dropping: `select count(*)::integer as count from pg_locks where relation = 'audit_events'::regclass and not granted`,
  dropped: 'select count(*)::integer as count from retention_drops',
};

const countOf = async (owner: Pool, moment: Moment): Promise<number> => {
  const { rows } = await owner.query<{ count: number }>(counts[moment as keyof typeof counts]);
  return rows[0]?.count ?? 0;
};

/** A server goes on with the statement of a client that has gone until it notices. */
const idle = async (owner: Pool): Promise<void> =>
  await until('no statement of a killed process is at work', async () => {
    const { rows } = await owner.query<{ count: number }>(
      `select count(*)::integer as count from pg_stat_activity
       where datname = current_database() and usename = 'orgtrail_test_daemon' and state <> 'idle'`,
    );
    return rows[0]?.count === 0;
  });
