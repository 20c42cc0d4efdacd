import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../../../src/cli/cli.ts';
import { historyPage, searchPage } from '../../../src/search/contract.ts';
import { readAccessLog } from '../../support/accounts/access-log.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { signInAt } from '../../support/accounts/sign-in.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

/** Fixed: what moves with the clock may lose an event between two questions. */
const since = new Date(Date.now() - 36 * 3_600_000).toISOString();
const { folder } = temporaryFolder();
const world = forAllTests(() => openWorld({ organizations: 3, entries: 400 }));
const pool = poolOfWorld(world);
const run = forAllTests(() => world.open());
const served = forAllTests(() => serve(run, { feedToken }));
beforeAll(async () => {
  const formula = { id: 'formula', action: { time: new Date(Date.now() - 300_000).toISOString(), type: '=1+1' } };
  world.simulator.append(world.simulator.summary().organizations[0]?.id ?? '', [JSON.stringify(formula)]);
  await run.cycle();
});
const questions: readonly (readonly [line: string, ...options: string[]])[] = [
  ['result:failure'],
  ['-action:create,update'],
  ['action:delete -actor:m*', '--since', since],
  ['status:2xx method:DELETE'],
  [`ip:198.51.0.0/16,203.0.113.0/24 since:${since}`],
  ['"example.com" -result:failure'],
];

describe('the same search through the database, --url and the console', () => {
  let cookie: string;
  beforeAll(async () => {
    cookie = await signInAt(served, feedToken);
  });

  test.each(questions)('%s finds the same events', async (line, ...more) => {
    const local = await byDatabase('--json', ...more, '--', line);
    const remote = await byUrl('--json', ...more, '--', line);
    expect([local.code, remote.code]).toEqual([0, 0]);
    const [positions = [], others] = [local, remote].map(({ stdout }): number[] =>
      JSON.parse(stdout).events.map(({ position }: { position: number }) => position),
    );
    expect(others).toEqual(positions);
    const body = JSON.parse(local.stdout);
    expect(searchPage.parse(body), 'what is declared, and no more').toEqual(body);
    const time = more.length > 0 ? { since } : line.includes('since:') ? {} : { since: '2000-01-01' };
    expect(await onConsole(cookie, { q: line, ...time, limit: '50' })).toEqual(positions);
    const tables = [await byDatabase(...more, '--', line), await byUrl(...more, '--', line)];
    // The horizon moves on.
    const [one, other] = tables.map(({ stdout }) =>
      stdout.replace(/(since \S+Z )?up to \S+Z, part of it read once so far\.\n$/, ''),
    );
    expect(other).toBe(one);
    expect(positions.length).toBeGreaterThan(0);
  });

  test('counts the same, with the same top values', async () => {
    for (const form of [[], ['--json']]) {
      const args = ['--count', '--facet', 'actor', '--facet', 'result', ...form, `since:${since} -action:create`];
      const [local, remote] = [await byDatabase(...args), await byUrl(...args)];
      const moments = /"(read_until|collected_since)": "[^"]+"|"(not_collected|read_once)_seconds": [\d.]+|up to \S+Z/g;
      expect(remote.stdout.replaceAll(moments, '')).toBe(local.stdout.replaceAll(moments, ''));
      expect(local.stdout).toMatch(form.length === 0 ? /^\d+ events match/ : /^\{\n {2}"events": \d+/);
    }
  });

  test.each(['--csv', '--ndjson'])('%s is the same to the byte, and says whether it is whole', async (form) => {
    const [local, remote] = [await byDatabase(form, '--since', since), await byUrl(form, '--since', since)];
    expect(remote.stdout).toBe(local.stdout);
    for (const { stderr } of [local, remote])
      expect(stderr).toMatch(/^All 3 .* collected for this time range up to \S+Z, part of it read once so far\.\n$/);
    const { rows } = await pool.query('select 1 from audit_events where action_time >= $1', [since]);
    const lines = local.stdout.trimEnd().split(form === '--csv' ? '\r\n' : '\n');
    expect(lines.length - (form === '--csv' ? 1 : 0)).toBe(rows.length);
  });

  test('the history of a resource is the same', async () => {
    const { rows } = await pool.query<{ position: string }>(
      'select position from audit_events order by position limit 4',
    );
    let compared = 0;
    for (const { position } of rows) {
      for (const form of [[], ['--json'], ['--limit', '1']]) {
        const args = ['--history-of', position, ...form];
        const [local, remote] = [await byDatabase(...args), await byUrl(...args)];
        const moments =
          /"(read_until|collected_since)":"[^"]+"|"(not_collected|read_once)_seconds":[\d.]+|(since|up to) \S+Z/g;
        expect(remote.stdout.replaceAll(moments, '')).toBe(local.stdout.replaceAll(moments, ''));
        if (form[0] === '--json') {
          const body = JSON.parse(local.stdout);
          expect(historyPage.parse(body), 'what is declared, and no more').toEqual(body);
          compared += body.events.length;
        }
      }
    }
    expect(compared).toBeGreaterThanOrEqual(4);
    const unknown = ['--history-of', '9999999'];
    expect(await byUrl(...unknown)).toEqual(await byDatabase(...unknown));
  });

  test('a cell that a spreadsheet would run is none any more', async () => {
    const { stdout } = await byDatabase('--csv', 'action:"=1+1"');
    const [header, record] = stdout.split('\r\n');
    expect(header).toMatch(/^"position","action_time",/);
    expect(record).toContain(`,"'=1+1",`);
  });
});

