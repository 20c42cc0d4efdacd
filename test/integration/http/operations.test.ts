import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, OpenAPIClientAxios } from 'openapi-client-axios';
import { beforeAll, describe, expect, test } from 'vitest';
import { operations } from '../../../src/app/operations.ts';
import { isOrder, readInput } from '../../../src/base/operation.ts';
import { shortened, type ToolContext } from '../../../src/cli/mcp/answer.ts';
import { operationTools, orderTools } from '../../../src/cli/mcp/tools.ts';
import { tokenProof } from '../../../src/postgres/access/access.ts';
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
  for (const scope of ['search', 'feed', 'manage'] as const) {
    tokens[scope] = await tokenNamed(`${scope}er`, scope);
    writeFileSync(fileOf(scope), tokens[scope]);
  }
});
const tokens: Record<string, string> = {};
const fileOf = (scope: string) => join(folder, scope);
const bearer = (scope: string) => ({ authorization: `Bearer ${tokens[scope]}` });
const tokenNamed = async (name: string, scope: 'search' | 'feed' | 'manage'): Promise<string> =>
  (await createAccessToken({ pool: pool() }, { name, scopes: [scope], expiresAt: undefined }))?.token ?? '';

type Fields = Readonly<Record<string, string | true>>;
interface Cases {
  /** Of an order that can be given each time. */
  readonly fields?: () => Fields | Promise<Fields>;
  /** Of the command. */
  readonly code?: number;
  /** Arguments of the command, and what is said to them. */
  readonly bad?: readonly (readonly [args: string, reason: string])[];
}
const newName = () => `made-${randomUUID()}`;
/** What each is tried with. One that is not here fails. */
const cases: Readonly<Record<string, Cases>> = {
  status: {
    fields: () => ({ state: 'fresh,quiet,behind', limit: '3' }),
    bad: [
      ['--state new', '--state must be a list of fresh, quiet, behind, incomplete, failing, refused'],
      ['--limit x', '--limit must be an integer of at least 0'],
      ['--fail-on never', '--fail-on must be one of behind, failing'],
      ['--organization nosuch', 'unknown organization "nosuch"\nTry: `orgtrail status --all` lists them'],
    ],
  },
  'hold list': {},
  'token list': {},
  'sink list': {},
  'search --list-saved': {},
  'archive list': {},
  'archive thaw': {
    fields: () => ({ month: '2025-01', for: '9d', reason: 'case 9', by: 'J. Doe' }),
    bad: [
      ['2025-13', 'month must be a month such as 2024-01'],
      ['2025-01 --for long', '--for must be a duration of at most 366d such as 7d'],
      ['2025-01 --for 9999d', '--for must be a duration of at most 366d such as 7d'],
      [
        '2025-02',
        'nothing of 2025-02 is in the archive alone\nTry: `orgtrail archive list` shows what there is, and where',
      ],
    ],
  },
  'detections check': { code: 1 },
  'sink dead-letters': {
    fields: () => ({ name: 'siem', limit: '3' }),
    bad: [
      ['siem --limit 0', '--limit must be an integer of at least 1'],
      ['siem --limit many', '--limit must be an integer of at least 1'],
      ['siem --limit 1.5', '--limit must be an integer of at least 1'],
      ['nosuch', 'there is no sink "nosuch"\nTry: one of pager, siem'],
    ],
  },
  'evidence status': { code: 5 },
  'evidence checkpoint': {},
  'hold add': {
    fields: () => ({ all_organizations: true, since: '2026-01-01', reason: 'case 9', by: 'J. Doe' }),
    bad: [
      ['--reason x', '--organization or an account or all organizations must be given, one of them'],
      ['--all-organizations', '--reason must be given once'],
      ['--all-organizations --reason ', '--reason must not be empty'],
      ['--account a --reason x --since 2026-02-01 --before 2026-01-01', '--before must be later than since'],
      ['--account nosuch --reason x', 'unknown account "nosuch"\nTry: `orgtrail status --all` lists them'],
      ['--organization nosuch --reason x', 'unknown organization "nosuch"\nTry: `orgtrail status --all` lists them'],
      [
        '--all-organizations --reason x --since soon',
        '--since must be a time: 24h, 7d, now, today, yesterday, week, 14:30, 2026-01-31 or 2026-01-31T08:00Z',
      ],
    ],
  },
  'hold release': {
    fields: async () => {
      const { rows } = await pool().query<{ id: string }>("insert into holds (reason) values ('case 3') returning id");
      return { id: String(rows[0]?.id), by: 'J. Doe' };
    },
    bad: [
      ['many', 'id must be the number of a hold'],
      ['999', 'no hold 999 is in force\nTry: `orgtrail hold list` shows all'],
    ],
  },
  'hold confirm': {
    fields: async () => {
      await pool().query("delete from retention_waits; insert into retention_waits (reason) values ('a restore')");
      return { by: 'J. Doe' };
    },
    bad: [['', 'retention does not wait: there is nothing to confirm']],
  },
  'token create': {
    fields: () => ({ name: newName(), scope: 'manage' }),
    bad: [
      ['a/b --scope feed', 'name must have 1 to 64 letters, digits and . _ @ -'],
      [
        'ORGTRAIL_FEED_TOKEN --scope feed',
        'name must not be ORGTRAIL_FEED_TOKEN: that is the token of the environment',
      ],
      ['x --scope all', '--scope must be a list of feed, search, metrics, manage'],
      ['x', '--scope must be given once'],
      ['x --scope feed --expires soon', '--expires must be a duration such as 90d, a date or an RFC 3339 time'],
      ['x --scope feed --expires 2020-01-01', '--expires must be in the future'],
      ['.. --scope feed', 'name must have 1 to 64 letters, digits and . _ @ -'],
      ['x --scope feed --replay', '--scope must have search, which opens the console, for what its sessions may do'],
    ],
  },
  'token revoke': {
    fields: async () => {
      const name = newName();
      await tokenNamed(name, 'feed');
      return { name };
    },
    bad: [['nosuch', 'there is no token "nosuch" that could be revoked\nTry: `orgtrail token list` shows all']],
  },
  'sink replay': {
    fields: async () => {
      await pool().query(
        "update sinks set position = case name when 'siem' then feed_head.position else 5 end from feed_head",
      );
      return { name: 'siem', after: '5', skip: true };
    },
    bad: [
      ['nosuch --after 0', 'there is no sink "nosuch"\nTry: one of pager, siem'],
      ['siem --after -1', '--after must be a position'],
      ['siem', '--after must be a position'],
      ['pager --after 9', 'pager is at 5: 4 events would never be sent\nTry: add skip (--skip) if that is intended'],
      ['siem --after 900000000', 'the feed ends at position 12: after must not be beyond it'],
    ],
  },
};

