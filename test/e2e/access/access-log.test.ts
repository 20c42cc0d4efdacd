import { once } from 'node:events';
import { request } from 'node:http';
import { beforeAll, describe, expect, test } from 'vitest';
import { MAX_STRANGERS } from '../../../src/postgres/access/access.ts';
import { noteAccess } from '../../../src/postgres/access/access-log.sql.ts';
import { readAccessLog, untilNoted } from '../../support/accounts/access-log.ts';
import { openLeastPrivilegedRun } from '../../support/accounts/least-privileged-daemon.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { parseMetrics } from '../../support/deploy/metrics-text.ts';
import { multiplyEvents } from '../../support/feed/many-events.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { until } from '../../support/process/until.ts';
import { serve } from '../../support/sync/served.ts';

const opened = ofAllTests(() => openLeastPrivilegedRun({ organizations: 2, entries: EVENTS }));
const served = ofAllTests(() => serve(opened.run, { feedToken }));
let account: string;
beforeAll(() => {
  account = new URL(opened.run.config.databaseUrl ?? '').username;
});

describe('access_log', () => {
  test('a search, an export, a reader, an event: who, from where, what, how many, and the same in the log', async () => {
    await get('/v1/search?limit=7&result=success', bearer);
    await get('/v1/search?format=ndjson&since=90d&text=a%20secret', bearer);
    await get('/v1/events?after=10&limit=12&format=ecs', bearer);
    const base = { who, account, address: '127.0.0.1', status: 200, requests: 1 };
    const search = await untilNoted(pool(), { kind: 'search', route: 'GET /v1/search', outcome: 'ok' });
    expect(search).toMatchObject({ ...base, what: { result: 'success' }, events: expect.any(Number) });
    expect(search.events).toBeLessThanOrEqual(7);
    const exported = await untilNoted(pool(), { kind: 'export', outcome: 'ok' });
    expect(exported).toMatchObject({ ...base, events: 0, what: { format: 'ndjson', since: '90d', text: 'a secret' } });
    expect(await untilNoted(pool(), { kind: 'export', outcome: 'begun' })).toMatchObject({ who, requests: 0 });
    const read = await untilNoted(pool(), { kind: 'feed', outcome: 'ok' });
    expect(read).toMatchObject({ ...base, route: 'GET /v1/events', events: 12, what: { format: 'ecs' } });
    const all = { who, address: '127.0.0.1', status: 200 };
    expect(logged()).toEqual(
      expect.arrayContaining([expect.objectContaining({ ...all, kind: 'feed', outcome: 'ok', events: 12 })]),
    );
    expect(opened.run.log()).not.toContain(feedToken);
  });

  test('a text that no row has room for is in the log', async () => {
    const text = `${'filler '.repeat(80)}what is looked for`;
    await get(`/v1/search?format=csv&text=${encodeURIComponent(text)}`, bearer);
    await until('it is logged', async () => opened.run.log().includes(text));
  });

  test('signing in and out, a wrong token, and what is read in the console in between', async () => {
    expect((await post('/console/sign-in', { token: 'wrong-token-of-the-test' })).status).toBe(403);
    await untilNoted(pool(), { kind: 'sign-in', outcome: 'refused', who: null, status: 403 });
    const signedIn = await post('/console/sign-in', { token: feedToken, next: '/' });
    const cookie = signedIn.headers.getSetCookie()[0]?.split(';')[0] ?? '';
    await untilNoted(pool(), { kind: 'sign-in', outcome: 'ok', who, address: '127.0.0.1' });
    await get('/events?result=failure&limit=5', { cookie });
    await get('/events/1?search=result%3Dfailure', { cookie });
    await get('/events/1/original', { cookie });
    for (const actor of ['mira@example.com', 'tom@example.com'])
      await get(`/actors/${encodeURIComponent(actor)}?since=7d`, { cookie });
    await get('/events/export?format=csv', { cookie });
    await post('/console/sign-out', {}, cookie);
    await untilNoted(pool(), { kind: 'sign-out', outcome: 'ok', who });
    const search = await untilNoted(pool(), { kind: 'search', route: 'GET /events' });
    expect(search).toMatchObject({ who, status: 200, what: { result: 'failure' } });
    for (const [route, what] of [
      ['GET /events/:position', { position: '1', search: 'result=failure' }],
      ['GET /events/:position/original', { position: '1' }],
    ] as const) {
      expect(await untilNoted(pool(), { kind: 'event', route })).toMatchObject({ who, what, events: 1 });
    }
    await untilNoted(pool(), { route: 'GET /actors/*' });
    await until('both actors are in the trail', async () => {
      const looked = (await readAccessLog(pool())).filter(({ route }) => route === 'GET /actors/*');
      return ['mira@example.com', 'tom@example.com'].every((value) =>
        looked.some(
          ({ who: by, kind, what }) =>
            by === who && kind === 'search' && what['value'] === value && what['since'] === '7d',
        ),
      );
    });
    const exported = await untilNoted(pool(), { kind: 'export', route: 'GET /events/export', outcome: 'ok' });
    expect(exported).toMatchObject({ who, what: { format: 'csv' }, events: EVENTS });
  });

  test('refusals of every kind, and no row for what says nothing', async () => {
    await get('/v1/search', { authorization: 'Bearer wrong-token-of-the-test' });
    await untilNoted(pool(), { kind: 'refusal', route: 'GET /v1/search', status: 401, who: null });
    await runInProcess(['token', 'create', 'siem', '--scope', 'feed', '--json'], opened.ownerEnv).then(
      async ({ stdout }) => {
        const headers = { authorization: `Bearer ${JSON.parse(stdout).token}` };
        await get('/v1/search', headers);
      },
    );
    await untilNoted(pool(), { kind: 'refusal', route: 'GET /v1/search', status: 403, who: 'siem' });
    await get('/healthz', { host: 'localhost', 'x-forwarded-for': '192.0.2.1' });
    await untilNoted(pool(), { kind: 'refusal', route: 'GET /healthz', status: 403 });
    for (const path of ['/livez', '/metrics', '/nothing', '/v1/search?since=nonsense']) await get(path, bearer);
    await get('/v1/events?limit=1', bearer);
    await untilNoted(pool(), { kind: 'feed', route: 'GET /v1/events', events: 1 });
    const routes = (await readAccessLog(pool())).map(({ route }) => route);
    for (const route of ['GET /livez', 'GET /metrics', 'unmatched']) expect(routes).not.toContain(route);
  });

  test('a download that is cut off says so, with what was given', async () => {
    await multiplyEvents(pool(), 60_000);
    await new Promise<void>((resolve, reject) => {
      request(`${served.server.url}/v1/search?format=ndjson&product=`, { headers: bearer }, (response) => {
        response.once('data', () => {
          response.destroy();
          resolve();
        });
      })
        .on('error', reject)
        .end();
    });
    const cut = await untilNoted(pool(), { kind: 'export', outcome: 'cut off' });
    expect(cut.events).toBeGreaterThan(0);
    expect(cut.events).toBeLessThan(60_000);
  });

  test('the same request again and again is two rows at the end, with the sums', async () => {
    await using own = await openLeastPrivilegedRun({ organizations: 1, entries: 10 });
    const polled = await serve(own.run, { feedToken });
    for (let after = 0; after < 10; after += 1) await get(`/v1/events?after=${after}&limit=1`, bearer, polled);
    await polled[Symbol.asyncDispose]();
    await own.run.close();
    const rows = (await readAccessLog(own.world.database.pool)).filter(({ kind }) => kind === 'feed');
    expect(rows.map(({ outcome, requests, events }) => [outcome, requests, events])).toEqual([
      ['begun', 0, null],
      ['ok', 1, 1],
      ['ok', 9, 9],
    ]);
  });
});

