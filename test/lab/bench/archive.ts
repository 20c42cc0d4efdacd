// What an archive takes: `npm run lab bench-archive` makes 500,000 events of 18 months, and runs `orgtrail archive run` into a directory, then
// `verify --contents`, `restore` of a month, and `run --drop`. `--events 100000` is a small one.
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createPool } from '../../../src/postgres/pool.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { startCluster } from '../../support/postgres/postgres-cluster.ts';
import { startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { usageOf } from '../../support/process/process-usage.ts';
import { makeLargeHistory } from '../../support/search/large-history.ts';

const { values } = parseArgs({ options: { events: { type: 'string', default: '500000' } } });
const events = Number(values.events);
const MONTH = '2026-01';
const LOOK_EVERY_MS = 50;
const say = (line: string) => process.stdout.write(`${line}\n`);
const load = () =>
  loadavg()
    .map((each) => each.toFixed(1))
    .join(' ');

/** Runs a command to its end; the most memory that it ever had, and how long it took. */
const measured = async (args: readonly string[], env: Readonly<Record<string, string>>) => {
  const startedAt = performance.now();
  const running = startOrgtrail(args, env);
  let [peakBytes, cpuMs] = [0, 0];
  const look = setInterval(() => {
    usageOf(running.child.pid ?? 0).then(
      (usage) => {
        // A process that has ended and was not waited for yet has none.
        peakBytes = Math.max(peakBytes, usage.peakResidentBytes);
        cpuMs = Math.max(cpuMs, usage.cpuMs);
      },
      () => {},
    );
  }, LOOK_EVERY_MS);
  const code = await running.ended;
  clearInterval(look);
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${running.stderr()}`);
  return { seconds: (performance.now() - startedAt) / 1_000, peakBytes, cpuSeconds: cpuMs / 1_000 };
};

const sizeOf = async (directory: string): Promise<{ readonly objects: number; readonly bytes: number }> => {
  const names = (await readdir(directory, { recursive: true })).filter((name) => name.endsWith('.parquet'));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(directory, name))).size));
  return { objects: names.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
};

const directory = await mkdtemp(join(tmpdir(), 'orgtrail-bench-archive-'));
await using cluster = await startCluster({ settings: { shared_buffers: '512MB', max_wal_size: '8GB' } });
const pool = createPool(cluster.url(), 4, () => {});
try {
  await migrateDatabase(pool);
  await makeLargeHistory(pool, { events, organizations: 20, untilMs: Date.UTC(2026, 8, 28) });
  await pool.query('update discovery set server_time = clock_timestamp()');
  const { rows } = await pool.query<{ raw: number; bytes: number; ofMonth: number }>(
    `select avg(octet_length(raw::text))::float8 as raw, count(*) filter (where to_char(action_time at time zone 'UTC', 'YYYY-MM') = $1)::float8 as "ofMonth",
       (select sum(pg_total_relation_size(inhrelid))::float8 from pg_inherits where inhparent = 'audit_events'::regclass) as bytes
     from audit_events`,
    [MONTH],
  );
  const [stored] = rows;
  if (stored === undefined) throw new Error('there are no events');
  const per = (bytes: number) => `${Math.round(bytes / events)} B an event`;
  say(`${events} events, raw text ${stored.raw.toFixed(0)} B; in PostgreSQL ${per(stored.bytes)}`);
  const env = { DATABASE_URL: cluster.url(), ORGTRAIL_ARCHIVE: `file://${directory}`, ORGTRAIL_RETENTION: '31d' };
  const commands: readonly [readonly string[], number][] = [
    [['archive', 'run'], events],
    [['archive', 'verify', '--contents'], events],
    [['archive', 'restore', MONTH, '--out', join(directory, 'restored.ndjson')], stored.ofMonth],
    [['archive', 'run', '--drop'], events],
  ];
  for (const [args, count] of commands) {
    const { seconds, peakBytes, cpuSeconds } = await measured(args, env);
    const rate = Math.round(count / seconds).toLocaleString('en');
    say(
      `orgtrail ${args.slice(0, 3).join(' ')}: ${seconds.toFixed(1)} s, ${rate} events/s, ${cpuSeconds.toFixed(1)} s CPU, ${Math.round(peakBytes / 1e6)} MB resident at most; load ${load()} on ${cpus().length} cores`,
    );
  }
  const { objects, bytes } = await sizeOf(directory);
  say(`${objects} objects, ${per(bytes)}: ${(stored.bytes / bytes).toFixed(1)} times less than PostgreSQL`);
} finally {
  await pool.end();
  await rm(directory, { recursive: true, force: true });
}
