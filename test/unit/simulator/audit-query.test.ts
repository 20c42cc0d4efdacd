import { expect, test } from 'vitest';
import { accountFilterNames, auditFilterNames, parseTime } from '../../../src/simulator/api/audit-query.ts';
import type { Simulator } from '../../../src/simulator/interface.ts';
import { accountAt, accountPath, simulateAccounts } from './accounts/simulated-accounts.ts';
import { auditPage, auditPath, auditWalk, get, organizationAt, simulate } from './simulated-cloudflare.ts';

test('since and before are required, limit and direction checked; errors of this service have no code', async () => {
  const simulator = await simulate({ entries: 5 });
  const id = organizationAt(simulator);
  const bad = {
    since: [undefined, '', 'yesterday', '2026-02-30', '2026-01-01T25:00:00Z', '2026-01-01T00:00:00'],
    before: [undefined],
    limit: ['0', '1001', '1.5', 'all'],
    direction: ['up'],
    cursor: ['invented'],
  };
  for (const [name, values] of Object.entries(bad)) {
    for (const value of values) {
      const { status, text } = await get(simulator, auditPath(id, { [name]: value }));
      expect({ name, value, status }).toEqual({ name, value, status: 400 });
      expect(JSON.parse(text)).toEqual({ success: false, errors: [{ message: expect.any(String) }], messages: [] });
    }
  }
  expect((await auditPage(simulator, { page: 2, per_page: 1, whatever: 'x' })).result).toHaveLength(5);
  expect((await get(simulator, auditPath('unknown'))).status).toBe(404);
});

test('the two forms of a time', () => {
  const noon = Date.UTC(2026, 3, 26, 12);
  expect(parseTime('2026-04-26')).toBe(Date.UTC(2026, 3, 26));
  for (const same of ['T12:00:00Z', 't12:00:00z', 'T14:30:00+02:30', 'T05:00:00-07:00']) {
    expect(parseTime(`2026-04-26${same}`)).toBe(noon);
  }
  expect(parseTime('2026-04-26T12:00:00.123Z')).toBe(noon + 123);
  expect(parseTime('2026-04-26T12:00:00.0005Z')).toBe(noon + 0.5);
  // A plus sign that was not percent-encoded arrives as a space.
  for (const bad of ['2026-04-26T14:30:00 02:30', '2026-04-26 12:00:00Z', '26.4.2026', '2026-4-26', '']) {
    expect(parseTime(bad)).toBeUndefined();
  }
});

test('since is inside and before is outside, or the other way round', async () => {
  const times = ['2026-05-01T00:00:00Z', '2026-05-01T00:00:00.5Z', '2026-05-02T00:00:00Z'];
  const window = { since: '2026-05-01', before: '2026-05-02' };
  const seen = async (options: object, more: object = {}): Promise<string> => {
    const simulator = await simulate(options);
    simulator.append(
      organizationAt(simulator),
      times.map((time, n) => entry(n, time)),
    );
    return (await auditPage(simulator, { ...window, ...more })).result.map(({ id }) => id).join();
  };
  expect([await seen({}), await seen({ sinceInclusive: false })]).toEqual(['e0,e1', 'e1']);
  expect(await seen({ beforeInclusive: true })).toBe('e0,e1,e2');
  expect(await seen({}, { direction: 'desc' })).toBe('e1,e0');
  expect(await seen({}, { since: '2026-05-01T02:00:00.500+02:00' })).toBe('e1');
  expect(await seen({}, { since: '2026-05-02', before: '2026-05-01' })).toBe('');
});

test('descending and a hundred by default; ties stand in the order of insertion', async () => {
  const simulator = await simulate({ entries: 250 });
  const id = organizationAt(simulator);
  const plain = await auditPage(simulator, { direction: undefined, limit: undefined });
  const ascending = (await auditWalk(simulator)).flatMap(({ texts }) => texts);
  expect(plain.texts).toEqual(ascending.toReversed().slice(0, 100));
  expect(plain.count).toBe('100');
  simulator.append(id, [
    entry(1, '2026-10-02T00:00:00Z'),
    entry(2, '2026-10-02T00:00:00Z'),
    entry(3, '2026-10-01T23:00:00Z'),
  ]);
  const tied = await auditPage(simulator, { since: '2026-10-01' });
  expect(tied.result.map((one) => one.id)).toEqual(['e3', 'e1', 'e2']);
});

test.each(['asc', 'desc'])('a walk %s gives every entry once, in any page size', async (direction) => {
  const simulator = await simulate({ entries: 100, faults: { equal_timestamps: 0.8 } });
  simulator.generate(organizationAt(simulator), 37);
  const whole = (await auditPage(simulator, { direction, limit: 1000 })).texts;
  expect(new Set(whole).size).toBe(137);
  for (const limit of [1, 7, 100, 137, 138]) {
    const pages = await auditWalk(simulator, { direction, limit });
    expect(pages.flatMap(({ texts }) => texts)).toEqual(whole);
    expect(pages).toHaveLength(Math.ceil(137 / limit));
    expect(pages.at(-1)?.cursor).toBeUndefined();
    for (const page of pages.slice(0, -1)) expect(page.cursor).toMatch(/^[A-Za-z0-9_-]+={0,2}$/);
  }
});

