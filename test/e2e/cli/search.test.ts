import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

let world: SyncWorld;
let id: string;
let name: string;

beforeAll(async () => {
  world = await openWorld();
  expect(await runInProcess(['sync'], world.env)).toMatchObject({ code: 0 });
  const [first] = world.simulator.summary().organizations;
  id = first?.id ?? '';
  name = first?.name ?? '';
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

describe('search', () => {
  test('shows a table, newest first, and that the answer is complete', async () => {
    const { code, stdout, stderr } = await search('--since', '2d', '--limit', '7');
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^TIME +ORGANIZATION +ACTOR +ACTION +RESULT +RESOURCE +POSITION$/);
    const times = lines.slice(1, 8).map((line) => line.split(' ')[0] ?? '');
    expect(times).toEqual(times.toSorted().reverse());
    expect(times[0]).toMatch(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/);
    expect(lines[9]).toMatch(/^older events: --cursor \S+$/);
    expect(lines[10]).toBe('All 3 organizations are fully collected for this time range, part of it read once so far.');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  test('--json gives pages whose cursors lead through all of it', async () => {
    const found: string[] = [];
    let cursor: string[] = [];
    do {
      const page = await jsonOf('--organization', name.toUpperCase(), '--limit', '90', ...cursor);
      found.push(...page.events.map((event: { id: string }) => event.id));
      cursor = page.next === null ? [] : ['--cursor', page.next];
    } while (cursor.length > 0);
    expect(found).toEqual(await idsOf('organization_id = $1', [id]));
  });

  test('what is not collected makes an answer incomplete, and is named', async () => {
    const { stdout } = await search('--since', '5d');
    expect(stdout).toMatch(/\nThis may be incomplete: nothing before \S+ is collected\.\n$/);
    await using partly = await openWorld();
    await runInProcess(['sync'], partly.env);
    const gap = [partly.simulator.summary().organizations[0]?.id, 36 * 3_600];
    await partly.database.pool.query(
      `update coverage set ranges = ranges - tstzmultirange(tstzrange(now() - make_interval(secs => $2), now() - make_interval(secs => $2 - 60)))
       where source_id = $1 and pass = 0`,
      gap,
    );
    const run = (...args: string[]) => runInProcess(['search', '--since', '2d', ...args], partly.env);
    expect((await run()).stdout).toMatch(
      /\nThis may be incomplete: part of this time range has not been collected yet \(1 of 3 organizations: .+\)\.\n$/,
    );
    expect(JSON.parse((await run('--json')).stdout).complete).toBe(false);
  });

  test('an empty answer does not claim more than is known', async () => {
    const { stdout } = await search('--since', '2d', '--actor', 'mira');
    expect(stdout).toMatch(/^No events match\.\nactor mira occurs in no event that is in PostgreSQL/);
    expect(await jsonOf('--since', '2d', '--actor', 'mira')).toMatchObject({ events: [], complete: false });
    expect(await jsonOf('--since', '2d')).toMatchObject({ complete: true });
    const database = await createTestDatabase();
    const nothing = await runInProcess(['search'], { DATABASE_URL: database.url });
    await database.close();
    expect(nothing.stdout).toContain('This result proves nothing: no organization is collected.');
  });

  test.each([
    [['--since', 'yesterday'], '--since: "yesterday" is not a time. Use 24h, 7d, now, 2026-01-31 or'],
    [['--since', '1d', '--before', '2d'], '--before must be later than since'],
    [['--organization', `x`], 'unknown organization "x"'],
    [['--limit', '501'], 'It must be an integer between 1 and 500.'],
    [['--cursor', 'x'], '--cursor is not a cursor of a search'],
    [['--acton', 'delete'], "unknown option '--acton'\n(Did you mean one of --action, --actor?)"],
  ])('%j: exit code 2, and why', async (args, reason) => {
    const { code, stdout, stderr } = await search(...args);
    expect(stderr).toContain(reason);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });
});

const search = (...args: string[]) => runInProcess(['search', ...args], world.env);

const jsonOf = async (...args: string[]) => JSON.parse((await search(...args, '--json')).stdout);

const idsOf = async (condition: string, values: unknown[] = []): Promise<string[]> => {
  const { rows } = await world.database.pool.query<{ id: string }>(
    `select id from audit_events where ${condition} order by action_time desc, position desc`,
    values,
  );
  return rows.map((row) => row.id);
};
