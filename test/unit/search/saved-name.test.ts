import { describe, expect, test } from 'vitest';
import { readSavedName } from '../../../src/search/saved/saved-search.ts';

describe('the name of a saved search', () => {
  test.each([
    ['Failed sign-ins', 'Failed sign-ins'],
    ['  Failed\t  sign-ins\n', 'Failed sign-ins'],
    ['e\u0301', '\u00e9'],
    ['<b>"&\'', '<b>"&\''],
    ['削除 🗑', '削除 🗑'],
    ['x'.repeat(100), 'x'.repeat(100)],
    ['🗑'.repeat(100), '🗑'.repeat(100)],
  ])('%j is %j', (given, name) => {
    expect(readSavedName(given)).toEqual({ name });
  });

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
  ])('%j is refused: %s', (given, words) => {
    const reading = readSavedName(given);
    expect('fault' in reading ? reading.fault : reading.name).toMatch(words);
  });
});
