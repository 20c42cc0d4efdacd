import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createAccountGauges, showAccounts } from '../../../src/app/telemetry/status-gauges.ts';
import { groupsOf } from '../../../src/status/source-state.ts';
import type { AccountStatus } from '../../../src/status/status.sql.ts';
import type { AccountFigures } from '../../../src/status/status-reader.sql.ts';
import { parseMetrics } from '../../support/deploy/metrics-text.ts';
import { sourceFacts } from '../status/source-facts.ts';

test('accounts have a series each; of too many there is one for each organization, which has the worst of its accounts', async () => {
  const many = Array.from({ length: 8 }, (_, index) => account(`a${index}`, 'o1'));
  const late = account('late', 'o2', { lagSeconds: 900, gapSeconds: 1_000, holes: 2, retentionSlackSeconds: 7 });
  const alone = account('alone', null, { holes: 1 });
  const each = await shown({ each: [...many, late, alone] });
  expect(each.get('orgtrail_account_lag_seconds{organization_id="o2",account_id="late"}')).toBe(900);
  expect([...each.keys()].filter((name) => name.startsWith('orgtrail_account_lag_seconds{'))).toHaveLength(10);

  const refused = account('refused', 'o2', { refused: true, lagSeconds: 9_999 });
  const lost = account('lost', 'o2', { refused: true, lastSuccessAt: new Date(0), retentionSlackSeconds: 5 });
  const refusing = await shown({ each: [refused, lost] });
  // Only what was read before is counted down: an account that refuses from the start has nothing that could be lost.
  expect([...refusing].filter(([name]) => name.startsWith('orgtrail_account_retention_slack_seconds{'))).toEqual([
    ['orgtrail_account_retention_slack_seconds{organization_id="o2",account_id="lost"}', 5],
  ]);
  const groups = groupsOf(
    [...many, late, refused, alone].map((one) => ({
      ...one,
      state: one.refused ? 'refused' : 'fresh',
      firstReading: false,
    })),
  );
  const grouped = await shown({ groups });
  expect([...grouped.keys()].filter((name) => name.startsWith('orgtrail_account_lag_seconds{'))).toHaveLength(3);
  const of = (name: string, organizationId: string) =>
    grouped.get(`orgtrail_account_${name}{organization_id="${organizationId}",account_id=""}`);
  expect([grouped.get('orgtrail_accounts_vanished'), of('lag_seconds', 'o2')]).toEqual([1, 900]);
  expect([of('gap_seconds', 'o2'), of('coverage_holes', 'o2'), of('coverage_holes', '')]).toEqual([1_000, 2, 1]);
  expect([of('retention_slack_seconds', 'o2'), of('lag_seconds', 'o1')]).toEqual([7, 5]);
  expect(grouped.get('orgtrail_accounts{state="refused"}')).toBe(1);
  expect(grouped.get('orgtrail_accounts{state="active"}')).toBe(10);
});

const account = (id: string, organizationId: string | null, more: Partial<AccountStatus> = {}): AccountStatus => ({
  kind: 'account',
  id,
  accountId: id,
  accountName: null,
  organizationId,
  organizationName: null,
  organizationState: null,
  ...sourceFacts,
  ...more,
});

const shown = async (accounts: AccountFigures): Promise<ReadonlyMap<string, number>> => {
  const registry = new Registry();
  const gauges = createAccountGauges([registry]);
  showAccounts(gauges, accounts, { gone: 2, vanished: 1 });
  return parseMetrics(await registry.metrics());
};
