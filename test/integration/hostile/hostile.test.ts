import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openHostileWorld } from '../../support/hostile/world.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { entryText } from '../../support/postgres/store-fixture.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { serve } from '../../support/sync/served.ts';
import { openRun } from '../../support/sync/sync-world.ts';

const world = forAllTests(() => openHostileWorld());
const pool = poolOfWorld(world);

const page = (info: string, before = ''): Buffer =>
  Buffer.from(`{${before}"success":true,"result":[${entryText('one', Date.now() - 60_000)}],"result_info":${info}}`);

/** As they come: the exact text of each element of the listing. */
const listed: readonly (readonly [id: string | undefined, text: string])[] = [
  ['plain', '{"id":"plain","name":"Plain","meta":{"flags":{}}}'],
  ['nul', '{"id":"nul","name":"a\\u0000b","meta":{"k\\u0000":"\\u0000"}}'],
  ['half', '{"id":"half","name":"\\ud800","meta":{"\\udc00":"\\ud83d"}}'],
  ['terminal', '{"id":"terminal","name":"\\u001b[2J\\u009b31m\\u202e\\r\\nevil","meta":null}'],
  ['numbers', '{"id":"numbers","name":"n","meta":{"n":1e400,"m":12345678901234567890,"d":1e-400}}'],
  [
    'strange',
    '{"id":"strange","name":["x"],"create_time":"now","parent":"none","managed_by":{},"meta":[1],"new":{"a":1}}',
  ],
  ['times', '{"id":"times","name":"t","create_time":"infinity","meta":"text"}'],
  ['year', '{"id":"year","name":"y","create_time":"+012026-01-01T00:00:00Z"}'],
  ['label"} 1\n', '{"id":"label\\"} 1\\n","name":"label"}'],
  ['\u001b[31mred\u009b', '{"id":"\\u001b[31mred\\u009b","name":"red"}'],
  ['long', `{"id":"long","name":"${'N'.repeat(1_000_000)}"}`],
  ['deep', `{"id":"deep","name":"deep","meta":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}}`],
  ['deep profile', `{"id":"deep profile","name":"p","profile":${'['.repeat(7_000)}${']'.repeat(7_000)}}`],
  ['parent', '{"id":"parent","name":"p","parent":{"id":"a\\u0000\\ud800"},"managed_by":"\\u0000"}'],
  ['twice', '{"id":"twice","name":"first"}'],
  [undefined, '{"id":"twice","name":"second"}'],
  ['proto', '{"id":"proto","name":"p","__proto__":{"name":"other"},"meta":{"__proto__":1}}'],
  ...['null', 'true', '[]', '7', '"text"', '{}', '{"id":null}', '{"id":7}', '{"id":["a"]}', '{"id":""}'].map(
    (text) => [undefined, text] as const,
  ),
  // Ids that no table and no URL can hold as they are.
  [undefined, '{"id":"a\\u0000b","name":"NUL"}'],
  [undefined, '{"id":"\\ud800","name":"half"}'],
  [undefined, `{"id":"${'i'.repeat(1_000_000)}","name":"long id"}`],
];

const reachable = listed.flatMap(([id]) => id ?? []);

let database: TestDatabase;
let api: Awaited<ReturnType<typeof startApi>>;
let env: Record<string, string>;

beforeAll(async () => {
  [database, api] = await Promise.all([createTestDatabase(), startApi()]);
  env = {
    CLOUDFLARE_API_TOKEN: 'token-of-the-test',
    CLOUDFLARE_BASE_URL: api.baseUrl,
    DATABASE_URL: database.daemonUrl,
    ORGTRAIL_API_BUDGET: '1000000',
    ORGTRAIL_HISTORY: '1h',
    ORGTRAIL_LOG_LEVEL: 'debug',
  };
});

afterAll(async () => {
  api?.server.closeAllConnections();
  api?.server.close();
  await database?.close();
});

