import { Gauge, type Registry } from 'prom-client';
import { type EvidenceStatus, evidenceStates, isUnanchored } from '../../evidence/stored/evidence-status.sql.ts';
import type { AccountListings, MetricsSource } from '../../status/scrape.sql.ts';
import type { SourceGroup } from '../../status/source-state.ts';
import type { AccountStatus, GoneAccounts } from '../../status/status.sql.ts';
import type { AccountFigures } from '../../status/status-reader.sql.ts';

export type StatusGauges = ReturnType<typeof createStatusGauges>;

/** A metric of each name, in this order, which is that of `/metrics`. */
export const metricsOf = <Name extends string, Metric>(
  help: Readonly<Record<Name, string>>,
  make: (settings: { readonly name: string; readonly help: string }) => Metric,
): Readonly<Record<Name, Metric>> =>
  Object.fromEntries(Object.entries<string>(help).map(([name, help]) => [name, make({ name, help })])) as Record<
    Name,
    Metric
  >;

export const gaugesOf = <Name extends string>(
  registers: Registry[],
  labelNames: string[],
  help: Readonly<Record<Name, string>>,
) => metricsOf(help, (settings) => new Gauge({ ...settings, labelNames, registers }));

export const createStatusGauges = (registers: Registry[]) => ({
  perAccount: createAccountGauges(registers),
  ...gaugesOf(registers, ['state'], { orgtrail_organizations: 'Organizations by state.' }),
  ...gaugesOf(registers, [], {
    orgtrail_organizations_vanished: 'Organizations that went gone within the last 24 hours and have not come back.',
  }),
  perOrganization: gaugesOf(registers, ['organization_id'], {
    orgtrail_source_lag_seconds: 'Seconds between the newest contiguous time read and now.',
    orgtrail_source_gap_seconds: 'Seconds of unread time between the horizon and now.',
    orgtrail_coverage_holes:
      'Holes: ranges of time, usually one second, that the API cannot serve even in parts, or always miscounts.',
    orgtrail_coverage_unproven_seconds:
      'Seconds of time that version 0.1 claimed as read and that have not been proven since.',
    orgtrail_coverage_future_seconds:
      'Seconds by which claimed time reaches beyond now. Usually negative; above 61 is an error that hides unread time.',
    orgtrail_source_last_success_timestamp_seconds:
      'Time when the live lane last stored something new or read its window to a credible end.',
    orgtrail_retention_slack_seconds:
      'Seconds until Cloudflare deletes the oldest unread entries; 0 means data is being lost.',
  }),
  ...gaugesOf(registers, [], {
    orgtrail_scrub_round_age_seconds:
      'Seconds since the current scrub round (or the last one) began, for the organization that waits longest; NaN if the lane is off.',
    orgtrail_api_budget_available: 'Requests that the budget allows right now.',
    orgtrail_api_blocked_seconds: 'Seconds until the current Retry-After block ends; 0 if not blocked.',
    orgtrail_discovery_age_seconds: 'Seconds since the organizations were last listed; +Inf before the first listing.',
    orgtrail_clock_difference_seconds:
      'Seconds by which the clock of Cloudflare is ahead of that of the database, as of the last plan.',
    orgtrail_feed_position: 'Position of the newest stored event.',
    orgtrail_position_jumps: 'Number of position jumps after a failover or restore that may have lost commits.',
  }),
  evidence: createEvidenceGauges(registers),
});

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
  for (const state of ['active', 'refused', 'gone']) {
    gauges.orgtrail_organizations.labels(state).set(counts[state] ?? 0);
  }
  gauges.orgtrail_organizations_vanished.set(vanished);
  showAccounts(gauges.perAccount, status.accounts, accountsGone);
  showListings(gauges.perAccount, listings);
  gauges.orgtrail_scrub_round_age_seconds.set(scrubAge ?? Number.NaN);
  gauges.orgtrail_api_budget_available.set(budget);
  gauges.orgtrail_api_blocked_seconds.set(blocked);
  gauges.orgtrail_discovery_age_seconds.set(status.discovery.ageSeconds ?? Number.POSITIVE_INFINITY);
  gauges.orgtrail_feed_position.set(status.position);
  gauges.orgtrail_position_jumps.set(status.positionJumps);
  const { perOrganization: each } = gauges;
  // An organization that is gone must not keep its last value.
  for (const gauge of Object.values(each)) gauge.reset();
  for (const row of status.organizations) {
    const label = { organization_id: row.organizationId };
    each.orgtrail_source_lag_seconds.set(label, row.lagSeconds);
    each.orgtrail_source_gap_seconds.set(label, row.gapSeconds);
    each.orgtrail_coverage_holes.set(label, row.holes);
    each.orgtrail_coverage_unproven_seconds.set(label, row.unprovenSeconds);
    if (row.futureSeconds !== null) each.orgtrail_coverage_future_seconds.set(label, row.futureSeconds);
    each.orgtrail_retention_slack_seconds.set(label, row.retentionSlackSeconds);
    if (row.lastSuccessAt !== null) {
      each.orgtrail_source_last_success_timestamp_seconds.set(label, row.lastSuccessAt.getTime() / 1_000);
    }
  }
};

