import { describe, expect, test } from 'vitest';
import { type LeastPrivilegedWorld, openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { until } from '../../support/process/until.ts';
import { expectClaimedImpliesStored, expectStoredOrVisible } from '../../support/sync/claims.ts';

const SECOND_MS = 1_000;
const tooLargeBytes = 65 * 1_048_576;

const unreadSeconds = async (world: Pick<LeastPrivilegedWorld, 'number'>): Promise<number> =>
  await world.number(
    "select coalesce(extract(epoch from sum(duration)), 0) from coverage_gaps where before < now() - interval '1 hour'",
  );

describe.concurrent('D2: an entry that makes every page with it fail', () => {
  test.each([
    ['that answers 500', undefined],
    ['of 65 MiB, above the limit of a body', tooLargeBytes],
  ])(
    '%s: all around it is stored, it is one named hole of a second, and the live tail goes on',
    async (_what, bytes) => {
      await using world = await openLeastPrivileged({ organizations: 2, entries: 400 });
      const { simulator, database } = world;
      const [id = ''] = world.ids;
      // In the middle of the history, beside entries that can be read.
      const poisonMs = Math.floor(world.startMs / SECOND_MS) * SECOND_MS - 86_400_000 + 400;
      simulator.generate(id, 1, { actionTimeMs: poisonMs, ...(bytes !== undefined && { bytes }) });
      simulator.generate(id, 3, { actionTimeMs: poisonMs - 3 * SECOND_MS, spacingMs: 3 * SECOND_MS - 400 });
      if (bytes === undefined) simulator.faults.set({ poison_page: { times: [poisonMs], status: 500 } });
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
      const reason = bytes === undefined ? 'server' : 'too_large';
      expect(rows).toEqual([{ source_id: id, pass: 0, seconds: 1, reason, has_it: true }]);
      expect(await expectStoredOrVisible(database.pool, simulator), 'only the poison itself is missing').toBe(1);
      await expectClaimedImpliesStored(database.pool, simulator);
      expect(await unreadSeconds(world)).toBe(1);
    },
  );
});
