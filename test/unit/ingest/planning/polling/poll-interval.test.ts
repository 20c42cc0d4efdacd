import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  duePolls,
  longestPauseMs,
  type PolledSource,
  pollIntervals,
  pollsPerTick,
  spreadOf,
} from '../../../../../src/ingest/planning/poll-interval.ts';
import { forAll } from '../../../for-all.ts';

const EQUAL_MS = 2_380_952;
const perHour = fc.oneof(
  fc.constant(0),
  fc.double({ min: 0, max: 1, noNaN: true }),
  fc.double({ min: 0, max: 1e5, noNaN: true }),
);
const eventRate = fc.option(fc.record({ perHour, recentPerHour: perHour }), { nil: undefined, freq: 10 });
const polled = fc.record({
  spread: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  eventRate,
  readUntilMs: fc.oneof(
    fc.constant(Number.NEGATIVE_INFINITY),
    fc.double({ min: -3 * EQUAL_MS, max: 1_000, noNaN: true }),
  ),
  walking: fc.boolean(),
});
const many = fc.array(polled, { maxLength: 60 });
const budgets = fc.record({
  equalMs: fc.integer({ min: 0, max: 1e7 }),
  tickMs: fc.integer({ min: 1_000, max: 600_000 }),
});

test('pauses whatever is known: together hardly more than the budget, none longer than the bound', () =>
  forAll([many, budgets], property, (sources, by) => {
    const intervals = [...pollIntervals(sources, by)];
    for (const each of intervals) expect(each).toBeLessThanOrEqual(longestPauseMs(by));
    if (by.equalMs <= by.tickMs) return;
    for (const each of intervals) expect(each).toBeGreaterThanOrEqual(by.tickMs);
    const asksPerMs = intervals.reduce((sum, each) => sum + 1 / each, 0);
    // All at the ordinary longest pause, 0.985 turns, take 1.015 of it.
    expect(asksPerMs).toBeLessThanOrEqual(((sources.length * 1.016) / by.equalMs) * 1.001);
  }));

test('pauses more events never make a pause longer', () =>
  forAll(
    [many, fc.nat(), fc.double({ min: 0, max: 100, noNaN: true }), fc.boolean()],
    property,
    (sources, at, more, recently) => {
      const n = sources.length === 0 ? 0 : at % sources.length;
      const one = sources[n];
      if (one?.eventRate === undefined) return;
      const { eventRate } = one;
      const raised = {
        perHour: eventRate.perHour + (recently ? 0 : more),
        recentPerHour: eventRate.recentPerHour + more,
      };
      const before = pollIntervals(sources, budget)[n] ?? 0;
      const after = pollIntervals(sources.with(n, { ...one, eventRate: raised }), budget)[n] ?? 0;
      expect(after).toBeLessThanOrEqual(before * 1.001);
    },
  ));

test('pauses of two sources the one with more events never has the longer one', () =>
  forAll([fc.array(perHour, { minLength: 2, maxLength: 60 })], property, (rates) => {
    const ascending = rates.sort((a, b) => a - b);
    const intervals = [
      ...pollIntervals(
        ascending.map((each) => source(each)),
        budget,
      ),
    ];
    expect(intervals).toEqual([...intervals].sort((a, b) => b - a));
  }));

test('pauses where all are alike, all are asked equally often', () => {
  const intervals = pollIntervals(
    Array.from({ length: 500 }, () => source(2)),
    budget,
  );
  for (const each of intervals) expect(each / EQUAL_MS).toBeCloseTo(0.985, 3);
});

test('pauses go as 1/rate^0.6 between their bounds', () => {
  const rates = Array.from({ length: 1_000 }, (_, n) => (n < 970 ? 0.001 : [40, 90, 160][n % 3]) ?? 0);
  const sources = rates.map((each, n) => source(each, { id: `o${n}` }));
  const [a = 0, b = 0, c = 0] = [40, 90, 160].map((rate) => pollIntervals(sources, budget)[rates.indexOf(rate)]);
  expect(a / b).toBeCloseTo((90 / 40) ** 0.6, 1);
  expect(a / c).toBeCloseTo(4 ** 0.6, 1);
  expect(a).toBeLessThan(EQUAL_MS / 3);
});

test('pauses as many sources for longer than a turn up to forty minutes, and more of them where a turn takes longer', () => {
  const sources = Array.from({ length: 2_000 }, (_, n) => source(200 / (n + 1) ** 1.1, { id: `o${n}` }));
  const late = (equalMs: number): number =>
    pollIntervals(sources, { ...budget, equalMs }).filter((each) => each > equalMs).length;
  expect(late(1_200_000)).toBe(late(2_400_000));
  expect(late(28_800_000)).toBeGreaterThan(sources.length / 3);
});

