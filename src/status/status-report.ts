import { alignColumns, counted, printable } from '../base/text.ts';
import { formatDuration } from '../base/time.ts';
import { RETENTION_NEAR_MS } from '../ingest/sources/source-kind.ts';
import type { SinkStatus } from '../sinks/sink-status.sql.ts';
import { type Cause, causeText } from './causes.ts';
import type { ScrubTotals, VerifyRun } from './checks.sql.ts';
import { collectionSpan, DELAY, NOT_COLLECTED } from './health.ts';
import { sinkTable } from './sink-operations.ts';
import {
  byOwnerAndState,
  countedLogs,
  countedOwners,
  countsByState,
  countsOf,
  isAccount,
  ownerName,
  type SourceGroup,
  type SourceWithState,
  type StatusWithStates,
  sinkState,
  sumOf,
  totalsOf,
  urgency,
} from './source-state.ts';

export type SourceRow = SourceWithState;

export interface Report extends StatusWithStates {
  readonly causes: readonly Cause[];
  readonly sinks: readonly SinkStatus[];
  /** Months not read because of the retention, in words. */
  readonly notRead?: string | undefined;
  /** The last run of `verify`, and the kept rounds of the scrub lane. */
  readonly checks?: { readonly lastVerify: VerifyRun | null; readonly scrub: ScrubTotals };
}

export interface Shown {
  readonly states?: readonly string[] | undefined;
  /** Limit of rows. */
  readonly most: number;
}

/** A contract: all sources, or totals if some are left out. */
export const statusJson = ({ groups, isWhole, sources, vanished, sinks, ...rest }: Report, { states, most }: Shown) => {
  const shown = sources.filter(({ state }) => isWanted(state, states)).slice(0, most);
  const totals = isWhole ? {} : { totals: totalsOf(groups, shown.length) };
  return { ...rest, groups: byOwnerAndState(groups), sources: shown, ...totals, vanished, sinks };
};

const isWanted = (state: string, states: Shown['states']): boolean => states === undefined || states.includes(state);

export const failLevels = ['behind', 'failing'] as const;
const failing: readonly string[] = ['refused', 'failing', 'vanished'];
const healthy: readonly string[] = ['fresh', 'quiet', 'ok'];

/** Something is in the state of `level`, or worse. */
export const fails = (report: Pick<Report, 'groups' | 'causes'>, level: (typeof failLevels)[number]): boolean => {
  const { groups, causes } = report;
  if (causes.some(({ cause }) => cause === 'listing_fails')) return true;
  const states = [...groups.map(({ state }) => state), ...causes.map(({ state }) => state)];
  return states.some((state) => (level === 'failing' ? failing.includes(state) : !healthy.includes(state)));
};

export const statusText = (report: Report, { states, most }: Shown): string => {
  const rows = report.sources
    .filter(({ state }) => isWanted(state, states))
    .toSorted((a, b) => urgency.indexOf(a.state) - urgency.indexOf(b.state))
    .slice(0, most);
  const sections = [
    report.causes.map((cause) => printable(`${cause.state === 'ok' ? 'note' : cause.state}: ${causeText(cause)}`, 900)),
    totals(report),
    rows.length === 0 ? [] : sourceTable(rows),
    restLine(report.groups, rows, states),
    [
      ...holeLines(rows),
      ...unprovenLine(report.groups),
      ...readOnceLine(report.groups),
      ...(report.notRead === undefined ? [] : [report.notRead]),
    ],
    report.sinks.length === 0 ? [] : [sinkTable(report.sinks).trimEnd()],
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
};

const totals = (report: Report): string[] => {
  const { groups, sinks, discovery, feedId, position, positionJumps } = report;
  const listed = discovery.ageSeconds === null ? 'never' : `${ago(discovery.ageSeconds)}`;
  const by = discovery.leaseOwner === null ? '' : `, being listed by ${discovery.leaseOwner}`;
  const jumps = positionJumps === 0 ? '' : ` (jumped after a failover or restore: ${positionJumps})`;
  return [
    `${countedOwners(countsOf(groups))}${byState(countsByState(groups))}; listed ${listed}${by}`,
    ...(sinks.length === 0 ? [] : [`${counted(sinks.length, 'sink')}${byState(sinkCounts(sinks))}`]),
    `feed ${feedId} at position ${position}${jumps}`,
  ];
};

/** `: 2 failing, 298 fresh`, the most urgent first. */
const byState = (counts: Readonly<Record<string, number>>): string => {
  const parts = [...urgency, 'ok'].flatMap((name) => ((counts[name] ?? 0) > 0 ? [`${counts[name]} ${name}`] : []));
  return parts.length === 0 ? '' : `: ${parts.join(', ')}`;
};

const sinkCounts = (sinks: readonly SinkStatus[]): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {};
  for (const state of sinks.map(sinkState)) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
};

