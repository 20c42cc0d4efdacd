import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { type Served, serve } from '../../support/sync/served.ts';
import { openWorld, type SyncRun, type SyncWorld } from '../../support/sync/sync-world.ts';

let world: SyncWorld;
let run: SyncRun;
let served: Served;

beforeAll(async () => {
  world = await openWorld({ organizations: 3, entries: 200 });
  run = await world.open();
  await run.cycle();
  served = await serve(run);
});
afterAll(async () => {
  await served?.[Symbol.asyncDispose]();
  await run?.close();
  await world?.[Symbol.asyncDispose]();
});

const get = async (path: string, query: Readonly<Record<string, string>>) => {
  const response = await fetch(`${served.server.url}${path}?${new URLSearchParams(query)}`);
  return { status: response.status, body: JSON.parse(await response.text()) };
};
const countOf = async (where: string): Promise<number> => {
  const { rows } = await world.database.pool.query(
    `select count(*)::integer as events from audit_events where ${where}`,
  );
  return rows[0].events;
};
const cli = (...args: string[]) => runInProcess(['search', ...args], { DATABASE_URL: world.database.url });

describe('a query line over HTTP', () => {
  test('that finds nothing is complete only if its values occur, and says what is near a misspelt one', async () => {
    const { body } = await get('/v1/search', { q: 'action:delte,updaet' });
    expect(body).toMatchObject({ events: [], complete: false });
    expect(body.incomplete_because).toContain('value_never_occurs');
    const { body: one } = await get('/v1/search', { q: 'action:delte* result:success' });
    expect(one.complete).toBe(false);
    expect(one.empty.filters).toContainEqual(
      expect.objectContaining({ field: 'q', value: 'action:delte*', occurs: false }),
    );
    expect(one.empty.filters.find(({ field }: { field: string }) => field === 'q').near).toContainEqual(
      expect.objectContaining({ value: 'action:delete' }),
    );
  });

  test('takes organizations by name, and refuses those that are not known', async () => {
    const { rows } = await world.database.pool.query('select id, name from organizations order by name');
    const [one, two] = rows;
    const { body } = await get('/v1/search/summary', { q: `organization:"${one.name}",${two.id}` });
    expect(body.events).toBe(await countOf(`organization_id in ('${one.id}', '${two.id}')`));
    const { body: rest } = await get('/v1/search/summary', { q: `-organization:"${one.name.toUpperCase()}"` });
    expect(rest.events).toBe(await countOf(`organization_id <> '${one.id}'`));
    const refused = await get('/v1/search', { q: '-organization:nosuch' });
    expect([refused.status, refused.body.reason]).toEqual([400, expect.stringContaining('"nosuch" is not known')]);
  });

  test.each(['/v1/search', '/v1/search/summary'])('with a fault is refused by %s', async (path) => {
    const { status, body } = await get(path, { q: 'acton:delete' });
    expect([status, body.reason]).toEqual([400, expect.stringContaining('did you mean "action:"')]);
  });
});

describe('the summary of a search', () => {
  test('over HTTP has count, histogram, facets and coverage; parameters of a page are refused', async () => {
    const { body } = await get('/v1/search/summary', { since: '90d', result: 'success' });
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
    expect((await get('/v1/search/summary', { limit: '5' })).status).toBe(400);
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
    const { rows } = await world.database.pool.query('select id, name from organizations order by name limit 1');
    for (const line of [`organization:"${rows[0].name}"`, `organization:"${rows[0].name}",nosuch`]) {
      const { code, stdout, stderr } = await cli(line, '--count', '--json');
      if (line.endsWith('nosuch'))
        expect([code, stderr]).toEqual([2, expect.stringContaining('"nosuch" is not known')]);
      else expect(JSON.parse(stdout).events).toBe(await countOf(`organization_id = '${rows[0].id}'`));
    }
  });

  test.each([
    [['acton:x'], 'has the unknown field "acton:"'],
    [['--facet', 'actors'], 'It must be one of actor, action'],
    [['--count', '--ndjson'], 'cannot be used with --ndjson'],
    [['--history-of', '1', 'action:x'], '--history-of has all events of one resource'],
  ])('%j is refused', async (args, words) => {
    const { code, stdout, stderr } = await cli(...args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(words);
  });
});
