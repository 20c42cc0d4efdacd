import { expect, test } from 'vitest';
import { openWorld } from '../../support/sync/sync-world.ts';

test('a page that comes again as proof, to the byte, is counted and not sent to the database', async () => {
  await using world = await openWorld({ organizations: 1, entries: 160, pageCap: 1_000 });
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
