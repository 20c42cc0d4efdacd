import { createHash, randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { sessionKey } from '../../../src/http/console/sign-in.routes.ts';
import { sessionProof, tokenProof } from '../../../src/postgres/access/access.ts';
import { noteAccess } from '../../../src/postgres/access/access-log.sql.ts';
import { createAccessToken, revokeAccessToken } from '../../../src/postgres/access/tokens.sql.ts';
import { sqlState } from '../../../src/postgres/sql-state.ts';
import { readAccessLog, untilNoted } from '../../support/accounts/access-log.ts';
import { openLeastPrivilegedRun } from '../../support/accounts/least-privileged-daemon.ts';
import { signInAt } from '../../support/accounts/sign-in.ts';
import { firstValue } from '../../support/postgres/rows.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { serve } from '../../support/sync/served.ts';

const opened = forAllTests(() =>
  openLeastPrivilegedRun({ organizations: 1, entries: STORED }, { ORGTRAIL_SINKS: JSON.stringify(sinks) }),
);

/** A connection of the account of the daemon, as an attacker who has its password gets it. */
const thief = forAllTests(async () => {
  const client = new Client({ connectionString: opened.run.config.databaseUrl });
  await client.connect();
  return client;
});

const served = forAllTests(() => serve(opened.run, { feedToken, trustedProxies: ['127.0.0.1'] }));
beforeAll(async () => {
  await pool().query(
    `insert into sinks (name, kind, target, position, failures, last_error) select name, 'http', 'http://127.0.0.1:9/', ${STORED}, 3, 'away'
     from unnest('{siem,pager,former}'::text[]) as s (name)`,
  );
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
  await post('/console/sign-out', cookie);
  expect(await proofs()).toBe(1);
  const id = other.split('=')[1] ?? '';
  const shown = async () =>
    (await thief.query('select shown from orgtrail_access_log_shown($1, null)', [sessionProof(id)])).rows[0]?.shown;
  expect(await shown()).toBe('own');
  await revokeAccessToken({ pool: pool() }, 'ended');
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
  const forged = await forgedSession('victim');
  const { text } = await open(forged);
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
  const used = { kind: 'feed', outcome: 'ok', address: '::1', route: 'GET /v1/events', what: {}, requests: 1 } as const;
  await noteAccess(pool(), [
    { ...used, who: 'used' },
    { ...used, who: 'unused', kind: 'refusal', outcome: 'refused' },
    { ...used, who: 'unused', kind: 'hold', address: undefined, route: 'hold add' },
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

test('a session of a token that was made for it sets a sink back, and the row is there with it', async () => {
  const cookie = await signIn(await made('on-call', { replaysSinks: true }));
  const asked = await see(cookie, '/sinks/siem/replay?after=4');
  expect(asked.code).toBe(200);
  expect(asked.text).toContain('<strong>6 positions again</strong>, 6 to send in all');
  expect(asked.text).toContain('Replay as on-call');
  expect(await positionOf(), 'asking changes nothing').toBe(STORED);

  const done = await post('/sinks/siem/replay?after=4', cookie);
  expect([done.status, done.headers.get('location')]).toEqual([303, '/sinks/siem']);
  const { rows } = await pool().query('select position::integer, failures, last_error from sinks where name = $1', [
    'siem',
  ]);
  expect(rows).toEqual([{ position: 4, failures: 0, last_error: null }]);
  expect(await replays()).toMatchObject([
    {
      who: 'on-call',
      outcome: 'ok',
      route: 'POST /sinks/:name/replay',
      what: { sink: 'siem', after: 4, from: STORED },
    },
  ]);
});

test('what is no position, goes forward, is no such sink or comes from another site changes nothing', async () => {
  const cookie = await signIn(await made('careful', { replaysSinks: true }));
  const was = await positionOf();
  const before = (await replays()).length;
  for (const after of ['', '-1', '1e1', '5; drop', `${STORED + 1}`]) {
    const { code, text } = await see(cookie, `/sinks/siem/replay?${new URLSearchParams({ after })}`);
    expect([code, text.includes('<form class="panel"')], after).toEqual([400, false]);
    expect((await post(`/sinks/siem/replay?${new URLSearchParams({ after })}`, cookie)).status).toBeGreaterThan(399);
  }
  const forward = await see(cookie, `/sinks/siem/replay?after=${STORED}`);
  expect(forward.text).toContain('This would go forward, and 6 positions would never be sent.');
  expect(forward.text).not.toContain('Replay as');
  expect((await post(`/sinks/siem/replay?after=${STORED}`, cookie)).status).toBe(409);
  for (const name of ['former', 'pager', 'nosuch']) {
    expect((await see(cookie, `/sinks/${name}/replay?after=0`)).code).toBe(404);
    expect((await post(`/sinks/${name}/replay?after=0`, cookie)).status).toBe(404);
  }
  expect((await post('/sinks/siem/replay?after=0', cookie, undefined, 'https://evil.example')).status).toBe(403);
  expect([await positionOf(), await positionOf('pager'), await positionOf('former')]).toEqual([was, STORED, STORED]);
  expect(await replays()).toHaveLength(before);
});

test('other sessions see what it would do, and may not', async () => {
  const was = await positionOf();
  const ended = await made('ended.2', { replaysSinks: true });
  const cookies = [await signIn(feedToken), await signIn(await made('reader.2'))];
  const revoked = await signIn(ended);
  for (const cookie of cookies) {
    const { code, text } = await see(cookie, '/sinks/siem/replay?after=0');
    expect(code).toBe(200);
    expect(text).toContain('This session may not replay');
    expect(text).toContain('orgtrail token create NAME --scope search --replay');
    expect(text).not.toContain('Replay as');
    expect((await post('/sinks/siem/replay?after=0', cookie)).status).toBe(403);
  }
  await revokeAccessToken({ pool: pool() }, 'ended.2');
  expect((await post('/sinks/siem/replay?after=0', revoked)).headers.get('location')).toContain('/console/sign-in');
  expect(await positionOf()).toBe(was);
});

test('the account of the daemon sets no sink back by itself: not by a session that it makes, nor by what the tables have', async () => {
  const was = await positionOf();
  await made('victim.2', { replaysSinks: true });
  const present = await signIn(await made('present.2', { replaysSinks: true }));
  const replay = async (proof: Buffer | null): Promise<string | undefined> => {
    try {
      await thief.query(`select orgtrail_order('sink replay', '{"sink": "siem", "after": 0}', $1, 'x', 'x')`, [proof]);
      return undefined;
    } catch (error) {
      return sqlState(error);
    }
  };
  const { rows: tokens } = await thief.query<{ hash: Buffer; access_log_proof: Buffer }>(
    'select hash, access_log_proof from access_tokens',
  );
  const { rows: sessions } = await thief.query<{ key: Buffer }>('select key from console_sessions');
  const guesses = [
    null,
    randomBytes(32),
    ...sessions.map(({ key }) => key),
    ...tokens.flatMap(({ hash, access_log_proof: kept }) => [hash, kept, createHash('sha256').update(hash).digest()]),
  ];
  expect(guesses.length).toBeGreaterThan(8);
  for (const guess of guesses) expect(await replay(guess)).toBe('42501');
  await expect(thief.query('update sinks set position = 0')).rejects.toThrow('permission denied');
  await expect(thief.query('update access_tokens set replays_sinks = true')).rejects.toThrow('permission denied');

  // Over HTTP a session that it makes gets into the console, and no further.
  const forged = await forgedSession('victim.2');
  const { text } = await see(forged, '/sinks/siem/replay?after=0');
  expect(text).toContain('This session may not replay');
  expect((await post('/sinks/siem/replay?after=0', forged)).status).toBe(403);
  expect(await positionOf()).toBe(was);

  // The proof of a session that is there: so the attempts above would have been seen.
  expect(await replay(sessionProof(present.split('=')[1] ?? ''))).toBeUndefined();
  expect(await positionOf()).toBe(0);
});

test('a session of a token with the scope manage thaws a month and ends that; no other does', async () => {
  await pool().query(
    `insert into archive_objects (archive, key, kind, month, feed_id, first_position, last_position, events, bytes, sha256, ids_sha256, raw_sha256,
       columns_sha256, organizations, dropped_at)
     select 'file:///a', 'k', 'events', '2024-03-01', feed_id, 1, 2, 2, 1, repeat('0', 64), '', '', '', '{}', now() from feed_head`,
  );
  const thaw = (cookie: string, month: string, wanted = '7d', origin?: string) =>
    post('/archive/thaw', cookie, new URLSearchParams({ month, for: wanted }), origin);
  const thaws = async () =>
    (await pool().query('select asked_as, ends_at > now() as lasts from archive_thaws order by id')).rows;
  const manager = await signIn(await made('legal', { scopes: ['search', 'manage'] }));
  for (const cookie of [await signIn(feedToken), await signIn(await made('reader.3')), await forgedSession('legal')])
    expect((await thaw(cookie, '2024-03')).status).toBe(403);
  expect((await thaw(manager, '2024-03', '7d', 'https://evil.example')).status).toBe(403);
  for (const [month, wanted] of [['2024-04'], ['2024-13'], [''], ['2024-03', '400d']] as const)
    expect((await thaw(manager, month, wanted)).status).toBe(409);
  expect(await thaws()).toEqual([]);
  expect((await see(manager, '/archive')).text).toContain('Thaw for 7 days');
  expect((await thaw(manager, '2024-03')).headers.get('location')).toBe('/archive#thaws');
  expect(await thaws()).toEqual([{ asked_as: expect.stringContaining(' for the token legal'), lasts: true }]);
  expect((await see(manager, '/archive')).text).toContain('0 % copied');
  expect(await untilNoted(pool(), { kind: 'archive', who: 'legal' })).toMatchObject({ route: 'POST /archive/thaw' });
  expect((await thaw(manager, '2024-03', '0s')).status).toBe(303);
  expect(await thaws()).toMatchObject([{ lasts: false }]);
});

const feedToken = 'feed-token-of-the-test';
const CLOSED = 'Not shown to this session';

/** The cookie of a session of this token that the account of the daemon makes by itself. */
const forgedSession = async (name: string): Promise<string> => {
  const forged = randomBytes(32).toString('base64url');
  await thief.query(
    "insert into console_sessions (key, token_id, expires_at) select $1, id, now() + interval '1 hour' from access_tokens where name = $2",
    [sessionKey(forged, undefined), name],
  );
  return `orgtrail_session=${forged}`;
};

const pool = () => opened.world.database.pool;

const made = async (
  name: string,
  options: Partial<Pick<Parameters<typeof createAccessToken>[1], 'seesAccessLog' | 'replaysSinks' | 'scopes'>> = {},
): Promise<string> => {
  const token = await createAccessToken(
    { pool: pool() },
    { name, scopes: ['search'], expiresAt: undefined, ...options },
  );
  if (token === undefined) throw new Error(`there is a token ${name}`);
  return token.token;
};

let signedIn = 0;
/** Each time at another address: so often is none let in. */
const signIn = (token: string) => signInAt(served, token, `198.51.100.${++signedIn}`);

const see = async (cookie: string, path: string): Promise<{ readonly code: number; readonly text: string }> => {
  const answer = await fetch(`${served.server.url}${path}`, { headers: { cookie }, redirect: 'manual' });
  return { code: answer.status, text: await answer.text() };
};

const open = (cookie: string, query = '') => see(cookie, `/access-log${query}`);

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

const STORED = 10;

const sinks = {
  siem: { type: 'http', url: 'http://127.0.0.1:9/ingest' },
  pager: { type: 'http', url: 'http://127.0.0.1:9/alarms', events: 'alarms' },
};

const post = (path: string, cookie: string, body = new URLSearchParams(), origin = served.server.url) =>
  fetch(`${served.server.url}${path}`, { method: 'POST', body, redirect: 'manual', headers: { origin, cookie } });

const positionOf = (sink = 'siem') =>
  firstValue<number>(pool(), 'select position::float8 as position from sinks where name = $1', [sink]);

const replays = async () => (await readAccessLog(pool())).filter(({ kind }) => kind === 'replay');
