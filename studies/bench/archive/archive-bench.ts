// What an archive takes, as the table of docs/development/benchmarks.md: `npm run lab bench-archive`, see --help.
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Client, type Pool } from 'pg';
import { createPool } from '../../../src/postgres/pool.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { makeLargeHistory } from '../../../test/support/search/large-history.ts';
import { writeReport } from '../bench-report.ts';
import { findPostmaster } from '../measure.ts';
import { type ArchiveFigures, renderArchive } from './archive-table.ts';
import { openBenchServer } from './bench-server.ts';
import { runMeasured } from './command-cost.ts';
import { readWholeFeed } from './read-feed.ts';

const help = `Usage: npm run lab bench-archive -- [--events 10000000] [--data DIR] [--archive DIR] [--report docs/development/benchmarks.md]

Makes events of the 18 months before today, archives and drops the oldest 15 into a directory, verifies, restores a month, reads the feed
from its beginning, and restores all into an empty database. Prints progress on stderr, and a table on stdout; --report puts that into a file, in the
place of the one before. It needs some 30 GB of disk below TMPDIR for 10,000,000 events, 5 GB of it for WAL.

--data DIR uses the events that \`npm run lab bench-history -- --keep DIR\` has made, and drops its oldest months. --archive DIR keeps the
archive there.
`;
const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '10000000' },
    data: { type: 'string' },
    archive: { type: 'string' },
    report: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const events = Number(values.events);
if (values.help || !Number.isSafeInteger(events) || events < 1_000) {
  process.stdout.write(help);
  process.exit(values.help ? 0 : 2);
}
const DAY_MS = 86_400_000;
/** 15 of the 18 months are older. */
const RETENTION_DAYS = 92;
const startedAt = performance.now();
const progress = (line: string) =>
  process.stderr.write(`${((performance.now() - startedAt) / 1_000).toFixed(0).padStart(5)} s: ${line}\n`);

const makeEvents = async (pool: Pool): Promise<void> => {
  await migrateDatabase(pool);
  await pool.query('update discovery set server_time = clock_timestamp()');
  if (values.data !== undefined) return;
  const step = Math.max(50_000, Math.floor(events / 20));
  let told = 0;
  await makeLargeHistory(pool, {
    events,
    organizations: 20,
    untilMs: Math.floor(Date.now() / DAY_MS) * DAY_MS,
    onProgress: (done) => {
      if (done < told + step && done < events) return;
      told = done;
      progress(done < events ? `${done} of ${events} events made` : 'all events made; indexes are built');
    },
  });
};

interface Numbers {
  readonly events: number;
  readonly raw: number;
  readonly bytes: number;
}

const readNumbers = async (pool: Pool): Promise<Numbers> => {
  const { rows } = await pool.query<Numbers>(
    `select (select position::float8 from feed_head) as events, (select avg(octet_length(raw::text))::float8 from (select raw from audit_events limit 100000) as sample) as raw,
       (select sum(pg_total_relation_size(inhrelid))::float8 from pg_inherits where inhparent = 'audit_events'::regclass) as bytes`,
  );
  return rows[0] ?? { events: 0, raw: 0, bytes: 0 };
};

const readArchived = async (pool: Pool) => {
  const { rows } = await pool.query<{ month: string; events: number; last: number }>(
    `select to_char(month, 'YYYY-MM') as month, sum(events)::float8 as events, max(last_position)::float8 as last
     from archive_objects where superseded_at is null group by 1 order by 1`,
  );
  const largest = [...rows].sort((a, b) => b.events - a.events)[0];
  if (largest === undefined) throw new Error('nothing was archived');
  return {
    months: rows.length,
    events: rows.reduce((sum, each) => sum + each.events, 0),
    last: Math.max(...rows.map(({ last }) => last)),
    largest,
  };
};

const sizeOf = async (directory: string): Promise<{ readonly objects: number; readonly bytes: number }> => {
  const names = (await readdir(directory, { recursive: true })).filter((name) => name.endsWith('.parquet'));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(directory, name))).size));
  return { objects: names.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
};

const measure = async (url: string, pool: Pool, directory: string): Promise<ArchiveFigures> => {
  const client = new Client(url);
  await client.connect();
  const postmaster = await findPostmaster(client);
  await client.end();
  const before = await readNumbers(pool);
  const env = { DATABASE_URL: url, ORGTRAIL_ARCHIVE: `file://${directory}`, ORGTRAIL_RETENTION: `${RETENTION_DAYS}d` };
  const run = async (...args: string[]) => {
    progress(`orgtrail ${args.join(' ')}`);
    return await runMeasured(args, env, postmaster);
  };
  const write = await run('archive', 'run');
  const archived = await readArchived(pool);
  const verify = await run('archive', 'verify', '--contents');
  const { month, events: ofMonth } = archived.largest;
  const restored = join(directory, 'restored.ndjson');
  const restore = await run('archive', 'restore', month, '--out', restored);
  await rm(restored);
  const drop = await run('archive', 'run', '--drop');
  const after = await readNumbers(pool);
  progress('orgtrail feed');
  const feed = await readWholeFeed(env, postmaster, { lastCold: archived.last, last: before.events });
  const lost = new URL(url);
  lost.pathname = '/restored';
  await pool.query('drop database if exists restored');
  await pool.query('create database restored');
  const empty = createPool(lost.href, 2, () => {});
  await migrateDatabase(empty).finally(() => empty.end());
  progress('orgtrail archive restore --into');
  const into = await runMeasured(['archive', 'restore', '--into'], { ...env, DATABASE_URL: lost.href }, postmaster);
  return {
    into,
    events: before.events,
    rawBytes: before.raw,
    bytesBefore: before.bytes,
    bytesAfter: after.bytes,
    archived: { ...archived, ...(await sizeOf(directory)) },
    write,
    verify,
    restore: { ...restore, month, events: ofMonth },
    drop,
    feed,
  };
};

const directory = values.archive ?? (await mkdtemp(join(tmpdir(), 'orgtrail-bench-archive-')));
await using server = await openBenchServer(values.data);
const pool = createPool(server.url, 4, () => {});
try {
  progress(values.data === undefined ? `${events} events are made` : `the events in ${values.data} are used`);
  await makeEvents(pool);
  const text = renderArchive(await measure(server.url, pool, directory));
  process.stdout.write(`${text}\n`);
  if (values.report !== undefined) await writeReport(values.report, undefined, [{ name: 'archive', text }]);
} finally {
  await pool.end();
  if (values.archive === undefined) await rm(directory, { recursive: true, force: true });
}
