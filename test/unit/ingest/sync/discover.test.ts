import { expect, test } from 'vitest';
import { ApiError } from '../../../../src/base/errors.ts';
import type { FoundOrganization, OrganizationChange } from '../../../../src/ingest/planning/source.ts';
import {
  discover,
  discoverInTurn,
  PartialListingError,
  readProfiles,
} from '../../../../src/ingest/sync/discovery/discover.ts';
import { StallGuard } from '../../../../src/ingest/sync/discovery/discover-accounts.ts';
import { type AuditApi, discoveryPace, type SyncContext, type SyncStore } from '../../../../src/ingest/sync/ports.ts';
import { syncOnce } from '../../../../src/ingest/sync/sync-once.ts';
import {
  type DiscoveryWorld,
  discoveryShare,
  discoveryWorstHour,
} from '../../../../studies/freshness/discovery-share.ts';

test('a listing does not ask for its next page when its lease has run out, though no timer has said so yet', async () => {
  let nowMs = 0;
  const listOrganizations = async function* () {
    steps.push('first page');
    // The process is paused while it waits for the answer, which then comes before any timer.
    nowMs = 60_000;
    yield [{ id: 'a' }];
    steps.push('second page');
    yield [{ id: 'b' }];
  };
  const claimDiscovery = async () => ({ mine: true, serverTimeMs: undefined });
  const { steps, context } = noting({ listOrganizations }, { claimDiscovery });
  const time = { nowMs: () => nowMs, sleep: () => new Promise<void>(() => {}) };
  const result = await discoverInTurn({ ...context, time, leaseMs: 30_000 }, 0, new AbortController().signal);
  expect(result).toEqual({ serverTimeMs: undefined });
  expect(steps).toEqual(['first page']);
});

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

/** A context with organizations that have no profile yet. Each question waits until it is answered. */
const withQuestions = (ids: readonly string[], refused: 'one' | 'all' = 'one') => {
  const asked: { readonly id: string; readonly answer: (profile: unknown) => void }[] = [];
  const recorded: string[] = [];
  let heard = Promise.withResolvers<void>();
  const context = {
    store: {
      withoutProfile: async () => ids,
      recordProfile: async (id: string) => void recorded.push(id),
      recordProfileRefused: async () => refused,
    },
    api: {
      getProfile: (id: string) =>
        new Promise((resolve, reject) => {
          const answer = (profile: unknown) => (profile instanceof Error ? reject(profile) : resolve(profile));
          asked.push({ id, answer });
          heard.resolve();
        }),
    },
  } as unknown as SyncContext;
  /** Resolves with the next question, in the order of their coming. */
  const question = async (number: number) => {
    for (;;) {
      const found = asked[number];
      if (found !== undefined) return found;
      heard = Promise.withResolvers<void>();
      await heard.promise;
    }
  };
  return { context, asked, recorded, question };
};

const signal = new AbortController().signal;
const forbidden = () => new ApiError('refused', 'no profiles for this token');

