import { Gauge, type Registry } from 'prom-client';
import type { AccountListings } from '../status/account-listings.sql.ts';
import type { SourceGroup } from '../status/sources/source-groups.ts';
import type { AccountStatus, GoneAccounts } from '../status/status.sql.ts';
import type { AccountFigures } from '../status/status-reader.ts';

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
    accountListings: new Gauge({
      name: 'orgtrail_account_listings',
      help: 'Listings of accounts, one of each organization and of each credential, by how the last attempt ended; no samples if logs of accounts are not read.',
      labelNames: ['state'],
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
export const showAccounts = (gauges: AccountGauges, accounts: AccountFigures, gone: GoneAccounts | undefined): void => {
  // An account that is gone must not keep its last value.
  for (const gauge of Object.values(gauges)) gauge.reset();
  // Without labels, a reset leaves a sample of 0.
  if (gone === undefined) {
    gauges.accountsVanished.remove();
    return;
  }
  const series = 'each' in accounts ? accounts.each.map(seriesOf) : seriesOfGroups(accounts.groups);
  const sum = (of: 'active' | 'refused'): number => series.reduce((all, one) => all + one[of], 0);
  gauges.accounts.set({ state: 'active' }, sum('active'));
  gauges.accounts.set({ state: 'refused' }, sum('refused'));
  gauges.accounts.set({ state: 'gone' }, gone.gone);
  gauges.accountsVanished.set(gone.vanished);
  for (const { labels, lagSeconds, gapSeconds, holes, slackSeconds } of series) {
    if (lagSeconds !== undefined) gauges.accountLag.set(labels, lagSeconds);
    gauges.accountGap.set(labels, gapSeconds);
    gauges.accountHoles.set(labels, holes);
    gauges.accountSlack.set(labels, slackSeconds);
  }
};

/** After `showAccounts`. Undefined: logs of accounts are not read. */
export const showListings = ({ accountListings }: AccountGauges, listings: AccountListings | undefined): void => {
  for (const state of ['listed', 'empty', 'refused', 'failed', 'waiting'] as const) {
    if (listings !== undefined) accountListings.set({ state }, listings[state]);
  }
};

/** What is shown of an account, or of all accounts of an organization together: then account_id is empty. */
interface Series {
  readonly labels: { readonly organization_id: string; readonly account_id: string };
  readonly active: number;
  readonly refused: number;
  /** Undefined: all of them refuse. These lag by nature, and are counted by state. */
  readonly lagSeconds: number | undefined;
  readonly gapSeconds: number;
  readonly holes: number;
  readonly slackSeconds: number;
}

const seriesOf = (account: AccountStatus): Series => ({
  labels: { organization_id: account.organizationId ?? '', account_id: account.accountId },
  active: account.refused ? 0 : 1,
  refused: account.refused ? 1 : 0,
  lagSeconds: account.refused ? undefined : account.lagSeconds,
  gapSeconds: account.gapSeconds,
  holes: account.holes,
  slackSeconds: account.retentionSlackSeconds,
});

const seriesOfGroups = (groups: readonly SourceGroup[]): readonly Series[] => {
  const accounts = groups.filter(({ owner }) => owner === 'account');
  const ofOrganizations = Map.groupBy(accounts, ({ organizationId }) => organizationId ?? '');
  return Array.from(ofOrganizations, ([organizationId, group]) => {
    const reading = group.filter(({ state }) => state !== 'refused');
    const sum = (of: readonly SourceGroup[]): number => of.reduce((all, { sources }) => all + sources, 0);
    return {
      labels: { organization_id: organizationId, account_id: '' },
      active: sum(reading),
      refused: sum(group) - sum(reading),
      lagSeconds: reading.length === 0 ? undefined : Math.max(...reading.map(({ mostLagSeconds }) => mostLagSeconds)),
      gapSeconds: Math.max(...group.map(({ mostGapSeconds }) => mostGapSeconds)),
      holes: group.reduce((all, { holes }) => all + holes, 0),
      slackSeconds: Math.min(...group.map(({ leastRetentionSlackSeconds }) => leastRetentionSlackSeconds)),
    };
  });
};
