import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ApiFailure } from '../../../../src/base/errors.ts';
import {
  createServerClock,
  MAX_RETRY_AFTER_MS,
  nextRetry,
  pacing,
  parseHttpDate,
  parseRateLimits,
  parseRetryAfter,
  type RetryFacts,
  resetOf,
  throttlePauseMs,
} from '../../../../src/ingest/cloudflare/wire/request.ts';
import { forAll } from '../../for-all.ts';

it.each([
  ['300', 300_000],
  [' 7 ', 7_000],
  ['0', 0],
  ['1.5', 1_500],
  ['99999999999', MAX_RETRY_AFTER_MS],
  ['9'.repeat(400), MAX_RETRY_AFTER_MS],
  ['Thu, 01 Oct 2026 12:05:00 GMT', 300_000],
  ['Thu, 01 Oct 2026 11:00:00 GMT', 0],
  ['Fri, 31 Dec 9999 23:59:59 GMT', MAX_RETRY_AFTER_MS],
  ['Thu, 99 Oct 2026 12:05:00 GMT', undefined],
  ['-5', undefined],
  ['soon', undefined],
  ['2026', 2_026_000],
  ['2026-10-01T12:05:00Z', undefined],
  ['', undefined],
  [undefined, undefined],
])('parseRetryAfter %s is %s', (value, expected) => expect(parseRetryAfter(value, NOW_MS)).toBe(expected));

it('parseRetryAfter does not measure a date by any clock but the sender’s', () => {
  expect(parseRetryAfter('Thu, 01 Oct 2026 12:05:00 GMT', undefined)).toBeUndefined();
  expect(parseRetryAfter('60', undefined)).toBe(60_000);
});

it('parseRateLimits reads the form of Cloudflare’s changelog, where the lone policy has another name', () =>
  expect(parseRateLimits('"default";r=50;t=30', '"burst";q=100;w=60')).toEqual([
    { policy: 'default', remaining: 50, resetMs: 30_000, quota: 100 },
  ]));

it('parseRateLimits reads lists, quoted separators, spaces, unknown parameters and bare names', () =>
  expect(parseRateLimits('"a,b;c" ; r=1 ; t=2 ; pk=:x:,daily;T=5;R=4', 'daily;q=10;w=60, "a,b;c";q=7')).toEqual([
    { policy: 'a,b;c', remaining: 1, resetMs: 2_000, quota: 7 },
    { policy: 'daily', remaining: 4, resetMs: 5_000, quota: 10 },
  ]));

it('parseRateLimits drops what does not tell both the rest and the reset', () => {
  expect(parseRateLimits('"a";r=1, "b";t=2, "c";r=-1;t=2, "d";r=x;t=1, ;;, "', undefined)).toEqual([]);
  expect(parseRateLimits(undefined, '"burst";q=100')).toEqual([]);
});

it('parseRateLimits never throws, and gives only numbers that can be waited for', () => {
  const headerish = fc.oneof(
    fc.string(),
    fc
      .array(fc.constantFrom('"', ',', ';', 'r=', 't=', 'q=', '1', '99999999999999999999', 'a', ' '))
      .map((parts) => parts.join('')),
  );
  forAll([headerish, headerish], {}, (rateLimit, policy) => {
    const limits = parseRateLimits(rateLimit, policy);
    for (const wait of [pacing(limits), resetOf(limits) ?? 0]) {
      expect(wait).toBeGreaterThanOrEqual(0);
      expect(wait).toBeLessThanOrEqual(MAX_RETRY_AFTER_MS);
    }
    const retryAfterMs = parseRetryAfter(rateLimit, NOW_MS) ?? 0;
    expect(retryAfterMs).toBeGreaterThanOrEqual(0);
    expect(retryAfterMs).toBeLessThanOrEqual(MAX_RETRY_AFTER_MS);
  });
});

it('pacing does not slow down while plenty remains', () =>
  expect([pacing([]), pacing(limit(20, 300)), pacing(limit(120, 300, 1200))]).toEqual([0, 0, 0]));

it('pacing shares the rest of the window among the requests left', () =>
  expect([pacing(limit(19, 60)), pacing(limit(119, 240, 1200))]).toEqual([3_000, 2_000]));

it('pacing waits for the reset when none is left, at most 5 minutes', () =>
  expect([pacing(limit(0, 42)), pacing(limit(0, 3_000))]).toEqual([42_000, 300_000]));

it('pacing obeys the strictest of several limits', () =>
  expect(pacing([...limit(500, 10, 1000), ...limit(1, 20), ...limit(9, 20)])).toBe(10_000));

it('resetOf prefers the limits that are spent', () => {
  expect([resetOf([]), resetOf([...limit(0, 7), ...limit(0, 9), ...limit(3, 60)])]).toEqual([undefined, 9_000]);
  expect(resetOf([...limit(2, 7), ...limit(3, 60)])).toBe(60_000);
});

it('parseHttpDate takes only the form that servers must send', () => {
  expect(parseHttpDate('Thu, 01 Oct 2026 12:00:00 GMT')).toBe(NOW_MS);
  // biome-ignore format: a table
  for (const garbage of [
      undefined, '', 'now', '0', '2026-10-01', 'Thu, 01 Oct 2026 12:00:00 +0200', 'Thu, 01 Xxx 2026 12:00:00 GMT',
    ]) {
      expect(parseHttpDate(garbage)).toBeUndefined();
    }
});

const noJitter = () => 0;
// biome-ignore format: a table
const facts = (failure: ApiFailure, more: Partial<RetryFacts> = {}): RetryFacts => ({
  failure, status: undefined, retryAfterMs: undefined, rateLimitResetMs: undefined, ...more,
});
const waits = (of: RetryFacts, random = noJitter) => {
  const list: (number | 'give_up')[] = [];
  for (let attempt = 1; attempt <= 12 && list.at(-1) !== 'give_up'; attempt += 1) {
    const decision = nextRetry(of, attempt, random);
    list.push(decision === 'give_up' ? decision : decision.retryInMs);
  }
  return list;
};

