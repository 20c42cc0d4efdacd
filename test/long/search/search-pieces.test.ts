import { isDeepStrictEqual } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { createPool } from '../../../src/postgres/pool.ts';
import type { EventQuery } from '../../../src/search/query/event-query.ts';
import type { SearchCursor } from '../../../src/search/query/search.ts';
import { type SearchTimeLimit, searchEvents } from '../../../src/search/search-events.sql.ts';
import { multiplyEvents } from '../../support/feed/many-events.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { commit, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';

const HOUR_MS = 3_600_000;
const inPieces: SearchTimeLimit = { firstMs: 0, totalMs: 600_000 };
const atOnce: SearchTimeLimit = { firstMs: 600_000, totalMs: 600_000 };
const database = databaseOfTests();
let all: readonly { readonly id: string; readonly timeMs: number }[];
beforeAll(async () => {
  const lease = await newSource(database.pool, 'many');
  const entries = Array.from({ length: 500 }, (_, n) =>
    entryText(`e${n}`, T0 - n * HOUR_MS, { note: 'hay'.repeat(60) }),
  );
  await commit(database.pool, lease, entries);
  await multiplyEvents(database.pool, 8_000);
  const { rows } = await database.pool.query<{ id: string; timeMs: number }>(
    `select id, (extract(epoch from action_time) * 1000)::float8 as "timeMs" from audit_events
     order by action_time desc, position desc`,
  );
  all = rows;
  const name = new URL(database.url).pathname.slice(1);
  for (const setting of ['enable_seqscan', 'enable_indexscan']) {
    await database.pool.query(`alter database ${name} set ${setting} = off`);
  }
});
/** Of connections that find events by bitmaps of an index alone: as the planner does where it expects few, and forwards. */
const pool = ofAllTests(() => createPool(database.url, 1, () => {}));

/** Some of them lie across the end of a page of the index, which is where PostgreSQL 17 goes wrong (see search-conditions.ts). */
const times = Array.from({ length: 45 }, (_, n) => T0 - (100 + n) * HOUR_MS);

test.each([
  ['piece by piece', inPieces],
  ['at once', atOnce],
])('%s, each event comes once, at whatever time a page begins, both ways', async (_how, timeLimit) => {
  expect(await failing(async (ms) => isOlder(await find({}, cursorAt('older', ms), timeLimit), ms))).toEqual([]);
  expect(await failing(async (ms) => isNewer(await find({}, cursorAt('newer', ms), timeLimit), ms))).toEqual([]);
});

test.each([
  ['piece by piece', inPieces],
  ['at once', atOnce],
])('%s, a cursor outside of the time searched brings nothing from there', async (_how, timeLimit) => {
  const fromLater = async (ms: number) => {
    const edgeMs = ms - 5 * HOUR_MS;
    return isOlder(await find({ before: isoOf(edgeMs) }, cursorAt('older', ms), timeLimit), edgeMs);
  };
  const fromEarlier = async (ms: number) => {
    const cursor = cursorAt('newer', ms - 5 * HOUR_MS);
    return isNewer(await find({ since: isoOf(ms) }, cursor, timeLimit), ms);
  };
  expect(await failing(fromLater)).toEqual([]);
  expect(await failing(fromEarlier)).toEqual([]);
});

/** Just fits into the first three pieces, of 1, 4 and 16 hours with 16 events each. */
const LIMIT = 330;

const everything: EventQuery = { since: undefined, before: undefined, defects: false, changed: false };
const isoOf = (ms: number): string => new Date(ms).toISOString();

const cursorAt = (direction: SearchCursor['direction'], timeMs: number): SearchCursor => ({
  direction,
  time: `${isoOf(timeMs).replace('T', ' ').slice(0, -1)}+00`,
  position: 0,
});

const find = async (query: Partial<EventQuery>, cursor: SearchCursor, timeLimit: SearchTimeLimit) => {
  const page = await searchEvents(
    pool,
    { ...everything, text: timeLimit === inPieces ? 'hay' : undefined, ...query },
    { cursor, limit: LIMIT },
    timeLimit,
  );
  return page.events.map(({ id }) => id);
};

const idsOf = (events: typeof all): string[] => events.map(({ id }) => id);

/** Whether a page has just the events before this time that come next, or those from it on. */
const isOlder = (ids: readonly string[], timeMs: number): boolean =>
  isDeepStrictEqual(ids, idsOf(all.filter((event) => event.timeMs < timeMs)).slice(0, LIMIT));

const isNewer = (ids: readonly string[], timeMs: number): boolean =>
  isDeepStrictEqual(ids, idsOf(all.filter((event) => event.timeMs >= timeMs)).slice(-LIMIT));

const failing = async (isRight: (timeMs: number) => Promise<boolean>): Promise<string[]> => {
  const failed: string[] = [];
  for (const timeMs of times) {
    if (!(await isRight(timeMs))) failed.push(isoOf(timeMs));
  }
  return failed;
};
