import { beforeAll, describe, expect, test } from 'vitest';
import { readEntity, readResourceHistory } from '../../../src/search/entities.sql.ts';
import { entitySearch, historyStatus } from '../../../src/search/entities.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { commit, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { newAccountSource } from '../../support/sync/account-source.ts';

const database = databaseOfTests();
const pool = poolOfTests(database);
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** A Monday, 12:00 UTC. */
const startMs =
  Math.ceil(T0 / DAY_MS) * DAY_MS +
  ((8 - new Date(Math.ceil(T0 / DAY_MS) * DAY_MS).getUTCDay()) % 7) * DAY_MS +
  12 * HOUR_MS;

beforeAll(async () => {
  const by = (id: string, atMs: number, address: string, more: object = {}) =>
    entryText(id, atMs, {
      action: { type: 'update', result: 'success', time: new Date(atMs).toISOString() },
      actor: { id: 'u-1', email: 'Mira@Example.com', ip_address: address },
      resource: { id: 'zone-1', type: 'zone' },
      ...more,
    });
  await commit(pool, await newSource(pool, 'one'), [
    by('a-1', startMs, '192.0.2.1'),
    by('a-2', startMs + 29 * MINUTE_MS, '192.0.2.1'),
    by('a-3', startMs + 58 * MINUTE_MS, '192.0.2.2'),
    // A pause of 31 minutes.
    by('b-1', startMs + 89 * MINUTE_MS, '192.0.2.1', {
      action: { type: 'delete', result: 'failure', time: new Date(startMs + 89 * MINUTE_MS).toISOString() },
    }),
    by('timeless', 0, '192.0.2.1', { action: { type: 'update' } }),
    entryText('other', startMs, { actor: { email: 'tom@example.com' } }),
  ]);
  await commit(pool, await newSource(pool, 'two'), [by('c-1', startMs + 14 * DAY_MS, '198.51.100.9')]);
});

beforeAll(async () => {
  await pool.query("select orgtrail_create_partitions('2023-01-01', '2026-03-01')");
});

describe('the report of an entity', () => {
  test('has sessions, which end with a pause of more than half an hour, the newest first', async () => {
    const { sessions, looked, isSample } = await read('actors', 'mira@example.com');
    expect([looked, isSample]).toEqual([5, false]);
    expect(sessions.map(({ events, failures, addresses }) => [events, failures, addresses])).toEqual([
      [1, 0, ['198.51.100.9']],
      [1, 1, ['192.0.2.1']],
      [3, 0, ['192.0.2.1', '192.0.2.2']],
    ]);
  });

  test('says when it was seen, of all time, and when in the week', async () => {
    const report = await read('actors', 'mira@example.com', startMs + DAY_MS);
    expect([report.firstSeen, report.lastSeen, report.looked]).toEqual([
      new Date(startMs).toISOString().replace('.000', ''),
      new Date(startMs + 14 * DAY_MS).toISOString().replace('.000', ''),
      1,
    ]);
    const { hours } = await read('actors', 'mira@example.com');
    expect(hours[0]?.[12]).toBe(4);
    expect(hours.flat().reduce((sum, events) => sum + events, 0)).toBe(5);
  });

  test('names what is new in the last week, and nothing if there is nothing older to compare with', async () => {
    await pool.query(
      "insert into address_places values ('192.0.2.1', 'DE', 'AS64500', 'Home'), ('198.51.100.9', 'CH', 'AS64500', 'Home')",
    );
    const { news, canTellNews } = await read('actors', 'mira@example.com');
    expect(canTellNews).toBe(true);
    expect(news.map(({ field, value, events }) => [field, value, events])).toEqual([
      ['country', 'CH', 1],
      ['ip', '198.51.100.9', 1],
      ['organization', 'two', 1],
    ]);
    expect(await read('actors', 'mira@example.com', nowMs - 7 * DAY_MS)).toMatchObject({
      news: [],
      canTellNews: false,
    });
  });

  test('is of an address, of a resource, and empty for what is not stored', async () => {
    expect((await read('addresses', '192.0.2.1')).looked).toBe(3);
    expect((await read('resources', 'zone-1')).looked).toBe(5);
    expect(await read('tokens', 'none')).toMatchObject({ looked: 0, sessions: [], firstSeen: null, lookedSince: null });
  });
});

