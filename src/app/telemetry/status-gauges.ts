import { Gauge, type Registry } from 'prom-client';
import { type EvidenceStatus, evidenceStates, isUnanchored } from '../../evidence/stored/evidence-status.sql.ts';
import type { AccountListings, MetricsSource } from '../../status/scrape.sql.ts';
import type { SourceGroup } from '../../status/source-state.ts';
import type { AccountStatus, GoneAccounts } from '../../status/status.sql.ts';
import type { AccountFigures } from '../../status/status-reader.sql.ts';

export type StatusGauges = ReturnType<typeof createStatusGauges>;

export const createStatusGauges = (registers: Registry[]) => ({
  ...createSourceGauges(registers),
  evidence: createEvidenceGauges(registers),
});

const createSourceGauges = (registers: Registry[]) => {
  const perOrganization = (name: string, help: string) =>
    new Gauge({ name, help, labelNames: ['organization_id'], registers });
  return {
    perAccount: createAccountGauges(registers),
    organizations: new Gauge({
      name: 'orgtrail_organizations',
      help: 'Organizations by state.',
      labelNames: ['state'],
      registers,
    }),
    vanished: new Gauge({
      name: 'orgtrail_organizations_vanished',
      help: 'Organizations that went gone within the last 24 hours and have not come back.',
      registers,
    }),
    lag: perOrganization('orgtrail_source_lag_seconds', 'Seconds between the newest contiguous time read and now.'),
    gap: perOrganization('orgtrail_source_gap_seconds', 'Seconds of unread time between the horizon and now.'),
    holes: perOrganization(
      'orgtrail_coverage_holes',
      'Holes: ranges of time, usually one second, that the API cannot serve even in parts, or always miscounts.',
    ),
    unproven: perOrganization(
      'orgtrail_coverage_unproven_seconds',
      'Seconds of time that version 0.1 claimed as read and that have not been proven since.',
    ),
    future: perOrganization(
      'orgtrail_coverage_future_seconds',
      'Seconds by which claimed time reaches beyond now. Usually negative; above 61 is an error that hides unread time.',
    ),
    lastSuccess: perOrganization(
      'orgtrail_source_last_success_timestamp_seconds',
      'Time when the live lane last stored something new or read its window to a credible end.',
    ),
    slack: perOrganization(
      'orgtrail_retention_slack_seconds',
      'Seconds until Cloudflare deletes the oldest unread entries; 0 means data is being lost.',
    ),
    scrubRoundAge: new Gauge({
      name: 'orgtrail_scrub_round_age_seconds',
      help: 'Seconds since the current scrub round (or the last one) began, for the organization that waits longest; NaN if the lane is off.',
      registers,
    }),
    budget: new Gauge({
      name: 'orgtrail_api_budget_available',
      help: 'Requests that the budget allows right now.',
      registers,
    }),
    blocked: new Gauge({
      name: 'orgtrail_api_blocked_seconds',
      help: 'Seconds until the current Retry-After block ends; 0 if not blocked.',
      registers,
    }),
    discoveryAge: new Gauge({
      name: 'orgtrail_discovery_age_seconds',
      help: 'Seconds since the organizations were last listed; +Inf before the first listing.',
      registers,
    }),
    clocks: new Gauge({
      name: 'orgtrail_clock_difference_seconds',
      help: 'Seconds by which the clock of Cloudflare is ahead of that of the database, as of the last plan.',
      registers,
    }),
    position: new Gauge({ name: 'orgtrail_feed_position', help: 'Position of the newest stored event.', registers }),
    positionJumps: new Gauge({
      name: 'orgtrail_position_jumps',
      help: 'Number of position jumps after a failover or restore that may have lost commits.',
      registers,
    }),
  };
};

/** Rejects if the database does not answer. */
export const readStatusGauges = async (gauges: StatusGauges, source: MetricsSource): Promise<void> => {
  const [status, counts, vanished, accountsGone, listings, scrubAge, budget, blocked, evidence] = await Promise.all([
    source.figures(),
    source.organizationCounts(),
    source.vanishedCount(),
    source.goneAccounts(),
    source.accountListings(),
    source.scrubRoundAge(),
    source.budgetAvailable(),
    source.blockedSeconds(),
    source.evidence(),
  ]);
  showEvidence(gauges.evidence, evidence, source.isEvidenceSet);
  for (const state of ['active', 'refused', 'gone']) gauges.organizations.labels(state).set(counts[state] ?? 0);
  gauges.vanished.set(vanished);
  showAccounts(gauges.perAccount, status.accounts, accountsGone);
  showListings(gauges.perAccount, listings);
  gauges.scrubRoundAge.set(scrubAge ?? Number.NaN);
  gauges.budget.set(budget);
  gauges.blocked.set(blocked);
  gauges.discoveryAge.set(status.discovery.ageSeconds ?? Number.POSITIVE_INFINITY);
  gauges.position.set(status.position);
  gauges.positionJumps.set(status.positionJumps);
  // An organization that is gone must not keep its last value.
  const { lag, gap, holes, unproven, future, lastSuccess, slack } = gauges;
  for (const gauge of [lag, gap, holes, unproven, future, lastSuccess, slack]) gauge.reset();
  for (const row of status.organizations) {
    const label = { organization_id: row.organizationId };
    lag.set(label, row.lagSeconds);
    gap.set(label, row.gapSeconds);
    holes.set(label, row.holes);
    unproven.set(label, row.unprovenSeconds);
    if (row.futureSeconds !== null) future.set(label, row.futureSeconds);
    slack.set(label, row.retentionSlackSeconds);
    if (row.lastSuccessAt !== null) lastSuccess.set(label, row.lastSuccessAt.getTime() / 1_000);
  }
};

