import { expect, test } from 'vitest';
import type { SyncContext } from '../../../../src/ingest/sync/ports.ts';
import { syncOnce } from '../../../../src/ingest/sync/sync-once.ts';

test('a sync that is stopped while another process lists, before any answer of Cloudflare, ends unfinished', async () => {
  const context = {
    api: { nowMs: () => undefined },
    store: {
      claimDiscovery: async () => ({ mine: false, serverTimeMs: undefined }),
      withoutChildrenListed: async () => [],
      readTime: async () => ({ databaseMs: 0, serverMs: undefined, trimmed: 0 }),
    },
    time: { nowMs: () => 0 },
    leaseMs: 30_000,
    organizationIds: undefined,
  } as unknown as SyncContext;
  const options = { signal: new AbortController().signal, stopping: () => true, retries: 2 };
  expect(await syncOnce(context, options)).toEqual({
    sources: 0,
    failed: [],
    held: [],
    discoveryError: undefined,
    finished: false,
  });
});
