import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import { reasonOf } from '../base/errors.ts';
import { type EvidenceStatus, isUnanchored } from '../evidence/stored/evidence-status.sql.ts';
import { databaseTrouble } from '../postgres/sql-state.ts';
import type { SinkStatus } from '../sinks/sink-status.sql.ts';
import { type Cause, causeText } from '../status/causes.ts';
import { discoveryTooOldSeconds, type LaneTrouble } from '../status/health.ts';
import { isAccount, type StatusWithStates, sinkState, totalsOf, worst } from '../status/source-state.ts';

/** The names are a contract (docs/guide/health.md). */
export const healthOf = (
  status: StatusWithStates,
  shownSinks: readonly SinkStatus[],
  causes: readonly Cause[],
  more: {
    readonly tickMs: number;
    readonly evidence?: EvidenceStatus | undefined;
    readonly accessTrouble?: string | undefined;
  },
) => {
  const { tickMs, evidence, accessTrouble } = more;
  const sources = status.sources.map((source) => ({
    organization_id: source.organizationId,
    organization_name: source.organizationName,
    state: source.state,
    lag_seconds: source.lagSeconds,
    gap_seconds: source.gapSeconds,
    retention_slack_seconds: source.retentionSlackSeconds,
    holes: source.holes,
    unproven_seconds: source.unprovenSeconds,
    read_once_seconds: source.readOnceSeconds,
    failures: source.failures,
    held_by: source.leaseOwner,
    ...(source.lastError === null ? {} : { last_failure: source.lastFailure, last_error: source.lastError }),
    ...(source.failingLanes.length === 0 ? {} : { failing_lanes: source.failingLanes.map(laneHealth) }),
    ...(source.holes === 0 ? {} : { first_holes: source.firstHoles }),
    ...(isAccount(source)
      ? { source_kind: source.kind, account_id: source.accountId, account_name: source.accountName }
      : {}),
  }));
  const { ageSeconds, lastError, leaseOwner, organizations, accountsRefused, shortListings } = status.discovery;
  const troubles = textsOf(causes, 'listing_incomplete', 'accounts_refused');
  const listing = ageSeconds === null || ageSeconds > discoveryTooOldSeconds(tickMs) ? 'behind' : 'ok';
  const discovery = {
    state: listing === 'ok' && shortListings.length > 0 ? 'incomplete' : listing,
    organizations,
    age_seconds: ageSeconds,
    last_error: lastError,
    held_by: leaseOwner,
    ...(accountsRefused === undefined ? {} : { accounts_refused: accountsRefused }),
    ...(troubles.length === 0 ? {} : { troubles }),
  };
  const vanished = status.vanished.map((gone) => ({
    organization_id: gone.organizationId,
    organization_name: gone.organizationName,
    gone_at: gone.goneAt,
    ...(gone.isReadOn ? { read_on: true } : {}),
    ...(gone.accountId === undefined ? {} : { account_id: gone.accountId, account_name: gone.accountName }),
  }));
  const state = worst([...status.groups.map((group) => group.state), ...causes.map((cause) => cause.state), listing]);
  return {
    status: state,
    causes,
    feed_position: status.position,
    position_jumps: status.positionJumps,
    ...(status.retentionWait !== undefined && { retention_wait: status.retentionWait }),
    api: apiHealth(status, causes),
    discovery,
    sources,
    ...(!status.isWhole && { totals: totalHealth(totalsOf(status.groups, sources.length)) }),
    vanished,
    sinks: shownSinks.map(sinkHealth),
    ...(evidence !== undefined && { evidence: evidenceHealth(evidence) }),
    ...(accessTrouble !== undefined && { access_log: { state: 'failing', last_error: accessTrouble } }),
  };
};

const textsOf = (causes: readonly Cause[], ...names: readonly string[]): readonly string[] =>
  causes.filter(({ cause }) => names.includes(cause)).map((each) => `${each.state}: ${causeText(each)}`);

const apiHealth = (status: StatusWithStates, causes: readonly Cause[]) => {
  const troubles = textsOf(causes, 'requests_wait', 'clocks_differ');
  return {
    state: troubles.length === 0 ? 'ok' : 'behind',
    clock_ahead_seconds: status.clockAheadSeconds,
    requests_blocked_seconds: status.requestsBlocked?.seconds ?? 0,
    ...(troubles.length === 0 ? {} : { troubles }),
  };
};

