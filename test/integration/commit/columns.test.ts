import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { NULL, type PageRows, PLACES, place, REPLACED } from '../../../src/ingest/entries/entry.ts';
import type { Page } from '../../../src/ingest/entries/page.ts';
import { integerArray, sizeOfArray, writeArray } from '../../../src/ingest/sync/commit/commit-page.sql.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import {
  asCareful,
  commit,
  commitAll,
  entryText,
  newSource,
  pageOf,
  takeLease,
} from '../../support/postgres/store-fixture.ts';
import { newAccountSource } from '../../support/sync/account-source.ts';

const database = databaseOfTests();
const pool = poolOfTests(database);

/** The columns and the places in an entry that they are read from, as the API's filters spell them. */
const paths: Readonly<Record<string, readonly [string, string]>> = Object.fromEntries(
  [
    ...['type', 'result', 'description'].map((key) => ['action', key]),
    ...['id', 'type', 'context', 'email', 'ip_address', 'token_id', 'token_name'].map((key) => ['actor', key]),
    ...['cf_ray_id', 'method', 'uri', 'user_agent'].map((key) => ['raw', key]),
    ...['id', 'product', 'type', 'scope'].map((key) => ['resource', key]),
  ].map(([top = '', key = '']) => [`${top}_${key}`, [top, key]]),
);

beforeAll(async () => {
  for (const id of ['columns', 'plain', 'careful']) await newSource(pool, id);
});

let counter = 0;

const ways: readonly (readonly [string, (texts: readonly string[]) => readonly Page[]])[] = [
  ['all on one page', (texts) => [pageOf(texts)]],
  ['each on a page of its own, by the fast path', (texts) => texts.map((text) => pageOf([text], undefined, true))],
  ['without the fast path', (texts) => [pageOf(texts, undefined, false)]],
  ['carefully, entry by entry', (texts) => [asCareful(pageOf(texts))]],
];

const anyTexts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme-ascii', maxLength: 40 }),
  fc.constantFrom('', '\x80', 'é', '\ufffd', '😀', '\\"', 'x'.repeat(127), 'x'.repeat(128), 'ä'.repeat(5_000)),
);

// Neither a NUL nor half a character reaches PostgreSQL's text: such entries are defective.
const plainTexts = anyTexts.filter((text) => !text.includes('\0') && text.isWellFormed());

describe('the typed columns are the paths of the API', () => {
  test('every column has the text that stands at its path', async () => {
    const entry: Record<string, Record<string, string>> = {
      action: { time: '2026-01-10T00:00:00Z' },
      actor: {},
      raw: {},
      resource: {},
    };
    for (const [column, [top, key]] of Object.entries(paths))
      Object.assign(entry[top] ?? {}, { [key]: `the ${column}` });
    expect(await columnsOf(entry)).toEqual({
      ...Object.fromEntries(Object.keys(paths).map((column) => [column, `the ${column}`])),
      raw_status_code: null,
    });
  });

  test('what is missing, null or somewhere else is null', async () => {
    const none = { action: { time: '2026-01-10T00:00:00Z', type: null }, actor: null, raw: 'text', resource: ['id'] };
    const columns = await columnsOf(none);
    expect(new Set(Object.values(columns))).toEqual(new Set([null]));
  });

  test.each([
    [{ cf_ray_id: 'a' }, 'a'],
    [{ cf_rayid: 'b' }, 'b'],
    [{ cf_rayid: 'b', cf_ray_id: 'a' }, 'a'],
    [{ cf_ray_id: null, cf_rayid: 'b' }, 'b'],
  ])('the Ray ID of %j is %s', async (raw, expected) => {
    expect(await columnsOf({ raw })).toMatchObject({ raw_cf_ray_id: expected });
  });

  test.each([
    [200, 200],
    ['404', 404],
    [-1, -1],
    [999_999_999, 999_999_999],
    ['', null],
    ['200 OK', null],
    ['200\n', null],
    [' 200', null],
    [2_147_483_648, null],
    ['99999999999999999999', null],
    [200.5, null],
    [true, null],
    [{ code: 200 }, null],
    [[200], null],
    [null, null],
  ])('the status code %j is %s', async (status_code, expected) => {
    expect(await columnsOf({ raw: { status_code } })).toMatchObject({ raw_status_code: expected });
  });

  test('a scope that is no string is its JSON text; numbers and booleans are text', async () => {
    expect(
      await columnsOf({ resource: { scope: { b: [1, 'x'], a: null }, id: 12, type: true, product: 1.5 } }),
    ).toMatchObject({
      resource_scope: '{"a": null, "b": [1, "x"]}',
      resource_id: '12',
      resource_type: 'true',
      resource_product: '1.5',
    });
  });
});

