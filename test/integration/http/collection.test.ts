import { afterEach, beforeAll, expect, test } from 'vitest';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const world = forAllTests(() => openWorld({ organizations: 3 }));
const pool = poolOfWorld(world);
const run = forAllTests(() => world.open());
const served = forAllTests(() => serve(run));
let ids: readonly string[];

beforeAll(async () => {
  await run.cycle();
  ids = (await pool.query<{ id: string }>('select id from sources order by id')).rows.map(({ id }) => id);
  for (const table of tables) await pool.query(`create table kept_${table} as table ${table}`);
});

afterEach(async () => {
  for (const table of tables) await pool.query(`delete from ${table}; insert into ${table} table kept_${table}`);
});

test('what is not collected is one number under one name: overview, organization, status, the API, health (invariant 14)', async () => {
  const id = (await pool.query<{ id: string }>('select min(id) as id from sources')).rows[0]?.id ?? '';
  expect(await text('/'), 'before').toMatch(
    /All 3 organizations are up to date\. Not collected: (?:\d+[ms] ?)+ at most\./,
  );

  // Twenty minutes of some hours ago, and what has passed since the last turn.
  await pool.query(
    `update coverage set ranges = ranges - tstzmultirange(tstzrange(now() - interval '5 hours', now() - interval '280 minutes'))
     where pass = 0 and source_id = $1`,
    [id],
  );
  const inTheDatabase = async (): Promise<number> =>
    (await pool.query('select gap_seconds from sync_status where source_id = $1', [id])).rows[0].gap_seconds;
  const least = Math.floor(await inTheDatabase());
  const overview = await served.text('/');
  const row = new RegExp(`<tr id="o-${id}">(.*?)</tr>`, 's').exec(overview)?.[1] ?? '';
  const numbers = [...row.matchAll(/<td class="number">(.*?)<\/td>/g)].map(([, number]) => number);
  const page = await text(`/organizations/${id}`);
  const status = (await runInProcess(['status'], world.env)).stdout;
  const lines = status.split('\n');
  const at = lines.find((line) => line.startsWith('ORGANIZATION'))?.indexOf('NOT COLLECTED') ?? -1;
  const health = (await served.get('/healthz')).body as { sources: Record<string, unknown>[] };
  const api = (await served.get('/v1/status')).body as { sources: Record<string, unknown>[] };
  const search = (await served.get(`/v1/search?organization=${id}`)).body as { coverage: Record<string, unknown> };
  const shown = {
    overview: secondsIn(numbers[1]),
    organization: secondsIn(/Not collected: ((?:\d+[dhms] )+)From/.exec(page)?.[1]),
    sentence: secondsIn(/Not collected: ([^,]*), (?:\d+[dhms] )+of it the newest\./.exec(page)?.[1]),
    status: secondsIn(lines.find((line) => line.startsWith(id))?.slice(at, at + 'NOT COLLECTED'.length)),
    health: health.sources.find((source) => source['organization_id'] === id)?.['gap_seconds'],
    api: api.sources.find((source) => source['organizationId'] === id)?.['gapSeconds'],
    search: search.coverage['not_collected_seconds'],
  };
  const most = Math.ceil(await inTheDatabase());
  for (const [where, number] of Object.entries(shown)) {
    expect(number, where).toBeGreaterThanOrEqual(least);
    expect(number, where).toBeLessThanOrEqual(most);
  }
  for (const words of [overview, page]) expect(words).not.toMatch(/\b(no gap|without a gap|unread)\b/i);
});

