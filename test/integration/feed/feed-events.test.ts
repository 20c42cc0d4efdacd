import { beforeAll, expect, test } from 'vitest';
import { readFeedEvents } from '../../../src/feed/feed-events.sql.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { commitAll, entryText, eventsOf, newSource, T0 } from '../../support/postgres/store-fixture.ts';

const pool = poolOfTests();
beforeAll(async () => {
  // Times go back while positions go on, through several partitions.
  const page = (id: string, count: number, more = {}) =>
    Array.from({ length: count }, (_, n) => entryText(`${id}-${n}`, T0 - n * MONTH_MS, more));
  await commitAll(pool, await newSource(pool, 'a'), [page('a', 6)]);
  await commitAll(pool, await newSource(pool, 'b'), [page('b', 6, { note: 'x'.repeat(10_000) })]);
  await commitAll(pool, await newSource(pool, 'a'), [['{"id":"no time", "big":12345678901234567890}']]);
});

test('all of it, in order of position, to the byte', async () => {
  const { events, scannedTo } = await read();
  expect(scannedTo).toBe(13);
  expect(events.map(({ position }) => position)).toEqual(range(1, 13));
  const stored = [...(await eventsOf(pool, 'a')), ...(await eventsOf(pool, 'b'))];
  const rawAt = new Map(stored.map(({ position, raw }) => [position, raw]));
  for (const event of events) expect(event.rawText).toBe(rawAt.get(event.position));
  const { rows } = await pool.query('select feed_id from feed_head');
  expect(events[0]).toEqual({
    position: 1,
    feedId: rows[0].feed_id,
    sourceKind: 'organization',
    sourceId: 'a',
    organizationId: 'a',
    organizationName: 'Name of a',
    accountId: null,
    accountName: null,
    zoneId: null,
    zoneName: null,
    id: 'a-0',
    actionTime: '2026-01-10T00:00:00.000000Z',
    receivedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
    defects: null,
    rawText: rawAt.get(1),
  });
  expect(events.at(-1)).toMatchObject({ id: 'no time', actionTime: null, defects: ['time_missing'] });
});

test('a part of it: after, until, and no more than so many', async () => {
  expect(await read({ after: 3, until: 5 })).toMatchObject({
    scannedTo: 5,
    events: [{ position: 4 }, { position: 5 }],
  });
  const some = await read({ after: 3, maxEvents: 4 });
  expect([positions(some), some.scannedTo]).toEqual([range(4, 7), 7]);
  expect(await read({ after: 13 })).toMatchObject({ events: [], scannedTo: 13 });
  expect(await read({ after: 20 }), 'never back').toMatchObject({ events: [], scannedTo: 20 });
});

test('no more than so many bytes, but always one event', async () => {
  // Of b, from position 7 on, two fit.
  const two = await read({ after: 6, maxBytes: 25_000 });
  expect([positions(two), two.scannedTo]).toEqual([[7, 8], 8]);
  const one = await read({ after: 6, maxBytes: 10 });
  expect([positions(one), one.scannedTo]).toEqual([[7], 7]);
});

test('of some organizations: it comes as far as it has looked', async () => {
  const all = await read({ organizationIds: ['a'] });
  expect([positions(all), all.scannedTo]).toEqual([[...range(1, 6), 13], 13]);
  const few = await read({ organizationIds: ['a'], maxEvents: 6 });
  expect([positions(few), few.scannedTo]).toEqual([range(1, 6), 6]);
  const none = await read({ organizationIds: ['unknown'], until: 9 });
  expect([positions(none), none.scannedTo]).toEqual([[], 9]);
});

test('of limited age: older ones are counted, and only wanted ones', async () => {
  // Between the third and the fourth of each organization.
  const maxAgeMs = Date.now() - (T0 - 2.5 * MONTH_MS);
  const all = await read({ maxAgeMs });
  expect([positions(all), all.scannedTo, all.tooOld]).toEqual([[1, 2, 3, 7, 8, 9, 13], 13, 6]);
  const few = await read({ maxAgeMs, maxEvents: 4 });
  expect([positions(few), few.scannedTo, few.tooOld, few.isFull]).toEqual([[1, 2, 3, 7], 7, 3, true]);
  const a = await read({ maxAgeMs, organizationIds: ['a'] });
  expect([positions(a), a.scannedTo, a.tooOld, a.isFull]).toEqual([[1, 2, 3, 13], 13, 3, false]);
  const old = await read({ maxAgeMs, after: 3, until: 6, copies: 'first' });
  expect([positions(old), old.scannedTo, old.tooOld]).toEqual([[], 6, 3]);
});

test('through a long stretch in which nothing is wanted it goes in steps', async () => {
  await pool.query('update feed_head set position = 200000');
  expect(await read({ organizationIds: ['unknown'] })).toMatchObject({ events: [], scannedTo: 50_000 });
  expect(await read({ after: 150_000, organizationIds: ['unknown'] })).toMatchObject({
    events: [],
    scannedTo: 200_000,
  });
});

const MONTH_MS = 31 * 86_400_000;

const read = (more: Partial<Parameters<typeof readFeedEvents>[1]> = {}) =>
  readFeedEvents(pool, {
    after: 0,
    until: undefined,
    maxEvents: 100,
    maxBytes: 1_000_000,
    organizationIds: undefined,
    ...more,
  });

const positions = ({ events }: Awaited<ReturnType<typeof read>>) => events.map(({ position }) => position);
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);
