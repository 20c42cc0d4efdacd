import { describe, expect, test } from 'vitest';
import type { TrueEntry } from '../../../src/simulator/world/audit-log.ts';
import { type LeastPrivilegedWorld, openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { until } from '../../support/process/until.ts';
import { expectClaimedImpliesStored, expectStoredOrVisible } from '../../support/sync/claims.ts';

test.concurrent('D2: an entry of 65 MiB, above the limit of a body: all around it is stored, it is one named hole of a second, and the live tail goes on', async () => {
  await using world = await openLeastPrivileged({ organizations: 2, entries: 400 });
  const { simulator, database } = world;
  const [id = ''] = world.ids;
  // In the middle of the history, beside entries that can be read.
  const poisonMs = Math.floor(world.startMs / SECOND_MS) * SECOND_MS - 86_400_000 + 400;
  simulator.generate(id, 1, { actionTimeMs: poisonMs, bytes: tooLargeBytes });
  simulator.generate(id, 3, { actionTimeMs: poisonMs - 3 * SECOND_MS, spacingMs: 3 * SECOND_MS - 400 });
  const expected = [...simulator.truth()].length - 1;

  await using daemon = await world.run();
  await until('all but the poison is stored', async () => (await world.stored()) >= expected);
  await until('the hole is named', async () => (await world.number('select count(*) from coverage_holes')) > 0);
  world.generate(5);
  await until('the live tail goes on', async () => (await world.stored()) >= expected + 10);
  // Time without entries may be read last.
  await until('all of history is read but for the hole', async () => (await unreadSeconds(world)) === 1);
  expect(await daemon.stop()).toBe(143);

  const { rows } = await database.pool.query(
    `select source_id, pass, extract(epoch from before - since)::float8 as seconds, reason,
     tstzrange(since, before) @> to_timestamp($1::float8 / 1000) as has_it from coverage_holes`,
    [poisonMs],
  );
  expect(rows).toEqual([{ source_id: id, pass: 0, seconds: 1, reason: 'too_large', has_it: true }]);
  expect(await expectStoredOrVisible(database.pool, simulator), 'only the poison itself is missing').toBe(1);
  await expectClaimedImpliesStored(database.pool, simulator);
  expect(await unreadSeconds(world)).toBe(1);
});

const filtered = { ORGTRAIL_FILTERS: 'action_type.not=delete' };

/** Walks of many small pages that take their time: a restart comes in the middle of them. */
const openSlowWorld = (env = {}): Promise<LeastPrivilegedWorld> => {
  const slow = { slow_body: { probability: 1, operation: 'audit' as const }, slowBodyMs: 100 };
  return openLeastPrivileged({ organizations: 2, entries: 600, pageCap: 20, faults: slow }, env);
};

const isDelete = (entry: TrueEntry): boolean => JSON.parse(entry.raw()).action.type === 'delete';

/** `none` stands for no filters, any other hash for the one that these tests set. */
const passes = (filterHash: string, entry: TrueEntry): boolean => filterHash === 'none' || !isDelete(entry);

describe.concurrent('D3: another filter set', () => {
  test.each([7, 16])(
    'a filter that is removed by a restart after request %i: nothing is claimed that was not read',
    async (requests) => {
      // The daemon that follows finds the listing of the one before and lists no organizations itself.
      await using world = await openSlowWorld({ ORGTRAIL_SCHEDULE: '0 * * * * *' });
      const { simulator } = world;
      const daemon = await world.run(filtered);
      await until(`${requests} requests`, async () => simulator.requestCount >= requests);
      // Every second time as an operator does, else as a crash.
      daemon.process.child.kill(requests % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
      await daemon.process.ended;
      await expectClaimedImpliesStored(world.database.pool, simulator, passes);
      await using next = await world.run();
      await world.untilAllStored();
      expect(await next.stop()).toBe(143);
      expect([...simulator.truth()].filter(isDelete).length, 'that the filter would have hidden').toBeGreaterThan(10);
      await expectClaimedImpliesStored(world.database.pool, simulator, passes);
      await world.expectExactTruth();
    },
  );

  test('two replicas with different ones at the same time: each reads its own to the end, and nothing is lost under either', async () => {
    await using world = await openSlowWorld();
    await using one = await world.run(filtered);
    await using two = await world.run();
    await world.untilAllStored();
    const complete = `select count(distinct filter_hash) from coverage
      where pass = 0 and source_id = $1 and ranges @> tstzrange(to_timestamp($2) - interval '2 days 12 hours', to_timestamp($2))`;
    for (const id of world.ids) {
      await until(
        'both filter sets are read',
        async () => (await world.number(complete, [id, world.startMs / 1_000])) === 2,
      );
    }
    expect(await one.stop()).toBe(143);
    expect(await two.stop()).toBe(143);
    await expectClaimedImpliesStored(world.database.pool, world.simulator, passes);
    await world.expectExactTruth();
  });
});

test.concurrent('D7: the listing is away with 503 across a restart: what is known is pulled on', async () => {
  await using world = await openLeastPrivileged({ organizations: 5, entries: 300 });
  const before = await world.run();
  await world.untilAllStored();
  expect(await before.stop()).toBe(143);
  world.simulator.faults.set({ listing_away: { status: 503 } });
  world.generate(5);
  await using after = await world.run();
  await world.untilAllStored();
  world.generate(5);
  await world.untilAllStored();
  expect(world.simulator.faults.fired().listing_away).toBeGreaterThan(0);
  expect(await after.stop()).toBe(143);
  const { rows } = await world.database.pool.query(
    'select state, count(*)::integer as n from organizations group by 1',
  );
  expect(rows).toEqual([{ state: 'active', n: 5 }]);
  await world.expectExactTruth();
});

const SECOND_MS = 1_000;
const tooLargeBytes = 65 * 1_048_576;

const unreadSeconds = async (world: Pick<LeastPrivilegedWorld, 'number'>): Promise<number> =>
  await world.number(
    "select coalesce(extract(epoch from sum(duration)), 0) from coverage_gaps where before < now() - interval '1 hour'",
  );
