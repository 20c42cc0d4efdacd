import { type EventRate, expectedPerHour, type SourceKey } from './source.ts';

export interface PolledSource {
  readonly eventRate: EventRate | undefined;
  /** The end of what has been read of its live tail; `-Infinity` if it was never read. */
  readonly readUntilMs: number;
  readonly walking: boolean;
  /** Tells sources apart that are alike: `spreadOf` it. */
  readonly spread: number;
}

export interface PollBudget {
  /** How often the budget lets each source be polled, if all are polled equally often. */
  readonly equalMs: number;
  readonly tickMs: number;
}

export interface DuePoll<T> {
  readonly source: T;
  readonly dueAfterMs: number;
}

/** The longest pause, in turns of asking all equally often. Pauses are planned a little shorter: what is due may have to wait. */
const MAX_TURNS = 2;
const PLANNED_LONGEST_TURNS = 1.9;
/** Share of expected events that may be delayed beyond round-robin polling: small enough that p99 latency, including
 * sources that suddenly wake up, is no worse than with round-robin. */
const LATE_SHARE = 0.001;
/** Where a turn takes longer than that, the share grows: there the mean counts, and most sources are silent. */
const LATE_SHARE_TURN_MS = 2_400_000;
const LATE_SHARE_GROWTH = 1.5;
/** All others, in turns: rounded to a tick, still sooner than the slowest hundredth of asking all equally often. */
const ORDINARY_LONGEST_TURNS = 0.985;
/** Pauses go as 1/rate to this power: 1/2 makes the mean delay of events least; a little more, their median, in uneven worlds. */
const STEEPNESS = 0.6;
/** Planned for the budget and so much of it: what is due comes in fits. */
const PLANNED_BUDGET = 1.01;
/** In a source's own pauses: no poll is made before, however much leave a tick has. */
const EARLIEST = 0.5;
/** Pauses are shorter by up to so much, by the source's id. */
const JITTER = 0.02;
const MIN_MS = 1_000;
const HALVINGS = 16;

/** No source is left unasked for longer, give or take a tick. Milliseconds. */
export const longestPauseMs = ({ equalMs, tickMs }: PollBudget): number =>
  equalMs <= tickMs ? Math.max(equalMs, tickMs) : MAX_TURNS * equalMs;

export const pollsPerTick = (sources: number, { equalMs, tickMs }: PollBudget): number =>
  equalMs <= tickMs ? sources : Math.ceil((sources * tickMs) / equalMs);

/**
 * If the budget allows it, all are polled at every tick. Else the more events, the shorter the pause; none is longer
 * than polling in turn would make it, but for the most silent sources. All together take hardly more than the budget:
 * the most overdue comes first.
 */
export const pollIntervals = (sources: readonly PolledSource[], budget: PollBudget): Float64Array => {
  const { equalMs, tickMs } = budget;
  if (equalMs <= tickMs || sources.length === 0) return new Float64Array(sources.length).fill(equalMs);
  const expected = expectedPerHour(sources.map(({ eventRate }) => eventRate));
  const spread = Float64Array.from(sources, (source) => 1 - JITTER * source.spread);
  // Break ties among equally quiet sources so that some can exceed the bound.
  const ranked = expected.map((perHour, n) => perHour / (spread[n] ?? 1));
  const silentBelow = silenceOf(ranked, LATE_SHARE * Math.max(1, equalMs / LATE_SHARE_TURN_MS) ** LATE_SHARE_GROWTH);
  const wanted = expected.map((perHour, n) => (spread[n] ?? 1) / perHour ** STEEPNESS);
  const shortestMs = Math.max(tickMs, MIN_MS);
  const longest = ranked.map((perHour, n) => {
    const turns = perHour < silentBelow ? PLANNED_LONGEST_TURNS * (spread[n] ?? 1) : ORDINARY_LONGEST_TURNS;
    return Math.max(shortestMs, turns * equalMs);
  });
  return scaled(wanted, longest, shortestMs, (PLANNED_BUDGET * sources.length) / equalMs);
};

/** The most overdue by their own pause first, then, if a tick has leave for more, those that are due next.
 * `liveEndMs`: up to where they could be read now. `leave`: polls. */
