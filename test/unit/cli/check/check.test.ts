import { expect, test } from 'vitest';
import { probeLogs } from '../../../../src/cli/check/probe-logs.ts';
import { lockNotes } from '../../../../src/cli/commands/check.ts';
import { ApiError, type ApiFailure } from '../../../../src/errors.ts';
import type { AuditApi } from '../../../../src/ingest/sync/ports.ts';

test('check says that there is too little room for locks once history has some years', () => {
  expect(lockNotes({ ...stock, months: 24, relations: 24 * 26 })).toEqual([]);
  expect(lockNotes({ ...stock, months: 49, relations: 49 * 26 })).toEqual([]);
  expect(lockNotes({ ...stock, months: 122, relations: 122 * 26 })).toEqual([
    'max_locks_per_transaction (64) is too small for 122 months, 3172 tables and indexes, if 10 statements look at all of them at once: set it to 256',
  ]);
  expect(lockNotes({ ...stock, perTransaction: 256, months: 122, relations: 122 * 26 })).toEqual([]);
});

/** Answers for the logs that fail; every other log is readable. */
const probe = async (failures: Readonly<Record<string, ApiFailure>>) => {
  const fetchPage = (source: { readonly id: string }) => {
    const failure = failures[source.id];
    return failure === undefined
      ? Promise.resolve({ entries: [] })
      : Promise.reject(new ApiError(failure, `${source.id}: ${failure}`));
  };
  const api = { fetchPage, nowMs: () => Date.UTC(2026, 5, 1) } as unknown as AuditApi;
  const owners = [{ id: 'a' }, { id: 'b', name: 'Bee' }, { id: 'c' }];
  return await probeLogs(api, 'account', owners, {
    name: 'account logs',
    hint: 'the permission',
    signal: new AbortController().signal,
  });
};

test('a log that is not found counts as refused, as it does for the daemon, and the others are tried', async () => {
  expect(await probe({ b: 'not_found' })).toEqual({
    name: 'account logs',
    ok: false,
    message: 'refused (404) for 1 of 3: b (Bee)',
    hint: 'the permission',
    exitCode: 1,
    tried: 3,
    refused: 1,
  });
  expect((await probe({ a: 'not_found', c: 'refused' })).message).toBe('refused (403, 404) for 2 of 3: a, c');
});

test('one log that fails otherwise is told with its reason; the exit code is that of a source that failed', async () => {
  const check = await probe({ a: 'server', b: 'refused' });
  expect(check).toMatchObject({ ok: false, exitCode: 1, tried: 3, refused: 1 });
  expect(check.message).toBe('failed for 1 of 3, refused for 1: a: server');
});

test('if every log fails otherwise, the failure is the answer', async () => {
  await expect(probe({ a: 'server', b: 'server', c: 'timeout' })).rejects.toThrow('a: server');
});

const stock = { perTransaction: 64, connections: 100 };