describe('a terminal', () => {
  const onTerminal = async (columns: number, ...args: string[]) => {
    const out: string[] = [];
    const write = (chunk: Buffer, _encoding: string, done: () => void) => {
      out.push(chunk.toString('utf8'));
      done();
    };
    const code = await runCli(['search', ...args], {
      env: { DATABASE_URL: world.database.url },
      stdout: Object.assign(new Writable({ write }), { columns }),
      stderr: new Writable({ write: (_chunk, _encoding, done) => done() }),
      interactive: true,
      signal: new AbortController().signal,
    });
    expect(code).toBe(0);
    return out.join('').split('\n');
  };

  test.each([78, 100, 140, 400])(
    'of %d columns has no line of the table that is longer, and times and positions whole',
    async (columns) => {
      const lines = await onTerminal(columns, '--limit', '100');
      const rows = lines.slice(0, lines.indexOf(''));
      expect(rows).toHaveLength(101);
      const { stdout } = await byDatabase('--limit', '100');
      const whole = stdout.split('\n');
      for (const [index, row] of rows.entries()) {
        expect(row.length).toBeLessThanOrEqual(columns);
        expect(row.split(' ')[0]).toBe(whole[index]?.split(' ')[0]);
        expect(row.split(' ').at(-1)).toBe(whole[index]?.split(' ').at(-1));
      }
      if (columns === 400) expect(rows).toEqual(whole.slice(0, 101));
    },
  );
});

describe('what cannot be asked', () => {
  test.each([
    [['--csv', '--ndjson'], '--csv prints all events: it cannot be used with --ndjson'],
    [['--csv', '--limit', '3'], '--csv prints all events: it cannot be used with --limit'],
    [['--follow', '--json'], '--follow prints lines as they come: it cannot be used with --json'],
    [['--follow', '--count'], '--follow prints lines as they come: it cannot be used with --count'],
    [['--after', '3'], '--after says where --follow begins'],
    [['acton:x'], 'has the unknown field "acton:"'],
    [['--facet', 'actors'], 'It must be one of actor, action'],
    [['--count', '--csv'], '--count and --facet look at all events of the database: they cannot be used with --csv'],
    [['--history-of', '3', '--csv'], '--history-of has all events of one resource: it cannot be used with --csv'],
    [['--history-of', 'first'], 'must be the position of an event'],
    [['--history-of', '9999999'], 'no event has the position 9999999'],
    [['--bundle', 'x', '--url', 'http://localhost'], '--bundle reads the database'],
    [['--token-file', 'x'], '--token-file is the token for --url'],
    [['--url', 'ftp://localhost'], '--url must be the address of a daemon'],
    [['--url', 'http://me:secret@localhost'], '--url must not have a password'],
    [['--url', 'http://localhost', '--since', 'lately'], '"lately" is not a time'],
  ])('%j', async (args, reason) => {
    const { code, stdout, stderr } = await byDatabase(...args);
    expect(stderr).toContain(reason);
    expect(stderr).not.toContain('secret');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });
});

