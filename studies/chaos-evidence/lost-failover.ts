import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { createPool } from '../../src/postgres/pool.ts';
import type { PostgresCluster } from '../../test/support/postgres/postgres-cluster.ts';
import { runOrgtrail } from '../../test/support/process/orgtrail-process.ts';
import { until } from '../../test/support/process/until.ts';
import type { EvidenceWorld } from './evidence-world.ts';
import { copyEventLeaves, copyJournalLeaves, type LeafHashes } from './leaf-copy.ts';

/** Both logs of a generation as leaves, by a copy of our own. */
export interface CopiedLogs {
  readonly events: LeafHashes;
  readonly journal: LeafHashes;
}

/** What came of a failover that lost signed checkpoints. */
export interface LostFailover {
  /** The logs of the server that is gone. */
  readonly lost: CopiedLogs;
  /** Leaves of the largest signed checkpoint of events beyond what the standby had. */
  readonly lostLeaves: number;
  /** `behind` or `forked`. */
  readonly state: string;
  /** Checkpoints that were signed between failover and fork: must be 0. */
  readonly signedWhileStopped: number;
  readonly commonSize: number;
}

/** For how long a log that stopped is watched, with replicas that are killed and take each other's lease. */
const WATCHED_MS = 8_000;

/**
 * Lets the standby fall behind until checkpoints are signed that it lacks, crashes the primary, promotes. Waits for the log to stop,
 * watches that nothing is signed, and forks it as an operator would, with every checkpoint that was seen.
 */
export const failOverAndFork = async (world: EvidenceWorld, isAnchored: boolean): Promise<LostFailover> => {
  const { primary, standby, proxy, database, pool, seen, replicas, simulator } = world;
  await until('the standby has a checkpoint that both generations have in common', async () => {
    const signed = await standby.sql(`select from evidence_checkpoints where log = 'events' and size > 0`, database);
    return signed.length > 0;
  });
  await standby.fallBehind();
  const [kept] = await standby.sql('select position::float8 as head from feed_head', database);
  const head = Number(kept?.['head']);
  for (const { id } of simulator.summary().organizations) simulator.generate(id, 40);
  await until('checkpoints are signed that the standby lacks', async () => seen.largestOf('events', 1) > head);
  // One that wakes up on the other server believes that it still has its lease.
  const resume = replicas.find(({ isRunning }) => isRunning)?.pause();
  await primary.stop('immediate');
  // Without an anchor all that knows of the lost checkpoints goes down with the primary; with one, the processes live on.
  if (!isAnchored) await Promise.all(replicas.filter(({ isRunning }) => isRunning).map((replica) => replica.kill()));
  await standby.promote();
  const isSigned = async () => await standby.sql('select log, size from evidence_checkpoints', database);
  const before = (await isSigned()).length;
  proxy.pointTo(standby);
  for (const replica of replicas) replica.start();
  await until('the log has stopped, or goes on', async () => {
    const state = await stateOf(pool).catch(() => '');
    return state === 'behind' || state === 'forked' || (await isSigned()).length > before;
  });
  resume?.();
  for (const { id } of simulator.summary().organizations) simulator.generate(id, 40);
  const victim = replicas.find(({ isRunning }) => isRunning);
  await victim?.kill();
  victim?.start();
  await sleep(WATCHED_MS);
  const state = await stateOf(pool);
  const signedWhileStopped = (await isSigned()).length - before;
  const lost = await copyOf(primary, database, seen);
  return { lost, lostLeaves: seen.largestOf('events', 1) - head, state, signedWhileStopped, ...(await fork(world)) };
};

const stateOf = async (pool: Pool): Promise<string> =>
  (await pool.query<{ state: string }>(`select state from evidence_logs where name = 'events' and generation = 1`))
    .rows[0]?.state ?? '';

/** Starts the server that is gone, which no replica reaches any more, and reads all that it had. */
const copyOf = async (primary: PostgresCluster, database: string, seen: EvidenceWorld['seen']): Promise<CopiedLogs> => {
  await primary.start();
  const pool = createPool(primary.url(database), 2, () => {});
  try {
    await seen.lookInTable(pool);
    return await copyLogs(pool, 1);
  } finally {
    await pool.end();
    await primary.stop('fast');
  }
};

/** Copies both logs of a generation, up to what is stored. */
export const copyLogs = async (pool: Pool, generation: number): Promise<CopiedLogs> => {
  const { rows } = await pool.query<{ size: number }>(
    `select size::float8 as size from evidence_logs where name = 'events' and generation = $1`,
    [generation],
  );
  return {
    events: await copyEventLeaves(pool, rows[0]?.size ?? 0),
    journal: await copyJournalLeaves(pool, generation),
  };
};

const fork = async ({ operator, seen, folder }: EvidenceWorld): Promise<{ readonly commonSize: number }> => {
  const anchors = await seen.writeNotes(folder, 1, 'events');
  const orders = ['--reason', 'failed over to a standby that was behind', '--by', 'the chaos run', '--json'];
  const forked = await runOrgtrail(
    ['evidence', 'fork', ...orders, ...anchors.flatMap((file) => ['--anchor', file])],
    operator,
  );
  if (forked.code !== 0) throw new Error(`evidence fork ended with ${forked.code}: ${forked.stderr}`);
  return { commonSize: Number(JSON.parse(forked.stdout).common_size) };
};
