import { describe, expect, test } from 'vitest';
import { ApiError, type ApiFailure } from '../../../../../src/base/errors.ts';
import {
  type ByCredentialOptions,
  type CredentialAccess,
  createApiByCredential,
  createSourceBudgets,
} from '../../../../../src/ingest/cloudflare/by-credential.ts';
import {
  byRoom,
  type Candidate,
  type CredentialFacts,
  createRefusals,
  pickError,
  rankCandidates,
  shouldTryNext,
} from '../../../../../src/ingest/cloudflare/credentials.ts';
import type { AuditApi } from '../../../../../src/ingest/sync/ports.ts';

// biome-ignore format: a table
const candidate = (name: string, more: Partial<Candidate> = {}): Candidate => ({
  name, accounts: true, organizations: true, isUser: true, budget: 900, countedFor: name, isUsedUp: () => false, ...more,
});

describe('the order of credentials', () => {
  const [a, b, own] = [candidate('a'), candidate('b'), candidate('own', { isUser: false })];

  test('is the own token, the last reader, those that list it, the others; among equals that of the configuration', () => {
    expect(order([a, b, own], facts({}))).toEqual(['a', 'b', 'own']);
    expect(order([a, b, own], facts({ b: ['x', 'y'] }))).toEqual(['b', 'a', 'own']);
    expect(order([a, b, own], facts({ a: ['x', 'y'], b: ['x'] }, 'b'))).toEqual(['b', 'a', 'own']);
    expect(order([a, b, own], facts({ own: ['x'], a: ['x'] }, 'b'))).toEqual(['own', 'b', 'a']);
  });

  test('is for a first reading that of the room of principals, among those that list the source', () => {
    const listed = { a: ['x', 'y'], b: ['x', 'y'] };
    const first = (
      candidates: readonly Candidate[],
      known: CredentialFacts,
      begun: Readonly<Record<string, number>> = {},
    ) => order(candidates, known, account, byRoom(candidates, known, new Map(Object.entries(begun))));
    expect(first([a, b], facts(listed))).toEqual(['a', 'b']);
    expect(first([a, b], facts(listed, undefined, { a: 1 }))).toEqual(['b', 'a']);
    expect(first([a, b], facts(listed), { a: 1 }), 'a first reading under way').toEqual(['b', 'a']);
    expect(first([a, b], facts({}, undefined, { a: 1 })), 'listed by none').toEqual(['b', 'a']);
    expect(first([a, b], facts({ a: ['x', 'y'] }, undefined, { a: 1 })), 'listed by one').toEqual(['a', 'b']);
    expect(first([a, b], facts(listed, 'a', { a: 200 })), 'the reader keeps it').toEqual(['a', 'b']);
    const larger = candidate('larger', { budget: 1_800 });
    expect(first([a, larger], facts({}, undefined, { a: 10, larger: 19 }))).toEqual(['larger', 'a']);
    const same = candidate('same user', { countedFor: 'a' });
    const also = facts({ ...listed, 'same user': ['x', 'y'] }, undefined, { a: 1 });
    expect(first([a, same, b], also)).toEqual(['b', 'a', 'same user']);
    const usedUp = candidate('b', { isUsedUp: () => true });
    expect(first([a, usedUp], facts(listed, undefined, { a: 50 }))).toEqual(['a', 'b']);
  });

  test('leaves out the token of another account, unless it has read the source or there is no other', () => {
    const known = facts({ own: ['y'] });
    expect(order([own, a], known)).toEqual(['a']);
    expect(order([own, a], known, organization)).toEqual(['a']);
    expect(order([own, a], facts({ own: ['y'] }, 'own'))).toEqual(['own', 'a']);
    expect(order([own], known)).toEqual(['own']);
    expect(order([{ ...own, isUser: true }, a], known), 'a user who lists one account').toEqual(['own', 'a']);
  });

  test('has only those that the configuration allows; one that it names for an account comes first', () => {
    const forX = candidate('named', { accounts: ['x'], organizations: false });
    expect(order([a, forX], facts({ a: ['x'] }, 'a'))).toEqual(['named', 'a']);
    expect(order([a, forX], facts({}), organization)).toEqual(['a']);
    expect(order([forX], facts({}), { kind: 'account', id: 'y' })).toEqual([]);
  });
});

test('another credential is asked after a refusal and after a secret that is not taken, and after nothing else', () => {
  const error = (failure: ApiError['failure'], apiCodes: number[] = []) => new ApiError(failure, failure, { apiCodes });
  for (const each of [error('refused'), error('not_found'), error('unauthorized'), error('bad_request', [6_111])])
    expect(shouldTryNext(each), each.failure).toBe(true);
  for (const each of [error('bad_request'), error('throttled'), error('timeout'), new Error('database')])
    expect(shouldTryNext(each), each.message).toBe(false);
});