test('pauses the same knowledge gives the same plan; sources that are alike are spread a little by their ids', () => {
  const rates = [...Array.from({ length: 200 }, () => 0.0001), 500];
  const sources = rates.map((each, n) => source(each, { id: `o${n}` }));
  expect(pollIntervals(sources, budget)).toEqual(pollIntervals(sources, budget));
  const silent = [...pollIntervals(sources, budget)].slice(0, 200);
  expect(new Set(silent).size).toBeGreaterThan(100);
  expect(Math.min(...silent) / Math.max(...silent)).toBeGreaterThan(0.95);
});

test('where the budget lets all be asked at every tick they are, whatever is known', () =>
  forAll([many], property, (sources) => {
    const small = { equalMs: 12_000, tickMs: TICK_MS };
    const ticked = sources.map((each) => ({ ...each, readUntilMs: LIVE_END_MS - TICK_MS }));
    expect(duePolls(ticked, small, LIVE_END_MS)).toHaveLength(sources.length);
    expect(pollsPerTick(sources.length, small)).toBe(sources.length);
  }));

describe('what is due', () => {
  test('is all whose pause is over, to the nearest tick; if a tick has leave for more, what comes next, but not in its first half', () =>
    forAll([many, budgets], property, (sources, by) => {
      const intervals = pollIntervals(sources, by);
      const due = new Map(duePolls(sources, by, LIVE_END_MS).map((each) => [each.source, each.dueAfterMs]));
      const isShort = by.equalMs > by.tickMs;
      const shares = sources.map((each, n) => {
        const unreadMs = LIVE_END_MS - each.readUntilMs;
        const isOver = each.walking || unreadMs >= (intervals[n] ?? 0) - (isShort ? by.tickMs / 2 : 0);
        return { isOver, isDue: due.has(each), share: unreadMs / (intervals[n] ?? 0) };
      });
      expect(shares.filter(({ isOver, isDue }) => isOver && !isDue)).toEqual([]);
      const early = shares.filter(({ isOver, isDue }) => isDue && !isOver).map(({ share }) => share);
      const left = shares.filter(({ isOver, isDue, share }) => !isOver && !isDue && share >= 0.5);
      const spare = isShort ? pollsPerTick(sources.length, by) - (due.size - early.length) : 0;
      expect(early).toHaveLength(Math.min(Math.max(0, spare), early.length + left.length));
      expect(Math.min(...early)).toBeGreaterThanOrEqual(Math.max(0.5, ...left.map(({ share }) => share)));
    }));

  test('comes by how overdue it is by its own pause: an open walk first, then what was never asked', () => {
    const silent = Array.from({ length: 300 }, (_, n) => source(0.0001, { id: `s${n}` }));
    const few = [
      source(0.0001, { id: 'silent, a little over', unreadMs: 2 * EQUAL_MS }),
      source(100, { id: 'busy, long over', unreadMs: EQUAL_MS }),
      source(0.0001, { id: 'new', eventRate: undefined, unreadMs: Number.POSITIVE_INFINITY }),
      source(0.0001, { id: 'walking', walking: true }),
      source(0.0001, { id: 'read just now' }),
    ];
    const ids = duePolls([...silent, ...few], budget, LIVE_END_MS).map((each) => each.source.id);
    expect(ids).toEqual(['walking', 'new', 'busy, long over', 'silent, a little over']);
  });

  test('at the bound a silent source is as urgent as any after twice its pause, and no more so after an outage', () => {
    const silent = Array.from({ length: 300 }, (_, n) => source(0.0001, { id: `s${n}` }));
    const busy = source(100, { id: 'busy' });
    const intervals = pollIntervals([...silent, busy], budget);
    const n = intervals.indexOf(Math.max(...intervals));
    const silentId = `s${n}`;
    const order = (silentUnreadMs: number, busyUnreadMs: number) => {
      const all = [
        ...silent.with(n, source(0.0001, { id: silentId, unreadMs: silentUnreadMs })),
        { ...busy, readUntilMs: LIVE_END_MS - busyUnreadMs },
      ];
      return duePolls(all, budget, LIVE_END_MS).map((each) => each.source.id);
    };
    const busyMs = intervals.at(-1) ?? 0;
    expect(order(2 * EQUAL_MS - 1_000, 1.5 * busyMs)).toEqual([silentId, 'busy']);
    expect(order(2 * EQUAL_MS, 2.1 * busyMs)).toEqual(['busy', silentId]);
    expect(order(3 * EQUAL_MS, 2.1 * busyMs)).toEqual(['busy', silentId]);
  });
});

const TICK_MS = 30_000;
const budget = { equalMs: EQUAL_MS, tickMs: TICK_MS };
const property = { seed: 1, numRuns: 300 };

/** Live tails end at 0: what is unread began so long before. */
const LIVE_END_MS = 0;

interface Named extends PolledSource {
  readonly id: string;
}

const source = (
  perHour: number,
  { id = 'o', unreadMs = 0, ...more }: Partial<Named & { unreadMs: number }> = {},
): Named => ({
  id,
  spread: spreadOf({ kind: 'organization', id }),
  eventRate: { perHour, recentPerHour: 0 },
  readUntilMs: LIVE_END_MS - unreadMs,
  walking: false,
  ...more,
});
