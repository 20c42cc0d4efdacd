import { Cron } from 'croner';
import { ApiError } from '../../base/errors.ts';
import { discoverInTurn, findSubOrganizations, readProfiles } from './discovery/discover.ts';
import { discoverAccounts } from './discovery/discover-accounts.ts';
import { type JobPlan, planJobs } from './plan-jobs.ts';
import { type PlanningTime, planningTime, type SyncContext } from './ports.ts';
import type { TurnOptions } from './run/page-exchange.ts';
import { type TurnResult, takeTurn } from './run/run-source.ts';
import { RememberedSources } from './source-cache.ts';
import { type Job, type WorkLeft, WorkPool } from './work-pool.ts';

/** A lane with a shorter rest goes on by itself; the others wait for a tick. */
const SHORT_REST_MS = 10_000;
/** How often what a long listing has brought is planned. */
const PLAN_FOUND_MS = 5_000;
/** Organizations to ask about after a listing, for each kind of detail: nothing is less urgent. */
const DETAILS_AT_ONCE = 5;

interface DaemonOptions extends TurnOptions {
  /** Another replica's listing in the same tick counts as this one's. */
  readonly tickMs: number;
  /** The database is away: the next tick tries again. */
  readonly onError: (error: unknown) => void;
  readonly onTurn?: (job: Job, result: TurnResult) => void;
}

export type SyncDaemon = ReturnType<typeof createDaemon>;

/**
 * One replica lists organizations and accounts, at every tick or less often if that takes too much of the budget; each
 * plans what is due, and its pool works it off. A tick replaces what waits in the pool, so that live comes first again.
 * Pulling never waits for the listing, unless nothing is known yet.
 */
export const createDaemon = (context: SyncContext, options: DaemonOptions) => {
  const { signal, stopping, onError } = options;
  let rests = new AbortController();
  /** A lane that rests for a short time need not wait for a tick. */
  const again = (job: Job, restMs: number): void => {
    if (!ticking) return;
    context.time.sleep(restMs, AbortSignal.any([signal, rests.signal])).then(
      () => pool.add(job),
      () => {},
    );
  };
  let ticking = false;
  const work = async (job: Job): Promise<WorkLeft> => {
    if (stopping()) return { lanes: undefined, timedOut: false, requests: 0 };
    const result = await takeTurn(context, job, { signal, stopping });
    options.onTurn?.(job, result);
    const timedOut = result.kind === 'failed' && result.timedOut;
    const soon = result.kind === 'failed' && !result.lasting && result.backoffMs <= SHORT_REST_MS;
    if (soon && job.lane !== 'scrub') again(job, result.backoffMs);
    return { lanes: stopping() ? undefined : remainingLanes(result), timedOut, requests: result.requests };
  };
  const pool = new WorkPool(context.concurrency, work, onError);
  const remembered = new RememberedSources();
  const plan = async (): Promise<void> => {
    const time = await planningTime(context);
    if (time === undefined || stopping()) return;
    const { jobs } = await planJobs(context, time, false, remembered);
    if (!stopping()) pool.refill(jobs);
  };
  const accounts = createAccountListing(context, options, plan);
  const listing = createListing(context, options, async () => {
    void accounts.begin();
    await plan();
  });
  return {
    /** Begins a listing unless one is under way, and plans. Rejects if the database fails. Ticks must not overlap. */
    tick: async (): Promise<void> => {
      ticking = true;
      const organizationsListed = listing.begin();
      void accounts.begin();
      if ((await planningTime(context)) === undefined) await organizationsListed;
      await plan();
    },
    /** Plans all that is left as of a given time, without a listing, but for what `skip` names. */
    workOff: async (time: PlanningTime, skip: (job: Job) => boolean): Promise<JobPlan> => {
      const all = await planJobs(context, time, true, remembered);
      const jobs = all.jobs.filter((job) => !skip(job));
      if (!stopping()) pool.refill(jobs);
      return { ...all, jobs };
    },
    clear: (): void => {
      ticking = false;
      rests.abort();
      rests = new AbortController();
      pool.clear();
    },
    idle: async (): Promise<void> => {
      await listing.idle();
      await accounts.idle();
      await pool.idle();
    },
  };
};

