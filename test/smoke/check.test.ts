import { beforeAll, describe, expect, test } from 'vitest';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { createTestDatabase, databaseOfTests } from '../support/postgres/database.ts';
import { ofAllTests } from '../support/process/of-tests.ts';
import { runOrgtrail } from '../support/process/orgtrail-process.ts';
import { runInProcess } from '../support/process/run-in-process.ts';

const token = 'the-right-token-of-the-test';
const password = 'a-password-of-the-test';
const simulator = ofAllTests(() => startSimulator({ organizations: 3, entries: 30, credentials: [{ token }] }));
const database = databaseOfTests();
let env: Record<string, string>;
beforeAll(() => {
  env = { CLOUDFLARE_API_TOKEN: token, CLOUDFLARE_BASE_URL: simulator.baseUrl, DATABASE_URL: database.url };
});

/** Runs it, as a process or within this one, and looks at what no output may have. */
const runWith =
  (runner: typeof runOrgtrail) =>
  async (args: readonly string[], changes: Record<string, string> = {}, base: Record<string, string> = env) => {
    const whole = { ...base, ...changes };
    const { code, stdout, stderr } = await runner(args, whole);
    const output = stdout + stderr;
    expect(output, 'a stack trace').not.toMatch(/\n\s+at .*:\d+/);
    const databaseUrl = whole['DATABASE_URL'] ?? '';
    const databasePassword = URL.canParse(databaseUrl) ? new URL(databaseUrl).password : '';
    for (const secret of [token, password, whole['CLOUDFLARE_API_TOKEN'] ?? '', databasePassword]) {
      if (secret !== '') expect(output, 'a credential').not.toContain(secret);
    }
    return { code, stdout, stderr, output };
  };
const run = runWith(runOrgtrail);
const runHere = runWith(runInProcess);

describe.concurrent('check', () => {
  test('with everything in place says so, changes nothing, and exits 0', async () => {
    const { code, stdout } = await run(['check']);
    expect(stdout).toMatch(/^ok {4}configuration/m);
    for (const line of [/^ok {4}database .*PostgreSQL/m, /^ok {4}schema .*current/m, /^ok {4}organizations .*\b3\b/m]) {
      expect(stdout).toMatch(line);
    }
    expect(stdout).toMatch(/^ok {4}audit logs .*readable \(3 tried\)/m);
    expect(code).toBe(0);
    const { rows } = await database.pool.query('select count(*)::integer as known from organizations');
    expect(rows).toEqual([{ known: 0 }]);
  });

  test('--json gives the same as one object', async () => {
    const { code, stdout } = await runHere(['check', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, checks: expect.any(Array) });
    expect(code).toBe(0);
  });

  test('a wrong token: exit 2, with the permission and the workaround to try', async () => {
    const { code, stdout } = await run(['check'], { CLOUDFLARE_API_TOKEN: 'a-wrong-token-of-the-test' });
    expect(stdout).toMatch(/^FAIL {2}organizations .*403/m);
    expect(stdout).toMatch(/Try: .*User Details Read.*CLOUDFLARE_EMAIL/);
    expect(stdout).toMatch(/^ok {4}database/m);
    expect(code).toBe(2);
  });

  test('a database that cannot be reached: exit 4, names host and database, and what to check', async () => {
    const url = `postgres://stranger:${password}@127.0.0.1:1/missing`;
    const { code, stdout } = await run(['check'], { DATABASE_URL: url });
    expect(stdout).toMatch(/^FAIL {2}database .*127\.0\.0\.1:1\/missing.*ECONNREFUSED/m);
    expect(stdout).toMatch(/Try: .*DATABASE_URL/);
    expect(stdout).toMatch(/^ok {4}organizations/m);
    expect(code).toBe(4);
  });

  test('a wrong database password: exit 4, in the words of the server', async () => {
    const url = new URL(database.url);
    url.password = password;
    const { code, stdout } = await runHere(['check'], { DATABASE_URL: url.href });
    // A server that trusts this machine lets it in anyway.
    if (code === 0) return;
    expect(stdout).toMatch(/^FAIL {2}database .*password authentication failed/m);
    expect(code).toBe(4);
  });

  test('an API that cannot be reached: exit 4, and what to check', async () => {
    const { code, stdout } = await runHere(['check'], { CLOUDFLARE_BASE_URL: 'http://127.0.0.1:1/client/v4' });
    expect(stdout).toMatch(/^FAIL {2}organizations .*ECONNREFUSED/m);
    expect(stdout).toMatch(/Try: .*CLOUDFLARE_BASE_URL/);
    expect(code).toBe(4);
  });

  test('an organization that refuses its audit log: exit 1, names it', async () => {
    const other = await startSimulator({ organizations: 2, entries: 0 });
    const [id = ''] = other.summary().organizations.map((organization) => organization.id);
    other.setRefused(id, true);
    const { code, stdout } = await runHere(['check'], { CLOUDFLARE_BASE_URL: other.baseUrl });
    await other.close();
    expect(stdout).toMatch(new RegExp(`^FAIL {2}audit logs .*refused \\(403\\) for 1 of 2: ${id}`, 'm'));
    expect(stdout).toMatch(/Try: .*Super Administrator/);
    expect(code).toBe(1);
  });

  test('with a database that a later version has migrated each command says what to run: exit 3', async () => {
    const newer = await createTestDatabase();
    await newer.pool.query("insert into drizzle.__drizzle_migrations (hash, created_at) values ('later', 9e15)");
    for (const command of ['check', 'run', 'sync', 'migrate', 'status']) {
      const runIt = command === 'run' ? run : runHere;
      const { code, output } = await runIt([command], { DATABASE_URL: newer.url, ORGTRAIL_HTTP_PORT: '0' });
      expect(output, command).toMatch(/a later version has migrated it/);
      expect(output, command).toMatch(/Try: .*run that later version/);
      expect(code, command).toBe(3);
    }
    await newer.close();
  });
});

