import { createHash } from 'node:crypto';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CataloguedObject, readCatalogue, readFeedId } from '../../../src/archive/catalogue.sql.ts';
import { columnsOf, FEED_ID } from '../../../src/archive/columns.ts';
import { writeManifest } from '../../../src/archive/manifest.ts';
import { quoted, withDuck } from '../../../src/archive/parquet/duckdb.ts';
import { type ArchiveWorld, openFileArchive } from '../../support/archive/archive-world.ts';
import { bytesOfParquet } from '../../support/archive/read-objects.ts';
import { sqlBlock, statementsOf } from '../../support/documents/page-sql.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';

/** In the order of a file. */
const columns: readonly Column[] = columnsOf.events.flatMap(({ name, type, isTime }, index): Column[] => {
  const column: Column = { name, type: isTime === true ? 'TIME' : type };
  return index === 0 ? [column, { name: FEED_ID, type: 'VARCHAR' }] : [column];
});

let world: ArchiveWorld;
let object: CataloguedObject;
/** The objects of the two months. */
let january: string;
let february: string;
beforeAll(async () => {
  world = await openFileArchive(EVENTS);
  for (const month of ['2024-01', '2024-02']) await world.archive(month, { maxRows: 1_000_000 });
  await writeManifest({ pool: world.daemon, store: world.store });
  [object] = (await readCatalogue(world.daemon)) as [CataloguedObject];
  [january, february] = (await world.objects()) as [string, string];
});
afterAll(() => world[Symbol.asyncDispose]());

test('the columns of the page are those of the files', async () => {
  const described = await rowsOf([`describe from read_parquet(${quoted(january)}, hive_partitioning = false)`]);
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

test('two readers agree on all rows to the byte', async () => {
  const others = await bytesOfParquet(await readFile(january));
  const hexOf = ({ name, type }: Column) => {
    if (type === 'VARCHAR') return `hex(encode("${name}"))`;
    return type === 'TIME' ? `epoch_us("${name}")::varchar` : `"${name}"::varchar`;
  };
  const own = await rowsOf([`select ${columns.map(hexOf).join(', ')} from read_parquet(${quoted(january)})`]);
  const textOf = (value: unknown) => {
    if (value === null || value === undefined) return null;
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex').toUpperCase() : String(value);
  };
  expect(own).toHaveLength(EVENTS + 1);
  expect(others.map((row) => columns.map(({ name }) => textOf(row[name])))).toEqual(own);
});

test('the lines of docs/archive.md read an archive, and give the hashes of the catalogue and the keys of sinks', async () => {
  const lines = sqlBlock('docs/archive.md', "'january/*.parquet'").split('\n');
  const run = (sql = '') => rowsOf([sql.replace("'january/*.parquet'", quoted(january))]);
  const [events, ids, raws, keys] = lines.filter((line) => line.startsWith('select'));
  expect(await run(events?.replace('mira@example.com', 'someone@example.com'))).toHaveLength(EVENTS + 1);
  expect(await run(ids)).toEqual([[object.idsSha256]]);
  expect(await run(raws)).toEqual([[object.rawSha256]]);
  const keyOf = (id: string) => createHash('sha256').update(`organization\0o\0${id}`).digest('base64url');
  expect(await run(keys)).toContainEqual([expect.anything(), keyOf('january-7')]);
  const footer = `select value::varchar from parquet_kv_metadata(${quoted(january)}) where key::varchar = 'last_position'`;
  expect(await run(footer)).toEqual([[String(object.lastPosition)]]);
});

test('those for the manifest read it, without one that was kept of a newer database', async () => {
  const feedId = await readFeedId(world.owner);
  const path = (name: string) => join(world.directory, `v1/manifest/feed=${name}.json`);
  await copyFile(path(feedId), path(`${feedId}-before-0123456789ab`));
  const [listed, ...read] = statementsOf(sqlBlock('docs/archive.md', '-- what the bucket holds')).map((sql) =>
    sql
      .replace(/'manifest\/feed=(.*)\.json'/, (_, feed) => quoted(path(feed === 'FEED_ID' ? feedId : feed)))
      .replace('s3://audit-archive/orgtrail', world.directory),
  );
  expect(await rowsOf([listed ?? ''])).toEqual([
    ['2024-01', 'events', String(EVENTS + 1), expect.anything(), expect.anything()],
    ['2024-02', 'events', '1', expect.anything(), expect.anything()],
  ]);
  expect(await rowsOf(read)).toEqual([[String(EVENTS + 2), String(EVENTS + 2)]]);
});

test('the lines for DuckDB read what is catalogued, whatever else is in the bucket; those with a glob have no event twice', async () => {
  await copyFile(january, january.replace('.parquet', '-again.parquet'));
  const { stdout } = await runInProcess(['archive', 'list', '--addresses'], { DATABASE_URL: world.database.daemonUrl });
  expect(stdout).toBe(`${january}\n${february}\n`);
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

const EVENTS = 300;

const blockWith = (words: string): string => sqlBlock('docs/query.md', words);

type Kind = 'BIGINT' | 'INTEGER' | 'VARCHAR' | 'TIME';

interface Column {
  readonly name: string;
  readonly type: Kind;
}

const rowsOf = (sql: readonly string[]) =>
  withDuck({ memoryMb: 300, directory: world.directory }, async (connection) => {
    for (const statement of sql.slice(0, -1)) await connection.run(statement);
    return (await connection.runAndReadAll(sql.at(-1) ?? '')).getRowsJson();
  });
