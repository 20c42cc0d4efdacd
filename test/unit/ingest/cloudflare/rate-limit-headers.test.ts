import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  MAX_RETRY_AFTER_MS,
  pacing,
  parseHttpDate,
  parseRateLimits,
  parseRetryAfter,
  resetOf,
} from '../../../../src/ingest/cloudflare/wire/rate-limit-headers.ts';

const NOW_MS = Date.UTC(2026, 9, 1, 12, 0, 0);
const limit = (remaining: number, resetSeconds: number, quota?: number) => [
  { policy: 'default', remaining, resetMs: resetSeconds * 1000, quota },
];

describe('parseRetryAfter', () => {
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
  ])('%s is %s', (value, expected) => {
    expect(parseRetryAfter(value, NOW_MS)).toBe(expected);
  });

  it('does not measure a date by any clock but the sender’s', () => {
    expect(parseRetryAfter('Thu, 01 Oct 2026 12:05:00 GMT', undefined)).toBeUndefined();
    expect(parseRetryAfter('60', undefined)).toBe(60_000);
  });
});

describe('parseRateLimits', () => {
  it('reads the form of Cloudflare’s changelog, where the lone policy has another name', () => {
    expect(parseRateLimits('"default";r=50;t=30', '"burst";q=100;w=60')).toEqual([
      { policy: 'default', remaining: 50, resetMs: 30_000, quota: 100 },
    ]);
  });

  it('reads lists, quoted separators, spaces, unknown parameters and bare names', () => {
    expect(parseRateLimits('"a,b;c" ; r=1 ; t=2 ; pk=:x:,daily;T=5;R=4', 'daily;q=10;w=60, "a,b;c";q=7')).toEqual([
      { policy: 'a,b;c', remaining: 1, resetMs: 2_000, quota: 7 },
      { policy: 'daily', remaining: 4, resetMs: 5_000, quota: 10 },
    ]);
  });

  it('drops what does not tell both the rest and the reset', () => {
    expect(parseRateLimits('"a";r=1, "b";t=2, "c";r=-1;t=2, "d";r=x;t=1, ;;, "', undefined)).toEqual([]);
    expect(parseRateLimits(undefined, '"burst";q=100')).toEqual([]);
  });

  it('never throws, and gives only numbers that can be waited for', () => {
    const headerish = fc.oneof(
      fc.string(),
      fc
        .array(fc.constantFrom('"', ',', ';', 'r=', 't=', 'q=', '1', '99999999999999999999', 'a', ' '))
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(headerish, headerish, (rateLimit, policy) => {
        const limits = parseRateLimits(rateLimit, policy);
        for (const wait of [pacing(limits), resetOf(limits) ?? 0]) {
          expect(wait).toBeGreaterThanOrEqual(0);
          expect(wait).toBeLessThanOrEqual(MAX_RETRY_AFTER_MS);
        }
        const retryAfterMs = parseRetryAfter(rateLimit, NOW_MS) ?? 0;
        expect(retryAfterMs).toBeGreaterThanOrEqual(0);
        expect(retryAfterMs).toBeLessThanOrEqual(MAX_RETRY_AFTER_MS);
      }),
    );
  });
});

describe('pacing', () => {
  it('does not slow down while plenty remains', () => {
    expect(pacing([])).toBe(0);
    expect(pacing(limit(20, 300))).toBe(0);
    expect(pacing(limit(120, 300, 1200))).toBe(0);
  });

  it('shares the rest of the window among the requests left', () => {
    expect(pacing(limit(19, 60))).toBe(3_000);
    expect(pacing(limit(119, 240, 1200))).toBe(2_000);
  });

  it('waits for the reset when none is left, at most 5 minutes', () => {
    expect(pacing(limit(0, 42))).toBe(42_000);
    expect(pacing(limit(0, 3_000))).toBe(300_000);
  });

  it('obeys the strictest of several limits', () => {
    expect(pacing([...limit(500, 10, 1000), ...limit(1, 20), ...limit(9, 20)])).toBe(10_000);
  });
});

describe('resetOf', () => {
  it('prefers the limits that are spent', () => {
    expect(resetOf([])).toBeUndefined();
    expect(resetOf([...limit(0, 7), ...limit(0, 9), ...limit(3, 60)])).toBe(9_000);
    expect(resetOf([...limit(2, 7), ...limit(3, 60)])).toBe(60_000);
  });
});

describe('parseHttpDate', () => {
  it('takes only the form that servers must send', () => {
    expect(parseHttpDate('Thu, 01 Oct 2026 12:00:00 GMT')).toBe(NOW_MS);
    // biome-ignore format: a table
    for (const garbage of [
      undefined, '', 'now', '0', '2026-10-01', 'Thu, 01 Oct 2026 12:00:00 +0200', 'Thu, 01 Xxx 2026 12:00:00 GMT',
    ]) {
      expect(parseHttpDate(garbage)).toBeUndefined();
    }
  });
});
