import { describe, expect, test } from 'vitest';
import { openLeastPrivilegedRun } from '../../support/accounts/least-privileged-daemon.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { until } from '../../support/process/until.ts';
import { type Served, serve } from '../../support/sync/served.ts';

const opened = ofAllTests(() => openLeastPrivilegedRun({ organizations: 2, entries: EVENTS }));
const served = ofAllTests(() => serve(opened.run, { host: '0.0.0.0', feedToken }));

describe('orgtrail token', () => {
  test('create prints the secret once, list never, and neither the database nor a log has it', async () => {
    const made = await token('create', 'jane.doe', '--scope', 'search,feed', '--expires', '90d');
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const [secret = '', words] = made.stdout.split('\n');
    expect(secret).toMatch(/^orgtrail_[\w-]{43}$/);
    expect(words).toMatch(/^the token jane.doe has the scope feed, search and expires in (89d 23h|90d)/);
    expect((await token('create', 'jane.doe', '--scope', 'feed')).stderr).toMatch(/there is a token jane.doe already/);

    const { stdout } = await token('list');
    expect(stdout).toMatch(/^NAME +STATE +SCOPES +EXPIRES +CREATED\n/);
    expect(stdout).toMatch(/\njane\.doe +active +feed,search +\d{4}-/);
    expect(await statusOf('/v1/search?limit=1', secret)).toBe(200);
    const { rows } = await opened.world.database.pool.query(
      'select (select jsonb_agg(t) from access_tokens t)::text || (select jsonb_agg(l) from access_log l)::text as all',
    );
    for (const text of [stdout, (await token('list', '--json')).stdout, rows[0].all, opened.run.log()]) {
      expect(text).not.toContain(secret.slice('orgtrail_'.length));
    }
    expect(rows[0].all).toContain('token create');
  });
});

test('a scope opens what it names and no more; the token of the environment opens everything', async () => {
  await using closed = await serve(opened.run, { host: '0.0.0.0', feedToken, healthAccess: 'token' });
  const routes = { feed: '/v1/events?limit=1', search: '/v1/search?limit=1', metrics: '/metrics' } as const;
  for (const scope of ['feed', 'search', 'metrics'] as const) {
    const secret = await create(`only-${scope}`, scope);
    for (const [name, path] of Object.entries(routes)) {
      expect(await statusOf(path, secret, closed), `${scope} at ${path}`).toBe(name === scope ? 200 : 403);
    }
    expect(await statusOf('/v1/status', secret, closed)).toBe(200);
    const answer = await post('/console/sign-in', { token: secret, next: '/' }, '', closed);
    expect(answer.status).toBe(scope === 'search' ? 303 : 403);
  }
  for (const path of [...Object.values(routes), '/healthz', '/v1/status']) {
    expect(await statusOf(path, feedToken, closed), path).toBe(200);
    expect(await statusOf(path, undefined, closed), path).toBe(401);
  }
  expect(await statusOf('/readyz', undefined, closed), 'probes have no token').toBe(200);
});

test('without a token of the environment a named one opens what is outside loopback', async () => {
  await using named = await serve(opened.run, { host: '0.0.0.0' });
  const secret = await create('alone', 'feed,search');
  expect(await statusOf('/v1/events?limit=1', undefined, named)).toBe(401);
  expect(await statusOf('/v1/events?limit=1', secret, named)).toBe(200);
  expect(await pageStatus('', named), 'one can sign in').toBe(303);
  expect(await pageStatus(await signIn(secret, named), named)).toBe(200);
});

test('a revoked token and an expired one open nothing, on any replica, and their sessions end at once', async () => {
  await using other = await serve(await opened.open(), { host: '0.0.0.0', feedToken });
  const revoked = await create('leaves', 'feed,search');
  const expiring = await create('for-a-while', 'feed,search', '--expires', '1h');
  const sessions: string[] = [];
  for (const secret of [revoked, expiring]) {
    for (const of of [served, other]) expect(await statusOf('/v1/events?limit=1', secret, of)).toBe(200);
    sessions.push(await signIn(secret));
  }
  for (const cookie of sessions) for (const of of [served, other]) expect(await pageStatus(cookie, of)).toBe(200);

  const { stdout } = await token('revoke', 'leaves');
  expect(stdout).toBe('the token leaves is revoked: it stops working within 10 seconds, as do those made with it\n');
  await opened.world.database.pool.query(
    "update access_tokens set expires_at = clock_timestamp() where name = 'for-a-while'",
  );
  for (const cookie of sessions) for (const of of [served, other]) expect(await pageStatus(cookie, of)).toBe(303);
  const endedAtMs = performance.now();
  for (const secret of [revoked, expiring]) {
    for (const of of [served, other]) {
      await until('the token opens nothing', async () => {
        const sentAfterMs = performance.now() - endedAtMs;
        const opens = (await statusOf('/v1/events?limit=1', secret, of)) === 200;
        if (opens) expect(sentAfterMs, 'a request that was sent later than is promised').toBeLessThan(10_000);
        return !opens;
      });
      expect([401, 429]).toContain(await statusOf('/v1/search?limit=1', secret, of));
      expect((await post('/console/sign-in', { token: secret }, '', of)).status).toBe(403);
    }
  }
  expect((await token('list')).stdout).toMatch(/\nleaves +revoked \S+ by \S+ +feed,search/);
  expect((await token('list')).stdout).toMatch(/\nfor-a-while +expired/);
});

