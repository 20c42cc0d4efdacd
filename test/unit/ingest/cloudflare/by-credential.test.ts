import { expect, test } from 'vitest';
import { ApiError, type ApiFailure } from '../../../../src/errors.ts';
import {
  type ByCredentialOptions,
  type CredentialAccess,
  createApiByCredential,
} from '../../../../src/ingest/cloudflare/credentials/by-credential.ts';
import { createRefusals } from '../../../../src/ingest/cloudflare/credentials/refusals.ts';
import type { AuditApi } from '../../../../src/ingest/sync/ports.ts';

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
  expect(await fetchWith('not_found', 'expired')).toEqual({ answer: 'not_found', asked: ['first'], isSetAside: false });
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
  expect(await listWith({ a: 'refused', b: [], c: 'refused' })).toEqual({
    ids: [],
    complete: true,
    asked: ['a', 'b', 'c'],
  });
  expect(await listWith({ a: [], b: ['y'], c: ['z'] }, ['a', 'c'])).toEqual({
    ids: ['z'],
    complete: true,
    asked: ['a', 'c'],
  });
});

test('an empty listing is none if the next credential fails for another reason than a refusal', async () => {
  expect(await listWith({ a: [], b: 'server' })).toEqual({ failure: 'server', asked: ['a', 'b'] });
  expect(await listWith({ a: 'refused', b: 'refused' })).toEqual({ failure: 'refused', asked: ['a', 'b'] });
});
