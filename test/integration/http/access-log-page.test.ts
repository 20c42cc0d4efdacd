import { createHash, randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { noteAccess } from '../../../src/access/access-log.sql.ts';
import { sessionProof, tokenProof } from '../../../src/access/access-log-proof.ts';
import { createAccessToken, revokeAccessToken } from '../../../src/access/access-tokens.sql.ts';
import { sessionKey } from '../../../src/http/console/sign-in/session.ts';
import { untilNoted } from '../../support/accounts/access-log.ts';
import { type LeastPrivilegedRun, openLeastPrivilegedRun } from '../../support/accounts/least-privileged-daemon.ts';
import { type Served, serve } from '../../support/sync/served.ts';

let opened: LeastPrivilegedRun;
let served: Served;
/** A connection of the account of the daemon, as an attacker who has its password gets it. */
let thief: Client;

beforeAll(async () => {
  opened = await openLeastPrivilegedRun({ organizations: 1, entries: 10 });
  served = await serve(opened.run, { feedToken });
  thief = new Client({ connectionString: opened.run.config.databaseUrl });
  await thief.connect();
});
afterAll(async () => {
  await thief?.end();
  await served?.[Symbol.asyncDispose]();
  await opened?.[Symbol.asyncDispose]();
});

test('a session sees the rows of its own token, that of --access-log all of them, and each opening is a row', async () => {
  await note('jane', 'of an earlier jane');
  const jane = await signIn(await made('jane'));
  const auditor = await signIn(await made('auditor', { seesAccessLog: true }));
  await note('jane', 'of jane');
  await note('tom', 'of tom');
  const own = (await open(jane)).text;
  expect(own).toContain('of jane');
  expect(own).not.toContain('of tom');
  expect(own).not.toContain('of an earlier jane');
  expect((await open(jane, '?who=tom')).text).toContain('No row matches.');
  const all = (await open(auditor)).text;
  for (const text of ['of jane', 'of tom', 'of an earlier jane']) expect(all).toContain(text);
  expect(await untilNoted(pool(), { kind: 'access-log', who: 'jane' })).toMatchObject({ route: 'GET /access-log' });
});

test('filters by who, action and time, in pages without an overlap', async () => {
  const cookie = await signIn(await made('reader', { seesAccessLog: true }));
  await note('paged', ...Array.from({ length: 120 }, (_, n) => `row ${n}.`));
  const seen: string[] = [];
  for (let path: string | undefined = '?who=paged&kind=search'; path !== undefined; ) {
    const { text }: { text: string } = await open(cookie, path);
    seen.push(...[...text.matchAll(/row \d+\./g)].map(([found]) => found));
    path = /rel="next" href="\/access-log([^"]+)"/.exec(text)?.[1]?.replaceAll('&amp;', '&');
  }
  expect(seen).toEqual(Array.from({ length: 120 }, (_, n) => `row ${119 - n}.`));
  expect((await open(cookie, '?who=paged&kind=export')).text).toContain('No row matches.');
  await pool().query("update access_log set at = at - interval '30 days' where who = 'paged'");
  expect((await open(cookie, '?who=paged')).text).toContain('No row matches.');
  expect((await open(cookie, '?who=paged&since=31d&before=29d')).text).toContain('row 119.');
  for (const at of ['2026-02-31 00:00:00+00', '0000-01-01 00:00:00+00', '2026-01-01 24:00:00+00'])
    expect((await open(cookie, `?from=${encodeURIComponent(`${at}~5`)}`)).code, at).toBe(200);
  expect((await open(cookie, '?kind=searches')).code).toBe(400);
  expect((await open(cookie, '?whom=x')).code).toBe(400);
  expect((await open(cookie, '?since=yesterday-ish')).text).toMatch(/role="alert">since /);
});

test('neither the shared token nor one of an earlier version sees any, and the page says why', async () => {
  await note('tom', 'of tom');
  const shared = (await open(await signIn(feedToken))).text;
  expect(shared).toContain(CLOSED);
  expect(shared).toContain('The database does not know ORGTRAIL_FEED_TOKEN');
  const old = await made('old');
  await pool().query("update access_tokens set access_log_proof = null where name = 'old'");
  const early = (await open(await signIn(old))).text;
  expect(early).toContain('The token old was made by an earlier version');
  for (const text of [shared, early]) expect(text).not.toContain('of tom');
});

test('what a token proved ends with its session and with the token', async () => {
  const token = await made('ended');
  const proofs = async () =>
    (
      await pool().query(
        "select from console_session_proofs p join access_tokens t on t.id = p.token_id where name = 'ended'",
      )
    ).rowCount;
  const cookie = await signIn(token);
  const other = await signIn(token);
  expect(await proofs()).toBe(2);
  await fetch(`${served.server.url}/console/sign-out`, {
    method: 'POST',
    redirect: 'manual',
    headers: { origin: served.server.url, cookie },
  });
  expect(await proofs()).toBe(1);
  const id = other.split('=')[1] ?? '';
  const shown = async () =>
    (await thief.query('select shown from orgtrail_access_log_shown($1, null)', [sessionProof(id)])).rows[0]?.shown;
  expect(await shown()).toBe('own');
  await revokeAccessToken(pool(), 'ended');
  expect(await shown()).toBe('none');
});

