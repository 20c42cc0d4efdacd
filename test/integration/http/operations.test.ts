import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { operations } from '../../../src/app/operations.ts';
import { shortened, type ToolContext } from '../../../src/cli/mcp/answer.ts';
import { operationTools } from '../../../src/cli/mcp/tools.ts';
import { createAccessToken } from '../../../src/postgres/access/tokens.sql.ts';
import { readAccessLog, untilNoted } from '../../support/accounts/access-log.ts';
import { openLeastPrivilegedRun } from '../../support/accounts/least-privileged-daemon.ts';
import { seedOperations } from '../../support/operations/seeded.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { serve } from '../../support/sync/served.ts';

/** Every operation: the same at each of its doors, for those who may, and for no one else. The daemon is not the owner of the schema. */
const { folder } = temporaryFolder();
const opened = forAllTests(() => openLeastPrivilegedRun({ organizations: 1, entries: 12 }));
const served = forAllTests(() => serve(opened.run, { feedToken: 'feed-token-of-the-test' }));
const pool = () => opened.world.database.pool;
beforeAll(async () => {
  await seedOperations(pool());
  for (const scope of ['search', 'feed'] as const) {
    const made = await createAccessToken(pool(), { name: `${scope}er`, scopes: [scope], expiresAt: undefined });
    writeFileSync(fileOf(scope), made?.token ?? '');
    tokens[scope] = made?.token ?? '';
  }
});
const tokens: Record<string, string> = {};
const fileOf = (scope: string) => join(folder, scope);

interface Cases {
  readonly good: readonly string[];
  /** Of the command. */
  readonly code?: number;
  readonly path: string;
  readonly asked: Readonly<Record<string, unknown>>;
  readonly bad: readonly (readonly [args: readonly string[], reason: string])[];
}
/** What each is tried with. One that is not here fails. */
const cases: Readonly<Record<string, Cases>> = {
  'hold list': { good: [], path: '/v1/holds', asked: {}, bad: [] },
  'token list': { good: [], path: '/v1/tokens', asked: {}, bad: [] },
  'sink list': { good: [], path: '/v1/sinks', asked: {}, bad: [] },
  'sink dead-letters': {
    good: ['siem', '--limit', '3'],
    path: '/v1/sinks/siem/dead-letters?limit=3',
    asked: { name: 'siem', limit: 3 },
    bad: [
      [['siem', '--limit', '0'], '--limit must be an integer of at least 1'],
      [['siem', '--limit', 'many'], '--limit must be an integer of at least 1'],
      [['siem', '--limit', '1.5'], '--limit must be an integer of at least 1'],
      [['nosuch'], 'there is no sink "nosuch"\nTry: one of pager, siem'],
    ],
  },
  'evidence status': { good: [], code: 5, path: '/v1/evidence', asked: {}, bad: [] },
  'evidence checkpoint': {
    good: ['--log', 'journal'],
    path: '/v1/evidence/checkpoints?log=journal',
    asked: { log: 'journal' },
    bad: [[['--log', 'x'], '--log must be events or journal']],
  },
};

