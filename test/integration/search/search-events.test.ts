import { beforeAll, describe, expect, test } from 'vitest';
import { SearchError } from '../../../src/base/errors.ts';
import { exactText } from '../../../src/ingest/entries/entry.ts';
import type { FoundEvent } from '../../../src/search/answer.ts';
import type { EventQuery } from '../../../src/search/query/event-query.ts';
import type { SearchCursor } from '../../../src/search/query/search.ts';
import { readSearchCoverage } from '../../../src/search/search-coverage.sql.ts';
import { readEvent, type SearchTimeLimit, searchEvents } from '../../../src/search/search-events.sql.ts';
import { multiplyEvents } from '../../support/feed/many-events.ts';
import { withLock } from '../../support/postgres/lock-waits.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { commit, entryText, newSource, pageOf, seconds, T0, takeLease } from '../../support/postgres/store-fixture.ts';
import { strangeEntries, unholdableEntries, unnamedEntries } from '../../support/sync/defective-entries.ts';

const pool = poolOfTests();

describe('each filter', () => {
  const full = {
    action: { type: 'rotate', result: 'failure', description: 'Rotate Key', time: new Date(T0 + 5_000).toISOString() },
    actor: { id: 'user-1', email: 'a@filters.example', ip_address: '203.0.113.9', token_id: 'token-1', type: 'user' },
    resource: { id: 'resource-1', product: 'keys', type: 'api_key', request: { note: 'Ünique_50% \\ text' } },
    raw: { cf_ray_id: 'ray-1', method: 'PUT', uri: '/keys', status_code: 403 },
  };

  beforeAll(async () => {
    const lease = await newSource(pool, 'filters');
    const rest = Array.from({ length: 20 }, (_, n) =>
      entryText(`other-${n}`, T0 + n * 1_000, { resource: { id: 'x' } }),
    );
    await commit(pool, lease, [entryText('wanted', T0 + 5_000, full), ...rest, '{"id":"timeless"}']);
    const again = await takeLease(pool, 'filters');
    await commit(pool, again, [entryText('other-3', T0 + 3_000, { resource: { id: 'changed' } })]);
  });

  test('text takes nothing for a pattern', async () => {
    expect((await find({ organization: 'unknown' })).events).toEqual([]);
    for (const text of ['50_', '%%', 'Rotate%Key', '\\\\\\']) {
      expect((await find({ text, organization: 'filters' })).events).toEqual([]);
    }
  });

  test('since is inclusive, before exclusive, to the microsecond; without since, entries without a time are found, last', async () => {
    const at = (ms: number) => new Date(T0 + ms).toISOString();
    const some = await find({ organization: 'filters', since: at(3_000), before: at(6_000) });
    expect(idsOf(some.events).sort()).toEqual(['other-3', 'other-4', 'other-5', 'wanted']);
    const { events } = await find({ organization: 'filters' });
    expect(events.at(-1)).toMatchObject({ id: 'timeless', sortTime: '-infinity', actionTime: null });
    expect(events.length).toBe(22);
  });

  test('defects only, changed only', async () => {
    expect(idsOf((await find({ organization: 'filters', defects: true })).events)).toEqual(['timeless']);
    const { events } = await find({ organization: 'filters', changed: true });
    expect(events).toMatchObject([{ id: 'other-3', changed: true }]);
  });

  test('a value that PostgreSQL does not take is the mistake of the user who searches', async () => {
    const bad = find({}, { direction: 'older', time: '2026-02-31 00:00:00+00', position: 1 });
    await expect(bad).rejects.toThrow(SearchError);
    await expect(bad).rejects.toMatchObject({ reason: 'refused' });
  });

  test('one event with its later content, and its neighbours', async () => {
    const [found] = (await find({ organization: 'filters', changed: true })).events;
    const detail = await readEvent(pool, { position: found?.position ?? 0 });
    expect(detail?.changes.map(({ rawText }) => rawText)).toEqual([
      entryText('other-3', T0 + 3_000, { resource: { id: 'changed' } }),
    ]);
    expect(detail?.changesInAll).toBe(1);
    expect(detail?.nextPosition).toBe((found?.position ?? 0) + 1);
    const key = { sourceKind: 'organization', sourceId: 'filters', id: 'other-3' };
    expect((await readEvent(pool, key))?.event.position).toBe(found?.position);
    expect(await readEvent(pool, { position: 999_999_999 })).toBeUndefined();
  });
});

