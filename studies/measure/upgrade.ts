// Migrates a database of an earlier release that has many events, and measures for how long its readers and writers wait meanwhile. Not a test: figures
// depend on the machine. Needs the history of the repository.
// npm run lab upgrade -- --from 1c452f5b --events 1000000
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { Client, Pool } from 'pg';
import { startCluster } from '../../test/support/postgres/postgres-cluster.ts';
import { unpackRelease } from '../../test/support/process/old-release.ts';
import { startOrgtrail } from '../../test/support/process/orgtrail-process.ts';
import { makeLargeHistory } from '../../test/support/search/large-history.ts';

const { values } = parseArgs({
  options: {
    /** 0.2.0. */
    from: { type: 'string', default: '1c452f5b' },
    events: { type: 'string', default: '1000000' },
  },
});
const events = Number(values.events);
const untilMs = Date.now();

/** What the collector does for a page: a row, and the feed's head until its commit. */
const write = `with page as (
    insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw)
    select 'organization', 'measured', 'measured', $1, position + 1, now(), '{}' from feed_head for update of feed_head)
  update feed_head set position = position + 1`;
const read = `select count(*) from audit_events where action_time > now() - interval '1 day' and $1::text is not null`;

/** Repeats a statement until it is told to stop. Resolves with the longest that one took, and how many there were. */
const repeat = async (url: string, text: string, signal: AbortSignal) => {
  const client = new Client(url);
  await client.connect();
  const beganMs = performance.now();
  const tookMs: [atMs: number, ms: number][] = [];
  while (!signal.aborted) {
    const startedMs = performance.now();
    await client.query(text, [`measured ${tookMs.length}`]);
    tookMs.push([startedMs - beganMs, performance.now() - startedMs]);
  }
  await client.end();
  const longest = tookMs.sort((a, b) => b[1] - a[1]).slice(0, 5);
  return `${tookMs.length} times; the longest: ${longest.map(([atMs, ms]) => `${seconds(ms)} (after ${seconds(atMs)})`).join(', ')}`;
};

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

const migrate = async (env: Readonly<Record<string, string>>, root?: string): Promise<string> => {
  const startedMs = performance.now();
  const migration = startOrgtrail(['migrate', '--roles'], env, root === undefined ? {} : { root });
  const code = await migration.ended;
  if (code !== 0) throw new Error(`migrate ended with ${code}: ${migration.stderr()}`);
  return seconds(performance.now() - startedMs);
};

await using cluster = await startCluster({ settings: { fsync: 'on', shared_buffers: '512MB', max_wal_size: '8GB' } });
await using old = await unpackRelease(values.from);
for (const role of ['orgtrail_ingest', 'orgtrail_reader']) await cluster.sql(`create role ${role}`);
const { url } = await cluster.createDatabase();
const env = { DATABASE_URL: url };
await migrate(env, old.root);
const pool = new Pool({ connectionString: url, max: 3 });
const onProgress = (done: number) => console.error(`${done} of ${events} events`);
await makeLargeHistory(pool, { events, organizations: 200, untilMs, onProgress });
const stop = new AbortController();
const reader = repeat(url, read, stop.signal);
const writer = repeat(url, write, stop.signal);
const migrated = await migrate(env);
console.log(`${events} events of ${values.from}: migrated in ${migrated}, load ${loadavg()[0]?.toFixed(1)}`);
stop.abort();
console.log(`reader: ${await reader}\nwriter: ${await writer}`);
await pool.end();
