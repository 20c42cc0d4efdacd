import { exitCodes } from '../../errors.ts';
import { keyOf } from '../../ingest/planning/source.ts';
import { RETENTION_NEAR_MS } from '../../ingest/planning/upstream-retention.ts';
import { kindOf } from '../../ingest/sources/registry.ts';
import type { WantedHoles } from '../../ingest/sync/coverage-holes.sql.ts';
import type { SyncReport } from '../../ingest/sync/sync-once.ts';
import { isAccount, ownerName } from '../../status/sources/source-owner.ts';
import type { SourceStatus, Status } from '../../status/status.sql.ts';
import { formatDuration } from '../../time/duration.ts';
import { counted, countedSources } from './counted.ts';
import { printable } from './terminal-table.ts';

/** What `sync` and `backfill` end with. The summary is what `--json` prints: a contract. */
export interface SyncOutcome {
  readonly exitCode: number;
  readonly text: string;
  readonly summary: Readonly<Record<string, unknown>>;
}

/** So many holes are named. */
const NAMED_HOLES = 5;

/** Says what a sync did, and what it could not do. `wanted`: the holes that are left in the time that was asked for. `notRead`: what is never asked for. */
export const describeOutcome = (
  status: Status,
  report: SyncReport,
  stored: number,
  wanted: WantedHoles,
  notRead?: string,
): SyncOutcome => {
  const failedKeys = new Set(report.failed.map(keyOf));
  const failing = status.sources.filter((source) => failedKeys.has(keyOf(source)));
  const accounts = status.sources.filter(isAccount).length;
  const incomplete = failing.length + report.held.length + wanted.holes.length > 0;
  const failed = incomplete || report.discoveryError !== undefined || report.accountsError !== undefined;
  const lines = [
    `${counted(stored, 'new event')} of ${accounts === 0 ? counted(report.sources, 'organization') : countedSources(status.sources)}; the feed is at position ${status.position}`,
    ...troubleLines(status, report),
    ...failing.map(failedLine),
    ...(wanted.holes.length === 0 ? [] : [holesLine(wanted)]),
    ...(notRead === undefined ? [] : [notRead]),
  ];
  return {
    exitCode: failed ? exitCodes.sourceFailed : exitCodes.done,
    text: `${lines.join('\n')}\n`,
    summary: {
      stored,
      organizations: accounts === 0 ? report.sources : status.sources.length - accounts,
      position: status.position,
      heldByOthers: report.held.length,
      failed: failing.map((source) => ({
        organizationId: source.organizationId,
        failure: source.lastFailure,
        error: source.lastError,
        ...(isAccount(source)
          ? { sourceKind: source.kind, accountId: source.accountId, accountName: source.accountName }
          : {}),
      })),
      holes: wanted.holes.map(holeJson),
      holeSeconds: wanted.seconds,
      finished: report.finished,
      ...(accounts === 0 ? {} : { accounts }),
    },
  };
};

const isAccountHole = ({ sourceKind }: WantedHoles['holes'][number]): boolean =>
  kindOf({ kind: sourceKind }).owner === 'account';

/** The hole of an account has more keys, at its end. */
const holeJson = (hole: WantedHoles['holes'][number]) => {
  const { sourceKind, sourceId, organizationId, organizationName, accountName, since, before, reason, message } = hole;
  const of = isAccountHole(hole) ? { sourceKind, accountId: sourceId, accountName } : {};
  return { organizationId, organizationName, since, before, reason, message, ...of };
};

/** Accounts are read unless they are turned off. */
const NOT_WANTED = '; ORGTRAIL_SOURCES=organizations reads none';

const troubleLines = ({ sources }: Status, { held, discoveryError, accountsError }: SyncReport): readonly string[] => {
  const lines: string[] = [];
  if (held.length > 0) lines.push(`another orgtrail was reading ${countedSources(held)} all the time`);
  if (discoveryError instanceof Error) lines.push(`listing organizations failed: ${discoveryError.message}`);
  if (accountsError !== undefined)
    lines.push(
      `listing accounts failed, some may be missing: ${accountsError.message}${accountsError.failure === 'refused' ? NOT_WANTED : ''}`,
    );
  const near = sources.filter((source) => source.retentionSlackSeconds * 1_000 < RETENTION_NEAR_MS);
  if (near.length > 0)
    lines.push(
      `${countedSources(near)} with time not collected that Cloudflare deletes within ${formatDuration(RETENTION_NEAR_MS)}: see orgtrail status`,
    );
  return lines;
};

const failedLine = (source: SourceStatus): string =>
  `failed: ${isAccount(source) ? 'account ' : ''}${source.id} (${ownerName(source) ?? 'no name'}): ${source.lastFailure}: ${source.lastError}`;

const holesLine = ({ seconds, holes }: WantedHoles): string => {
  const named = holes
    .slice(0, NAMED_HOLES)
    .map(
      (hole) =>
        `${isAccountHole(hole) ? 'account ' : ''}${printable(hole.sourceId, 64)} ${hole.since.toISOString()} (${hole.reason}: ${printable(hole.message, 120)})`,
    );
  const more = holes.length > NAMED_HOLES ? ', and others: select * from coverage_holes' : '';
  const length = Math.ceil(seconds);
  return `${length} ${length === 1 ? 'second' : 'seconds'} could not be collected: ${named.join(', ')}${more}`;
};