describe.concurrent('a bad configuration (invariant 13)', () => {
  test('an unknown filter: exit 2, and names the nearest one', async () => {
    const { code, stderr } = await runHere(['check'], { ORGTRAIL_FILTERS: 'action.type.not=view' });
    expect(stderr).toMatch(/ORGTRAIL_FILTERS: unknown filter "action\.type\.not"; did you mean "action_type\.not"\?/);
    expect(code).toBe(2);
  });

  test.each(['check', 'run', 'sync'])('%s with nothing set: exit 2, and names what is missing', async (command) => {
    const { code, stderr } = await (command === 'run' ? run : runHere)([command], {}, {});
    expect(stderr).toMatch(/no credential: set CLOUDFLARE_API_TOKEN, or CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY/);
    expect(stderr).toMatch(/Try: /);
    expect(code).toBe(2);
  });

  test('all faults at once, and no secret among them', async () => {
    const faulty = {
      CLOUDFLARE_API_TOKEN: `${token} with spaces`,
      CLOUDFLARE_BASE_URL: 'ftp://example.com',
      DATABASE_URL: `mysql://root:${password}@db/x`,
      ORGTRAIL_SCHEDULE: 'often',
      ORGTRAIL_SETTLE: '24h,10m',
      ORGTRAIL_HISTORY: 'always',
      ORGTRAIL_API_BUDGET: '0',
      ORGTRAIL_FEED_TOKEN: 'short',
      ORGTRAIL_LOG_LEVEL: 'loud',
    };
    const { code, stderr } = await runHere(['run'], faulty);
    for (const name of Object.keys(faulty)) expect(stderr).toContain(`- ${name} `);
    expect(stderr).toContain('9 configuration errors:');
    expect(stderr).not.toContain('mysql://');
    expect(code).toBe(2);
  });

  test.each([
    [['frobnicate'], /unknown command 'frobnicate'/],
    [['sync', '--frobnicate'], /unknown option '--frobnicate'\nSee: orgtrail sync --help\n/],
    [['hold', 'release'], /missing required argument 'id'\nSee: orgtrail hold release --help\n/],
    [['backfill', '--since', '2026-01-01'], /required option '--before <time>' not specified/],
    [['simulate', '--faults', 'nonsense'], /"nonsense" is not a fault; known: all/],
    [['demo', '--for', 'ever'], /--for must be a duration such as 20s/],
  ])('%j: exit 2, and says what is wrong', async (args, message) => {
    const { code, stderr } = await (args[0] === 'frobnicate' ? run : runHere)(args);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^orgtrail: [^\n]*\n(See: orgtrail[a-z ]* --help|Try: .*)?\n?$/);
    expect(code).toBe(2);
  });
});

describe.concurrent('check, with accounts', () => {
  const open = async (options: Parameters<typeof startSimulator>[0], changes: Record<string, string>) => {
    await using stack = new AsyncDisposableStack();
    const served = stack.adopt(
      await startSimulator({ organizations: 2, entries: 20, accounts: 2, standaloneAccounts: 1, ...options }),
      (each) => each.close(),
    );
    return await runHere(['check'], {
      CLOUDFLARE_BASE_URL: served.baseUrl,
      ORGTRAIL_SOURCES: 'organizations,accounts',
      ...changes,
    });
  };

  test('says how many there are and that their logs are readable', async () => {
    const { code, stdout } = await open({ credentials: [{ token }] }, {});
    expect(stdout).toMatch(/^ok {4}accounts +5 accounts of organizations and by GET \/accounts$/m);
    expect(stdout).toMatch(/^ok {4}account logs +readable \(5 tried\)$/m);
    expect(code).toBe(0);
  });

  test('says which listing is refused and what is missing', async () => {
    const { code, stdout } = await open({ credentials: [{ token }], keysOnly: true }, {});
    expect(stdout).toMatch(/^note {2}accounts +the accounts of 2 of 2 organizations may not be listed/m);
    expect(stdout).toContain('unless ORGTRAIL_ACCOUNTS names them');
    expect(code).toBe(0);
  });

  test('names the permission that a refused log needs, and exits 1', async () => {
    const { code, stdout } = await open(
      { credentials: [{ token }], faults: { account_refused: { probability: 1 } } },
      {},
    );
    expect(stdout).toMatch(/^FAIL {2}account logs +refused \(403\) for 5 of 5/m);
    expect(stdout).toContain('the token needs "Account Settings Read" on these accounts');
    expect(code).toBe(1);
  });

  test('with the token of one account and accounts alone, everything is in place', async () => {
    const { code, stdout } = await open(
      { credentials: [{ token: 'cfat_of-one', account: 1 }] },
      { ORGTRAIL_SOURCES: 'accounts', CLOUDFLARE_API_TOKEN: 'cfat_of-one' },
    );
    expect(stdout).toMatch(/^ok {4}organizations +0 organizations \(the credential may not list them\)$/m);
    expect(stdout).toMatch(/^ok {4}accounts +1 account /m);
    expect(code).toBe(0);
  });
});
