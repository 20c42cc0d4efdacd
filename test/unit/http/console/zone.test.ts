import { describe, expect, it } from 'vitest';
import { offsetMs, offsetText, pageZone, zoneOf } from '../../../../src/http/console/times/zone.ts';

describe('zones', () => {
  it('are UTC outside a page', () => expect(pageZone()).toBe('UTC'));

  it.each([
    ['Europe/Berlin', '2026-10-25T00:30:00Z', '+02:00'],
    ['Europe/Berlin', '2026-10-25T01:30:00Z', '+01:00'],
    ['Asia/Kathmandu', '2026-01-01T00:00:00Z', '+05:45'],
    ['America/St_Johns', '2026-07-01T00:00:00Z', '-02:30'],
    ['Pacific/Kiritimati', '2026-01-01T00:00:00Z', '+14:00'],
    ['UTC', '2026-01-01T00:00:00Z', 'Z'],
  ])('%s at %s is %s', (zone, instant, offset) => {
    expect(offsetText(zone, Date.parse(instant))).toBe(offset);
  });

  it('have the offset of their time, to the second', () => {
    expect(offsetMs('Europe/Amsterdam', Date.parse('1900-01-01T00:00:00Z')) % 1_000).toBe(0);
  });

  it.each(['', 'x'.repeat(65), 'Europe/Nowhere', '+05:30', 'a b', '<b>', undefined, ['UTC'], 7])(
    'that are none: %s',
    (text) => expect(zoneOf(text)).toBeUndefined(),
  );
});
