/** How often, at most, one source is asked in a lane. Milliseconds; 0: whenever there is something. */
export interface LaneIntervals {
  /** Of `laneIntervals`: if all are asked equally often. What each source gets of it is up to poll-interval.ts. */
  readonly liveMs: number;
  readonly settleMs: number;
}

const BUDGET_WINDOW_MS = 300_000;
/** What both leave is for history, the listing and profiles: nothing may starve. */
const LIVE_SHARE = 0.7;
const SETTLE_SHARE = 0.15;

/**
 * With many organizations, asking each at every tick would need more than the budget, and nothing else would ever be
 * read. So each lane has its share of the budget (requests per 5 minutes) and every source its turn in it. On the default
 * budget the live tail of 25 organizations may be asked for every 12 s, of 5,000 every 40 minutes, if all are asked equally often.
 */
export const laneIntervals = (sources: number, requestsPerWindow: number): LaneIntervals => {
  const wholeMs = (sources * BUDGET_WINDOW_MS) / requestsPerWindow;
  return { liveMs: Math.floor(wholeMs / LIVE_SHARE), settleMs: Math.floor(wholeMs / SETTLE_SHARE) };
};

/** For `sync` and `backfill`: they read everything without pauses. */
export const noIntervals: LaneIntervals = { liveMs: 0, settleMs: 0 };