/** Without accounts they have no samples. */
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

/** `gone` is undefined if logs of accounts are not read. */
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

/** After `showAccounts`, which resets. */
const showListings = ({ accountListings }: AccountGauges, listings: AccountListings | undefined): void => {
  for (const state of ['listed', 'empty', 'refused', 'failed', 'waiting'] as const) {
    if (listings !== undefined) accountListings.set({ state }, listings[state]);
  }
};

/** Of one account, or of all accounts of an organization together: then account_id is empty. */
interface Series {
  readonly labels: { readonly organization_id: string; readonly account_id: string };
  readonly active: number;
  readonly refused: number;
  /** Undefined: all of them refuse, and lag by nature. */
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

/** All NaN, and no state, if none is configured. */
export const createEvidenceGauges = (registers: Registry[]) => ({
  unbegun: new Gauge({
    name: 'orgtrail_evidence_unbegun',
    help: '1 if evidence is configured and no checkpoint of its newest generation was ever signed, else 0; NaN without evidence.',
    registers,
  }),
  keyPending: new Gauge({
    name: 'orgtrail_evidence_key_order_pending',
    help: '1 if another key was ordered and no process has stated it yet, else 0; NaN without evidence.',
    registers,
  }),
  size: new Gauge({
    name: 'orgtrail_evidence_tree_size',
    help: 'Leaves of the log of events; NaN without evidence.',
    registers,
  }),
  lag: new Gauge({
    name: 'orgtrail_evidence_lag_events',
    help: 'Stored positions that have no leaf yet; NaN without evidence.',
    registers,
  }),
  age: new Gauge({
    name: 'orgtrail_evidence_checkpoint_age_seconds',
    help: 'Seconds since a checkpoint of the events was last signed; one is signed when there are new events. NaN before the first.',
    registers,
  }),
  anchorAge: new Gauge({
    name: 'orgtrail_evidence_anchor_age_seconds',
    help: 'Seconds since an anchor of the settings was last seen to have the newest checkpoints; +Inf if it never had one.',
    labelNames: ['anchor'],
    registers,
  }),
  unanchored: new Gauge({
    name: 'orgtrail_evidence_unanchored',
    help: '1 if no anchor of the settings has a checkpoint, else 0; NaN without evidence.',
    registers,
  }),
  stated: new Gauge({
    name: 'orgtrail_evidence_statement_age_seconds',
    help: 'Seconds since the coverage of a source was last stated; each is stated once a day. NaN before the first.',
    registers,
  }),
  unstated: new Gauge({
    name: 'orgtrail_evidence_unstated_sources',
    help: 'Sources whose coverage was never stated; NaN without evidence.',
    registers,
  }),
  overdue: new Gauge({
    name: 'orgtrail_evidence_overdue_sources',
    help: 'Sources that are read and whose coverage was not stated for twice as long as ORGTRAIL_EVIDENCE_STATEMENTS; NaN if no process builds yet.',
    registers,
  }),
  state: new Gauge({
    name: 'orgtrail_evidence_state',
    help: '1 for the state of the evidence, 0 for the others. Nothing is signed while it is halted, behind or forked, and nothing more once it is ended.',
    labelNames: ['state'],
    registers,
  }),
});

/** `isSet`: evidence is configured for this process, also if there is no log yet. */
export const showEvidence = (
  gauges: ReturnType<typeof createEvidenceGauges>,
  evidence: EvidenceStatus | undefined,
  isSet: boolean,
): void => {
  const { size, lag, age, anchorAge, unanchored, stated, unstated, overdue, state } = gauges;
  gauges.unbegun.set(isSet || evidence !== undefined ? Number(isUnbegun(evidence)) : Number.NaN);
  gauges.keyPending.set(evidence === undefined ? Number.NaN : Number(evidence.keyOrdered !== null));
  size.set(evidence?.size ?? Number.NaN);
  lag.set(evidence?.lagEvents ?? Number.NaN);
  age.set(evidence?.signedSecondsAgo ?? Number.NaN);
  stated.set(evidence?.statedSecondsAgo ?? Number.NaN);
  unstated.set(evidence?.unstatedSources ?? Number.NaN);
  overdue.set(evidence?.overdueSources ?? Number.NaN);
  unanchored.set(evidence === undefined ? Number.NaN : Number(isUnanchored(evidence)));
  state.reset();
  anchorAge.reset();
  if (evidence === undefined) return;
  for (const { anchor, isConfigured, secondsAgo } of evidence.anchors) {
    // One that was taken out of the settings would only grow older.
    if (isConfigured) anchorAge.labels(anchor).set(secondsAgo ?? Number.POSITIVE_INFINITY);
  }
  for (const each of evidenceStates) state.labels(each).set(each === evidence.state ? 1 : 0);
};

const isUnbegun = (evidence: EvidenceStatus | undefined): boolean =>
  evidence === undefined || (evidence.signedSecondsAgo === null && evidence.state !== 'ended');