describe('pages', () => {
  test('both ways each event once, in one order, where many have the same time', async () => {
    const lease = await newSource(pool, 'pages');
    const entries = Array.from({ length: 150 }, (_, n) =>
      n % 30 === 0 ? `{"id":"no-time-${n}"}` : entryText(`event-${n}`, T0 + (n % 7) * 1_000),
    );
    entries.push(
      ...['.000001Z', '.000002Z'].map((end) => `{"id":"micro${end}","action":{"time":"2026-01-10T00:00:01${end}"}}`),
    );
    await commit(pool, lease, entries);
    const query = { organization: 'pages' };
    const { events: all } = await find(query);
    expect(all.length).toBe(152);
    const sorted = [...all].sort((a, b) => {
      const order = a.sortTime === b.sortTime ? 0 : a.sortTime === '-infinity' || a.sortTime < b.sortTime ? 1 : -1;
      return b.sortTime === '-infinity' && a.sortTime !== '-infinity' ? -1 : order || b.position - a.position;
    });
    expect(idsOf(all)).toEqual(idsOf(sorted));

    for (const limit of [1, 7, 152]) {
      const older = await walk(query, limit);
      expect(idsOf(older.seen)).toEqual(idsOf(all));
      const newer = await walk(query, limit, cursorAt('newer', all.at(-1)));
      expect(idsOf(newer.seen)).toEqual(idsOf(all.slice(0, -1)));
    }
  });
});

test('defective and strange entries are found and read, each to the byte', async () => {
  const lease = await newSource(pool, 'defective');
  const entries = [...unnamedEntries, ...unholdableEntries, ...strangeEntries];
  await commit(pool, lease, pageOf(entries.map(({ text }) => text)));
  const { seen } = await walk({ organization: 'defective' }, 10);
  expect(idsOf(seen).sort()).toEqual(entries.map(({ id }) => id).sort());
  for (const { position, id } of seen) {
    const detail = await readEvent(pool, { position });
    const entry = entries.find((one) => one.id === id);
    expect(detail && exactText(detail.rawText, detail.event.defects) === entry?.text).toBe(true);
    expect(detail?.event.defects).toEqual(entry?.defects);
  }
  expect((await find({ organization: 'defective', text: 'aé€😀' })).events.length).toBe(1);
  expect((await find({ organization: 'defective', defects: true })).events.length).toBeGreaterThan(30);
});

describe('a search that takes long', () => {
  const hour = 3_600_000;
  /** With a time limit of 600 s, each look at it takes 70 s: time for pieces of 1, 4, 16 and 64 hours, whatever the machine. */
  const slow = () => {
    let nowMs = 0;
    return () => {
      nowMs += 70_000;
      return nowMs;
    };
  };
  const still = () => () => 0;
  const inPieces: SearchTimeLimit = { firstMs: 0, totalMs: 600_000 };
  const needles = { organization: 'many', text: 'needle' };
  const searched = { since: new Date(T0 - 510 * hour).toISOString(), before: new Date(T0 + hour).toISOString() };
  let all: readonly FoundEvent[];

  beforeAll(async () => {
    const lease = await newSource(pool, 'many');
    const entries = Array.from({ length: 500 }, (_, n) =>
      entryText(`e${n}`, T0 - n * hour, { note: n % 50 === 0 ? 'Needle' : 'hay'.repeat(60) }),
    );
    await commit(pool, lease, entries);
    await multiplyEvents(pool, 8_000);
    all = (await walk(needles, 500)).seen;
    expect(all.length).toBeGreaterThan(60);
  });

  test('looks through the time piece by piece, says how far it came, and going on finds all, both ways', async () => {
    const older = await walk({ ...needles, ...searched }, 40, undefined, inPieces, slow);
    expect(idsOf(older.seen)).toEqual(idsOf(all));
    expect(older.reachedPages).toBeGreaterThan(0);
    const newer = await walk({ ...needles, ...searched }, 40, cursorAt('newer', all.at(-1)), inPieces, slow);
    expect(idsOf(newer.seen)).toEqual(idsOf(all.slice(0, -1)));
    expect(newer.reachedPages).toBeGreaterThan(0);
  });

  test('as long as there is time, piece by piece to the end, both ways', async () => {
    const older = await walk(needles, 40, undefined, inPieces, still);
    expect(idsOf(older.seen)).toEqual(idsOf(all));
    const newer = await walk(needles, 40, cursorAt('newer', all.at(-1)), inPieces, still);
    expect(idsOf(newer.seen)).toEqual(idsOf(all.slice(0, -1)));
    expect([older.reachedPages, newer.reachedPages]).toEqual([0, 0]);
  });

  test('goes on piece by piece after a first attempt that was not done in time', async () => {
    const client = await pool.connect();
    await client.query('begin; lock table audit_events in access exclusive mode');
    let looks = 0;
    const released: Promise<unknown>[] = [];
    const page = await find(needles, undefined, 500, { firstMs: 50, totalMs: 600_000 }, () => {
      looks += 1;
      // The first look is before the first attempt, the second one after it.
      if (looks === 2) released.push(client.query('rollback'));
      return 0;
    });
    await Promise.all(released);
    client.release();
    expect(released).toHaveLength(1);
    expect(looks, 'pieces').toBeGreaterThan(4);
    expect(idsOf(page.events)).toEqual(idsOf(all));
  });

  test('ends by itself where the database does nothing at all', async () => {
    const timeout = { name: 'SearchError', reason: 'timeout' };
    await withLock(pool, 'lock table audit_events in access exclusive mode', () =>
      expect(find({ text: 'x' }, undefined, 10, { firstMs: 50, totalMs: 300 })).rejects.toMatchObject(timeout),
    );
  });
});

