import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import {
  instantOfBound,
  printCursor,
  printLine,
  printSearch,
  readCursor,
  readSearch,
} from '../../../src/search/query/search.ts';
import { printTerms, readTerms, type Term, termFields } from '../../../src/search/query/terms.ts';
import { readSavedName } from '../../../src/search/saved-searches.sql.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { forAll } from '../for-all.ts';

it('a search is read, and printed as the same link', () => {
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

it('a search any search that can be printed is read as the same one', () => {
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
  forAll([searches], {}, (search) => {
    const reading = read(printSearch(search).toString());
    expect(reading.faults).toEqual([]);
    expect(reading.search).toEqual(search);
  });
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
])('a search %s is an actor by its %s', (text, kind, value) =>
  expect(read(`actor=${encodeURIComponent(text)}`).search.actor).toEqual({ kind, value }),
);

it.each([
  ['24h', '2026-06-14T12:00:00.000Z'],
  ['now', '2026-06-15T12:00:00.000Z'],
  ['2026-01-31', '2026-01-31T00:00:00Z'],
  ['2026-01-31T08:30', '2026-01-31T08:30:00Z'],
  ['2026-01-31T08:30Z', '2026-01-31T08:30:00Z'],
  ['2026-01-31T08:30+02:00', '2026-01-31T08:30:00+02:00'],
  ['2026-01-31T08:30:00.123456+02:00', '2026-01-31T08:30:00.123456+02:00'],
  ['Yesterday', '2026-06-14T00:00:00Z'],
  ['around-14:30', '2026-06-14T14:15:00Z'],
  ['around 2026-01-31T08:30+02:00', '2026-01-31T06:15:00Z'],
  ['around-0001-01-01', '1970-01-01T00:00:00Z'],
])('a search the time %s is %s', (text, instant) => {
  const { search, faults } = read(`since=${encodeURIComponent(text)}`);
  expect(faults).toEqual([]);
  expect(search.since && instantOfBound(search.since, NOW)).toBe(instant);
});

it.each([
  ['since=tomorrow', 'since'],
  ['before=around-14:30', 'before'],
  ['since=2026-02-30', 'since'],
  ['since=999999999d', 'since'],
  ['since=1h&before=2h', 'before'],
  ['defects=perhaps', 'defects'],
  ['action=%00', 'action'],
  [`text=${'x'.repeat(2_001)}`, 'text'],
])('a search %.40s: the fault is of that field, the rest counts, and what was written is kept', (query, field) => {
  const { search, faults, given } = read(`${query}&resource=r1`);
  expect(faults.map((fault) => fault.field)).toEqual([field]);
  expect(search.resource).toBe('r1');
  expect(given[field as 'since']).toBeDefined();
});

it('a search keeps the words that move with the day, in its link and its line; around a time has two ends', () => {
  const { search } = read('since=yesterday&before=Today&action=create');
  expect(`${printSearch(search)}`).toBe('since=yesterday&before=today&action=create');
  expect(read(`q=${encodeURIComponent(printLine(search))}`).search).toEqual(search);
  expect(`${printSearch(read('q=since:around-11:00').search)}`).toBe(
    'since=2026-06-15T10%3A45%3A00Z&before=2026-06-15T11%3A15%3A00Z',
  );
});

it('a search a field that comes twice is said, not half ignored', () => {
  const { faults } = readSearch({ action: ['create', 'delete'] }, NOW);
  expect(faults).toEqual([{ field: 'action', reason: 'is given more than once' }]);
  expect(readSearch({ action: ['', 'delete'] }, NOW).search.action).toBe('delete');
});

it.each(['2026-01-10 08:00:00.123456+00', '-infinity', '0001-12-31 09:00:00+00 BC', '10000-01-01 00:00:00+00'])(
  'a cursor goes through a link unchanged: %s',
  (time) => {
    for (const direction of ['older', 'newer'] as const) {
      const text = printCursor({ direction, time, position: 9_007_199_254_740_991 });
      expect(text).toMatch(/^[\w-]+$/);
      expect(readCursor(text)).toEqual({ direction, time, position: 9_007_199_254_740_991 });
    }
  },
);

it('a cursor refuses what it has not written', () => {
  const times = ['2026-13-10 08:00:00+00', 'now', "2026-01-10 08:00:00+00'; --", 'infinity', ''];
  // No event has it, and no Date can say it.
  times.push('280000-01-01 00:00:00+00', '294276-12-31 23:59:59+00');
  for (const time of times) expect(readCursor(printCursor({ direction: 'older', time, position: 1 }))).toBeUndefined();
  for (const position of [-1, 1.5, 2 ** 60]) {
    expect(readCursor(printCursor({ direction: 'older', time: '-infinity', position }))).toBeUndefined();
  }
  const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.base64String());
  forAll([anyText], {}, (text) => readCursor(text) === undefined);
});

const term = (field: Term['field'], values: string[], isNegated = false): Term => ({ field, isNegated, values });
const nowMs = Date.UTC(2026, 0, 31);

it.each([
  ['acton:delete', 'has the unknown field "acton:"; did you mean "action:" or "actor:"?'],
  ['action:', 'has "action:" without a value'],
  ['action:a,,b', 'has "action:a,,b", which is no term'],
  ['action:,login', 'has "action:,login" without a value'],
  ['-action:,login', 'has "-action:,login" without a value'],
  ['--action:view', 'has "--action:view", which is excluded twice'],
  ['-resource-type:zone', 'has "-resource-type:zone", whose field is unknown; did you mean "resource_type:"?'],
  ['actor.email:mira*', 'whose field is unknown; did you mean "email:"?'],
  ['"open', 'has "\\"open", which is no term'],
  ['status:40', 'has status:40, which must be such as 403, 4xx, 400-499 or >=500'],
  ['action:*', 'has an empty value for action:'],
  ['-since:7d', 'has "-since:7d": since: is given once'],
])('a query line %s is a fault that says what to write', (line, reason) => {
  const { faults } = readTerms(line);
  expect(faults).toHaveLength(1);
  expect(faults[0]).toContain(reason);
});

it('a query line takes words with a colon that are like no field for text', () =>
  expect(readTerms('2001:db8::1 example.com:443 -"--x" "resource-type:zone"').terms).toEqual([
    term('text', ['2001:db8::1']),
    term('text', ['example.com:443']),
    term('text', ['--x'], true),
    term('text', ['resource-type:zone']),
  ]));

it('a query line is printed as a line that reads as the same terms', () => {
  const seed = 18;
  const random = seededRandom(seed);
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
  const letters = ['a', 'B', '7', ' ', ',', '"', '\\', ':', '-', '*x', 'é', '😀', '/', '\t'];
  for (let n = 0; n < 500; n += 1) {
    const terms = Array.from({ length: 1 + Math.floor(random() * 4) }, () => {
      const field = pick(termFields.filter((one) => one !== 'status' && one !== 'country'));
      const values = Array.from({ length: 1 + Math.floor(random() * 3) }, () =>
        Array.from({ length: 1 + Math.floor(random() * 6) }, () => pick(letters)).join(''),
      );
      return term(field, values, random() < 0.4);
    });
    const line = printTerms(terms);
    expect(readTerms(line), `seed ${seed}: ${line}`).toMatchObject({ terms, faults: [] });
  }
});

const linkOf = (query: Record<string, string>) => {
  const { search, faults } = readSearch(query, nowMs);
  expect(faults).toEqual([]);
  return printSearch(search).toString();
};

it('a search by a query line has the link of the same search by fields', () => {
  expect(linkOf({ q: 'actor:mira* result:failure since:7d changed:true' })).toBe(
    linkOf({ actor: 'mira*', result: 'failure', since: '7d', changed: 'true' }),
  );
  expect(linkOf({ q: 'ip:192.0.2.0/24 hello' })).toBe(linkOf({ actor: '192.0.2.0/24', text: 'hello' }));
});

it('a search by a query line keeps in the line what no field can say', () =>
  expect(
    new URLSearchParams(linkOf({ q: 'action:create,delete -actor:x result:failure a b action:cre*' })).get('q'),
  ).toBe('action:create,delete -actor:x a b action:cre*'));

it('a search by a query line has the same blanks in its link', () => {
  for (const q of ['" foo"', '"foo "', 'actor:" x"', 'action:"\u00a0view"']) {
    const { search } = readSearch({ q }, nowMs);
    expect(readSearch(Object.fromEntries(printSearch(search)), nowMs).search, q).toEqual(search);
  }
});

it('a search by a query line has both what a field says and what the line says', () => {
  expect(linkOf({ action: 'create', q: 'action:delete' })).toBe('action=create&q=action%3Adelete');
  expect(readSearch({ since: '1h', q: 'since:7d' }, nowMs).faults).toEqual([
    { field: 'q', reason: 'has since:7d, but since is 1h as well' },
  ]);
});

it('a search by a query line is one line as a whole, which reads as the same search', () => {
  const query = {
    since: '7d',
    organization: 'Acme, Inc.',
    actor: 'mira*',
    text: '-x: y',
    defects: 'true',
    q: '-action:view status:4xx',
  };
  const { search } = readSearch(query, nowMs);
  expect(printSearch(readSearch({ q: printLine(search) }, nowMs).search).toString()).toBe(
    printSearch(search).toString(),
  );
});

test.each([
  ['Failed sign-ins', 'Failed sign-ins'],
  ['  Failed\t  sign-ins\n', 'Failed sign-ins'],
  ['e\u0301', '\u00e9'],
  ['<b>"&\'', '<b>"&\''],
  ['削除 🗑', '削除 🗑'],
  ['x'.repeat(100), 'x'.repeat(100)],
  ['🗑'.repeat(100), '🗑'.repeat(100)],
])('the name of a saved search %j is %j', (given, name) => expect(readSavedName(given)).toEqual({ name }));

test.each([
  [undefined, /empty/],
  [['a'], /empty/],
  ['', /empty/],
  [' \u00a0\t', /empty/],
  ['a\u202eb', /not seen/],
  ['a\u200bb', /not seen/],
  ['a\0b', /not seen/],
  ['a\u001b[31m', /not seen/],
  ['\ud800', /not seen/],
  ['\u3164\u115f', /is seen/],
  ['\u2800', /is seen/],
  ['x'.repeat(101), /100/],
  ['🗑'.repeat(101), /100/],
])('the name of a saved search %j is refused: %s', (given, words) => {
  const reading = readSavedName(given);
  expect('fault' in reading ? reading.fault : reading.name).toMatch(words);
});

const NOW = Date.UTC(2026, 5, 15, 12);
const read = (query: string) => readSearch(Object.fromEntries(new URLSearchParams(query)), NOW);
