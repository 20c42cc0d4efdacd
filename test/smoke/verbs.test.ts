import { describe, expect, test } from 'vitest';
import { createTestDatabase } from '../support/postgres/database.ts';
import { runOrgtrail } from '../support/process/orgtrail-process.ts';
import { runInProcess } from '../support/process/run-in-process.ts';
import { auditRequests, openWorld } from '../support/sync/sync-world.ts';

test('--help names every command and the exit codes; each command has a description, its options and examples', async () => {
  const { code, stdout } = await runOrgtrail(['--help'], {});
  expect(code).toBe(0);
  expect(stdout).toContain('Exit codes: 0 done, 1 some source failed, 2 bad configuration or usage');
  for (const command of commands) {
    expect(stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
    const help = await runInProcess([command, '--help'], {});
    expect(help).toMatchObject({ code: 0, stderr: '' });
    // A description of at least two words, and `--help` at least among the options.
    expect(help.stdout).toMatch(
      new RegExp(`^Usage: orgtrail ${command} .*\\n\\n\\S+ \\S.*\\n(.*\\n)*\\nOptions:\\n {2}-`),
    );
    expect(help.stdout).toMatch(new RegExp(`Examples?:\\n\\s+(\\$ )?(\\S+=\\S+ )*orgtrail ${command}\\b`));
  }
});

describe.concurrent('migrate and status', () => {
  test('migrate makes the schema of an empty database, and a second one finds it current', async () => {
    const database = await createTestDatabase({ empty: true });
    const env = { DATABASE_URL: database.url };
    for (const _ of ['first', 'second']) {
      const { code, stdout } = await runInProcess(['migrate'], env);
      expect(stdout).toMatch(/^the schema is current: (\d+) of \1 migrations applied\n$/);
      expect(code).toBe(0);
    }
    const { code, stdout } = await runInProcess(['status'], env);
    expect(stdout).toMatch(
      /^behind: the organizations have not been listed yet\. Try: .*\n\n0 organizations; listed never\nfeed [0-9a-f-]{36} at position 0\n$/,
    );
    expect(code).toBe(0);
    await database.close();
  });

  test('sync --json gives one object, and exit 0 means that nothing is missing; status shows every organization, from the database alone', async () => {
    await using world = await openWorld();
    const synced = await runOrgtrail(['sync', '--json'], world.env);
    const all = { stored: 600, organizations: 3, position: 600, failed: [], finished: true };
    expect(JSON.parse(synced.stdout)).toMatchObject(all);
    expect(synced.code).toBe(0);
    await world.expectExactTruth();
    const env = { DATABASE_URL: world.database.daemonUrl };
    const asked = world.simulator.requestCount;
    const table = await runOrgtrail(['status'], env);
    expect(table).toMatchObject({ code: 0, stderr: '' });
    for (const { id, name } of world.simulator.summary().organizations) {
      expect(table.stdout).toMatch(new RegExp(`^${id} +${name} +(fresh|behind) `, 'm'));
    }
    expect(table.stdout).toMatch(/^3 organizations: .*; listed .* ago\nfeed [0-9a-f-]{36} at position 600\n\n/);

    const json = await runOrgtrail(['status', '--json'], env);
    expect(json).toMatchObject({ code: 0, stderr: '' });
    const report = JSON.parse(json.stdout);
    expect(report).toMatchObject({ position: 600, sources: [{}, {}, {}] });
    const names =
      'aliveSecondsAgo causes checks clockAheadSeconds discovery feedId groups position positionJumps requestsBlocked version'.split(
        ' ',
      );
    expect(Object.keys(report).sort()).toEqual([...names, 'sinks', 'sources', 'vanished'].sort());
    expect(world.simulator.requestCount).toBe(asked);
  });

  test('sync exits 1 when a source fails, and names it; status shows what is wrong first, and fails when it is asked to', async () => {
    await using world = await openWorld();
    const [, , last] = world.simulator.summary().organizations.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    world.simulator.setRefused(last?.id ?? '', true);
    const synced = await runInProcess(['sync'], world.env);
    expect(synced.stdout).toMatch(/^400 new events of 3 organizations; the feed is at position 400$/m);
    expect(synced.stdout).toMatch(new RegExp(`^failed: ${last?.id} \\(${last?.name}\\): refused: .*403`, 'm'));
    expect(synced.code).toBe(1);
    const status = (...args: string[]) => runInProcess(['status', ...args], world.env);
    const plain = await status();
    expect(plain.stdout).toMatch(/^refused: .* Try: .*\n\n3 organizations: 1 refused, /);
    expect(plain.stdout).toMatch(new RegExp(`\nORGANIZATION .*\n${last?.id} +${last?.name} +refused `));
    expect(plain.code).toBe(0);
    const few = await status('--limit', '1');
    expect(few.stdout).toMatch(/\n2 of 3 organizations not shown: .*\(--all shows them\)\n/);
    const chosen = await status('--state', 'refused', '--json');
    expect(JSON.parse(chosen.stdout).sources).toMatchObject([{ organizationId: last?.id, state: 'refused' }]);
    for (const level of ['failing', 'behind']) expect(await status('--fail-on', level)).toMatchObject({ code: 1 });
    const healthy = world.simulator.summary().organizations.find(({ id }) => id !== last?.id);
    expect(await status('--fail-on', 'failing', '--organization', healthy?.name ?? '')).toMatchObject({ code: 0 });
    expect(await status('--state', 'bad')).toMatchObject({ code: 2, stderr: expect.stringContaining('fresh, quiet') });
  });
});

test('sync of an API that cannot be reached says so, exit 4; names from it cannot write control characters to the terminal', async () => {
  await using world = await openWorld({ organizations: 1, entries: 0 });
  const failed = await runInProcess(['sync'], { ...world.env, CLOUDFLARE_BASE_URL: 'http://127.0.0.1:1/client/v4' });
  expect(failed.stderr).toMatch(/orgtrail: GET \/organizations: .*ECONNREFUSED/);
  expect(failed.stderr).toMatch(/Try: check CLOUDFLARE_BASE_URL/);
  expect(failed.code).toBe(4);
  const headers = { authorization: 'Bearer token-of-the-test', 'content-type': 'application/json' };
  const body = JSON.stringify({ name: 'evil\u001b[2Jname' });
  await fetch(`${world.simulator.baseUrl}/organizations`, { method: 'POST', headers, body });
  await runInProcess(['sync'], world.env);
  const { code, stdout } = await runInProcess(['status'], world.env);
  expect(code).toBe(0);
  expect(stdout).toContain('evil\\u001b[2Jname');
  expect(stdout).not.toContain('\u001b');
});

describe.concurrent('backfill', () => {
  test('reads exactly the window that was asked for, also older than ORGTRAIL_HISTORY, and not twice', async () => {
    await using world = await openWorld(
      { historyMs: 90 * dayMs, entries: 3_000, pageCap: 100 },
      { ORGTRAIL_HISTORY: '1d' },
    );
    const [since, before] = [Date.now() - 60 * dayMs, Date.now() - 40 * dayMs].map(dateOf) as [string, string];
    const args = ['backfill', '--since', since, '--before', before];
    const { code, stdout, stderr } = await runOrgtrail([...args, '--json'], {
      ...world.env,
      ORGTRAIL_LOG_LEVEL: 'warn',
    });
    expect(stderr).toBe('');
    expect(code).toBe(0);
    for (const request of auditRequests(world.simulator)) {
      expect(request.sinceMs).toBeGreaterThanOrEqual(Date.parse(since) - 1_000);
      expect(request.beforeMs).toBeLessThanOrEqual(Date.parse(before) + 1_000);
    }
    const inside = [...world.simulator.truth()].filter(
      ({ logTimeMs }) => logTimeMs >= Date.parse(since) - 1_000 && logTimeMs < Date.parse(before) + 1_000,
    );
    expect(inside.length).toBeGreaterThan(400);
    expect(JSON.parse(stdout)).toMatchObject({ stored: inside.length, failed: [], finished: true });
    const { rows } = await world.database.pool.query(
      `select distinct ranges = tstzmultirange(tstzrange($1, $2)) as exact from coverage where pass = 0`,
      [since, before],
    );
    expect(rows).toEqual([{ exact: true }]);
    expect(await world.compare()).toMatchObject({
      stored: inside.length,
      extra: 0,
      duplicates: 0,
      positionsMissing: 0,
    });

    const asked = world.simulator.requestCount;
    const again = await runInProcess(args, world.env);
    expect(again).toMatchObject({ code: 0 });
    expect(auditRequests(world.simulator, asked)).toEqual([]);
  });

  test('--organization reads those named, and no others', async () => {
    await using world = await openWorld({ organizations: 4, entries: 400 });
    const [one = '', , three = ''] = world.simulator.summary().organizations.map(({ id }) => id);
    const window = ['--since', new Date(Date.now() - 2.5 * dayMs).toISOString(), '--before', new Date().toISOString()];
    const { code } = await runInProcess(['backfill', ...window, '--organization', one, three], world.env);
    expect(code).toBe(0);
    const asked = new Set(auditRequests(world.simulator).map(({ organizationId }) => organizationId));
    expect(asked).toEqual(new Set([one, three]));
    expect(await world.compare()).toMatchObject({ stored: 200, extra: 0 });
  });

  test.each([
    [
      ['--since', 'lately', '--before', '2026-02-01'],
      /--since: "lately" is not a time\. Use 24h, 7d, now, .*2026-01-31 or /,
    ],
    [['--since', '2026-01-01', '--before', '2026-02-30'], /--before: "2026-02-30" is not a time\. Use /],
    [['--since', '1d', '--before', '2d'], /--before must be later than --since/],
    [['--since', '2026-02-01', '--before', '2026-01-01'], /--before must be later than --since/],
    [['--since', '2026-02-01', '--before', '2026-02-01'], /--before must be later than --since/],
  ])('%j: exit 2, and says which time is bad', async (times, message) => {
    const env = { CLOUDFLARE_API_TOKEN: 'token-of-the-test', DATABASE_URL: 'postgres://x@127.0.0.1:1/x' };
    const { code, stderr } = await runInProcess(['backfill', ...times], env);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});

const commands = 'run sync check status sink hold backfill verify migrate feed search mcp simulate demo'.split(' ');
const dayMs = 86_400_000;
const dateOf = (timeMs: number): string => new Date(timeMs).toISOString().slice(0, 10);
