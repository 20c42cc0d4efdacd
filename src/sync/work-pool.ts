import { LaneShares } from '../domain/lane-shares.ts';
import type { PlanPolicy } from '../domain/planner.ts';
import type { SourceKey } from '../domain/source.ts';
import { type Lane, lanes } from '../domain/walk.ts';

/** A source that has something to do in a lane, as of Cloudflare's time `nowMs`. */
export interface Job {
  readonly source: SourceKey;
  readonly lane: Lane;
  readonly nowMs: number;
  readonly policy: PlanPolicy;
}

/** Takes one turn of a job; resolves with what is left to do. Rejects where the database fails or the signal aborts. */
export type Work = (job: Job) => Promise<Job | undefined>;

/**
 * Works off jobs with bounded concurrency, the most urgent lane first: live gaps before settle gaps before backfill, but
 * for the share of time that each lane has (lane-shares.ts). A source has at most one turn at a time. One that hangs keeps its place and nothing else (invariant 10).
 * After a fault (the database is away) what waits is dropped: the next plan brings it again.
 */
export class WorkPool {
  readonly #concurrency: number;
  readonly #work: Work;
  readonly #onFault: (error: unknown) => void;
  readonly #nowMs: () => number;
  readonly #shares = new LaneShares();
  readonly #waiting: Record<Lane, Job[]> = { live: [], settle: [], backfill: [] };
  readonly #inHand = new Set<string>();
  #idle = Promise.withResolvers<void>();

  /** `nowMs` never goes back. */
  constructor(concurrency: number, work: Work, onFault: (error: unknown) => void, nowMs: () => number) {
    this.#concurrency = concurrency;
    this.#work = work;
    this.#onFault = onFault;
    this.#nowMs = nowMs;
    this.#idle.resolve();
  }

  get waiting(): number {
    return lanes.reduce((sum, lane) => sum + this.#waiting[lane].length, 0);
  }

  /** Puts these jobs in place of what waits. Sources whose turn is under way are left to it. */
  refill(jobs: readonly Job[]): void {
    this.clear();
    for (const job of jobs) if (!this.#inHand.has(keyOf(job.source))) this.#waiting[job.lane].push(job);
    if (this.#inHand.size === 0 && this.waiting > 0) this.#idle = Promise.withResolvers<void>();
    this.#pump();
  }

  /** Drops what waits. What is under way goes on. */
  clear(): void {
    for (const lane of lanes) this.#waiting[lane] = [];
  }

  /** Resolves once nothing waits and nothing is under way. */
  idle(): Promise<void> {
    return this.#idle.promise;
  }

  #pump(): void {
    while (this.#inHand.size < this.#concurrency) {
      const lane = this.#shares.next(lanes.filter((each) => this.#waiting[each].length > 0));
      const job = lane && this.#waiting[lane].shift();
      if (job === undefined) break;
      void this.#start(job);
    }
    if (this.#inHand.size === 0) this.#idle.resolve();
  }

  async #start(job: Job): Promise<void> {
    const key = keyOf(job.source);
    this.#inHand.add(key);
    const beganAtMs = this.#nowMs();
    const countedMs = this.#shares.expectedMs(job.lane);
    try {
      const next = await this.#work(job);
      if (next !== undefined) this.#waiting[next.lane].push(next);
    } catch (error) {
      this.clear();
      this.#onFault(error);
    }
    this.#shares.ended(job.lane, this.#nowMs() - beganAtMs, countedMs);
    this.#inHand.delete(key);
    this.#pump();
  }
}

/** Names a source within this process. */
export const keyOf = (source: SourceKey): string => `${source.kind}/${source.id}`;
