import { describe, expect, test } from 'vitest';
import { NULL, type PageRows, PLACES, place, REPLACED, textColumns } from '../../../../src/ingest/entries/entry.ts';
import { entryText, pageOf, T0 } from '../../../support/postgres/store-fixture.ts';

describe('the rows of a page', () => {
  test('hold the exact texts, ids and times, and which entry is the first of its id', () => {
    const texts = [entry({}, 'a'), entry({ x: 1 }, 'b'), entry({ x: 2 }, 'a'), entry({}, 'c')];
    const rows = rowsOf(texts.map((text) => ` ${text}\n`));
    expect(valuesOf(rows, place.text)).toEqual(texts);
    expect(valuesOf(rows, place.id)).toEqual(['a', 'b', 'a', 'c']);
    expect(valuesOf(rows, place.time)).toEqual(texts.map(() => new Date(T0).toISOString()));
    expect(rows?.firsts).toEqual([1, 2, 1, 4]);
  });

  test('an object in a column is the text that jsonb prints', () => {
    const scope = { bb: [true, null], a: { c: 'x"', b: 'é' }, ä: '' };
    const at = place.firstColumn + Object.keys(textColumns).indexOf('resource_scope');
    // "ä" has two bytes.
    expect(valuesOf(rowsOf([entry({ resource: { scope } })]), at)).toEqual([
      '{"a": {"b": "é", "c": "x\\""}, "bb": [true, null], "ä": ""}',
    ]);
  });

  for (const [what, more] of [
    ['a number where text is expected', { actor: { id: 12 } }],
    ['a number inside of an object where text is expected', { resource: { scope: { a: [1] } } }],
    ['an entry of a million characters, which jsonb may refuse', { x: 'x'.repeat(1_000_000) }],
  ] as const) {
    test(`${what}: PostgreSQL is to read the page`, () =>
      expect(pageOf([entry({}), entry(more, 'b')]).kind).toBe('json'));
  }

  test('a status code with a fraction: PostgreSQL is to read the page', () => {
    const withStatus = (number: string) => entry({ raw: { status_code: 200 } }).replace('200', number);
    expect(rowsOf([withStatus('200')])?.statusCodes).toEqual([200]);
    for (const number of ['200.0', '2e2', '200.00000000000000001']) {
      expect(pageOf([withStatus(number)]).kind, number).toBe('json');
    }
  });

  test('of a page with a defect there are none', () => expect(pageOf([entry({}), '{"id":"b"}']).kind).toBe('careful'));
});

const entry = (more: Readonly<Record<string, unknown>>, id = 'a') => entryText(id, T0, more);

const rowsOf = (texts: readonly string[]): PageRows | undefined => {
  const page = pageOf(texts);
  return page.kind === 'columns' ? page.rows : undefined;
};

/** The values of one place, row by row. */
const valuesOf = (rows: PageRows | undefined, at: number): readonly (string | null)[] =>
  (rows?.firsts ?? []).map((_, row) => {
    const index = (row * PLACES + at) * 2;
    const [start, end] = [rows?.spans[index], rows?.spans[index + 1]];
    if (start === NULL) return null;
    return start === REPLACED ? (rows?.replaced.get(index) ?? '') : (rows?.bytes.toString('utf8', start, end) ?? '');
  });