describe('invariant 9: an envelope that cannot be followed fails its walk, visibly, with nothing stored and nothing claimed', () => {
  test.each([
    ['a cursor with NUL', page('{"cursor":"a\\u0000b"}')],
    ['a cursor with half a character', page('{"cursor":"a\\ud800"}')],
    ['a cursor of 10 MB', page(`{"cursor":"${'c'.repeat(10_000_000)}"}`)],
    ['a cursor that is a number', page('{"cursor":1}')],
    ['a cursor in an array', page('{"cursor":["page-1"]}')],
    ['result_info in a text', page('"cursor"')],
    ['a result that is null, with a count', Buffer.from('{"success":true,"result":null,"result_info":{"count":"1"}}')],
    ['a result under __proto__', Buffer.from('{"__proto__":{"result":[{"id":"a"}]},"success":true}')],
    ['two bodies', Buffer.concat([page('{}'), page('{}')])],
    ['a comma behind the last element', Buffer.from('{"success":true,"result":[{"id":"a"},]}')],
    ['an array', Buffer.from('[{"id":"a"}]')],
    ['UTF-16', Buffer.from('\ufeff{"success":true,"result":[{"id":"a"}]}', 'utf16le')],
    ['a NUL behind the end', Buffer.concat([page('{}'), Buffer.of(0)])],
    ['two byte order marks', Buffer.concat([Buffer.from('\ufeff\ufeff'), page('{}')])],
    ['nothing', Buffer.of()],
  ])('%s', async (name, body) => {
    await world.addSources([name]);
    world.serve(name, [body]);
    expect(await world.sync(name)).toMatchObject({ kind: 'failed', lasting: false });
    expect(await failuresOf(name)).toMatchObject(nothing);
  });

  test.each([
    ['a cursor under __proto__ is none', page('{"__proto__":{"cursor":"page-1"}}')],
    ['unknown members', page('{"cursor":"","cursors":{"after":""},"more":[1]}', '"__proto__":{"success":false},')],
    ['a byte order mark', Buffer.concat([Buffer.from('\ufeff'), page('{}')])],
    ['100,000 levels beside the result', page('{}', `"messages":${'['.repeat(100_000)}${']'.repeat(100_000)},`)],
    ['a success that comes twice', page('{}', '"success":false,')],
  ])('but %s', async (name, body) => {
    await world.addSources([name]);
    world.serve(name, [body]);
    expect(await world.sync(name)).toMatchObject({ kind: 'idle' });
    expect(await failuresOf(name)).toMatchObject({ failures: 0, pages: 0, events: 1, claimed: true });
    expect(world.requests(name)).toBe(1);
  });
});

test.each([
  ['resource_id', 'resource', 'id'],
  ['resource_type', 'resource', 'type'],
  ['actor_id', 'actor', 'id'],
  ['actor_email', 'actor', 'email'],
  ['actor_ip_address', 'actor', 'ip_address'],
  ['actor_token_id', 'actor', 'token_id'],
  ['action_type', 'action', 'type'],
])(
  '%s that no index takes: the column has its beginning, the entry is exact, and its neighbour is stored',
  async (column, part, name) => {
    const value = longText(4_000);
    const time = { time: '2026-10-01T12:00:00Z' };
    const parts = { action: time, [part]: { ...(part === 'action' && time), [name]: value } };
    const text = JSON.stringify({ id: 'long', ...parts });
    await world.addSources([column]);
    world.serve(column, [Buffer.from(`{"success":true,"result":[${text},${entryText('neighbour')}]}`)]);
    expect(await world.sync(column)).toMatchObject({ kind: 'idle' });
    const { rows } = await pool.query<{ id: string; raw: string; value: string; defects: string[] }>(
      `select id, raw::text as raw, ${column} as value, defects from audit_events where source_id = $1 order by position`,
      [column],
    );
    expect(rows.map(({ id }) => id)).toEqual(['long', 'neighbour']);
    expect(rows[0]?.raw === text, 'the exact text').toBe(true);
    expect(rows[0]?.defects).toEqual(['column_too_long']);
    expect(value.startsWith(rows[0]?.value ?? '-')).toBe(true);
    expect(rows[0]?.value.length).toBe(600);
    expect(rows[1]?.defects).toBeNull();
  },
);

