import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../errors.ts';
import { discover, readProfiles } from './discover.ts';
import { planJobs } from './plan-jobs.ts';
import type { SyncContext } from './ports.ts';
import { startScheduler } from './scheduler.ts';
import { findSubOrganizations } from './sub-organizations.ts';
import { takeTurn } from './turn.ts';
import { type Job, WorkPool } from './work-pool.ts';

/** A listing that takes longer does not hold up the organizations that are known. */
const LISTING_PATIENCE_MS = 2_000;
/** Requests for each kind of detail per tick: they are the least urgent of all. */
const DETAILS_PER_TICK = 5;

export interface SyncForeverOptions {
  /** Cron pattern with seconds. */
  readonly schedule: string;
  /** Aborts at once what is under way. */
  readonly signal: AbortSignal;
  /** True once no further page should be begun. */
  readonly stopping: () => boolean;
  /** Hears what made a tick or a turn fail as a whole: the database is away. The next tick tries again. */
  readonly onError: (error: unknown) => void;
}

export interface Syncing {
  /** Begins nothing new, and resolves when what is under way has ended. */
  stop(): Promise<void>;
}

/**
 * The daemon: at every tick it lists the organizations and plans what is due, and a pool works it off. A tick replaces what
 * waits in the pool, so that live comes first again, and leaves alone what is under way. Called by the verb `run`.
 */
export const syncForever = (context: SyncContext, options: SyncForeverOptions): Syncing => {
  const { signal, stopping, onError } = options;
  const work = async (job: Job): Promise<Job | undefined> => {
    if (stopping()) return undefined;
    const result = await takeTurn(context, job, { signal, stopping });
    return result.kind === 'more' && !stopping() ? { ...job, lane: result.lane } : undefined;
  };
  const pool = new WorkPool(context.concurrency, work, onError);
  let listing: Promise<void> | undefined;
  let details: Promise<void> | undefined;
  const list = (): Promise<void> => {
    listing ??= discover(context, signal)
      .then(() => {})
      // The observer has heard of what Cloudflare answered; the organizations known before are pulled.
      .catch((error: unknown) => (error instanceof ApiError ? undefined : onError(error)))
      .finally(() => {
        listing = undefined;
      });
    return listing;
  };
  const tick = async (): Promise<void> => {
    const listed = list();
    // Before Cloudflare's first answer its time is not known, and nothing can be planned.
    if (context.api.nowMs() === undefined) await listed;
    else await Promise.race([listed, sleep(LISTING_PATIENCE_MS, undefined, { ref: false })]);
    const nowMs = context.api.nowMs();
    if (nowMs === undefined || stopping()) return;
    const { jobs } = await planJobs(context, nowMs, false);
    pool.refill(jobs);
    details ??= readDetails(context, signal)
      .catch(onError)
      .finally(() => {
        details = undefined;
      });
  };
  const scheduler = startScheduler(options.schedule, tick, onError);
  return {
    stop: async () => {
      pool.clear();
      await scheduler.stop();
      pool.clear();
      await Promise.all([listing, details, pool.idle()]);
    },
  };
};

const readDetails = async (context: SyncContext, signal: AbortSignal): Promise<void> => {
  await findSubOrganizations(context, DETAILS_PER_TICK, signal);
  await readProfiles(context, DETAILS_PER_TICK, signal);
};