export const duePolls = <T extends PolledSource>(
  sources: readonly T[],
  budget: PollBudget,
  liveEndMs: number,
  leave = pollsPerTick(sources.length, budget),
): readonly DuePoll<T>[] => {
  const intervals = pollIntervals(sources, budget);
  const isShort = budget.equalMs > budget.tickMs;
  // To the nearest tick: on average a pause is as long as it should be.
  const roundingMs = isShort ? budget.tickMs / 2 : 0;
  const boundMs = longestPauseMs(budget);
  const due: Candidate<T>[] = [];
  const early: Candidate<T>[] = [];
  sources.forEach((source, n) => {
    const intervalMs = intervals[n] ?? 0;
    const dueAfterMs = intervalMs - roundingMs;
    const unreadMs = liveEndMs - source.readUntilMs;
    if (source.walking) due.push({ source, dueAfterMs, overdue: Number.POSITIVE_INFINITY });
    else if (unreadMs >= dueAfterMs) due.push({ source, dueAfterMs, overdue: urgency(unreadMs, intervalMs, boundMs) });
    else if (isShort && unreadMs >= EARLIEST * intervalMs)
      early.push({ source, dueAfterMs: unreadMs, overdue: unreadMs / intervalMs });
  });
  const spare = isShort ? Math.max(0, leave - due.length) : 0;
  return [...due.sort(mostOverdueFirst), ...(spare === 0 ? [] : early.sort(mostOverdueFirst).slice(0, spare))];
};

interface Candidate<T> extends DuePoll<T> {
  readonly overdue: number;
}

const mostOverdueFirst = (a: Candidate<unknown>, b: Candidate<unknown>): number =>
  a.overdue === b.overdue ? 0 : b.overdue - a.overdue;

/** 1 when due, 2 after twice its pause. One that nears the bound is kept when more is due than can be asked; no further
 * by that, since after an outage all are beyond it. */
const urgency = (unreadMs: number, intervalMs: number, boundMs: number): number => {
  const byPause = unreadMs / Math.max(1, intervalMs);
  const byBound = Math.min(2, 1 + (unreadMs - intervalMs) / Math.max(1, boundMs - intervalMs));
  return Math.min(Number.MAX_VALUE, Math.max(byPause, byBound));
};

/** Silent sources have a lower rate: together they have so few events that these may wait. */
const silenceOf = (expected: Float64Array, lateShare: number): number => {
  const ascending = expected.slice().sort();
  let whole = 0;
  for (const perHour of ascending) whole += perHour;
  let left = (lateShare / (1 - 1 / MAX_TURNS)) * whole;
  for (const perHour of ascending) {
    left -= perHour;
    if (left < 0) return perHour;
  }
  return Number.POSITIVE_INFINITY;
};

/** The pauses times the one number with which all polls together take `asksPerMs`, within their bounds. */
const scaled = (wanted: Float64Array, longest: Float64Array, shortestMs: number, asksPerMs: number): Float64Array => {
  const at = (scale: number, n: number): number =>
    Math.min(longest[n] ?? 0, Math.max(shortestMs, scale * (wanted[n] ?? 0)));
  let low = Math.log(shortestMs / wanted.reduce((a, b) => Math.max(a, b), 0));
  let high = Math.log(longest.reduce((a, b) => Math.max(a, b), 0) / wanted.reduce((a, b) => Math.min(a, b)));
  for (let halving = 0; halving < HALVINGS; halving += 1) {
    const middle = (low + high) / 2;
    const scale = Math.exp(middle);
    let asks = 0;
    for (let n = 0; n < wanted.length; n += 1) asks += 1 / at(scale, n);
    if (asks > asksPerMs) low = middle;
    else high = middle;
  }
  const scale = Math.exp(high);
  return wanted.map((_, n) => at(scale, n));
};

/** Depends on the key alone (FNV-1a): the same for every process. In [0, 1). */
export const spreadOf = ({ kind, id }: SourceKey): number => {
  const key = `${kind}/${id}`;
  let hash = 0x811c9dc5;
  for (let n = 0; n < key.length; n += 1) hash = Math.imul(hash ^ key.charCodeAt(n), 0x01000193);
  return (hash >>> 0) / 0x1_0000_0000;
};
