import { setTimeout as sleep } from 'node:timers/promises';
import { noIntervals } from '../domain/lane-intervals.ts';
import { type PlanPolicy, planNext } from '../domain/planner.ts';
import type { SourceKey } from '../domain/source.ts';
import { type Lane, lanes } from '../domain/walk.ts';
import { ApiError } from '../errors.ts';
import { discover, readProfiles } from './discover.ts';
import type { SyncContext } from './ports.ts';
import { keyOf, type Stragglers } from './stragglers.ts';
import { type TurnResult, takeTurn } from './turn.ts';

/** Long enough to be efficient, short enough that a long backfill does not make others wait. */
const PAGES_PER_TURN = 20;
/** Between two attempts at the same source within one cycle, a cycle waits no longer than this. */
const LONGEST_RETRY_WAIT_MS = 10_000;
/** A cycle that stands alone waits for sources that others hold: longer than a lease, so that a dead holder is outlived. */
const HELD_POLL_MS = 500;
const HELD_PATIENCE_MS = 90_000;
/** How long a tick that is due waits for turns under way, before it leaves them behind; how often it looks. */
const TURN_PATIENCE_MS = 2_000;
const TURN_POLL_MS = 100;

export interface CycleOptions {
  /** Aborts at once what is under way; the cycle then throws the signal's reason. */
  readonly signal: AbortSignal;
  /** True once no further page should be begun (shutdown). */
  readonly stopping: () => boolean;
  /** True once the cycle should end between two pages: the next tick is due, and live comes first. */
  readonly interrupted: () => boolean;
  /** How often a source that failed is tried again within this cycle; also, whether resting sources are tried. */
  readonly retries: number;
  readonly profiles: number;
  /** Where the turns go that are still under way when the next tick is due. Without it, the cycle waits for them. */
  readonly stragglers?: Stragglers | undefined;
}

export interface CycleReport {
  readonly sources: number;
  /** Sources whose last turn of this cycle failed, or that were resting after an earlier failure. */
  readonly failed: readonly SourceKey[];
  /** Why discovery failed, where it did; the cycle then went on with the organizations known before. */
  readonly discoveryError: unknown;
  /** Sources that another process held all the time, or a turn of an earlier cycle: it is at work on them. */
  readonly held: number;
  readonly finished: boolean;
}

/**
 * One cycle: discovery, then every source's gaps as of Cloudflare's time at its start, in the order of the lanes, with
 * bounded concurrency. Called by the scheduler at every tick, and once by the verb `sync`. Throws when the database
 * fails, when the signal aborts, or when nothing is known yet and discovery failed.
 */
export const runCycle = async (context: SyncContext, options: CycleOptions): Promise<CycleReport> => {
  const discoveryError = await discoverUntilNothingIsNew(context, options);
  const nowMs = context.api.nowMs();
  if (nowMs === undefined) throw discoveryError;
  const sources = await context.store.loadSources();
  if (sources.length === 0 && discoveryError !== undefined) throw discoveryError;
  const queue = new LaneQueue();
  const failed = new Map<string, SourceKey>();
  const held = new Map<string, SourceKey>();
  const policy = {
    horizonMs: context.horizonMs(nowMs),
    settleDelaysMs: context.settleDelaysMs,
    untilMs: context.untilMs,
    // A cycle that stands alone reads all there is.
    intervals: options.retries > 0 ? noIntervals : context.intervals(sources.length),
  };
  for (const source of sources) {
    const straggles = options.stragglers?.has(source) === true;
    if (straggles || (source.heldElsewhere && options.retries === 0)) {
      held.set(keyOf(source), source);
      continue;
    }
    if (source.restMs > 0 && options.retries === 0) {
      failed.set(keyOf(source), source);
      continue;
    }
    const plan = planNext(source, nowMs, policy);
    if (plan.kind === 'walk') queue.add(plan.walk.lane, source);
  }
  context.observer.cyclePlanned?.({ sources: sources.length, due: queue.ids() });
  let left = false;
  const pausing = () => left || options.interrupted() || options.stopping();
  const ended = () => pausing() || options.signal.aborted;
  const work: Work = { context, options, nowMs, policy, queue, failed, held, pausing, ended, inHand: [] };
  // What is left behind finishes its turn and takes no other, also once this tick is no longer due.
  left = await workAll(work);
  if (!ended()) await readProfiles(context, options.profiles, options.signal);
  return {
    sources: sources.length,
    failed: [...failed.values()],
    discoveryError,
    held: held.size,
    finished: queue.size === 0 && !ended(),
  };
};

/**
 * A listing can miss an organization. The daemon lists again at the next tick; a cycle that stands alone lists until
 * nothing new appears. Returns what made the last listing fail, where known organizations can still be pulled.
 */