const coverageOf = (range: Parameters<typeof readSearchCoverage>[1]) =>
  readSearchCoverage(pool, range, { organizationIds: undefined, behindAfterSeconds: () => 60 });

test('coverage of the time searched: the organizations with uncollected time', async () => {
  const lease = await newSource(pool, 'gappy');
  await commit(pool, lease, [entryText('g', T0)], { claims: [seconds(-100, 100)] });
  const at = (ms: number) => new Date(T0 + ms).toISOString();
  const organization = 'gappy';
  const read = await coverageOf({ organization, since: at(-50_000), before: at(50_000) });
  expect(read).toMatchObject({ organizations: 1, incomplete: 0, gaps: [], beginsEarlier: false, readOnceSeconds: 100 });
  await pool.query(
    `update coverage set read_again = tstzmultirange(tstzrange($1, $2)) where source_id = 'gappy' and pass = 0`,
    [at(-100_000), at(10_000)],
  );
  expect(await coverageOf({ organization, since: at(-50_000), before: at(50_000) })).toMatchObject({
    readOnceSeconds: 40,
  });
  expect(read.collectedUntil).toBe('2026-01-10T00:00:50Z');
  const unread = await coverageOf({ organization, since: at(-50_000), before: at(300_000) });
  expect(unread).toMatchObject({
    incomplete: 1,
    gaps: [{ organizationId: 'gappy', since: '2026-01-10T00:01:40Z', before: '2026-01-10T00:05:00Z' }],
  });
  const older = await coverageOf({ organization, since: undefined, before: at(0) });
  expect(older).toMatchObject({ incomplete: 1, beginsEarlier: true, collectedSince: '2025-07-01T00:00:00Z' });
  expect(await coverageOf({ organization: 'unknown', since: undefined, before: undefined })).toMatchObject({
    organizations: 0,
    incomplete: 0,
  });
});

const TIME_LIMIT: SearchTimeLimit = { firstMs: 600_000, totalMs: 600_000 };
const everything: EventQuery = { since: undefined, before: undefined, defects: false, changed: false };

const find = async (
  query: Partial<EventQuery>,
  cursor?: SearchCursor,
  limit = 500,
  timeLimit = TIME_LIMIT,
  clockMs?: () => number,
) => await searchEvents(pool, { ...everything, ...query }, { cursor, limit }, timeLimit, clockMs);

const idsOf = (events: readonly FoundEvent[]): string[] => events.map(({ id }) => id);

const cursorAt = (direction: SearchCursor['direction'], event: FoundEvent | undefined): SearchCursor => {
  if (event === undefined) throw new Error('an empty page');
  return { direction, time: event.sortTime, position: event.position };
};

/** All pages in one direction, in the order of the result as a whole; each with a clock of its own. */
const walk = async (
  query: Partial<EventQuery>,
  limit: number,
  from?: SearchCursor,
  timeLimit = TIME_LIMIT,
  createClock: () => (() => number) | undefined = () => undefined,
) => {
  const seen: FoundEvent[] = [];
  let cursor = from;
  let pages = 0;
  let reachedPages = 0;
  for (;;) {
    const page = await find(query, cursor, limit, timeLimit, createClock());
    const direction = cursor?.direction ?? 'older';
    if (direction === 'older') seen.push(...page.events);
    else seen.unshift(...page.events);
    pages += 1;
    if (page.reached !== undefined) reachedPages += 1;
    if (!page.more) return { seen, pages, reachedPages };
    cursor = page.reached ?? cursorAt(direction, direction === 'older' ? page.events.at(-1) : page.events[0]);
  }
};
