import { MAX_EMPTY_PAGES } from '../../src/ingest/planning/walk.ts';
import { Simulation } from './simulation.ts';
import type { Sometimes } from './sometimes.ts';

export interface SeedResult {
  readonly seed: number;
  /** What was violated first; undefined where all held. */
  readonly violation: string | undefined;
  /** Of the whole history: the same for the same seed. */
  readonly hash: number;
  readonly events: number;
  readonly counts: ReadonlyMap<Sometimes, number>;
  readonly trace: readonly string[] | undefined;
}

const MAX_BACKOFF_MS = 900_000;
const MAX_HANG_MS = 120_000;
const HOLE_REST_MS = 2 * 3_600_000;
/** Two rounds at a few windows a tick, after rests and with windows that grow again. */
const MAX_ROUNDS_MS = 4 * 3_600_000;
/** A stop waits for the answers that are under way. */
const MAX_STOP_MS = 10_000;
const LAST_TICKS = 3;

/**
 * Runs the world of one seed: faults, then quiet until all has been read by every pass, some ticks more, and a stop of all
 * processes. The same seed gives the same history.
 */
export const runSeed = async (seed: number, tracing = false): Promise<SeedResult> => {
  // Hundreds of errors are made for each seed, and their stacks are not read.
  Error.stackTraceLimit = tracing ? 10 : 0;
  const simulation = new Simulation(seed, tracing);
  const { checker } = simulation;
  simulation.begin();
  await runFaults(simulation);
  if (checker.violation === undefined) await runUntilRead(simulation);
  if (checker.violation === undefined) await runUntilFilled(simulation);
  if (checker.violation === undefined) await runUntilFound(simulation);
  if (checker.violation === undefined) await runSomeTicks(simulation);
  // An organization that the last tick found is read, too.
  if (checker.violation === undefined) await runUntilRead(simulation);
  if (checker.violation === undefined) await stopAll(simulation);
  if (checker.violation === undefined) checker.checkComplete(simulation.database);
  simulation.scheduler.end();
  const { hash, events, lines } = simulation.scheduler;
  return { seed, violation: checker.violation, hash, events, counts: checker.counts, trace: lines };
};

const runFaults = async ({ scheduler, world, checker }: Simulation): Promise<void> => {
  const done = () => scheduler.nowMs >= world.faultsUntilMs || checker.violation !== undefined;
  if (!(await scheduler.runUntil(done))) checker.fail('the faults have no end');
};

/** Every source is asked again, and every pass gets through, within the time that rests, leases and batches allow. */
const runUntilRead = async (simulation: Simulation): Promise<void> => {
  const { scheduler, world, checker, database } = simulation;
  const batchMs = 2 * (world.settleDelaysMs.at(-1) ?? 0) + world.intervals.settleMs;
  // What could not be read for a while is retried after an hour; if each second must be read by itself, that takes hours.
  const trouble = world.organizations.some(({ id }) => checker.hasLastingTrouble(id));
  const holesMs = trouble ? 3 * HOLE_REST_MS : HOLE_REST_MS;
  const timeoutMs = batchMs + MAX_BACKOFF_MS + MAX_HANG_MS + holesMs + 3 * world.leaseMs + 5 * simulation.tickMs;
  const deadlineMs = scheduler.nowMs + timeoutMs;
  let nextLookMs = 0;
  const done = () => {
    if (checker.violation !== undefined) return true;
    if (scheduler.nowMs < nextLookMs) return false;
    nextLookMs = scheduler.nowMs + world.tickMs;
    const missing = checker.missing(database);
    if (missing !== undefined && scheduler.nowMs > deadlineMs) checker.fail(`not in time: ${missing}`);
    return missing === undefined || checker.violation !== undefined;
  };
  if (!(await scheduler.runUntil(done))) checker.fail('too many events, or none');
};

/** A look far back is due after twice the time that the last one was. */
const runUntilFilled = async (simulation: Simulation): Promise<void> => {
  const { scheduler, world, checker, database } = simulation;
  const deadlineMs = scheduler.nowMs + 2 * (scheduler.nowMs - world.startMs) + 20 * simulation.tickMs;
  let nextLookMs = 0;
  const done = () => {
    if (checker.violation !== undefined) return true;
    if (scheduler.nowMs < nextLookMs) return false;
    nextLookMs = scheduler.nowMs + world.tickMs;
    // What is still missing is found at the end.
    return scheduler.nowMs > deadlineMs || checker.isFilled(database);
  };
  if (!(await scheduler.runUntil(done))) checker.fail('too many events, or none');
};