describe('the history of a resource', () => {
  test('has all events with its id, product and type, older than Cloudflare keeps them, too, newest first', async () => {
    const positionOf = await store('by-id', [
      change('created', { days: -900, action: 'create', method: 'POST', uri: '/zones/z1/dns_records' }),
      change('updated', { days: 1, uri: '/zones/z1/dns_records/record-1' }),
      change('deleted', { days: 2, action: 'delete' }),
      change('other record', { days: 1, resource: { ...record, id: 'record-2' } }),
      change('other type', { days: 1, resource: { ...record, type: 'zone' } }),
      change('other product', { days: 1, resource: { ...record, product: 'workers' } }),
    ]);
    for (const id of ['created', 'updated', 'deleted']) {
      expect(await historyOf(positionOf(id))).toMatchObject({
        ids: ['deleted', 'updated', 'created'],
        status: 'exact',
        history: { subject: { id }, more: false },
      });
    }
    expect(await historyOf(positionOf('deleted'), 2)).toMatchObject({
      ids: ['deleted', 'updated'],
      history: { more: true },
    });
  });

  test('keeps apart what has the same short id in another zone, account or organization', async () => {
    const setting = { product: 'zones', type: 'setting', id: 'ssl' };
    const of = (id: string, account?: string, zone?: string) =>
      change(id, { days: 1, resource: setting, ...(account && { account }), ...(zone && { zone }) });
    const positionOf = await store('short-ids', [
      of('zone one', 'account-1', 'zone-1'),
      of('zone one again', 'account-1', 'zone-1'),
      of('zone two', 'account-1', 'zone-2'),
      of('account two', 'account-2', 'zone-1'),
      of('says no zone', 'account-1'),
      of('says nothing'),
    ]);
    const elsewhere = await store('short-ids-elsewhere', [of('another organization')]);
    expect((await historyOf(positionOf('zone one'))).ids.sort()).toEqual([
      'says no zone',
      'says nothing',
      'zone one',
      'zone one again',
    ]);
    expect((await historyOf(elsewhere('another organization'))).ids).toEqual(['another organization']);
  });

  test('without an id goes by the path of the request, and for a collection by product and type', async () => {
    const nameless = { product: 'access', type: 'policy' };
    const at = (id: string, method: string, uri: string) => change(id, { days: 1, resource: nameless, method, uri });
    const positionOf = await store('by-path', [
      at('put', 'PUT', '/accounts/a/access/policies/p1?dry_run=false'),
      at('deleted', 'DELETE', '/accounts/a/access/policies/p1'),
      at('another', 'PUT', '/accounts/a/access/policies/p2'),
      at('posted', 'POST', '/accounts/a/access/policies'),
      change('says nothing at all', { days: 1, resource: {} }),
    ]);
    expect(await historyOf(positionOf('put'))).toMatchObject({ ids: ['deleted', 'put'], status: 'exact' });
    const approximate = await historyOf(positionOf('posted'));
    expect(approximate.status).toBe('approximate');
    expect(approximate.ids.sort()).toEqual(['another', 'deleted', 'posted', 'put']);
    expect(await historyOf(positionOf('says nothing at all'))).toMatchObject({
      ids: ['says nothing at all'],
      status: 'unavailable',
    });
  });

  test('has an entry of a user once, although it is in the log of each of his accounts, and the one that was asked for', async () => {
    const login = { product: 'user', type: 'api_token', id: 'token-1', scope: 'user' };
    const entries = ['token made', 'token rolled'].map((id, n) => change(id, { days: n, resource: login }));
    const first = await store('copies-1', entries, newAccountSource);
    const second = await store('copies-2', entries, newAccountSource);
    const of = async (position: number) =>
      (await historyOf(position)).history.events.map((event) => [event.id, event.position]);
    expect(await of(first('token made'))).toEqual([
      ['token rolled', first('token rolled')],
      ['token made', first('token made')],
    ]);
    expect(await of(second('token made'))).toEqual([
      ['token rolled', first('token rolled')],
      ['token made', second('token made')],
    ]);
  });

  test('takes nothing for a copy that is in the logs of two organizations', async () => {
    const entries = [change('same id', { days: 0, resource: { ...record, id: 'of-two', scope: 'user' } })];
    const first = await store('no-copies-1', entries);
    const second = await store('no-copies-2', entries);
    const positions = (await historyOf(first('same id'))).history.events.map(({ position }) => position);
    expect(positions.sort((a, b) => a - b)).toEqual([first('same id'), second('same id')]);
  });

  test('gives requests and responses to the byte, and leaves out what cannot be taken apart or is very large', async () => {
    const odd = '{"n":12345678901234567890.10,"n":1}';
    const text = (id: string, resource: string) =>
      change(id, { days: 1 }).replace('"id":"record-1"', `"id":"exact",${resource}`);
    const positionOf = await store('exact', [
      text('exact', `"request":${odd}`),
      text('nul', '"request":{"a":"\\u0000"}'),
      text('large', `"response":{"a":"${'x'.repeat(200_000)}"}`),
    ]);
    const { events } = (await historyOf(positionOf('exact'))).history;
    expect(Object.fromEntries(events.map(({ id, request, stateTooLarge }) => [id, [request, stateTooLarge]]))).toEqual({
      exact: [odd, false],
      nul: [null, false],
      large: [null, true],
    });
  });
});

