import { expect, test } from 'vitest';
import { discoverInTurn } from '../../src/sync/discover.ts';
import type { SyncContext } from '../../src/sync/ports.ts';

test('a listing does not ask for its next page when its lease has run out, though no timer has said so yet', async () => {
  let nowMs = 0;
  const asked: string[] = [];
  const context = {
    api: {
      nowMs: () => 1,
      listOrganizations: async function* () {
        asked.push('first page');
        // The process is paused while it waits for the answer, which then comes before any timer.
        nowMs = 60_000;
        yield [{ id: 'a' }];
        asked.push('second page');
        yield [{ id: 'b' }];
      },
    },
    store: {
      claimDiscovery: async () => ({ mine: true, serverTimeMs: undefined }),
      recordDiscovery: async () => asked.push('recorded'),
    },
    observer: { discoveryFailed: () => asked.push('failed') },
    time: { nowMs: () => nowMs, sleep: () => new Promise<void>(() => {}) },
    leaseMs: 30_000,
    organizationIds: undefined,
  } as unknown as SyncContext;
  const result = await discoverInTurn(context, 0, new AbortController().signal);
  expect(result).toEqual({ serverTimeMs: undefined });
  expect(asked).toEqual(['first page']);
});