test('a source counts as refused only if all refuse it', () => {
  const [refused, broken] = [new ApiError('refused', 'may not'), new ApiError('unauthorized', 'unknown')];
  expect(pickError([refused, broken], account)).toBe(broken);
  expect(pickError([refused], account)).toBe(refused);
  expect(pickError([], account)).toMatchObject({ failure: 'refused', message: 'no credential is for the account x' });
});

test('a refusal is remembered for an hour, a secret that is not taken for a minute, and neither once it was renewed', () => {
  let nowMs = 0;
  let credential = { kind: 'token', token: 'one' } as const as { kind: 'token'; token: string };
  const named = { name: 'a', source: { current: () => credential, refresh: () => false } };
  const refusals = createRefusals(() => nowMs);
  const [refused, broken] = [new ApiError('refused', 'may not'), new ApiError('unauthorized', 'unknown')];
  refusals.refused(named, 'log x', refused);
  expect([refusals.why(named, 'log x'), refusals.why(named, 'log y')]).toEqual([refused, undefined]);
  refusals.broken(named, broken);
  expect([refusals.why(named, 'log x'), refusals.why(named, 'log y')]).toEqual([broken, broken]);
  nowMs = 60_000;
  expect([refusals.why(named, 'log x'), refusals.why(named, 'log y')]).toEqual([refused, undefined]);
  nowMs = 3_600_000;
  expect(refusals.why(named, 'log x')).toBeUndefined();
  refusals.refused(named, 'log x', refused);
  credential = { kind: 'token', token: 'two' };
  expect(refusals.why(named, 'log x')).toBeUndefined();
});

const user = { accounts: true, organizations: true, isUser: true, budget: 900, isUsedUp: () => false } as const;
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
  listers: ({ id }) => (id.startsWith('shared') ? ['a', 'b'] : []),
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
])('%s %s is read with the budget of %s', (kind, id, name, requests) =>
  expect(budgets()({ kind, id })).toEqual({ name, requests }),
);

test('what is unread and listed by several is planned by their budgets', () => {
  const budgetOf = budgets();
  const names = Array.from({ length: 400 }, (_, n) => budgetOf({ kind: 'account', id: `shared ${n}` }).name);
  expect(names.filter((name) => name === 'user:1').length).toBeCloseTo(300, -1);
});

test('with one credential all sources have its budget', () => {
  const [only] = all;
  const one = createSourceBudgets(() => (only === undefined ? [] : [only]), {
    reader: () => 'default',
    onlyAccount: () => undefined,
    lists: () => false,
    listers: () => [],
    reads: () => 0,
  });
  expect(one()({ kind: 'account', id: 'x' })).toEqual({ name: 'user:1', requests: 900 });
});

const source = { kind: 'account', id: 'a' } as const;
type Walk = Parameters<AuditApi['fetchPage']>[1];

/** Two credentials: the first one answers a page with a failure. Says which of them were asked. */
const fetchWith = async (failure: ApiFailure, cursor: string | undefined) => {
  const asked: string[] = [];
  const accessOf = (name: string, answer: () => unknown): CredentialAccess =>
    ({
      name,
      accounts: true,
      organizations: true,
      isUser: true,
      source: { current: () => name },
      api: {
        fetchPage: async () => {
          asked.push(name);
          return answer();
        },
      },
    }) as unknown as CredentialAccess;
  const fail = () => {
    throw new ApiError(failure, failure);
  };
  const refusals = createRefusals(() => 0);
  const facts = {
    refresh: async () => {},
    hasRead: async () => {},
    lists: () => true,
    listers: () => ['first', 'second'],
    onlyAccount: () => undefined,
    reader: () => 'first',
    reads: () => 0,
  };
  const current = [accessOf('first', fail), accessOf('second', () => 'page')];
  const options = { current: () => current, facts, refusals, onListingFailed: () => {} };
  const api = createApiByCredential(options as unknown as ByCredentialOptions);
  const page = api.fetchPage(source, { cursor } as Walk, new AbortController().signal, 1_000);
  const answer = await page.catch((error: ApiError) => error.failure);
  const isSetAside = refusals.why(current[0] as CredentialAccess, 'log account/a') !== undefined;
  return { answer, asked, isSetAside };
};

test('a cursor that is gone says nothing of the credential: no other is asked, and it is not set aside', async () => {
  const alone = { answer: 'not_found', asked: ['first'], isSetAside: false };
  expect(await fetchWith('not_found', 'expired')).toEqual(alone);
});

test('a log that one credential does not find, or may not read, is read with another', async () => {
  for (const [failure, cursor] of [
    ['not_found', undefined],
    ['refused', undefined],
    ['refused', 'cursor'],
  ] as const) {
    const read = await fetchWith(failure, cursor);
    expect(read, `${failure} ${cursor}`).toEqual({ answer: 'page', asked: ['first', 'second'], isSetAside: true });
  }
});

