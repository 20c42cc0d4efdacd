import type { Aim } from './aim.ts';
import type { Load } from './load.ts';
import { pause } from './pause.ts';
import type { PostgresCluster } from './postgres-cluster.ts';
import type { HttpFeedReader } from './readers/http-feed-reader.ts';
import type { Replica } from './replica.ts';
import type { Tally } from './tally.ts';

export interface Battlefield {
  readonly replicas: readonly Replica[];
  readonly cluster: Pick<PostgresCluster, 'crash' | 'start'>;
  readonly load: Load;
  readonly aim: Aim;
  readonly tally: Tally;
  readonly leaseMs: number;
  readonly httpReader: Pick<HttpFeedReader, 'stalledAtPort'>;
}

const AIM_TIMEOUT_MS = 1_000;
const WORK_TIMEOUT_MS = 5_000;
/** Until the reader over HTTP stops in the middle of a body. */
const BODY_TIMEOUT_MS = 1_000;
const BODY_TIMEOUT_OF_CRASH_MS = 8_000;
const MAX_LIFE_MS = 3_000;
/** Some ticks, and time for a replica that has just been killed to come back. */
const LARGE_PAGE_TIMEOUT_MS = 5_000;
/** How long a page keeps a replica busy after it was sent, roughly. */
const PAGE_MS = 120;

/**
 * SIGKILL every two seconds or so: half of them while a page is under way, some at any moment, the start of a replica included.
 * Started again at once or after a moment.
 */
export const killReplicas = async (field: Battlefield, random: () => number, signal: AbortSignal): Promise<void> => {
  const restarts: Promise<void>[] = [];
  for (;;) {
    await pause(between(random, 900, 2_300), signal);
    if (signal.aborted) break;
    const victim = await chooseVictim(field, random, signal);
    if (victim === undefined) continue;
    await victim.kill();
    const atOnce = random() < 0.5;
    restarts.push(pause(atOnce ? 0 : between(random, 200, 1_000), signal).then(() => victim.start()));
  }
  await Promise.all(restarts);
};

const chooseVictim = async (field: Battlefield, random: () => number, signal: AbortSignal) => {
  const choice = random();
  if (choice < 0.15)
    return pick(
      field.replicas.filter(({ isRunning, isPaused }) => isRunning || isPaused),
      random,
    );
  // On a busy machine a start takes its time, and a replica that is killed before it has done anything shows little.
  const lifeMs = between(random, 0, MAX_LIFE_MS);
  const victim = await oneAtWork(field.replicas, lifeMs, random, signal);
  if (choice < 0.3) return (await replicaInABody(field, BODY_TIMEOUT_MS, signal)) ?? victim;
  if (choice < 0.55) return victim;
  const aimed = await field.aim.replicaThatIsSentAPage(AIM_TIMEOUT_MS);
  if ((aimed?.atWorkForMs ?? -1) < lifeMs) return victim;
  await pause(between(random, 0, 30), signal);
  return aimed;
};

/** Waits a while for one that has been at work for so long. */
const oneAtWork = async (
  replicas: readonly Replica[],
  lifeMs: number,
  random: () => number,
  signal: AbortSignal,
): Promise<Replica | undefined> => {
  const giveUpAtMs = performance.now() + WORK_TIMEOUT_MS;
  for (;;) {
    const atWork = replicas.filter(({ atWorkForMs = -1 }) => atWorkForMs >= lifeMs);
    if (atWork.length > 0 || signal.aborted || performance.now() > giveUpAtMs) return pick(atWork, random);
    await pause(50, signal);
  }
};

/** Waits a while for the reader over HTTP to stop reading in the middle of a body, and returns the replica that it comes from. */
const replicaInABody = async (
  { httpReader, replicas }: Battlefield,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Replica | undefined> => {
  const giveUpAtMs = performance.now() + timeoutMs;
  while (!signal.aborted && performance.now() < giveUpAtMs) {
    const port = httpReader.stalledAtPort;
    if (port !== undefined) return replicas.find((replica) => replica.port === port && replica.isRunning);
    await pause(20, signal);
  }
  return undefined;
};

/** SIGSTOP for longer than the lease, one replica at a time; most of them in the middle of a page, large ones among them. */
export const stopReplicas = async (field: Battlefield, random: () => number, signal: AbortSignal): Promise<void> => {
  const { replicas, tally, leaseMs } = field;
  for (;;) {
    await pause(between(random, 500, 1_500), signal);
    if (signal.aborted) return;
    const aimed = await aimAtPage(field, random);
    if (aimed !== undefined) await pause(between(random, 0, PAGE_MS), signal);
    const victim = aimed?.isRunning ? aimed : await oneAtWork(replicas, 0, random, signal);
    if (victim === undefined) continue;
    const stoppedAtMs = performance.now();
    const resume = victim.pause();
    // Long enough for another replica to take its sources at its next tick.
    await pause(leaseMs + between(random, 300, 2_500), signal);
    const beyond = performance.now() - stoppedAtMs > leaseMs;
    if (resume() && beyond) tally.stopsBeyondLease += 1;
  }
};

const aimAtPage = async ({ aim, load }: Battlefield, random: () => number): Promise<Replica | undefined> => {
  const choice = random();
  if (choice < 0.35) return await aim.replicaThatIsSentAPage(LARGE_PAGE_TIMEOUT_MS, load.addLargePage());
  return choice < 0.75 ? await aim.replicaThatIsSentAPage(AIM_TIMEOUT_MS) : undefined;
};

/**
 * Crashes the database every forty seconds or so, most times while a body of the feed is under way, and starts it again after
 * a moment. It runs when this ends.
 */
export const crashPostgres = async (field: Battlefield, random: () => number, signal: AbortSignal): Promise<void> => {
  for (let first = true; ; first = false) {
    await pause(first ? between(random, 8_000, 12_000) : between(random, 25_000, 50_000), signal);
    if (signal.aborted) return;
    if (random() < 0.8) await replicaInABody(field, BODY_TIMEOUT_OF_CRASH_MS, signal);
    await field.cluster.crash();
    await pause(between(random, 0, 3_000), signal);
    await field.cluster.start();
    field.tally.postgresRestarts += 1;
  }
};

const between = (random: () => number, least: number, most: number): number => least + random() * (most - least);

const pick = (replicas: readonly Replica[], random: () => number): Replica | undefined =>
  replicas[Math.floor(random() * replicas.length)];
