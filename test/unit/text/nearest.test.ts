import { describe, expect, it } from 'vitest';
import { didYouMean, editDistance, nearest, unknownParameter } from '../../../src/base/text.ts';
import { searchFields } from '../../../src/search/query/search.ts';

describe('what was meant', () => {
  it.each([
    ['acton', 'action'],
    ['organisation', 'organization'],
    ['actr', 'actor'],
    ['resource-type', 'resource_type'],
    ['befroe', 'before'],
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
    expect(nearest('acme bnak', names)).toEqual(['ACME Bank']);
    expect(nearest('something else', names)).toEqual([]);
    const banks = ['bank', 'bonk', 'The bank of all banks', 'tank', 'banking'];
    expect(nearest('bank', banks, 3)).toEqual(['bank', 'banking', 'bonk']);
  });

  it('counts a swap of neighbours as one difference', () =>
    expect([editDistance('updtae', 'update'), editDistance('', 'abc'), editDistance('abc', 'abc')]).toEqual([1, 3, 0]));

  it('is said in one sentence', () => expect(didYouMean(['a', 'b', 'c'])).toBe('; did you mean "a", "b" or "c"?'));
});
