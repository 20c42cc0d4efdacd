import { setTimeout as sleep } from 'node:timers/promises';
import { noIntervals } from '../domain/lane-intervals.ts';
import { type PlanPolicy, planNext } from '../domain/planner.ts';
import type { SourceKey } from '../domain/source.ts';
import { type Lane, lanes } from '../domain/walk.ts';
import { ApiError } from '../errors.ts';
import { discover, readProfiles } from './discover.ts';
import type { SyncContext } from './ports.ts';
import { type TurnResult, takeTurn } from './turn.ts';

/** Long enough to be efficient, short enough that a long backfill does not make others wait. */
const PAGES_PER_TURN = 20;
/** Between two attempts at the same source within one cycle, a cycle waits no longer than this. */
const LONGEST_RETRY_WAIT_MS = 10_000;
/** A cycle that stands alone waits for sources that others hold: longer than a lease, so that a dead holder is outlived. */
const HELD_POLL_MS = 500;
const HELD_PATIENCE_MS = 90_000;

export interface CycleOptions {
  /** Aborts at once what is under way; the cycle then throws the signal's reason. */
  readonly signal: AbortSignal;
  /** True once no further page should be begun (shutdown). */
  readonly stopping: () => boolean;
  /** True once the cycle should end between two turns: the next tick is due, and live comes first. */
  readonly interrupted: () => boolean;
  /** How often a source that failed is tried again within this cycle; also, whether resting sources are tried. */
  readonly retries: number;
  readonly profiles: number;
}

export interface CycleReport {
  readonly sources: number;
  /** Sources whose last turn of this cycle failed, or that were resting after an earlier failure. */
  readonly failed: readonly SourceKey[];
  /** Why discovery failed, where it did; the cycle then went on with the organizations known before. */
  readonly discoveryError: unknown;
  /** Sources that another process held all the time: it is at work on them. */
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
    if (source.heldElsewhere && options.retries === 0) {
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
  const ended = () => options.interrupted() || options.stopping() || options.signal.aborted;
  const work = { context, options, nowMs, policy, queue, failed, held, ended };
  const workers = Array.from({ length: context.concurrency }, () => workOff(work));
  await settleAll(workers);
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
  readonly ended: () => boolean;
}

/** One worker: takes sources from the queue, most urgent lane first, until there is none or the cycle has ended. */
const workOff = async (work: Work): Promise<void> => {
  const { context, queue, failed, held, ended } = work;
  for (let source = queue.take(); source !== undefined && !ended(); source = queue.take()) {
    const key = keyOf(source);
    const result = await persist(work, source);
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
  const { options, nowMs, policy, ended } = work;
  const { signal, stopping, retries } = options;
  const heldUntilMs = performance.now() + (retries > 0 ? HELD_PATIENCE_MS : 0);
  for (let failures = 0; ; ) {
    const result = await takeTurn(work.context, source, { nowMs, policy, maxPages: PAGES_PER_TURN, signal, stopping });
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

const keyOf = (source: SourceKey): string => `${source.kind}/${source.id}`;

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