describe('--url', () => {
  test('takes a token from a file; a wrong one and an unknown organization are refused in the words of the daemon', async () => {
    const file = join(folder, 'token');
    writeFileSync(file, `${feedToken}\n`);
    const asked = (...args: string[]) => runInProcess(['search', '--url', `${served.server.url}/`, ...args], {});
    expect(await asked('--token-file', file, '--limit', '1')).toMatchObject({ code: 0, stderr: '' });
    writeFileSync(file, 'wrong');
    const wrong = await asked('--token-file', file);
    expect([wrong.code, wrong.stdout]).toEqual([2, '']);
    expect(wrong.stderr).toMatch(/answered 401: .*\nTry: give a token with the scope search/);
    const none = await byUrl('--organization', 'nosuch');
    expect([none.code, none.stdout]).toEqual([2, '']);
    expect(none.stderr).toContain('"nosuch" is not known');
  });

  test('that nothing answers at is exit code 4; what is no daemon is said to be none, and a redirection is not followed', async () => {
    const asked: string[] = [];
    const other = createServer((request, response) => {
      asked.push(request.url ?? '');
      if (request.url?.startsWith('/moved')) response.writeHead(302, { location: '/followed' }).end();
      else response.end('{"events":[{}],"hello":1}');
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    const ask = (at: string) => runInProcess(['search', '--url', at], { ORGTRAIL_FEED_TOKEN: feedToken });
    const strange = await ask(url);
    expect([strange.code, strange.stderr]).toEqual([2, expect.stringContaining('does not answer as orgtrail does')]);
    const moved = await ask(`${url}/moved`);
    expect([moved.code, moved.stderr]).toEqual([2, expect.stringContaining('answered 302')]);
    expect(asked.some((path) => path.includes('followed'))).toBe(false);
    await new Promise((resolve) => other.close(resolve));
    const gone = await ask(url);
    expect([gone.code, gone.stderr]).toEqual([4, expect.stringContaining('check that the daemon runs')]);
  });
});

const positionsOf = async (...args: string[]): Promise<number[]> => {
  const { stdout, stderr, code } = await byDatabase('--ndjson', ...args);
  expect(code, stderr).toBe(0);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line).position);
};

