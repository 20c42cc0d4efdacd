import { expect, test } from 'vitest';
import { startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { until } from '../../support/process/until.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

const KILLS = 6;

const storedOf = async (world: SyncWorld): Promise<number> => {
  const { rows } = await world.database.pool.query<{ count: number }>(
    'select count(*)::integer as count from audit_events',
  );
  return rows[0]?.count ?? 0;
};

test('60 accounts and all faults and defects, killed again and again while they are read: exact, once each; then a sync stores nothing', async () => {
  const seed = 20_261_126;
  await using world = await openWorld({
    seed,
    organizations: 4,
    accounts: 10,
    standaloneAccounts: 20,
    accountEntries: 18_000,
    entries: 2_000,
    faults: 'all',
  });
  // Short: what was killed holds its sources for as long.
  const env = { ...world.env, ORGTRAIL_LEASE: '5s' };
  for (let kill = 0; kill < KILLS; kill += 1) {
    const before = await storedOf(world);
    const sync = startOrgtrail(['sync'], env);
    // The process has stored something more, or has ended because there is no more.
    let ended = false;
    void sync.ended.then(() => {
      ended = true;
    });
    await until('it stores', async () => ended || (await storedOf(world)) > before + 500 * (kill + 1));
    sync.child.kill('SIGKILL');
    await sync.ended;
  }
  const ends: (number | string)[] = [];
  do {
    const sync = startOrgtrail(['sync'], env);
    ends.push(await sync.ended);
  } while (ends.at(-1) === 1 && ends.length < 20);
  expect(ends.at(-1), `seed ${seed}, ends ${ends.join()}`).toBe(0);
  const { stored } = await world.expectExactTruth();
  expect(stored).toBeGreaterThan(19_000);
  const last = startOrgtrail(['sync', '--json'], env);
  expect(await last.ended).toBe(0);
  expect(JSON.parse(last.stdout())).toMatchObject({ stored: 0, failed: [], finished: true });
});
