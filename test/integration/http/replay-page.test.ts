import { createHash, randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sessionProof } from '../../../src/access/access-log-proof.ts';
import { createAccessToken, revokeAccessToken } from '../../../src/access/access-tokens.sql.ts';
import { sessionKey } from '../../../src/http/console/sign-in/session.ts';
import { sqlState } from '../../../src/postgres/sql-state.ts';
import { readAccessLog } from '../../support/accounts/access-log.ts';
import { type LeastPrivilegedRun, openLeastPrivilegedRun } from '../../support/accounts/least-privileged-daemon.ts';
import { type Served, serve } from '../../support/sync/served.ts';

let opened: LeastPrivilegedRun;
let served: Served;
/** A connection of the account of the daemon, as an attacker who has its password gets it. */
let thief: Client;

beforeAll(async () => {
  const env = {
    ORGTRAIL_SINKS: JSON.stringify({
      siem: { type: 'http', url: 'http://127.0.0.1:9/ingest' },
      pager: { type: 'http', url: 'http://127.0.0.1:9/alarms', events: 'alarms' },
    }),
  };
  opened = await openLeastPrivilegedRun({ organizations: 1, entries: STORED }, env);
  await pool().query(
    `insert into sinks (name, kind, target, position, failures, last_error) select name, 'http', 'http://127.0.0.1:9/', ${STORED}, 3, 'away'
     from unnest('{siem,pager,former}'::text[]) as s (name)`,
  );
  served = await serve(opened.run, { feedToken });
  thief = new Client({ connectionString: opened.run.config.databaseUrl });
  await thief.connect();
});
afterAll(async () => {
  await thief?.end();
  await served?.[Symbol.asyncDispose]();
  await opened?.[Symbol.asyncDispose]();
});

test('a session of a token that was made for it sets a sink back, and the row is there with it', async () => {
  const cookie = await signIn(await made('on-call', true));
  const asked = await open(cookie, '/sinks/siem/replay?after=4');
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
  const cookie = await signIn(await made('careful', true));
  const was = await positionOf();
  const before = (await replays()).length;
  for (const after of ['', '-1', '1e1', '5; drop', `${STORED + 1}`]) {
    const { code, text } = await open(cookie, `/sinks/siem/replay?${new URLSearchParams({ after })}`);
    expect([code, text.includes('<form class="panel"')], after).toEqual([400, false]);
    expect((await post(`/sinks/siem/replay?${new URLSearchParams({ after })}`, cookie)).status).toBeGreaterThan(399);
  }
  const forward = await open(cookie, `/sinks/siem/replay?after=${STORED}`);
  expect(forward.text).toContain('This would go forward, and 6 positions would never be sent.');
  expect(forward.text).not.toContain('Replay as');
  expect((await post(`/sinks/siem/replay?after=${STORED}`, cookie)).status).toBe(409);
  for (const name of ['former', 'pager', 'nosuch']) {
    expect((await open(cookie, `/sinks/${name}/replay?after=0`)).code).toBe(404);
    expect((await post(`/sinks/${name}/replay?after=0`, cookie)).status).toBe(404);
  }
  expect((await post('/sinks/siem/replay?after=0', cookie, undefined, 'https://evil.example')).status).toBe(403);
  expect([await positionOf(), await positionOf('pager'), await positionOf('former')]).toEqual([was, STORED, STORED]);
  expect(await replays()).toHaveLength(before);
});

test('other sessions see what it would do, and may not', async () => {
  const was = await positionOf();
  const ended = await made('ended', true);
  const cookies = [await signIn(feedToken), await signIn(await made('reader', false))];
  const revoked = await signIn(ended);
  for (const cookie of cookies) {
    const { code, text } = await open(cookie, '/sinks/siem/replay?after=0');
    expect(code).toBe(200);
    expect(text).toContain('This session may not replay');
    expect(text).toContain('orgtrail token create NAME --scope search --replay');
    expect(text).not.toContain('Replay as');
    expect((await post('/sinks/siem/replay?after=0', cookie)).status).toBe(403);
  }
  await revokeAccessToken(pool(), 'ended');
  expect((await post('/sinks/siem/replay?after=0', revoked)).headers.get('location')).toContain('/console/sign-in');
  expect(await positionOf()).toBe(was);
});

test('the account of the daemon sets no sink back by itself: not by a session that it makes, nor by what the tables have', async () => {
  const was = await positionOf();
  await made('victim', true);
  const present = await signIn(await made('present', true));
  const replay = async (proof: Buffer | null): Promise<string | undefined> => {
    try {
      await thief.query("select orgtrail_replay_sink($1, 'siem', 0, 'x')", [proof]);
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
  const forged = randomBytes(32).toString('base64url');
  await thief.query(
    "insert into console_sessions (key, token_id, expires_at) select $1, id, now() + interval '1 hour' from access_tokens where name = 'victim'",
    [sessionKey(forged, undefined)],
  );
  const { text } = await open(`orgtrail_session=${forged}`, '/sinks/siem/replay?after=0');
  expect(text).toContain('This session may not replay');
  expect((await post('/sinks/siem/replay?after=0', `orgtrail_session=${forged}`)).status).toBe(403);
  expect(await positionOf()).toBe(was);

  // The proof of a session that is there: so the attempts above would have been seen.
  expect(await replay(sessionProof(present.split('=')[1] ?? ''))).toBeUndefined();
  expect(await positionOf()).toBe(0);
});

const feedToken = 'feed-token-of-the-test';
const STORED = 10;

const pool = () => opened.world.database.pool;

const made = async (name: string, replaysSinks: boolean): Promise<string> => {
  const token = await createAccessToken(pool(), { name, scopes: ['search'], expiresAt: undefined, replaysSinks });
  if (token === undefined) throw new Error(`there is a token ${name}`);
  return token.token;
};

const post = (path: string, cookie: string, body = new URLSearchParams(), origin = served.server.url) =>
  fetch(`${served.server.url}${path}`, { method: 'POST', body, redirect: 'manual', headers: { origin, cookie } });

/** Signs in over HTTP, and returns the cookie. */
const signIn = async (token: string): Promise<string> => {
  const answer = await post('/console/sign-in', '', new URLSearchParams({ token }));
  return answer.headers.getSetCookie()[0]?.split(';')[0] ?? '';
};

const open = async (cookie: string, path: string): Promise<{ readonly code: number; readonly text: string }> => {
  const answer = await fetch(`${served.server.url}${path}`, { headers: { cookie }, redirect: 'manual' });
  return { code: answer.status, text: await answer.text() };
};

const positionOf = async (sink = 'siem'): Promise<number> => {
  const { rows } = await pool().query('select position::float8 as position from sinks where name = $1', [sink]);
  return rows[0].position;
};

const replays = async () => (await readAccessLog(pool())).filter(({ kind }) => kind === 'replay');