test('plain entries give the same rows, in all columns, whether they go in columns or are read carefully', async () => {
  let page = 0;
  let inRows = 0;
  await fc.assert(
    fc.asyncProperty(pages, async (texts) => {
      page += 1;
      const resolveNames = texts.map((text, index) => `{"id":"${page}/${index}",${text.trimStart().slice(1)}`);
      const read = pageOf(resolveNames, undefined, true);
      expect(read.kind).not.toBe('careful');
      if (read.kind === 'columns') inRows += 1;
      const counts = { kind: 'committed', stored: texts.length, changed: 0, defective: 0 };
      expect(await commit(pool, await takeLease(pool, 'plain'), read)).toMatchObject(counts);
      expect(await commit(pool, await takeLease(pool, 'careful'), asCareful(read))).toMatchObject(counts);
    }),
    { seed: SEED, numRuns: RUNS },
  );
  const plain = await rowsOf('plain');
  expect(plain.length).toBeGreaterThan(RUNS);
  expect(inRows).toBeGreaterThan(RUNS / 4);
  expect(inRows).toBeLessThan(RUNS);
  expect(await rowsOf('careful')).toEqual(plain);
});

describe.each([
  ['an account', 'account', newAccountSource],
  ['an organization', 'organization', newSource],
] as const)('the log of %s', (_, kind, newOne) => {
  test.each(ways)(
    '%s: account and zone are those of the entry; without one, the account whose log it is',
    async (name, pages) => {
      const { pool } = database;
      const source = `${kind} ${name}`;
      const texts = oddities.map(([id, more]) => entryText(id, undefined, more));
      await commitAll(pool, await newOne(pool, source), pages(texts));
      const { rows } = await pool.query<Record<string, string | null>>(
        `select id, account_id, account_name, zone_id, zone_name,
         coalesce(raw::jsonb #>> '{account,id}', case when source_kind = 'account' then source_id end) as expected_account_id,
         raw::jsonb #>> '{account,name}' as expected_account_name, raw::jsonb #>> '{zone,id}' as expected_zone_id,
         raw::jsonb #>> '{zone,name}' as expected_zone_name
       from audit_events where source_kind = $1 and source_id = $2`,
        [kind, source],
      );
      expect(rows).toHaveLength(oddities.length);
      for (const row of rows) {
        for (const column of ['account_id', 'account_name', 'zone_id', 'zone_name']) {
          expect(row[column], `${column} of ${row['id']}`).toBe(row[`expected_${column}`]);
        }
        if (kind === 'account') expect(row['account_id'], `of ${row['id']}`).not.toBeNull();
      }
    },
  );
});

test.each([
  ['text', fc.option(plainTexts), (values: (string | null)[]) => arrayOf(values, 'text')],
  [
    'integer',
    fc.option(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
    (values: (number | null)[]) => integerArray(values),
  ],
] as [string, fc.Arbitrary<string | number | null>, (values: (string | number | null)[]) => Buffer][])(
  'arrays of %s arrive as they were, nulls and every character included',
  async (type, values, array) => {
    await fc.assert(
      fc.asyncProperty(fc.array(values, { maxLength: 30 }), async (all) => {
        // As JSON, which loses nothing of the values.
        const { rows } = await pool.query(`select to_json($1::${type}[]) as value`, [array(all)]);
        expect(rows[0].value).toEqual(all);
      }),
      { seed: ARRAY_SEED, numRuns: 200 },
    );
  },
);

test('json arrays keep every text to the byte', async () => {
  const json = fc.jsonValue().map((value) => ` ${JSON.stringify(value, undefined, 1)}`);
  const wellFormed = json.filter((text) => text.isWellFormed());
  await fc.assert(
    fc.asyncProperty(fc.array(wellFormed, { maxLength: 20 }), async (values) => {
      const statement = 'select array(select unnest($1::json[])::text) as texts';
      expect((await pool.query(statement, [arrayOf(values, 'json')])).rows[0].texts).toEqual(values);
    }),
    { seed: ARRAY_SEED, numRuns: 100 },
  );
});

/** Without a number: those are left to PostgreSQL (see readPlainPage). */
const numberless = fc.letrec((again) => ({
  value: fc.oneof(
    { weight: 6, arbitrary: fc.string({ unit: 'binary' }) },
    fc.constantFrom(null, true, false, '', {}, []),
    fc.array(again('value'), { maxLength: 3 }),
    fc.dictionary(fc.string({ unit: 'binary', maxLength: 4 }), again('value'), { maxKeys: 4 }),
  ),
})).value;

type Part = (top: string, more?: Readonly<Record<string, fc.Arbitrary<unknown>>>) => fc.Arbitrary<unknown>;

const partOf =
  (values: fc.Arbitrary<unknown>): Part =>
  (top, more = {}) =>
    fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record(
          {
            ...Object.fromEntries(
              Object.values(paths)
                .filter(([parent]) => parent === top)
                .map(([, key]) => [key, fc.oneof(fc.string({ unit: 'binary' }), values)]),
            ),
            ...more,
          },
          { requiredKeys: Object.keys(more) },
        ),
      },
      { weight: top === 'action' ? 0 : 1, arbitrary: values },
    );

