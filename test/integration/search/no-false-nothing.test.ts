import { beforeAll, describe, expect, test } from 'vitest';
import { noteFindings, wantDetections } from '../../../src/sinks/findings/record-findings.sql.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { firstValue } from '../../support/postgres/rows.ts';
import { exits } from '../../support/process/exits.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const minutesAgo = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString();
const appended = [
  {
    id: 'by-mira',
    action: { type: 'Purge', result: 'Failure', time: minutesAgo(30) },
    actor: { id: 'user-mira', email: 'zmira.nakamura@example.com', ip_address: '192.0.2.130' },
    resource: { id: 'resource-1', product: 'Vault', type: 'vaultKey' },
  },
  {
    id: 'by-token',
    action: { type: 'update', result: 'success', time: minutesAgo(29) },
    actor: { id: 'token-user', token_id: 'token-1', token_name: 'zterra-10', ip_address: '2001:db9::77' },
    resource: { id: 'resource-2', product: 'vault', type: 'vaultkey' },
  },
  {
    id: 'by-batch',
    action: { type: 'create', result: 'success', time: minutesAgo(28) },
    raw: { method: 'POST', uri: '/zones/z/dns_records/batch' },
    resource: { product: 'dns', type: 'zrecord', request: { deletes: [{ id: 'a' }], posts: [] } },
  },
];

let names: readonly Organization[];

const world = forAllTests(() => openWorld({ organizations: 4, entries: 200 }));
const pool = poolOfWorld(world);
const run = forAllTests(() => world.open());
const served = forAllTests(() => serve(run));
beforeAll(async () => {
  const [organization] = world.simulator.summary().organizations;
  world.simulator.append(
    organization?.id ?? '',
    appended.map((entry) => JSON.stringify(entry)),
  );
  await run.cycle();
  names = (await pool.query('select id, name from organizations order by name')).rows;
});

const get = async (path: string, query: Readonly<Record<string, string>>) => {
  const response = await fetch(`${served.server.url}${path}?${new URLSearchParams(query)}`);
  return { status: response.status, text: await response.text() };
};
const search = async (query: Readonly<Record<string, string>>): Promise<Answer> => {
  const { status, text } = await get('/v1/search', query);
  expect(status, text).toBe(200);
  return JSON.parse(text) as Answer;
};

test('a search for the action delete tells of batches that delete, which the effect finds', async () => {
  const q = 'action:delete resource_type:zrecord';
  expect(await search({ q })).toMatchObject({ events: [], batch_deletions: 1 });
  const found = await search({ q: 'effect:delete resource_type:zrecord' });
  expect(found).toMatchObject({ events: [{ id: 'by-batch' }], batch_deletions: null });
  const { stdout } = await runInProcess(['search', q, '--url', served.server.url], {});
  expect(stdout).toContain('batches with another action that delete (1); ask for effect:delete');
});

test('what a rule has found is searched by its name, and not complete before the rules were asked', async () => {
  const ask = (q: string) => search({ q });
  expect((await ask('detection:any')).incomplete_because).toContain('rules_not_asked');
  await wantDetections(pool, true);
  await noteFindings(pool, 100_000);
  const found = await ask('detection:dns_records_* resource_type:zrecord');
  expect(found).toMatchObject({ events: [{ id: 'by-batch' }] });
  expect(found.incomplete_because).not.toContain('rules_not_asked');
  expect((await ask('-detection:any resource_type:zrecord')).events).toEqual([]);
  expect((await ask('detection:dns_record_deleted')).empty?.filters[0]?.near[0]?.value).toBe(
    'detection:dns_records_deleted',
  );
  for (const exact of ['true', 'false']) {
    const { text } = await get('/v1/search/summary', { q: 'resource_type:zrecord', exact });
    expect(JSON.parse(text).facets.fields.detection.values, exact).toEqual([
      { value: 'dns_records_deleted', name: null, events: 1 },
    ]);
  }
  expect((await get('/v1/search', { q: 'detection:any', archive: 'true' })).status).toBe(400);
});

