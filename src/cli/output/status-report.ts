import { RETENTION_NEAR_MS } from '../../ingest/planning/upstream-retention.ts';
import type { SinkStatus } from '../../sinks/sink-status.sql.ts';
import { collectionSpan, DELAY, NOT_COLLECTED } from '../../status/collection-words.ts';
import { laneTroubleText, type SourceHealth } from '../../status/health.ts';
import { isAccount, ownerName } from '../../status/source-owner.ts';
import { sinkState } from '../../status/source-state.ts';
import type { Status } from '../../status/status.sql.ts';
import { formatDuration } from '../../time/duration.ts';
import { counted, countedSources } from './counted.ts';
import { sinkTable } from './sink-table.ts';
import { alignColumns, printable } from './terminal-table.ts';

export type SourceRow = Status['sources'][number] & { readonly state: SourceHealth };

/** How everything stands, with the state of each organization: what `--json` prints, a contract. */
export interface Report extends Omit<Status, 'gone' | 'sources'> {
  readonly sources: readonly SourceRow[];
  readonly vanished: Status['gone'];
  readonly sinks: readonly SinkStatus[];
}

/** The values of --fail-on. */
export const failLevels = ['behind', 'failing'] as const;

/** The most urgent first. */
const urgency: readonly SourceHealth[] = ['refused', 'failing', 'incomplete', 'behind', 'fresh', 'quiet'];
const failing: readonly string[] = ['refused', 'failing'];
const healthy: readonly string[] = ['fresh', 'quiet', 'ok'];

/** Whether something is in the state that `level` names, or worse. A pure function. */
export const fails = (report: Report, level: (typeof failLevels)[number]): boolean => {
  const { sources, sinks, vanished, discovery } = report;
  if (vanished.length > 0 || discovery.lastError !== null || discovery.ageSeconds === null) return true;
  if (discovery.accountsRefused !== undefined) return true;
  const states = [...sources.map(({ state }) => state), ...sinks.map(sinkState)];
  return states.some((state) => (level === 'failing' ? failing.includes(state) : !healthy.includes(state)));
};

/** Totals of everything, then up to `most` of the organizations to show, those in trouble first, then what is wrong. */
export const statusText = (report: Report, shown: readonly SourceRow[], most: number): string => {
  const sources = shown.toSorted((a, b) => urgency.indexOf(a.state) - urgency.indexOf(b.state));
  const rows = sources.slice(0, most);
  const sections = [
    totals(report),
    rows.length === 0 ? [] : table(rows),
    restLine(sources.slice(rows.length), report.sources),
    [
      ...rows.flatMap(failureLine),
      ...holeLines(rows),
      ...unprovenLine(report.sources),
      ...report.vanished.map(vanishedLine),
      ...refusedAccountsLine(report),
    ],
    report.sinks.length === 0 ? [] : [sinkTable(report.sinks).trimEnd()],
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
};

const totals = (report: Report): string[] => {
  const { sources, sinks, discovery, feedId, position, positionJumps } = report;
  const listed = discovery.ageSeconds === null ? 'never' : `${ago(discovery.ageSeconds)}`;
  const by = discovery.leaseOwner === null ? '' : `, being listed by ${discovery.leaseOwner}`;
  const trouble = discovery.lastError === null ? '' : ` (last attempt failed: ${printable(discovery.lastError, 200)})`;
  const jumps = positionJumps === 0 ? '' : ` (jumped after a failover or restore: ${positionJumps})`;
  return [
    `${countedSources(sources)}${byState(sources.map(({ state }) => state))}; listed ${listed}${by}${trouble}`,
    ...(sinks.length === 0 ? [] : [`${counted(sinks.length, 'sink')}${byState(sinks.map(sinkState))}`]),
    `feed ${feedId} at position ${position}${jumps}`,
  ];
};

/** `: 2 failing, 298 fresh`, the most urgent first. */
const byState = (states: readonly string[]): string => {
  const names = [...urgency, 'ok'].filter((name) => states.includes(name));
  const counts = names.map((name) => `${states.filter((state) => state === name).length} ${name}`);
  return counts.length === 0 ? '' : `: ${counts.join(', ')}`;
};

const ago = (seconds: number): string => `${formatDuration(seconds * 1_000)} ago`;

/** Accounts are told apart by a column, which is there only if there are some. */
const table = (rows: readonly SourceRow[]): string[] => {
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

const restLine = (rest: readonly SourceRow[], all: readonly SourceRow[]): string[] => {
  if (rest.length === 0) return [];
  return [
    `${rest.length} of ${countedSources(all)} not shown${byState(rest.map(({ state }) => state))} (--all shows them)`,
  ];
};

const named = (id: string, name: string | null): string =>
  name === null ? printable(id, 64) : `${printable(name, 28)} (${printable(id, 64)})`;

const nameOf = (source: SourceRow): string =>
  `${isAccount(source) ? 'account ' : ''}${named(source.id, ownerName(source))}`;

const failureLine = (source: SourceRow): string[] =>
  source.failingLanes.map((lane) => `${source.state}: ${nameOf(source)}: ${printable(laneTroubleText(lane), 300)}`);

const vanishedLine = (gone: Status['gone'][number]): string => {
  const when = gone.goneSeconds === null ? '' : ` ${ago(gone.goneSeconds)}`;
  const owner =
    gone.accountId === undefined
      ? named(gone.organizationId, gone.organizationName)
      : `account ${named(gone.accountId, gone.accountName)}`;
  return `vanished${when}: ${owner}: it is no longer listed, and its audit log refuses access`;
};

const refusedAccountsLine = ({ discovery: { accountsRefused } }: Report): readonly string[] =>
  accountsRefused === undefined
    ? []
    : [
        `refused: accounts may not be listed, so none of them is read: ${printable(accountsRefused, 300)}; ORGTRAIL_SOURCES=organizations reads none`,
      ];

/** The holes of each organization, the oldest first. */
const holeLines = (sources: readonly SourceRow[]): readonly string[] =>
  sources.flatMap((source) => {
    const named = source.firstHoles.map(
      ({ since, before, reason, message }) =>
        `hole: ${nameOf(source)} from ${since.toISOString()} to ${before.toISOString()}: ${reason}: ${printable(message, 120)}`,
    );
    const more = source.holes - source.firstHoles.length;
    return more > 0 ? [...named, `hole: ${nameOf(source)}, ${more} more: see coverage_holes`] : named;
  });

const unprovenLine = (sources: readonly SourceRow[]): readonly string[] => {
  const unproven = sources.filter(({ unprovenSeconds }) => unprovenSeconds > 0);
  if (unproven.length === 0) return [];
  const seconds = unproven.reduce((sum, { unprovenSeconds }) => sum + unprovenSeconds, 0);
  return [
    `not proven: ${formatDuration(seconds * 1_000)} of ${countedSources(unproven)}, claimed as read by version 0.1`,
  ];
};

/** The time that is not collected, the holes, and how soon Cloudflare will delete some of that time, if within a month. */
const notCollected = ({ gapSeconds, holes, retentionSlackSeconds }: SourceRow): string => {
  const lacking = holes === 0 ? '' : `, ${counted(holes, 'hole')}`;
  const gap = `${collectionSpan(gapSeconds)}${lacking}`;
  if (retentionSlackSeconds * 1_000 >= RETENTION_NEAR_MS) return gap;
  const lost =
    retentionSlackSeconds <= 0 ? 'being lost now' : `lost in ${formatDuration(retentionSlackSeconds * 1_000)}`;
  return `${gap} (${lost})`;
};
