import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import {
  formatDuration,
  laneBackoffMs,
  parseDateOrInstantMs,
  parseDurationMs,
  parseInstantMs,
  parseTimeMs,
  RecentCount,
} from '../../../src/base/time.ts';
import { forAll } from '../for-all.ts';

it.each([
  ['30s', 30_000],
  ['10m', 600_000],
  ['24h', 86_400_000],
  ['548d', 47_347_200_000],
  ['500ms', 500],
  ['0s', 0],
  [' 7m\n', 420_000],
  ['007s', 7_000],
])('parseDurationMs %j is %i', (text, expected) => expect(parseDurationMs(text)).toBe(expected));

it.each(['', '10', 's', '1.5h', '-1s', '+1s', '1 s', '1h30m', '1w', '1S', '1e3s', '1234567890s', '1s,', 'ten s'])(
  'parseDurationMs refuses %j',
  (text) => expect(parseDurationMs(text)).toBeUndefined(),
);

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
])('formatDuration %i is %s', (durationMs, expected) => expect(formatDuration(durationMs)).toBe(expected));

it('formatDuration reads back as no more than it was, and less by less than its smallest unit that is shown', () =>
  forAll([fc.integer({ min: 1_000, max: 10 ** 12 })], 300, (durationMs) => {
    const parts = formatDuration(durationMs).split(' ');
    expect(parts.length).toBeLessThanOrEqual(2);
    const readMs = parts.reduce((sum, part) => sum + (parseDurationMs(part) ?? Number.NaN), 0);
    expect(readMs).toBeLessThanOrEqual(durationMs);
    expect(durationMs - readMs).toBeLessThan(parts.length === 2 ? readMs / 2 : readMs);
  }));

const DAY_MS = 86_400_000;

it.each([
  ['1970-01-01T00:00:00Z', 0],
  ['1969-12-31T23:59:59.999Z', -1],
  ['2024-02-29T00:00:00Z', Date.UTC(2024, 1, 29)],
  ['2000-02-29T00:00:00Z', Date.UTC(2000, 1, 29)],
  ['2026-10-01t12:00:00z', Date.UTC(2026, 9, 1, 12)],
  ['2026-10-01 12:00:00Z', Date.UTC(2026, 9, 1, 12)],
  ['2026-10-01T12:00:00+02:00', Date.UTC(2026, 9, 1, 10)],
  ['2026-10-01T12:00:00-05:30', Date.UTC(2026, 9, 1, 17, 30)],
  ['2026-10-01T12:00:00-00:00', Date.UTC(2026, 9, 1, 12)],
  ['2026-10-01T12:00:00+15:59', Date.UTC(2026, 9, 1, 12) - 959 * 60_000],
  ['2026-01-01T00:30:00+01:00', Date.UTC(2025, 11, 31, 23, 30)],
  ['2016-12-31T23:59:60Z', Date.UTC(2017, 0, 1)],
  ['2016-12-31T23:59:60.5Z', Date.UTC(2017, 0, 1) + 500],
  ['0001-01-01T00:00:00Z', Date.parse('0001-01-01T00:00:00Z')],
  ['0099-06-15T00:00:00Z', Date.parse('0099-06-15T00:00:00Z')],
  ['9999-12-31T23:59:59.999Z', Date.parse('9999-12-31T23:59:59.999Z')],
])('parseInstantMs %s is %i', (text, expected) => expect(parseInstantMs(text)).toBe(expected));

it.each([
  ['.1', 100],
  ['.12', 120],
  ['.123', 123],
  ['.1239', 123],
  ['.000999', 0],
  ['.999999999', 999],
  ['.000000000001', 0],
])('parseInstantMs rounds the fraction %s down to %i ms', (fraction, expected) =>
  expect(parseInstantMs(`1970-01-01T00:00:00${fraction}Z`)).toBe(expected),
);

// biome-ignore format: a table
it.each([
  '2024-02-30T00:00:00Z', '2023-02-29T00:00:00Z', '1900-02-29T00:00:00Z', '2024-04-31T00:00:00Z', '2024-00-01T00:00:00Z',
  '2024-13-01T00:00:00Z', '2024-01-00T00:00:00Z', '2024-01-32T00:00:00Z', '0000-01-01T00:00:00Z', '10000-01-01T00:00:00Z',
  '+002024-01-01T00:00:00Z', '-0001-01-01T00:00:00Z', '2024-01-01T24:00:00Z', '2024-01-01T00:60:00Z', '2024-01-01T00:00:61Z',
  '2024-01-01T00:00Z', '2024-01-01T00:00:00', '2024-01-01T00:00:00.Z', '2024-01-01T00:00:00,5Z', '2024-01-01T00:00:00.0000000000001Z',
  '2024-01-01T00:00:00+16:00', '2024-01-01T00:00:00+01:60', '2024-01-01T00:00:00+0100', '2024-01-01T00:00:00+01', '2024-01-01T00:00:00 Z',
  '2024-01-01  00:00:00Z', '2024-01-01_00:00:00Z', ' 2024-01-01T00:00:00Z', '2024-01-01T00:00:00Z\n', '2024-1-1T00:00:00Z',
  '２０２４-01-01T00:00:00Z', '2024-01-01T00:00:00ZZ', '2024-01-01', '1790856000', 'now', 'today', 'infinity', '-infinity', 'epoch', '',
])('parseInstantMs refuses %j', (text) => expect(parseInstantMs(text)).toBeUndefined());

