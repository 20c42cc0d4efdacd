import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import {
  addRange,
  type Coverage,
  endOfReadFrom,
  gapsIn,
  intersect,
  isEmpty,
  isWithin,
  type Range,
  toMultirange,
} from '../../../../src/ingest/planning/coverage.ts';
import { sortLateEntries } from '../../../../src/ingest/planning/source.ts';
import type { Filter } from '../../../../src/ingest/planning/walk.ts';
import { organization } from '../../../../src/ingest/sources/registry.ts';
import {
  canonicalFilters,
  parseFilters as parse,
  retentionSlackMs,
  splitsOfSecond,
} from '../../../../src/ingest/sources/source-kind.ts';
import { forAll } from '../../for-all.ts';

/** The naive model: every whole millisecond from 0 to 40 that a set of ranges holds. */
const LAST = 40;

const point = fc.integer({ min: 0, max: LAST });
const anyRange = fc.record({ fromMs: point, toMs: point });
const anyRanges = fc.array(anyRange, { maxLength: 8 });

it('addRange holds exactly the points of all that was added, in ascending ranges that neither touch nor overlap', () =>
  forAll([anyRanges], 1_000, (ranges) => {
    const coverage = coverageOf(ranges);
    expect(pointsOf(coverage)).toEqual(pointsOf(ranges));
    expectWellFormed(coverage);
  }));

it('gapsIn gives exactly the wanted points that are not covered, ascending', () =>
  forAll([anyRange, anyRanges], 1_000, (wanted, ranges) => {
    const coverage = coverageOf(ranges);
    const gaps = gapsIn(wanted, coverage);
    const covered = new Set(pointsOf(coverage));
    expect(pointsOf(gaps)).toEqual(pointsOf([wanted]).filter((each) => !covered.has(each)));
    expectWellFormed(gaps);
  }));

it('intersect, isEmpty and isWithin agree with the points', () =>
  forAll([anyRange, anyRange], 1_000, (a, b) => {
    const inB = new Set(pointsOf([b]));
    expect(pointsOf([intersect(a, b)])).toEqual(pointsOf([a]).filter((each) => inB.has(each)));
    if (!isEmpty(a)) expect(isWithin(a, b)).toBe(pointsOf([a]).every((each) => inB.has(each)));
    expect(isEmpty(a)).toBe(pointsOf([a]).length === 0);
  }));

// biome-ignore format: a table
it.each<[string, readonly Range[], string]>([
  ['nothing', [], '{}'],
  ['only empty ranges', [{ fromMs: 5, toMs: 5 }, { fromMs: 9, toMs: 3 }], '{}'],
  [
    'two ranges and an empty one',
    [
      { fromMs: Date.UTC(2025, 0, 1), toMs: Date.UTC(2025, 0, 2) },
      { fromMs: 7, toMs: 7 },
      { fromMs: Date.UTC(2026, 9, 1), toMs: Date.UTC(2026, 9, 1, 12, 30, 15, 250) },
    ],
    '{[2025-01-01T00:00:00.000Z,2025-01-02T00:00:00.000Z),[2026-10-01T00:00:00.000Z,2026-10-01T12:30:15.250Z)}',
  ],
])('toMultirange writes %s', (_, ranges, expected) => expect(toMultirange(ranges)).toBe(expected));

const dayMs = 86_400_000;
const nowMs = Date.UTC(2026, 5, 1);
const daysAgo = (days: number): number => nowMs - days * dayMs;

test.each([
  ['nothing is unread', [{ fromMs: daysAgo(600), toMs: nowMs }], 548, 548],
  ['nothing has been read, all of the retention is wanted', [], 548, 0],
  ['nothing has been read, 30 days are wanted', [], 30, 518],
  ['the oldest gap lies inside', [{ fromMs: daysAgo(548), toMs: daysAgo(500) }], 548, 48],
  ['an older gap is not wanted', [{ fromMs: daysAgo(30), toMs: daysAgo(10) }], 30, 538],
  ['a gap reaches behind the retention', [{ fromMs: daysAgo(540), toMs: nowMs }], 700, 0],
  ['a gap lies behind the retention', [{ fromMs: daysAgo(548), toMs: nowMs }], 700, 548],
])('the retention slack %s', (_what, coverage, horizonDays, slackDays) =>
  expect(retentionSlackMs((fromMs) => endOfReadFrom(fromMs, coverage), daysAgo(horizonDays), nowMs)).toBe(
    slackDays * dayMs,
  ),
);