const totalHealth = (totals: ReturnType<typeof totalsOf>) => ({
  sources: totals.sources,
  shown: totals.shown,
  organizations: totals.organizations,
  accounts: totals.accounts,
  most_lag_seconds: totals.mostLagSeconds,
  most_gap_seconds: totals.mostGapSeconds,
  least_retention_slack_seconds: totals.leastRetentionSlackSeconds,
  holes: totals.holes,
  unproven_seconds: totals.unprovenSeconds,
  read_once_seconds: totals.readOnceSeconds,
});

export const evidenceHealth = (evidence: EvidenceStatus) => ({
  state: evidence.state,
  origin: evidence.origin,
  size: evidence.size,
  signed_size: evidence.signedSize,
  lag_events: evidence.lagEvents,
  checkpoint_age_seconds: evidence.signedSecondsAgo,
  statement_age_seconds: evidence.statedSecondsAgo,
  unstated_sources: evidence.unstatedSources,
  overdue_sources: evidence.overdueSources,
  held_back_sources: evidence.heldBack,
  verified_age_seconds: evidence.verifiedSecondsAgo,
  verification_faults: evidence.verificationFaults,
  unanchored: isUnanchored(evidence),
  ...(evidence.keyOrdered === null ? {} : { key_ordered: evidence.keyOrdered }),
  ...(evidence.oldKeyUntil === null ? {} : { old_key_until: evidence.oldKeyUntil }),
  anchors: evidence.anchors.map(({ anchor, isConfigured, size, secondsAgo, error }) => ({
    anchor,
    configured: isConfigured,
    size,
    age_seconds: secondsAgo,
    ...(error === null ? {} : { last_error: error }),
  })),
  held_by: evidence.heldBy,
  ...(evidence.stateReason === null ? {} : { reason: evidence.stateReason }),
});

const laneHealth = ({ lane, failures, lastFailure, lastError }: LaneTrouble) => ({
  lane,
  failures,
  last_failure: lastFailure,
  last_error: lastError,
});

const sinkHealth = (sink: SinkStatus) => ({
  name: sink.name,
  type: sink.type,
  target: sink.target,
  state: sinkState(sink),
  position: sink.position,
  lag_events: sink.lagEvents,
  lag_seconds: sink.lagSeconds,
  dead_letters: sink.deadLetters,
  skipped_events: sink.skipped,
  failures: sink.failures,
  held_by: sink.heldBy,
  ...(sink.lastError === null ? {} : { last_error: sink.lastError }),
});

const READINESS_TIMEOUT_MS = 3_000;

export interface ReadinessOptions {
  /** `current`, or what is wrong with the schema. */
  readonly schemaState: () => Promise<string>;
  /** Keeps syncing as a whole from going on, although the database may answer. */
  readonly trouble?: () => string | undefined;
}

/** Ready is what can serve and store, whether or not Cloudflare answers. One look at the database at a time: probes must not use up connections. */
export const readiness = (options: ReadinessOptions): (() => Promise<readonly string[]>) => {
  let underWay: Promise<readonly string[]> | undefined;
  return async () => {
    underWay ??= reasonsByDatabase(options).finally(() => {
      underWay = undefined;
    });
    const timeout = new AbortController();
    const silence = sleep(READINESS_TIMEOUT_MS, ['the database does not answer'], { signal: timeout.signal });
    silence.catch(() => {});
    const reasons = await Promise.race([underWay, silence]);
    timeout.abort();
    const trouble = options.trouble?.();
    return trouble === undefined ? reasons : [...reasons, `syncing fails: ${trouble}`];
  };
};

export const sendReadiness = (reply: FastifyReply, reasons: readonly string[]): FastifyReply =>
  reply.code(reasons.length === 0 ? 200 : 503).send({ status: reasons.length === 0 ? 'ready' : 'not ready', reasons });

const reasonsByDatabase = async (options: ReadinessOptions): Promise<string[]> => {
  try {
    const schema = await options.schemaState();
    return schema === 'current' ? [] : [`the schema is ${schema}`];
  } catch (error) {
    const is = databaseTrouble(error) === 'unreachable' ? 'the database does not answer' : 'the status cannot be read';
    return [`${is}: ${reasonOf(error)}`];
  }
};
