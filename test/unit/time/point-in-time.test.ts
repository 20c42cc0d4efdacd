import { describe, expect, it } from 'vitest';
import { parseTimeMs } from '../../../src/time/point-in-time.ts';

const nowMs = Date.parse('2026-02-03T04:05:06.789Z');

describe('parseTimeMs', () => {
  it.each([
    ['now', '2026-02-03T04:05:06Z'],
    ['NOW', '2026-02-03T04:05:06Z'],
    ['24h', '2026-02-02T04:05:06Z'],
    [' 7d ', '2026-01-27T04:05:06Z'],
    ['2026-01-31', '2026-01-31T00:00:00Z'],
    ['2026-01-31T08:00Z', '2026-01-31T08:00:00Z'],
    ['2026-01-31T08:00', '2026-01-31T08:00:00Z'],
    ['2026-01-31 08:00:30', '2026-01-31T08:00:30Z'],
    ['2026-01-31T08:00+02:00', '2026-01-31T06:00:00Z'],
    ['2026-01-31T08:00:00.250Z', '2026-01-31T08:00:00.250Z'],
  ])('%j is %s', (text, expected) => {
    expect(parseTimeMs(text, nowMs)).toBe(Date.parse(expected));
  });

  it.each(['', 'yesterday', '7', '7w', '-1d', '2026-02-30', '2026-01-31T25:00Z', '2026-1-31', '999999999d'])(
    'refuses %j',
    (text) => {
      expect(parseTimeMs(text, nowMs)).toBeUndefined();
    },
  );
});
