import type { RequestListener } from 'node:http';
import { describe, expect, it } from 'vitest';
import { ApiError, type ApiFailure, OrgtrailError } from '../../../../src/base/errors.ts';
import { createCloudflareClient } from '../../../../src/ingest/cloudflare/client.ts';
import type { ApiText } from '../../../../src/ingest/cloudflare/wire/request.ts';
import { createServerClock } from '../../../../src/ingest/cloudflare/wire/request.ts';
import { answer, startHttpServer } from './local-server.ts';
import { apiErrorOf, createTestClient, getText, startApi, TOKEN } from './test-client.ts';

const DATE = 'Thu, 01 Oct 2026 12:00:00 GMT';

describe('a request', () => {
  it('carries a token as bearer, below the path prefix, and gives the body as it came', async () => {
    await using server = await startHttpServer(answer(200, '{"id":12345678901234567890}'));
    await using test = createTestClient(`${server.baseUrl}/`);
    const got = await test.client.get({
      endpoint: 'organizations',
      path: '/organizations',
      query: new URLSearchParams([
        ['id', 'a b'],
        ['id', 'c'],
      ]),
      signal: new AbortController().signal,
      decode: (answer: ApiText) => answer,
    });
    expect(got).toMatchObject({ text: '{"id":12345678901234567890}', validUtf8: true, rateLimits: [] });
    const [request] = server.requests;
    expect([request?.method, request?.url]).toEqual(['GET', '/client/v4/organizations?id=a+b&id=c']);
    expect(request?.headers).toMatchObject({ authorization: `Bearer ${TOKEN}`, 'user-agent': 'orgtrail/test' });
    expect(request?.headers).not.toHaveProperty('x-auth-key');
  });

  // biome-ignore format: a table
  it.each([
    [{ date: DATE, 'cf-ray': '8f2b1c0d9e7a6b5c-FRA' }, { dateMs: Date.parse(DATE), cfRay: '8f2b1c0d9e7a6b5c-FRA' }],
    [{ date: 'soon', 'cf-ray': 'a ray' }, { dateMs: undefined, cfRay: undefined }],
    [{ date: DATE, 'cf-ray': 'x'.repeat(65) }, { dateMs: Date.parse(DATE), cfRay: undefined }],
    [{ date: DATE }, { dateMs: Date.parse(DATE), cfRay: undefined }],
  ])('gives what names the answer, if it has that: %o', async (headers, expected) => {
    await using test = await startApi(answer(200, {}, headers));
    expect(await getText(test.client)).toMatchObject(expected);
  });

  it('carries email and key in headers of their own', async () => {
    await using test = await startApi(answer(200), {
      credential: { kind: 'key', email: 'a@b.example', key: 'k3y' },
    });
    await getText(test.client);
    expect(test.server.requests[0]?.headers).toMatchObject({ 'x-auth-email': 'a@b.example', 'x-auth-key': 'k3y' });
    expect(test.server.requests[0]?.headers).not.toHaveProperty('authorization');
  });

  it.each(['bad\ntoken', 'bad“token', ''])('refuses a credential that no header carries, unquoted', (token) => {
    const create = () => createTestClient('http://127.0.0.1:1', { credential: { kind: 'token', token } });
    expect(create).toThrow(OrgtrailError);
    if (token !== '') expect(create).not.toThrow(token);
  });

  it('tells about bytes that are no UTF-8', async () => {
    await using test = await startApi(answer(200, Buffer.from([0x22, 0xff, 0xc3, 0xa9, 0x22])));
    expect(await getText(test.client)).toMatchObject({ text: '"\ufffdé"', validUtf8: false });
  });

  it('sets the clock by what Cloudflare itself answers, refusals included, not by the errors of a gateway', async () => {
    await using server = await startHttpServer(
      answer(501, {}, { date: 'Fri, 01 Jan 2100 00:00:00 GMT' }),
      answer(501, {}, { date: 'Fri, 01 Jan 2100 00:00:00 GMT' }),
      answer(403, {}, { date: DATE }),
    );
    const clock = createServerClock(() => 0);
    await using test = createTestClient(server.baseUrl, { clock });
    await apiErrorOf(getText(test.client));
    expect(clock.nowMs()).toBeUndefined();
    await apiErrorOf(getText(test.client));
    expect(clock.nowMs()).toBe(Date.parse(DATE));
  });
});