test('the account of the daemon reads nothing by itself: not by a session that it makes, nor by what the tables have', async () => {
  await note('tom', 'of tom');
  await made('victim', { seesAccessLog: true });
  const signedIn = await signIn(await made('present', { seesAccessLog: true }));
  expect((await open(signedIn)).text).toContain('of tom');
  const { rows: tokens } = await thief.query<{ id: string; name: string; hash: Buffer; access_log_proof: Buffer }>(
    'select id, name, hash, access_log_proof from access_tokens where revoked_at is null',
  );
  const { rows: sessions } = await thief.query<{ key: Buffer }>('select key from console_sessions');
  expect(sessions.length).toBeGreaterThan(0);
  const cookie = randomBytes(32).toString('base64url');
  for (const { id, name, hash, access_log_proof: kept } of tokens) {
    const key = createHash('sha256').update(`${cookie}${id}`).digest();
    await thief.query(
      "insert into console_sessions (key, token_id, expires_at) values ($1, $2, now() + interval '1 hour')",
      [key, id],
    );
    for (const proof of [hash, kept, tokenProof(name), tokenProof(hash.toString('hex')), null]) {
      for (const of of [key, ...sessions.map((session) => session.key)]) {
        const { rows } = await thief.query('select orgtrail_prove_session($1, $2, $3) as proven', [of, proof, key]);
        expect(rows[0]?.proven).toBe(false);
      }
    }
  }
  const guesses = [
    null,
    ...sessions.map(({ key }) => key),
    ...tokens.flatMap(({ hash, access_log_proof: kept }) => [hash, kept]),
  ];
  for (const guess of guesses) {
    for (const name of [null, 'tom', 'victim', 'present']) {
      const { rows } = await thief.query(
        'select * from orgtrail_read_access_log($1, $2, null, null, null, null, null, null, 200)',
        [guess, name],
      );
      expect(rows).toEqual([]);
    }
  }
  for (const table of ['access_log', 'console_session_proofs']) {
    await expect(thief.query(`select from ${table}`)).rejects.toThrow('permission denied');
  }

  // Over HTTP it gets into the console so, and not to the trail.
  const forged = randomBytes(32).toString('base64url');
  await thief.query(
    "insert into console_sessions (key, token_id, expires_at) select $1, id, now() + interval '1 hour' from access_tokens where name = 'victim'",
    [sessionKey(forged, undefined)],
  );
  const { text } = await open(`orgtrail_session=${forged}`);
  expect(text).toContain(CLOSED);
  expect(text).not.toContain('of tom');
});

test('an account that may read the table shows all to the shared token, and to each other token its own rows', async () => {
  await note('tom', 'of tom');
  const jane = await signIn(await made('jane.2'));
  await pool().query('grant select on access_log to orgtrail_ingest');
  try {
    expect((await open(await signIn(feedToken))).text).toContain('of tom');
    expect((await open(jane)).text).not.toContain('of tom');
  } finally {
    await pool().query('revoke select on access_log from orgtrail_ingest');
  }
});

test('tokens say on which day they were last used, by what was not refused', async () => {
  await made('used');
  await made('unused');
  await noteAccess(pool(), [
    { kind: 'feed', outcome: 'ok', who: 'used', address: '::1', route: 'GET /v1/events', what: {}, requests: 1 },
    {
      kind: 'refusal',
      outcome: 'refused',
      who: 'unused',
      address: '::1',
      route: 'GET /v1/events',
      what: {},
      requests: 1,
    },
    { kind: 'hold', outcome: 'ok', who: 'unused', route: 'hold add', what: {}, requests: 1 },
  ]);
  await pool().query("update access_log set at = at + interval '2 days' where who in ('used', 'unused')");
  const { rows: days } = await pool().query(
    "select (max(at) at time zone 'UTC')::date::text as day from access_log where who = 'used'",
  );
  const { rows } = await thief.query(
    `select t.name, u.used_on::text as day from orgtrail_token_use() u
     join access_tokens t on t.id = u.token_id where t.name in ('used', 'unused')`,
  );
  expect(rows).toEqual([{ name: 'used', day: days[0].day }]);
});

const feedToken = 'feed-token-of-the-test';
const CLOSED = 'Not shown to this session';

const pool = () => opened.world.database.pool;

const made = async (name: string, options: { readonly seesAccessLog?: boolean } = {}): Promise<string> => {
  const token = await createAccessToken(pool(), { name, scopes: ['search'], expiresAt: undefined, ...options });
  if (token === undefined) throw new Error(`there is a token ${name}`);
  return token.token;
};

/** Signs in over HTTP, and returns the cookie. */
const signIn = async (token: string): Promise<string> => {
  const answer = await fetch(`${served.server.url}/console/sign-in`, {
    method: 'POST',
    body: new URLSearchParams({ token }),
    redirect: 'manual',
    headers: { origin: served.server.url },
  });
  return answer.headers.getSetCookie()[0]?.split(';')[0] ?? '';
};

const open = async (cookie: string, query = ''): Promise<{ readonly code: number; readonly text: string }> => {
  const answer = await fetch(`${served.server.url}/access-log${query}`, { headers: { cookie }, redirect: 'manual' });
  return { code: answer.status, text: await answer.text() };
};

/** What was searched for, as rows of a token. */
const note = (who: string, ...texts: readonly string[]) =>
  noteAccess(
    pool(),
    texts.map((text) => ({
      kind: 'search',
      outcome: 'ok',
      who,
      address: '198.51.100.7',
      route: 'GET /events',
      status: 200,
      what: { text },
      events: 3,
      requests: 1,
    })),
  );