describe('who may write the trail', () => {
  test('the account of the daemon adds rows under its own name, and changes none; they go after 400 days', async () => {
    await using daemon = await createLogin(opened.world.database, ['orgtrail_ingest']);
    await using reader = await createLogin(opened.world.database, ['orgtrail_reader']);
    const forged = JSON.stringify([{ kind: 'hold', outcome: 'ok', account: 'owner', at: '2020-01-01', what: {} }]);
    await daemon.pool.query('select orgtrail_note_access($1)', [forged]);
    const { rows } = await reader.pool.query(
      `select account, at > clock_timestamp() - interval '1 hour' as now from access_log order by id desc limit 1`,
    );
    expect(rows).toEqual([{ account: daemon.name, now: true }]);
    for (const login of [daemon, reader]) {
      for (const statement of ['delete from access_log', "update access_log set who = 'x'", 'truncate access_log']) {
        await expect(login.pool.query(statement), statement).rejects.toThrow(/permission denied/);
      }
    }
    await expect(reader.pool.query('select orgtrail_note_access($1)', [forged])).rejects.toThrow(/permission denied/);

    await pool().query(
      `insert into access_log (at, kind, outcome, route, what, requests) select now() - days * interval '1 day', 'x', 'ok', 'old', '{}', 1
       from unnest(array[399, 401]) days`,
    );
    const what = { text: 'a\0b\ud800' };
    await noteAccess(daemon.pool, [{ kind: 'search', outcome: 'ok', route: 'odd', what, requests: 1 }]);
    expect(await untilNoted(pool(), { route: 'odd' })).toMatchObject({ what: { text: 'a\ufffdb\ufffd' } });
    const { rows: left } = await pool().query("select count(*)::integer as count from access_log where route = 'old'");
    expect(left).toEqual([{ count: 1 }]);
  });

  test('a table that cannot be written holds up no request, and is counted and logged', async () => {
    await using own = await openLeastPrivilegedRun({ organizations: 1, entries: 10 });
    await using refused = await serve(own.run, { feedToken });
    await own.world.database.pool.query('alter table access_log rename to away');
    expect(await get('/v1/events?limit=3', bearer, refused)).toContain('"position":3');
    await until('the loss is counted', async () => {
      const samples = parseMetrics(await refused.text('/metrics'));
      return (samples.get('orgtrail_access_log_lost_total') ?? 0) >= 2;
    });
    expect(own.run.log()).toContain('failed to write to access_log');
    await own.world.database.pool.query('alter table away rename to access_log');
    await get('/v1/search?limit=1', bearer, refused);
    await untilNoted(own.world.database.pool, { kind: 'search', outcome: 'ok' });
  });
});