/** What differs from one order to the next, and as whom it was done. */
const alike = (text: string): string =>
  text
    .replaceAll(/orgtrail_[\w-]{43}|made-[\w-]{36}|20\d\d-\d\d-\d\dT[\d:.]+Z/g, '…')
    .replaceAll(/("id": |hold |"\w*Seconds\w*": )[\d.-]+/g, '$1N')
    .replaceAll(/\b(\d+(ms|[dhms])\b ?)+/g, 'N ')
    .replaceAll(/ +/g, ' ')
    .replaceAll(/As": "[^"]*"/g, 'As": "WHO"');

describe.each(operations)('$name', (operation) => {
  const { name, says, input, output, path, tool, needs, run, isLines = false } = operation;
  const ordered = isOrder(operation);
  const scope = needs.scope === 'any' ? 'search' : needs.scope;
  const words = name.split(' ');
  const { fields = () => ({}), code: wantedCode = 0, bad = [] } = cases[name] as Cases;
  const isNamed = (field: string) => path.includes(`:${field}`);
  const argsOf = (given: Fields): string[] => [
    ...words,
    ...Object.entries(given).flatMap(([field, value]) => (isNamed(field) ? [String(value)] : [])),
    ...Object.entries(given).flatMap(([field, value]) =>
      isNamed(field) ? [] : [`--${field.replaceAll('_', '-')}`, ...(value === true ? [] : [value])],
    ),
  ];
  const ask = async (given: Fields, headers: Readonly<Record<string, string>>, url = served.server.url) => {
    const at = path.replaceAll(/:(\w+)/g, (_, field: string) => String(given[field]));
    const others = Object.fromEntries(Object.entries(given).filter(([field]) => !isNamed(field)));
    const query = ordered ? '' : `?${new URLSearchParams(others as Record<string, string>)}`;
    const response = await fetch(`${url}${at}${query}`, {
      headers: { ...headers, ...(ordered && { 'content-type': 'application/json' }) },
      ...(ordered && { method: 'POST', body: JSON.stringify(others) }),
    });
    return { code: response.status, body: await response.json() };
  };
  const route = `${ordered ? 'POST' : 'GET'} ${path}`;
  const locally = (...args: string[]) => runInProcess(args, opened.ownerEnv);
  const remotely = (scope: string, ...args: string[]) =>
    runInProcess([...args, '--url', served.server.url, '--token-file', fileOf(scope)], {});
  const stored = async () =>
    (
      await pool().query(
        `select (select jsonb_agg(h order by id) from holds h) as holds, (select jsonb_agg(t order by id) from access_tokens t) as tokens,
           (select jsonb_agg(s.position order by name) from sinks s) as sinks,
           (select jsonb_agg(t.ends_at order by id) from archive_thaws t) as thaws,
           (select count(*) from retention_waits where confirmed_at is null) as waits`,
      )
    ).rows[0];

  test('--help has its sentence, and what each option is', async () => {
    const { stdout, code } = await runInProcess([...words, '--help'], {});
    expect(code).toBe(0);
    const unwrapped = stdout.replaceAll(/\s+/g, ' ');
    expect(unwrapped.toLowerCase()).toContain(` ${says.toLowerCase()} `);
    for (const [field, schema] of Object.entries(input.shape)) {
      expect(unwrapped).toContain(schema.meta()?.description);
      expect(stdout).toContain(isNamed(field) ? `<${field}>` : `--${field.replaceAll('_', '-')}`);
    }
    const unknown = await runInProcess([...argsOf(await fields()), '--nosuch'], {});
    expect(unknown).toMatchObject({ code: 2, stdout: '' });
    expect(unknown.stderr).toContain(`See: orgtrail ${words.filter((word) => !word.startsWith('-')).join(' ')} --help`);
  });

  test.each(['for people', '--json'])('a daemon and a database do the same, and print the same: %s', async (wanted) => {
    const form = wanted === '--json' ? [wanted] : [];
    const printed = ordered || name === 'status' ? alike : (text: string) => text;
    const local = await locally(...argsOf(await fields()), ...form);
    expect(local).toMatchObject({ code: wantedCode, stderr: '' });
    expect(local.stdout.length).toBeGreaterThan(20);
    const expected = { ...local, stdout: printed(local.stdout) };
    const remote = await remotely(scope, ...argsOf(await fields()), ...form);
    expect({ ...remote, stdout: printed(remote.stdout) }).toEqual(expected);
    const env = { ORGTRAIL_URL: served.server.url, ORGTRAIL_FEED_TOKEN: tokens[scope] ?? '' };
    const byEnvironment = await runInProcess([...argsOf(await fields()), ...form], env);
    expect({ ...byEnvironment, stdout: printed(byEnvironment.stdout) }).toEqual(expected);
  });

  test('the answer has what is declared, and no more', async () => {
    const { body, code } = await ask(await fields(), bearer(scope));
    expect(code).toBe(200);
    expect(output.encode(output.parse(body))).toEqual(body);
    if (ordered || name === 'status') return;
    const { stdout } = await locally(...argsOf(await fields()), '--json');
    const printed = JSON.parse(isLines ? `[${stdout.trim().replaceAll('\n', ',')}]` : stdout);
    expect(printed).toEqual(body);
    // What is not declared is left out: nothing is by mistake.
    const asked = readInput(operation, await fields(), (field) => field);
    expect(
      JSON.parse(JSON.stringify(await run({ pool: pool(), config: opened.run.config, hasArchive: false }, asked))),
    ).toEqual(body);
    const context = { pool: pool(), config: {} } as ToolContext;
    const one = operationTools.find((each) => each.name === tool);
    const told = await one?.answer(context, asked, new AbortController().signal);
    expect(told?.body).toEqual(shortened(body));
  });

  test.each(bad)('%s: refused with a reason, the same by both, and nothing changes', async (args, reason) => {
    const given = [...words, ...(args === '' ? [] : args.split(' '))];
    const before = await stored();
    const local = await locally(...given);
    expect(local).toMatchObject({ code: 2, stdout: '' });
    expect(local.stderr).toBe(`orgtrail: ${reason}\n`);
    expect(await remotely(scope, ...given)).toEqual(local);
    expect(await stored()).toEqual(before);
  });

  test('a misspelt field, and who has no token for it, are refused at each door, and nothing changes', async () => {
    const given = await fields();
    const before = await stored();
    const misspelt = await ask({ ...given, organisation: 'x' }, bearer(scope));
    const reason = expect.stringContaining('"organisation"');
    expect(misspelt).toMatchObject({ code: 400, body: { status: 'bad request', reason } });
    const codeFor = async (headers: Readonly<Record<string, string>>) => (await ask(given, headers)).code;
    expect(await codeFor({})).toBe(401);
    // The guard throttles who tries too often.
    expect([401, 429]).toContain(await codeFor({ authorization: 'Bearer orgtrail_none' }));
    expect(await codeFor({ host: 'evil.example.com' })).toBe(401);
    if (needs.scope === 'any') return;
    const lacking = expect.stringContaining(needs.scope);
    expect(await ask(given, bearer('feed'))).toMatchObject({ code: 403, body: { reason: lacking } });
    const remote = await remotely('feed', ...argsOf(given));
    expect(remote).toMatchObject({ code: 2, stdout: '' });
    expect(remote.stderr).toContain('answered 403: ');
    expect(remote.stderr).toContain(`\nTry: give a token with the scope ${needs.scope} by --token-file`);
    await untilNoted(pool(), { route, outcome: 'refused', who: 'feeder' });
    if (ordered) {
      expect(await codeFor({ authorization: 'Bearer feed-token-of-the-test' })).toBe(403);
      expect(await codeFor(bearer('search'))).toBe(403);
      for (const origin of ['https://evil.example.com', 'null']) {
        expect(await codeFor({ ...bearer('manage'), origin })).toBe(403);
      }
      // Loopback opens reading alone.
      await using open = await serve(opened.run, {});
      expect((await ask(given, {}, open.server.url)).code).toBe(401);
      // Nor does the account of the daemon do it by itself, or for a token without the scope.
      for (const proof of [null, tokenProof(tokens['search'] ?? ''), tokenProof('none')]) {
        const parameters = [name, JSON.stringify(given), proof];
        await expect(
          opened.run.app.database.pool.query('select orgtrail_order($1, $2, $3, null, null)', parameters),
        ).rejects.toThrow(/this (account|token or session) may not do that/);
      }
    }
    expect(await stored()).toEqual(before);
  });

  test('the trail of access has who asked, if it is to, and no secret', async () => {
    await ask(await fields(), bearer(scope));
    if (needs.trail !== undefined) await untilNoted(pool(), { route, outcome: 'ok', who: 'searcher' });
    await locally(...argsOf(await fields()));
    const log = await readAccessLog(pool());
    const ok = log.filter((row) => row.route === route && row.outcome === 'ok');
    const kind = name === 'sink replay' ? 'replay' : words[0];
    const kinds = ordered ? [kind] : needs.trail === undefined ? [] : [needs.trail];
    expect([...new Set(ok.map((row) => row.kind))]).toEqual(kinds);
    expect(JSON.stringify(log)).not.toMatch(/hash|proof|orgtrail_[\w-]{43}/);
    if (!ordered) return;
    expect(ok.at(-1)).toMatchObject({ who: 'manageer', address: '127.0.0.1', status: 200 });
    const account = decodeURIComponent(new URL(opened.ownerEnv['DATABASE_URL'] ?? '').username);
    const who = 'by' in input.shape ? 'J. Doe' : null;
    const byCommand = log.findLast((row) => row.route === name);
    expect(byCommand).toMatchObject({ account, who, address: null, status: null });
  });

  test.runIf(ordered)('a model does it for a token of its own, if at all', async () => {
    const one = orderTools.find((each) => each.name === tool);
    expect(one === undefined).toBe(name === 'token create');
    const orders = { pool: opened.run.app.database.pool, proof: tokenProof(tokens['manage'] ?? '') };
    const context = { pool: pool(), config: opened.run.config, orders } as unknown as ToolContext;
    const told = await one?.answer(context, await fields(), new AbortController().signal);
    if (told !== undefined) output.parse(told.body);
    const row = (await readAccessLog(pool())).findLast((each) => each.route === `mcp ${tool}`);
    expect(row?.who).toBe(tool === undefined ? undefined : 'manageer');
  });

  test('the description has its fields and its answer', async () => {
    const { paths } = (await served.get('/v1/openapi.json')).body as { paths: Record<string, Methods> };
    const described = paths[path.replaceAll(/:(\w+)/g, '{$1}')]?.[ordered ? 'post' : 'get'];
    const inBody = Object.keys(described?.requestBody?.content['application/json']?.schema.properties ?? {});
    const beside = (described?.parameters ?? []).map(({ name: field }) => field);
    expect(described?.summary).toBe(says);
    expect([...beside, ...inBody].sort()).toEqual(Object.keys(input.shape).sort());
    expect(described?.responses['200']?.content['application/json']?.schema).toMatchObject({
      description: expect.any(String),
    });
  });
});

type Content = Readonly<Record<string, { readonly schema: { readonly properties?: object } }>>;
type Methods = Readonly<
  Record<
    string,
    {
      readonly summary: string;
      readonly parameters?: readonly { readonly name: string }[];
      readonly requestBody?: { readonly content: Content };
      readonly responses: Record<string, { readonly content: Content }>;
    }
  >
>;

test('what the account of a daemon may not read is said, with the role that it needs', async () => {
  await pool().query('revoke select on evidence_checkpoints from orgtrail_ingest');
  expect(await served.get('/v1/evidence/checkpoints', bearer('search'))).toMatchObject({
    code: 503,
    body: {
      reason: expect.stringContaining('evidence_checkpoints'),
      hint: expect.stringContaining('orgtrail_evidence'),
    },
  });
});

test('what a daemon would have to hold in memory is bounded', async () => {
  const refused = await served.get('/v1/sinks/siem/dead-letters?limit=10001', bearer('search'));
  expect(refused).toMatchObject({ code: 400, body: { reason: 'limit must be at most 10000 here' } });
  const one = await served.get('/v1/sinks/siem/dead-letters?limit=1&limit=2', bearer('search'));
  expect(one).toMatchObject({ code: 400, body: { reason: 'limit must be an integer of at least 1' } });
});

test('a token gives no right that it lacks, and none for longer than it lasts', async () => {
  const create = ['token', 'create', 'short', '--scope', 'feed,manage', '--expires', '1h', '--json'];
  const { stdout } = await runInProcess(create, opened.ownerEnv);
  const headers = { authorization: `Bearer ${JSON.parse(stdout).token}`, 'content-type': 'application/json' };
  const ask = async (name: string, body: object) => {
    const asked = { method: 'POST', headers, body: JSON.stringify(body) };
    return (await fetch(`${served.server.url}/v1/tokens/${name}`, asked)).status;
  };
  expect(await ask('a', { scope: 'feed' })).toBe(403);
  expect(await ask('b', { scope: 'feed', expires: '2h' })).toBe(403);
  expect(await ask('c', { scope: 'search', expires: '5m' })).toBe(403);
  expect(await ask('d', { scope: 'feed,search', access_log: true, expires: '5m' })).toBe(403);
  expect(await ask('e', { scope: 'feed,manage', expires: '5m' })).toBe(200);
  // What stands in the address, in no object or twice is not left out.
  expect(await ask('x?scope=feed', { expires: '5m' })).toBe(400);
  expect(await ask('x', [{ scope: 'feed', expires: '5m' }])).toBe(400);
  expect(await ask('x', { name: 'y', scope: 'feed', expires: '5m' })).toBe(400);
  await runInProcess(['token', 'revoke', 'short'], opened.ownerEnv);
  const { rows } = await pool().query(
    "select name from access_tokens where revoked_as is not null and name in ('short', 'e')",
  );
  expect(rows, 'those that were made with it are revoked, too').toHaveLength(2);
  await expect.poll(() => ask('f', { scope: 'feed', expires: '5m' }), { timeout: 30_000 }).toBeOneOf([401, 429]);
});

test('a client that is made from the description does ten of them', async () => {
  const { body } = await served.get('/v1/openapi.json');
  const scopes = ['search', 'manage'] as const;
  const made = await createAccessToken({ pool: pool() }, { name: 'client', scopes, expiresAt: undefined });
  const api = new OpenAPIClientAxios({
    definition: body as Document,
    withServer: { url: served.server.url },
    axiosConfigDefaults: { headers: { authorization: `Bearer ${made?.token}` } },
  });
  const { paths } = await api.init();
  const get = async (path: string, parameters = {}) => (await paths[path]?.get?.(parameters))?.data;
  const post = async (path: string, parameters: object | null, fields: object) =>
    (await paths[path]?.post?.(parameters as never, fields))?.data;
  expect((await get('/v1/status', { limit: 1 })).sources).toHaveLength(1);
  const { id } = await post('/v1/holds', null, { all_organizations: true, reason: 'case 4' });
  expect(await post('/v1/holds/{id}/release', { id }, { by: 'T. Roe' })).toMatchObject({ id, releasedBy: 'T. Roe' });
  expect((await get('/v1/holds')).at(-1)).toMatchObject({ id, reason: 'case 4' });
  expect((await post('/v1/tokens/{name}', { name: 'of-it' }, { scope: 'search' })).scopes).toEqual(['search']);
  expect((await post('/v1/tokens/{name}/revoke', { name: 'of-it' }, {})).state).toBe('revoked');
  expect((await get('/v1/tokens')).at(-1).name).toBe('of-it');
  expect(await get('/v1/sinks')).toMatchObject([{ name: 'pager' }, { name: 'siem' }]);
  expect(await post('/v1/sinks/{name}/replay', { name: 'pager' }, { after: 0 })).toMatchObject({ sink: 'pager' });
  expect(await get('/v1/sinks/{name}/dead-letters', { name: 'siem', limit: 2 })).toHaveLength(2);
});
