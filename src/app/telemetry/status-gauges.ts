import { Gauge, type Registry } from 'prom-client';
import { type EvidenceStatus, evidenceStates, isUnanchored } from '../../evidence/stored/evidence-status.sql.ts';
import type { AccountListings, MetricsSource } from '../../status/scrape.sql.ts';
import { type OrganizationWithState, type SourceGroup, urgencyOf } from '../../status/source-state.ts';
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
      'Seconds until Cloudflare deletes the oldest unread entries; 0 means data is being lost. None for an organization that never was readable.',
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
  showOrganizations(gauges.perOrganization, status.organizations);
};

/** /metrics is below 1 MB with so many: 0.7 kB an organization, and 0.6 kB each of 1,000 accounts. */
export const MOST_ORGANIZATIONS = 500;

/** The label of all but the most urgent `MOST_ORGANIZATIONS`. */
const OTHERS = 'others';

/** A delay changes at every scrape, so it decides nothing: labels change with a state. */
const mostUrgent = <T>(
  all: readonly T[],
  rankOf: (one: T) => number,
  idOf: (one: T) => string,
): { readonly shown: readonly T[]; readonly others: readonly T[] } => {
  if (all.length <= MOST_ORGANIZATIONS) return { shown: all, others: [] };
  const sorted = all.toSorted((a, b) => rankOf(a) - rankOf(b) || (idOf(a) < idOf(b) ? -1 : 1));
  return { shown: sorted.slice(0, MOST_ORGANIZATIONS), others: sorted.slice(MOST_ORGANIZATIONS) };
};

const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b));
const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b));
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

type OrganizationFigure = (row: OrganizationWithState, isEach: boolean) => number | null;

/** Of an organization, and of several together. The alert subtracts those that refuse, so a sum of them must not have their lag. */
const organizationFigures: Readonly<
  Record<keyof StatusGauges['perOrganization'], readonly [OrganizationFigure, together: typeof most]>
> = {
  orgtrail_source_lag_seconds: [({ refused, lagSeconds }, isEach) => (refused && !isEach ? null : lagSeconds), most],
  orgtrail_source_gap_seconds: [({ gapSeconds }) => gapSeconds, sum],
  orgtrail_coverage_holes: [({ holes }) => holes, sum],
  orgtrail_coverage_unproven_seconds: [({ unprovenSeconds }) => unprovenSeconds, sum],
  orgtrail_coverage_future_seconds: [({ futureSeconds }) => futureSeconds, most],
  orgtrail_source_last_success_timestamp_seconds: [
    ({ lastSuccessAt }) => lastSuccessAt && lastSuccessAt.getTime() / 1_000,
    least,
  ],
  // A member of any account sees its organization, so some are listed that never were readable: nothing of theirs is about to be lost.
  orgtrail_retention_slack_seconds: [(row) => (neverRead(row) ? null : row.retentionSlackSeconds), least],
};

const neverRead = ({ refused, lastSuccessAt }: { readonly refused: boolean; readonly lastSuccessAt: Date | null }) =>
  refused && lastSuccessAt === null;

