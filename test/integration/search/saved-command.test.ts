import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readAccessLog } from '../../support/accounts/access-log.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

let world: SyncWorld;
beforeAll(async () => {
  world = await openWorld({ organizations: 2, entries: 200 });
  await using run = await world.open();
  await run.cycle();
});
afterAll(async () => await world?.[Symbol.asyncDispose]());

const search = (...args: string[]) => runInProcess(['search', ...args], { DATABASE_URL: world.database.url });
const positions = async (...args: string[]): Promise<number[]> => {
  const { stdout, stderr, code } = await search('--ndjson', ...args);
  expect(code, stderr).toBe(0);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line).position);
};

describe('orgtrail search --save and --saved', () => {
  test('a search is saved as it was written, found by its name, narrowed, listed and deleted', async () => {
    const saved = await search('--since', '30d', '--result', 'SUCCESS', '-action:view', '--save', ' Changes ');
    expect(saved).toMatchObject({ code: 2 });
    const args = ['--since', '30d', '--result', 'SUCCESS', '--save', ' Changes ', '--', '-action:view'];
    expect(await search(...args)).toMatchObject({
      code: 0,
      stdout: 'saved as "Changes": since:30d result:SUCCESS -action:view\n',
    });
    const { rows } = await world.database.pool.query('select name, search, saved_by from saved_searches');
    expect(rows).toEqual([{ name: 'Changes', search: 'since=30d&result=SUCCESS&q=-action%3Aview', saved_by: null }]);
    const whole = await positions('--since', '30d', '--result', 'success', '--', '-action:view');
    expect(whole.length).toBeGreaterThan(10);
    expect(await positions('--saved', 'changes')).toEqual(whole);
    const narrowed = await positions('--saved', 'Changes', '--since', '1d', '--', '-action:create');
    expect(narrowed).toEqual(
      await positions('--since', '1d', '--result', 'success', '--', '-action:view', '-action:create'),
    );
    expect(narrowed.length).toBeLessThan(whole.length);
    const listed = await search('--list-saved');
    expect(listed.stdout).toMatch(
      /^NAME +SAVED +BY +SEARCH\nChanges +\S+Z +\S+ +since:30d result:SUCCESS -action:view\n$/,
    );
    expect(JSON.parse((await search('--list-saved', '--json')).stdout)).toMatchObject([{ name: 'Changes' }]);
    expect(await search('--delete-saved', 'CHANGES')).toMatchObject({
      code: 0,
      stdout: 'deleted "Changes": since:30d result:SUCCESS -action:view\n',
    });
    expect((await search('--list-saved')).stdout).toBe('no saved searches\n');
    const noted = (await readAccessLog(world.database.pool)).filter(({ kind }) => kind === 'saved-search');
    expect(noted).toMatchObject([
      { route: 'search --save', what: { name: 'Changes', search: rows[0].search } },
      { route: 'search --delete-saved', what: { name: 'Changes' } },
    ]);
  });

  test.each([
    [['--save', ' '], /the name must not be empty/],
    [['--save', 'a\u202eb'], /others that are not seen/],
    [['--save', 'x', '--since', 'yesterday'], /--since “yesterday” is not a time/],
    [['--save', 'x', '--json'], /cannot be used with --json/],
    [['--save', 'x', '--url', 'http://localhost:1'], /cannot be used with --url/],
    [['--saved', 'x', '--url', 'http://localhost:1'], /cannot be used with --url/],
    [['--list-saved', '--since', '1d'], /cannot be used with --since/],
    [['--delete-saved', 'x', '--list-saved'], /cannot be used with/],
    [['--saved', 'Failurs'], /no search is saved as "Failurs"; did you mean "Failures"\?/],
    [['--save', 'FAILURES'], /is the name of another saved search/],
  ])('%j: exit code 2, and why', async (args, words) => {
    await world.database.pool.query(
      "insert into saved_searches (name, search) values ('Failures', 'result=failure') on conflict do nothing",
    );
    const { code, stderr } = await search(...args);
    expect(stderr).toMatch(words);
    expect(code).toBe(2);
  });

  test('an account that may only read uses and lists them, and is told what saving needs', async () => {
    await using login = await createLogin(world.database, ['orgtrail_reader']);
    const asReader = (...args: string[]) => runInProcess(['search', ...args], { DATABASE_URL: login.url });
    expect(await asReader('--saved', 'failures')).toMatchObject({ code: 0 });
    const { code, stderr } = await asReader('--save', 'Mine');
    expect(stderr).toMatch(/permission denied for function orgtrail_save_search/);
    expect(code).toBeGreaterThan(0);
  });
});