test('the first profile is asked for alone, the others several at a time', async () => {
  const { context, asked, recorded, question } = withQuestions(['a', 'b', 'c', 'd', 'e']);
  const reading = readProfiles(context, 10, signal, 3);
  const first = await question(0);
  expect(asked.length).toBe(1);
  first.answer({});
  await question(3);
  expect(asked.map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd']);
  asked[2]?.answer({});
  (await question(4)).answer({});
  for (const { answer } of asked) answer({});
  await reading;
  expect(recorded.sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
});

test('one refusal is enough if it is about all profiles', async () => {
  const { context, asked, question } = withQuestions(['a', 'b', 'c', 'd'], 'all');
  const reading = readProfiles(context, 10, signal, 3);
  (await question(0)).answer(forbidden());
  await reading;
  expect(asked.map(({ id }) => id)).toEqual(['a']);
});

test('a profile that is refused or fails is left out', async () => {
  const { context, recorded, question } = withQuestions(['a', 'b', 'c']);
  const reading = readProfiles(context, 10, signal, 2);
  (await question(0)).answer(forbidden());
  (await question(1)).answer(new ApiError('timeout', 'no answer'));
  (await question(2)).answer({});
  await reading;
  expect(recorded).toEqual(['c']);
});

test('nothing is begun after the database has failed', async () => {
  const { context, asked, question } = withQuestions(['a', 'b', 'c', 'd', 'e']);
  const reading = readProfiles(context, 10, signal, 2);
  (await question(0)).answer({});
  (await question(1)).answer(new Error('the database is away'));
  await expect(reading).rejects.toThrow('the database is away');
  asked[2]?.answer({});
  expect(asked.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
});

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

test('aborts what makes no progress, and says so', async () => {
  const guard = new StallGuard(new AbortController().signal, 1);
  await aborted(guard.signal);
  expect(guard.reasonOf(guard.signal.reason)).toMatchObject({
    failure: 'timeout',
    message: 'the listing brought no page within 0.001 s',
  });
  const other = new Error('the database does not answer');
  expect(guard.reasonOf(other), 'what failed at the same time').toBe(other);
});

test('aborts with the signal that was given, for its reason', () => {
  const stop = new AbortController();
  const guard = new StallGuard(stop.signal, 3_600_000);
  guard.progress();
  expect(guard.signal.aborted).toBe(false);
  const reason = new Error('stopping');
  stop.abort(reason);
  expect(guard.reasonOf(guard.signal.reason)).toBe(reason);
  guard.end();
});

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
  // biome-ignore format: a table
  expect(await syncOnce(context, options)).toEqual({
    sources: 0, failed: [], held: [], discoveryError: undefined, finished: false,
  });
});

// biome-ignore format: a table
const newListing = () => ({
  restsUntilMs: 0, requests: 0, organizations: 0, detailsAfterMs: 0, askedById: new Set<string>(),
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
  return { steps, run, context, listing: context.organizationListing };
};

test.each<DiscoveryWorld>([
  { organizations: 1, accounts: 20, budget: 900 },
  { organizations: 60, accounts: 600, budget: 900 },
  { organizations: 500, accounts: 5_000, budget: 900 },
  { organizations: 1_700, accounts: 5_000, budget: 900 },
  { organizations: 5_000, accounts: 5_000, budget: 900 },
  { organizations: 5_000, accounts: 50_000, budget: 900 },
  { organizations: 1_000, accounts: 5_000, budget: 300 },
  { organizations: 20, accounts: 200, budget: 100 },
])('listings and details take at most 5 % of the budget: %o', (world) =>
  expect(discoveryShare(world)).toBeLessThanOrEqual(0.05),
);

test.each<DiscoveryWorld>([
  { organizations: 2_000, accounts: 2_000, budget: 900 },
  { organizations: 2_000, accounts: 5_000, budget: 900 },
  { organizations: 5_000, accounts: 5_000, budget: 900 },
])('no hour of a new installation takes more than that, once everything has been listed: %o', (world) =>
  expect(discoveryWorstHour(world)).toBeLessThanOrEqual(0.05),
);

test('of few organizations all are listed at once, of many each still once a day', () => {
  const pace = discoveryPace(900);
  expect(pace.accountsOfAtOnce(30_000, 1_000)).toBe(Number.POSITIVE_INFINITY);
  expect(pace.accountsOfAtOnce(150_000, 5_000) * (86_400_000 / 150_000)).toBeGreaterThanOrEqual(5_000);
});

test('a listing costs what its requests cost, whichever it is', () => {
  const pace = discoveryPace(900);
  expect(pace.organizationsMs(1)).toBeLessThan(TICK_MS);
  expect(pace.organizationsMs(5) / pace.organizationsMs(1)).toBeCloseTo(5);
  expect(pace.accountsMs(100) / pace.accountsMs(1)).toBeCloseTo(100);
  expect(pace.accountsOfMs(2, 500) / pace.accountsOfMs(1, 1)).toBeCloseTo(1_000);
});

test('no listing of accounts rests for longer than the database lets it', () => {
  const pace = discoveryPace(10);
  for (const ms of [pace.accountsMs(10_000), pace.accountsOfMs(10, 50_000)]) expect(ms).toBeLessThan(25 * 3_600_000);
});

test('organizations are listed before health and alerts take them for forgotten, however small the budget is', () =>
  expect(discoveryPace(10).organizationsMs(40)).toBeLessThan(300_000));

const TICK_MS = 30_000;
