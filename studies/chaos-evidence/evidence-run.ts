import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { compareWithTruth } from '../../src/cli/demo/verdict.sql.ts';
import { publicKeyOfFile } from '../../src/evidence/keys.ts';
import { keyOfLog } from '../../src/evidence/notes/checkpoint.ts';
import { seededRandom } from '../../test/support/process/seeded-random.ts';
import { until } from '../../test/support/process/until.ts';
import { createAim } from '../chaos/aim.ts';
import { caughtUp } from '../chaos/catch-up.ts';
import { type Battlefield, crashPostgres, killReplicas, stopReplicas } from '../chaos/disruptions.ts';
import { Load } from '../chaos/load.ts';
import { pause } from '../chaos/pause.ts';
import { bothVerifiers } from './both-verifiers.ts';
import { type EvidenceWorld, openEvidenceWorld } from './evidence-world.ts';
import { judgeCheckpoints } from './judge-checkpoints.ts';
import type { LeafHashes } from './leaf-copy.ts';
import { copyLog, failOverAndGoOn } from './lost-failover.ts';
import type { EvidenceChaosOptions } from './options.ts';
import { type EvidenceChaosResult, faultsOf } from './report.ts';

const CATCH_UP_MS = 600_000;
const BEFORE_FAILOVER = 0.6;

type Say = (line: string) => void;

/** The whole run, from nothing to nothing. Called by `npm run lab chaos-evidence` and by its test. */
export const runEvidenceChaos = async (options: EvidenceChaosOptions, say: Say): Promise<EvidenceChaosResult> => {
  await using stack = new AsyncDisposableStack();
  const keep = { all: true };
  const world = await openEvidenceWorld(options, keep, stack);
  say(`logs, key and bundle are in ${world.folder} until all is well`);
  const startedAtMs = performance.now();
  const { pool, simulator, replicas, seen, tally } = world;
  // One for both: it numbers the ids of large pages.
  const load = new Load(simulator, seededRandom(options.seed + 2));
  await disrupt(world, options, { on: 'primary', load, durationMs: options.durationMs * BEFORE_FAILOVER });
  say(`${tally.kills} kills, ${tally.postgresRestarts} restarts; now the failover`);
  for (const replica of replicas) replica.start();
  const { lost, ...failover } = await failOverAndGoOn(world, options.isAnchored);
  say(`the log is ${failover.state}, and the next one begins; ${failover.carried} leaves are carried; disrupting that`);
  await disrupt(world, options, { on: 'standby', load, durationMs: options.durationMs * (1 - BEFORE_FAILOVER) });
  say('no more disruptions; waiting until all is read and signed');
  for (const replica of replicas) replica.start();
  const complete = await catchUp(world, options);
  await until('all is signed', async () => (await lagOf(pool)) === 0);
  await Promise.all(replicas.map((replica) => replica.end()));
  await seen.finish();
  const judged = await judge(world, { 1: lost, 2: await copyLog(pool) }, seededRandom(options.seed + 7));
  const result = {
    seed: options.seed,
    seconds: Math.round((performance.now() - startedAtMs) / 1_000),
    tally,
    seen: countSeen(world),
    ...failover,
    ...judged,
    leases: await number(pool, 'select lease_epoch from evidence_log'),
    leftOut: await number(pool, 'select coalesce(sum(to_position - from_position), 0) from position_jumps'),
    lag: await lagOf(pool),
    caughtUp: complete,
    comparison: await compareWithTruth(pool, simulator),
    verifierFaults: await bothVerifiers(world, await seen.writeNotes(world.folder, 2)),
  };
  keep.all = faultsOf(result).length > 0;
  if (keep.all) {
    const all = seen.all.map((one) => ({ ...one, ways: [...one.ways] }));
    await writeFile(join(world.folder, 'seen.json'), JSON.stringify(all, null, 1));
  }
  return result;
};

const disrupt = async (
  world: EvidenceWorld,
  options: EvidenceChaosOptions,
  { on, load, durationMs }: { readonly on: 'primary' | 'standby'; readonly load: Load; readonly durationMs: number },
): Promise<void> => {
  const { simulator, pool, replicas, tally } = world;
  const seed = options.seed + (on === 'primary' ? 0 : 100);
  const server = world[on];
  const field: Battlefield = {
    replicas,
    tally,
    leaseMs: options.leaseMs,
    cluster: { crash: () => server.stop('immediate'), start: () => server.start() },
    load,
    aim: createAim(simulator, pool, replicas),
    httpReader: { stalledAtPort: undefined },
  };
  const failure = new AbortController();
  const over = AbortSignal.any([failure.signal, AbortSignal.timeout(durationMs)]);
  await Promise.all(
    [
      field.load.stream(options.liveRate, over),
      killReplicas(field, seededRandom(seed + 3), over),
      stopReplicas(field, seededRandom(seed + 4), over),
      crashPostgres(field, seededRandom(seed + 5), over),
    ].map((work) => work.catch((error: unknown) => failure.abort(error))),
  );
  failure.signal.throwIfAborted();
};

const catchUp = async ({ simulator, pool }: EvidenceWorld, { settleMs }: EvidenceChaosOptions): Promise<boolean> => {
  simulator.faults.set({ preset: 'none' });
  const untilMs = simulator.summary().nowMs + 1_000;
  const { signal } = new AbortController();
  await pause(settleMs, signal);
  const sources = simulator.summary().organizations.length;
  const timeoutMs = 2 * settleMs + CATCH_UP_MS;
  return await caughtUp(pool, { sources, untilMs, settlePasses: 1, timeoutMs, onProgress: () => {}, signal });
};

/** Events without a leaf, and leaves that no checkpoint has. */
const lagOf = async (pool: Pool): Promise<number> =>
  await number(
    pool,
    `select l.size - coalesce(l.signed_size, 0) + (select count(*) from audit_events e where e.position > l.position) from evidence_log l`,
  );

const number = async (pool: Pool, sql: string): Promise<number> => {
  const { rows } = await pool.query<[string]>({ text: sql, rowMode: 'array' });
  return Number(rows[0]?.[0]);
};

const judge = async (
  { seen, folder }: EvidenceWorld,
  copies: Readonly<Record<1 | 2, LeafHashes>>,
  random: () => number,
): Promise<Pick<EvidenceChaosResult, 'proofs' | 'checkpointFaults'>> => {
  const faults: string[] = [];
  let proofs = 0;
  const publicKey = publicKeyOfFile(join(folder, 'key.pem'));
  const origins = new Set(seen.all.map(({ origin }) => origin));
  const policy = { logs: [...origins].map((origin) => keyOfLog(origin, publicKey)), witnesses: [] };
  for (const log of [1, 2] as const) {
    const own = seen.all.filter(({ origin }) => origin.endsWith(`.${log}`));
    const judgement = judgeCheckpoints(own, copies[log], policy, random);
    faults.push(...judgement.faults);
    proofs += judgement.proofs;
  }
  return { proofs, checkpointFaults: faults };
};

const countSeen = ({ seen: { all } }: EvidenceWorld): Record<string, number> => {
  const by = (way: string) => all.filter(({ ways }) => [...ways].some((one) => one === way)).length;
  return { all: all.length, ...Object.fromEntries(['table', 'anchor', 'log'].map((way) => [way, by(way)])) };
};