describe('orgtrail search --history-of', () => {
  let positionOf: (id: string) => number;
  const reader = forAllTests(() => createLogin(database, ['orgtrail_reader']));
  const historyOfCommand = (...args: string[]) =>
    runInProcess(['search', '--history-of', ...args], { DATABASE_URL: reader.url });
  beforeAll(async () => {
    const state = (content: string) => ({ ...record, id: 'cli-1', response: { name: 'www', content, ttl: 300 } });
    positionOf = await store('cli', [
      change('first', { days: 1, action: 'create', resource: state('192.0.2.1') }),
      change('failed', { days: 2, result: 'failure', resource: state('192.0.2.66') }),
      change('second', { days: 3, resource: state('192.0.2.2') }),
    ]);
  });

  test('prints each event with the lines that it changed, as a reader', async () => {
    const { code, stdout } = await historyOfCommand(String(positionOf('first')));
    expect(code).toBe(0);
    expect(stdout).toContain('History of dns dns_record cli-1 (exact)');
    const [second = '', failed = '', first = ''] = stdout.split('\n\n').slice(1);
    expect(second).toContain('-   "content": "192.0.2.1"');
    expect(second).toContain('+   "content": "192.0.2.2"');
    expect(failed).toContain('update failure');
    expect(first).toContain('"content": "192.0.2.1"');
    expect(stdout).toContain('3 events\n');
  });

  test('--json has the events in the native format', async () => {
    const { stdout } = await historyOfCommand(String(positionOf('second')), '--json');
    const printed = JSON.parse(stdout);
    expect(printed).toMatchObject({ history_of: positionOf('second'), history_status: 'exact', more: false });
    expect(printed.events.map((each: { event: { id: string } }) => each.event.id)).toEqual([
      'second',
      'failed',
      'first',
    ]);
  });
});

const nowMs = startMs + 15 * DAY_MS;

const read = (kind: Parameters<typeof entitySearch>[0], value: string, since?: number) => {
  const { since: _since, before: _before, ...search } = entitySearch(kind, value);
  const query = {
    ...search,
    since: since === undefined ? undefined : new Date(since).toISOString(),
    before: undefined,
  };
  return readEntity(pool, query, nowMs);
};

type Texts = Partial<Record<'action' | 'result' | 'account' | 'zone' | 'method' | 'uri', string>>;

const record = { product: 'dns', type: 'dns_record', id: 'record-1' };

/** An entry `days` after T0. */
const change = (
  id: string,
  { days, action = 'update', result = 'success', ...more }: Texts & { days: number; resource?: object },
): string =>
  entryText(id, T0 + days * DAY_MS, {
    action: { type: action, result, time: new Date(T0 + days * DAY_MS).toISOString() },
    resource: more.resource ?? record,
    ...(more.account !== undefined && { account: { id: more.account, name: `Name of ${more.account}` } }),
    ...(more.zone !== undefined && { zone: { id: more.zone, name: `${more.zone}.example` } }),
    raw: { method: more.method ?? 'PUT', uri: more.uri ?? '' },
  });

/** Stores the entries in the log of an organization of their own; gives the position of each by its id. */
const store = async (organization: string, entries: readonly string[], newLease = newSource) => {
  await commit(pool, await newLease(pool, organization), entries);
  const { rows } = await pool.query<{ id: string; position: number }>(
    'select id, position::integer from audit_events where source_id = $1',
    [organization],
  );
  return (id: string): number => rows.find((row) => row.id === id)?.position ?? 0;
};

const historyOf = async (position: number, limit = 100) => {
  const history = await readResourceHistory(pool, { position, limit });
  if (history === undefined) throw new Error(`no event at ${position}`);
  return { ids: history.events.map(({ id }) => id), status: historyStatus(history), history };
};