test('the events are amber about all of it when the overview is, and say up to when they are collected', async () => {
  expect(await text('/events')).toMatch(/All 3 logs are collected up to [\d: -]+\(((?:\d+[dhms] )+ago|just now)\)/);
  await pool.query(
    `update coverage set ranges = ranges - tstzmultirange(tstzrange(now() - interval '4 minutes', null)) where pass = 0`,
  );
  expect(await text('/')).toMatch(/3 organizations behind/);
  expect(await text('/events')).toMatch(/Not collected: parts of 3 of 3 logs ; all else up to [\d: -]+ \(/);
  expect((await served.get('/v1/search?action=nosuch')).body).toMatchObject({
    complete: false,
    coverage: { incomplete: 3 },
  });
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
  await pool.query('delete from coverage where source_id = $1', [ids[0]]);
  await pool.query('delete from coverage_readings where source_id = $1', [ids[0]]);
  const page = await text(`/organizations/${ids[0]}`);
  expect(page).toContain('0 % of the time is collected, no estimate of the time left yet');
  expect(await text('/')).toContain('0 % · no estimate of the time left yet');
});

test('time that was skipped is trouble as before: in between, or the newest, also while history is read', async () => {
  for (const id of ids.slice(0, 2)) await readOnly(id, 0.5);
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
  await pool.query("update lanes set failures = 2, last_failure = 'http', last_error = $2 where source_id = $1", [
    ids[1],
    error,
  ]);
  expect(await served.text('/')).toContain(`fails: ${error}`);
});

test('the budget is said as requests that were sent, of so many that are allowed', async () => {
  const sent = run.metrics.recentRequests();
  expect(sent).toBeGreaterThanOrEqual(3);
  const limit = run.config.credentials[0]?.budget.toLocaleString('en') ?? '';
  expect(await text('/')).toContain(
    `API requests ${sent.toLocaleString('en')} of ${limit} requests of this process in the last 5 minutes`,
  );
  await pool.query(
    "update api_budget set blocked_until = now() + interval '239 seconds', blocked_because = 'retry_after'",
  );
  expect(await text('/')).toMatch(/API requests paused, 3m \d+s Cloudflare asked for it \(429, Retry-After\)/);
});

const SECONDS = { d: 86_400, h: 3_600, m: 60, s: 1 } as const;

const secondsIn = (text: string | undefined): number =>
  [...(text ?? '').matchAll(/(\d+)([dhms])/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * SECONDS[unit as keyof typeof SECONDS],
    0,
  );

const textOf = (page: string): string => page.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');
const text = async (path: string) => textOf(await served.text(path));

test('a horizon that has moved on is no gap of old time, whatever the table says (H4)', async () => {
  // As half an hour after the first reading: the row of the source is rewritten each hour.
  await pool.query(`update sources set wanted_since = now() - wanted_history - interval '30 minutes'`);
  await pool.query(
    `update coverage set ranges = ranges * tstzmultirange(tstzrange((select max(now() - wanted_history) from sources), null)) where pass = 0`,
  );
  const { body } = await served.get('/v1/search');
  expect(body).toMatchObject({ complete: true, coverage: { organizations: 3, incomplete: 0 } });
  const { collected_since: since } = (body as { coverage: { collected_since: string } }).coverage;
  const { rows } = await pool.query('select max(now() - wanted_history) as horizon from sources');
  expect(Math.abs(Date.parse(since) - rows[0].horizon.getTime())).toBeLessThan(60_000);
});

/** What has been read: after each test it is as it was. */
const tables = ['coverage', 'coverage_readings'];

/** As in the middle of the first reading: what is older than a share of the time wanted is not read yet. */
const readOnly = async (id: string | undefined, share: number): Promise<void> => {
  await pool.query(
    `update coverage c set ranges = ranges * tstzmultirange(tstzrange(now() - (now() - greatest(s.wanted_since, now() - s.wanted_history)) * $2, null))
     from sources s where s.id = c.source_id and c.source_id = $1 and c.pass = 0`,
    [id, share],
  );
};

/** It read so much of history in the last five minutes, and began then. */
const pace = async (id: string | undefined, seconds: number): Promise<void> => {
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
    await pool.query(
      'select extract(epoch from now() - greatest(wanted_since, now() - wanted_history))::float8 as seconds from sources limit 1',
    )
  ).rows[0].seconds;
