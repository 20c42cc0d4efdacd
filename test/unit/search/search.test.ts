import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { instantOfBound, printSearch, readSearch } from '../../../src/search/search.ts';
import { printCursor, readCursor } from '../../../src/search/search-cursor.ts';

const NOW = Date.UTC(2026, 5, 15, 12);
const read = (query: string) => readSearch(Object.fromEntries(new URLSearchParams(query)), NOW);

describe('a search in a link', () => {
  it('is read, and printed as the same link', () => {
    const query =
      'since=24h&before=2026-06-15T11%3A00%3A00Z&organization=org1&actor=a%40example.com&action=create&result=failure' +
      '&product=dns&resource_type=record&resource=r1&ray=8f&text=caf%C3%A9+50%25&defects=true&changed=true&account=acc1&zone=shop.example';
    const { search, faults } = read(query);
    expect(faults).toEqual([]);
    expect(search).toMatchObject({
      since: { kind: 'ago', ms: 86_400_000 },
      actor: { kind: 'email', value: 'a@example.com' },
      text: 'café 50%',
      defects: true,
    });
    expect(printSearch(search).toString()).toBe(query);
  });

  it('any search that can be printed is read as the same one', () => {
    const word = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
      .map((text) => text.replaceAll('\0', 'x').trim().toWellFormed())
      .filter((text) => text !== '');
    const kinds = fc.constantFrom('email' as const, 'ip' as const, 'id' as const, 'token' as const);
    const searches = fc.record(
      {
        actor: fc.record({ kind: kinds, value: word }),
        action: word,
        resource: word,
        text: word,
        defects: fc.boolean(),
        changed: fc.boolean(),
      },
      { requiredKeys: ['defects', 'changed'] },
    );
    fc.assert(
      fc.property(searches, (search) => {
        const reading = read(printSearch(search).toString());
        expect(reading.faults).toEqual([]);
        expect(reading.search).toEqual(search);
      }),
    );
  });

  it.each([
    ['user@example.com', 'email', 'user@example.com'],
    ['203.0.113.7', 'ip', '203.0.113.7'],
    ['2001:db8::1', 'ip', '2001:db8::1'],
    ['f6b5de0326bb5182b8a4840ee01ec774', 'any', 'f6b5de0326bb5182b8a4840ee01ec774'],
    ['token:abc', 'token', 'abc'],
    ['id:a@b', 'id', 'a@b'],
    ['email:unknown', 'email', 'unknown'],
    ['ip:unknown', 'ip', 'unknown'],
    ['other:abc', 'any', 'other:abc'],
    ['198.51.100.0/24', 'ip', '198.51.100.0/24'],
    ['2001:db8::/32', 'ip', '2001:db8::/32'],
    ['198.51.100.0/33', 'any', '198.51.100.0/33'],
    ['198.51.*', 'ip', '198.51.*'],
    ['2001:db8:*', 'ip', '2001:db8:*'],
    ['mira*', 'any', 'mira*'],
    ['fade*', 'any', 'fade*'],
    ['mira@*', 'email', 'mira@*'],
  ])('%s is an actor by its %s', (text, kind, value) => {
    expect(read(`actor=${encodeURIComponent(text)}`).search.actor).toEqual({ kind, value });
  });

  it.each([
    ['24h', '2026-06-14T12:00:00.000Z'],
    ['now', '2026-06-15T12:00:00.000Z'],
    ['2026-01-31', '2026-01-31T00:00:00Z'],
    ['2026-01-31T08:30', '2026-01-31T08:30:00Z'],
    ['2026-01-31T08:30Z', '2026-01-31T08:30:00Z'],
    ['2026-01-31T08:30+02:00', '2026-01-31T08:30:00+02:00'],
    ['2026-01-31T08:30:00.123456+02:00', '2026-01-31T08:30:00.123456+02:00'],
  ])('the time %s is %s', (text, instant) => {
    const { search, faults } = read(`since=${encodeURIComponent(text)}`);
    expect(faults).toEqual([]);
    expect(search.since && instantOfBound(search.since, NOW)).toBe(instant);
  });

  it.each([
    ['since=yesterday', 'since'],
    ['since=2026-02-30', 'since'],
    ['since=999999999d', 'since'],
    ['since=1h&before=2h', 'before'],
    ['defects=perhaps', 'defects'],
    ['action=%00', 'action'],
    [`text=${'x'.repeat(2_001)}`, 'text'],
  ])('%.40s: the fault is of that field, the rest counts, and what was written is kept', (query, field) => {
    const { search, faults, given } = read(`${query}&resource=r1`);
    expect(faults.map((fault) => fault.field)).toEqual([field]);
    expect(search.resource).toBe('r1');
    expect(given[field as 'since']).toBeDefined();
  });

  it('a field that comes twice is said, not half ignored', () => {
    const { faults } = readSearch({ action: ['create', 'delete'] }, NOW);
    expect(faults).toEqual([{ field: 'action', reason: 'is given more than once' }]);
    expect(readSearch({ action: ['', 'delete'] }, NOW).search.action).toBe('delete');
  });
});

describe('a cursor', () => {
  it.each(['2026-01-10 08:00:00.123456+00', '-infinity', '0001-12-31 09:00:00+00 BC', '10000-01-01 00:00:00+00'])(
    'goes through a link unchanged: %s',
    (time) => {
      for (const direction of ['older', 'newer'] as const) {
        const text = printCursor({ direction, time, position: 9_007_199_254_740_991 });
        expect(text).toMatch(/^[\w-]+$/);
        expect(readCursor(text)).toEqual({ direction, time, position: 9_007_199_254_740_991 });
      }
    },
  );

  it('refuses what it has not written', () => {
    const times = ['2026-13-10 08:00:00+00', 'now', "2026-01-10 08:00:00+00'; --", 'infinity', ''];
    // No event has it, and no Date can say it.
    times.push('280000-01-01 00:00:00+00', '294276-12-31 23:59:59+00');
    for (const time of times) {
      expect(readCursor(printCursor({ direction: 'older', time, position: 1 }))).toBeUndefined();
    }
    for (const position of [-1, 1.5, 2 ** 60]) {
      expect(readCursor(printCursor({ direction: 'older', time: '-infinity', position }))).toBeUndefined();
    }
    const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.base64String());
    fc.assert(fc.property(anyText, (text) => readCursor(text) === undefined));
  });
});
