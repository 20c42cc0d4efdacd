import { Gauge, type Registry } from 'prom-client';
import type { MetricsSource } from '../status/ports.ts';
import { createAccountGauges, showAccounts, showListings } from './account-gauges.ts';
import { createEvidenceGauges, showEvidence } from './evidence/evidence-gauges.ts';

export type StatusGauges = ReturnType<typeof createStatusGauges>;

/** The gauges of what a scrape reads from the database and the budget, the same for every replica. */
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

/** Sets them from `source`. Rejects if the database does not answer. */
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