const instants = fc
  .date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true })
  .chain((date) =>
    fc.constantFrom(
      ...['Z', 'z', '+00:00', '+15:59', '-15:59'].map((zone) => date.toISOString().replace('Z', zone)),
      date.toISOString().replace('T', ' ').replace('.', '.999'),
      date.toISOString().replace('T', 't').replace(/\.\d+/, ''),
      date.toISOString().replace(/:\d\d\.\d+Z/, ':60Z'),
    ),
  );

const entriesOf = (part: Part) =>
  fc
    .record({
      action: part('action', { time: instants }),
      actor: part('actor'),
      raw: part('raw', {
        status_code: fc.oneof(fc.integer(), fc.string(), fc.integer({ min: 0, max: 999 }).map(String), fc.jsonValue()),
        cf_rayid: fc.string(),
      }),
      resource: part('resource', { request: fc.jsonValue(), response: fc.jsonValue() }),
      more: fc.jsonValue(),
    })
    .chain((entry) => fc.constantFrom(JSON.stringify(entry), JSON.stringify(entry, undefined, 3)))
    // NUL is a defect: such an entry is not plain.
    .filter((text) => !text.includes('\\u0000'));

/** Everything but what names the source and the moment. */
const rowsOf = async (source: string): Promise<readonly unknown[]> => {
  const { rows } = await pool.query(
    `select to_jsonb(e) - '{source_id,organization_id,received_at,position,raw}'::text[] as columns, raw::text as raw
     from audit_events e where source_id = $1 order by position`,
    [source],
  );
  return rows;
};

/** Mostly without a number in a column, so that most pages go in rows. */
const pages = fc.oneof(
  { weight: 4, arbitrary: fc.array(entriesOf(partOf(numberless)), { minLength: 1, maxLength: 12 }) },
  { weight: 1, arbitrary: fc.array(entriesOf(partOf(fc.jsonValue({ maxDepth: 2 }))), { minLength: 1, maxLength: 12 }) },
);

const SEED = 20_260_110;
const RUNS = 60;

const columnsOf = async (more: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>> => {
  counter += 1;
  const id = `columns-${counter}`;
  const lease = await takeLease(pool, 'columns');
  await commit(pool, lease, [entryText(id, undefined, more)]);
  const { rows } = await pool.query(
    `select ${Object.keys(paths).join(', ')}, raw_status_code from audit_events where id = $1`,
    [id],
  );
  return rows[0];
};

// What `audit_events` says of account and zone is what the entry says, by PostgreSQL's own reading of it, however odd that is.

const oddities: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ['nothing', {}],
  ['null', { account: null, zone: null }],
  ['an empty object', { account: {}, zone: {} }],
  ['an empty array', { account: [], zone: [] }],
  ['an array of objects', { account: [{ id: 'within' }], zone: [{ id: 'within' }] }],
  ['a text', { account: 'text', zone: 'text' }],
  ['a number', { account: 12, zone: 12 }],
  ['an id that is null', { account: { id: null, name: null }, zone: { id: null, name: null } }],
  ['an empty id', { account: { id: '', name: '' }, zone: { id: '', name: '' } }],
  ['an id that is a number', { account: { id: 12, name: 1.5 }, zone: { id: 12, name: 1e3 } }],
  ['an id that is true', { account: { id: true, name: false }, zone: { id: true } }],
  ['an id that is an object', { account: { id: { a: 1 }, name: ['x'] }, zone: { id: [1], name: {} } }],
  ['its own id', { account: { id: 'own', name: 'Name' }, zone: { id: 'z', name: 'shop.example' } }],
  ['the id of another account', { account: { id: 'another', name: 'Another' }, zone: { id: 'z2' } }],
  ['an organization as well', { account: { id: 'own' }, organization: { id: 'o1', name: 'Of the account' } }],
  ['letters beyond ASCII', { account: { id: 'ä\u2028"\\', name: '\ud83d\ude00' }, zone: { id: 'ö', name: 'ü' } }],
];

const ARRAY_SEED = 20_261_125;

/** Rows with these texts in one place: every third stands apart, as what has escapes does. */
const pageRowsOf = (values: readonly (string | null)[]): PageRows => {
  const bytes = Buffer.from(values.join(''));
  const spans = new Int32Array(values.length * PLACES * 2).fill(NULL);
  const replaced = new Map<number, string>();
  let start = 0;
  for (const [row, value] of values.entries()) {
    const index = (row * PLACES + place.text) * 2;
    const end = start + Buffer.byteLength(value ?? '');
    if (value === null) continue;
    if (row % 3 === 2) {
      spans[index] = REPLACED;
      replaced.set(index, value);
    } else spans.set([start, end], index);
    start = end;
  }
  return { bytes, spans, replaced, firsts: values.map((_, index) => index + 1), statusCodes: values.map(() => null) };
};

const arrayOf = (values: readonly (string | null)[], type: 'text' | 'json'): Buffer => {
  const rows = pageRowsOf(values);
  const target = Buffer.alloc(sizeOfArray(rows, place.text));
  writeArray(rows, place.text, type, target);
  return target;
};
