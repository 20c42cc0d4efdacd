import type { SourceKey } from '../domain/source.ts';
import type { Lane } from '../domain/walk.ts';
import { ApiError } from '../errors.ts';
import { discoverInTurn, readProfiles } from './discover.ts';
import { planJobs } from './plan-jobs.ts';
import type { SyncContext } from './ports.ts';
import { findSubOrganizations } from './sub-organizations.ts';
import { lanesLeft, type TurnResult, takeTurn } from './turn.ts';
import { type Job, keyOf, WorkPool } from './work-pool.ts';

/** Between two attempts at the same source. */
const LONGEST_RETRY_WAIT_MS = 10_000;
/** A source that somebody else holds is waited for: longer than a lease, so that a dead holder is outlived. */
const HELD_POLL_MS = 500;
const HELD_PATIENCE_MS = 90_000;
const ALL = 1_000_000;

export interface SyncOnceOptions {
  /** Aborts at once what is under way; the signal's reason is then thrown. */
  readonly signal: AbortSignal;
  /** True once no further page should be begun. */
  readonly stopping: () => boolean;
  /** How often a source that failed, or a listing, is tried again. */
  readonly retries: number;
}

export interface SyncReport {
  readonly sources: number;
  /** Sources whose last attempt failed. */
  readonly failed: readonly SourceKey[];
  /** Sources that another process held all the time: it is at work on them. */
  readonly held: readonly SourceKey[];
  /** Why the listing failed, where it did; the organizations known before were then pulled. */
  readonly discoveryError: unknown;
  /** False where it was stopped before its end. */
  readonly finished: boolean;
}

/**
 * Lists the organizations, then fills every source's gaps as of Cloudflare's time at the start. Called by the verbs `sync` and
 * `backfill`. Throws when the database fails, when the signal aborts, or when nothing is known yet and the listing failed.
 */
export const syncOnce = async (context: SyncContext, options: SyncOnceOptions): Promise<SyncReport> => {
  const discoveryError = await discoverUntilNothingIsNew(context, options);
  const nowMs = context.api.nowMs();
  if (nowMs === undefined) {
    if (discoveryError !== undefined) throw discoveryError;
    // Stopped while another process was listing: there has been no answer yet.
    return { sources: 0, failed: [], held: [], discoveryError, finished: false };
  }
  const plan = await planJobs(context, nowMs, true);
  if (plan.sources === 0 && discoveryError !== undefined) throw discoveryError;
  const outcome = await workOff(context, plan.jobs, options);
  if (!options.stopping()) await readProfiles(context, ALL, options.signal);
  return { sources: plan.sources, ...outcome, discoveryError, finished: !options.stopping() };
};

/** Works off jobs until nothing of them is left. Throws what made it fail as a whole. */
export const workOff = async (
  context: SyncContext,
  jobs: readonly Job[],
  options: SyncOnceOptions,
): Promise<Pick<SyncReport, 'failed' | 'held'>> => {
  const failed = new Map<string, SourceKey>();
  const held = new Map<string, SourceKey>();
  const faults: unknown[] = [];
  const work = async (job: Job): Promise<readonly Lane[] | undefined> => {
    if (options.stopping()) return undefined;
    const result = await persist(context, options, job);
    for (const [kind, sources] of [
      ['failed', failed],
      ['held', held],
    ] as const) {
      if (result.kind === kind) sources.set(keyOf(job.source), job.source);
      else sources.delete(keyOf(job.source));
    }
    return options.stopping() ? undefined : lanesLeft(result);
  };
  const pool = new WorkPool(context.concurrency, work, (error) => faults.push(error), context.time.nowMs);
  pool.refill(jobs);
  await pool.idle();
  if (faults.length > 0) throw faults[0];
  return { failed: [...failed.values()], held: [...held.values()] };
};

/** A listing can miss an organization, and a repeated page token ends it early: it is asked for until nothing new appears. */
const discoverUntilNothingIsNew = async (context: SyncContext, options: SyncOnceOptions): Promise<unknown> => {
  for (let attempt = 0; ; attempt += 1) {
    const last = attempt >= options.retries;
    try {
      const appeared = await listWhenFree(context, options);
      const below = await findSubOrganizations(context, ALL, options.signal);
      if (appeared + below === 0 || last) return undefined;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // The client has tried again already what passes by itself.
      if (error.failure !== 'unreadable' || last) return error;
    }
  }
};

/** Waits while another process lists. Returns how many are new. */
const listWhenFree = async (context: SyncContext, { signal, stopping }: SyncOnceOptions): Promise<number> => {
  for (;;) {
    const result = await discoverInTurn(context, 0, signal);
    if ('appeared' in result) return result.appeared;
    if (stopping()) return 0;
    await context.time.sleep(HELD_POLL_MS, signal);
  }
};

/** A turn, and further ones after a failure or while somebody else holds the source. */
const persist = async (context: SyncContext, options: SyncOnceOptions, job: Job): Promise<TurnResult> => {
  const { signal, stopping, retries } = options;
  const heldUntilMs = context.time.nowMs() + (retries > 0 ? HELD_PATIENCE_MS : 0);
  for (let failures = 0; ; ) {
    const result = await takeTurn(context, job, { signal, stopping });
    if (result.kind === 'failed') failures += 1;
    const again =
      (result.kind === 'failed' && !result.lasting && failures <= retries) ||
      (result.kind === 'held' && context.time.nowMs() < heldUntilMs);
    if (!again || stopping()) return result;
    const waitMs = result.kind === 'failed' ? Math.min(result.backoffMs, LONGEST_RETRY_WAIT_MS) : HELD_POLL_MS;
    await context.time.sleep(waitMs, signal).catch(() => {});
  }
};
