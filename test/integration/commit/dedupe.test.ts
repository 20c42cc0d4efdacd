import { describe, expect, test } from 'vitest';
import { databaseOfTests } from '../../support/postgres/database.ts';
import {
  addSources,
  asCareful,
  commit,
  commitAll,
  entryText,
  eventsOf,
  newSource,
  pageOf,
  T0,
  takeLease,
} from '../../support/postgres/store-fixture.ts';

const database = databaseOfTests();

const DAY = 86_400_000;

describe('invariant 3: an entry is stored once per source and id', () => {
  for (const size of [10, 1_000]) {
    test(`pages of ${size} that overlap, and a page that comes again, store every entry once`, async () => {
      const { pool } = database;
      const id = `overlap ${size}`;
      const lease = await newSource(pool, id);
      const half = size / 2;
      const results = await commitAll(pool, lease, [
        numbered(0, size),
        numbered(0, size),
        numbered(half, size + half),
        asCareful(pageOf(numbered(size, 2 * size))),
        numbered(0, size).reverse(),
      ]);
      expect(results.map(({ stored, duplicates, changed }) => [stored, duplicates, changed])).toEqual([
        [size, 0, 0],
        [0, size, 0],
        [half, half, 0],
        [half, half, 0],
        [0, size, 0],
      ]);
      const events = await eventsOf(pool, id);
      expect(events.map((event) => event.raw)).toEqual(numbered(0, 2 * size));
      expect(await changesOf(id)).toEqual([]);
    });
  }

  test('an entry that stands on a page several times is stored once, at its first place', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'inside');
    const [a, b, c] = numbered(0, 3) as [string, string, string];
    expect(await commit(pool, lease, [a, b, a, c, b, a])).toMatchObject({ stored: 3, duplicates: 3, changed: 0 });
    expect((await eventsOf(pool, 'inside')).map((event) => event.raw)).toEqual([a, b, c]);
  });

  for (const [name, shift] of [
    ['the next second', 1_000],
    ['the next month', 31 * DAY],
    ['a year before', -365 * DAY],
    ['the far future', 900 * 365 * DAY],
  ] as const) {
    test(`an id that comes again with a time in ${name} is known, and has changed`, async () => {
      const { pool } = database;
      const id = `time ${name}`;
      const lease = await newSource(pool, id);
      const [first, moved] = [entryText('moves', T0), entryText('moves', T0 + shift)];
      const results = await commitAll(pool, lease, [[first], [moved, entryText('other')], [moved], [first]]);
      expect(results.map(({ stored, changed }) => [stored, changed])).toEqual([
        [1, 0],
        [1, 1],
        [0, 0],
        [0, 0],
      ]);
      expect((await eventsOf(pool, id)).map((event) => event.raw)).toEqual([first, entryText('other')]);
    });
  }

  test('of a source whose only known entry has no time, the first large page finds it', async () => {
    const { pool } = database;
    const undated = '{"id":"undated","action":{"type":"create"}}';
    const lease = await newSource(pool, 'only undated');
    const [first, large] = await commitAll(pool, lease, [[undated], [undated, ...numbered(0, 300)]]);
    expect([first?.stored, large?.stored, large?.duplicates]).toEqual([1, 300, 1]);
    expect(await eventsOf(pool, 'only undated')).toHaveLength(301);
  });

  test('an id that is known without a time is known on a large page, and the other way round', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'timeless');
    const timeless = '{"id":"timeless"}';
    const large = [...numbered(0, 500), entryText('timeless')];
    const results = await commitAll(pool, lease, [[timeless], large, [...large, '{"id":"e-7"}']]);
    expect(results.map(({ stored, duplicates, changed }) => [stored, duplicates, changed])).toEqual([
      [1, 0, 0],
      [500, 1, 1],
      [0, 502, 1],
    ]);
  });

  test('an id that comes on a large page, a month off its known time, is known', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'month');
    const large = [...numbered(0, 500), entryText('month', T0)];
    const results = await commitAll(pool, lease, [[entryText('month', T0 - 31 * DAY)], large]);
    expect(results[1]).toMatchObject({ stored: 500, duplicates: 1, changed: 1 });
  });

  test('the same id in two sources is two events', async () => {
    const { pool } = database;
    await addSources(pool, ['one', 'two']);
    const text = entryText('shared');
    for (const id of ['one', 'two']) {
      const result = await commit(pool, await takeLease(pool, id), [text]);
      expect(result).toMatchObject({ stored: 1, duplicates: 0, changed: 0 });
      expect(await eventsOf(pool, id)).toMatchObject([{ id: 'shared', raw: text }]);
    }
  });

  test('entries without an id are told apart by their text', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'nameless');
    const [a, b] = ['{"action":{"time":"2026-01-10T00:00:00Z"}}', '{"action":{"time":"2026-01-10T00:00:00Z"} }'];
    const results = await commitAll(pool, lease, [
      [a, b, a],
      [b, a],
    ]);
    expect(results.map(({ stored, duplicates, changed }) => [stored, duplicates, changed])).toEqual([
      [2, 1, 0],
      [0, 2, 0],
    ]);
  });
});