/** What is removed from the store by hand is stored again within a round of the scrub lane, if all of it can be read. */
const runUntilFound = async (simulation: Simulation): Promise<void> => {
  const { scheduler, world, checker, database } = simulation;
  const trouble = world.organizations.some(({ id }) => checker.hasLastingTrouble(id));
  if (trouble || world.api.windowLimit !== undefined || simulation.removeByHand() === 0) return;
  // A window that is in doubt is halved, once in a tick.
  const ticksMs = 20 * simulation.tickMs;
  const deadlineMs = scheduler.nowMs + 2 * (world.scrub?.everyMs ?? 0) + MAX_ROUNDS_MS + ticksMs;
  let nextLookMs = 0;
  const done = () => {
    if (checker.violation !== undefined) return true;
    if (scheduler.nowMs < nextLookMs) return false;
    nextLookMs = scheduler.nowMs + world.tickMs;
    if (scheduler.nowMs > deadlineMs) checker.fail('what was removed by hand is not found in time');
    return checker.isStoredAgain(database) || checker.violation !== undefined;
  };
  if (!(await scheduler.runUntil(done))) checker.fail('too many events, or none');
};

/** Where there is nothing to do but to look again, each replica asks for each source once per lane and tick. */
const runSomeTicks = async (simulation: Simulation): Promise<void> => {
  const { scheduler, world, checker, tickMs, daemons } = simulation;
  const before = checker.pagesAsked;
  const untilMs = scheduler.nowMs + LAST_TICKS * tickMs;
  const done = () => scheduler.nowMs >= untilMs || checker.violation !== undefined;
  if (!(await scheduler.runUntil(done))) checker.fail('too many events, or none');
  const walks = (LAST_TICKS + 1) * daemons.length * world.organizations.length * (3 + world.settleDelaysMs.length);
  const asked = checker.pagesAsked - before;
  // Empty pages whose cursors lead to others are followed, from both sides.
  const emptyPages = world.oddity?.kind === 'empty_has_cursor' ? 2 * MAX_EMPTY_PAGES : 0;
  const pagesPerWalk = 4 + emptyPages + mostEntries(simulation);
  const trouble =
    world.api.windowLimit !== undefined || world.organizations.some(({ id }) => checker.hasLastingTrouble(id));
  if (!trouble && asked > walks * pagesPerWalk) checker.fail(`${asked} pages were asked for where nothing happens`);
};

const mostEntries = ({ world }: Simulation): number =>
  Math.max(...world.organizations.map(({ entries }) => Math.ceil((2 * entries.length) / world.api.pageCap)));

/** All stop, give back what they hold, and leave nothing running. */
const stopAll = async (simulation: Simulation): Promise<void> => {
  const { scheduler, checker, database } = simulation;
  const processes = simulation.processes.filter((process) => process.running);
  for (const process of processes) void process.stop();
  const deadlineMs = scheduler.nowMs + MAX_STOP_MS + MAX_HANG_MS;
  const done = () => processes.every(({ ended }) => ended) || scheduler.nowMs > deadlineMs;
  const ended = (await scheduler.runUntil(done)) && processes.every((process) => process.ended);
  if (!ended) return checker.fail('a process does not stop');
  const quietMs = scheduler.nowMs + MAX_STOP_MS;
  await scheduler.runUntil(() => scheduler.nowMs > quietMs);
  for (const process of processes) {
    const pending = scheduler.pendingOf(process).filter((label) => label !== 'tick');
    if (pending.length > 0) checker.fail(`${process.name} has stopped and still waits for: ${pending.join(', ')}`);
  }
  for (const { id, leaseOwner, leaseUntilMs } of database.sources.values()) {
    const held = leaseUntilMs !== undefined && processes.some(({ owner }) => owner === leaseOwner);
    if (held) checker.fail(`${leaseOwner} has stopped and still holds ${id}`);
  }
};