/** Without accounts they have no samples. */
export const createAccountGauges = (registers: Registry[]) => ({
  ...gaugesOf(registers, ['state'], { orgtrail_accounts: 'Accounts by state; no samples if their logs are not read.' }),
  ...gaugesOf(registers, [], {
    orgtrail_accounts_vanished:
      'Accounts that went gone within the last 24 hours and have not come back; no sample if their logs are not read.',
  }),
  ...gaugesOf(registers, ['state'], {
    orgtrail_account_listings:
      'Listings of accounts, one of each organization and of each credential, by how the last attempt ended; no samples if logs of accounts are not read.',
  }),
  ...gaugesOf(registers, ['organization_id', 'account_id'], {
    orgtrail_account_lag_seconds:
      'Seconds between the newest contiguous time read of an account and now; without accounts that refuse. Above 1,000 accounts: the most of each organization.',
    orgtrail_account_gap_seconds:
      'Seconds of unread time of an account between the horizon and now. Above 1,000 accounts: the most of each organization.',
    orgtrail_account_coverage_holes:
      'Holes of an account. Above 1,000 accounts: of all accounts of each organization together.',
    orgtrail_account_retention_slack_seconds:
      'Seconds until Cloudflare deletes the oldest unread entries of an account. Above 1,000 accounts: the fewest of each organization.',
  }),
});

type AccountGauges = ReturnType<typeof createAccountGauges>;

/** `gone` is undefined if logs of accounts are not read. */
export const showAccounts = (gauges: AccountGauges, accounts: AccountFigures, gone: GoneAccounts | undefined): void => {
  // An account that is gone must not keep its last value.
  for (const gauge of Object.values(gauges)) gauge.reset();
  // Without labels, a reset leaves a sample of 0.
  if (gone === undefined) {
    gauges.orgtrail_accounts_vanished.remove();
    return;
  }
  const series = 'each' in accounts ? accounts.each.map(seriesOf) : seriesOfGroups(accounts.groups);
  const sum = (of: 'active' | 'refused'): number => series.reduce((all, one) => all + one[of], 0);
  gauges.orgtrail_accounts.set({ state: 'active' }, sum('active'));
  gauges.orgtrail_accounts.set({ state: 'refused' }, sum('refused'));
  gauges.orgtrail_accounts.set({ state: 'gone' }, gone.gone);
  gauges.orgtrail_accounts_vanished.set(gone.vanished);
  for (const { labels, lagSeconds, gapSeconds, holes, slackSeconds } of series) {
    if (lagSeconds !== undefined) gauges.orgtrail_account_lag_seconds.set(labels, lagSeconds);
    gauges.orgtrail_account_gap_seconds.set(labels, gapSeconds);
    gauges.orgtrail_account_coverage_holes.set(labels, holes);
    gauges.orgtrail_account_retention_slack_seconds.set(labels, slackSeconds);
  }
};

const showListings = (gauges: AccountGauges, listings: AccountListings | undefined): void => {
  if (listings === undefined) return;
  for (const state of ['listed', 'empty', 'refused', 'failed', 'waiting'] as const) {
    gauges.orgtrail_account_listings.set({ state }, listings[state]);
  }
};

