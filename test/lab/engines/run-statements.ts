import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { withDuck } from '../../../src/archive/parquet/duckdb.ts';
import { readObjects } from '../../support/s3/read-objects.ts';
import { documentedStatements } from './documented.ts';
import { BUCKET, type EnginesWorld } from './engines-world.ts';
import { differenceOf, fileColumns, storedRows } from './file-rows.ts';
import { type Findings, listDifference } from './findings.ts';
import { type ClickHouse, inClickHouse } from './readers/clickhouse.ts';

const DUCK_MEMORY_MB = 1_000;
const sinkObjects = { gzip: '*/*.ndjson.gz', zstd: '*/*.ndjson.zst' } as const;

/** Runs the last statement of a documented block behind the others, and returns its rows. */
const rowsOf = (clickHouse: ClickHouse, statements: readonly string[]) => {
  clickHouse.run(...statements.slice(0, -1));
  return clickHouse.rows(statements.at(-1) ?? '');
};

const keysOf = ({ storage }: EnginesWorld): string => `'${storage.accessKey}', '${storage.secretKey}'`;

/** The statements of docs/query.md for ClickHouse, on the archive in the bucket. */
export const runArchiveStatements = async (world: EnginesWorld, clickHouse: ClickHouse, findings: Findings) => {
  const address = `${world.storage.endpoint}/${BUCKET}/orgtrail`;
  const counts = await countsOfMonths(world);
  await findings.attempt('docs/query.md, ClickHouse by a glob', () =>
    listDifference(
      counts.filter(([month]) => month.startsWith('2024-')).map(([month, count]) => [month, String(count)]),
      rowsOf(clickHouse, documentedStatements('months', [address, keysOf(world)])).map(([month, count]) => [
        month,
        String(count),
      ]),
    ),
  );
  await world.addForeignObjects();
  await findings.attempt('docs/query.md, ClickHouse by the manifest, with a doubled and a broken object beside', () =>
    listDifference(
      counts.map(([month, count]) => [month, String(count), String(count)]),
      rowsOf(clickHouse, documentedStatements('manifest', [address, keysOf(world), world.feedId])).map(
        ([month, count, positions]) => [month, String(count), String(positions)],
      ),
    ),
  );
  const columns = fileColumns('events');
  for (const month of world.months) {
    await findings.attempt(`all rows of ${month} in the view of docs/query.md`, async () =>
      differenceOf(
        await storedRows(world.pool, 'events', month),
        clickHouse.rows(
          `select ${columns.map(inClickHouse).join(', ')} from audit_events where month = '${month}' order by position`,
        ) as (string | null)[][],
        columns,
      ),
    );
  }
  clickHouse.run('drop view if exists audit_events');
};

const countsOfMonths = async ({ pool, months }: EnginesWorld): Promise<readonly (readonly [string, number])[]> => {
  const { rows } = await pool.query<{ month: string; count: number }>(
    `select to_char(action_time at time zone 'UTC', 'YYYY-MM') as month, count(*)::float8 as count from audit_events
     where action_time > '-infinity' group by 1`,
  );
  return rows.filter(({ month }) => months.includes(month)).map(({ month, count }) => [month, count] as const);
};