const ago = (seconds: number): string => `${formatDuration(seconds * 1_000)} ago`;

/** Accounts, if any, are told apart by a column. */
const sourceTable = (rows: readonly SourceRow[]): string[] => {
  const mixed = rows.some(isAccount);
  return alignColumns([
    [...(mixed ? ['KIND', 'ID'] : ['ORGANIZATION']), ...columns],
    ...rows.map((source) => [
      ...(mixed ? [printable(source.kind, 28)] : []),
      printable(source.id, 64),
      printable(ownerName(source) ?? '-', 28),
      source.state,
      collectionSpan(source.lagSeconds),
      notCollected(source),
      source.sinceLastEventSeconds === null ? 'never' : ago(source.sinceLastEventSeconds),
      source.leaseOwner ?? '-',
    ]),
  ]);
};

const columns = ['NAME', 'STATE', DELAY.toUpperCase(), NOT_COLLECTED.toUpperCase(), 'LAST EVENT', 'WORKER'];

const restLine = (groups: readonly SourceGroup[], rows: readonly SourceRow[], states: Shown['states']): string[] => {
  const counts: Record<string, number> = { ...countsByState(groups.filter(({ state }) => isWanted(state, states))) };
  for (const { state } of rows) counts[state] = (counts[state] ?? 0) - 1;
  const rest = Object.values(counts).reduce((sum, count) => sum + count, 0);
  if (rest === 0) return [];
  return [`${rest} of ${countedLogs(countsOf(groups))} not shown${byState(counts)} (--all shows them)`];
};

const named = (id: string, name: string | null): string =>
  name === null ? printable(id, 64) : `${printable(name, 28)} (${printable(id, 64)})`;

const nameOf = (source: SourceRow): string =>
  `${isAccount(source) ? 'account ' : ''}${named(source.id, ownerName(source))}`;

const holeLines = (sources: readonly SourceRow[]): readonly string[] =>
  sources.flatMap((source) => {
    const named = source.firstHoles.map(
      ({ since, before, reason, message }) =>
        `hole: ${nameOf(source)} from ${since} to ${before}: ${reason}: ${printable(message, 120)}`,
    );
    const more = source.holes - source.firstHoles.length;
    return more > 0 ? [...named, `hole: ${nameOf(source)}, ${more} more: see coverage_holes`] : named;
  });

const unprovenLine = (groups: readonly SourceGroup[]): readonly string[] => {
  const logs = sumOf(groups, 'unproven');
  return logs === 0 ? [] : [`not proven: history of ${counted(logs, 'log')} that version 0.1 claimed as read`];
};

/** Until a second reading, a day later, has confirmed it. */
const readOnceLine = (groups: readonly SourceGroup[]): readonly string[] => {
  const logs = sumOf(groups, 'readOnce');
  return logs === 0
    ? []
    : [`read once: history of ${counted(logs, 'log')}; it is read again a day later, with spare requests`];
};

/** With holes, and how soon Cloudflare will delete part of it, if within a month. */
const notCollected = ({ gapSeconds, holes, retentionSlackSeconds }: SourceRow): string => {
  const lacking = holes === 0 ? '' : `, ${counted(holes, 'hole')}`;
  const gap = `${collectionSpan(gapSeconds)}${lacking}`;
  if (retentionSlackSeconds * 1_000 >= RETENTION_NEAR_MS) return gap;
  const lost =
    retentionSlackSeconds <= 0 ? 'being lost now' : `lost in ${formatDuration(retentionSlackSeconds * 1_000)}`;
  return `${gap} (${lost})`;
};
