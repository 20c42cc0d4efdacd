import { describe, expect, test } from 'vitest';
import type { FaultPatch, SettingOf } from '../../../src/simulator/faults/fault-plan.ts';
import { type LeastPrivilegedWorld, openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { expectClaimedImpliesStored, expectComplete, expectStoredOrVisible } from '../../support/sync/claims.ts';

describe.concurrent('D2: cursors that are dead', () => {
  test('every one, with 500: all is read, by windows of one page each', async () => {
    const faults = { dead_cursor: { status: 500 } };
    await using world = await openLeastPrivileged({ organizations: 2, entries: 400, faults });
    await expectComplete(world);
    expect(world.simulator.faults.fired().dead_cursor).toBeGreaterThan(1);
  });

  test('those of the first seconds, with 404, as after a restart of the API: the walk begins again', async () => {
    // Longer than a look at the table takes: the first 200 are seen while cursors of the others are still to come.
    const faults: FaultPatch = { slow_body: { probability: 1, operation: 'audit' }, slowBodyMs: 300 };
    await using world = await openLeastPrivileged({ organizations: 2, entries: 1_200, faults });
    await using daemon = await world.run();
    await world.untilStored(200);
    const issuedBefore = world.simulator.summary().nowMs;
    world.simulator.faults.set({ slow_body: null, dead_cursor: { status: 404, issuedBefore } });
    world.generate(5);
    await world.untilAllStored();
    expect(world.simulator.faults.fired().dead_cursor).toBeGreaterThan(0);
    expect(await daemon.stop()).toBe(143);
    await world.expectExactTruth();
    await expectClaimedImpliesStored(world.database.pool, world.simulator);
  });
});

test.concurrent('D9: cursors that go in a circle of 30 pages: noticed, and all is read', async () => {
  const faults = { cursor_cycle: { pages: 30 } };
  await using world = await openLeastPrivileged({ organizations: 1, entries: 800, pageCap: 10, faults });
  await expectComplete(world);
  expect(world.simulator.faults.fired().cursor_cycle).toBeGreaterThan(0);
  // A walk in a circle that is not noticed would ask without end.
  expect(world.simulator.requestCount).toBeLessThan(3_000);
});

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
  test.each([
    ['mirrored', 'none'],
    ['ignored', 'refused'],
    ['inside', 'refused'],
  ] as const)('direction %s, cursors %s', (direction, cursors) =>
    expectHonest({ page_blocks: { direction, cursors }, page_cap: { size: 100 } }),
  );
});

describe.concurrent('D4: pages that are cut without a word', () => {
  test('at 20 entries', () => expectHonest({ page_cap: { size: 20, cursors: 'none' } }, 400));
  test('at 997 entries', () => expectHonest({ page_cap: { size: 997, cursors: 'none' } }, 2_600));
  test('at the newest entries, sorted afterwards as it was asked for', () =>
    expectHonest({ page_blocks: { direction: 'inside', cursors: 'none' }, page_cap: { size: 250 } }));
});

describe.concurrent('D4: a count that lies', () => {
  test('by one too many on every page: all is stored, and what cannot be proven stays a visible gap', async () => {
    await using world = await openLeastPrivileged({
      organizations: 1,
      entries: 60,
      faults: { wrong_count: { by: 1 } },
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
  });

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

type Short = Partial<Pick<SettingOf<'short_answer'>, 'size' | 'onPage'>>;

describe.concurrent('answers about history that end too soon and look whole', () => {
  test.each<[string, Short]>([
    ['1 entry of many, as if it were the only one', { size: 1 }],
    ['30 of 40 entries on the second page of several', { size: 30, onPage: 2 }],
  ])('%s: noticed, and all is read', async (_, short) => {
    await using world = await openLeastPrivileged({ organizations: 2, entries: 1_000, pageCap: 40 });
    const { database, simulator, startMs } = world;
    // What the live lane asks for has no stored entry behind it that could tell.
    simulator.faults.set({ short_answer: { ...short, count: 8, before: startMs - 10 * minuteMs } });
    const { code, stderr } = await runOrgtrail(['sync'], world.env);
    expect(simulator.faults.fired().short_answer, 'answers were short').toBeGreaterThan(0);
    expect(await expectClaimedImpliesStored(database.pool, simulator)).toBe(1_000);
    expect(await expectStoredOrVisible(database.pool, simulator)).toBe(0);
    expect(code, stderr).toBe(0);
  });

  test('now and then, in any window that is older than the live tail: all is read (invariant 8)', async () => {
    await using world = await openLeastPrivileged({ organizations: 2, entries: 1_000, pageCap: 40 });
    const { database, simulator, startMs } = world;
    simulator.faults.set({ short_answer: { size: 5, probability: 0.3, before: startMs - 10 * minuteMs } });
    const { code, stderr } = await runOrgtrail(['sync'], world.env);
    expect(code, stderr).toBe(0);
    expect(await expectStoredOrVisible(database.pool, simulator)).toBe(0);
    expect(await expectClaimedImpliesStored(database.pool, simulator)).toBe(1_000);
  });
});

const minuteMs = 60_000;
const dayMs = 86_400_000;
