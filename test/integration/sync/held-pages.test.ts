import { describe, expect, test, vi } from 'vitest';
import { ApiError } from '../../../src/errors.ts';
import { OTHER_LIMIT } from '../../../src/ingest/planning/proof.ts';
import type { PageCommit } from '../../../src/ingest/planning/source.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

describe.concurrent('the only page of all of history, whose end is in doubt', () => {
  test('is committed together with what it proves', async () => {
    await using world = await openWorld(oneLargePage);
    await using run = await world.open();
    const { store, time } = run.app.sync;
    const commit = vi.spyOn(store, 'commit');
    const real = time.sleep;
    // An answer comes before what waits for it gives up, on a busy machine, too.
    vi.spyOn(time, 'sleep').mockImplementation((ms, signal) => real(ms * 1_000, signal));
    expect(await run.sync()).toMatchObject({ failed: [], finished: true });
    const commits = commitsOf(commit.mock.calls);
    expect(commits).toEqual(commits.map(({ entries }) => ({ entries, claims: true })));
    expect(commits.length).toBeGreaterThan(0);
    await world.expectExactTruth();
  });

  test('is committed by itself, without a claim, if the answer that would prove it takes long', async () => {
    await using world = await openWorld(oneLargePage);
    await using run = await world.open();
    const { api, store } = run.app.sync;
    const commit = vi.spyOn(store, 'commit');
    const real = api.fetchPage;
    const late = Promise.withResolvers<void>();
    vi.spyOn(api, 'fetchPage').mockImplementation(async (...asked) => {
      if (asked[1].pageLimit === OTHER_LIMIT) await late.promise;
      return await real(...asked);
    });
    const synced = run.sync();
    await expect.poll(() => storedRows(world)).toBeGreaterThanOrEqual(50);
    expect(commitsOf(commit.mock.calls)).toContainEqual(expect.objectContaining({ claims: false }));
    late.resolve();
    expect(await synced).toMatchObject({ failed: [], finished: true });
    await world.expectExactTruth();
  });

  test('is committed by itself, without a claim, if the proof is refused, and is no page twice afterwards', async () => {
    await using world = await openWorld(oneLargePage);
    await using run = await world.open();
    const { api, store } = run.app.sync;
    const commit = vi.spyOn(store, 'commit');
    const real = api.fetchPage;
    const refusals = vi.spyOn(api, 'fetchPage').mockImplementation(async (...asked) => {
      if (asked[1].pageLimit === OTHER_LIMIT) throw new ApiError('refused', 'not now', { status: 403 });
      return await real(...asked);
    });
    await run.sync({ retries: 0 });
    expect(commitsOf(commit.mock.calls)).toEqual([expect.objectContaining({ claims: false })]);
    expect(await storedRows(world)).toBeGreaterThanOrEqual(50);
    refusals.mockRestore();
    await world.database.pool.query('update lanes set next_attempt_at = null');
    expect(await run.sync()).toMatchObject({ failed: [], finished: true });
    await world.expectExactTruth();
  });
});

test('a page that comes again as proof, to the byte, is counted and not sent to the database', async () => {
  await using world = await openWorld(oneLargePage);
  const pages: { entries: number; duplicates: number }[] = [];
  await using run = await world.open(
    {},
    { pageCommitted: ({ entries, duplicates }) => pages.push({ entries, duplicates }) },
  );
  expect(await run.sync()).toMatchObject({ failed: [], finished: true });
  await world.expectExactTruth();
  const again = pages.filter(({ entries, duplicates }) => entries >= 50 && duplicates === entries);
  const { rows } = await world.database.pool.query<{ commits: number }>(
    'select commit_seq::integer as commits from sources',
  );
  expect(again.length, 'pages that prove').toBeGreaterThan(0);
  expect(rows).toEqual([{ commits: pages.length - again.length }]);
});

const oneLargePage = { organizations: 1, entries: 160, pageCap: 1_000 } as const;

const storedRows = async ({ database }: SyncWorld): Promise<number> => {
  const { rows } = await database.pool.query<{ rows: number }>('select count(*)::integer as rows from audit_events');
  return rows[0]?.rows ?? 0;
};

/** Commits of entries of history. `claims`: whether something was claimed with them. */
const commitsOf = (calls: readonly (readonly [PageCommit])[]) =>
  calls.flatMap(([{ page, claims }]) =>
    page.entries >= 50 ? [{ entries: page.entries, claims: claims.some((ranges) => ranges.length > 0) }] : [],
  );
