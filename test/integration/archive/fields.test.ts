import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { boundOf, fieldsOf } from '../../../src/archive/columns.ts';
import { quoted, withDuck } from '../../../src/archive/parquet/parquet.ts';
import { openFileArchive } from '../../support/archive/archive-world.ts';
import { rowsOfParquet } from '../../support/archive/read-objects.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';

/** Other engines find columns by these numbers, in objects of any age: none may ever change or be used again. */
const fixedNumbers = {
  events: `1 position long, 2 feed_id string, 3 source_kind string, 4 source_id string, 5 organization_id string, 6 organization_name string,
    7 id string, 8 action_time timestamptz, 9 received_at timestamptz, 10 action_type string, 11 action_result string, 12 action_description string,
    13 actor_id string, 14 actor_type string, 15 actor_context string, 16 actor_email string, 17 actor_ip_address string, 18 actor_token_id string,
    19 actor_token_name string, 20 raw_cf_ray_id string, 21 raw_method string, 22 raw_status_code int, 23 raw_uri string, 24 raw_user_agent string,
    25 resource_id string, 26 resource_product string, 27 resource_type string, 28 resource_scope string, 29 raw string, 30 defects string,
    31 account_id string, 32 account_name string, 33 zone_id string, 34 zone_name string`,
  changes: `1 position long, 2 feed_id string, 3 change_id long, 4 source_kind string, 5 source_id string, 6 event_id string, 7 seen_at timestamptz,
    8 raw string, 9 raw_sha256 string`,
};
const kinds = ['events', 'changes'] as const;
const duckTypes = { long: 'BIGINT', int: 'INTEGER', string: 'VARCHAR', timestamptz: 'TIMESTAMP WITH TIME ZONE' };

describe('every object', () => {
  const world = forAllTests(() => openFileArchive(30));
  const { folder: directory } = temporaryFolder();
  const ask = (sql: string) =>
    withDuck({ memoryMb: 200, directory }, async (duck) => (await duck.runAndReadAll(sql)).getRowsJson());

  test.each(kinds)('of %s has a fixed number for each of its columns; a reader finds them by these', async (kind) => {
    await world.change('january-7');
    await world.archive();
    expect(fieldsOf[kind].map(({ id, name, type }) => `${id} ${name} ${type}`)).toEqual(
      fixedNumbers[kind].split(',').map((each) => each.trim()),
    );
    const [object] = (await world.owner.query('select key from archive_objects where kind = $1', [kind])).rows;
    const file = `${world.directory}/${object.key}`;
    const schema = await ask(
      `select field_id::integer, name from parquet_schema(${quoted(file)}) where num_children is null`,
    );
    expect(schema).toEqual(fieldsOf[kind].map(({ id, name }) => [id, name]));
    const byNumber = fieldsOf[kind].map(
      ({ id, type }) => `${id}: {name: 'c${id}', type: '${duckTypes[type]}', default_value: null}`,
    );
    const byPosition = `from read_parquet(${quoted(file)}`;
    const rows = await ask(`${byPosition}, schema = map {${byNumber.join(', ')}}) order by 1`);
    expect(rows).toEqual(await ask(`${byPosition}, hive_partitioning = false) order by 1`));
  });

  test('has its bounds and the size of its footer in the catalogue, also one that an earlier version wrote, once it is read back', async () => {
    await world.archive();
    const catalogued = async () =>
      (await world.owner.query('select key, kind, bounds, footer_bytes::integer from archive_objects order by id'))
        .rows;
    const objects = await catalogued();
    for (const { key, kind, bounds, footer_bytes: footerBytes } of objects) {
      const bytes = await readFile(`${world.directory}/${key}`);
      expect(footerBytes).toBe(bytes.readUInt32LE(bytes.length - 8));
      const rows = await rowsOfParquet(bytes, { timestampFromMicroseconds: (microseconds: bigint) => microseconds });
      for (const [id, bound] of Object.entries(bounds)) {
        const { name = '' } = fieldsOf[kind as 'events'][Number(id) - 1] ?? {};
        const values = rows.flatMap((row) => (row[name] == null ? [] : [row[name] as string | bigint])).sort(inOrder);
        const [min, max] = [values[0], values.at(-1)].map((value) => value?.toString());
        expect([name, bound]).toEqual([
          name,
          { nulls: rows.length - values.length, ...(min !== undefined && { min, max }) },
        ]);
      }
    }
    const forget = () => world.owner.query('update archive_objects set bounds = null, footer_bytes = null');
    await forget();
    await world.archive();
    expect(await catalogued()).toEqual(objects);
    await forget();
    expect(await runInProcess(['archive', 'verify', '--contents'], world.env)).toMatchObject({ code: 0 });
    expect(await catalogued()).toEqual(objects);
  });
});

/** As JavaScript compares code units, it has another order beyond U+FFFF. */
const inOrder = (one: string | bigint, other: string | bigint): number =>
  typeof one === 'string' && typeof other === 'string'
    ? Buffer.compare(Buffer.from(one), Buffer.from(other))
    : Number(BigInt(one) - BigInt(other));

test.each([
  ['a'.repeat(64), 'a'.repeat(64)],
  ['a'.repeat(65), `${'a'.repeat(63)}b`],
  [`${'a'.repeat(63)}\u{d7ff}a`, `${'a'.repeat(63)}\u{e000}`],
  [`${'a'.repeat(62)}b\u{10ffff}a`, `${'a'.repeat(62)}c`],
  ['\u{10ffff}'.repeat(65), undefined],
  ['😀'.repeat(65), `${'😀'.repeat(63)}😁`],
])('a bound of a long text is above all that begin so: %#', (longest, max) => {
  expect(boundOf(0, longest, longest)).toEqual({
    nulls: 0,
    min: [...longest].slice(0, 64).join(''),
    ...(max !== undefined && { max }),
  });
  if (max !== undefined) expect(inOrder(longest, max)).toBeLessThanOrEqual(0);
});
