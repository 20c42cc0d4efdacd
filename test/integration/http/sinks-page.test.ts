import { beforeAll, expect, test } from 'vitest';
import { readDeadLetterPage } from '../../../src/sinks/sink-status.sql.ts';
import { poolOfWorld } from '../../support/postgres/pool-of-tests.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

/** Two sinks in the database, neither configured; one has dead letters. */
const world = forAllTests(() => openWorld({ organizations: 1, entries: 12 }));
const pool = poolOfWorld(world);
const run = forAllTests(() => world.open());
const served = forAllTests(() => serve(run));
beforeAll(async () => {
  await run.cycle();
  await pool.query(
    "insert into sinks (name, kind, target, position) values ('old', 'file', '/x', 5), ('older', 'file', '/y', 12)",
  );
  await pool.query(
    `insert into sink_dead_letters (sink, position, reason) select 'old', n, 'reason ' || n from generate_series(1, 7) n
     union all select 'older', 99, 'of another sink'`,
  );
});

test('dead letters come in pages without an overlap, and say which is the oldest', async () => {
  const seen: number[] = [];
  let before: number | undefined;
  do {
    const page = await readDeadLetterPage(pool, 'old', { before, limit: 3 });
    expect(page.oldest).toBe(1);
    seen.push(...page.letters.map(({ position }) => position));
    before = page.nextBefore;
  } while (before !== undefined);
  expect(seen).toEqual([7, 6, 5, 4, 3, 2, 1]);

  const whole = await readDeadLetterPage(pool, 'old', { before: undefined, limit: 7 });
  expect(whole.nextBefore).toBeUndefined();
  expect(whole.letters[0]).toMatchObject({ reason: 'reason 7', isStored: true });
  const { letters } = await readDeadLetterPage(pool, 'older', { before: undefined, limit: 7 });
  expect(letters).toMatchObject([{ position: 99, isStored: false, organizationName: null, actionType: null }]);
  const none = await readDeadLetterPage(pool, 'nosuch', { before: undefined, limit: 7 });
  expect(none).toEqual({ letters: [], nextBefore: undefined, oldest: undefined });
});

test('sinks that are not configured any more are shown as such, with their dead letters', async () => {
  const all = await served.text('/sinks');
  expect(all).toContain('No sinks configured');
  expect(all).toMatch(/Not configured any more[\s\S]*href="\/sinks\/old"[\s\S]*href="\/sinks\/older"/);
  const one = await served.text('/sinks/old?before=3');
  expect(one).toContain('reason 2');
  expect(one).not.toContain('reason 3');
  expect(one).toContain('orgtrail sink replay old --after 0');
});
