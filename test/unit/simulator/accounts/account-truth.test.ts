import { expect, test } from 'vitest';
import { until } from '../../../support/process/until.ts';
import { simulateAccounts } from './simulated-accounts.ts';

test('the live stream goes to accounts most of all, to organizations, and to several accounts at once', async () => {
  const fromMs = Date.now();
  const simulator = await simulateAccounts({ entries: 0, liveRate: 400, clock: Date.now });
  await until('there are some', async () => simulator.summary().entries >= 200);
  const truth = [...simulator.truth()];
  for (const { logTimeMs, actionTime } of truth) {
    expect(logTimeMs).toBeGreaterThanOrEqual(fromMs - 1000);
    expect(Date.parse(actionTime ?? '')).toBe(logTimeMs);
  }
  const kinds = Map.groupBy(truth, ({ sourceKind }) => sourceKind);
  expect(kinds.get('account')?.length ?? 0).toBeGreaterThan((kinds.get('organization')?.length ?? 0) * 3);
  expect(kinds.get('organization')?.length ?? 0).toBeGreaterThan(5);
  const ids = kinds.get('account')?.map(({ id }) => id) ?? [];
  expect(new Set(ids).size).toBeLessThan(ids.length);
});
