import { expect, test } from 'vitest';
import { lockNotes } from '../../../src/cli/commands/check.ts';

const stock = { perTransaction: 64, connections: 100 };

test('check says that there is too little room for locks once history has some years', () => {
  expect(lockNotes({ ...stock, months: 24, relations: 24 * 26 })).toEqual([]);
  expect(lockNotes({ ...stock, months: 49, relations: 49 * 26 })).toEqual([]);
  expect(lockNotes({ ...stock, months: 122, relations: 122 * 26 })).toEqual([
    'max_locks_per_transaction (64) is too small for 122 months, 3172 tables and indexes, if 10 statements look at all of them at once: set it to 256',
  ]);
  expect(lockNotes({ ...stock, perTransaction: 256, months: 122, relations: 122 * 26 })).toEqual([]);
});
