import { describe, expect, it } from 'vitest';
import type { Credential } from '../../../../src/ingest/cloudflare/credentials.ts';
import { createPrincipal } from '../../../../src/ingest/cloudflare/principal.ts';
import { answer, startHttpServer } from './local-server.ts';
import { apiErrorOf, createTestClient, getText } from './test-client.ts';

const ofUser = (id: unknown) => answer(200, { success: true, result: { id, email: 'a@b.example' } });
const listing = answer(200, { success: true, result: [] });

describe('whom Cloudflare counts (invariant 11)', () => {
  it('is asked before the first request, once, and is the user', async () => {
    await using server = await startHttpServer(ofUser('u1'), listing);
    const { source, principal } = changing();
    await using test = createTestClient(server.baseUrl, { credential: source, principal });
    const { client } = test;
    expect(principal.current()).toBeUndefined();
    await Promise.all([getText(client), getText(client), getText(client)]);
    expect(paths(server)).toEqual(['/user', '/organizations', '/organizations', '/organizations']);
    expect([principal.current(), test.observed[0]]).toEqual(['user:u1', 'user 200']);
  });

  const refusals = [
    answer(401, {}),
    answer(403, { errors: [{ code: 9109, message: 'Unauthorized to access requested resource' }] }),
    answer(404, {}),
    answer(400, { errors: [{ code: 6003, message: 'Invalid request headers' }] }),
  ] as const;

  // biome-ignore format: a table
  it.each([
    ['is the credential by itself if it is no token of a user', answer(401), [undefined, true, false]],
    ['may be any user if it is the token of a user', answer(200, { success: true, result: { id: 'a-token', status: 'active' } }), [undefined, false, true]],
    ['may be any user if that question is refused, too', answer(403), [undefined, false, true]],
    ['may be any user if that question has no answer', answer(404), [undefined, false, true]],
  ] as const)('%s, and the question who it is was refused', async (_, verified, expected) => {
    for (const refused of refusals) {
      await using server = await startHttpServer(refused, verified, listing);
      const { source, principal, pass } = changing();
      await using test = createTestClient(server.baseUrl, { credential: source, principal });
      const { client } = test;
      await getText(client);
      if (expected[1]) pass(3_599_999);
      await getText(client);
      expect(paths(server)).toEqual(['/user', '/user/tokens/verify', '/organizations', '/organizations']);
      expect([principal.current(), principal.isItself(), principal.isUnsure()]).toEqual(expected);
    }
  });

  it.each([200, 401, 403])('is asked again after an hour: permission may be granted by then (%i)', async (verified) => {
    let granted = false;
    await using server = await startHttpServer((request, response) => {
      if (request.url?.endsWith('/verify')) answer(verified, { success: true, result: {} })(request, response);
      else if (request.url?.endsWith('/user')) (granted ? ofUser('u1') : answer(403))(request, response);
      else listing(request, response);
    });
    const { source, principal, pass } = changing();
    await using test = createTestClient(server.baseUrl, { credential: source, principal });
    const { client } = test;
    await getText(client);
    granted = true;
    pass(3_600_000);
    await getText(client);
    await expect.poll(() => principal.current()).toBe('user:u1');
    expect([principal.isItself(), principal.isUnsure()]).toEqual([false, false]);
  });

  it('stays the credential by itself if a later question says nothing', async () => {
    await using server = await startHttpServer(({ url }, response) => {
      const asked = paths(server).filter((path) => path === url?.replace('/client/v4', '')).length;
      const status = url?.endsWith('/verify') ? (asked === 1 ? 401 : 403) : url?.endsWith('/user') ? 403 : 200;
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end('{"success":true,"result":[],"errors":[],"messages":[]}');
    });
    const { source, principal, pass } = changing();
    await using test = createTestClient(server.baseUrl, { credential: source, principal });
    const { client } = test;
    await getText(client);
    pass(3_600_000);
    await getText(client);
    await expect.poll(() => test.observed.filter((line) => line === 'user 403')).toHaveLength(3);
    expect([principal.isItself(), principal.isUnsure()]).toEqual([true, false]);
  });

  it('is never a key by itself: a key is always of a user', async () => {
    await using server = await startHttpServer(answer(403), listing);
    const key = { kind: 'key', email: 'a@example.com', key: 'a-key' } as const;
    const principal = createPrincipal({ current: () => key, refresh: () => false }, () => 0);
    await using test = createTestClient(server.baseUrl, { credential: key, principal });
    await getText(test.client);
    expect(paths(server)).toEqual(['/user', '/organizations']);
    expect([principal.isItself(), principal.isUnsure()]).toEqual([false, true]);
  });

  it.each([
    ['an error of the server', answer(502)],
    ['a page of HTML', answer(200, '<html>')],
    ['no id', ofUser(7)],
    ['an id that no row could be named by', ofUser('x'.repeat(1_000))],
  ])('may be any user after %s: requests go out; it is asked again a second later, beside them', async (_, broken) => {
    await using server = await startHttpServer(broken, listing, listing, ofUser('u1'), ofUser('u1'));
    const { source, principal, pass } = changing();
    await using test = createTestClient(server.baseUrl, { credential: source, principal });
    const { client } = test;
    expect(principal.isUnsure(), 'while it is asked, nothing else is sent').toBe(false);
    await getText(client);
    pass(999);
    await getText(client);
    expect(paths(server)).toEqual(['/user', '/organizations', '/organizations']);
    expect([principal.current(), principal.isItself(), principal.isUnsure()]).toEqual([undefined, false, true]);
    pass(1);
    await getText(client);
    await expect.poll(() => principal.current()).toBe('user:u1');
    expect([principal.isUnsure(), paths(server).filter((path) => path === '/user').length]).toEqual([false, 2]);
    expect(
      test.log.filter((line) => line.startsWith('sleep')),
      'the question is not repeated at once',
    ).toEqual([]);
  });

  it('is asked again after twice as long each time, up to a minute, while the question fails', async () => {
    await using server = await startHttpServer(({ url }, response) => {
      response.writeHead(url?.startsWith('/user') ? 502 : 200, { 'content-type': 'application/json' });
      response.end('{"success":true,"result":[],"errors":[],"messages":[]}');
    });
    const { source, principal, pass, told } = changing();
    await using test = createTestClient(server.baseUrl, { credential: source, principal });
    const { client } = test;
    const questions = () => paths(server).filter((path) => path === '/user').length;
    await getText(client);
    let asked = 1;
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      pass(1_000 * seconds - 1);
      await getText(client);
      expect(questions(), `before ${seconds} s`).toBe(asked);
      pass(1);
      await getText(client);
      asked += 1;
      await expect.poll(questions).toBe(asked);
      // Its answer has been read when the next request is sent.
      await expect.poll(() => test.observed.filter((line) => line.startsWith('user')).length).toBe(asked);
      if (seconds < 16) expect(told(), `after ${seconds} s`).toBe(0);
    }
    expect(told(), 'once').toBe(1);
  });

  it('stops all requests for as long as a 429 to the question says', async () => {
    await using server = await startHttpServer(answer(429, {}, { 'retry-after': '7' }), listing);
    const { source, principal } = changing();
    await using test = createTestClient(server.baseUrl, { credential: source, principal });
    await getText(test.client);
    expect(test.log).toContain('pause 7000 retry_after');
  });

  it('is asked for a credential that was renewed, which until then is taken for one of the same user', async () => {
    await using server = await startHttpServer(ofUser('u1'), listing, answer(503), listing, ofUser('u2'), listing);
    const { source, principal, renew, pass } = changing();
    await using test = createTestClient(server.baseUrl, { credential: source, principal });
    const { client } = test;
    await getText(client);
    renew('second-token');
    await getText(client);
    expect([principal.current(), principal.isUnsure()]).toEqual(['user:u1', false]);
    pass(60_000);
    await getText(client);
    await expect.poll(() => principal.current()).toBe('user:u2');
    expect(server.requests.at(-1)?.headers.authorization).toBe('Bearer second-token');
  });

  it('is not asked for with a token whose prefix says that it is of an account', async () => {
    await using server = await startHttpServer(ofUser('u1'), listing);
    const { source, principal, renew } = changing();
    await using test = createTestClient(server.baseUrl, { credential: source, principal });
    await getText(test.client);
    renew('cfat_of_an_account');
    await getText(test.client);
    expect(paths(server)).toEqual(['/user', '/organizations', '/organizations']);
    expect([principal.current(), principal.isItself(), principal.isUnsure()]).toEqual([undefined, true, false]);
  });

  it('is the credential by itself if that was renewed by one of an account', async () => {
    await using server = await startHttpServer(ofUser('u1'), listing, answer(401), answer(401), listing);
    const { source, principal, renew } = changing();
    await using test = createTestClient(server.baseUrl, { credential: source, principal });
    const { client } = test;
    await getText(client);
    renew('second_of_an_account');
    await getText(client);
    expect(principal.current()).toBeUndefined();
  });

  it('does not hold up a caller that has gone', async () => {
    const asked = Promise.withResolvers<void>();
    await using server = await startHttpServer(() => asked.resolve());
    const { source, principal } = changing();
    await using test = createTestClient(server.baseUrl, { credential: source, principal });
    const gone = new AbortController();
    const got = getText(test.client, { signal: gone.signal });
    await asked.promise;
    gone.abort(new Error('shutdown'));
    await expect(got).rejects.toThrow('shutdown');
  });

  it('hides no failure of the requests themselves', async () => {
    await using server = await startHttpServer(answer(401), answer(401), answer(403));
    const { source, principal } = changing();
    await using test = createTestClient(server.baseUrl, { credential: source, principal });
    expect((await apiErrorOf(getText(test.client))).failure).toBe('refused');
  });
});

const paths = (server: { readonly requests: readonly { readonly url?: string | undefined }[] }) =>
  server.requests.map(({ url }) => url?.replace('/client/v4', ''));

/** A credential that the test renews, and time that it lets pass. */
const changing = () => {
  const token = { kind: 'token' as const, token: 'first-token' };
  const state = { credential: token as Credential, now: 0, told: 0 };
  const source = { current: () => state.credential, refresh: () => false };
  const tell = () => {
    state.told += 1;
  };
  return {
    source,
    told: () => state.told,
    principal: createPrincipal(source, () => state.now, tell),
    renew: (token: string) => Object.assign(state, { credential: { kind: 'token', token } }),
    pass: (ms: number) => Object.assign(state, { now: state.now + ms }),
  };
};