describe('an organization', () => {
  test('is found by its exact name, whatever the case of its letters, as by its id', async () => {
    const { id, name } = names[0] ?? { id: '', name: '' };
    const byId = await search({ organization: id });
    expect(byId.events.length).toBeGreaterThan(0);
    expect(byId.coverage.organizations).toBe(1);
    for (const organization of [name, name.toUpperCase(), ` ${name} `]) {
      expect((await search({ organization })).events, organization).toEqual(byId.events);
    }
  });

  test.each(['/v1/search', '/events', '/events/export'])(
    'that is not known is a 400 in %s, with what is near',
    async (path) => {
      const name = names[0]?.name ?? '';
      const format: Record<string, string> = path === '/events/export' ? { format: 'csv' } : {};
      const near = await get(path, { ...format, organization: name.slice(0, 5) });
      expect(near.status).toBe(400);
      expect(near.text).toContain('is not known; did you mean');
      expect(near.text).toContain(name);
      const far = await get(path, { ...format, organization: 'Nosuch' });
      expect(far.status).toBe(400);
      expect(far.text).toContain('Nosuch');
    },
  );

  test('of a name that two have is a 400 with both ids', async () => {
    const [one, two] = names;
    await pool.query('update organizations set name = $1 where id = $2', [one?.name, two?.id]);
    try {
      const { status, text } = await get('/v1/search', { organization: one?.name ?? '' });
      expect(status).toBe(400);
      expect(JSON.parse(text).faults).toMatchObject([
        { field: 'organization', suggestions: [{ id: expect.any(String) }, { id: expect.any(String) }] },
      ]);
      for (const id of [one?.id, two?.id]) expect(text).toContain(id);
    } finally {
      await pool.query('update organizations set name = $1 where id = $2', [two?.name, two?.id]);
    }
  });
});

test.each([
  ['/v1/search', {}],
  ['/v1/events', {}],
  ['/events', {}],
  ['/events/export', { format: 'csv' }],
])('a parameter that %s does not know is a 400 that names it, and the one that was meant', async (path, more) => {
  const misspelt = path === '/v1/events' ? 'aftr' : 'acton';
  const { status, text } = await get(path, { ...more, [misspelt]: '1' });
  expect(status).toBe(400);
  expect(text.replaceAll('&quot;', '"').replaceAll('\\"', '"')).toContain(
    `nknown parameter "${misspelt}"; did you mean "${misspelt === 'aftr' ? 'after' : 'action'}"?`,
  );
});

describe('a query line over HTTP', () => {
  test('that finds nothing is complete only if its values occur, and says what is near a misspelt one', async () => {
    const { body } = await getJson('/v1/search', { q: 'action:delte,updaet' });
    expect(body).toMatchObject({ events: [], complete: false });
    expect(body.incomplete_because).toContain('value_never_occurs');
    const { body: one } = await getJson('/v1/search', { q: 'action:delte* result:success' });
    expect(one.complete).toBe(false);
    expect(one.empty.filters).toContainEqual(
      expect.objectContaining({ field: 'q', value: 'action:delte*', occurs: false }),
    );
    expect(one.empty.filters.find(({ field }: { field: string }) => field === 'q').near).toContainEqual(
      expect.objectContaining({ value: 'action:delete' }),
    );
  });

  test('takes organizations by name, and refuses those that are not known', async () => {
    const [one, two] = names as [Organization, Organization];
    const { body } = await getJson('/v1/search/summary', { q: `organization:"${one.name}",${two.id}` });
    expect(body.events).toBe(await countOf(`organization_id in ('${one.id}', '${two.id}')`));
    const { body: rest } = await getJson('/v1/search/summary', { q: `-organization:"${one.name.toUpperCase()}"` });
    expect(rest.events).toBe(await countOf(`organization_id <> '${one.id}'`));
    const refused = await getJson('/v1/search', { q: '-organization:nosuch' });
    expect([refused.status, refused.body.reason]).toEqual([400, expect.stringContaining('"nosuch" is not known')]);
  });

  test.each(['/v1/search', '/v1/search/summary'])('with a fault is refused by %s', async (path) => {
    const { status, body } = await getJson(path, { q: 'acton:delete' });
    expect([status, body.reason]).toEqual([400, expect.stringContaining('did you mean "action:"')]);
  });
});

describe('the summary of a search', () => {
  test('over HTTP has count, histogram, facets and coverage; parameters of a page are refused', async () => {
    const { body } = await getJson('/v1/search/summary', { since: '90d', result: 'success' });
    const events = await countOf("action_result = 'success'");
    expect(body).toMatchObject({
      events,
      at_least: false,
      counted_since: null,
      untimed: 0,
      coverage: { incomplete: 0 },
    });
    const sum = body.histogram.reduce((all: number, { success }: { success: number }) => all + success, 0);
    expect(sum).toBe(events);
    expect(body.facets.fields.result).toEqual({
      values: [{ value: 'success', name: null, events }],
      distinct: 1,
      without: 0,
    });
    expect((await getJson('/v1/search/summary', { limit: '5' })).status).toBe(400);
  });

  test('in the terminal counts what the query line finds', async () => {
    const events = await countOf("action_type = 'delete'");
    const text = await cli('action:delete', '--count', '--facet', 'actor');
    expect(text).toMatchObject({ code: 0, stderr: '' });
    expect(text.stdout).toContain(`${events} events match`);
    expect(text.stdout).toMatch(/\nACTOR +EVENTS\n/);
    expect(text.stdout).toMatch(/fully collected/);
    const json = JSON.parse((await cli('--count', '--json', '--facet', 'action', '--', '-action:view')).stdout);
    expect(json.events).toBe(await countOf("coalesce(action_type, '') <> 'view'"));
    expect(Object.keys(json.facets.fields)).toEqual(['action']);
    const named = `organization:"${names[0]?.name}"`;
    const { stdout } = await cli(named, '--count', '--json');
    expect(JSON.parse(stdout).events).toBe(await countOf(`organization_id = '${names[0]?.id}'`));
    expect(await cli(`${named},nosuch`, '--count')).toMatchObject(exits(2, '"nosuch" is not known'));
  });
});

