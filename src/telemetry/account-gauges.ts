import { Gauge, type Registry } from 'prom-client';
import { isAccount } from '../status/source-owner.ts';
import type { AccountStatus, GoneAccounts, SourceStatus } from '../status/status.sql.ts';

/** With more accounts than this, a series speaks for all accounts of an organization: its account_id is empty. */
export const MAX_ACCOUNT_SERIES = 1_000;

/** Makes the gauges of the logs of accounts. Without accounts they have no samples. */
export const createAccountGauges = (registers: Registry[]) => {
  const perAccount = (name: string, help: string) =>
    new Gauge({ name, help, labelNames: ['organization_id', 'account_id'], registers });
  return {
    accounts: new Gauge({
      name: 'orgtrail_accounts',
      help: 'Accounts by state; no samples if their logs are not read.',
      labelNames: ['state'],
      registers,
    }),
    accountsVanished: new Gauge({
      name: 'orgtrail_accounts_vanished',
      help: 'Accounts that went gone within the last 24 hours and have not come back; no sample if their logs are not read.',
      registers,
    }),
    accountLag: perAccount(
      'orgtrail_account_lag_seconds',
      'Seconds between the newest contiguous time read of an account and now; without accounts that refuse. Above 1,000 accounts: the most of each organization.',
    ),
    accountGap: perAccount(
      'orgtrail_account_gap_seconds',
      'Seconds of unread time of an account between the horizon and now. Above 1,000 accounts: the most of each organization.',
    ),
    accountHoles: perAccount(
      'orgtrail_account_coverage_holes',
      'Holes of an account. Above 1,000 accounts: of all accounts of each organization together.',
    ),
    accountSlack: perAccount(
      'orgtrail_account_retention_slack_seconds',
      'Seconds until Cloudflare deletes the oldest unread entries of an account. Above 1,000 accounts: the fewest of each organization.',
    ),
  };
};

type AccountGauges = ReturnType<typeof createAccountGauges>;

/** Sets them. `gone`: the accounts that are gone; undefined: logs of accounts are not read. */
export const showAccounts = (
  gauges: AccountGauges,
  sources: readonly SourceStatus[],
  gone: GoneAccounts | undefined,
): void => {
  // An account that is gone must not keep its last value.
  for (const gauge of Object.values(gauges)) gauge.reset();
  // Without labels, a reset leaves a sample of 0.
  if (gone === undefined) {
    gauges.accountsVanished.remove();
    return;
  }
  const accounts = sources.filter(isAccount);
  const refused = accounts.filter((account) => account.refused).length;
  gauges.accounts.set({ state: 'active' }, accounts.length - refused);
  gauges.accounts.set({ state: 'refused' }, refused);
  gauges.accounts.set({ state: 'gone' }, gone.gone);
  gauges.accountsVanished.set(gone.vanished);
  for (const [labels, group] of grouped(accounts)) {
    // Accounts that refuse lag by nature, and are counted by state.
    const lags = group.filter((account) => !account.refused).map(({ lagSeconds }) => lagSeconds);
    if (lags.length > 0) gauges.accountLag.set(labels, Math.max(...lags));
    gauges.accountGap.set(labels, Math.max(...group.map(({ gapSeconds }) => gapSeconds)));
    gauges.accountHoles.set(
      labels,
      group.reduce((sum, { holes }) => sum + holes, 0),
    );
    gauges.accountSlack.set(labels, Math.min(...group.map(({ retentionSlackSeconds }) => retentionSlackSeconds)));
  }
};

interface Labels {
  readonly organization_id: string;
  readonly account_id: string;
}

/** Each account by itself, or those of each organization together if there are too many of them. */
const grouped = (accounts: readonly AccountStatus[]): readonly (readonly [Labels, readonly AccountStatus[]])[] => {
  if (accounts.length <= MAX_ACCOUNT_SERIES) {
    return accounts.map((account) => [
      { organization_id: account.organizationId ?? '', account_id: account.accountId },
      [account],
    ]);
  }
  const groups = Map.groupBy(accounts, ({ organizationId }) => organizationId ?? '');
  return [...groups].map(([organizationId, group]) => [{ organization_id: organizationId, account_id: '' }, group]);
};
