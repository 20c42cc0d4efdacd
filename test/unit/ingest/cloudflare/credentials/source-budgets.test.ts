import { expect, test } from 'vitest';
import type { Candidate } from '../../../../../src/ingest/cloudflare/credentials/choice.ts';
import { createSourceBudgets } from '../../../../../src/ingest/cloudflare/credentials/source-budgets.ts';

const user = { accounts: true, organizations: true, isUser: true, budget: 900 } as const;
const all: readonly Candidate[] = [
  { ...user, name: 'a', countedFor: 'user:1' },
  { ...user, name: 'a again', countedFor: 'user:1' },
  { ...user, name: 'b', countedFor: 'user:2', budget: 300 },
  { ...user, name: 'own', countedFor: 'token:x', isUser: false, budget: 1_000 },
  { ...user, name: 'named', countedFor: 'token:y', organizations: false, accounts: ['account-2'] },
];
const readers: Readonly<Record<string, string>> = {
  'account/account-3': 'b',
  'account/account-4': 'a again',
  'account/account-5': 'no longer there',
  'account/account-1': 'a',
};
const budgets = createSourceBudgets(() => all, {
  reader: ({ kind, id }) => readers[`${kind}/${id}`],
  onlyAccount: (name) => (name === 'own' ? 'account-1' : undefined),
  lists: (name, { id }) => id.startsWith('shared') && ['a', 'b'].includes(name),
  reads: () => 0,
});

test.each([
  ['account', 'account-1', 'token:x', 1_000],
  ['account', 'account-2', 'token:y', 900],
  ['account', 'account-3', 'user:2', 300],
  ['account', 'account-4', 'user:1', 900],
  ['account', 'account-5', 'user:1', 900],
  ['account', 'never read', 'user:1', 900],
  ['organization', 'account-1', 'user:1', 900],
])('%s %s is read with the budget of %s', (kind, id, name, requests) => {
  expect(budgets()({ kind, id })).toEqual({ name, requests });
});

test('what is unread and listed by several is planned by their budgets, once one of them has no room', () => {
  const budgetOf = budgets();
  const names = Array.from({ length: 400 }, (_, n) => budgetOf({ kind: 'account', id: `shared ${n}` }).name);
  expect(names.slice(0, 90)).not.toContain('user:2');
  expect(names.filter((name) => name === 'user:1').length).toBeCloseTo(300, -1);
});

test('with one credential all sources have its budget', () => {
  const [only] = all;
  const one = createSourceBudgets(() => (only === undefined ? [] : [only]), {
    reader: () => 'default',
    onlyAccount: () => undefined,
    lists: () => false,
    reads: () => 0,
  });
  expect(one()({ kind: 'account', id: 'x' })).toEqual({ name: 'user:1', requests: 900 });
});
