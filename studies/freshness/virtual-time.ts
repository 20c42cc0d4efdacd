import type { Coverage } from '../../src/ingest/planning/coverage.ts';
import { type PlanPolicy, planLanes } from '../../src/ingest/planning/planner.ts';
import { spreadOf } from '../../src/ingest/planning/poll-interval.ts';
import { type EventRate, historyObservationOf, observationOf, observed } from '../../src/ingest/planning/source.ts';
import { afterPage, OVERLAP_MS } from '../../src/ingest/planning/walk.ts';
import type { Arrivals } from './arrivals.ts';

const DAY_MS = 86_400_000;
const PAGE_LIMIT = 1_000;

/** Virtual time 0, so that what lies before it can be asked for, too. */
const START_MS = Date.UTC(2026, 0, 1);

interface PolledOrganization {
  readonly id: string;
  readonly spread: number;
  readonly times: Float64Array;
  /** When its history begins. */
  readonly horizonMs: number;
  readonly walking: false;
  eventRate: EventRate | undefined;
  unreadMs: number;
  readUntilMs: number;
  /** When it was last asked; before that, since when it is listed. */
  askedAtMs: number;
  /** The first of its times that has not been read. */
  next: number;
}

/** What one policy came to, after the warm-up. */
export interface Outcome {
  /** From the event to the request that brought it, ascending. */
  readonly lagsMs: Float64Array;
  readonly requests: number;
  /** Requests that brought nothing. */
  readonly empty: number;
  readonly longestUnaskedMs: number;
}

interface Run {
  readonly arrivals: Arrivals;
  readonly tickMs: number;
  /** Requests that the live lane may send between two ticks. */
  readonly perTick: number;
  /** What happens before is not counted. */
  readonly warmUpMs: number;
}

/** The organizations to ask at a tick, the most urgent first, with what must be unread (the planner's `liveMs`). */
export type Choose = (
  listed: readonly PolledOrganization[],
  nowMs: number,
) => readonly { readonly source: PolledOrganization; readonly dueAfterMs: number }[];

/** Ticks in virtual time: at each the policy chooses, and until the next one as many are asked as the budget has requests. */
export const runTicks = (run: Run, choose: Choose): Outcome => {
  const { arrivals, tickMs, perTick } = run;
  const tally = new Tally(run.warmUpMs);
  // Without a history the day before is asked for, and empty.
  const horizonMs = START_MS - (arrivals.startMs === 0 ? DAY_MS : 0);
  const organizations = arrivals.times.map((times, index) =>
    newOrganization(times, index, arrivals.appearsMs[index] ?? 0, horizonMs),
  );
  const later = [...organizations].sort((a, b) => b.askedAtMs - a.askedAtMs);
  const listed: PolledOrganization[] = [];
  let credit = 0;
  for (let nowMs = arrivals.startMs; nowMs < arrivals.endMs; nowMs += tickMs) {
    for (let one = later.at(-1); one !== undefined && one.askedAtMs <= nowMs; one = later.at(-1)) {
      listed.push(one);
      later.pop();
    }
    for (const one of listed) one.unreadMs = nowMs - OVERLAP_MS - one.readUntilMs;
    // What a long answer took too much is missing from the next tick; what was left is not saved up.
    credit = Math.min(credit, 0) + perTick;
    const whole = credit;
    for (const { source, dueAfterMs } of choose(listed, nowMs)) {
      if (credit <= 0) break;
      credit -= ask(source, nowMs, nowMs + tickMs * (1 - credit / whole), dueAfterMs, tally);
    }
  }
  return tally.outcome();
};

/** Reads the live tail as the daemon does: the planner's walk, the estimate after it. Returns how many requests it took. */
const ask = (one: PolledOrganization, nowMs: number, atMs: number, dueAfterMs: number, tally: Tally): number => {
  const progress = { coverage: [coverageOf(one)], lanes: {}, holes: [], largestPage: PAGE_LIMIT };
  const plan = planLanes(progress, START_MS + nowMs, policyOf(dueAfterMs, one.horizonMs)).find(
    ({ lane }) => lane === 'live',
  );
  if (plan === undefined) throw new Error(`the planner has nothing to ask ${one.id} for`);
  const untilMs = plan.claim.toMs - START_MS;
  const found: number[] = [];
  for (let t = one.times[one.next]; t !== undefined && t < untilMs; t = one.times[one.next]) {
    found.push(t);
    one.next += 1;
  }
  const timesMs = found.map((t) => START_MS + t);
  // As one page, however many it takes: their number only counts.
  const { walk } = afterPage(plan, { entries: 0, timesMs, nextCursor: undefined }, PAGE_LIMIT);
  one.eventRate = observed(one.eventRate, observationOf(walk));
  if (progress.coverage[0]?.length === 0) {
    // The daemon reads the history right behind it.
    const claim = { fromMs: one.horizonMs, toMs: plan.claim.fromMs };
    const claimEntries = timesMs.filter((timeMs) => timeMs < claim.toMs).length;
    one.eventRate = observed(one.eventRate, historyObservationOf({ claim, claimEntries }));
  }
  const requests = Math.max(1, Math.ceil(found.length / PAGE_LIMIT));
  tally.asked(nowMs, requests, found.length);
  tally.pause(nowMs, atMs - one.askedAtMs);
  for (const t of found) tally.lag(t, atMs - t);
  one.readUntilMs = untilMs;
  one.askedAtMs = atMs;
  return requests;
};

const policyOf = (liveMs: number, horizonMs: number): PlanPolicy => ({
  horizonMs,
  settleDelaysMs: [],
  intervals: { liveMs, settleMs: 0 },
});

const coverageOf = ({ readUntilMs, horizonMs }: PolledOrganization): Coverage =>
  readUntilMs === Number.NEGATIVE_INFINITY ? [] : [{ fromMs: horizonMs, toMs: START_MS + readUntilMs }];

const newOrganization = (
  times: Float64Array,
  index: number,
  appearsMs: number,
  horizonMs: number,
): PolledOrganization => ({
  id: `organization-${index}`,
  spread: spreadOf({ kind: 'organization', id: `organization-${index}` }),
  times,
  horizonMs,
  walking: false,
  eventRate: undefined,
  unreadMs: Number.POSITIVE_INFINITY,
  readUntilMs: Number.NEGATIVE_INFINITY,
  askedAtMs: appearsMs,
  next: 0,
});

/** Counts what happens after the warm-up. */
class Tally {
  readonly #fromMs: number;
  readonly #lagsMs: number[] = [];
  #requests = 0;
  #empty = 0;
  #longestUnaskedMs = 0;

  constructor(warmUpMs: number) {
    this.#fromMs = warmUpMs;
  }

  asked(nowMs: number, requests: number, found: number): void {
    if (nowMs < this.#fromMs) return;
    this.#requests += requests;
    if (found === 0) this.#empty += 1;
  }

  pause(nowMs: number, pausedMs: number): void {
    if (nowMs >= this.#fromMs) this.#longestUnaskedMs = Math.max(this.#longestUnaskedMs, pausedMs);
  }

  lag(eventMs: number, lagMs: number): void {
    if (eventMs >= this.#fromMs) this.#lagsMs.push(lagMs);
  }

  outcome(): Outcome {
    const lagsMs = Float64Array.from(this.#lagsMs).sort();
    return { lagsMs, requests: this.#requests, empty: this.#empty, longestUnaskedMs: this.#longestUnaskedMs };
  }
}

export const percentile = (ascending: Float64Array, share: number): number =>
  ascending[Math.min(ascending.length - 1, Math.floor(share * ascending.length))] ?? 0;
