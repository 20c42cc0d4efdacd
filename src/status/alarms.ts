import { type EvidenceStatus, isUnanchored } from '../evidence/stored/evidence-status.sql.ts';
import type { Alarm } from '../sinks/findings/alarms.sql.ts';
import type { SinkStatus } from '../sinks/sink-status.sql.ts';
import { claimsFuture, discoveryTooOldSeconds, nearsLoss } from './health.ts';
import { ownerName, type SourceWithState, type StatusWithStates, sinkState } from './source-state.ts';

/** What `/healthz` and the alert rules go by, too. */
export interface AlarmFacts {
  readonly status: StatusWithStates;
  readonly sinks: readonly SinkStatus[];
  readonly evidence: EvidenceStatus | undefined;
  readonly tickMs: number;
}

/** As in the alert OrgtrailNotFresh. */
const NOT_FRESH_SECONDS = 600;
const MOST_NAMED = 3;

const nameOf = (source: SourceWithState): string =>
  ownerName(source) ?? source.accountId ?? source.organizationId ?? 'unknown';

const listOf = (names: readonly string[]): string => {
  const more = names.length - MOST_NAMED;
  return `${names.slice(0, MOST_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
};

type SourceTrouble = readonly [
  alarm: string,
  severity: Alarm['severity'],
  text: string,
  has: (source: SourceWithState) => boolean,
];

const sourceTroubles: readonly SourceTrouble[] = [
  ['access_lost', 'critical', 'Cloudflare refuses these audit logs', ({ state }) => state === 'refused'],
  [
    'coverage_hole',
    'critical',
    'Some time cannot be collected, and entries may be missing there',
    ({ holes }) => holes > 0,
  ],
  ['clock', 'critical', 'The future is stated as collected, so nothing is read until then', claimsFuture],
  ['loss_near', 'critical', 'Cloudflare will soon delete what is not collected', nearsLoss],
  ['source_failing', 'high', 'These audit logs cannot be read', ({ state }) => state === 'failing'],
  ['not_fresh', 'high', 'The newest entries are not collected', ({ lagSeconds }) => lagSeconds > NOT_FRESH_SECONDS],
];

/** Of a refused source nothing else is said. */
const sourceAlarms = ({ sources }: StatusWithStates): readonly Alarm[] =>
  sourceTroubles.flatMap(([alarm, severity, text, has]) => {
    const these = sources.filter((source) => (alarm === 'access_lost' || source.state !== 'refused') && has(source));
    return these.length === 0 ? [] : [{ alarm, severity, summary: `${text}: ${listOf(these.map(nameOf))}` }];
  });

const discoveryAlarms = ({ status, tickMs }: AlarmFacts): readonly Alarm[] => {
  const { ageSeconds, lastError, accountsRefused } = status.discovery;
  const gone = status.vanished.map(({ organizationName, organizationId }) => organizationName ?? organizationId ?? '?');
  const alarms: Alarm[] = [];
  if (ageSeconds !== null && ageSeconds > discoveryTooOldSeconds(tickMs)) {
    const summary = `Organizations have not been listed for long: ${lastError ?? 'no reason known'}`;
    alarms.push({ alarm: 'listing_fails', severity: 'high', summary });
  }
  if (accountsRefused !== undefined) {
    alarms.push({ alarm: 'accounts_refused', severity: 'high', summary: 'Accounts may not be listed' });
  }
  if (gone.length > 0) {
    const summary = `Organizations or accounts are gone, or no longer listed: ${listOf(gone)}`;
    alarms.push({ alarm: 'vanished', severity: 'critical', summary });
  }
  return alarms;
};

const sinkAlarms = (sinks: readonly SinkStatus[]): readonly Alarm[] =>
  sinks.flatMap((sink): Alarm[] => {
    const state = sinkState(sink);
    if (state === 'ok') return [];
    const why = state === 'failing' ? (sink.lastError ?? 'no reason known') : `${sink.lagEvents} events behind`;
    return [{ alarm: `sink_${state} ${sink.name}`, severity: 'high', summary: `The sink ${sink.name}: ${why}` }];
  });

const evidenceAlarms = (evidence: EvidenceStatus | undefined): readonly Alarm[] => {
  if (evidence === undefined) return [];
  const { state, stateReason } = evidence;
  if (state === 'forked' || state === 'halted' || state === 'behind') {
    const summary = `Evidence is no longer signed (${state}): ${stateReason ?? 'no reason known'}`;
    return [{ alarm: `evidence_${state}`, severity: 'critical', summary }];
  }
  if (state !== 'ok' || !isUnanchored(evidence)) return [];
  const summary = 'No anchor has a checkpoint of the evidence: a user who alters the database could sign it again';
  return [{ alarm: 'evidence_unanchored', severity: 'medium', summary }];
};

/** A pure function; each trouble is one alarm, whatever it is about. */
export const alarmsOf = (facts: AlarmFacts): readonly Alarm[] => [
  ...sourceAlarms(facts.status),
  ...discoveryAlarms(facts),
  ...sinkAlarms(facts.sinks),
  ...evidenceAlarms(facts.evidence),
];
