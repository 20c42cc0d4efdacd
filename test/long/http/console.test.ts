import { beforeAll, describe, expect, test } from 'vitest';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { type Served, serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const world = ofAllTests(() => openWorld({ entries: 60 }));
const run = ofAllTests(() => world.open());
beforeAll(() => run.cycle());

describe('signing in', () => {
  test('without a token set, on loopback: there is nothing to sign in to', async () => {
    await using served = await serve(run);
    const page = await get(served, '/console/sign-in?next=/?q=x');
    expect([page.status, page.headers.get('location')]).toEqual([303, '/?q=x']);
  });

  test('without a token set, outside loopback: closed, and says how to open it', async () => {
    await using served = await serve(run, { host: '0.0.0.0' });
    const response = await get(served, '/');
    expect(response.status).toBe(403);
    expect(await response.text()).toContain('Set <code>ORGTRAIL_FEED_TOKEN</code>');
  });

  test('with a token: every page leads to signing in and back; the cookie opens, another token or a lie does not', async () => {
    await using served = await serve(run, { feedToken });
    const closed = await get(served, '/organizations/x?a=b');
    const to = `/console/sign-in?next=${encodeURIComponent('/organizations/x?a=b')}`;
    expect([closed.status, closed.headers.get('location')]).toEqual([303, to]);
    expect((await get(served, '/console/sign-in')).status).toBe(200);

    const wrong = await post(served, '/console/sign-in', { token: `${feedToken}x` });
    expect([wrong.status, cookieOf(wrong)]).toEqual([403, '']);
    expect(await wrong.text()).toContain('Wrong, expired or revoked token.');

    const right = await signIn(served);
    expect([right.status, right.headers.get('location')]).toEqual([303, '/?state=failing']);
    const cookie = cookieOf(right);
    expect(cookie).toMatch(/^orgtrail_session=[\w.-]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/);
    expect(cookie).not.toContain(feedToken);
    const session = { cookie: pairOf(cookie) };
    expect((await get(served, '/', session)).status).toBe(200);
    expect((await get(served, '/v1/status', session)).status, 'the API requires the token itself').toBe(401);
    expect((await get(served, '/', { cookie: 'orgtrail_session=9999999999.x' })).status).toBe(303);
    // Another replica, or the same after a restart; and one with another token.
    await using again = await serve(run, { feedToken });
    expect((await get(again, '/', session)).status).toBe(200);
    await using changed = await serve(run, { feedToken: 'another-token-of-the-test' });
    expect((await get(changed, '/', session)).status).toBe(303);

    const out = await post(served, '/console/sign-out', {}, session);
    expect([out.status, out.headers.get('location')]).toEqual([303, '/console/sign-in']);
    expect(cookieOf(out)).toMatch(/^orgtrail_session=; .*Expires=Thu, 01 Jan 1970/);
  });

  test('the cookie is Secure where the request came by https, which only a trusted proxy can say', async () => {
    const byHttps = { 'x-forwarded-proto': 'https' };
    await using served = await serve(run, { feedToken });
    expect(cookieOf(await signIn(served, byHttps))).not.toContain('Secure');
    await using behind = await serve(run, { feedToken, trustedProxies: ['127.0.0.0/8'] });
    expect(cookieOf(await signIn(behind, byHttps))).toContain('; Secure');
    expect(cookieOf(await signIn(behind))).not.toContain('Secure');
  });

  test('next leads nowhere else, however it is written', async () => {
    await using served = await serve(run, { feedToken });
    const base = baseOf(served);
    for (const next of ['//evil.example', 'https://evil.example', '/\\evil.example', '/%09/evil.example/..//x']) {
      const { headers } = await post(served, '/console/sign-in', { token: feedToken, next });
      expect(new URL(headers.get('location') ?? '', base).origin, next).toBe(base);
      const theme = await post(served, '/console/theme', { theme: 'dark', next });
      expect(new URL(theme.headers.get('location') ?? '', base).origin, next).toBe(base);
    }
  });
});

test('forms of other sites are refused: another origin, another port, none, or what the browser calls cross-site', async () => {
  await using served = await serve(run, { feedToken });
  const attempts: HeaderFields[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: `${baseOf(served)}0` },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ];
  for (const headers of attempts) {
    for (const path of ['/console/sign-in', '/console/sign-out', '/console/theme']) {
      const response = await post(served, path, { token: feedToken }, headers);
      expect([response.status, cookieOf(response)], JSON.stringify([path, headers])).toEqual([403, '']);
    }
  }
  const silent = await fetch(`${served.server.url}/console/sign-in`, { method: 'POST', redirect: 'manual' });
  expect(silent.status).toBe(403);
});

test('every answer of the console has the strict policy; the API answers as before', async () => {
  await using served = await serve(run, { feedToken });
  const session = { cookie: pairOf(cookieOf(await signIn(served))) };
  const paths = ['/', '/?q=x', '/organizations/none', '/console/sign-in', '/console/assets/console.css'];
  for (const path of paths) {
    const { headers } = await get(served, path, session);
    expect(headers.get('content-security-policy'), path).toBe(
      "default-src 'none';script-src 'self';style-src 'self';img-src 'self';font-src 'self';connect-src 'self';form-action 'self';frame-ancestors 'none';base-uri 'none'",
    );
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('referrer-policy')).toBe('same-origin');
    expect(headers.get('x-frame-options')).toBe('DENY');
  }
  expect((await get(served, '/', session)).headers.get('cache-control')).toBe('no-store');
  expect((await get(served, '/livez')).headers.has('content-security-policy')).toBe(false);
  for (const path of ['/console/assets/', '/console/assets/idiomorph.js', '/console/assets/..%2fconsole.ts']) {
    expect((await get(served, path)).status, path).toBe(404);
  }
});

test('an organization that is not there: a page that says so', async () => {
  await using served = await serve(run);
  const missing = await get(served, '/organizations/none');
  expect([missing.status, await missing.text()]).toEqual([404, expect.stringContaining('Organization not found')]);
});

const feedToken = 'feed-token-of-the-test';
type HeaderFields = Readonly<Record<string, string>>;
const baseOf = (served: Served): string => served.server.url.replace('0.0.0.0', '127.0.0.1');

const get = (served: Served, path: string, headers: HeaderFields = {}): Promise<Response> =>
  fetch(`${baseOf(served)}${path}`, { headers, redirect: 'manual' });

/** As a browser sends a form of the console itself, unless `headers` says otherwise. */
const post = (
  served: Served,
  path: string,
  form: Record<string, string>,
  headers: HeaderFields = {},
): Promise<Response> =>
  fetch(`${baseOf(served)}${path}`, {
    method: 'POST',
    body: new URLSearchParams(form),
    headers: { origin: baseOf(served), ...headers },
    redirect: 'manual',
  });

const cookieOf = (response: Response): string => response.headers.getSetCookie()[0] ?? '';
const pairOf = (cookie: string): string => cookie.split(';')[0] ?? '';

const signIn = (served: Served, headers: HeaderFields = {}) =>
  post(served, '/console/sign-in', { token: feedToken, next: '/?state=failing' }, headers);