describe('hostile organizations', () => {
  test.each(['pretty', 'json'])(
    'none fails the listing, and none reaches the terminal through the log (%s)',
    async (format) => {
      const { code, stdout, stderr } = await runInProcess(['sync'], { ...env, ORGTRAIL_LOG_FORMAT: format });
      expect(code, stderr.slice(0, 2_000)).toBe(0);
      for (const line of [...lines(stdout), ...lines(stderr)]) expect(line).not.toMatch(obeyed);
    },
  );

  test('all that can be reached are kept', async () => {
    const { rows } = await database.pool.query('select id, name, meta, parent_id, create_time from organizations');
    const byId = new Map(rows.map((row) => [row.id, row]));
    expect([...byId.keys()].sort()).toEqual([...reachable].sort());
    expect(byId.get('plain')).toMatchObject({ name: 'Plain', meta: { flags: {} } });
    expect(byId.get('nul')).toMatchObject({ name: 'a\ufffdb', meta: { 'k\ufffd': '\ufffd' } });
    expect(byId.get('half')).toMatchObject({ name: '\ufffd' });
    expect(byId.get('twice')).toMatchObject({ name: 'first' });
    expect(byId.get('proto')).toMatchObject({ name: 'p' });
    expect(byId.get('times')).toMatchObject({ meta: 'text', create_time: null });
    expect(byId.get('strange')).toMatchObject({ name: null, meta: [1], create_time: null });
  });

  test('the table of `status` obeys none', async () => {
    const { code, stdout } = await runInProcess(['status'], env);
    expect(code).toBe(0);
    for (const line of lines(stdout)) {
      expect(line).not.toMatch(obeyed);
      expect(line.length).toBeLessThan(400);
    }
  });

  test('the metrics can be read, whatever the ids are', async () => {
    await using run = await openRun(env, {});
    await using served = await serve(run);
    const text = await served.text('/metrics');
    for (const line of lines(text)) {
      expect(line).toMatch(/^(#.*|[a-z_0-9]+(\{([a-z_0-9]+="([^"\\\n]|\\["\\n])*",?)+\})? [-+.\deEINa-z]+|)$/);
    }
    expect(text).toContain('organization_id="label\\"} 1\\n"');
  });
});

const random = seededRandom(7);

/** Of so many different characters that PostgreSQL cannot compress it to what an index takes. */
const longText = (length: number): string =>
  Array.from({ length }, () => String.fromCodePoint(0x21 + Math.floor(random() * 90))).join('');

const failuresOf = async (id: string) => {
  const { rows } = await pool.query(
    `select failures, last_failure, last_error, coalesce((state #>> '{walk,pages}')::integer, 0) as pages,
       (select count(*)::integer from audit_events where source_id = $1) as events,
       exists (select from coverage where source_id = $1 and not isempty(ranges)) as claimed
     from lanes where source_id = $1`,
    [id],
  );
  return rows[0];
};

const nothing = { failures: 1, last_failure: 'unreadable', pages: 0, events: 0, claimed: false };

const startApi = async () => {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '', 'http://localhost').pathname;
    const list = path.endsWith('/organizations');
    const result = list ? listed.map(([, text]) => text).join(',') : '';
    const profile = path.endsWith('/profile');
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(`{"success":true,"result":${profile ? `${'['.repeat(20_000)}${']'.repeat(20_000)}` : `[${result}]`}}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { server, baseUrl: `http://127.0.0.1:${port}/client/v4` };
};

/** All but tab and line end: what a terminal would obey. */
const obeyed = /[\p{Cc}\p{Bidi_Control}]/u;

const lines = (text: string): string[] => text.split('\n');
