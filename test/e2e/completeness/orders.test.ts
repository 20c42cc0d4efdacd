import { describe, expect, test } from 'vitest';
import type { FaultPatch } from '../../../src/simulator/faults/fault-plan.ts';
import { type LeastPrivilegedWorld, openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { expectClaimedImpliesStored, expectStoredOrVisible } from '../../support/sync/claims.ts';

const dayMs = 86_400_000;

/** What `verify` says of all the world's time. */
const verify = async ({
  ownerEnv,
  startMs,
}: LeastPrivilegedWorld): Promise<{ code: number | string; missing: number; failed: number }> => {
  const time = (timeMs: number) => new Date(Math.floor(timeMs / 1_000) * 1_000).toISOString();
  const window = ['--since', time(startMs - 2.5 * dayMs), '--before', time(startMs - 130_000)];
  const { code, stdout, stderr } = await runOrgtrail(['verify', ...window, '--json'], ownerEnv);
  expect(stdout, `${code} ${stderr}`).not.toBe('');
  const { missing, failed } = JSON.parse(stdout);
  return { code, missing, failed };
};

/**
 * `sync` to its end, under a fault that hides entries from a client that believes an answer: everything is stored, or what is not lies in a
 * gap that shows, and `verify`, which meets the same fault, does not say that nothing is missing.
 */
const expectHonest = async (faults: FaultPatch, entries = 700): Promise<void> => {
  await using world = await openLeastPrivileged({ organizations: 1, entries, pageCap: 1_000, faults });
  const { database, simulator } = world;
  const sync = await runOrgtrail(['sync'], world.env);
  const missing = await expectStoredOrVisible(database.pool, simulator);
  await expectClaimedImpliesStored(database.pool, simulator);
  const verified = await verify(world);
  const said = `sync ${sync.code}, missing ${missing}, verify ${JSON.stringify(verified)}, ${simulator.requestCount} requests`;
  console.log(`${JSON.stringify(faults)}: ${said}`);
  if (missing > 0) expect(verified.code, said).toBe(1);
  else expect(sync.code, `${said}\n${sync.stderr}`).toBe(0);
  expect(verified.code === 0 || verified.missing + verified.failed > 0, said).toBe(true);
};

describe.concurrent('D4: pages in blocks, the newest first', () => {
  for (const direction of ['mirrored', 'ignored', 'inside'] as const) {
    for (const cursors of ['refused', 'none'] as const) {
      test(`direction ${direction}, cursors ${cursors}`, () =>
        expectHonest({ page_blocks: { direction, cursors }, page_cap: { size: 100 } }));
    }
  }
});

describe.concurrent('D4: pages that are cut without a word', () => {
  test.each([20, 100, 250])('at %i entries', (size) => expectHonest({ page_cap: { size, cursors: 'none' } }));
  test('at 997 entries', () => expectHonest({ page_cap: { size: 997, cursors: 'none' } }, 2_600));
  test('at the newest entries, sorted afterwards as it was asked for', () =>
    expectHonest({ page_blocks: { direction: 'inside', cursors: 'none' }, page_cap: { size: 250 } }));
});

describe.concurrent('D4: a count that lies', () => {
  test.each([400, 1, -1])(
    'by %i on every page: all is stored, and what cannot be proven stays a visible gap',
    async (by) => {
      await using world = await openLeastPrivileged({
        organizations: 1,
        entries: 200,
        faults: { wrong_count: { by } },
      });
      const { database, simulator } = world;
      await using daemon = await world.run();
      await world.untilAllStored();
      world.generate(5);
      await world.untilAllStored();
      expect(await daemon.stop()).toBe(143);
      expect(await expectStoredOrVisible(database.pool, simulator)).toBe(0);
      await expectClaimedImpliesStored(database.pool, simulator);
      const verified = await verify(world);
      expect(verified.code === 0 || verified.failed > 0, JSON.stringify(verified)).toBe(true);
    },
  );

  test('on pages that are cut, which the count alone gives away: nothing is claimed before it has come', async () => {
    await using world = await openLeastPrivileged({
      organizations: 1,
      entries: 500,
      pageCap: 1_000,
      // As if all there is were counted: 99 of them are sent, without a cursor.
      faults: { page_cap: { size: 99, cursors: 'none' }, wrong_count: { by: 401 } },
    });
    const { database, simulator } = world;
    await using daemon = await world.run();
    await world.untilStored(99);
    await expectClaimedImpliesStored(database.pool, simulator);
    await expectStoredOrVisible(database.pool, simulator);
    simulator.faults.set({ wrong_count: null });
    await world.untilAllStored();
    expect(await daemon.stop()).toBe(143);
    await expectClaimedImpliesStored(database.pool, simulator);
  });
});
