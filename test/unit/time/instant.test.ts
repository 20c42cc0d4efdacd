import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDateOrInstantMs, parseInstantMs } from '../../../src/time/instant.ts';

const DAY_MS = 86_400_000;

describe('parseInstantMs', () => {
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
  ])('%s is %i', (text, expected) => {
    expect(parseInstantMs(text)).toBe(expected);
  });

  it.each([
    ['.1', 100],
    ['.12', 120],
    ['.123', 123],
    ['.1239', 123],
    ['.000999', 0],
    ['.999999999', 999],
    ['.000000000001', 0],
  ])('rounds the fraction %s down to %i ms', (fraction, expected) => {
    expect(parseInstantMs(`1970-01-01T00:00:00${fraction}Z`)).toBe(expected);
  });

  // biome-ignore format: a table
  it.each([
    '2024-02-30T00:00:00Z', '2023-02-29T00:00:00Z', '1900-02-29T00:00:00Z', '2024-04-31T00:00:00Z', '2024-00-01T00:00:00Z',
    '2024-13-01T00:00:00Z', '2024-01-00T00:00:00Z', '2024-01-32T00:00:00Z', '0000-01-01T00:00:00Z', '10000-01-01T00:00:00Z',
    '+002024-01-01T00:00:00Z', '-0001-01-01T00:00:00Z', '2024-01-01T24:00:00Z', '2024-01-01T00:60:00Z', '2024-01-01T00:00:61Z',
    '2024-01-01T00:00Z', '2024-01-01T00:00:00', '2024-01-01T00:00:00.Z', '2024-01-01T00:00:00,5Z', '2024-01-01T00:00:00.0000000000001Z',
    '2024-01-01T00:00:00+16:00', '2024-01-01T00:00:00+01:60', '2024-01-01T00:00:00+0100', '2024-01-01T00:00:00+01', '2024-01-01T00:00:00 Z',
    '2024-01-01  00:00:00Z', '2024-01-01_00:00:00Z', ' 2024-01-01T00:00:00Z', '2024-01-01T00:00:00Z\n', '2024-1-1T00:00:00Z',
    '２０２４-01-01T00:00:00Z', '2024-01-01T00:00:00ZZ', '2024-01-01', '1790856000', 'now', 'today', 'infinity', '-infinity', 'epoch', '',
  ])('refuses %j', (text) => {
    expect(parseInstantMs(text)).toBeUndefined();
  });

  it('equals Date.parse for every canonical ISO string of the years 1 to 9999', () => {
    const date = fc.date({
      min: new Date('0001-01-01T00:00:00Z'),
      max: new Date('9999-12-31T23:59:59.999Z'),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(date, (instant) => {
        expect(parseInstantMs(instant.toISOString())).toBe(instant.getTime());
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('takes an offset off, whatever it is', () => {
    const offset = fc.tuple(
      fc.constantFrom('+', '-'),
      fc.integer({ min: 0, max: 15 }),
      fc.integer({ min: 0, max: 59 }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 50_000 * DAY_MS }), offset, (timeMs, [sign, hours, minutes]) => {
        const two = (part: number): string => `${part}`.padStart(2, '0');
        const text = new Date(timeMs).toISOString().replace('Z', `${sign}${two(hours)}:${two(minutes)}`);
        const offsetMs = (hours * 60 + minutes) * 60_000;
        expect(parseInstantMs(text)).toBe(sign === '+' ? timeMs - offsetMs : timeMs + offsetMs);
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('never gives anything but an integer or undefined, and takes nothing that Date.parse refuses', () => {
    const digits = fc.array(fc.constantFrom('0', '1', '2', '3', '5', '9', '-', ':', 'T', 'Z', '+', '.'), {
      maxLength: 12,
    });
    const almost = fc.tuple(fc.date({ noInvalidDate: true }), fc.nat(24), digits).map(([instant, at, junk]) => {
      const text = instant.toISOString();
      return text.slice(0, at) + junk.join('') + text.slice(at + junk.length);
    });
    fc.assert(
      fc.property(fc.oneof(almost, fc.string()), (text) => {
        const timeMs = parseInstantMs(text);
        if (timeMs === undefined) return;
        expect(Number.isInteger(timeMs)).toBe(true);
        const withoutLeapSecond = text.replace(/:60(?=[.Zz+-])/, ':59').replace(/\.\d+/, '');
        expect(Date.parse(withoutLeapSecond)).not.toBeNaN();
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});

describe('parseDateOrInstantMs', () => {
  it('takes a date for its midnight in UTC', () => {
    expect(parseDateOrInstantMs('2025-06-01')).toBe(Date.UTC(2025, 5, 1));
    expect(parseDateOrInstantMs('2025-06-01T01:00:00+01:00')).toBe(Date.UTC(2025, 5, 1));
  });

  it.each(['2024-02-30', '0000-01-01', '2025-6-1', '20250601', '2025-06', 'yesterday', ''])('refuses %j', (text) => {
    expect(parseDateOrInstantMs(text)).toBeUndefined();
  });
});
