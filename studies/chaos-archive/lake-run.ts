import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readFeedId } from '../../src/archive/catalogue.sql.ts';
import { fieldsOf } from '../../src/archive/columns.ts';
import { withDuck } from '../../src/archive/parquet/parquet.ts';
import { askClickHouse, hasClickHouse } from '../../test/support/archive/clickhouse.ts';
import { runOrgtrail } from '../../test/support/process/orgtrail-process.ts';
import { seededRandom } from '../../test/support/process/seeded-random.ts';
import { type ArchiveServers, openSeedWorld, type SeedWorld } from './archive-world.ts';
import { moments, runAndKill } from './killed-run.ts';
import { addLate, tamper } from './outsiders.ts';

const MONTHS = 14;
const ROUNDS = 5;
const months = Array.from({ length: MONTHS }, (_, n) => new Date(Date.UTC(2024, n)).toISOString().slice(0, 7));
const run = ['archive', 'run', ...months.flatMap((month) => ['--month', month])];
/** Nothing is dropped. */
const killedAt = moments.filter((moment) => !['dropping', 'dropped'].includes(moment));
const putAt = moments.filter((moment) => moment.startsWith('put'));
/** In the order of writing; objects many times, all others once or twice. */
const steps: readonly (readonly [name: string, keys: RegExp, most: number])[] = [
  ['object', /\/v1\/(events|changes)\//, 16],
  ['manifest of a month', /\/m-[^/]+\.avro/, 2],
  ['manifest list', /\/snap-/, 2],
  ['metadata', /\.metadata\.json/, 2],
  ['hint', /version-hint/, 2],
  ['state', /\/v1\/state\//, 1],
  ['manifest of the archive', /\/v1\/manifest\//, 1],
];

/** Throws what a reader has otherwise than the database. */
const compared = (what: string, found: unknown, expected: unknown): void => {
  if (JSON.stringify(found) !== JSON.stringify(expected))
    throw new Error(`${what}: ${JSON.stringify(found)}\nis not ${JSON.stringify(expected)}`);
};

/**
 * Archives 14 months with processes that are killed, while objects are changed outside and events come late. After each round, whose last process is not
 * killed, ClickHouse by the Iceberg table, and DuckDB by its list of files and by field ids, must have what PostgreSQL has; and each older snapshot what it
 * had then.
 */
export const runLake = async (
  servers: ArchiveServers,
  { seed, events, kills, say }: { seed: number; events: number; kills: number; say: (line: string) => void },
): Promise<void> => {
  if (!hasClickHouse) throw new Error('there is no ClickHouse: scripts/install/clickhouse.sh');
  const random = seededRandom(seed);
  const copy = await mkdtemp(join(tmpdir(), 'orgtrail-lake-'));
  await using world = await openSeedWorld(servers, seed);
  try {
    await fill(world, events);
    const env = { ...world.env, ORGTRAIL_RETENTION: '', ORGTRAIL_ARCHIVE_TABLE_BASE: `file://${copy}` };
    const folder = `v1/iceberg/feed=${await readFeedId(world.owner)}`;
    const table = `icebergLocal('${copy}/${folder}')`;
    const seen: { readonly snapshot: string; readonly digests: unknown }[] = [];
    const killed = new Map<string, number>();
    for (let round = 1; round <= ROUNDS; round += 1) {
      let [changed, late] = [0, 0];
      for (let n = 0; n < kills / ROUNDS; n += 1) {
        const any = n % 2 === 0 ? putAt : killedAt;
        const moment = any[Math.floor(random() * any.length)] ?? 'any time';
        const isPut = putAt.includes(moment);
        const [name, of, most] = (isPut && steps[(n + round) % steps.length]) || ['', /./, 16];
        const [nth, afterMs] = [1 + Math.floor(random() * most), 600 + random() * 6_000];
        const { isKilled } = await runAndKill(servers, world, { args: run, env, moment, nth, of, afterMs });
        const where = isPut ? `${moment} of ${name}` : moment;
        if (isKilled) killed.set(where, (killed.get(where) ?? 0) + 1);
        if (random() < 0.3) changed += (await tamper(world, random, 'v1/events')) === undefined ? 0 : 1;
        if (random() < 0.7) late += (await addLate(world.owner, random, `${seed}-${round}-${n}`)) === undefined ? 0 : 1;
      }
      // Other bytes of the same rows take the place of objects that were changed.
      const version = { ORGTRAIL_ARCHIVE_PARQUET: String(1 + (round % 2)) };
      const beganAt = performance.now();
      const ended = await runOrgtrail(run, { ...env, ...version });
      if (ended.code !== 0) throw new Error(`the last run of a round: ${ended.stdout}${ended.stderr}`);
      const seconds = (performance.now() - beganAt) / 1_000;
      const bytes = await copyBucket(world, copy);
      const digests = await digestsOfDatabase(world);
      const [ofTable, paths] = await askClickHouse(
        copy,
        digestsIn(table),
        `select distinct _path as path from ${table}`,
      );
      compared(`round ${round}, ClickHouse`, ofTable?.error ?? ofTable?.data.map(asDigest), digests);
      const files = (paths?.data ?? []).map(({ path }) => `/${String(path).replace(/^\/+/, '')}`);
      compared(`round ${round}, DuckDB`, await digestsOfFiles(files), digests);
      const {
        rows: [last],
      } = await world.owner.query<{ id: string }>(
        "select entry ->> 'snapshot-id' as id from archive_snapshots where kind = 'events' order by number desc limit 1",
      );
      seen.push({ snapshot: last?.id ?? '', digests });
      const older = await askClickHouse(
        copy,
        ...seen.map(({ snapshot }) => digestsIn(table, ` settings iceberg_snapshot_id = ${snapshot}`)),
      );
      compared(
        `round ${round}, older snapshots`,
        older.map(({ data, error }) => error ?? data.map(asDigest)),
        seen.map((each) => each.digests),
      );
      const [one] = await askClickHouse(
        copy,
        `select max(length(raw)) from ${table} where action_time >= '2024-07-01' and action_time < '2024-08-01'`,
      );
      compared(
        `round ${round}, one month`,
        one?.statistics.rows_read,
        digests.find(({ month }) => month === '2024-07')?.rows,
      );
      const all = digests.reduce((sum, { rows }) => sum + rows, 0);
      say(
        `round ${round}: ${all.toLocaleString('en')} events in ${files.length} objects, ${(bytes / 1e6).toFixed(1)} MB of objects that count (${Math.round(bytes / all)} B an event), last run ${seconds.toFixed(1)} s; ${seen.length} snapshots as they were; changed outside: ${changed}, late: ${late}`,
      );
    }
    say(
      `killed: ${[...killed]
        .sort()
        .map(([moment, count]) => `${moment} ${count}`)
        .join(', ')}`,
    );
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
};

const fill = async ({ owner }: SeedWorld, events: number): Promise<void> => {
  await owner.query(`select orgtrail_create_partitions('2024-01-01', '2025-02-27')`);
  const { rows } = await owner.query<{ position: number }>('select position::float8 from feed_head');
  const from = rows[0]?.position ?? 0;
  await owner.query({
    text: `insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, action_type, actor_email, raw_status_code, defects, raw)
     select 'organization', 'o', 'o' || n % 7, md5(n::text), ${from} + n, timestamptz '2024-01-01T00:00:00Z' + n * interval '1 month' * ${MONTHS}.0 / ${events + 1},
       (array['create', 'delete', null])[1 + n % 3], 'actor-' || n % 50 || '@example.com', case when n % 2 = 0 then 200 + n % 300 end,
       case when n % 11 = 0 then array['no_actor', 'no_zone'] end,
       json_build_object('id', n, 'ray', md5(n || 'ray'), 'text', repeat('word ' || n % 1000 || ' ', 60) || E'"\\u2028😀')
     from generate_series(1, ${events}) n`,
    query_timeout: 600_000,
  } as never);
  await owner.query('update feed_head set position = $1', [from + events]);
};

interface Digest {
  readonly month: string;
  readonly rows: number;
  readonly md5: string;
}

const asDigest = ({ month, rows, md5 }: Readonly<Record<string, unknown>>): Digest => ({
  month: String(month),
  rows: Number(rows),
  md5: String(md5),
});

const texts = {
  clickHouse: (name: string, type: string) =>
    `ifNull(toString(${type === 'timestamptz' ? `toUnixTimestamp64Micro(${name})` : name}), '~')`,
  duck: (name: string, type: string) =>
    `coalesce(${type === 'timestamptz' ? `epoch_us(${name})` : name}::varchar, '~')`,
  postgres: (name: string, type: string) =>
    `coalesce(${type === 'timestamptz' ? `(extract(epoch from ${name}) * 1000000)::bigint` : name}::text, '~')`,
};
const rowOf = (engine: keyof typeof texts): string =>
  fieldsOf.events.map(({ name, type }) => texts[engine](name, type)).join(', ');

/** Of each month, all columns of all rows in order of position. */
const digestsIn = (table: string, settings = ''): string =>
  `select formatDateTime(action_time, '%Y-%m', 'UTC') as month, count() as rows,
     lower(hex(MD5(arrayStringConcat(arrayMap(x -> x.2, arraySort(x -> x.1, groupArray((position, text)))), '\\n')))) as md5
   from (select action_time, position, arrayStringConcat([${rowOf('clickHouse')}], char(31)) as text from ${table}) group by month order by month${settings}`;

const digestsOfDatabase = async ({ owner }: SeedWorld): Promise<readonly Digest[]> => {
  const { rows } = await owner.query<Digest>({
    text: `select to_char(action_time at time zone 'UTC', 'YYYY-MM') as month, count(*)::integer as rows, md5(string_agg(text, chr(10) order by position)) as md5
     from (select action_time, position, array_to_string(array[${rowOf('postgres')}], chr(31)) as text from audit_feed where action_time < '2025-03-01') f
     group by 1 order by 1`,
    query_timeout: 600_000,
  } as never);
  return rows;
};

const duckTypes: Readonly<Record<string, string>> = { long: 'BIGINT', int: 'INTEGER', timestamptz: 'TIMESTAMPTZ' };

/** By field ids alone. */
const digestsOfFiles = async (files: readonly string[]): Promise<readonly Digest[]> => {
  const columns = fieldsOf.events.map(
    ({ id, name, type }) => `${id}: {name: '${name}', type: '${duckTypes[type] ?? 'VARCHAR'}', default_value: NULL}`,
  );
  return await withDuck({ memoryMb: 2_000, directory: tmpdir() }, async (duck) => {
    const found = await duck.runAndReadAll(
      `select strftime(make_timestamp(epoch_us(action_time)), '%Y-%m') as month, count(*) as rows, md5(string_agg(text, chr(10) order by position)) as md5
       from (select action_time, position, concat_ws(chr(31), ${rowOf('duck')}) as text
         from read_parquet([${files.map((file) => `'${file}'`).join(', ')}], schema = map {${columns.join(', ')}}, hive_partitioning = false))
       group by 1 order by 1`,
    );
    return found.getRowObjects().map(asDigest);
  });
};

/** Bytes of the objects that count. */
const copyBucket = async ({ bucket, owner }: SeedWorld, to: string): Promise<number> => {
  for (let after: string | undefined; ; ) {
    const { keys } = await bucket.list({ folder: 'v1', ...(after !== undefined && { after }) });
    if (keys.length === 0) break;
    for (const key of keys) {
      const file = join(to, key);
      // As it was when a snapshot named it: as a bucket with versions gives it.
      if (key.startsWith('v1/events/') && existsSync(file)) continue;
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, (await bucket.get(key))?.bytes ?? '');
    }
    after = keys.at(-1);
  }
  const { rows } = await owner.query<{ bytes: number }>(
    "select sum(bytes)::float8 as bytes from archive_objects where kind = 'events' and superseded_at is null",
  );
  return rows[0]?.bytes ?? 0;
};
