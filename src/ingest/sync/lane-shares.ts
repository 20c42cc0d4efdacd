import { type Lane, lanes } from '../planning/lanes.ts';

/** Of the time that workers have, if every lane has work: as of the API budget (lane-intervals.ts). */
const SHARES: Record<Lane, number> = { live: 0.7, settle: 0.13, backfill: 0.12, scrub: 0.05 };
/**
 * How far a lane may fall behind a more urgent one, in time by its share, before it has its turn. Within this bound the
 * live lane comes first, so that no lane starves.
 */
const MAX_LEAD_MS = 10_000;
/** One turn that hangs must not cost its lane minutes. */
const MAX_CHARGED_MS = 10_000;

/**
 * Shares the workers among the lanes, fair by time: if the live tails of all sources take longer than a tick (many
 * sources, a slow API), the other lanes would else never have a turn. Within that, the more urgent lane comes first. A lane that has had no work for a while neither
 * saves up its share nor owes what it took meanwhile. Pure but for its own state. Used by the work pool.
 */
export class LaneShares {
  /** What each lane has taken, in milliseconds by its share, and what its last turn took. */
  readonly #taken: Record<Lane, number> = { live: 0, settle: 0, backfill: 0, scrub: 0 };
  readonly #lastMs: Record<Lane, number> = { live: 0, settle: 0, backfill: 0, scrub: 0 };
  #atWork: readonly Lane[] = [];
  #now = 0;

  /**
   * The lane whose turn it is, of those whose work can begin; undefined if there is none. Counts a turn as begun. A lane
   * in `atWork` has work under way, or such that cannot begin yet: it keeps its claim.
   */
  next(ready: readonly Lane[], atWork: readonly Lane[] = ready): Lane | undefined {
    for (const lane of atWork) {
      if (!this.#atWork.includes(lane)) this.#taken[lane] = Math.max(this.#taken[lane], this.#now);
    }
    this.#atWork = atWork;
    const leastMs = Math.min(...ready.map((lane) => this.#taken[lane]));
    const chosen = lanes.find((lane) => ready.includes(lane) && this.#taken[lane] <= leastMs + MAX_LEAD_MS);
    if (chosen === undefined) return undefined;
    this.#now = leastMs;
    this.#charge(chosen, this.#lastMs[chosen]);
    return chosen;
  }

  /** A turn of this lane has ended after so long. What it had been counted as beforehand is `countedMs`. */
  ended(lane: Lane, tookMs: number, countedMs: number): void {
    const chargedMs = Math.min(tookMs, MAX_CHARGED_MS);
    this.#charge(lane, chargedMs - countedMs);
    this.#lastMs[lane] = chargedMs;
  }

  /** What a turn of this lane that begins now is counted as until it ends. */
  expectedMs(lane: Lane): number {
    return this.#lastMs[lane];
  }

  #charge(lane: Lane, ms: number): void {
    this.#taken[lane] += ms / SHARES[lane];
  }
}
