import { expect, test } from 'vitest';
import { OrgtrailError } from '../../../src/errors.ts';
import { databaseTrouble } from '../../../src/postgres/database-trouble.ts';

const coded = (code: string, more: object = {}) => Object.assign(new Error('x'), { code, ...more });

test.each([
  [coded('ECONNREFUSED'), 'unreachable'],
  [new AggregateError([coded('ECONNREFUSED'), coded('ECONNREFUSED')]), 'unreachable'],
  [coded('ENOENT', { syscall: 'connect' }), 'unreachable'],
  [coded('57P01'), 'unreachable'],
  [coded('08006'), 'unreachable'],
  [new Error('Connection terminated unexpectedly'), 'unreachable'],
  [new OrgtrailError('database_unreachable', 'x'), 'unreachable'],
  [new Error('timeout exceeded when trying to connect'), 'busy'],
  [coded('53300'), 'busy'],
  [coded('57014'), 'slow'],
  [new Error('Query read timeout'), 'slow'],
  [coded('53100'), undefined],
  [coded('42P01'), undefined],
  [coded('42501'), undefined],
  [coded('ENOENT', { syscall: 'open' }), undefined],
  [new TypeError('x is not a function'), undefined],
  ['text', undefined],
])('%s is %s', (error, trouble) => {
  expect(databaseTrouble(error)).toBe(trouble);
});
