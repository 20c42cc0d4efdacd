import { describe, expect, it } from 'vitest';
import { nearest } from '../../../src/text/nearest.ts';

const names = ['Acme Aerospace', 'Acme Bank', 'Blue Harbor Bank', 'Zeta'];

describe('nearest', () => {
  it.each([
    ['Acme Aerospce', ['Acme Aerospace']],
    ['acme bnak', ['Acme Bank']],
    ['ACME', ['Acme Aerospace', 'Acme Bank']],
    ['harbor', ['Blue Harbor Bank']],
    ['zeat', ['Zeta']],
    ['something else', []],
    ['', []],
  ])('of %j are %j', (text, expected) => {
    expect(nearest(text, names)).toEqual(expected);
  });

  it('names few, the most likely first', () => {
    expect(nearest('bank', ['bank', 'bonk', 'The bank of all banks', 'tank', 'banking'], 3)).toEqual([
      'bank',
      'banking',
      'bonk',
    ]);
  });
});
