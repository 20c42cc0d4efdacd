import { expect, it, test } from 'vitest';
import { conditionsOf, readNewest, type TimeSlice } from '../../../src/search/conditions/search-conditions.sql.ts';
import type { EventQuery } from '../../../src/search/query/event-query.ts';
import type { SearchCursor } from '../../../src/search/query/search.ts';

// What comes out of PostgreSQL is tested in search-pieces.test.ts, but only version 17 goes wrong where these do not hold.
it('the conditions of a search have a cursor as the only upper bound that an index can use', () => {
  const parts = partsOf({ since: early, before: late }, cursorOf('older'), { low: early, high: undefined });
  expect(parts).toEqual([
    'action_time >= $1::timestamptz',
    'action_time >= $2::timestamptz',
    '(action_time < $3::timestamptz) is true',
    'action_time <= $4::timestamptz',
    '(action_time, position) < ($4::timestamptz, $5::bigint)',
  ]);
});

it('the conditions of a search leave the cursor out where the piece lies behind it', () => {
  const upper = ['action_time < $1::timestamptz', 'action_time < $2::timestamptz'];
  expect(partsOf({ before: late }, cursorOf('older'), { low: undefined, high: early })).toEqual(upper);
  expect(partsOf({ before: late }, undefined, { low: undefined, high: early })).toEqual(upper);
  const lower = ['action_time >= $1::timestamptz', 'action_time >= $2::timestamptz'];
  expect(partsOf({ since: early }, cursorOf('newer'), { low: late, high: undefined })).toEqual(lower);
});

it('the conditions of a search have the bounds of the time beside a cursor that goes up', () =>
  expect(partsOf({ since: early, before: late }, cursorOf('newer'), allTime)).toEqual([
    'action_time >= $1::timestamptz',
    'action_time < $2::timestamptz',
    'action_time >= $3::timestamptz',
    '(action_time, position) > ($3::timestamptz, $4::bigint)',
  ]));

const DAY_MS = 86_400_000;
const nowMs = Date.parse('2026-11-01T00:00:00Z');
const query = (days: number | undefined): EventQuery => ({
  since: days === undefined ? undefined : new Date(nowMs - days * DAY_MS).toISOString(),
  before: new Date(nowMs).toISOString(),
  defects: false,
  changed: false,
});

/** Reads events that happened so many milliseconds before now, and says which parts were read, in days. */
const readOf = async (
  agesMs: readonly number[],
  days: number | undefined,
  wanted: number,
  isInTime = (_: number) => true,
) => {
  const parts: (number | 'all')[] = [];
  const read = async ({ low }: TimeSlice) => {
    const spanMs = low === undefined ? Number.POSITIVE_INFINITY : nowMs - Date.parse(low);
    parts.push(low === undefined ? 'all' : spanMs / DAY_MS);
    if (!isInTime(spanMs / DAY_MS)) return undefined;
    return [...agesMs]
      .sort((a, b) => a - b)
      .filter((age) => age <= spanMs)
      .slice(0, wanted);
  };
  const remainingMs = () => (parts.length < 12 ? 1_000 : 0);
  const found = await readNewest(query(days), { wanted, nowMs, remainingMs }, read, (answer) => answer.length);
  return { parts, found: found?.answer, isWhole: found?.isWhole };
};
const evenly = (count: number, days: number) =>
  Array.from({ length: count }, (_, n) => ((n + 0.5) * days * DAY_MS) / count);

test('of many events the end of the time is enough', async () => {
  const { parts, found } = await readOf(evenly(160_000, 80), 80, 5_000);
  expect(parts).toEqual([5]);
  expect(found).toHaveLength(5_000);
});

test('what has too few of them is followed by a part that has enough', async () => {
  const { parts } = await readOf(evenly(16_000, 80), 80, 2_000);
  expect(parts).toEqual([5, 12.5]);
});

test('few events are read in all of the time at the second look', async () => {
  for (const count of [0, 1, 7, 40]) expect((await readOf(evenly(count, 80), 80, 2_000)).parts).toEqual([5, 'all']);
});

test('a short time is read at once, and a time without a beginning by its last week first', async () => {
  expect((await readOf(evenly(100, 1), 1, 10)).parts).toEqual(['all']);
  expect((await readOf(evenly(100_000, 800), undefined, 500)).parts).toEqual([7]);
});

test('a time that has not begun is read at once', async () => {
  for (const days of [0, -0.01, -3, -30_000]) expect((await readOf([], days, 10)).parts).toEqual(['all']);
});

test('a part that takes too long is followed by a shorter one, and its answer is what there is', async () => {
  const slow = await readOf(evenly(160_000, 80), 80, 90_000, (days) => days < 1);
  expect(slow.parts).toEqual([5, 0.625, 'all']);
  expect([slow.found?.length, slow.isWhole]).toEqual([1_250, false]);
  expect(await readOf(evenly(10, 1), 1, 90, (days) => days <= 0.125)).toMatchObject({
    parts: ['all', 0.125, expect.anything()],
  });
  const never = await readOf(evenly(10, 80), 80, 90, () => false);
  expect([never.found, never.parts.length]).toEqual([undefined, 12]);
});

test('whatever the events, the newest ones are found, by few looks', async () => {
  let seed = 4_711;
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed / 2_147_483_648;
  };
  for (let world = 0; world < 300; world += 1) {
    const skew = 1 + 8 * random();
    const agesMs = Array.from({ length: Math.floor(400 * random()) }, () => random() ** skew * 90 * DAY_MS);
    const wanted = 1 + Math.floor(100 * random());
    const { parts, found } = await readOf(agesMs, 90, wanted);
    expect(found, `world ${world}`).toEqual([...agesMs].sort((a, b) => a - b).slice(0, wanted));
    expect(parts.length, `world ${world}: ${parts.join(', ')}`).toBeLessThanOrEqual(5);
  }
});

const everything: EventQuery = { since: undefined, before: undefined, defects: false, changed: false };
const allTime: TimeSlice = { low: undefined, high: undefined };
const [early, late] = ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'];

const cursorOf = (direction: SearchCursor['direction']): SearchCursor => ({
  direction,
  time: '2026-01-03 00:00:00+00',
  position: 7,
});

/** Those of time: what was never given out is left out by any search. */
const partsOf = (query: Partial<EventQuery>, cursor: SearchCursor | undefined, slice: TimeSlice): string[] =>
  conditionsOf({ ...everything, ...query }, cursor, slice)
    .sql.split(' and ')
    .filter((part) => !part.startsWith('(position '));
