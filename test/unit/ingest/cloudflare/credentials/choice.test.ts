import { describe, expect, test } from 'vitest';
import { ApiError } from '../../../../../src/errors.ts';
import {
  type Candidate,
  type CredentialFacts,
  movesOn,
  oneOf,
  rankCandidates,
} from '../../../../../src/ingest/cloudflare/credentials/choice.ts';
import { createRefusals } from '../../../../../src/ingest/cloudflare/credentials/refusals.ts';

const account = { kind: 'account', id: 'x' };
const organization = { kind: 'organization', id: 'x' };
const candidate = (name: string, more: Partial<Candidate> = {}): Candidate => ({
  name,
  accounts: true,
  organizations: true,
  isUser: true,
  budget: 900,
  countedFor: name,
  ...more,
});
const facts = (
  listed: Readonly<Record<string, readonly string[]>>,
  reader?: string,
  reads: Readonly<Record<string, number>> = {},
): CredentialFacts => ({
  lists: (name, { id }) => listed[name]?.includes(id) === true,
  onlyAccount: (name) => (listed[name]?.length === 1 ? listed[name][0] : undefined),
  reader: () => reader,
  reads: (name) => reads[name] ?? 0,
});
const order = (candidates: readonly Candidate[], known: CredentialFacts, source = account) =>
  rankCandidates(candidates, source, known).map(({ name }) => name);

describe('the order of credentials', () => {
  const [a, b, own] = [candidate('a'), candidate('b'), candidate('own', { isUser: false })];

  test('is the own token, the last reader, those that list it, the others; among equals that of the configuration', () => {
    expect(order([a, b, own], facts({}))).toEqual(['a', 'b', 'own']);
    expect(order([a, b, own], facts({ b: ['x', 'y'] }))).toEqual(['b', 'a', 'own']);
    expect(order([a, b, own], facts({ a: ['x', 'y'], b: ['x'] }, 'b'))).toEqual(['b', 'a', 'own']);
    expect(order([a, b, own], facts({ own: ['x'], a: ['x'] }, 'b'))).toEqual(['own', 'b', 'a']);
  });

  test('is among those that list an unread source the one with room, and of a source that is read its reader', () => {
    const listed = { a: ['x', 'y'], b: ['x', 'y'] };
    expect(order([a, b], facts(listed, undefined, { a: 90, b: 0 })), 'asked at each tick').toEqual(['a', 'b']);
    expect(order([a, b], facts(listed, undefined, { a: 91, b: 0 }))).toEqual(['b', 'a']);
    expect(order([a, b], facts(listed, undefined, { a: 200, b: 201 }))).toEqual(['a', 'b']);
    expect(order([a, b], facts(listed, 'a', { a: 200, b: 0 }))).toEqual(['a', 'b']);
    const same = candidate('same user', { countedFor: 'a' });
    expect(order([a, same, b], facts({ ...listed, 'same user': ['x', 'y'] }, undefined, { a: 91 }))).toEqual([
      'b',
      'a',
      'same user',
    ]);
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
    expect(movesOn(each), each.failure).toBe(true);
  for (const each of [error('bad_request'), error('throttled'), error('timeout'), new Error('database')])
    expect(movesOn(each), each.message).toBe(false);
});

test('a source counts as refused only if all refuse it', () => {
  const [refused, broken] = [new ApiError('refused', 'may not'), new ApiError('unauthorized', 'unknown')];
  expect(oneOf([refused, broken], account)).toBe(broken);
  expect(oneOf([refused], account)).toBe(refused);
  expect(oneOf([], account)).toMatchObject({ failure: 'refused', message: 'no credential is for the account x' });
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