describe('invariant 5: first seen wins', () => {
  test('other content of a known id leaves the event as it is and is kept once, beside it', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'changes');
    const version = (note: string) => entryText('e', T0, { note });
    const results = await commitAll(pool, lease, [
      [entryText('first'), version('one')],
      [version('two')],
      [version('two'), version('three'), version('two')],
      asCareful(pageOf([version('three'), version('one'), version('four')])),
    ]);
    expect(results.map(({ stored, duplicates, changed }) => [stored, duplicates, changed])).toEqual([
      [2, 0, 0],
      [0, 1, 1],
      [0, 3, 1],
      [0, 3, 1],
    ]);
    const [, event] = await eventsOf(pool, 'changes');
    expect(event).toMatchObject({ id: 'e', raw: version('one') });
    expect(await changesOf('changes')).toEqual(
      ['two', 'three', 'four'].map((note) => ({ event_id: 'e', position: event?.position, raw: version(note) })),
    );
  });

  test('other content on the same page, of an id that is new, is kept with the position of the first', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'same page');
    const [one, two] = [entryText('e', T0, { note: 'one' }), entryText('e', T0 + 5_000, { note: 'two' })];
    expect(await commit(pool, lease, [one, two, one])).toMatchObject({ stored: 1, duplicates: 2, changed: 1 });
    const [event] = await eventsOf(pool, 'same page');
    expect(event).toMatchObject({ raw: one });
    expect(await changesOf('same page')).toEqual([{ event_id: 'e', position: event?.position, raw: two }]);
  });

  test('white space, the order of keys, escapes and the spelling of numbers are no changes', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'spelling');
    const first = '{"id":"e","action":{"time":"2026-01-10T00:00:00Z"},"n":1,"s":"é/"}';
    const others = [
      '{"action":{"time":"2026-01-10T00:00:00Z"},"n":1,"s":"é/","id":"e"}',
      '{ "id" : "e",\n"action":{"time":"2026-01-10T00:00:00Z"},"n":1.0,"s":"\\u00e9\\/"}',
    ];
    const results = await commitAll(pool, lease, [[first], others, asCareful(pageOf(others)), [first, ...others]]);
    expect(results.map(({ stored, changed }) => [stored, changed])).toEqual([
      [1, 0],
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    expect(await eventsOf(pool, 'spelling')).toMatchObject([{ raw: first }]);
  });

  test('a defect that comes or goes is a change', async () => {
    const { pool } = database;
    const lease = await newSource(pool, 'defect');
    const [whole, broken] = [
      entryText('e', T0, { s: 'x' }),
      entryText('e', T0, { s: 'y' }).replace('"y"', '"\\u0000"'),
    ];
    const results = await commitAll(pool, lease, [[whole], [broken], [whole, broken]]);
    expect(results.map(({ stored, changed }) => [stored, changed])).toEqual([
      [1, 0],
      [0, 1],
      [0, 0],
    ]);
    expect(await changesOf('defect')).toMatchObject([{ event_id: 'e', raw: broken }]);
  });
});

const numbered = (from: number, to: number, prefix = 'e'): string[] =>
  Array.from({ length: to - from }, (_, index) => entryText(`${prefix}-${from + index}`, T0 + (from + index) * 1_000));

const changesOf = async (sourceId: string) => {
  const { rows } = await database.pool.query<{ event_id: string; position: number; raw: string }>(
    `select event_id, position::float8 as position, raw::text as raw from audit_event_changes where source_id = $1 order by id`,
    [sourceId],
  );
  return rows;
};
