import { describe, expect, test } from 'vitest';
import type { SettingOf } from '../../../src/simulator/faults/fault-plan.ts';
import { openLeastPrivileged } from '../../support/accounts/least-privileged.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { expectClaimedImpliesStored, expectStoredOrVisible } from '../../support/sync/claims.ts';

const minuteMs = 60_000;

type Short = Partial<Pick<SettingOf<'short_answer'>, 'size' | 'onPage'>>;

describe.concurrent('answers about history that end too soon and look whole', () => {
  test.each<[string, Short]>([
    ['7 entries of many, as if they were all', { size: 7 }],
    ['1 entry of many, as if it were the only one', { size: 1 }],
    ['30 of 40 entries on the second page of several', { size: 30, onPage: 2 }],
    ['nothing on the second page of several', { size: 0, onPage: 2 }],
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

  test('now and then, in any window that is older than the live tail: all is read', async () => {
    await using world = await openLeastPrivileged({ organizations: 2, entries: 1_000, pageCap: 40 });
    const { database, simulator, startMs } = world;
    simulator.faults.set({ short_answer: { size: 5, probability: 0.3, before: startMs - 10 * minuteMs } });
    const { code, stderr } = await runOrgtrail(['sync'], world.env);
    expect(code, stderr).toBe(0);
    expect(await expectStoredOrVisible(database.pool, simulator)).toBe(0);
    expect(await expectClaimedImpliesStored(database.pool, simulator)).toBe(1_000);
  });
});