describe('orgtrail search --save and --saved', () => {
  test('a search is saved as it was written, found by its name, narrowed, listed and deleted', async () => {
    const saved = await byDatabase('--since', '30d', '--result', 'SUCCESS', '-action:view', '--save', ' Changes ');
    expect(saved).toMatchObject({ code: 2 });
    const args = ['--since', '30d', '--result', 'SUCCESS', '--save', ' Changes ', '--', '-action:view'];
    expect(await byDatabase(...args)).toMatchObject({
      code: 0,
      stdout: 'saved as "Changes": since:30d result:SUCCESS -action:view\n',
    });
    const { rows } = await pool.query('select name, search, saved_by from saved_searches');
    expect(rows).toEqual([{ name: 'Changes', search: 'since=30d&result=SUCCESS&q=-action%3Aview', saved_by: null }]);
    const whole = await positionsOf('--since', '30d', '--result', 'success', '--', '-action:view');
    expect(whole.length).toBeGreaterThan(10);
    expect(await positionsOf('--saved', 'changes')).toEqual(whole);
    const remote = await byUrl('--saved', 'changes', '--ndjson');
    expect(remote.stdout).toBe((await byDatabase('--saved', 'changes', '--ndjson')).stdout);
    const narrowed = await positionsOf('--saved', 'Changes', '--since', '1d', '--', '-action:create');
    expect(narrowed).toEqual(
      await positionsOf('--since', '1d', '--result', 'success', '--', '-action:view', '-action:create'),
    );
    expect(narrowed.length).toBeLessThan(whole.length);
    const listed = await byDatabase('--list-saved');
    expect(listed.stdout).toMatch(
      /^NAME +SAVED +BY +TELLS +SEARCH\nChanges +\S+Z +\S+ +- +since:30d result:SUCCESS -action:view\n$/,
    );
    expect(JSON.parse((await byDatabase('--list-saved', '--json')).stdout)).toMatchObject([{ name: 'Changes' }]);
    expect(await byDatabase('--delete-saved', 'CHANGES')).toMatchObject({
      code: 0,
      stdout: 'deleted "Changes": since:30d result:SUCCESS -action:view\n',
    });
    expect((await byDatabase('--list-saved')).stdout).toBe('no saved searches\n');
    const noted = (await readAccessLog(pool)).filter(({ kind }) => kind === 'saved-search');
    expect(noted).toMatchObject([
      { route: 'search --save', what: { name: 'Changes', search: rows[0].search } },
      { route: 'search --delete-saved', what: { name: 'Changes' } },
    ]);
  });

  test.each([
    [['--save', ' '], /the name must not be empty/],
    [['--save', 'a\u202eb'], /others that are not seen/],
    [['--save', 'x', '--since', 'lately'], /--since “lately” is not a time/],
    [['--save', 'x', '--json'], /cannot be used with --json/],
    [['--save', 'x', '--url', 'http://localhost:1'], /cannot be used with --url/],
    [['--saved', 'x', '--history-of', '1'], /cannot be used with --history-of/],
    [['--list-saved', '--since', '1d'], /cannot be used with --since/],
    [['--delete-saved', 'x', '--list-saved'], /cannot be used with/],
    [['--saved', 'Failurs'], /no search is saved as "Failurs"; did you mean "Failures"\?/],
    [['--save', 'FAILURES'], /is the name of another saved search/],
    [['--tell', 'team'], /--tell needs --save or --saved/],
    [['--saved', 'failures', '--every', '1h'], /--every says how often/],
    [['--saved', 'failures', '--tell', 'team', '--every', '1s'], /--every must be a duration from 1m to 7d/],
    [['--saved', 'failures', '--tell', 'team', '--result', 'x'], /it cannot be narrowed/],
    [['--saved', 'failures', '--tell', 'team', '--json'], /cannot be used with --json/],
    [['--saved', 'failures', '--tell', 'nowhere'], /--tell: there is no sink nowhere/],
    [['--save', 'Later', '--changed', '--tell', 'nowhere'], /are not new: it cannot be told/],
  ])('%j: exit code 2, and why', async (args, words) => {
    await pool.query(
      "insert into saved_searches (name, search) values ('Failures', 'result=failure') on conflict do nothing",
    );
    const { code, stderr } = await byDatabase(...args);
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

const feedToken = 'feed-token-of-the-search-command';

const byDatabase = (...args: string[]) => runInProcess(['search', ...args], { DATABASE_URL: world.database.url });

const byUrl = (...args: string[]) =>
  runInProcess(['search', '--url', served.server.url, ...args], { ORGTRAIL_FEED_TOKEN: feedToken });

/** Signs in at the console, and gives the cookie. */
/** Positions on the first page of the console. */
const onConsole = async (cookie: string, query: Readonly<Record<string, string>>): Promise<number[]> => {
  const response = await fetch(`${served.server.url}/events?${new URLSearchParams(query)}`, { headers: { cookie } });
  expect(response.status).toBe(200);
  return [...(await response.text()).matchAll(/href="\/events\/(\d+)(?:\?[^"]*)?" data-row/g)].map(([, digits]) =>
    Number(digits),
  );
};
