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

const ofSources = (
  sources: readonly SourceWithState[],
  alarm: Omit<Alarm, 'summary'> & { readonly text: string },
): Alarm[] => {
  const { text, ...rest } = alarm;
  return sources.length === 0 ? [] : [{ ...rest, summary: `${text}: ${listOf(sources.map(nameOf))}` }];
};

const sourceAlarms = ({ sources }: StatusWithStates): readonly Alarm[] => {
  const read = sources.filter(({ state }) => state !== 'refused');
  const late = read.filter(({ lagSeconds }) => lagSeconds > NOT_FRESH_SECONDS);
  return [
    ...ofSources(
      sources.filter(({ state }) => state === 'refused'),
      {
        alarm: 'access_lost',
        severity: 'critical',
        text: 'Cloudflare refuses these audit logs',
      },
    ),
    ...ofSources(
      read.filter(({ holes }) => holes > 0),
      {
        alarm: 'coverage_hole',
        severity: 'critical',
        text: 'Some time cannot be collected, and entries may be missing there',
      },
    ),
    ...ofSources(read.filter(claimsFuture), {
      alarm: 'clock',
      severity: 'critical',
      text: 'The future is stated as collected, so nothing is read until then',
    }),
    ...ofSources(read.filter(nearsLoss), {
      alarm: 'loss_near',
      severity: 'critical',
      text: 'Cloudflare will soon delete what is not collected',
    }),
    ...ofSources(
      read.filter(({ state }) => state === 'failing'),
      {
        alarm: 'source_failing',
        severity: 'high',
        text: 'These audit logs cannot be read',
      },
    ),
    ...ofSources(late, { alarm: 'not_fresh', severity: 'high', text: 'The newest entries are not collected' }),
  ];
};

const discoveryAlarms = ({ status, tickMs }: AlarmFacts): readonly Alarm[] => {
  const { ageSeconds, lastError, accountsRefused } = status.discovery;
  const gone = status.vanished.map(({ organizationName, organizationId }) => organizationName ?? organizationId ?? '?');
  const alarm = (name: string, severity: Alarm['severity'], summary: string): Alarm => ({
    alarm: name,
    severity,
    summary,
  });
  return [
    ...(ageSeconds !== null && ageSeconds > discoveryTooOldSeconds(tickMs)
      ? [
          alarm(
            'listing_fails',
            'high',
            `Organizations have not been listed for long: ${lastError ?? 'no reason known'}`,
          ),
        ]
      : []),
    ...(accountsRefused === undefined ? [] : [alarm('accounts_refused', 'high', 'Accounts may not be listed')]),
    ...(gone.length === 0
      ? []
      : [alarm('vanished', 'critical', `Organizations or accounts are gone, or no longer listed: ${listOf(gone)}`)]),
  ];
};

const sinkAlarms = (sinks: readonly SinkStatus[]): readonly Alarm[] =>
  sinks.flatMap((sink) => {
    const state = sinkState(sink);
    if (state === 'ok') return [];
    const why = state === 'failing' ? (sink.lastError ?? 'no reason known') : `${sink.lagEvents} events behind`;
    return [
      { alarm: `sink_${state} ${sink.name}`, severity: 'high', summary: `The sink ${sink.name}: ${why}` } as const,
    ];
  });

const evidenceAlarms = (evidence: EvidenceStatus | undefined): readonly Alarm[] => {
  if (evidence === undefined) return [];
  const { state, stateReason } = evidence;
  const stopped = state === 'forked' || state === 'halted' || state === 'behind';
  const summary = `Evidence is no longer signed (${state}): ${stateReason ?? 'no reason known'}`;
  return [
    ...(stopped ? [{ alarm: `evidence_${state}`, severity: 'critical', summary } as const] : []),
    ...(state === 'ok' && isUnanchored(evidence)
      ? [
          {
            alarm: 'evidence_unanchored',
            severity: 'medium',
            summary: 'No anchor has a checkpoint of the evidence: a user who alters the database could sign it again',
          } as const,
        ]
      : []),
  ];
};

/** A pure function; each trouble is one alarm, whatever it is about. */
export const alarmsOf = (facts: AlarmFacts): readonly Alarm[] => [
  ...sourceAlarms(facts.status),
  ...discoveryAlarms(facts),
  ...sinkAlarms(facts.sinks),
  ...evidenceAlarms(facts.evidence),
];
