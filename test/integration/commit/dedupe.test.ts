import { describe, expect, test } from 'vitest';
import type { Lease } from '../../../src/ingest/planning/source.ts';
import { committed } from '../../support/postgres/committed.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { rowsOf } from '../../support/postgres/rows.ts';
import {
  addSources,
  asCareful,
  commit,
  commitAll,
  entryText,
  eventsOf,
  newSource,
  pageOf,
  seconds,
  T0,
  takeLease,
} from '../../support/postgres/store-fixture.ts';

const pool = poolOfTests();
const DAY = 86_400_000;

describe('invariant 3: an entry is stored once per source and id', () => {
  test.each([10, 1_000])('pages of %i that overlap, and one that comes again, store every entry once', async (size) => {
    const id = `overlap ${size}`;
    const half = size / 2;
    const all = numbered(0, size);
    const others = [numbered(half, size + half), asCareful(pageOf(numbered(size, 2 * size)))];
    expect(await counted(await newSource(pool, id), [all, all, ...others, all.toReversed()])).toEqual([
      `${size} stored, 0 known, 0 changed`,
      `0 stored, ${size} known, 0 changed`,
      `${half} stored, ${half} known, 0 changed`,
      `${half} stored, ${half} known, 0 changed`,
      `0 stored, ${size} known, 0 changed`,
    ]);
    expect((await eventsOf(pool, id)).map((event) => event.raw)).toEqual(numbered(0, 2 * size));
    expect(await changesOf(id)).toEqual([]);
  });

  test('an entry that stands on a page several times is stored once, at its first place', async () => {
    const lease = await newSource(pool, 'inside');
    const [a, b, c] = numbered(0, 3) as [string, string, string];
    expect(await commit(pool, lease, [a, b, a, c, b, a])).toMatchObject({ stored: 3, duplicates: 3, changed: 0 });
    expect((await eventsOf(pool, 'inside')).map((event) => event.raw)).toEqual([a, b, c]);
  });

  test.each([
    ['the next second', 1_000],
    ['the next month', 31 * DAY],
    ['a year before', -365 * DAY],
    ['the far future', 900 * 365 * DAY],
  ])('an id that comes again with a time in %s is known, and has changed', async (name, shift) => {
    const [first, moved] = [entryText('moves', T0), entryText('moves', T0 + shift)];
    const pages = [[first], [moved, entryText('other')], [moved], [first]];
    expect(await counted(await newSource(pool, name), pages)).toEqual([
      '1 stored, 0 known, 0 changed',
      '1 stored, 1 known, 1 changed',
      '0 stored, 1 known, 0 changed',
      '0 stored, 1 known, 0 changed',
    ]);
    expect((await eventsOf(pool, name)).map((event) => event.raw)).toEqual([first, entryText('other')]);
  });

  test('what is known without a time, or a month off, is known on a page of any size, and the other way round', async () => {
    const undated = '{"id":"undated","action":{"type":"create"}}';
    const large = [...numbered(0, 500), entryText('undated'), entryText('month', T0)];
    const small = [undated, entryText('beside')];
    const pages = [[undated], small, [undated, ...numbered(500, 800)], [entryText('month', T0 - 31 * DAY)], large];
    expect(await counted(await newSource(pool, 'months'), [...pages, [...large, '{"id":"e-7"}']])).toEqual([
      '1 stored, 0 known, 0 changed',
      '1 stored, 1 known, 0 changed',
      '300 stored, 1 known, 0 changed',
      '1 stored, 0 known, 0 changed',
      '500 stored, 2 known, 2 changed',
      '0 stored, 503 known, 1 changed',
    ]);
  });

  test('the same id in two sources is two events', async () => {
    await addSources(pool, ['one', 'two']);
    const text = entryText('shared');
    for (const id of ['one', 'two']) {
      const result = await commit(pool, await takeLease(pool, id), [text]);
      expect(result).toMatchObject({ stored: 1, duplicates: 0, changed: 0 });
      expect(await eventsOf(pool, id)).toMatchObject([{ id: 'shared', raw: text }]);
    }
  });

  test('entries without an id are told apart by their text', async () => {
    const [a, b] = ['{"action":{"time":"2026-01-10T00:00:00Z"}}', '{"action":{"time":"2026-01-10T00:00:00Z"} }'];
    const pages = [
      [a, b, a],
      [b, a],
    ];
    expect(await counted(await newSource(pool, 'nameless'), pages)).toEqual([
      '2 stored, 1 known, 0 changed',
      '0 stored, 2 known, 0 changed',
    ]);
  });
});