describe('nextRetry', () => {
  const nine = (ms: number) => Array<number>(9).fill(ms);
  // biome-ignore format: a table
  const not: ApiFailure[] = [
    'bad_request', 'unauthorized', 'refused', 'not_found', 'too_large', 'redirected', 'unexpected',
  ];

  // biome-ignore format: a table
  it.each<[string, RetryFacts, (number | 'give_up')[]]>([
    ['a broken connection is tried four times, doubling', facts('connection'), [500, 1_000, 2_000, 'give_up']],
    ['what a server fails at may be the request itself: twice', facts('server'), [500, 'give_up']],
    ['an unreadable answer as well', facts('unreadable'), [500, 'give_up']],
    ['a time-out has held a worker for long enough', facts('timeout'), ['give_up']],
    ...not.map((failure) => [`${failure} is not repeated`, facts(failure, { retryAfterMs: 1_000 }), ['give_up' as const]] as [string, RetryFacts, ['give_up']]),
    ['a 429 is tried ten times', facts('throttled', { retryAfterMs: 300_000 }), [...nine(300_000), 'give_up']],
    ['one that does not say for how long, after longer and longer', facts('throttled'), [30_000, 60_000, 120_000, 240_000, ...nine(300_000).slice(4), 'give_up']],
    ['one without Retry-After, when the rate limit resets', facts('throttled', { rateLimitResetMs: 42_000 }), [...nine(42_000), 'give_up']],
    ['Retry-After comes first', facts('throttled', { rateLimitResetMs: 42_000, retryAfterMs: 60_000 }), [...nine(60_000), 'give_up']],
  ])('%s', (_, of, expected) => expect(waits(of)).toEqual(expected));

  it('shortens by at most a quarter', () =>
    expect(waits(facts('connection'), () => 0.999_999)).toEqual([375, 750, 1_500, 'give_up']));

  it('obeys Retry-After of a 5xx, as a floor, and gives up on more than half a minute; of no other fault', () => {
    const retryAfter = (status: number, retryAfterMs: number) => waits(facts('server', { status, retryAfterMs }))[0];
    for (const status of [500, 502, 503, 504, 520, 524]) {
      expect([retryAfter(status, 30_000), retryAfter(status, 30_001)]).toEqual([30_000, 'give_up']);
    }
    expect([retryAfter(503, 1), retryAfter(408, 300_000)]).toEqual([500, 500]);
  });

  it('does not hammer when a 429 asks for no wait at all', () =>
    expect(waits(facts('throttled', { retryAfterMs: 0 })).slice(0, 3)).toEqual([500, 1_000, 2_000]));

  it('ends, waits within bounds, and never less than a 429 asked for', () => {
    // biome-ignore format: a table
    const failures: ApiFailure[] = [
      'throttled', 'server', 'timeout', 'connection', 'unreadable', 'refused', 'too_large',
    ];
    const asked = fc.option(fc.double({ min: -1e9, max: 1e15, noNaN: true }), { nil: undefined });
    forAll(
      [
        fc.record({
          failure: fc.constantFrom(...failures),
          status: fc.constantFrom(undefined, 429, 500, 503),
          retryAfterMs: asked,
          rateLimitResetMs: asked,
        }),
        fc.integer({ min: 1, max: 2_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      ],
      {},
      (of, attempt, random) => {
        const decision = nextRetry(of, attempt, () => random);
        const pauseMs = throttlePauseMs(of, attempt, () => random);
        expect(pauseMs).toBeGreaterThanOrEqual(Math.min(of.retryAfterMs ?? 0, 3_600_000));
        expect(pauseMs).toBeLessThanOrEqual(3_600_000);
        if (attempt >= 10) expect(decision).toBe('give_up');
        if (decision === 'give_up') return;
        expect(decision.retryInMs).toBeGreaterThanOrEqual(375);
        expect(decision.retryInMs).toBeLessThanOrEqual(3_600_000);
      },
    );
  });
});

const NOON_MS = Date.UTC(2026, 9, 1, 12, 0, 0);
const NOON = 'Thu, 01 Oct 2026 12:00:00 GMT';

it('the server clock knows nothing before the first answer', () => {
  const clock = createServerClock(() => 5);
  expect(clock.nowMs()).toBeUndefined();
  for (const garbage of [undefined, '', 'yesterday', '1759320000', '2026-10-01T12:00:00Z']) clock.observe(garbage);
  expect(clock.nowMs()).toBeUndefined();
});

it('the server clock goes on with monotonic time, rounded down', () => {
  let monotonicMs = 1_000.9;
  const clock = createServerClock(() => monotonicMs);
  clock.observe(NOON);
  expect(clock.nowMs()).toBe(NOON_MS);
  monotonicMs += 2_500.9;
  expect(clock.nowMs()).toBe(NOON_MS + 2_500);
  clock.observe('garbage');
  expect(clock.nowMs()).toBe(NOON_MS + 2_500);
});

it('the server clock believes the last answer, also when it goes back', () => {
  const clock = createServerClock(() => 0);
  clock.observe('Fri, 01 Jan 2100 00:00:00 GMT');
  clock.observe(NOON);
  expect(clock.nowMs()).toBe(NOON_MS);
});

const NOW_MS = Date.UTC(2026, 9, 1, 12, 0, 0);

const limit = (remaining: number, resetSeconds: number, quota?: number) => [
  { policy: 'default', remaining, resetMs: resetSeconds * 1000, quota },
];