const rows: [number, ApiFailure, attempts: number][] = [
  [400, 'bad_request', 1],
  [422, 'bad_request', 1],
  [401, 'unauthorized', 1],
  [403, 'refused', 1],
  [404, 'not_found', 1],
  [410, 'not_found', 1],
  [405, 'unexpected', 1],
  [301, 'redirected', 1],
  [307, 'redirected', 1],
  [408, 'server', 2],
  [409, 'server', 2],
  [500, 'server', 2],
  [503, 'server', 2],
  [524, 'server', 2],
  [429, 'throttled', 10],
];
it.each(rows)('a status %i is %s, sent %i times, each within the budget', async (status, failure, attempts) => {
  await using test = await startApi(answer(status));
  const error = await apiErrorOf(getText(test.client));
  expect(error).toMatchObject({ failure, status });
  expect(error.message).toContain(`GET /organizations was answered with ${status}`);
  expect(test.server.requests).toHaveLength(attempts);
  expect(test.log.filter((line) => line === 'acquire')).toHaveLength(attempts);
  expect(test.observed.filter((line) => line === `organizations ${status}`)).toHaveLength(attempts);
  // Two, not one for each: a retry without any sleep may come before its connection is free.
  expect(test.server.connections).toBeLessThanOrEqual(2);
});

it.each([
  ['https://developers.cloudflare.com/fundamentals/api/reference/permissions/', true],
  ['https://example.com/sign-in', false],
])('a refusal names the page %s of the documentation: %s', async (page, isNamed) => {
  const errors = [{ code: 10000, message: 'Authentication error', documentation_url: page }];
  await using test = await startApi(answer(403, JSON.stringify({ success: false, errors })));
  const { message } = await apiErrorOf(getText(test.client));
  expect(message).toBe(
    `GET /organizations was answered with 403: 10000 Authentication error${isNamed ? ` (${page})` : ''}`,
  );
});

it('a status gives Cloudflare’s codes and words, without control characters and not at length', async () => {
  // biome-ignore format: a table
  const errors = [
    { code: 10000, message: 'Authentication\nerror' }, { message: 'x'.repeat(500) }, { code: 'odd' }, null,
  ];
  await using test = await startApi(answer(403, { success: false, errors }));
  const error = await apiErrorOf(getText(test.client));
  expect(error.apiCodes).toEqual([10000]);
  expect(error.message).toContain(': 10000 Authentication error; xxx');
  expect(error.message.length).toBeLessThan(300);
});

it.each(['', '<html>bad gateway</html>', 'null', '[]', '{"errors":{"code":1}}', '{"errors":[1,"a",null]}'])(
  'a status reads the body %j of an error without fault',
  async (body) => {
    await using test = await startApi(answer(403, body));
    expect(await apiErrorOf(getText(test.client))).toMatchObject({ failure: 'refused', apiCodes: [] });
  },
);

it('a retry waits longer each time, and tells the observer', async () => {
  const broken: RequestListener = (_request, response) => void response.destroy();
  await using test = await startApi([broken, broken, answer(200)]);
  await getText(test.client);
  expect(test.log).toEqual(['acquire', 'sleep 500', 'acquire', 'sleep 1000', 'acquire']);
  // biome-ignore format: a table
  expect(test.observed).toEqual([
    'organizations connection', 'retry connection 1 500', 'organizations connection', 'retry connection 2 1000', 'organizations 200',
  ]);
});

it('a retry leaves a 503 that asks for longer to the caller, with what it asked for', async () => {
  await using test = await startApi([answer(503, {}, { 'retry-after': '300' }), answer(200)]);
  expect(await apiErrorOf(getText(test.client))).toMatchObject({ failure: 'server', retryAfterMs: 300_000 });
  expect(test.log).toEqual(['acquire']);
});

it('a retry asks again for a body that the caller cannot read', async () => {
  await using test = await startApi([answer(200, '<html>'), answer(200, '{}')]);
  const validate = ({ text }: ApiText) => {
    if (text.startsWith('<')) throw new ApiError('unreadable', 'HTML');
  };
  expect(await getText(test.client, { validate })).toMatchObject({ text: '{}' });
  expect(test.observed).toEqual(['organizations unreadable', 'retry unreadable 1 500', 'organizations 200']);
});

