import { expect, test } from 'vitest';
import { createDaemon } from '../../../src/ingest/sync/daemon.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

test('a daemon that is alone lists organizations as seldom as the budget says, and at each tick after a failure', async () => {
  await using world = await openWorld(
    { organizations: 1, entries: 1, subOrganizations: false },
    { ORGTRAIL_API_BUDGET: '200', ORGTRAIL_SOURCES: 'organizations' },
  );
  await using run = await world.open();
  const { signal } = new AbortController();
  const daemon = createDaemon(run.app.sync, { tickMs: 1, signal, stopping: () => false, onError: () => {} });
  const listingsOf = async (ticks: number): Promise<number> => {
    const from = world.simulator.requestCount;
    for (let tick = 0; tick < ticks; tick += 1) {
      await daemon.tick();
      await daemon.idle();
    }
    const asked = world.simulator.requests().slice(from);
    return asked.filter(({ path }) => /\/organizations\?page_size/.test(path) && !path.includes('parent.id')).length;
  };
  expect(await listingsOf(5)).toBe(1);
  await world.database.pool.query("update discovery set last_attempt_at = last_attempt_at - interval '126 seconds'");
  world.simulator.faults.set({ listing_403: 1 });
  expect(await listingsOf(3), 'until it works again').toBe(3);
  world.simulator.faults.set({ listing_403: null });
  expect(await listingsOf(3)).toBe(1);
});