test('a cursor belongs to its parameters', async () => {
  const simulator = await simulate({ organizations: 2, entries: 100 });
  const { cursor } = await auditPage(simulator, { limit: 5 });
  expect((await auditPage(simulator, { limit: 5, cursor, unknown: 1 })).status).toBe(200);
  const others = { limit: 6, direction: 'desc', since: '2026-01-02', before: '2026-12-31', action_type: 'x' };
  for (const [name, value] of Object.entries(others)) {
    const other = { [name]: value };
    expect((await auditPage(simulator, { limit: 5, cursor, ...other })).status).toBe(400);
  }
  expect((await auditPage(simulator, { limit: 5, cursor }, organizationAt(simulator, 1))).status).toBe(400);
});

test('an entry appended at the end of an open walk is in it; one appended behind its cursor is not', async () => {
  const simulator = await simulate({ entries: 10 });
  const { cursor } = await auditPage(simulator, { limit: 5 });
  simulator.append(organizationAt(simulator), [entry(1, '2026-01-01T00:00:00Z'), entry(2, '2026-12-01T00:00:00Z')]);
  const rest = await auditPage(simulator, { limit: 5, cursor });
  expect(rest.cursor).toBeDefined();
  expect((await auditPage(simulator, { limit: 5, cursor: rest.cursor })).result.map(({ id }) => id)).toEqual(['e2']);
});

// biome-ignore format: a table
const places: Record<string, string> = {
  account_name: 'account.name', action_result: 'action.result', action_type: 'action.type', actor_context: 'actor.context',
  actor_email: 'actor.email', actor_id: 'actor.id', actor_ip_address: 'actor.ip_address', actor_token_id: 'actor.token_id',
  actor_token_name: 'actor.token_name', actor_type: 'actor.type', audit_log_id: 'id', id: 'id', raw_cf_ray_id: 'raw.cf_ray_id',
  raw_method: 'raw.method', raw_status_code: 'raw.status_code', raw_uri: 'raw.uri', resource_id: 'resource.id',
  resource_product: 'resource.product', resource_scope: 'resource.scope', resource_type: 'resource.type', zone_id: 'zone.id',
  zone_name: 'zone.name',
};

const idsOf = (entries: readonly { readonly id: string }[]): string[] => entries.map(({ id }) => id);

test('every filter of either log, with one value or two, and its .not split the log in two, on any page', async () => {
  // The Ray id has an older name in half of them.
  const faults = { unknown_enums: 0.1, cf_rayid: 0.5, equal_timestamps: 0.5 };
  const world = { organizations: 1, accounts: 1, standaloneAccounts: 0, entries: 200, accountEntries: 200, faults };
  const simulator = await simulateAccounts(world);
  expect([...accountFilterNames].sort()).toEqual(Object.keys(places).sort());
  for (const [path, names] of [
    [auditPath(organizationAt(simulator), { limit: 97 }), auditFilterNames],
    [accountPath(accountAt(simulator).id).replace('limit=1000', 'limit=97'), accountFilterNames],
  ] as const) {
    const all = await readAll(simulator, path);
    for (const name of names) {
      // biome-ignore lint/suspicious/noExplicitAny: a place in anything
      const placeOf = (one: any): unknown => {
        const path = (places[name] ?? '').split('.');
        return path.reduce((at, key) => at?.[key] ?? (key === 'cf_ray_id' ? at?.cf_rayid : undefined), one);
      };
      const read = async (query: string, from: string = path): Promise<string[]> =>
        idsOf(await readAll(simulator, from + query));
      const values = [...new Set(all.map(placeOf))].filter((one) => /^(string|number)$/.test(typeof one) && one !== '');
      const [first, second = first] = values;
      const query = `&${name}=${encodeURIComponent(String(first))}`;
      const both = `${query}&${name}=${encodeURIComponent(String(second))}`;
      const negated = (text: string): string => text.replaceAll(`${name}=`, `${name}.not=`);
      const isFirst = (one: object): boolean => placeOf(one) === first;
      const isEither = (one: object): boolean => [first, second].includes(placeOf(one));
      expect(all.some(isFirst), name).toBe(true);
      expect(await read(query), name).toEqual(idsOf(all.filter(isFirst)));
      expect(await read(both), name).toEqual(idsOf(all.filter(isEither)));
      expect(await read(negated(both)), name).toEqual(idsOf(all.filter((one) => !isEither(one))));
      const rest = idsOf(all.filter((one) => !isFirst(one)));
      expect(await read(negated(query)), name).toEqual(rest);
      expect(await read(negated(query), path.replace('=asc', '=desc')), name).toEqual(rest.toReversed());
    }
  }
});

/** The elements of a walk in pages of 97; all but the last are full. */
// biome-ignore lint/suspicious/noExplicitAny: what a client reads has no type
async function readAll(simulator: Simulator, path: string): Promise<any[]> {
  const seen = [];
  for (let cursor = ''; ; ) {
    const { result, result_info: info } = JSON.parse((await get(simulator, path + cursor)).text);
    seen.push(...result);
    expect(info.count).toBe(String(result.length));
    if (info.cursor === undefined) return seen;
    expect(result).toHaveLength(97);
    cursor = `&cursor=${encodeURIComponent(info.cursor)}`;
  }
}

const entry = (n: number, time: string): string => `{"id":"e${n}","action":{"time":"${time}"}}`;