it('a retry gives up on a body that stays unreadable; lets a bug of the caller through', async () => {
  await using test = await startApi(answer(200, '<html>'));
  const failing = (error: Error) =>
    getText(test.client, {
      validate: () => {
        throw error;
      },
    });
  expect(await apiErrorOf(failing(new ApiError('unreadable', 'HTML')))).toMatchObject({ failure: 'unreadable' });
  expect(test.server.requests).toHaveLength(2);
  await expect(failing(new RangeError('bug'))).rejects.toThrow(RangeError);
  expect(test.server.requests).toHaveLength(3);
});

it('an unreachable budget sends nothing and rejects with its own error', async () => {
  await using server = await startHttpServer(answer(200));
  const client = createCloudflareClient({
    baseUrl: server.baseUrl,
    credential: { kind: 'token', token: TOKEN },
    userAgent: 'orgtrail/test',
    clock: createServerClock(() => 0),
    budget: {
      acquire: () => Promise.reject(new OrgtrailError('database_unreachable', 'gone')),
      pause: async () => {},
    },
  });
  await expect(getText(client)).rejects.toThrow('gone');
  expect(server.requests).toHaveLength(0);
  await client.close();
});

const throttled = (headers: Record<string, string>) => answer(429, {}, headers);

// biome-ignore format: a table
it.each([
  ['seconds, not shortened', { 'retry-after': '300' }, 300_000],
  ['an HTTP date, by the answer’s own clock', { 'retry-after': 'Thu, 01 Oct 2026 12:05:00 GMT', date: DATE }, 300_000],
  ['an absurd time: an hour at most', { 'retry-after': '999999' }, 3_600_000],
  ['garbage: half a minute', { 'retry-after': 'later' }, 30_000],
  ['nothing, but a rate limit with its reset', { ratelimit: '"a";r=0;t=42, "b";r=9;t=99' }, 42_000],
])('a 429 that asks for %s', async (_what, headers, pauseMs) => {
  await using test = await startApi([throttled(headers), answer(200)]);
  await getText(test.client);
  // One pause for all, and no sleep of the call's own: the budget lets no request pass before its end.
  expect(test.log).toEqual(['acquire', `pause ${pauseMs} retry_after`, 'acquire']);
  // biome-ignore format: a table
  expect(test.observed).toEqual([
    'organizations 429', `throttled ${pauseMs}`, `retry throttled 1 ${pauseMs}`, 'organizations 200',
  ]);
});

it('a 429 takes a date by the clock of earlier answers when this one has none', async () => {
  const dateless = throttled({ 'retry-after': 'Thu, 01 Oct 2026 12:01:10 GMT' });
  await using test = await startApi([
    answer(200, {}, { date: DATE }),
    (request, response) => {
      response.sendDate = false;
      dateless(request, response);
    },
  ]);
  await getText(test.client);
  await apiErrorOf(getText(test.client));
  expect(test.log).toContain('pause 70000 retry_after');
});

it('a 429 stops all requests even after the last attempt, and leaves other faults their own retries', async () => {
  const ten = Array(9).fill(throttled({ 'retry-after': '1' }));
  await using test = await startApi([...ten, answer(500), throttled({ 'retry-after': '7' })]);
  const error = await apiErrorOf(getText(test.client));
  expect(error).toMatchObject({ failure: 'throttled', retryAfterMs: 7_000 });
  expect(test.server.requests).toHaveLength(11);
  expect(test.log.at(-1)).toMatch(/^pause \d+ retry_after$/);
});

it('rate-limit headers slow all requests down when little is left, on errors as well', async () => {
  const scarce = { ratelimit: '"default";r=9;t=30', 'ratelimit-policy': '"burst";q=100;w=60' };
  await using test = await startApi([answer(200, {}, scarce), answer(404, {}, scarce)]);
  expect((await getText(test.client)).rateLimits).toEqual([
    { policy: 'default', remaining: 9, resetMs: 30_000, quota: 100 },
  ]);
  await apiErrorOf(getText(test.client));
  expect(test.log).toEqual(['acquire', 'pause 3000 ratelimit', 'acquire', 'pause 3000 ratelimit']);
});

it('rate-limit headers are read from several header lines, and change nothing while plenty is left', async () => {
  await using test = await startApi(answer(200, {}, { ratelimit: ['"a";r=500;t=30', '"b";r=70;t=9'] }));
  expect((await getText(test.client)).rateLimits).toHaveLength(2);
  expect(test.log).toEqual(['acquire']);
});
