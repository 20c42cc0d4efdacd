import { describe, expect, it } from 'vitest';
import { answer } from './local-server.ts';
import { apiErrorOf, getText, startApi } from './test-client.ts';

const DATE = 'Thu, 01 Oct 2026 12:00:00 GMT';

describe('a 429', () => {
  const throttled = (headers: Record<string, string>) => answer(429, {}, headers);

  // biome-ignore format: a table
  it.each([
    ['seconds, not shortened', { 'retry-after': '300' }, 300_000],
    ['an HTTP date, by the answer’s own clock', { 'retry-after': 'Thu, 01 Oct 2026 12:05:00 GMT', date: DATE }, 300_000],
    ['an absurd time: an hour at most', { 'retry-after': '999999' }, 3_600_000],
    ['garbage: half a minute', { 'retry-after': 'later' }, 30_000],
    ['nothing, but a rate limit with its reset', { ratelimit: '"a";r=0;t=42, "b";r=9;t=99' }, 42_000],
  ])('that asks for %s', async (_what, headers, pauseMs) => {
    await using test = await startApi([throttled(headers), answer(200)]);
    await getText(test.client);
    // One pause for all, and no sleep of the call's own: the budget lets no request pass before its end.
    expect(test.log).toEqual(['acquire', `pause ${pauseMs} retry_after`, 'acquire']);
    expect(test.observed).toEqual([
      'organizations 429',
      `throttled ${pauseMs}`,
      `retry throttled 1 ${pauseMs}`,
      'organizations 200',
    ]);
  });

  it('takes a date by the clock of earlier answers when this one has none', async () => {
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

  it('stops all requests even after the last attempt, and leaves other faults their own retries', async () => {
    const ten = Array(9).fill(throttled({ 'retry-after': '1' }));
    await using test = await startApi([...ten, answer(500), throttled({ 'retry-after': '7' })]);
    const error = await apiErrorOf(getText(test.client));
    expect(error).toMatchObject({ failure: 'throttled', retryAfterMs: 7_000 });
    expect(test.server.requests).toHaveLength(11);
    expect(test.log.at(-1)).toMatch(/^pause \d+ retry_after$/);
  });
});

describe('rate-limit headers', () => {
  it('slow all requests down when little is left, on errors as well', async () => {
    const scarce = { ratelimit: '"default";r=9;t=30', 'ratelimit-policy': '"burst";q=100;w=60' };
    await using test = await startApi([answer(200, {}, scarce), answer(404, {}, scarce)]);
    expect((await getText(test.client)).rateLimits).toEqual([
      { policy: 'default', remaining: 9, resetMs: 30_000, quota: 100 },
    ]);
    await apiErrorOf(getText(test.client));
    expect(test.log).toEqual(['acquire', 'pause 3000 ratelimit', 'acquire', 'pause 3000 ratelimit']);
  });

  it('are read from several header lines, and change nothing while plenty is left', async () => {
    await using test = await startApi(answer(200, {}, { ratelimit: ['"a";r=500;t=30', '"b";r=70;t=9'] }));
    expect((await getText(test.client)).rateLimits).toHaveLength(2);
    expect(test.log).toEqual(['acquire']);
  });
});
