import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { createLogin } from '../../support/accounts/login.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { type OrgtrailProcess, runOrgtrail, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';

const core = (): string => randomBytes(8).toString('hex');
/** What makes each secret recognisable, whatever becomes of the rest of it. */
const marks = {
  token: core(),
  key: core(),
  email: core(),
  password: core(),
  feed: core(),
  sink: core(),
  webhook: core(),
};
const secrets = {
  token: `token-${marks.token}`,
  key: `key-${marks.key}`,
  email: `mail-${marks.email}@example.com`,
  password: `p/${marks.password}@?#%1`,
  feed: `feed-token-${marks.feed}`,
  sink: `sink-token-${marks.sink}`,
  // 24 bytes, as base64.
  webhook: `whsec_${marks.webhook}${'A'.repeat(16)}`,
};

const { folder: directory } = temporaryFolder();
const cwd = join(directory, 'cwd');
const api = ofAllTests(() => startApi());
const database = databaseOfTests();
const broken = databaseOfTests();
const login = ofAllTests(() => createLogin(database, ['orgtrail_ingest'], secrets.password));
let byVariable: Record<string, string>;
let byFile: Record<string, string>;
let byYaml: Record<string, string>;
beforeAll(async () => {
  await broken.pool.query('drop table api_budget cascade');
  await mkdir(cwd);
  const sinks = JSON.stringify({
    hec: { type: 'splunk_hec', url: api.origin, token: secrets.sink, gzip: false },
    hook: { type: 'webhook', url: `${api.origin}/echo`, secret: secrets.webhook },
  });
  byVariable = {
    ORGTRAIL_SINKS: sinks,
    CLOUDFLARE_API_TOKEN: secrets.token,
    DATABASE_URL: login.url,
    ORGTRAIL_FEED_TOKEN: secrets.feed,
  };
  byFile = {
    ORGTRAIL_SINKS_FILE: await plant('sinks', sinks),
    CLOUDFLARE_EMAIL_FILE: await plant('email', `${secrets.email}\n`),
    CLOUDFLARE_API_KEY_FILE: await plant('key', `${secrets.key}\n`),
    DATABASE_URL_FILE: await plant('url', `${login.url}\n`),
    ORGTRAIL_FEED_TOKEN_FILE: await plant('feed', `${secrets.feed}\n`),
  };
  const yaml = stringify({
    cloudflare: { api_token: secrets.token },
    database: { url: login.url },
    feed_token: secrets.feed,
    sinks: JSON.parse(sinks),
  });
  byYaml = { ORGTRAIL_CONFIG: await plant('orgtrail.yaml', yaml) };
});

