import { type Lane, lanes } from '../planning/lanes.ts';

/** Of the requests, if every lane has work: as of the API budget (lane-intervals.ts). */
const SHARES: Record<Lane, number> = { live: 0.7, settle: 0.13, backfill: 0.12, scrub: 0.05 };
/**
 * How far a lane may fall behind a more urgent one, in requests by its share, before it has its turn. Within this bound the
 * live lane comes first, so that no lane starves.
 */
const MAX_LEAD = 50;

/**
 * Shares the requests among the lanes: if the live tails of all sources take longer than a tick (many sources, a small budget, a slow API), the
 * other lanes would else never have a turn. Within that, the more urgent lane comes first. A lane that has had no work for a while neither
 * saves up its share nor owes what it took meanwhile. Pure but for its own state. Used by the work pool.
 */
export class LaneShares {
  /** What each lane has taken, in requests by its share. */
  readonly #taken: Record<Lane, number> = { live: 0, settle: 0, backfill: 0, scrub: 0 };
  #atWork: readonly Lane[] = [];
  #now = 0;

  /**
   * The lane whose turn it is, of those whose work can begin; undefined if there is none. Counts a turn as begun, with one request. A lane
   * in `atWork` has work under way, or such that cannot begin yet: it keeps its claim.
   */
  next(ready: readonly Lane[], atWork: readonly Lane[] = ready): Lane | undefined {
    for (const lane of atWork) {
      if (!this.#atWork.includes(lane)) this.#taken[lane] = Math.max(this.#taken[lane], this.#now);
    }
    this.#atWork = atWork;
    const least = Math.min(...ready.map((lane) => this.#taken[lane]));
    const chosen = lanes.find((lane) => ready.includes(lane) && this.#taken[lane] <= least + MAX_LEAD);
    if (chosen === undefined) return undefined;
    this.#now = least;
    this.#taken[chosen] += 1 / SHARES[chosen];
    return chosen;
  }

  /** A turn of this lane has ended, and has made so many requests. */
  ended(lane: Lane, requests: number): void {
    this.#taken[lane] += (requests - 1) / SHARES[lane];
  }
}
