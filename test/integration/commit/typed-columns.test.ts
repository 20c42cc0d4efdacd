import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { asCareful, commit, entryText, newSource, pageOf, takeLease } from '../../support/postgres/store-fixture.ts';

/** The columns and the places in an entry that they are read from, as the API's filters spell them. */
const paths: Readonly<Record<string, readonly [string, string]>> = Object.fromEntries(
  [
    ...['type', 'result', 'description'].map((key) => ['action', key]),
    ...['id', 'type', 'context', 'email', 'ip_address', 'token_id', 'token_name'].map((key) => ['actor', key]),
    ...['cf_ray_id', 'method', 'uri', 'user_agent'].map((key) => ['raw', key]),
    ...['id', 'product', 'type', 'scope'].map((key) => ['resource', key]),
  ].map(([top = '', key = '']) => [`${top}_${key}`, [top, key]]),
);

const database = databaseOfTests();
beforeAll(async () => {
  for (const id of ['columns', 'plain', 'careful']) await newSource(database.pool, id);
});

let counter = 0;

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

  for (const [name, raw, expected] of [
    ['cf_ray_id', { cf_ray_id: 'a' }, 'a'],
    ['cf_rayid', { cf_rayid: 'b' }, 'b'],
    ['cf_ray_id before cf_rayid', { cf_rayid: 'b', cf_ray_id: 'a' }, 'a'],
    ['cf_rayid where cf_ray_id is null', { cf_ray_id: null, cf_rayid: 'b' }, 'b'],
  ] as const) {
    test(`raw_cf_ray_id is read from ${name}`, async () => {
      expect(await columnsOf({ raw })).toMatchObject({ raw_cf_ray_id: expected });
    });
  }

  for (const [status, expected] of [
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
  ] as const) {
    test(`the status code ${JSON.stringify(status)} is ${expected}`, async () => {
      expect(await columnsOf({ raw: { status_code: status } })).toMatchObject({ raw_status_code: expected });
    });
  }

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
  const { rows } = await database.pool.query(
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

test('plain entries give the same rows, in all columns, whether they go in columns or are read carefully', async () => {
  let page = 0;
  let inRows = 0;
  await fc.assert(
    fc.asyncProperty(pages, async (texts) => {
      page += 1;
      const withIds = texts.map((text, index) => `{"id":"${page}/${index}",${text.trimStart().slice(1)}`);
      const read = pageOf(withIds, undefined, true);
      expect(read.kind).not.toBe('careful');
      if (read.kind === 'columns') inRows += 1;
      const counts = { kind: 'committed', stored: texts.length, changed: 0, defective: 0 };
      expect(await commit(database.pool, await takeLease(database.pool, 'plain'), read)).toMatchObject(counts);
      expect(await commit(database.pool, await takeLease(database.pool, 'careful'), asCareful(read))).toMatchObject(
        counts,
      );
    }),
    { seed: SEED, numRuns: RUNS },
  );
  const plain = await rowsOf('plain');
  expect(plain.length).toBeGreaterThan(RUNS);
  expect(inRows).toBeGreaterThan(RUNS / 4);
  expect(inRows).toBeLessThan(RUNS);
  expect(await rowsOf('careful')).toEqual(plain);
});

const SEED = 20_260_110;
const RUNS = 60;

const columnsOf = async (more: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>> => {
  counter += 1;
  const id = `columns-${counter}`;
  const lease = await takeLease(database.pool, 'columns');
  await commit(database.pool, lease, [entryText(id, undefined, more)]);
  const { rows } = await database.pool.query(
    `select ${Object.keys(paths).join(', ')}, raw_status_code from audit_events where id = $1`,
    [id],
  );
  return rows[0];
};