test('answers are counted by the pattern of their route and their status, failed sign-ins by themselves', async () => {
  await using own = await openLeastPrivilegedRun({ organizations: 1, entries: 10 });
  await using counted = await serve(own.run, { feedToken, trustedProxies: ['127.0.0.1'] });
  for (const path of ['/v1/events?after=1', '/v1/events?after=2', '/v1/events?after=999']) {
    await get(path, bearer, counted);
  }
  for (const path of ['/v1/events', '/nothing/1', '/nothing/2', '/organizations/a', '/organizations/b']) {
    await get(path, {}, counted);
  }
  for (let attempt = 0; attempt < 11; attempt += 1) {
    await fetch(`${counted.server.url}/console/sign-in`, {
      method: 'POST',
      body: new URLSearchParams({ token: 'x' }),
      headers: { origin: counted.server.url },
    });
  }
  const samples = parseMetrics(await counted.text('/metrics'));
  const value = (route: string, status: string) =>
    samples.get(`orgtrail_http_requests_total{route="${route}",status="${status}"}`);
  expect(value('/v1/events', '200')).toBe(2);
  expect(value('/v1/events', '401')).toBe(1);
  expect(value('/v1/events', '409')).toBe(1);
  expect(value('unmatched', '404')).toBe(2);
  expect(value('/organizations/:id', '303')).toBe(2);
  expect(value('/console/sign-in', '403')).toBe(10);
  expect(value('/console/sign-in', '429')).toBe(1);
  expect(samples.get('orgtrail_sign_in_failures_total')).toBe(11);
});

test('strangers of very many addresses are counted, and the last of them noted without an address', async () => {
  await using own = await openLeastPrivilegedRun({ organizations: 1, entries: 10 });
  await using asked = await serve(own.run, { feedToken });
  const strangers = MAX_STRANGERS + 20;
  for (let index = 0; index < strangers; index += 1) {
    const localAddress = `127.1.${Math.floor(index / 250)}.${(index % 250) + 1}`;
    const [response] = await once(
      request(`${asked.server.url}/v1/search`, { localAddress, agent: false }).end(),
      'response',
    );
    response.resume();
  }
  await untilNoted(own.world.database.pool, { kind: 'refusal', address: null });
  const metrics = parseMetrics(await asked.text('/metrics'));
  expect(metrics.get('orgtrail_access_log_limit_total{limit="strangers"}')).toBe(strangers - MAX_STRANGERS);
});

const feedToken = 'feed-token-of-the-test';
const who = 'ORGTRAIL_FEED_TOKEN';
const EVENTS = 40;
const pool = () => opened.world.database.pool;

const get = async (path: string, headers: Readonly<Record<string, string>> = {}, of = served): Promise<string> =>
  await (await fetch(`${of.server.url}${path}`, { headers, redirect: 'manual' })).text();

const bearer = { authorization: `Bearer ${feedToken}` };

const post = (path: string, form: Record<string, string>, cookie = ''): Promise<Response> =>
  fetch(`${served.server.url}${path}`, {
    method: 'POST',
    body: new URLSearchParams(form),
    redirect: 'manual',
    headers: { origin: served.server.url, ...(cookie !== '' && { cookie }) },
  });

/** The notes that the log of the daemon has. */
const logged = (): readonly Record<string, unknown>[] =>
  opened.run
    .log()
    .split('\n')
    .filter((line) => line.includes('"access":'))
    .map((line) => JSON.parse(line).access);
