import type { Lane } from '../domain/walk.ts';
import { ApiError } from '../errors.ts';
import { discoverInTurn, readProfiles } from './discover.ts';
import { planJobs } from './plan-jobs.ts';
import type { SyncContext } from './ports.ts';
import { startScheduler } from './scheduler.ts';
import { findSubOrganizations } from './sub-organizations.ts';
import { lanesLeft, takeTurn } from './turn.ts';
import { type Job, WorkPool } from './work-pool.ts';

/** A listing that takes longer does not hold up the organizations that are known. */
const LISTING_PATIENCE_MS = 2_000;
/** Requests for each kind of detail per tick: they are the least urgent of all. */
const DETAILS_PER_TICK = 5;

export interface DaemonOptions {
  /** Between two ticks, in milliseconds: another replica's listing of the same tick is as good as an own one. */
  readonly tickMs: number;
  /** Aborts at once what is under way. */
  readonly signal: AbortSignal;
  /** True once no further page should be begun. */
  readonly stopping: () => boolean;
  /** Hears what made a tick or a turn fail as a whole: the database is away. The next tick tries again. */
  readonly onError: (error: unknown) => void;
}

export interface SyncForeverOptions extends DaemonOptions {
  /** Cron pattern with seconds. */
  readonly schedule: string;
}

export interface Syncing {
  /** Begins nothing new, and resolves when what is under way has ended. */
  stop(): Promise<void>;
}

/** The daemon: ticks by its schedule. Called by the verb `run`. */
export const syncForever = (context: SyncContext, options: SyncForeverOptions): Syncing => {
  const daemon = createDaemon(context, options);
  const scheduler = startScheduler(options.schedule, daemon.tick, options.onError);
  return {
    stop: async () => {
      daemon.clear();
      await scheduler.stop();
      daemon.clear();
      await daemon.idle();
    },
  };
};

export interface SyncDaemon {
  /** Lists, plans and hands the pool what is due. Rejects where the database fails. Ticks must not overlap. */
  tick(): Promise<void>;
  /** Drops what waits in the pool. */
  clear(): void;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

/**
 * At every tick one replica lists the organizations; each plans what is due, and its pool works it off. A tick replaces
 * what waits in the pool, so that live comes first again, and leaves alone what is under way.
 */
export const createDaemon = (context: SyncContext, options: DaemonOptions): SyncDaemon => {
  const { signal, stopping, onError } = options;
  const work = async (job: Job): Promise<readonly Lane[] | undefined> => {
    if (stopping()) return undefined;
    const result = await takeTurn(context, job, { signal, stopping });
    return stopping() ? undefined : lanesLeft(result);
  };
  const pool = new WorkPool(context.concurrency, work, onError, context.time.nowMs);
  let details: Promise<void> | undefined;
  const listing = createListing(context, options, () => {
    details ??= readDetails(context, signal)
      .catch(onError)
      .finally(() => {
        details = undefined;
      });
  });
  return {
    tick: async () => {
      const nowMs = await listing.nowMs();
      if (nowMs === undefined || stopping()) return;
      const { jobs } = await planJobs(context, nowMs, false);
      pool.refill(jobs);
    },
    clear: () => pool.clear(),
    idle: async () => {
      await Promise.all([listing.idle(), pool.idle()]);
      await details;
    },
  };
};

/** Keeps one listing under way. `afterwards` is called where this replica did it. */
const createListing = (context: SyncContext, options: DaemonOptions, afterwards: () => void) => {
  const { signal, stopping, onError, tickMs } = options;
  let underWay: Promise<void> | undefined;
  let learnedMs: number | undefined;
  const list = async (): Promise<void> => {
    try {
      const result = await discoverInTurn(context, tickMs / 2, signal);
      if ('serverTimeMs' in result) learnedMs = result.serverTimeMs;
      else if (!stopping()) afterwards();
    } catch (error) {
      // The observer has heard of what Cloudflare answered; the organizations known before are pulled.
      if (!(error instanceof ApiError)) onError(error);
    }
  };
  return {
    /** Begins a listing and gives it a moment; then Cloudflare's time, as far as it is known. */
    nowMs: async (): Promise<number | undefined> => {
      underWay ??= list().finally(() => {
        underWay = undefined;
      });
      // Before Cloudflare's first answer its time is not known, and nothing can be planned.
      if (context.api.nowMs() === undefined && learnedMs === undefined) await underWay;
      else await Promise.race([underWay, context.time.sleep(LISTING_PATIENCE_MS)]);
      return context.api.nowMs() ?? learnedMs;
    },
    idle: async () => await underWay,
  };
};

const readDetails = async (context: SyncContext, signal: AbortSignal): Promise<void> => {
  await findSubOrganizations(context, DETAILS_PER_TICK, signal);
  await readProfiles(context, DETAILS_PER_TICK, signal);
};