describe.each(operations)('$name', ({ name, says, input, output, path, tool, needs, run, isLines = false }) => {
  const words = name.split(' ');
  const { good, code: wantedCode = 0, bad, ...tried } = cases[name] as Cases;
  const locally = (...args: string[]) => runInProcess([...words, ...args], opened.ownerEnv);
  const remotely = (...args: string[]) =>
    runInProcess([...words, ...args, '--url', served.server.url, '--token-file', fileOf('search')], {});
  const statusFor = async (token: string | undefined, at = tried.path) =>
    await served.get(at, token === undefined ? {} : { authorization: `Bearer ${token}` });

  test('--help has its sentence, and what each option is', async () => {
    const { stdout, code } = await runInProcess([...words, '--help'], {});
    expect(code).toBe(0);
    expect(stdout).toContain(`\n${says}\n`);
    for (const [field, schema] of Object.entries(input.shape)) {
      expect(stdout).toContain(schema.meta()?.description);
      expect(stdout).toMatch(path.includes(`:${field}`) ? `<${field}>` : `--${field.replaceAll('_', '-')} <`);
    }
    const unknown = await runInProcess([...words, ...good, '--nosuch'], {});
    expect(unknown).toMatchObject({ code: 2, stdout: '' });
    expect(unknown.stderr).toContain(`See: orgtrail ${name} --help`);
  });

  test.each(['a table', '--json'])('a daemon and a database give the same bytes: %s', async (wanted) => {
    const form = wanted === '--json' ? [wanted] : [];
    const [local, remote] = [await locally(...good, ...form), await remotely(...good, ...form)];
    expect(local).toMatchObject({ code: wantedCode, stderr: '' });
    expect(local.stdout.length).toBeGreaterThan(100);
    expect(remote).toEqual(local);
    const env = { ORGTRAIL_URL: served.server.url, ORGTRAIL_FEED_TOKEN: 'feed-token-of-the-test' };
    expect(await runInProcess([...words, ...good, ...form], env)).toEqual(local);
  });

  test('the answer has what is declared, and no more', async () => {
    const { body, code } = await statusFor(tokens['search']);
    expect(code).toBe(200);
    expect(output.encode(output.parse(body))).toEqual(body);
    const { stdout } = await locally(...good, '--json');
    const printed = JSON.parse(isLines ? `[${stdout.trim().replaceAll('\n', ',')}]` : stdout);
    expect(printed).toEqual(body);
    // What is not declared is left out: nothing is by mistake.
    expect(JSON.parse(JSON.stringify(await run({ pool: pool() }, tried.asked)))).toEqual(body);
    const context = { pool: pool() } as ToolContext;
    const one = operationTools.find((each) => each.name === tool);
    const told = await one?.answer(context, tried.asked, new AbortController().signal);
    expect(told?.body).toEqual(shortened(body));
  });

  test.each(bad)('%j is refused with a reason, the same by both', async (args, reason) => {
    const [local, remote] = [await locally(...args), await remotely(...args)];
    expect(local).toMatchObject({ code: 2, stdout: '' });
    expect(local.stderr).toBe(`orgtrail: ${reason}\n`);
    expect(remote).toEqual(local);
  });

  test('a misspelt parameter, no token and a token without the scope are refused', async () => {
    const misspelt = `${tried.path}${tried.path.includes('?') ? '&' : '?'}organisation=x`;
    const refused = { code: 400, body: { status: 'bad request', reason: expect.stringContaining('"organisation"') } };
    expect(await statusFor(tokens['search'], misspelt)).toMatchObject(refused);
    expect((await statusFor(undefined)).code).toBe(401);
    expect(await statusFor(tokens['feed'])).toMatchObject({
      code: 403,
      body: { reason: expect.stringContaining('search') },
    });
    const remote = await runInProcess(
      [...words, ...good, '--url', served.server.url, '--token-file', fileOf('feed')],
      {},
    );
    expect(remote).toMatchObject({ code: 2, stdout: '' });
    expect(remote.stderr).toMatch(/answered 403: .*\nTry: give a token with the scope search by --token-file/);
    await untilNoted(pool(), { route: `GET ${path}`, outcome: 'refused', who: 'feeder' });
  });

  test('the trail of access has who asked, if it is to', async () => {
    const route = `GET ${path}`;
    if (needs.trail !== undefined) await untilNoted(pool(), { route, outcome: 'ok', who: 'searcher' });
    const ok = (await readAccessLog(pool())).filter((row) => row.route === route && row.outcome === 'ok');
    expect([...new Set(ok.map(({ kind }) => kind))]).toEqual(needs.trail === undefined ? [] : [needs.trail]);
  });

  test('the description has its parameters and its answer', async () => {
    const { paths } = (await served.get('/v1/openapi.json')).body as {
      paths: Record<string, Record<string, Described>>;
    };
    const described = paths[path.replaceAll(/:(\w+)/g, '{$1}')]?.['get'];
    expect(described?.summary).toBe(says);
    expect((described?.parameters ?? []).map(({ name: field }) => field).sort()).toEqual(
      Object.keys(input.shape).sort(),
    );
    expect(described?.responses['200']?.content['application/json']?.schema).toMatchObject({
      description: expect.any(String),
    });
  });
});

interface Described {
  readonly summary: string;
  readonly parameters?: readonly { readonly name: string }[];
  readonly responses: Record<string, { readonly content: Record<string, { readonly schema: object }> }>;
}

test('what the account of a daemon may not read is said, with the role that it needs', async () => {
  await pool().query('revoke select on evidence_checkpoints from orgtrail_ingest');
  const headers = { authorization: `Bearer ${tokens['search']}` };
  expect(await served.get('/v1/evidence/checkpoints', headers)).toMatchObject({
    code: 503,
    body: {
      reason: expect.stringContaining('evidence_checkpoints'),
      hint: expect.stringContaining('orgtrail_evidence'),
    },
  });
});

test('an order is one of the database, and says so where ORGTRAIL_URL names a daemon', async () => {
  const env = { ...opened.ownerEnv, ORGTRAIL_URL: served.server.url };
  const { code, stderr } = await runInProcess(['hold', 'release', '999'], env);
  expect(code).toBe(2);
  expect(stderr).toMatch(/ORGTRAIL_URL is not asked: this command uses the database[\s\S]*no hold 999 is in force/);
});

test('what a daemon would have to hold in memory is bounded', async () => {
  const headers = { authorization: `Bearer ${tokens['search']}` };
  const refused = await served.get('/v1/sinks/siem/dead-letters?limit=10001', headers);
  expect(refused).toMatchObject({ code: 400, body: { reason: 'limit must be at most 10000 here' } });
  const one = await served.get('/v1/sinks/siem/dead-letters?limit=1&limit=2', headers);
  expect(one).toMatchObject({ code: 400, body: { reason: 'limit must be an integer of at least 1' } });
});
