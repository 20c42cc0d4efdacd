import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ApiFailure } from '../../../../src/errors.ts';
import { nextRetry, type RetryFacts, throttlePauseMs } from '../../../../src/ingest/cloudflare/wire/retry.ts';

const noJitter = () => 0;
const facts = (failure: ApiFailure, more: Partial<RetryFacts> = {}): RetryFacts => ({
  failure,
  status: undefined,
  retryAfterMs: undefined,
  rateLimitResetMs: undefined,
  ...more,
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
  it('tries a broken connection four times, doubling', () => {
    expect(waits(facts('connection'))).toEqual([500, 1_000, 2_000, 'give_up']);
  });

  it.each<ApiFailure>(['server', 'unreadable'])(
    'tries %s twice: what fails again may be the request itself',
    (failure) => {
      expect(waits(facts(failure))).toEqual([500, 'give_up']);
    },
  );

  it('does not repeat a time-out: it has held a worker for long enough', () => {
    expect(waits(facts('timeout'))).toEqual(['give_up']);
  });

  it.each<ApiFailure>(['bad_request', 'unauthorized', 'refused', 'not_found', 'too_large', 'redirected', 'unexpected'])(
    'does not repeat %s',
    (failure) => {
      expect(waits(facts(failure, { retryAfterMs: 1_000 }))).toEqual(['give_up']);
    },
  );

  it('shortens by at most a quarter', () => {
    expect(waits(facts('connection'), () => 0.999_999)).toEqual([375, 750, 1_500, 'give_up']);
  });

  it('obeys Retry-After of a 503, as a floor, and gives up on more than half a minute; of no other fault', () => {
    const retryAfter = (status: number, retryAfterMs: number) => waits(facts('server', { status, retryAfterMs }))[0];
    expect(retryAfter(503, 30_000)).toBe(30_000);
    expect(retryAfter(503, 30_001)).toBe('give_up');
    expect(retryAfter(503, 1)).toBe(500);
    expect(retryAfter(500, 300_000)).toBe(500);
  });

  it('tries a 429 ten times', () => {
    expect(waits(facts('throttled', { retryAfterMs: 300_000 }))).toEqual([...Array(9).fill(300_000), 'give_up']);
  });

  it('waits longer and longer for a 429 that does not say for how long', () => {
    // biome-ignore format: a table
    expect(waits(facts('throttled'))).toEqual([
      30_000, 60_000, 120_000, 240_000, 300_000, 300_000, 300_000, 300_000, 300_000, 'give_up',
    ]);
  });

  it('waits until the rate limit resets where a 429 has no Retry-After', () => {
    expect(waits(facts('throttled', { rateLimitResetMs: 42_000 }))[0]).toBe(42_000);
    expect(waits(facts('throttled', { rateLimitResetMs: 42_000, retryAfterMs: 60_000 }))[0]).toBe(60_000);
  });

  it('does not hammer when a 429 asks for no wait at all', () => {
    expect(waits(facts('throttled', { retryAfterMs: 0 })).slice(0, 3)).toEqual([500, 1_000, 2_000]);
  });

  it('ends, waits within bounds, and never less than a 429 asked for', () => {
    // biome-ignore format: a table
    const failures: ApiFailure[] = [
      'throttled', 'server', 'timeout', 'connection', 'unreadable', 'refused', 'too_large',
    ];
    const asked = fc.option(fc.double({ min: -1e9, max: 1e15, noNaN: true }), { nil: undefined });
    fc.assert(
      fc.property(
        fc.record({
          failure: fc.constantFrom(...failures),
          status: fc.constantFrom(undefined, 429, 500, 503),
          retryAfterMs: asked,
          rateLimitResetMs: asked,
        }),
        fc.integer({ min: 1, max: 2_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
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
      ),
    );
  });
});
