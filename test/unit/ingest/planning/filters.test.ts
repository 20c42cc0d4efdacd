import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalFilters, parseFilters as parse } from '../../../../src/ingest/planning/filters.ts';
import { organization } from '../../../../src/ingest/sources/organization/organization.ts';

describe('parseFilters', () => {
  // biome-ignore format: a table
  it.each<[string, readonly (readonly [string, string])[]]>([
    ['', []],
    ['  ', []],
    ['?action_type=view', [['action_type', 'view']]],
    ['action_type.not=view&actor_email.not=bot@example.com', [['action_type.not', 'view'], ['actor_email.not', 'bot@example.com']]],
    ['raw_uri=%2Fa%3Fb%3D1%26c&id=x', [['id', 'x'], ['raw_uri', '/a?b=1&c']]],
    ['actor_email=a%2Bb@example.com', [['actor_email', 'a+b@example.com']]],
    ['actor_type=user&actor_type=account&actor_type=user', [['actor_type', 'account'], ['actor_type', 'user']]],
    ['raw_status_code=404&raw_status_code.not=200', [['raw_status_code.not', '200'], ['raw_status_code', '404']]],
    ['action_type=a_type_of_next_year', [['action_type', 'a_type_of_next_year']]],
  ])('reads %j', (text, filters) => expect(parseFilters(text)).toEqual({ filters, faults: [] }));

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
  ])('refuses %j', (text, fault) => expect(parseFilters(text)).toEqual({ filters: [], faults: [fault] }));

  it('lists what there is where nothing is near', () => {
    const { faults } = parseFilters('colour=red');
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(
      /^unknown filter "colour"; the API has action_result, .*resource_type, each also as NAME\.not$/,
    );
  });

  it('names all faults at once, and keeps what was right', () => {
    const { filters, faults } = parseFilters('since=1&id=x&colour=red&actor_id=');
    expect(filters).toEqual([['id', 'x']]);
    expect(faults).toHaveLength(3);
  });
});

describe('canonicalFilters', () => {
  const name = fc.constantFrom('id', 'id.not', 'actor_email', 'actor_email.not', 'raw_uri', 'resource_type');
  const filter = fc.tuple(name, fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }));
  const textOf = (filters: readonly [string, string][]): string => new URLSearchParams([...filters]).toString();

  it('is the same for the same filters in any order, however often each is named', () => {
    const shuffled = fc
      .array(filter, { maxLength: 6 })
      .chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray([...all, ...all], { minLength: all.length * 2 })));
    fc.assert(
      fc.property(shuffled, ([filters, again]) => {
        const canonical = canonicalFilters(parseFilters(textOf(filters)).filters);
        expect(canonicalFilters(parseFilters(textOf(again)).filters)).toBe(canonical);
        expect(canonicalFilters(parseFilters(canonical).filters)).toBe(canonical);
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('differs where the filters differ, and is empty without any', () => {
    fc.assert(
      fc.property(fc.array(filter, { maxLength: 4 }), fc.array(filter, { maxLength: 4 }), (one, other) => {
        const [a, b] = [parseFilters(textOf(one)).filters, parseFilters(textOf(other)).filters];
        expect(canonicalFilters(a) === canonicalFilters(b)).toBe(JSON.stringify(a) === JSON.stringify(b));
      }),
      { seed: 1, numRuns: 300 },
    );
    expect(canonicalFilters([])).toBe('');
  });
});

const parseFilters = (text: string) => parse(text, organization.filters);
