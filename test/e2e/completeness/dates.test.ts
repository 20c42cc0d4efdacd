import { describe, expect, test } from 'vitest';
import { type LeastPrivilegedWorld, openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { until } from '../../support/process/until.ts';
import { expectClaimedImpliesStored } from '../../support/sync/claims.ts';

const hourSeconds = 3_600;
/** The dates are wrong for so long, and in so many answers, which a busy machine gets later. */
const WRONG_SECONDS = 12;
const WRONG_ANSWERS = 4;

/** Where coverage of each pass ends, behind the true now. Seconds; negative: in the future. */
const endsBehindNow = async ({
  database,
  simulator,
}: LeastPrivilegedWorld): Promise<{ pass: number; behind: number }[]> => {
  const { rows } = await database.pool.query<{ pass: number; behind: number }>(
    `select pass, ($1::float8 / 1000 - extract(epoch from max(upper(ranges))))::float8 as behind
     from coverage where not isempty(ranges) group by pass order by pass`,
    [simulator.summary().nowMs],
  );
  return rows;
};

describe.concurrent('D5: the API says a wrong time', () => {
  test.each([
    ['an hour ahead on the listing', hourSeconds, 'organizations'],
    ['an hour ahead on audit logs', hourSeconds, 'audit'],
    ['an hour ahead', hourSeconds, undefined],
    ['25 hours ahead', 25 * hourSeconds, undefined],
    ['an hour behind', -hourSeconds, undefined],
  ] as const)(
    '%s, for a while: nothing of the future is claimed, and all that comes into being is stored soon after',
    async (_what, offsetSeconds, operation) => {
      await using world = await openLeastPrivileged(
        { organizations: 4, entries: 200, liveRate: 8 },
        { ORGTRAIL_SETTLE: '10s,1h' },
      );
      const { simulator, database } = world;
      await using daemon = await world.run();
      await world.untilAllStored(world.startMs);
      simulator.faults.set({
        wrong_date: { offsetSeconds, ...(operation !== undefined && { operation: operation }) },
      });
      const longEnoughMs = simulator.summary().nowMs + WRONG_SECONDS * 1_000;
      const wrongAnswers = () => simulator.faults.fired().wrong_date ?? 0;
      await until(
        'the dates have been wrong',
        async () => simulator.summary().nowMs > longEnoughMs && wrongAnswers() >= WRONG_ANSWERS,
      );
      simulator.faults.set({ wrong_date: null });
      const wrongUntilMs = simulator.summary().nowMs;
      const askedBefore = simulator.requestCount;
      await world.untilAllStored(wrongUntilMs);
      console.log(
        `${_what}: stored ${(simulator.summary().nowMs - wrongUntilMs) / 1_000} s after, in ${simulator.requestCount - askedBefore} requests`,
      );

      // And what it claims by then is of the past, in every pass.
      const delays = [0, 10, hourSeconds];
      const isOfThePast = async () =>
        (await endsBehindNow(world)).every(({ pass, behind }) => behind >= (delays[pass] ?? 0));
      await until('nothing of the future is claimed', isOfThePast);
      world.generate(5);
      await world.untilAllStored(simulator.summary().nowMs);
      expect(await daemon.stop()).toBe(143);
      await expectClaimedImpliesStored(database.pool, simulator);
    },
  );
});