const showOrganizations = (
  gauges: StatusGauges['perOrganization'],
  organizations: readonly OrganizationWithState[],
): void => {
  const { shown, others } = mostUrgent(organizations, urgencyOf, ({ organizationId }) => organizationId);
  const isEach = others.length === 0;
  for (const [name, [of, together]] of Object.entries(organizationFigures)) {
    const gauge = gauges[name as keyof typeof gauges];
    // An organization that is gone must not keep its last value.
    gauge.reset();
    for (const row of shown) {
      const value = of(row, isEach);
      if (value !== null) gauge.set({ organization_id: row.organizationId }, value);
    }
    const values = others.map((row) => of(row, isEach)).filter((value) => value !== null);
    if (!isEach) gauge.set({ organization_id: OTHERS }, values.length === 0 ? Number.NaN : together(values));
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
  for (const state of ['active', 'refused'] as const) {
    gauges.orgtrail_accounts.set({ state }, sum(series.map((one) => one[state])));
  }
  gauges.orgtrail_accounts.set({ state: 'gone' }, gone.gone);
  gauges.orgtrail_accounts_vanished.set(gone.vanished);
  for (const { labels, lagSeconds, gapSeconds, holes, slackSeconds } of series) {
    if (lagSeconds !== undefined) gauges.orgtrail_account_lag_seconds.set(labels, lagSeconds);
    gauges.orgtrail_account_gap_seconds.set(labels, gapSeconds);
    gauges.orgtrail_account_coverage_holes.set(labels, holes);
    if (slackSeconds !== undefined) gauges.orgtrail_account_retention_slack_seconds.set(labels, slackSeconds);
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
  slackSeconds: neverRead(account) ? undefined : account.retentionSlackSeconds,
});

const seriesOfGroups = (groups: readonly SourceGroup[]): readonly Series[] => {
  const accounts = groups.filter(({ owner }) => owner === 'account');
  const ofOrganizations = [...Map.groupBy(accounts, ({ organizationId }) => organizationId ?? '')];
  const { shown, others } = mostUrgent(
    ofOrganizations,
    ([, group]) => least(group.map(urgencyOf)),
    ([id]) => id,
  );
  const each = shown.map(([id, group]) => seriesOfGroup(id, group));
  return others.length === 0
    ? each
    : [
        ...each,
        seriesOfGroup(
          OTHERS,
          others.flatMap(([, group]) => group),
        ),
      ];
};

const seriesOfGroup = (organizationId: string, group: readonly SourceGroup[]): Series => {
  const reading = group.filter(({ state }) => state !== 'refused');
  const sources = (of: readonly SourceGroup[]): number => sum(of.map((one) => one.sources));
  return {
    labels: { organization_id: organizationId, account_id: '' },
    active: sources(reading),
    refused: sources(group) - sources(reading),
    lagSeconds: reading.length === 0 ? undefined : most(reading.map(({ mostLagSeconds }) => mostLagSeconds)),
    gapSeconds: most(group.map(({ mostGapSeconds }) => mostGapSeconds)),
    holes: sum(group.map(({ holes }) => holes)),
    slackSeconds: least(group.map(({ leastRetentionSlackSeconds }) => leastRetentionSlackSeconds)),
  };
};

/** All NaN, and no state, if none is configured. */
export const createEvidenceGauges = (registers: Registry[]) => ({
  ...gaugesOf(registers, [], {
    orgtrail_evidence_unbegun:
      '1 if evidence is configured and no checkpoint of its newest log was ever signed, else 0; NaN without evidence.',
    orgtrail_evidence_key_order_pending:
      '1 if another key was ordered and no process has stated it yet, else 0; NaN without evidence.',
    orgtrail_evidence_tree_size: 'Leaves of the log: events and statements; NaN without evidence.',
    orgtrail_evidence_lag_events: 'Stored positions that have no leaf yet; NaN without evidence.',
    orgtrail_evidence_checkpoint_age_seconds:
      'Seconds since a checkpoint was last signed; one is signed when there are new leaves. NaN before the first.',
  }),
  ...gaugesOf(registers, ['anchor'], {
    orgtrail_evidence_anchor_age_seconds:
      'Seconds since an anchor of the settings was last seen to have the newest checkpoint; +Inf if it never had one.',
  }),
  ...gaugesOf(registers, [], {
    orgtrail_evidence_unanchored: '1 if no anchor of the settings has a checkpoint, else 0; NaN without evidence.',
    orgtrail_evidence_statement_age_seconds:
      'Seconds since the coverage of a source was last stated; each is stated once a day. NaN before the first.',
    orgtrail_evidence_unstated_sources: 'Sources whose coverage was never stated; NaN without evidence.',
    orgtrail_evidence_overdue_sources:
      'Sources that are read and whose coverage was not stated for twice as long as ORGTRAIL_EVIDENCE_STATEMENTS; NaN if no process builds yet.',
    orgtrail_evidence_held_back_sources:
      'Sources with time that is covered and not stated, since no request is recorded for it; NaN without evidence.',
    orgtrail_evidence_verified_age_seconds:
      'Seconds since the part of the log that was not compared for longest was last compared with what is stored; NaN until all of it was.',
    orgtrail_evidence_verification_faults: 'What is stored and is not what was signed; NaN without evidence.',
  }),
  ...gaugesOf(registers, ['state'], {
    orgtrail_evidence_state:
      '1 for the state of the evidence, 0 for the others. Nothing is signed while it is halted, behind or has no key, and nothing more once it is ended.',
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
  gauges.orgtrail_evidence_held_back_sources.set(evidence?.heldBack ?? Number.NaN);
  gauges.orgtrail_evidence_verified_age_seconds.set(evidence?.verifiedSecondsAgo ?? Number.NaN);
  gauges.orgtrail_evidence_verification_faults.set(evidence?.verificationFaults ?? Number.NaN);
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
