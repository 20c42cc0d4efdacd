import { beforeAll, expect, test } from 'vitest';
import { syncOnce } from '../../../src/ingest/sync/sync-once.ts';
import { parseMetrics } from '../../support/deploy/metrics-text.ts';
import { startLoad } from '../../support/feed/reader-loads.ts';
import { idle } from '../../support/postgres/idle.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { usageOf } from '../../support/process/process-usage.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const LARGE = 6;
const world = ofAllTests(() => openWorld({ organizations: 1, entries: 20 }));
let first: number;
beforeAll(async () => {
  const run = await world.open();
  await syncOnce(run.app.sync, { signal: new AbortController().signal, stopping: () => false, retries: 3 });
  await run.close();
  const { pool } = world.database;
  // Copies of the newest one: a search has them first.
  const { rows } = await pool.query<{
    position: number;
    newest: number;
    columns: string;
  }>(`select h.position::float8 as position,
    (select position::float8 from audit_events order by action_time desc limit 1) as newest,
    (select string_agg(quote_ident(attname), ', ') from pg_attribute where attrelid = 'audit_events'::regclass and attnum > 0
      and not attisdropped and attname not in ('id', 'position', 'raw')) as columns from feed_head h`);
  const { position = 0, newest = 0, columns } = rows[0] ?? {};
  first = position + 1;
  await pool.query(
    `insert into audit_events (id, position, raw, ${columns})
     select id || '-' || n, $1 + n, (regexp_replace(raw::text, '}\\s*$', '') || ',"large":"' || repeat('<', $2) || '"}')::json, ${columns}
     from audit_events, generate_series(1, ${LARGE}) n where position = $3`,
    [position, LARGE_BYTES, newest],
  );
  await pool.query(
    `with text as materialized (select string_agg(md5(n::text), '') as part from generate_series(1, 2000) n)
     insert into audit_events (id, position, raw, ${columns})
     select id || '-medium-' || n, $1 + n, (regexp_replace(raw::text, '}\\s*$', '') || ',"medium":"' || repeat(part, 1 + n % 40) || '"}')::json, ${columns}
     from audit_events, text, generate_series(1, ${MEDIUM}) n where position = $2`,
    [position + LARGE, newest],
  );
  await pool.query('update feed_head set position = position + $1', [LARGE + MEDIUM]);
});

const at = (reader: number): number => first + (reader % LARGE);

test.each([
  ['page', 'pages of one event', (reader: number) => `/events/${at(reader)}`],
  ['page', 'originals', (reader: number) => `/events/${at(reader)}/original`],
  ['page', 'arrivals', () => '/v1/search/arrivals?after=0'],
])(
  '%s: 10 readers that take nothing of events of 40 MB (%s) fit into 512 MB, and are cut off',
  async (kind, of, path) => {
    await using daemon = await startDaemonProcess({
      ...world.env,
      ORGTRAIL_SCHEDULE: '0 0 0 1 1 *',
      ORGTRAIL_STALL_TIMEOUT: '3s',
    });
    const url = /"url":"([^"]+)"/.exec(daemon.process.stdout())?.[1] ?? '';
    const { pid = 0 } = daemon.process.child;
    const load = startLoad(url, { readers: READERS, path, reads: false });
    try {
      const stalled = async () =>
        parseMetrics((await daemon.get('/metrics')).text).get(`orgtrail_streams_stalled_total{kind="${kind}"}`) ?? 0;
      const answers = (status: number) => load.counts().statuses[status] ?? 0;
      // It is taken by the connection, also if the reader takes nothing.
      const isShort = of === 'pages of one event';
      const isTooLarge = async () => (await usageOf(pid)).peakResidentBytes >= MAX_RESIDENT_BYTES;
      await until(
        'all are answered, or some are cut off',
        async () => (await isTooLarge()) || (isShort ? answers(200) >= READERS : (await stalled()) >= 3),
      );
      expect((await usageOf(pid)).peakResidentBytes).toBeLessThan(MAX_RESIDENT_BYTES);
      expect((await daemon.get('/livez')).code).toBe(200);
    } finally {
      load.stop();
    }
  },
);

/** As many as a daemon serves at once. */
const readersOf: readonly (readonly [readers: number, path: (reader: number) => string])[] = [
  [28, (reader) => `/v1/events?format=ocsf&after=${first - 1 + (reader % 2) * LARGE}`],
  [8, (reader) => `/v1/events?format=ecs&after=${at(reader) - 1}`],
  [24, (reader) => `/v1/events?after=${first - 1 + reader}`],
  [24, () => '/v1/search?limit=20&since=3650d'],
  [2, () => '/v1/search?format=ndjson&since=3650d'],
];

test('readers of all kinds together that take nothing of events of 64 KB to 40 MB fit into 512 MB', async () => {
  // A busy machine may take more than a minute for all this: none of them is to be cut meanwhile.
  const env = { ...world.env, ORGTRAIL_SCHEDULE: '0 0 0 1 1 *', ORGTRAIL_STALL_TIMEOUT: '1h' };
  await using daemon = await startDaemonProcess(env);
  const url = /"url":"([^"]+)"/.exec(daemon.process.stdout())?.[1] ?? '';
  const { pid = 0 } = daemon.process.child;
  const loads = readersOf.map(([readers, path]) => startLoad(url, { readers, path, reads: false }));
  try {
    await until('all are stalled, or wait for memory', async () => {
      await idle(pid);
      const { rowCount } = await world.database.pool.query(
        `select from pg_stat_activity where datname = current_database() and state = 'active' and pid <> pg_backend_pid()
           and backend_type = 'client backend'`,
      );
      return rowCount === 0;
    });
    const { peakResidentBytes } = await usageOf(pid);
    const metrics = parseMetrics((await daemon.get('/metrics')).text);
    expect(metrics.get('orgtrail_streams_open{kind="feed"}')).toBeGreaterThan(40);
    expect(metrics.get('orgtrail_streams_open{kind="page"}')).toBeGreaterThan(10);
    expect(metrics.get('orgtrail_streams_open{kind="export"}')).toBe(2);
    expect(peakResidentBytes).toBeLessThan(MAX_RESIDENT_BYTES);
    expect((await daemon.get('/livez')).code).toBe(200);
  } finally {
    for (const load of loads) load.stop();
  }
});

/** What all manifests give the daemon. */
const MAX_RESIDENT_BYTES = 512 * 1_048_576;

const LARGE_BYTES = 40_000_000;
const READERS = 10;
/** Of 64 KB to 2.5 MB. No compression makes them small. */
const MEDIUM = 60;