/** The statements of docs/sinks-s3.md, on what the sink wrote. */
export const runSinkStatements = async (world: EnginesWorld, clickHouse: ClickHouse, findings: Findings) => {
  const stored = await storedEvents(world);
  const types = countBy(stored.map(({ raw }) => [isUnreadable(raw) ? '' : typeOf(raw)]));
  for (const compression of ['gzip', 'zstd'] as const) {
    for (const format of ['native', 'ocsf'] as const) {
      await world.deliver(`${format}-${compression}`, format, compression);
    }
    const puts = (format: string) => [
      `${world.storage.endpoint}/${BUCKET}/sink/${format}-${compression}/${sinkObjects[compression]}`,
      keysOf(world),
    ];
    await findings.attempt(`docs/sinks-s3.md, ClickHouse, native, ${compression}`, () =>
      listDifference(types, withTextCounts(rowsOf(clickHouse, documentedStatements('native', puts('native'))))),
    );
    await findings.attempt(`docs/sinks-s3.md, the table of ClickHouse, ${compression}, filled twice`, () => {
      const [create = '', insert = '', count = ''] = documentedStatements('table', puts('native'));
      return listDifference([[String(stored.length)]], rowsOf(clickHouse, [create, insert, insert, count]).map(texts));
    });
    await findings.attempt(`raw, id and time of all events in that table, ${compression}`, () => {
      const rows = clickHouse.rows(
        `select toString(position), lower(hex(feed_id)), lower(hex(id)), toString(toUnixTimestamp64Micro(action_time)), lower(hex(raw))
         from audit_events final order by position`,
      );
      return listDifference(
        stored.map(({ position, id, time, raw }) => [position, hex(world.feedId), hex(id), time, hex(readRaw(raw))]),
        rows,
      );
    });
    clickHouse.run('drop table if exists audit_events');
    const lines = await linesOf(world, `ocsf-${compression}`);
    const classes = countBy(lines.map(({ class_uid, actor }) => [class_uid, actor?.user?.email_addr ?? null]));
    await findings.attempt(`docs/sinks-s3.md, ClickHouse, ocsf, ${compression}`, () =>
      listDifference(classes, withTextCounts(rowsOf(clickHouse, documentedStatements('ocsf', puts('ocsf'))))),
    );
  }
  await findings.attempt('docs/sinks-s3.md, DuckDB, on copied files', async () =>
    listDifference([[String(stored.length)]], await countInDuck(world, 'native-gzip')),
  );
};

interface StoredEvent {
  readonly position: string;
  readonly id: string;
  readonly time: string | null;
  readonly raw: string;
}

const storedEvents = async ({ pool }: EnginesWorld): Promise<readonly StoredEvent[]> => {
  const { rows } = await pool.query<StoredEvent>(
    `select position::text, id, (extract(epoch from nullif(action_time, '-infinity')) * 1000000)::bigint::text as time, raw::text as raw
     from audit_events order by position`,
  );
  return rows;
};

/** As docs/sinks-s3.md says that ClickHouse reads it. */
const readRaw = (raw: string): string => {
  const line = raw.replace(/[\r\n]/g, ' ');
  if (raw.startsWith('"')) return JSON.parse(raw);
  return raw === 'null' ? '' : line;
};

const typeOf = (raw: string): string => {
  const type = JSON.parse(raw)?.action?.type;
  return typeof type === 'string' ? type : '';
};

/** As docs/sinks-s3.md says of JSONExtract: half of a surrogate pair, a number that no double holds, or very many levels. */
const isUnreadable = (raw: string): boolean => {
  if (raw.includes('['.repeat(1_000))) return true;
  let isOne = false;
  JSON.parse(raw, (key, value) => {
    const isBroken = typeof value === 'string' ? !value.isWellFormed() : value === Infinity || value === -Infinity;
    isOne ||= isBroken || !key.isWellFormed();
    return value;
  });
  return isOne;
};

const hex = (text: string): string => Buffer.from(text).toString('hex');
const texts = (row: readonly unknown[]): readonly string[] => row.map(String);
const withTextCounts = (rows: readonly (readonly unknown[])[]) =>
  rows.map((row) => [...row.slice(0, -1), String(row.at(-1))]);

const countBy = (keys: readonly (readonly unknown[])[]): readonly (readonly unknown[])[] => {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(JSON.stringify(key), (counts.get(JSON.stringify(key)) ?? 0) + 1);
  return [...counts].map(([key, count]) => [...JSON.parse(key), String(count)]);
};

const linesOf = async ({ bucket }: EnginesWorld, name: string) =>
  (await readObjects(bucket, `sink/${name}`)).flatMap(({ lines }) => lines.map((line) => JSON.parse(line)));

const countInDuck = async ({ bucket }: EnginesWorld, name: string) => {
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-engines-copied-'));
  try {
    for (const object of await readObjects(bucket, `sink/${name}`)) {
      const copy = join(directory, object.name);
      await mkdir(dirname(copy), { recursive: true });
      await writeFile(copy, (await bucket.get(object.name))?.bytes ?? '');
    }
    const [sql = ''] = documentedStatements('duck', [join(directory, 'sink', name, sinkObjects.gzip)]);
    return await withDuck({ memoryMb: DUCK_MEMORY_MB, directory }, async (connection) =>
      (await connection.runAndReadAll(sql)).getRowsJson().map(texts),
    );
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};
