import { expect, test } from 'vitest';
import { ApiError } from '../../../../src/errors.ts';
import type { FoundOrganization, OrganizationChange } from '../../../../src/ingest/planning/source.ts';
import { discover, discoverInTurn } from '../../../../src/ingest/sync/discovery/discover.ts';
import { PartialListingError } from '../../../../src/ingest/sync/discovery/partial-listing.ts';
import type { AuditApi, SyncContext, SyncStore } from '../../../../src/ingest/sync/ports.ts';

const newListing = () => ({
  restsUntilMs: 0,
  requests: 0,
  organizations: 0,
  detailsAfterMs: 0,
  askedById: new Set<string>(),
});

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
    organizationListing: newListing(),
    organizationIds: undefined,
    kinds: [{ kind: 'organization' }],
  } as unknown as SyncContext;
  const result = await discoverInTurn(context, 0, new AbortController().signal);
  expect(result).toEqual({ serverTimeMs: undefined });
  expect(asked).toEqual(['first page']);
});

/** A discovery whose steps are noted in the order in which they happen. */
const noting = (api: Partial<AuditApi>, more: Partial<SyncStore> & { organizationIds?: readonly string[] } = {}) => {
  const steps: string[] = [];
  const { organizationIds, ...store } = more;
  const context = {
    api: { nowMs: () => 1_000, ...api },
    store: {
      recordListing: async (found: readonly FoundOrganization[], { complete }: { complete: boolean }) => {
        steps.push(`${complete ? 'complete' : 'page'} ${found.map(({ id }) => id).join(' ')}`);
        return complete ? [] : found.map(({ id }): OrganizationChange => ({ organizationId: id, change: 'appeared' }));
      },
      readTime: async () => ({ databaseMs: 1_000, serverMs: undefined, trimmed: 0 }),
      syncSources: async () => void steps.push('sources'),
      takeMissed: async () => [],
      recordDiscovery: async (result: object) => void steps.push('error' in result ? 'failed' : 'done'),
      ...store,
    },
    observer: {
      organizationChanged: ({ organizationId, change }: OrganizationChange) => {
        if (change !== 'appeared') steps.push(`${organizationId} ${change}`);
      },
      missedButOpen: ({ organizationId }: { organizationId: string }) => steps.push(`${organizationId} open`),
    },
    time: { nowMs: () => 0, sleep: () => new Promise<void>(() => {}) },
    kinds: [{ kind: 'organization', filters: [], filterHash: 'none', horizonMs: () => 0 }],
    organizationIds,
    organizationListing: newListing(),
  } as unknown as SyncContext;
  const run = (over: Partial<SyncContext> = {}) =>
    discover({ ...context, ...over }, new AbortController().signal, { throwIfLost: () => {} });
  return { steps, run, listing: context.organizationListing };
};

const pages = (steps: () => string[], ...listed: readonly (readonly string[] | ApiError)[]) =>
  async function* () {
    for (const [index, page] of listed.entries()) {
      steps().push(`ask ${index + 1}`);
      if (page instanceof ApiError) throw page;
      yield (page as readonly string[]).map((id) => ({ id, name: `Name of ${id}` }));
    }
  };

test('each page is stored and has its sources before the next is asked for; only the end of the listing counts misses', async () => {
  const { steps, run } = noting({ listOrganizations: pages(() => steps, ['a', 'b'], [], ['c']) });
  expect(await run()).toEqual({ appeared: 3 });
  // biome-ignore format: a table
  expect(steps).toEqual([
    'ask 1', 'page a b', 'sources', 'ask 2', 'page ', 'ask 3', 'page c', 'sources', 'complete a b c', 'done',
  ]);
});

test('a listing that says that it was short counts no misses, and is none that failed', async () => {
  const short = new PartialListingError(new ApiError('unreadable', '1 of 2'));
  const { steps, run } = noting({ listOrganizations: pages(() => steps, ['a'], short) });
  const discovered: object[] = [];
  const observer = { discovered: (event: object) => discovered.push(event) };
  expect(await run({ observer })).toEqual({ appeared: 1 });
  expect(steps).toEqual(['ask 1', 'page a', 'sources', 'ask 2', 'done']);
  expect(discovered).toEqual([{ organizations: 1, complete: false, short: '1 of 2' }]);
});

