import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { createPool } from '../../src/postgres/pool.ts';
import type { PostgresCluster } from '../../test/support/postgres/postgres-cluster.ts';
import { runOrgtrail } from '../../test/support/process/orgtrail-process.ts';
import { until } from '../../test/support/process/until.ts';
import type { EvidenceWorld } from './evidence-world.ts';
import { copyLeaves, type LeafHashes } from './leaf-copy.ts';

/** What came of a failover that lost signed checkpoints. */
export interface LostFailover {
  /** The log of the server that is gone. */
  readonly lost: LeafHashes;
  /** Leaves of the largest signed checkpoint beyond what the standby had. */
  readonly lostLeaves: number;
  readonly state: string;
  /** Checkpoints that were signed between failover and the next log: must be 0. */
  readonly signedWhileStopped: number;
  readonly carried: number;
}

/** For how long a log that stopped is watched, with replicas that are killed and take each other's lease. */
const WATCHED_MS = 8_000;

/**
 * Lets the standby fall behind until checkpoints are signed that it lacks, crashes the primary, promotes. Waits for the log to stop,
 * watches that nothing is signed, and begins the next one as an operator would, with every checkpoint that was seen.
 */
export const failOverAndGoOn = async (world: EvidenceWorld, isAnchored: boolean): Promise<LostFailover> => {
  const { primary, standby, proxy, database, pool, seen, replicas, simulator } = world;
  await until('the standby has a checkpoint that both logs have in common', async () => {
    const signed = await standby.sql('select from evidence_checkpoints where size > 0', database);
    return signed.length > 0;
  });
  await standby.fallBehind();
  const [kept] = await standby.sql('select size::float8 as size from evidence_log', database);
  const held = Number(kept?.['size']);
  for (const { id } of simulator.summary().organizations) simulator.generate(id, 40);
  await until('checkpoints are signed that the standby lacks', async () => seen.largestOf(1) > held);
  // One that wakes up on the other server believes that it still has its lease.
  const resume = replicas.find(({ isRunning }) => isRunning)?.pause();
  await primary.stop('immediate');
  // Without an anchor all that knows of the lost checkpoints goes down with the primary; with one, the processes live on.
  if (!isAnchored) await Promise.all(replicas.filter(({ isRunning }) => isRunning).map((replica) => replica.kill()));
  await standby.promote();
  const isSigned = async () => await standby.sql('select size from evidence_checkpoints', database);
  const before = (await isSigned()).length;
  proxy.pointTo(standby);
  for (const replica of replicas) replica.start();
  await until('the log has stopped, or goes on', async () => {
    const state = await stateOf(pool).catch(() => '');
    return state === 'behind' || (await isSigned()).length > before;
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
  return { lost, lostLeaves: seen.largestOf(1) - held, state, signedWhileStopped, ...(await goOn(world)) };
};

const stateOf = async (pool: Pool): Promise<string> =>
  (await pool.query<{ state: string }>('select state from evidence_log')).rows[0]?.state ?? '';

/** Starts the server that is gone, which no replica reaches any more, and reads all that it had. */
const copyOf = async (primary: PostgresCluster, database: string, seen: EvidenceWorld['seen']): Promise<LeafHashes> => {
  await primary.start();
  const pool = createPool(primary.url(database), 2, () => {});
  try {
    await seen.lookInTable(pool);
    return await copyLog(pool);
  } finally {
    await pool.end();
    await primary.stop('fast');
  }
};

/** Copies the log, up to what is stored. */
export const copyLog = async (pool: Pool): Promise<LeafHashes> => {
  const { rows } = await pool.query<{ size: number }>('select size::float8 as size from evidence_log');
  return await copyLeaves(pool, rows[0]?.size ?? 0);
};

const goOn = async ({ operator, seen, folder }: EvidenceWorld): Promise<{ readonly carried: number }> => {
  const anchors = await seen.writeNotes(folder, 1);
  const orders = ['--reason', 'failed over to a standby that was behind', '--by', 'the chaos run', '--json'];
  const begun = await runOrgtrail(
    ['evidence', 'next', ...orders, ...anchors.flatMap((file) => ['--anchor', file])],
    operator,
  );
  if (begun.code !== 0) throw new Error(`evidence next ended with ${begun.code}: ${begun.stderr}`);
  return { carried: Number(JSON.parse(begun.stdout).carried) };
};
