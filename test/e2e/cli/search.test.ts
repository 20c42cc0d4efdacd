import { beforeAll, describe, expect, test } from 'vitest';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { auditRequests, openWorld } from '../../support/sync/sync-world.ts';

const world = ofAllTests(() => openWorld());
let id: string;
let name: string;
let others: readonly string[];
beforeAll(async () => {
  expect(await runInProcess(['sync'], world.env)).toMatchObject({ code: 0 });
  const [first, ...rest] = world.simulator.summary().organizations;
  id = first?.id ?? '';
  name = first?.name ?? '';
  others = rest.map((organization) => organization.id);
  expect(name).not.toBe('');
});
const reasons = { hold: ['--reason', 'case 17'] };

describe('an organization is named by its name, whatever the case of the letters', () => {
  test('status', async () => {
    const { code, stdout } = await run('status', '--organization', name.toUpperCase(), '--json');
    expect(JSON.parse(stdout).sources).toMatchObject([{ organizationId: id }]);
    expect(code).toBe(0);
  });

  test('feed', async () => {
    const { code, stdout } = await run('feed', '--organization', name.toLowerCase(), '--limit', '5');
    const lines = stdout.trim().split('\n');
    expect(lines).toHaveLength(5);
    for (const line of lines) expect(JSON.parse(line).organization_id).toBe(id);
    expect(code).toBe(0);
  });

  test('verify, which shows no organization that does not differ unless --all is given', async () => {
    world.simulator.setClockOffset(600_000);
    const window = ['--since', '2d', '--before', 'now', '--organization', name];
    const { code, stdout } = await run('verify', ...window);
    world.simulator.setClockOffset(0);
    expect(stdout).toMatch(/compared [\d,]+ entries of 1 organization, .*: 0 missing, 0 extra, 0 changed\n$/);
    expect(stdout).not.toContain(id);
    expect(code).toBe(0);
    expect((await run('verify', ...window, '--all')).stdout).toMatch(new RegExp(`^${id} +${name} +\\d`, 'm'));
  });

  test('backfill, also for what only Cloudflare knows', async () => {
    await using fresh = await openWorld();
    const known = fresh.simulator.summary().organizations.find((organization) => organization.name === name);
    const { code } = await runInProcess(
      ['backfill', '--since', '2d', '--before', 'now', '--organization', name],
      fresh.env,
    );
    expect(code).toBe(0);
    const asked = new Set(auditRequests(fresh.simulator).map(({ organizationId }) => organizationId));
    expect(asked).toEqual(new Set([known?.id]));
  });
});

describe('a name that names none, or several', () => {
  const commands = [
    ['status'],
    ['feed'],
    ['hold', 'add', ...reasons.hold],
    ['verify', '--since', '2d', '--before', '1d'],
    ['backfill', '--since', '2d', '--before', '1d'],
  ];

  test.each(commands)('%s: the nearest names in one line, exit code 2', async (...command) => {
    const { code, stdout, stderr } = await run(...command, '--organization', `${name.slice(0, -1)}x`);
    expect(stderr).toBe(`orgtrail: unknown organization "${name.slice(0, -1)}x"; did you mean "${name}"?\n`);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  test('a name that two have: their ids', async () => {
    const twins = others.slice(0, 2);
    const before = await world.database.pool.query('select id, name from organizations where id = any($1)', [twins]);
    await world.database.pool.query("update organizations set name = 'Twins' where id = any($1)", [twins]);
    const { code, stderr } = await run('status', '--organization', 'twins');
    for (const row of before.rows) {
      await world.database.pool.query('update organizations set name = $2 where id = $1', [row.id, row.name]);
    }
    expect(stderr).toBe(
      `orgtrail: 2 organizations have the name "twins"\nTry: one of their ids: ${twins.toSorted().join(', ')}\n`,
    );
    expect(code).toBe(2);
  });
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
    expect(lines[10]).toMatch(
      /^All 3 organizations are fully collected for this time range up to 20\S+Z, part of it read once so far\.$/,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  test.each([
    [['--since', 'lately'], '--since: "lately" is not a time. Use 24h, 7d, now'],
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

/** Holds are for the owner of the schema to make. */
const run = (...args: string[]) => runInProcess(args, args[0] === 'hold' ? world.ownerEnv : world.env);

const search = (...args: string[]) => runInProcess(['search', ...args], world.env);