test('a listing that breaks on a page keeps what its earlier pages named, and counts no misses', async () => {
  const broken = new ApiError('server', 'broken');
  const { steps, run } = noting({ listOrganizations: pages(() => steps, ['a'], broken) });
  await expect(run()).rejects.toBe(broken);
  expect(steps).toEqual(['ask 1', 'page a', 'sources', 'ask 2', 'failed']);
});

test('with an allow-list a listing that breaks leaves out none that it names, and never counts misses', async () => {
  const broken = new ApiError('server', 'broken');
  const { steps, run } = noting(
    { listOrganizations: pages(() => steps, ['a'], broken) },
    { organizationIds: ['a', 'b'] },
  );
  await expect(run()).rejects.toBe(broken);
  expect(steps).toEqual(['ask 1', 'page a', 'sources', 'ask 2', 'page b', 'sources', 'failed']);
});

test('with an allow-list, one that cannot be asked for by id is still stored, and the others, too', async () => {
  const { steps, run } = noting(
    {
      listOrganizations: pages(() => steps, new ApiError('refused', 'may not list')),
      getOrganization: async (id) => {
        if (id === 'b') throw new ApiError('server', 'broken');
        return { id };
      },
    },
    { organizationIds: ['a', 'b', 'c'] },
  );
  await expect(run()).rejects.toThrow('broken');
  expect(steps).toEqual(['ask 1', 'page a b c', 'sources', 'failed']);
});

test('those that no listing shows are asked for by id once, and then five at a time, in turn', async () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  const asked: string[] = [];
  const { run, listing } = noting(
    {
      listOrganizations: pages(() => [], new ApiError('refused', 'may not list')),
      getOrganization: async (id) => {
        asked.push(id);
        return { id };
      },
    },
    { organizationIds: names },
  );
  for (const expected of [names, ['a', 'b', 'c', 'd', 'e'], ['a', 'b', 'c', 'f', 'g']]) {
    asked.length = 0;
    await run();
    expect(asked.toSorted()).toEqual(expected);
    expect(listing.requests).toBe(expected.length);
  }
});

test('the requests of the last listing are known: the next one waits for longer, the more it took', async () => {
  const { run, listing } = noting({ listOrganizations: pages(() => [], ['a', 'b'], ['c']) });
  await run();
  expect(listing).toMatchObject({ requests: 2, organizations: 3 });
  await run();
  expect(listing).toMatchObject({ requests: 2, organizations: 3 });
});

test('the audit logs of organizations that were missed decide: refused is gone, open is told, anything else waits', async () => {
  const answers: Record<string, () => Promise<'open' | 'refused'>> = {
    closed: async () => 'refused',
    open: async () => 'open',
    listedAgain: async () => 'refused',
    unclear: () => Promise.reject(new ApiError('server', 'broken')),
    hung: () => new Promise(() => {}),
  };
  const probe: AuditApi['probeAuditLog'] = ({ id }, signal) =>
    new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
      answers[id]?.().then(resolve, reject);
    });
  const limits: number[] = [];
  const { steps, run } = noting(
    { listOrganizations: pages(() => steps, ['a']), probeAuditLog: probe },
    {
      takeMissed: async (limit) => {
        limits.push(limit);
        return Object.keys(answers);
      },
      recordLogAnswer: async (id, answer) => {
        steps.push(`${id} said ${answer}`);
        return id === 'listedAgain' ? undefined : answer === 'refused' ? 'gone' : answer;
      },
    },
  );
  // The one that hangs is given up when the timeout, which this clock ends at once, is over.
  await run({ time: { nowMs: () => 0, sleep: () => new Promise((resolve) => setImmediate(resolve)) } });
  expect(limits).toEqual([10]);
  // biome-ignore format: a table
  expect(steps.slice(-7)).toEqual([
    'complete a', 'closed said refused', 'closed gone', 'open said open', 'open open', 'listedAgain said refused', 'done',
  ]);
});

test('a database that fails while an audit log is asked fails the discovery', async () => {
  const failure = new Error('no database');
  const { steps, run } = noting(
    { listOrganizations: pages(() => steps, ['a']), probeAuditLog: () => Promise.reject(failure) },
    { takeMissed: async () => ['b'] },
  );
  await expect(run()).rejects.toBe(failure);
  expect(steps.at(-1)).toBe('failed');
});