describe('no secret, however it is given, comes out anywhere (invariant 12)', () => {
  // First, since a sync that knows organizations already tries them again for half a minute.
  test('what fails: a refused credential, no database, a bad URL, a wrong password, a crash', async () => {
    await mkdir(join(directory, 'dotenv'));
    await plant(join('dotenv', '.env'), `CLOUDFLARE_API_TOKEN=${secrets.token}\nORGTRAIL_FEED_TOKEN=${secrets.feed}\n`);
    const dotenv = { ...settings('echo'), DATABASE_URL: login.url };
    const sink = { type: 'splunk_hec', url: `${api.origin}/echo`, token: secrets.sink };
    const sinks = (text: string) => ({ ...of(login.url), ORGTRAIL_SINKS: text });
    const of = (url: string) => ({ ...settings('good'), ...byVariable, DATABASE_URL: url });
    const wrong = new URL(database.url);
    wrong.password = `wrong-${marks.password}`;
    const away = `postgres://u:${encodeURIComponent(secrets.password)}@127.0.0.1:1/x`;
    const outcomes = await Promise.all([
      run(['check'], dotenv, join(directory, 'dotenv')),
      run(['sync'], { ...settings('echo'), ...byFile, CLOUDFLARE_API_TOKEN: '' }, directory),
      run(['status'], of(away)),
      run(['status'], of(`postgres://127.0.0.1:1/x?user=u&password=${encodeURIComponent(secrets.password)}`)),
      run(['check'], of(`postgres://u:12/${marks.password}@127.0.0.1:1/x`)),
      run(['run'], of(`postgres://u:${secrets.password}@127.0.0.1/x`)),
      run(['status'], of(`postgres://u:${encodeURIComponent(secrets.password)}@127.0.0.1/x?sslmode=often`)),
      run(['check'], of(wrong.href)),
      run(['sync'], of(broken.url)),
      run(['run'], {
        ...of(login.url),
        ORGTRAIL_FEED_TOKEN: `x${marks.feed}`.slice(0, 15),
        CLOUDFLARE_API_TOKEN: `${secrets.token} x`,
      }),
      run(['status'], sinks(JSON.stringify({ hec: sink }))),
      run(['run'], sinks(`{"hec": {"token": "${secrets.sink}}`)),
      run(
        ['run'],
        sinks(JSON.stringify({ hec: { ...sink, format: secrets.sink, url: `http://u:${secrets.sink}@h` } })),
      ),
      run(['sync', secrets.token.replace(marks.token, 'argument')], of(login.url)),
    ]);
    expect(outcomes.map(({ code }) => code)).toEqual([2, 2, 4, 4, 2, 2, 2, expect.any(Number), 1, 2, 0, 2, 2, 2]);
    expect(outcomes[0]?.output).toContain('you sent');
    expect(outcomes[8]?.output, 'the crash').toContain('unexpected error (please report this)');
  });

  const ways: readonly (readonly [string, () => Record<string, string>])[] = [
    ['in variables', () => byVariable],
    ['in files', () => byFile],
    ['in a YAML file', () => byYaml],
  ];

  test.each(ways)('every command, with secrets %s', async (_, given) => {
    const env = { ...settings('good'), ...given() };
    const window = ['--since', '2026-01-01', '--before', '2026-01-02'];
    // Two at a time, and of those that read the audit log one after the other.
    const chains = [
      [['sync'], ['backfill', ...window]],
      [['check'], ['check', '--json'], ['status'], ['migrate'], ['config', 'check'], ['config', 'print']],
    ];
    const codes = chains.map(async (chain) => {
      for (const args of chain) expect(await run(args, env), args.join(' ')).toMatchObject({ code: 0 });
    });
    await Promise.all(codes);
  });

  test.each(ways)(
    'the daemon at level trace, with secrets %s and an API that repeats what it is sent',
    async (_, given) => {
      const daemon = startOrgtrail(['run'], { ...settings('mixed'), ...given() }, { cwd });
      await daemon.waitFor('sync failed for an organization; will retry after backoff');
      await daemon.waitFor('page committed');
      await until('both sinks have failed', async () => {
        const { rows } = await database.pool.query("select from sinks where last_error like '%403%'");
        return rows.length === 2;
      });
      const answers = await askEverything(daemon);
      expect(answers).toMatch(/"last_error":"[^"]*you sent/);
      expect(answers).toContain('orgtrail_api_requests_total');
      expectNone('HTTP', answers);
      if (process.platform === 'linux') expectNone('argv', await commandLines(daemon.child.pid ?? 0));
      daemon.child.kill('SIGTERM');
      expect(await daemon.ended).toBe(143);
      expect(daemon.stdout()).toContain('[redacted]');
      expectNone('the log', daemon.stdout() + daemon.stderr());
    },
  );

  test('the database holds none', async () => {
    const text = await dump(database.pool);
    expect(text).toContain('entry');
    expect(text).toContain('you sent');
    expect(text).toContain('127.0.0.1');
    expectNone('the database', text);
  });

  test('the embedded PostgreSQL has none, not even in its environment', async () => {
    const given = { CLOUDFLARE_API_TOKEN: secrets.token, ORGTRAIL_FEED_TOKEN: secrets.feed };
    const env = { ...settings('good'), ...given, ORGTRAIL_DATA_DIR: join(directory, 'data') };
    const daemon = startOrgtrail(['run'], env, { cwd: directory });
    await daemon.waitFor('page committed');
    const data = join(directory, 'data', 'postgres');
    const pid = (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')[0];
    if (process.platform === 'linux') expectNone('its environment', await readFile(`/proc/${pid}/environ`, 'utf8'));
    daemon.child.kill('SIGTERM');
    await daemon.ended;
  });

  test('no file that was written holds any', async () => {
    const text = await filesBelow(directory, planted);
    expect(text).toContain('PG_VERSION');
    expectNone('a file', text);
  });
});

const encodings = Object.values(secrets).map((secret) => Buffer.from(secret).toString('base64').slice(0, 16));
const needles = [...Object.values(marks), ...encodings];

const expectNone = (what: string, text: string): void => {
  for (const needle of needles) expect(text.includes(needle), `${what} holds ${needle}`).toBe(false);
};

