import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Served, serve } from '../../support/sync/served.ts';
import { openWorld, type SyncRun, type SyncWorld } from '../../support/sync/sync-world.ts';

let world: SyncWorld;
let run: SyncRun;
let served: Served;
let ids: readonly string[];

beforeAll(async () => {
  world = await openWorld({ organizations: 3 });
  run = await world.open();
  await run.cycle();
  served = await serve(run);
  const { pool } = world.database;
  ids = (await pool.query<{ id: string }>('select id from sources order by id')).rows.map(({ id }) => id);
  for (const table of tables) await pool.query(`create table kept_${table} as table ${table}`);
});
afterEach(async () => {
  const { pool } = world.database;
  for (const table of tables) await pool.query(`delete from ${table}; insert into ${table} table kept_${table}`);
});
afterAll(async () => {
  await served?.[Symbol.asyncDispose]();
  await run?.close();
  await world?.[Symbol.asyncDispose]();
});

test('a first reading is progress with the time left, on the overview and on its own page, and no trouble', async () => {
  await readOnly(ids[0], 0.75);
  // A quarter of the time is left; a twentieth of it took five minutes: 25 are left.
  await pace(ids[0], (await wantedSeconds()) / 20);

  const overview = await served.text('/');
  expect(textOf(overview)).toMatch(
    /reading history The history of 1 organization is being read for the first time: 7[45] % of the time is collected, about 2[4-7]m left\./,
  );
  expect(overview).not.toContain('verdict-behind');
  expect(overview).not.toContain('tl-gap');
  const row = new RegExp(`<tr id="o-${ids[0]}">(.*?)</tr>`, 's').exec(overview)?.[1] ?? '';
  expect(textOf(row)).toMatch(/reading history .*7[45] % · about 2[4-7]m left/);
  expect(row).toContain('tl-ahead');
  expect(textOf(overview)).toMatch(/1 reading history/);

  const page = await text(`/organizations/${ids[0]}`);
  expect(page).toMatch(
    /Its history is being read for the first time: 7[45] % of the time is collected, about 2[4-7]m left/,
  );
  expect(page).toContain('history: read next');
  expect(await text('/?state=reading')).toMatch(/7[45] % · about/);
  expect(await text('/?state=behind')).toContain('No organizations match.');
  // The contract for machines says what it said.
  const { body } = await served.get('/v1/status');
  const { sources } = body as { sources: readonly Record<string, unknown>[] };
  expect(sources.find(({ id }) => id === ids[0])).toMatchObject({ state: 'behind', firstReading: true });
});

test('nothing is estimated from nothing, and what was not begun yet waits', async () => {
  await world.database.pool.query('delete from coverage where source_id = $1', [ids[0]]);
  await world.database.pool.query('delete from coverage_readings where source_id = $1', [ids[0]]);
  const page = await text(`/organizations/${ids[0]}`);
  expect(page).toContain('0 % of the time is collected, no estimate of the time left yet');
  expect(await text('/')).toContain('0 % · no estimate of the time left yet');
});

test('time that was skipped is trouble as before: in between, or the newest, also while history is read', async () => {
  for (const id of ids.slice(0, 2)) await readOnly(id, 0.5);
  const { pool } = world.database;
  const without = (id: string | undefined, from: string, to: string | null) =>
    pool.query(
      `update coverage set ranges = ranges - tstzmultirange(tstzrange(now() - $2::interval, now() - $3::interval)) where source_id = $1 and pass = 0`,
      [id, from, to],
    );
  await without(ids[0], '5 hours', '4 hours');
  await without(ids[1], '30 minutes', null);
  const overview = await served.text('/');
  expect(textOf(overview)).toMatch(/behind 2 organizations behind/);
  expect(overview).toContain('tl-gap');
  expect(overview).not.toContain('being read for the first time');
  expect(await text(`/organizations/${ids[0]}`)).toContain('Being collected, and not up to date yet.');
});

test('with too many sources to name each, first readings are still counted', async () => {
  await readOnly(ids[0], 0.75);
  await using grouped = await serve(run, { mostEach: 1 });
  const overview = textOf(await grouped.text('/'));
  expect(overview).toMatch(
    /The history of 1 organization is being read for the first time: 7[45] % of the time is collected\. New/,
  );
  expect(overview).not.toContain('1 organization behind');
});

test('errors stand whole on the overview, however long', async () => {
  const error = `GET /organizations/${'0'.repeat(32)}/logs/audit was answered with 403 (code 10000): ${'reason '.repeat(40)}end`;
  await world.database.pool.query(
    "update lanes set failures = 2, last_failure = 'http', last_error = $2 where source_id = $1",
    [ids[1], error],
  );
  expect(await served.text('/')).toContain(`fails: ${error}`);
});

test('the budget is said as requests that were sent, of so many that are allowed', async () => {
  const sent = run.metrics.recentRequests();
  expect(sent).toBeGreaterThanOrEqual(3);
  const limit = run.config.credentials[0]?.budget.toLocaleString('en') ?? '';
  expect(await text('/')).toContain(
    `API requests ${sent.toLocaleString('en')} of ${limit} requests of this process in the last 5 minutes`,
  );
  await world.database.pool.query(
    "update api_budget set blocked_until = now() + interval '239 seconds', blocked_because = 'retry_after'",
  );
  expect(await text('/')).toMatch(/API requests paused, 3m \d+s Cloudflare asked for it \(429, Retry-After\)/);
});

/** What has been read: after each test it is as it was. */
const tables = ['coverage', 'coverage_readings'];

const textOf = (page: string): string => page.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');

const text = async (path: string) => textOf(await served.text(path));

/** As in the middle of the first reading: what is older than a share of the time wanted is not read yet. */
const readOnly = async (id: string | undefined, share: number): Promise<void> => {
  await world.database.pool.query(
    `update coverage c set ranges = ranges * tstzmultirange(tstzrange(now() - (now() - greatest(s.wanted_since, now() - s.wanted_history)) * $2, null))
     from sources s where s.id = c.source_id and c.source_id = $1 and c.pass = 0`,
    [id, share],
  );
};

/** It read so much of history in the last five minutes, and began then. */
const pace = async (id: string | undefined, seconds: number): Promise<void> => {
  const { pool } = world.database;
  await pool.query('delete from coverage_readings where source_id = $1', [id]);
  await pool.query(
    `insert into coverage_readings
     select kind, id, filter_hash, now() - interval '1 hour' - make_interval(secs => $2), now() - interval '1 hour', 'first reading', 0, 'asc', 0,
       now() - interval '5 minutes', now() from sources where id = $1`,
    [id, seconds],
  );
};

const wantedSeconds = async (): Promise<number> =>
  (
    await world.database.pool.query(
      'select extract(epoch from now() - greatest(wanted_since, now() - wanted_history))::float8 as seconds from sources limit 1',
    )
  ).rows[0].seconds;