test('the retention slack is not known while the first reading is not', () =>
  expect(retentionSlackMs(() => undefined, daysAgo(548), nowMs)).toBeUndefined());

type Args = Parameters<typeof sortLateEntries>;

/** What has been read before: entries by pass. */
const covered = (byPass: Readonly<Record<number, number>>): Args[0] =>
  Object.entries(byPass).map(([pass, entries]) => ({ pass: Number(pass), entries }));

// biome-ignore format: a table
test.each<[string, Record<number, number>, Args[1], number, Record<string, number>, number, number]>([
  ['in time that was not read before, there are none', {}, 'settle', 2, {}, 0, 0],
  ['a pass finds what the one before could not see; the last is told apart', { 0: 5, 1: 3 }, 'settle', 2, { 1: 5, 2: 3 }, 3, 0],
  ['what the last pass had read is beyond it, for a live lane', { 1: 4, 2: 7 }, 'live', 2, { live: 4 }, 0, 7],
  ['for history', { 1: 4, 2: 7 }, 'backfill', 2, { backfill: 4 }, 0, 7],
  ['and for a settle pass', { 1: 4, 2: 7 }, 'settle', 2, { 2: 4 }, 4, 7],
  ['looking back, a lane finds them by its own name: that says nothing of the last pass', { 1: 4 }, 'live', 2, { live: 4 }, 0, 0],
  ['without settle passes the first reading is the last', { 0: 2 }, 'live', 0, {}, 0, 2],
])('%s', (_, before, lane, lastPass, foundBy, byLastPass, beyondLastPass) => expect(sortLateEntries(covered(before), lane, lastPass)).toEqual({ foundBy, byLastPass, beyondLastPass }));

// biome-ignore format: a table
it.each<[string, readonly (readonly [string, string])[]]>([
  ['  ', []],
  ['?action_type=view', [['action_type', 'view']]],
  ['action_type.not=view&actor_email.not=bot@example.com', [['action_type.not', 'view'], ['actor_email.not', 'bot@example.com']]],
  ['raw_uri=%2Fa%3Fb%3D1%26c&id=x', [['id', 'x'], ['raw_uri', '/a?b=1&c']]],
  ['actor_email=a%2Bb@example.com', [['actor_email', 'a+b@example.com']]],
  ['actor_type=user&actor_type=account&actor_type=user', [['actor_type', 'account'], ['actor_type', 'user']]],
  ['action_type=a_type_of_next_year', [['action_type', 'a_type_of_next_year']]],
])('parseFilters reads %j', (text, filters) => expect(parseFilters(text)).toEqual({ filters, faults: [] }));

it.each([
  ['since=2025-01-01', '"since" is set by orgtrail itself and cannot be a filter'],
  ['limit=5', '"limit" is set by orgtrail itself and cannot be a filter'],
  ['actor.email=a', 'unknown filter "actor.email"; did you mean "actor_email"?'],
  ['actor.email.not=a', 'unknown filter "actor.email.not"; did you mean "actor_email.not"?'],
  ['raw_cfray_id=a', 'unknown filter "raw_cfray_id"; did you mean "raw_cf_ray_id"?'],
  ['actor_email[]=a', 'unknown filter "actor_email[]"; did you mean "actor_email"?'],
  ['actor_email=', 'filter "actor_email" has no value'],
  ['actor_email', 'filter "actor_email" has no value'],
  ['raw_status_code=4xx', 'filter "raw_status_code" must be a three-digit status code, not "4xx"'],
  ['raw_status_code.not=20', 'filter "raw_status_code.not" must be a three-digit status code, not "20"'],
])('parseFilters refuses %j', (text, fault) => expect(parseFilters(text)).toEqual({ filters: [], faults: [fault] }));

it('parseFilters lists what there is where nothing is near', () => {
  const { faults } = parseFilters('colour=red');
  expect(faults).toHaveLength(1);
  expect(faults[0]).toMatch(
    /^unknown filter "colour"; the API has action_result, .*resource_type, each also as NAME\.not$/,
  );
});

it('parseFilters names all faults at once, and keeps what was right', () => {
  const { filters, faults } = parseFilters('since=1&id=x&colour=red&actor_id=');
  expect(filters).toEqual([['id', 'x']]);
  expect(faults).toHaveLength(3);
});

const name = fc.constantFrom('id', 'id.not', 'actor_email', 'actor_email.not', 'raw_uri', 'resource_type');
const filter = fc.tuple(name, fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }));
const textOf = (filters: readonly [string, string][]): string => new URLSearchParams([...filters]).toString();

