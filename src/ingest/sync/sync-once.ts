import { ApiError } from '../../base/errors.ts';
import { keyOf, type SourceKey } from '../planning/source.ts';
import { createDaemon, type SyncDaemon } from './daemon.ts';
import { type Discovered, discoverInTurn, findSubOrganizations, readProfiles } from './discovery/discover.ts';
import { discoverAccounts } from './discovery/discover-accounts.ts';
import { type PlanningTime, planningTime, type SyncContext } from './ports.ts';
import type { TurnOptions } from './run/page-exchange.ts';
import type { TurnResult } from './run/run-source.ts';
import type { Job } from './work-pool.ts';

const MAX_RETRY_WAIT_MS = 10_000;
/** Longer than a lease, so that a dead holder is outlived. */
const HELD_POLL_MS = 500;
const LEASE_WAIT_TIMEOUT_MS = 90_000;
const ALL = 1_000_000;

export interface SyncOnceOptions extends TurnOptions {
  /** How often a lane, or a listing, is retried; a window that is halved counts as progress. */
  readonly retries: number;
}

export interface SyncReport {
  readonly sources: number;
  readonly failed: readonly SourceKey[];
  /** Another process held these all the time: it is at work on them. */
  readonly held: readonly SourceKey[];
  readonly discoveryError: unknown;
  /** Set if a listing failed and was not refused, or all were: accounts may be missing. */
  readonly accountsError?: ApiError | undefined;
  readonly finished: boolean;
}

/** The daemon until nothing is left as of Cloudflare's time at the start. Throws when the database fails, when the
 * signal aborts, or when nothing is known yet and the listing failed. */
export const syncOnce = async (context: SyncContext, options: SyncOnceOptions): Promise<SyncReport> => {
  const { organizations: discoveryError, accounts: accountsError } = await discoverUntilNothingIsNew(context, options);
  const time = await planningTime(context);
  if (time === undefined) {
    if (discoveryError !== undefined) throw discoveryError;
    // Stopped while another process was listing: there has been no answer yet.
    return { sources: 0, failed: [], held: [], discoveryError, accountsError, finished: false };
  }
  const outcome = await workOff(context, time, options);
  if (outcome.sources === 0 && discoveryError !== undefined) throw discoveryError;
  if (!options.stopping()) await readProfiles(context, ALL, options.signal, context.concurrency);
  return { ...outcome, discoveryError, accountsError, finished: !options.stopping() };
};

const workOff = async (context: SyncContext, time: PlanningTime, options: SyncOnceOptions) => {
  const faults: unknown[] = [];
  const retries = new JobRetries(context.time.nowMs, options.retries);
  const daemon = createDaemon(context, {
    signal: options.signal,
    stopping: options.stopping,
    tickMs: context.tickMs,
    onError: (error) => faults.push(error),
    onTurn: (job, result) => retries.note(job, result),
  });
  const sources = await rounds(context, daemon, time, retries, options, faults);
  if (faults.length > 0) throw faults[0];
  return { sources, failed: retries.failed(), held: retries.held() };
};

const rounds = async (
  context: SyncContext,
  daemon: SyncDaemon,
  time: PlanningTime,
  retries: JobRetries,
  { signal, stopping }: SyncOnceOptions,
  faults: readonly unknown[],
): Promise<number> => {
  for (;;) {
    const { sources, jobs } = await daemon.workOff(time, (job) => retries.isSpent(job));
    await daemon.idle();
    const waitMs = retries.waitMs();
    if (jobs.length === 0 || faults.length > 0 || stopping()) return sources;
    if (waitMs > 0) await context.time.sleep(waitMs, signal).catch(() => {});
  }
};

/** Says when to give up a lane. */
class JobRetries {
  readonly #nowMs: () => number;
  readonly #retries: number;
  readonly #failures = new Map<string, number>();
  readonly #failed = new Map<string, SourceKey>();
  readonly #heldSince = new Map<string, { readonly source: SourceKey; readonly sinceMs: number }>();
  readonly #lasting = new Set<string>();
  #waitMs = 0;

  constructor(nowMs: () => number, retries: number) {
    this.#nowMs = nowMs;
    this.#retries = retries;
  }

  note({ source, lane }: Job, result: TurnResult): void {
    const key = keyOf(source);
    if (result.kind === 'held') {
      if (!this.#heldSince.has(key)) this.#heldSince.set(key, { source, sinceMs: this.#nowMs() });
      this.#waitMs = Math.max(this.#waitMs, HELD_POLL_MS);
      return;
    }
    this.#heldSince.delete(key);
    const laneKey = `${key}/${lane}`;
    if (result.kind !== 'failed') {
      this.#failures.delete(laneKey);
      return;
    }
    const failures = (this.#failures.get(laneKey) ?? 0) + 1;
    this.#failures.set(laneKey, failures);
    if (result.lasting) this.#lasting.add(key);
    if (this.isSpent({ source, lane })) this.#failed.set(key, source);
    else this.#waitMs = Math.max(this.#waitMs, Math.min(result.backoffMs, MAX_RETRY_WAIT_MS));
  }

  isSpent({ source, lane }: Pick<Job, 'source' | 'lane'>): boolean {
    const key = keyOf(source);
    const heldSinceMs = this.#heldSince.get(key)?.sinceMs ?? Number.POSITIVE_INFINITY;
    const timeoutMs = this.#retries > 0 ? LEASE_WAIT_TIMEOUT_MS : 0;
    return (
      this.#lasting.has(key) ||
      (this.#failures.get(`${key}/${lane}`) ?? 0) > this.#retries ||
      this.#nowMs() - heldSinceMs >= timeoutMs
    );
  }

  /** Asked once after each round. */
  waitMs(): number {
    const waitMs = this.#waitMs;
    this.#waitMs = 0;
    return waitMs;
  }

  failed(): readonly SourceKey[] {
    return [...this.#failed.values()];
  }

  held(): readonly SourceKey[] {
    return [...this.#heldSince.values()].map(({ source }) => source);
  }
}

/** A listing can miss an organization, and a repeated page token ends it early: it is asked for until nothing new appears. */
const discoverUntilNothingIsNew = async (context: SyncContext, options: SyncOnceOptions) => {
  let accounts: ApiError | undefined;
  for (let attempt = 0; ; attempt += 1) {
    const last = attempt >= options.retries;
    try {
      const { appeared } = await listWhenFree(context, options);
      const ofAccounts = options.stopping()
        ? { appeared: 0, error: undefined }
        : await discoverAccounts(context, options.signal);
      accounts = ofAccounts.error ?? accounts;
      const below = await findSubOrganizations(context, ALL, options.signal);
      if (appeared + ofAccounts.appeared + below === 0 || last) return { organizations: undefined, accounts };
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // The client has already retried what passes by itself.
      if (error.failure !== 'unreadable' || last) return { organizations: error, accounts };
    }
  }
};

const listWhenFree = async (context: SyncContext, { signal, stopping }: SyncOnceOptions): Promise<Discovered> => {
  for (;;) {
    const result = await discoverInTurn(context, 0, signal);
    if ('appeared' in result) return result;
    if (stopping()) return { appeared: 0 };
    await context.time.sleep(HELD_POLL_MS, signal);
  }
};