describe('invariant 5: first seen wins', () => {
  test('other content of a known id leaves the event as it is and is kept once, beside it', async () => {
    const version = (note: string) => entryText('e', T0, { note });
    const pages = [
      [entryText('first'), version('one')],
      [version('two')],
      [version('two'), version('three'), version('two')],
      asCareful(pageOf([version('three'), version('one'), version('four')])),
    ];
    expect(await counted(await newSource(pool, 'changes'), pages)).toEqual([
      '2 stored, 0 known, 0 changed',
      '0 stored, 1 known, 1 changed',
      '0 stored, 3 known, 1 changed',
      '0 stored, 3 known, 1 changed',
    ]);
    const [, event] = await eventsOf(pool, 'changes');
    expect(event).toMatchObject({ id: 'e', raw: version('one') });
    expect(await changesOf('changes')).toEqual(
      ['two', 'three', 'four'].map((note) => ({ event_id: 'e', position: event?.position, raw: version(note) })),
    );
  });

  test('other content on the same page, of an id that is new, is kept with the position of the first', async () => {
    const lease = await newSource(pool, 'same page');
    const [one, two] = [entryText('e', T0, { note: 'one' }), entryText('e', T0 + 5_000, { note: 'two' })];
    expect(await commit(pool, lease, [one, two, one])).toMatchObject({ stored: 1, duplicates: 2, changed: 1 });
    const [event] = await eventsOf(pool, 'same page');
    expect(event).toMatchObject({ raw: one });
    expect(await changesOf('same page')).toEqual([{ event_id: 'e', position: event?.position, raw: two }]);
  });

  test('white space, the order of keys, escapes and the spelling of numbers are no changes', async () => {
    const first = '{"id":"e","action":{"time":"2026-01-10T00:00:00Z"},"n":1,"s":"é/"}';
    const others = [
      '{"action":{"time":"2026-01-10T00:00:00Z"},"n":1,"s":"é/","id":"e"}',
      '{ "id" : "e",\n"action":{"time":"2026-01-10T00:00:00Z"},"n":1.0,"s":"\\u00e9\\/"}',
    ];
    const pages = [[first], others, asCareful(pageOf(others)), [first, ...others]];
    const counts = await counted(await newSource(pool, 'spelling'), pages);
    expect(counts.map((line) => line.replace(/ \d known,/, ''))).toEqual([
      '1 stored, 0 changed',
      ...Array(3).fill('0 stored, 0 changed'),
    ]);
    expect(await eventsOf(pool, 'spelling')).toMatchObject([{ raw: first }]);
  });

  test('a defect that comes or goes is a change', async () => {
    const [whole, broken] = [
      entryText('e', T0, { s: 'x' }),
      entryText('e', T0, { s: 'y' }).replace('"y"', '"\\u0000"'),
    ];
    expect(await counted(await newSource(pool, 'defect'), [[whole], [broken], [whole, broken]])).toEqual([
      '1 stored, 0 known, 0 changed',
      '0 stored, 1 known, 1 changed',
      '0 stored, 2 known, 0 changed',
    ]);
    expect(await changesOf('defect')).toMatchObject([{ event_id: 'e', raw: broken }]);
  });
});