test('signing out ends the session on every replica, for a copy of its cookie, too', async () => {
  await using other = await serve(await opened.open(), { host: '0.0.0.0', feedToken });
  const mine = await signIn(feedToken);
  const another = await signIn(feedToken);
  expect([await pageStatus(mine), await pageStatus(mine, other)]).toEqual([200, 200]);
  expect((await post('/console/sign-out', {}, mine, other)).headers.get('location')).toBe('/console/sign-in');
  expect([await pageStatus(mine), await pageStatus(mine, other)]).toEqual([303, 303]);
  const download = await fetch(`${baseOf(served)}/events/export?format=csv`, {
    headers: { cookie: mine },
    redirect: 'manual',
  });
  expect(download.status).toBe(303);
  expect(await pageStatus(another), 'those of others go on').toBe(200);
  await using changed = await serve(opened.run, { host: '0.0.0.0', feedToken: 'another-token-of-the-test' });
  expect(await pageStatus(another, changed), 'another token ends it').toBe(303);
});

describe('wrong tokens', () => {
  test('after ten in a minute an address is answered 429, everywhere; a right token behind it is not', async () => {
    await using behind = await serve(opened.run, { feedToken, trustedProxies: ['127.0.0.1'] });
    const ask = async (path: string, bearer: string, address: string) => {
      const headers = { authorization: `Bearer ${bearer}`, 'x-forwarded-for': address };
      const response = await fetch(`${baseOf(behind)}${path}`, { headers });
      await response.text();
      return { status: response.status, retryAfter: response.headers.get('retry-after') };
    };
    const paths = ['/v1/events?limit=1', '/v1/search?limit=1', '/v1/status'];
    for (let count = 0; count < 10; count += 1) {
      const wrong = count % 2 === 0 ? 'wrong-token-of-the-test' : `orgtrail_${'x'.repeat(43)}`;
      expect((await ask(paths[count % 3] ?? '', wrong, `2001:db8:0:1::${count}`)).status).toBe(401);
    }
    for (const path of paths) {
      const refused = await ask(path, 'wrong-token-of-the-test', '2001:db8:0:1:ffff::1');
      expect(refused.status).toBe(429);
      expect(Number(refused.retryAfter)).toBeGreaterThan(0);
      expect((await ask(path, feedToken, '2001:db8:0:1::1')).status, 'the right one').toBe(200);
      expect((await ask(path, 'wrong-token-of-the-test', '2001:db8:0:2::1')).status, 'another network').toBe(401);
    }
  });
});

const feedToken = 'feed-token-of-the-test';
const EVENTS = 40;
const baseOf = (of: Served): string => of.server.url.replace('0.0.0.0', '127.0.0.1');
const token = (...args: string[]) => runInProcess(['token', ...args], opened.ownerEnv);

/** Makes one, and returns its secret. */
const create = async (name: string, scope: string, ...more: string[]): Promise<string> => {
  const { code, stdout } = await token('create', name, '--scope', scope, '--json', ...more);
  expect(code).toBe(0);
  return JSON.parse(stdout).token;
};

const statusOf = async (path: string, bearer: string | undefined, of = served): Promise<number> => {
  const headers = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
  const response = await fetch(`${baseOf(of)}${path}`, { headers, redirect: 'manual' });
  await response.text();
  return response.status;
};

const post = (path: string, form: Record<string, string>, cookie = '', of = served): Promise<Response> =>
  fetch(`${baseOf(of)}${path}`, {
    method: 'POST',
    body: new URLSearchParams(form),
    redirect: 'manual',
    headers: { origin: baseOf(of), ...(cookie !== '' && { cookie }) },
  });

const signIn = async (secret: string, of = served): Promise<string> => {
  const response = await post('/console/sign-in', { token: secret, next: '/' }, '', of);
  expect(response.status).toBe(303);
  return response.headers.getSetCookie()[0]?.split(';')[0] ?? '';
};

/** 200, or 303 to the sign-in. */
const pageStatus = async (cookie: string, of = served): Promise<number> => {
  const response = await fetch(`${baseOf(of)}/events`, { headers: { cookie }, redirect: 'manual' });
  await response.text();
  return response.status;
};