test('of thousands of tokens of accounts a page is asked for with one, and the others are not looked at', async () => {
  let looks = 0;
  const current = Array.from({ length: 5_000 }, (_, n) => ({
    name: `token-${n}`,
    accounts: true,
    organizations: true,
    budget: 900,
    countedFor: `token-${n}`,
    isUsedUp: () => false,
    get isUser() {
      looks += 1;
      return false;
    },
    source: { current: () => n },
    api: { fetchPage: async () => n },
  }));
  const known = {
    ...facts(Object.fromEntries(current.map(({ name }, n) => [name, [`account-${n}`]]))),
    listers: ({ id }: { readonly id: string }) => [id.replace('account', 'token')],
    refresh: async () => {},
    hasRead: async () => {},
  };
  const options = { current: () => current, facts: known, refusals: createRefusals(() => 0) };
  const api = createApiByCredential(options as unknown as ByCredentialOptions);
  const read = (id: string) => api.fetchPage({ kind: 'account', id }, {} as Walk, new AbortController().signal, 1_000);
  expect([await read('account-17'), await read('account-4999')]).toEqual([17, 4_999]);
  expect(looks).toBeLessThan(20);
});

type Answer = readonly string[] | ApiFailure;

/** What the accounts of an organization are, by the answers of several credentials: those of two pages each, or a failure. Says which were asked. */
const listWith = async (
  answers: Readonly<Record<string, Answer>>,
  seeing: readonly string[] = Object.keys(answers),
) => {
  const asked: string[] = [];
  const current = Object.entries(answers).map(([name, answer]) => ({
    name,
    accounts: true,
    organizations: true,
    isUser: true,
    api: {
      listAccountsOf: async function* () {
        asked.push(name);
        if (typeof answer === 'string') throw new ApiError(answer, answer);
        yield { accounts: [], complete: false };
        yield { accounts: answer.map((id) => ({ id })), complete: true };
      },
    },
  }));
  const facts = {
    refresh: async () => {},
    lists: (name: string) => seeing.includes(name),
    listers: () => seeing,
    onlyAccount: () => undefined,
    reader: () => undefined,
    reads: () => 0,
  };
  const api = createApiByCredential({ current: () => current, facts } as unknown as ByCredentialOptions);
  const ids: string[] = [];
  let complete = false;
  try {
    for await (const page of api.listAccountsOf('o', new AbortController().signal)) {
      ids.push(...page.accounts.map(({ id }) => id));
      complete = page.complete;
    }
    return { ids, complete, asked };
  } catch (error) {
    return { failure: error instanceof ApiError ? error.failure : error, asked };
  }
};

test('accounts that one credential is shown none of are listed with the next that sees the organization', async () => {
  expect(await listWith({ a: ['x'], b: ['y'] })).toEqual({ ids: ['x'], complete: true, asked: ['a'] });
  expect(await listWith({ a: [], b: ['y'], c: ['z'] })).toEqual({ ids: ['y'], complete: true, asked: ['a', 'b'] });
  const none = { ids: [], complete: true, asked: ['a', 'b', 'c'] };
  expect(await listWith({ a: 'refused', b: [], c: 'refused' })).toEqual(none);
  const ofThird = { ids: ['z'], complete: true, asked: ['a', 'c'] };
  expect(await listWith({ a: [], b: ['y'], c: ['z'] }, ['a', 'c'])).toEqual(ofThird);
});

test('an empty listing is none if the next credential fails for another reason than a refusal', async () => {
  expect(await listWith({ a: [], b: 'server' })).toEqual({ failure: 'server', asked: ['a', 'b'] });
  expect(await listWith({ a: 'refused', b: 'refused' })).toEqual({ failure: 'refused', asked: ['a', 'b'] });
});

const account = { kind: 'account', id: 'x' };
const organization = { kind: 'organization', id: 'x' };

const facts = (
  listed: Readonly<Record<string, readonly string[]>>,
  reader?: string,
  reads: Readonly<Record<string, number>> = {},
): CredentialFacts => ({
  lists: (name, { id }) => listed[name]?.includes(id) === true,
  listers: ({ id }) => Object.keys(listed).filter((name) => listed[name]?.includes(id)),
  onlyAccount: (name) => (listed[name]?.length === 1 ? listed[name][0] : undefined),
  reader: () => reader,
  reads: (name) => reads[name] ?? 0,
});

const order = (
  candidates: readonly Candidate[],
  known: CredentialFacts,
  source = account,
  compare?: ReturnType<typeof byRoom>,
) => rankCandidates(candidates, source, known, compare).map(({ name }) => name);
