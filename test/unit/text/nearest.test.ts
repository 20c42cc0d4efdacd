import { describe, expect, it } from 'vitest';
import { didYouMean, nearest, unknownParameter } from '../../../src/base/text.ts';
import { matchOrganization } from '../../../src/search/names/names.ts';
import { searchFields } from '../../../src/search/query/search.ts';

describe('what was meant', () => {
  it.each([
    ['acton', 'action'],
    ['organisation', 'organization'],
    ['actr', 'actor'],
    ['resource-type', 'resource_type'],
    ['befroe', 'before'], // A swap of neighbours is one difference.
  ])('%s is %s', (given, meant) => {
    expect(nearest(given, searchFields, 1)).toEqual([meant]);
    expect(unknownParameter(given, searchFields)).toBe(`unknown parameter "${given}"; did you mean "${meant}"?`);
  });

  it('is nothing for what is like no name', () => {
    expect(unknownParameter('colour', searchFields)).toBe('unknown parameter "colour"');
    expect(nearest('', searchFields, 1)).toEqual([]);
  });

  it('begins with the word, then differs a little, then holds it; in their order otherwise, and few', () => {
    const names = ['Old Acme', 'Blue Harbor', 'Acne', 'Acme Aerospace', 'ACME Bank'];
    expect(nearest('Acme', names, 9)).toEqual(['Acme Aerospace', 'ACME Bank', 'Acne', 'Old Acme']);
    expect(nearest('Acme', names, 2)).toEqual(['Acme Aerospace', 'ACME Bank']);
    expect([nearest('acme bnak', names), nearest('something else', names)]).toEqual([['ACME Bank'], []]);
    expect(nearest('bank', ['bank', 'bonk', 'The bank of all banks', 'tank', 'banking'], 3)).toEqual([
      'bank',
      'banking',
      'bonk',
    ]);
  });

  it('is said in one sentence', () => expect(didYouMean(['a', 'b', 'c'])).toBe('; did you mean "a", "b" or "c"?'));
});

const organization = (id: string, name: string | null, gone = false) => ({ id, name, gone });
const known = [
  organization('0a1', 'Acme Aerospace'),
  organization('0b2', 'Blue Harbor Bank'),
  organization('0c3', 'Twins'),
  organization('0d4', 'twins'),
  organization('0e5', 'Moved', true),
  organization('0f6', 'Moved'),
  organization('0a7', null),
  organization('0a8', '0b2'),
];

it.each([
  ['an id', '0a1', '0a1'],
  ['an id in capitals', '0A1', '0a1'],
  ['an id without a name', '0a7', '0a7'],
  ['a name', 'Acme Aerospace', '0a1'],
  ['a name in other letters and with more spaces', ' acme  AEROSPACE ', '0a1'],
  ['an id that is also the name of another one', '0b2', '0b2'],
  ['a name that one organization has and one that is gone', 'moved', '0f6'],
])('matchOrganization finds one by %s', (_, text, id) =>
  expect(matchOrganization(text, known)).toEqual({ kind: 'one', id }),
);

it('matchOrganization finds all that have the same name', () =>
  expect(matchOrganization('TWINS', known)).toEqual({ kind: 'ambiguous', candidates: [known[2], known[3]] }));

it('matchOrganization suggests names for what is only nearly one, and none for a part of an id', () => {
  expect(matchOrganization('Acme', known)).toEqual({ kind: 'unknown', near: ['Acme Aerospace'] });
  expect(matchOrganization('Blue Habor Bank', known)).toMatchObject({ near: ['Blue Harbor Bank'] });
  expect(matchOrganization('???', known)).toEqual({ kind: 'unknown', near: [] });
});
