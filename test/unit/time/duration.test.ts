import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, parseDurationMs } from '../../../src/time/duration.ts';

describe('parseDurationMs', () => {
  it.each([
    ['30s', 30_000],
    ['10m', 600_000],
    ['24h', 86_400_000],
    ['548d', 47_347_200_000],
    ['500ms', 500],
    ['0s', 0],
    [' 7m\n', 420_000],
    ['007s', 7_000],
  ])('%j is %i', (text, expected) => {
    expect(parseDurationMs(text)).toBe(expected);
  });

  it.each(['', '10', 's', '1.5h', '-1s', '+1s', '1 s', '1h30m', '1w', '1S', '1e3s', '1234567890s', '1s,', 'ten s'])(
    'refuses %j',
    (text) => {
      expect(parseDurationMs(text)).toBeUndefined();
    },
  );
});

describe('formatDuration', () => {
  it.each([
    [0, '0ms'],
    [999, '999ms'],
    [1_000, '1s'],
    [45_999, '45s'],
    [60_000, '1m'],
    [3_605_000, '1h 5s'],
    [183_600_000, '2d 3h'],
    [183_661_000, '2d 3h'],
    [47_347_200_000, '548d'],
  ])('%i is %s', (durationMs, expected) => {
    expect(formatDuration(durationMs)).toBe(expected);
  });

  it('reads back as no more than it was, and less by less than its smallest unit that is shown', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 10 ** 12 }), (durationMs) => {
        const parts = formatDuration(durationMs).split(' ');
        expect(parts.length).toBeLessThanOrEqual(2);
        const readMs = parts.reduce((sum, part) => sum + (parseDurationMs(part) ?? Number.NaN), 0);
        expect(readMs).toBeLessThanOrEqual(durationMs);
        expect(durationMs - readMs).toBeLessThan(parts.length === 2 ? readMs / 2 : readMs);
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});
