import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { readCatalogue, useArchive } from '../../../src/archive/catalogue.sql.ts';
import { columnsOf, FEED_ID } from '../../../src/archive/columns.ts';
import { quoted, withDuck } from '../../../src/archive/parquet/duckdb.ts';
import { openObjectStore } from '../../../src/archive/store/object-store.ts';
import { type ArchiveWorld, openArchiveWorld } from '../../support/archive/archive-world.ts';
import { bytesOfParquet } from '../../support/archive/read-objects.ts';
import { sqlBlock, statementsOf } from '../../support/documents/page-sql.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

const EVENTS = 1_300;
const blockWith = (words: string): string => sqlBlock('docs/query.md', words);

type Kind = 'BIGINT' | 'INTEGER' | 'VARCHAR' | 'TIME';
interface Column {
  readonly name: string;
  readonly type: Kind;
}

/** In the order of a file. */
const columns: readonly Column[] = columnsOf.events.flatMap(({ name, type, isTime }, index): Column[] => {
  const column: Column = { name, type: isTime === true ? 'TIME' : type };
  return index === 0 ? [column, { name: FEED_ID, type: 'VARCHAR' }] : [column];
});

let world: ArchiveWorld;
beforeEach(async () => {
  world = await openArchiveWorld(EVENTS);
  const target = { kind: 'file', name: `file://${world.directory}`, directory: world.directory } as const;
  const store = openObjectStore(target, { accessKey: undefined, secretKey: undefined, environment: {} });
  await useArchive(world.daemon, store.name);
  for (const month of ['2024-01', '2024-02']) await archiveMonth({ pool: world.daemon, store }, month);
});
afterEach(() => world[Symbol.asyncDispose]());

const pathOf = async (month: string): Promise<string> => {
  const [object] = await readCatalogue(world.daemon, month);
  return join(world.directory, object?.key ?? '');
};
const rowsOf = (sql: readonly string[]) =>
  withDuck({ memoryMb: 300, directory: world.directory }, async (connection) => {
    for (const statement of sql.slice(0, -1)) await connection.run(statement);
    return (await connection.runAndReadAll(sql.at(-1) ?? '')).getRowsJson();
  });
test('the lines for DuckDB read what is catalogued, whatever else is in the bucket; those with a glob have no event twice', async () => {
  const january = await pathOf('2024-01');
  await copyFile(january, january.replace('.parquet', '-again.parquet'));
  const { stdout } = await runInProcess(['archive', 'list', '--addresses'], { DATABASE_URL: world.database.daemonUrl });
  expect(stdout).toBe(`${january}\n${await pathOf('2024-02')}\n`);
  const list = join(world.directory, 'objects.txt');
  await writeFile(list, stdout);
  const byList = statementsOf(blockWith('set variable')).map((sql) => sql.replace("'objects.txt'", quoted(list)));
  expect(await rowsOf(byList)).toEqual([
    ['2024-01', String(EVENTS + 1), expect.any(String)],
    ['2024-02', '1', expect.any(String)],
  ]);
  const [view = ''] = statementsOf(blockWith('audit_events_of_bucket'));
  const byGlob = [
    view.replace('s3://audit-archive/orgtrail', world.directory),
    'select count(*), count(distinct position), list_sort(list(distinct month)) from audit_events_of_bucket',
  ];
  expect(await rowsOf(byGlob)).toEqual([[String(EVENTS + 2), String(EVENTS + 2), ['2024-01', '2024-02']]]);
});

test('the columns of the page are those of the files', async () => {
  const described = await rowsOf([
    `describe from read_parquet(${quoted(await pathOf('2024-01'))}, hive_partitioning = false)`,
  ]);
  const inDuck = {
    BIGINT: 'BIGINT',
    INTEGER: 'INTEGER',
    VARCHAR: 'VARCHAR',
    TIME: 'TIMESTAMP WITH TIME ZONE',
  } as const;
  expect(described.map(([name, type]) => [name, type])).toEqual(columns.map(({ name, type }) => [name, inDuck[type]]));
  const listed = (line: (name: string, type: Kind) => string) =>
    columns.map(({ name, type }) => line(name, type)).join(', ');
  const flat = (sql: string) => sql.replaceAll(/\s+/g, ' ');
  const athena = { BIGINT: 'bigint', INTEGER: 'int', VARCHAR: 'string', TIME: 'timestamp' } as const;
  expect(flat(blockWith('-- Athena'))).toContain(
    `( ${listed((name, type) => `\`${name}\` ${athena[type]}`)} ) partitioned by`,
  );
  const trino = { BIGINT: 'bigint', INTEGER: 'integer', VARCHAR: 'varchar', TIME: 'timestamp' } as const;
  expect(flat(blockWith('-- Trino'))).toContain(
    `( ${listed((name, type) => `"${name}" ${trino[type]}`)}, feed varchar`,
  );
  const snowflake = { BIGINT: 'number', INTEGER: 'number', VARCHAR: 'varchar', TIME: 'timestamp_ntz' } as const;
  const derived = listed((name, type) => `${name} ${snowflake[type]} as (value:${name}::${snowflake[type]})`);
  expect(flat(blockWith('-- Snowflake'))).toContain(`, ${derived} ) partition by`);
});

test.each([1, 2])('two readers agree on 1,000 random rows to the byte (seed %i)', async (seed) => {
  const path = await pathOf('2024-01');
  const others = await bytesOfParquet(await readFile(path));
  const hexOf = ({ name, type }: Column) => {
    if (type === 'VARCHAR') return `hex(encode("${name}"))`;
    return type === 'TIME' ? `epoch_us("${name}")::varchar` : `"${name}"::varchar`;
  };
  const own = await rowsOf([`select ${columns.map(hexOf).join(', ')} from read_parquet(${quoted(path)})`]);
  expect([own.length, others.length]).toEqual([EVENTS + 1, EVENTS + 1]);
  const random = seededRandom(seed);
  const picked = [...own.keys()]
    .map((row) => ({ row, at: random() }))
    .sort((a, b) => a.at - b.at)
    .slice(0, 1_000);
  const textOf = (value: unknown) => {
    if (value === null || value === undefined) return null;
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex').toUpperCase() : String(value);
  };
  expect(picked).toHaveLength(1_000);
  for (const { row } of picked) expect(columns.map(({ name }) => textOf(others[row]?.[name]))).toEqual(own[row]);
});