describe('nothing found', () => {
  const near = async (query: Record<string, string>, field: string) => {
    const answer = await search(query);
    expect(answer.events).toEqual([]);
    return { answer, filter: answer.empty?.filters.find((filter) => filter.field === field) };
  };

  test.each([
    [{ actor: 'zmira' }, 'actor', 'zmira.nakamura@example.com'],
    [{ actor: 'zmira.nakamra@example.com' }, 'actor', 'zmira.nakamura@example.com'],
    [{ actor: '192.0.2' }, 'actor', '192.0.2.130'],
    [{ actor: '192.0.2.8' }, 'actor', '192.0.2.130'],
    [{ actor: 'zterra-11' }, 'actor', 'zterra-10'],
    [{ action: 'updaet' }, 'action', 'update'],
    [{ result: 'failed', since: '24h' }, 'result', 'Failure'],
    [{ resource_type: 'vault_key' }, 'resource_type', 'vaultKey'],
    [{ resource: 'resource-9' }, 'resource', 'resource-1'],
  ])(
    'of %j is not complete, and says that the value never occurs, and what is near (invariant 14)',
    async (query: Record<string, string>, field, value) => {
      const { answer, filter } = await near(query, field);
      expect(answer).toMatchObject({ complete: false, incomplete_because: ['value_never_occurs'] });
      expect(filter).toMatchObject({ field, value: query[field], occurs: false });
      expect(filter?.near).toContainEqual({ value, events: expect.any(Number), at_least: false });
    },
  );

  test('of values that all occur is complete, and says which one has nothing there', async () => {
    const { answer, filter } = await near({ actor: 'zmira*', since: '10m' }, 'actor');
    expect(filter).toMatchObject({ occurs: true, occurs_in_range: false, near: [] });
    expect(answer).toMatchObject({ complete: true, incomplete_because: [] });
    const together = await search({ actor: 'zmira*', product: 'vault', resource: 'resource-2' });
    expect(together.complete).toBe(true);
    expect(together.empty?.filters.map(({ occurs_in_range }) => occurs_in_range)).toEqual([true, true, true]);
  });

  test('is never complete about time that is not collected, or an organization that is not', async () => {
    const query = { action: 'purge', since: '10m' };
    expect((await search(query)).complete).toBe(true);
    expect(await search({ ...query, since: '2000-01-01', before: '2000-01-02' })).toMatchObject({
      complete: false,
      incomplete_because: ['begins_before_collection'],
      empty: { any_in_range: false },
    });
    try {
      // Nothing is read meanwhile: there is no daemon.
      await pool.query(
        `update coverage set ranges = ranges - tstzmultirange(tstzrange(now() - interval '8 minutes', now() - interval '7 minutes'))
         where pass = 0 and source_id = (select min(id) from sources)`,
      );
      expect(await search(query)).toMatchObject({
        complete: false,
        incomplete_because: ['time_not_collected'],
        coverage: { incomplete: 1 },
      });
      await pool.query("update organizations set state = 'gone' where id = $1", [names[0]?.id]);
      expect(await search({ organization: names[0]?.name ?? '', action: 'purge' })).toMatchObject({
        complete: false,
        incomplete_because: ['no_organization_collected'],
        coverage: { organizations: 0 },
      });
    } finally {
      await pool.query("update organizations set state = 'active'");
      await pool.query(
        `update coverage set ranges = ranges + tstzmultirange(tstzrange(now() - interval '9 minutes', now() - interval '6 minutes')) where pass = 0`,
      );
    }
  });
});

type Organization = Readonly<Record<'id' | 'name', string>>;

interface Answer {
  readonly events: readonly { readonly id: string }[];
  readonly complete: boolean;
  readonly incomplete_because: readonly string[];
  readonly coverage: { readonly organizations: number; readonly incomplete: number };
  readonly empty: {
    readonly any_in_range: boolean | null;
    readonly filters: readonly {
      readonly field: string;
      readonly value: string;
      readonly occurs: boolean | null;
      readonly occurs_in_range: boolean | null;
      readonly near: readonly { readonly value: string; readonly events: number; readonly at_least: boolean }[];
    }[];
  } | null;
}

const getJson = async (path: string, query: Readonly<Record<string, string>>) => {
  const { status, text } = await get(path, query);
  return { status, body: JSON.parse(text) };
};

const countOf = (where: string) =>
  firstValue<number>(pool, `select count(*)::integer as events from audit_events where ${where}`);

const cli = (...args: string[]) => runInProcess(['search', ...args], { DATABASE_URL: world.database.url });