/** Says back all that it was sent where it refuses: all of it below /echo, else the audit log of one organization. */
const startApi = async () => {
  const entryMs = Date.now() - 600_000;
  const entry = { id: 'entry', action: { type: 'create', time: new Date(entryMs).toISOString() } };
  const server = createServer((request, response) => {
    const url = request.url ?? '';
    const refused =
      url.startsWith('/echo') ||
      url.startsWith('/services/') ||
      (url.startsWith('/mixed') && url.includes('/bad/logs/audit'));
    const said = `you sent ${request.rawHeaders.join(' ')} to ${url}`;
    response.writeHead(refused ? 403 : 200, { 'content-type': 'application/json', 'x-echo': said.slice(0, 300) });
    const organizations = [
      { id: 'good', name: 'Good' },
      ...(url.startsWith('/mixed') ? [{ id: 'bad', name: 'Bad' }] : []),
    ];
    const asked = new URL(url, 'http://api').searchParams;
    const at = (name: string) => Date.parse(asked.get(name) ?? '');
    const entries = at('since') <= entryMs && entryMs <= at('before') ? [entry] : [];
    const isBehindTheLast = /[?&]page=[2-9]/.test(url);
    const result = url.includes('/logs/audit') ? entries : isBehindTheLast ? [] : organizations;
    response.end(
      JSON.stringify(
        refused
          ? { success: false, errors: [{ code: 10_000, message: said }], messages: [said], result: null }
          : { success: true, errors: [], messages: [], result, result_info: {} },
      ),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, close: () => server.closeAllConnections() ?? server.close() };
};

/** All rows of all tables, partitions included, and what the server knows of the sessions, as text. */
const dump = async (pool: Pool): Promise<string> => {
  const { rows: tables } = await pool.query<{ name: string }>(
    `select oid::regclass::text as name from pg_class where relkind in ('r', 'p', 'v')
       and relnamespace in ('public'::regnamespace, 'drizzle'::regnamespace)`,
  );
  expect(tables.length).toBeGreaterThan(12);
  const parts: string[] = [];
  for (const { name } of [...tables, { name: 'pg_stat_activity' }, { name: 'pg_settings' }]) {
    const { rows } = await pool.query<{ row: string }>(`select t::text as row from ${name} t`);
    parts.push(name, ...rows.map(({ row }) => row));
  }
  return parts.join('\n');
};

/** The content of every file below a directory, less those that the test put there. */
const filesBelow = async (directory: string, planted: readonly string[]): Promise<string> => {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const own = paths.filter((path) => !planted.includes(path));
  // Files of a server that runs come and go.
  const contents = await Promise.all(own.map((path) => readFile(path, 'latin1').catch(() => '')));
  return [...own, ...contents].join('\n');
};

const planted: string[] = [];

const plant = async (name: string, content: string): Promise<string> => {
  const path = join(directory, name);
  await writeFile(path, content);
  planted.push(path);
  return path;
};

const settings = (mode: string): Record<string, string> => ({
  CLOUDFLARE_BASE_URL: `${api.origin}/${mode}/client/v4`,
  ORGTRAIL_API_BUDGET: '1000000',
  ORGTRAIL_HISTORY: '1d',
  ORGTRAIL_HTTP_PORT: '0',
  ORGTRAIL_SCHEDULE: '* * * * * *',
  ORGTRAIL_LOG_LEVEL: 'trace',
  HOME: directory,
  TMPDIR: directory,
});

/** Runs a command to its end, and looks through what it said. */
const run = async (args: readonly string[], env: Record<string, string>, where = cwd) => {
  const { code, stdout, stderr } = await runOrgtrail(args, env, where);
  expectNone(`orgtrail ${args.join(' ')} (exit ${code})`, `${stdout}\n${stderr}`);
  return { code, output: `${stdout}\n${stderr}` };
};

/** Everything that the daemon answers, headers included, also to those that have no business here. */
const askEverything = async (daemon: OrgtrailProcess): Promise<string> => {
  const url = /"url":"([^"]+)"/.exec(daemon.stdout())?.[1] ?? '';
  const answers: string[] = [];
  for (const path of ['/livez', '/readyz', '/healthz', '/metrics', '/v1/status', '/v1/nothing', `/v1/status?token=x`]) {
    for (const authorization of [`Bearer ${secrets.feed}`, 'Bearer wrong', `Basic ${secrets.feed}`]) {
      const response = await fetch(`${url}${path}`, { headers: { authorization } });
      answers.push(path, String(response.status), JSON.stringify([...response.headers]), await response.text());
    }
  }
  return answers.join('\n');
};

/** The command line of a process and of all that it has started. */
const commandLines = async (pid: number): Promise<string> => {
  const own = await readFile(`/proc/${pid}/cmdline`, 'utf8');
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const below = children.split(' ').filter((child) => child !== '');
  return [own, ...(await Promise.all(below.map((child) => commandLines(Number(child)))))].join('\n');
};
