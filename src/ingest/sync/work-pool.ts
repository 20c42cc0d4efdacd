import type { PlanPolicy } from '../planning/planner.ts';
import { keyOf, type SourceKey } from '../planning/source.ts';
import { type Lane, lanes } from '../planning/walk.ts';
import type { JobClock } from './ports.ts';

export interface Job {
  readonly source: SourceKey;
  readonly lane: Lane;
  readonly nowMs: number;
  readonly clock: JobClock;
  readonly policy: PlanPolicy;
}

export interface WorkLeft {
  /** As of the job's time; undefined: the source is left alone until the next plan. */
  readonly lanes: readonly Lane[] | undefined;
  /** Another turn of the same source may hang as well. */
  readonly timedOut: boolean;
  readonly requests: number;
}

/** Rejects if the database fails or the signal aborts. */
type Work = (job: Job) => Promise<WorkLeft>;

/** One quarter is kept for the live lane; sources that timed out last have no more than one. */
const QUARTERS = 4;

/**
 * If the live tails of all sources take longer than a tick, the other lanes would never have a turn. Within its share,
 * the more urgent lane comes first. A lane without work for a while neither saves up its share nor owes what it took
 * meanwhile.
 */
class LaneShares {
  /** Requests taken, by the lane's share. */
  readonly #taken: Record<Lane, number> = { live: 0, settle: 0, backfill: 0, scrub: 0 };
  #atWork: readonly Lane[] = [];
  #now = 0;

  /** The lane whose turn it is, of those in `ready`; it counts as one request. A lane in `atWork` has work under way,
   * or waiting for its source, and keeps its claim. */
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

  ended(lane: Lane, requests: number): void {
    this.#taken[lane] += (requests - 1) / SHARES[lane];
  }
}
/** Requests by the lane's share. Within this bound the more urgent lane comes first, so that no lane starves. */
const MAX_LEAD = 50;

const SHARES: Record<Lane, number> = { live: 0.7, settle: 0.13, backfill: 0.12, scrub: 0.05 };

/**
 * The most urgent lane first, within the share of each. A source waits in every lane in which it has work: else a tick
 * that comes before all live tails are read would bring it back to the live lane each time. It has one turn at a time.
 * One that hangs keeps its place and nothing else (invariant 10): sources that timed out last have a quarter of the
 * workers at most, and the other lanes leave a quarter to the live one. After a fault (the database is away) what waits
 * is dropped: the next plan brings it again.
 */
export class WorkPool {
  readonly #concurrency: number;
  readonly #work: Work;
  readonly #onFault: (error: unknown) => void;
  readonly #shares = new LaneShares();
  readonly #waiting: Record<Lane, Map<string, Job>> = {
    live: new Map(),
    settle: new Map(),
    backfill: new Map(),
    scrub: new Map(),
  };
  readonly #inHand = new Map<string, Lane>();
  readonly #timedOut = new Set<string>();
  #idle = Promise.withResolvers<void>();

  constructor(concurrency: number, work: Work, onFault: (error: unknown) => void) {
    this.#concurrency = concurrency;
    this.#work = work;
    this.#onFault = onFault;
    this.#idle.resolve();
  }

  get waiting(): number {
    return lanes.reduce((sum, lane) => sum + this.#waiting[lane].size, 0);
  }

  /** What is under way goes on, and is not begun a second time. */
  refill(jobs: readonly Job[]): void {
    this.clear();
    for (const job of jobs) {
      const key = keyOf(job.source);
      if (this.#inHand.get(key) !== job.lane) this.#waiting[job.lane].set(key, job);
    }
    if (this.#inHand.size === 0 && this.waiting > 0) this.#idle = Promise.withResolvers<void>();
    this.#pump();
  }

  /** Its lane has rested. Nothing changes if it waits already, or its source is under way. */
  add(job: Job): void {
    const key = keyOf(job.source);
    if (this.#inHand.has(key) || this.#waiting[job.lane].has(key)) return;
    if (this.#inHand.size === 0 && this.waiting === 0) this.#idle = Promise.withResolvers<void>();
    this.#waiting[job.lane].set(key, job);
    this.#pump();
  }

  clear(): void {
    for (const lane of lanes) this.#waiting[lane].clear();
  }

  idle(): Promise<void> {
    return this.#idle.promise;
  }

  #pump(): void {
    while (this.#inHand.size < this.#concurrency) {
      const job = this.#next();
      if (job === undefined) break;
      void this.#start(job);
    }
    if (this.#inHand.size === 0) this.#idle.resolve();
  }

  /** A lane whose sources all have turns under way, in it or in others, keeps its claim. */
  #next(): Job | undefined {
    const ready = new Map<Lane, Job>();
    const quarter = Math.max(1, Math.floor(this.#concurrency / QUARTERS));
    const slowIsFull = this.#countInHand((key) => this.#timedOut.has(key)) >= quarter;
    const othersAreFull =
      this.#concurrency > 1 && this.#countInHand((_, lane) => lane !== 'live') >= this.#concurrency - quarter;
    for (const lane of lanes) {
      if (lane !== 'live' && othersAreFull) continue;
      for (const [key, job] of this.#waiting[lane]) {
        if (this.#inHand.has(key) || (slowIsFull && this.#timedOut.has(key))) continue;
        ready.set(lane, job);
        break;
      }
    }
    const inHand = new Set(this.#inHand.values());
    const atWork = lanes.filter((lane) => inHand.has(lane) || this.#waiting[lane].size > 0);
    const lane = this.#shares.next([...ready.keys()], atWork);
    return lane && ready.get(lane);
  }

  #countInHand(counts: (key: string, lane: Lane) => boolean): number {
    let count = 0;
    for (const [key, lane] of this.#inHand) if (counts(key, lane)) count += 1;
    return count;
  }

  async #start(job: Job): Promise<void> {
    const key = keyOf(job.source);
    this.#waiting[job.lane].delete(key);
    this.#inHand.set(key, job.lane);
    try {
      const { lanes: left, timedOut, requests } = await this.#work(job);
      this.#shares.ended(job.lane, requests);
      if (timedOut) this.#timedOut.add(key);
      else this.#timedOut.delete(key);
      this.#afterTurn(key, job, left);
    } catch (error) {
      this.clear();
      this.#onFault(error);
    }
    this.#inHand.delete(key);
    this.#pump();
  }

  #afterTurn(key: string, job: Job, left: readonly Lane[] | undefined): void {
    for (const lane of lanes) {
      // Each turn of this lane is one that the plan has leave for, whatever its source does in the others.
      if (lane === 'scrub' && left !== undefined) continue;
      const waiting = this.#waiting[lane].get(key);
      if (left?.includes(lane)) {
        if (waiting === undefined) this.#waiting[lane].set(key, { ...job, lane });
      } else if (left === undefined || waiting?.nowMs === job.nowMs) {
        // What a later plan has brought stays.
        this.#waiting[lane].delete(key);
      }
    }
  }
}