const remainingLanes = (result: TurnResult): WorkLeft['lanes'] =>
  result.kind === 'idle' ? [] : result.kind === 'held' ? undefined : result.lanes;

/** Keeps one listing of organizations under way; what it finds is planned at once. */
const createListing = (context: SyncContext, options: DaemonOptions, found: () => Promise<void>) => {
  const { signal, stopping, onError, tickMs } = options;
  const details = single(() => readDetails(context, signal).catch(onError));
  const listing = single(async () => {
    try {
      const paceMs = context.discoveryPace.organizationsMs(context.organizationListing.requests);
      const result = await discoverInTurn(context, paceMs <= tickMs ? tickMs / 2 : paceMs, signal);
      if (!('appeared' in result) || stopping()) return;
      if (result.appeared > 0) await found();
      void details.begin();
    } catch (error) {
      // The observer has heard of what Cloudflare answered; the organizations known before are pulled.
      if (!(error instanceof ApiError)) onError(error);
    }
  });
  return both(listing, details);
};

/** Keeps the listings of accounts under way while some are due; what a page of them brings is planned within seconds. */
const createAccountListing = (context: SyncContext, options: DaemonOptions, plan: () => Promise<void>) => {
  const { signal, stopping, onError, tickMs } = options;
  const { time } = context;
  let plannedAtMs = Number.NEGATIVE_INFINITY;
  const planning = single(async () => {
    try {
      await time.sleep(Math.max(0, plannedAtMs + PLAN_FOUND_MS - time.nowMs()), signal);
      plannedAtMs = time.nowMs();
      if (!stopping()) await plan();
    } catch (error) {
      if (!signal.aborted) onError(error);
    }
  });
  const listing = single(async () => {
    try {
      for (let more = true; more && !stopping(); )
        ({ more } = await discoverAccounts(context, signal, { forMs: tickMs, found: planning.begin }));
    } catch (error) {
      if (!(error instanceof ApiError)) onError(error);
    }
  });
  return both(listing, planning);
};

/** Runs one at a time: a call during a run joins it. */
const single = (work: () => Promise<void>) => {
  let underWay: Promise<void> | undefined;
  return {
    begin: (): Promise<void> => {
      underWay ??= work().finally(() => {
        underWay = undefined;
      });
      return underWay;
    },
    idle: async (): Promise<void> => await underWay,
  };
};

/** The first, which may begin the second. */
const both = ({ begin, idle }: ReturnType<typeof single>, second: ReturnType<typeof single>) => ({
  begin,
  idle: async (): Promise<void> => {
    await idle();
    await second.idle();
  },
});

const readDetails = async (context: SyncContext, signal: AbortSignal): Promise<void> => {
  const { organizationListing: listing, discoveryPace, time } = context;
  if (time.nowMs() < listing.detailsAfterMs) return;
  await findSubOrganizations(context, DETAILS_AT_ONCE, signal);
  await readProfiles(context, DETAILS_AT_ONCE, signal);
  listing.detailsAfterMs = time.nowMs() + discoveryPace.detailsMs(2 * DETAILS_AT_ONCE, listing.organizations);
};

/** `schedule`: a cron pattern with seconds. */
export const syncForever = (context: SyncContext, options: DaemonOptions & { readonly schedule: string }) => {
  const daemon = createDaemon(context, options);
  const scheduler = startScheduler(options.schedule, daemon.tick, options.onError);
  return {
    stop: async (): Promise<void> => {
      daemon.clear();
      await scheduler.stop();
      daemon.clear();
      await daemon.idle();
    },
  };
};

/** The first tick comes at once. One that comes due while another is under way is left out; one that fails is retried
 * by the next. */
export const startScheduler = (schedule: string, tick: () => Promise<void>, onError: (error: unknown) => void) => {
  const { begin, idle } = single(() => tick().catch(onError));
  const job = new Cron(schedule, begin);
  void begin();
  return {
    stop: async (): Promise<void> => {
      job.stop();
      await idle();
    },
  };
};

export const tickIntervalMs = (schedule: string): number | undefined => {
  try {
    const job = new Cron(schedule, { paused: true });
    const [first, second] = job.nextRuns(2);
    job.stop();
    return first === undefined || second === undefined ? undefined : second.getTime() - first.getTime();
  } catch {
    return undefined;
  }
};
