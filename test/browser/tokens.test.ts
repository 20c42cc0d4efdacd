import { afterAll, beforeAll, expect, test } from 'vitest';
import { noteAccess } from '../../src/access/access-log.sql.ts';
import { createAccessToken, revokeAccessToken } from '../../src/access/access-tokens.sql.ts';
import { type ConsoleFixture, expectNoFaults, openConsole } from '../support/console/console-fixture.ts';
import { expectInert, expectLooks, hostileText, schemes } from '../support/console/page-looks.ts';

let console: ConsoleFixture;
let secrets: readonly string[];

const made = async (
  name: string,
  scopes: readonly ('feed' | 'search' | 'metrics')[],
  expiresAt: Date | undefined = undefined,
) => {
  const token = await createAccessToken(console.database.pool, { name, scopes, expiresAt });
  if (token === undefined) throw new Error(`there is a token ${name}`);
  return token.token;
};

beforeAll(async () => {
  console = await openConsole({ simulator: { entries: 20 } });
  const { pool } = console.database;
  secrets = [
    await made('siem', ['feed']),
    await made('jane.doe', ['search', 'feed'], new Date(Date.now() + 90 * 86_400_000)),
    await made('noor', ['search']),
    await made('former', ['metrics']),
  ];
  await revokeAccessToken(pool, 'former');
  await pool.query(
    `insert into access_tokens (name, hash, scopes, expires_at, created_as) values
       ($1, decode(repeat('ab', 32), 'hex'), '{search}', now() - interval '1 day', $1)`,
    [hostileText],
  );
});
afterAll(async () => await console?.[Symbol.asyncDispose]());

/** A session in force of the token of this name; null: of ORGTRAIL_FEED_TOKEN. */
const beginSession = async (name: string | null): Promise<void> => {
  await console.database.pool.query(
    `insert into console_sessions (key, token_id, expires_at)
     values (sha256(gen_random_uuid()::text::bytea), (select id from access_tokens where name = $1), now() + interval '1 hour')`,
    [name],
  );
};

test('each token has its name, scopes, beginning and end, with its sessions, and nothing that opens anything', async () => {
  await beginSession('jane.doe');
  const note = { kind: 'feed', outcome: 'ok', address: '::1', route: 'GET /v1/events', what: {}, requests: 1 } as const;
  await noteAccess(console.database.pool, [{ ...note, who: 'siem' }]);
  await beginSession(null);
  const { page, faults } = await console.newPage({ javaScriptEnabled: false });
  await page.goto(`${console.url}/sinks`);
  await page.getByRole('navigation', { name: 'Operation' }).getByRole('link', { name: 'Tokens' }).click();
  await page.getByRole('heading', { name: '3 tokens in force' }).waitFor();
  const rows = (name: string) => page.getByRole('region', { name }).locator('tbody tr').allTextContents();
  const [noor, jane, siem, ...others] = await rows('Table of tokens in force');
  expect(others).toEqual([]);
  expect(noor).toMatch(/noor\s+search[\s\S]*no end\s+not in 400 days\s+none now/);
  expect(jane).toMatch(/jane\.doe\s+feed, search|jane\.doe\s+search, feed/);
  expect(jane).toMatch(/in 89d[\s\S]*1 session now\s*the last began 2\d{3}-/);
  expect(siem).toMatch(/siem\s+feed[\s\S]*no end\s+2\d{3}-\d\d-\d\d\s+it cannot sign in/);
  const ended = await rows('Table of ended tokens');
  expect(ended.map((row) => /window\.hacked|former/.exec(row)?.[0])).toEqual(['window.hacked', 'former']);
  expect(ended[0]).toMatch(/expired\s+not in 400 days\s+ended with it/);
  expect(ended[1]).toMatch(/revoked 2\d{3}-[\s\S]*by the database account \w/);

  const content = await page.content();
  const { rows: hashes } = await console.database.pool.query<{ hash: string }>(
    "select encode(hash, 'hex') as hash from access_tokens",
  );
  for (const secret of [...secrets, ...hashes.map(({ hash }) => hash)]) expect(content).not.toContain(secret);
  expectNoFaults(faults);
});

test('commands can be copied', async () => {
  const { page, faults } = await console.newPage({ permissions: ['clipboard-read', 'clipboard-write'] });
  await page.goto(`${console.url}/access-tokens`);
  await page.getByRole('button', { name: 'Copy the command that revokes a token' }).click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  expect(await page.evaluate('navigator.clipboard.readText()')).toBe('orgtrail token revoke NAME');
  expectNoFaults(faults);
});

test('a hostile name is inert', () => expectInert(console, ['/access-tokens']));

test.each(schemes)('nothing that axe finds, nothing wider than the screen: %s', (scheme) =>
  expectLooks(console, scheme, ['/access-tokens']),
);