it('parseInstantMs equals Date.parse for every canonical ISO string of the years 1 to 9999', () => {
  const date = fc.date({
    min: new Date('0001-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59.999Z'),
    noInvalidDate: true,
  });
  forAll([date], 300, (instant) => expect(parseInstantMs(instant.toISOString())).toBe(instant.getTime()));
});

it('parseInstantMs takes an offset off, whatever it is', () => {
  const offset = fc.tuple(fc.constantFrom('+', '-'), fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 59 }));
  forAll([fc.integer({ min: 0, max: 50_000 * DAY_MS }), offset], 300, (timeMs, [sign, hours, minutes]) => {
    const two = (part: number): string => `${part}`.padStart(2, '0');
    const text = new Date(timeMs).toISOString().replace('Z', `${sign}${two(hours)}:${two(minutes)}`);
    const offsetMs = (hours * 60 + minutes) * 60_000;
    expect(parseInstantMs(text)).toBe(sign === '+' ? timeMs - offsetMs : timeMs + offsetMs);
  });
});

it('parseInstantMs never gives anything but an integer or undefined, and takes nothing that Date.parse refuses', () => {
  const digits = fc.array(fc.constantFrom('0', '1', '2', '3', '5', '9', '-', ':', 'T', 'Z', '+', '.'), {
    maxLength: 12,
  });
  const almost = fc.tuple(fc.date({ noInvalidDate: true }), fc.nat(24), digits).map(([instant, at, junk]) => {
    const text = instant.toISOString();
    return text.slice(0, at) + junk.join('') + text.slice(at + junk.length);
  });
  forAll([fc.oneof(almost, fc.string())], 300, (text) => {
    const timeMs = parseInstantMs(text);
    if (timeMs === undefined) return;
    expect(Number.isInteger(timeMs)).toBe(true);
    const withoutLeapSecond = text.replace(/:60(?=[.Zz+-])/, ':59').replace(/\.\d+/, '');
    expect(Date.parse(withoutLeapSecond)).not.toBeNaN();
  });
});

it('parseDateOrInstantMs takes a date for its midnight in UTC', () => {
  expect(parseDateOrInstantMs('2025-06-01')).toBe(Date.UTC(2025, 5, 1));
  expect(parseDateOrInstantMs('2025-06-01T01:00:00+01:00')).toBe(Date.UTC(2025, 5, 1));
});

it.each(['2024-02-30', '0000-01-01', '2025-6-1', '20250601', '2025-06', 'yesterday', ''])(
  'parseDateOrInstantMs refuses %j',
  (text) => expect(parseDateOrInstantMs(text)).toBeUndefined(),
);

const nowMs = Date.parse('2026-02-03T04:05:06.789Z');

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
  ['today', '2026-02-03T00:00:00Z'],
  ['Yesterday', '2026-02-02T00:00:00Z'],
  ['week', '2026-02-02T00:00:00Z'],
  ['04:05', '2026-02-03T04:05:00Z'],
  ['04:06', '2026-02-02T04:06:00Z'],
])('parseTimeMs %j is %s', (text, expected) => expect(parseTimeMs(text, nowMs)).toBe(Date.parse(expected)));

it.each(['', 'lately', '24:00', '7', '7w', '-1d', '2026-02-30', '2026-01-31T25:00Z', '2026-1-31', '999999999d'])(
  'parseTimeMs refuses %j',
  (text) => expect(parseTimeMs(text, nowMs)).toBeUndefined(),
);

it('laneBackoffMs doubles from five seconds to a quarter of an hour', () =>
  expect([1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((failures) => laneBackoffMs(failures, 0))).toEqual([
    5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 640_000, 900_000, 900_000,
  ]));

it('laneBackoffMs stays within its bounds and never gets shorter with more failures', () => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  forAll([fc.integer({ min: 0, max: 2_000_000_000 }), random], 300, (failures, spread) => {
    const backoffMs = laneBackoffMs(failures, spread);
    expect(Number.isInteger(backoffMs)).toBe(true);
    expect(backoffMs).toBeGreaterThanOrEqual(3_750);
    expect(backoffMs).toBeLessThanOrEqual(900_000);
    expect(laneBackoffMs(failures + 1, spread)).toBeGreaterThanOrEqual(backoffMs);
    // Even the luckiest of more failures does not rest shorter than the unluckiest of fewer, below the longest.
    if (laneBackoffMs(failures, 0) < 450_000 && failures > 0) {
      expect(laneBackoffMs(failures + 1, 0.999_999)).toBeGreaterThan(laneBackoffMs(failures, 0));
    }
  });
});

it('laneBackoffMs spreads by a quarter at most', () =>
  expect([laneBackoffMs(1, 0.5), laneBackoffMs(1, 0.999_999)]).toEqual([4_375, 3_750]));

test('counts what happened within the window, to a sixtieth of it', () =>
  forAll([fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 200 })], {}, (steps) => {
    let nowMs = 1_000_000;
    const times: number[] = [];
    const count = new RecentCount(300_000, () => nowMs);
    for (const step of steps) {
      nowMs += step;
      times.push(nowMs);
      count.add();
    }
    const within = (ms: number): number => times.filter((time) => time > nowMs - ms).length;
    expect(count.total()).toBeLessThanOrEqual(within(300_000));
    expect(count.total()).toBeGreaterThanOrEqual(within(295_000));
    nowMs += 300_000;
    expect(count.total()).toBe(0);
  }));