describe('entries in time that was read before', () => {
  test('are counted by the highest pass that had read it, as of before their own commit', async () => {
    const lease = await newSource(pool, 'late');
    const first = await committed(pool, lease, [entryText('in-time', T0 + 1_000)], {
      claims: [seconds(0, 100), seconds(0, 50), seconds(0, 10)],
    });
    expect(first.covered, 'what this commit claims does not count for its own entries').toEqual([]);
    const page = [5, 20, 30, 60, 100, 200].map((at) => entryText(`at-${at}`, T0 + at * 1_000));
    const second = await committed(pool, first.lease, [...page, entryText('in-time', T0 + 1_000)], {
      lane: 'settle',
      claims: [seconds(0, 300), seconds(0, 300), seconds(0, 300)],
    });
    // 100 and 200 are new to all of them: ranges end before their end.
    expect(second.covered.toSorted((a, b) => a.pass - b.pass)).toEqual([
      { pass: 0, entries: 1 },
      { pass: 1, entries: 2 },
      { pass: 2, entries: 1 },
    ]);
    const again = await committed(pool, second.lease, page);
    expect(again.covered, 'known entries are not late').toEqual([]);
  });

  test('do not count without a readable time, nor under other filters, nor for another source', async () => {
    const lease = await newSource(pool, 'other');
    const claims = [seconds(0, 100)];
    const first = await committed(pool, lease, [], { claims, filterHash: 'other filters' });
    const second = await committed(pool, first.lease, [entryText('other-filters', T0 + 1_000)], { claims });
    expect(second.covered).toEqual([]);
    const timeless = asCareful(pageOf(['{"id":"timeless"}', entryText('timed', T0 + 2_000)]));
    const third = await committed(pool, second.lease, timeless);
    expect(third).toMatchObject({ stored: 2, covered: [{ pass: 0, entries: 1 }] });
    const elsewhere = await newSource(pool, 'elsewhere');
    expect((await committed(pool, elsewhere, [entryText('timed', T0 + 2_000)])).covered).toEqual([]);
  });
});

describe('the plan that a connection keeps', () => {
  test('is right for a month that was empty when it was made: a known id is looked up, not searched for', async (context) => {
    const { rows } = await pool.query("select current_setting('server_version_num')::integer as version");
    context.skip(rows[0]?.version < SINCE_ABLE, 'before PostgreSQL 17 each lookup is planned by itself');
    const lease = await newSource(pool, 'grows');
    const client = await pool.connect();
    try {
      const knowsAny = async (wanted: readonly string[]): Promise<boolean> =>
        (await client.query("select orgtrail_may_know_any('organization', 'grows', $1) as known", [wanted])).rows[0]
          .known;
      const rowsRead = async (): Promise<number> => {
        await client.query('select pg_stat_force_next_flush()');
        const { rows: read } = await client.query(
          `select (select coalesce(sum(seq_tup_read), 0) from pg_stat_user_tables where relname like 'audit_events%')::integer
             + (select coalesce(sum(idx_tup_read), 0) from pg_stat_user_indexes where relname like 'audit_events%')::integer as rows`,
        );
        return read[0].rows;
      };
      expect(await knowsAny(ids('other', 10))).toBe(false);
      await commitAll(pool, lease, [
        entries('grown', 1_000),
        ...Array.from({ length: ROWS / 1_000 - 1 }, (_, page) => entries(`grown-${page}`, 1_000)),
      ]);
      const before = await rowsRead();
      expect(await knowsAny(ids('other', 10))).toBe(false);
      expect(await knowsAny([...ids('other', 10), 'grown-77'])).toBe(true);
      expect((await rowsRead()) - before).toBeLessThan(ROWS / 50);
    } finally {
      client.release();
    }
  });
});

const numbered = (from: number, to: number, prefix = 'e'): string[] =>
  Array.from({ length: to - from }, (_, index) => entryText(`${prefix}-${from + index}`, T0 + (from + index) * 1_000));

const changesOf = (sourceId: string) =>
  rowsOf<{ event_id: string; position: number; raw: string }>(
    pool,
    `select event_id, position::float8 as position, raw::text as raw from audit_event_changes where source_id = $1 order by id`,
    [sourceId],
  );

/** What each of the pages is counted as. */
const counted = async (lease: Lease, pages: Parameters<typeof commitAll>[2]) =>
  (await commitAll(pool, lease, pages)).map(
    (page) => `${page.stored} stored, ${page.duplicates} known, ${page.changed} changed`,
  );

const ROWS = 5_000;
const SINCE_ABLE = 170_000;

const ids = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
const entries = (prefix: string, count: number) => ids(prefix, count).map((id, index) => entryText(id, T0 + index));