/** Of one account, or of all accounts of an organization together: then account_id is empty. */
type Series = Readonly<ReturnType<typeof seriesOf>>;

const seriesOf = (account: AccountStatus) => ({
  labels: { organization_id: account.organizationId ?? '', account_id: account.accountId },
  active: account.refused ? 0 : 1,
  refused: account.refused ? 1 : 0,
  /** Undefined: all of them refuse, and lag by nature. */
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
  ...gaugesOf(registers, [], {
    orgtrail_evidence_unbegun:
      '1 if evidence is configured and no checkpoint of its newest generation was ever signed, else 0; NaN without evidence.',
    orgtrail_evidence_key_order_pending:
      '1 if another key was ordered and no process has stated it yet, else 0; NaN without evidence.',
    orgtrail_evidence_tree_size: 'Leaves of the log of events; NaN without evidence.',
    orgtrail_evidence_lag_events: 'Stored positions that have no leaf yet; NaN without evidence.',
    orgtrail_evidence_checkpoint_age_seconds:
      'Seconds since a checkpoint of the events was last signed; one is signed when there are new events. NaN before the first.',
  }),
  ...gaugesOf(registers, ['anchor'], {
    orgtrail_evidence_anchor_age_seconds:
      'Seconds since an anchor of the settings was last seen to have the newest checkpoints; +Inf if it never had one.',
  }),
  ...gaugesOf(registers, [], {
    orgtrail_evidence_unanchored: '1 if no anchor of the settings has a checkpoint, else 0; NaN without evidence.',
    orgtrail_evidence_statement_age_seconds:
      'Seconds since the coverage of a source was last stated; each is stated once a day. NaN before the first.',
    orgtrail_evidence_unstated_sources: 'Sources whose coverage was never stated; NaN without evidence.',
    orgtrail_evidence_overdue_sources:
      'Sources that are read and whose coverage was not stated for twice as long as ORGTRAIL_EVIDENCE_STATEMENTS; NaN if no process builds yet.',
  }),
  ...gaugesOf(registers, ['state'], {
    orgtrail_evidence_state:
      '1 for the state of the evidence, 0 for the others. Nothing is signed while it is halted, behind or forked, and nothing more once it is ended.',
  }),
});

export const showEvidence = (
  gauges: ReturnType<typeof createEvidenceGauges>,
  evidence: EvidenceStatus | undefined,
  isSet: boolean,
): void => {
  gauges.orgtrail_evidence_unbegun.set(isSet || evidence !== undefined ? Number(isUnbegun(evidence)) : Number.NaN);
  gauges.orgtrail_evidence_key_order_pending.set(evidence ? Number(evidence.keyOrdered !== null) : Number.NaN);
  gauges.orgtrail_evidence_tree_size.set(evidence?.size ?? Number.NaN);
  gauges.orgtrail_evidence_lag_events.set(evidence?.lagEvents ?? Number.NaN);
  gauges.orgtrail_evidence_checkpoint_age_seconds.set(evidence?.signedSecondsAgo ?? Number.NaN);
  gauges.orgtrail_evidence_statement_age_seconds.set(evidence?.statedSecondsAgo ?? Number.NaN);
  gauges.orgtrail_evidence_unstated_sources.set(evidence?.unstatedSources ?? Number.NaN);
  gauges.orgtrail_evidence_overdue_sources.set(evidence?.overdueSources ?? Number.NaN);
  gauges.orgtrail_evidence_unanchored.set(evidence ? Number(isUnanchored(evidence)) : Number.NaN);
  const { orgtrail_evidence_state: state, orgtrail_evidence_anchor_age_seconds: anchorAge } = gauges;
  state.reset();
  anchorAge.reset();
  if (evidence === undefined) return;
  for (const { anchor, isConfigured, secondsAgo } of evidence.anchors) {
    // One that was taken out of the settings would only grow older.
    if (isConfigured) anchorAge.labels(anchor).set(secondsAgo ?? Number.POSITIVE_INFINITY);
  }
  for (const each of evidenceStates) state.labels(each).set(Number(each === evidence.state));
};

const isUnbegun = (evidence: EvidenceStatus | undefined): boolean =>
  evidence === undefined || (evidence.signedSecondsAgo === null && evidence.state !== 'ended');