it('canonicalFilters is the same for the same filters in any order, however often each is named', () => {
  const shuffled = fc
    .array(filter, { maxLength: 6 })
    .chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray([...all, ...all], { minLength: all.length * 2 })));
  forAll([shuffled], 300, ([filters, again]) => {
    const canonical = canonicalFilters(parseFilters(textOf(filters)).filters);
    expect(canonicalFilters(parseFilters(textOf(again)).filters)).toBe(canonical);
    expect(canonicalFilters(parseFilters(canonical).filters)).toBe(canonical);
  });
});

it('canonicalFilters differs where the filters differ, and is empty without any', () => {
  forAll([fc.array(filter, { maxLength: 4 }), fc.array(filter, { maxLength: 4 })], 300, (one, other) => {
    const [a, b] = [parseFilters(textOf(one)).filters, parseFilters(textOf(other)).filters];
    expect(canonicalFilters(a) === canonicalFilters(b)).toBe(JSON.stringify(a) === JSON.stringify(b));
  });
  expect(canonicalFilters([])).toBe('');
});

const pointsOf = (ranges: readonly Range[]): number[] =>
  Array.from({ length: LAST + 1 }, (_, point) => point).filter((point) =>
    ranges.some((range) => range.fromMs <= point && point < range.toMs),
  );

const coverageOf = (ranges: readonly Range[]): Coverage => ranges.reduce(addRange, [] as Coverage);

const expectWellFormed = (coverage: Coverage): void => {
  for (const [index, range] of coverage.entries()) {
    expect(isEmpty(range)).toBe(false);
    const before = coverage[index - 1];
    if (before !== undefined) expect(before.toMs).toBeLessThan(range.fromMs);
  }
};

const parseFilters = (text: string) => parse(text, organization.filters);

const entry: fc.Arbitrary<Entry> = fc.record({
  action_type: fc.constantFrom('create', 'update', 'delete', 'view', 'login', 'purge', ''),
  actor_type: fc.constantFrom('user', 'account', 'cloudflare_admin', 'system', 'delegated_service', 'robot', ''),
  resource_type: fc.oneof(fc.constantFrom('zone', 'dns_records', 'member'), fc.string()),
});

test('splitsOfSecond every entry is in exactly one part of each split, whatever its values are (invariant 9)', () => {
  const types = fc.uniqueArray(fc.oneof(fc.constantFrom('zone', 'member'), fc.string({ minLength: 1 })), {
    maxLength: 30,
  });
  forAll([entry, types], 500, (each, resourceTypes) => {
    const splits = splitsOfSecond([], resourceTypes);
    expect(splits).toHaveLength(resourceTypes.length > 0 ? 3 : 2);
    for (const parts of splits) expect(parts.filter((filters) => matches(each, filters))).toHaveLength(1);
  });
});

test('splitsOfSecond goes by the kind of action first, then by who, then by what', () => {
  const fields = splitsOfSecond([], ['zone']).map((parts) => new Set(parts.flat().map(([name]) => name)));
  expect(fields).toEqual([
    new Set(['action_type', 'action_type.not']),
    new Set(['actor_type', 'actor_type.not']),
    new Set(['resource_type', 'resource_type.not']),
  ]);
});

test('splitsOfSecond leaves out what the configured filters use: another value of it would be an alternative', () => {
  const configured: readonly Filter[] = [
    ['action_type.not', 'view'],
    ['resource_type', 'zone'],
  ];
  const names = splitsOfSecond(configured, ['zone'])
    .flat(2)
    .map(([name]) => name);
  expect(new Set(names)).toEqual(new Set(['actor_type', 'actor_type.not']));
});

test('splitsOfSecond asks for no more than twenty kinds of resources by themselves', () => {
  const many = Array.from({ length: 500 }, (_, n) => `kind ${n}`);
  expect(splitsOfSecond([], many).at(-1)).toHaveLength(21);
});

type Entry = Readonly<Record<'action_type' | 'actor_type' | 'resource_type', string>>;

/** As the API documents them: repeated names are alternatives, of `.not` none may match. */
const matches = (entry: Entry, filters: readonly Filter[]): boolean => {
  const values = new Map<string, string[]>();
  for (const [name, value] of filters) values.set(name, [...(values.get(name) ?? []), value]);
  return [...values].every(([name, wanted]) => {
    const field = name.replace(/\.not$/, '') as keyof Entry;
    return wanted.includes(entry[field]) !== name.endsWith('.not');
  });
};
