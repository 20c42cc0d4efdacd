import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { serve } from '../../support/sync/served.ts';
import { openRun } from '../../support/sync/sync-world.ts';

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
