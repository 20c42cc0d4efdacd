import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { type Served, serve } from '../../support/sync/served.ts';
import { openWorld, type SyncRun, type SyncWorld } from '../../support/sync/sync-world.ts';

let world: SyncWorld;
let run: SyncRun;
let served: Served;
beforeAll(async () => {
  world = await openWorld({ organizations: 3 });
  run = await world.open();
  served = await serve(run);
  await run.cycle();
});
afterAll(async () => {
  await served?.[Symbol.asyncDispose]();
  await run?.close();
  await world?.[Symbol.asyncDispose]();
});
/** All of it is collected again. */
afterEach(async () => {
  await world.database.pool.query(
    "update coverage set ranges = ranges + tstzmultirange(tstzrange(now() - interval '6 hours', now())) where pass = 0",
  );
});

test('what is not collected is one number under one name: overview, organization, events, status, the API, health', async () => {
  const { pool } = world.database;
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
    events: secondsIn(/Not collected: ([^,]*) of this time/.exec(await text(`/events?organization=${id}`))?.[1]),
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
  expect(await text('/events')).toMatch(
    /All 3 organizations are collected up to [\d: -]+\(((?:\d+[dhms] )+ago|just now)\)/,
  );
  await world.database.pool.query(
    `update coverage set ranges = ranges - tstzmultirange(tstzrange(now() - interval '4 minutes', null)) where pass = 0`,
  );
  expect(await text('/')).toMatch(/3 organizations behind/);
  // Of the three together; each second that passes until the page is made counts three times.
  expect(await text('/events')).toMatch(
    /Not collected: (1[2-9]|[2-5]\d)m( \d+s)? of this time , in 3 of 3 organizations/,
  );
  expect((await served.get('/v1/search?action=nosuch')).body).toMatchObject({
    complete: false,
    coverage: { incomplete: 3 },
  });
});

test('a horizon that has moved on is no gap of old time, whatever the table says (H4)', async () => {
  // As half an hour after the first reading: the row of the source is rewritten each hour.
  await world.database.pool.query(`update sources set wanted_since = now() - wanted_history - interval '30 minutes'`);
  await world.database.pool.query(
    `update coverage set ranges = ranges * tstzmultirange(tstzrange((select max(now() - wanted_history) from sources), null)) where pass = 0`,
  );
  const { body } = await served.get('/v1/search');
  expect(body).toMatchObject({ complete: true, coverage: { organizations: 3, incomplete: 0 } });
  const { collected_since: since } = (body as { coverage: { collected_since: string } }).coverage;
  const { rows } = await world.database.pool.query('select max(now() - wanted_history) as horizon from sources');
  expect(Math.abs(Date.parse(since) - rows[0].horizon.getTime())).toBeLessThan(60_000);
});

const SECONDS = { d: 86_400, h: 3_600, m: 60, s: 1 } as const;

const secondsIn = (text: string | undefined): number =>
  [...(text ?? '').matchAll(/(\d+)([dhms])/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * SECONDS[unit as keyof typeof SECONDS],
    0,
  );

const textOf = (page: string): string => page.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');

const text = async (path: string) => textOf(await served.text(path));