const discoverUntilNothingIsNew = async (context: SyncContext, options: CycleOptions): Promise<unknown> => {
  let failure: unknown;
  for (let attempt = 0; attempt <= options.retries; attempt += 1) {
    try {
      failure = undefined;
      const { appeared } = await discover(context, options.signal);
      if (appeared === 0) break;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      failure = error;
      if (error.failure === 'unauthorized' || error.failure === 'refused') break;
    }
  }
  return failure;
};

interface Work {
  readonly context: SyncContext;
  readonly options: CycleOptions;
  readonly nowMs: number;
  readonly policy: PlanPolicy;
  readonly queue: LaneQueue;
  readonly failed: Map<string, SourceKey>;
  readonly held: Map<string, SourceKey>;
  /** True once no further page should be begun. */
  readonly pausing: () => boolean;
  /** True once no further turn should be. */
  readonly ended: () => boolean;
  /** What each worker has in hand. */
  readonly inHand: (SourceKey | undefined)[];
}

/** Lets the workers work until all are done, or until the next tick has waited long enough: true where turns were left behind. */
const workAll = async (work: Work): Promise<boolean> => {
  const { context, options, inHand } = work;
  const { stragglers } = options;
  // Turns left behind still have their place: however many hang, no more are under way than the concurrency says.
  while (stragglers !== undefined && stragglers.size >= context.concurrency && !work.ended()) {
    await Promise.race([stragglers.oneOver(), sleep(TURN_POLL_MS)]);
  }
  const places = Math.max(0, context.concurrency - (stragglers?.size ?? 0));
  const workers = Array.from({ length: places }, (_, index) => workOff(work, index));
  let over = false;
  const done = settleAll(workers).finally(() => {
    over = true;
  });
  if (stragglers !== undefined) {
    done.catch(() => {});
    for (let waitedMs = 0; !over && waitedMs < TURN_PATIENCE_MS; ) {
      await Promise.race([done, sleep(TURN_POLL_MS)]);
      if (options.interrupted() && !options.stopping()) waitedMs += TURN_POLL_MS;
    }
  }
  if (stragglers === undefined || over) {
    await done;
    return false;
  }
  for (const [index, source] of inHand.entries()) {
    if (source !== undefined) stragglers.add(source, workers[index] as Promise<void>);
  }
  return true;
};

/** One worker: takes sources from the queue, most urgent lane first, until there is none or the cycle has ended. */
const workOff = async (work: Work, index: number): Promise<void> => {
  const { context, queue, failed, held, ended, inHand } = work;
  for (let source = queue.take(); source !== undefined && !ended(); source = queue.take()) {
    const key = keyOf(source);
    inHand[index] = source;
    const result = await persist(work, source);
    inHand[index] = undefined;
    if (result.kind === 'failed') failed.set(key, source);
    else failed.delete(key);
    if (result.kind === 'held') held.set(key, source);
    else held.delete(key);
    if (result.kind === 'more') queue.add(result.lane, source);
    if (result.kind === 'idle') context.observer.sourceSettled?.({ source });
  }
};

/** A turn, and where the cycle stands alone, further ones after a failure or while somebody else holds the source. */
const persist = async (work: Work, source: SourceKey): Promise<TurnResult> => {
  const { options, nowMs, policy, pausing, ended } = work;
  const { signal, retries } = options;
  const heldUntilMs = performance.now() + (retries > 0 ? HELD_PATIENCE_MS : 0);
  for (let failures = 0; ; ) {
    const result = await takeTurn(work.context, source, {
      nowMs,
      policy,
      maxPages: PAGES_PER_TURN,
      signal,
      stopping: pausing,
    });
    if (result.kind === 'failed') failures += 1;
    const again =
      result.kind === 'failed' ? failures <= retries : result.kind === 'held' && performance.now() < heldUntilMs;
    if (!again || ended()) return result;
    const waitMs = result.kind === 'failed' ? Math.min(result.backoffMs, LONGEST_RETRY_WAIT_MS) : HELD_POLL_MS;
    await sleep(waitMs, undefined, { signal }).catch(() => {});
  }
};

/** Waits for all, then throws the first failure: no worker may still be writing when the cycle is over. */
const settleAll = async (workers: readonly Promise<void>[]): Promise<void> => {
  for (const result of await Promise.allSettled(workers)) if (result.status === 'rejected') throw result.reason;
};

/** Sources in the order of their lanes: every live gap before any settle gap before any backfill. */
class LaneQueue {
  readonly #lanes: Record<Lane, SourceKey[]> = { live: [], settle: [], backfill: [] };

  get size(): number {
    return lanes.reduce((sum, lane) => sum + this.#lanes[lane].length, 0);
  }

  ids(): string[] {
    return lanes.flatMap((lane) => this.#lanes[lane].map((source) => source.id));
  }

  add(lane: Lane, source: SourceKey): void {
    this.#lanes[lane].push(source);
  }

  take(): SourceKey | undefined {
    for (const lane of lanes) {
      const source = this.#lanes[lane].shift();
      if (source !== undefined) return source;
    }
    return undefined;
  }
}
