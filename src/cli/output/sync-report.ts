import { exitCodes } from '../../errors.ts';
import { RETENTION_NEAR_MS } from '../../ingest/planning/upstream-retention.ts';
import type { WantedHoles } from '../../ingest/sync/coverage-holes.sql.ts';
import type { SyncReport } from '../../ingest/sync/sync-once.ts';
import type { SourceStatus, Status } from '../../status/status.sql.ts';
import { formatDuration } from '../../time/duration.ts';
import { counted } from './counted.ts';
import { printable } from './terminal-table.ts';

/** What `sync` and `backfill` end with. The summary is what `--json` prints: a contract. */
export interface SyncOutcome {
  readonly exitCode: number;
  readonly text: string;
  readonly summary: Readonly<Record<string, unknown>>;
}

/** So many holes are named. */
const NAMED_HOLES = 5;

/** Says what a sync did, and what it could not do. `wanted`: the holes that are left in the time that was asked for. */
export const describeOutcome = (
  status: Status,
  report: SyncReport,
  stored: number,
  wanted: WantedHoles,
): SyncOutcome => {
  const failing = status.sources.filter((source) => report.failed.some((failed) => failed.id === source.id));
  const incomplete = failing.length + report.held.length + wanted.holes.length > 0;
  const failed = incomplete || report.discoveryError !== undefined;
  const lines = [
    `${counted(stored, 'new event')} of ${counted(report.sources, 'organization')}; the feed is at position ${status.position}`,
    ...troubleLines(status, report),
    ...failing.map(failedLine),
    ...(wanted.holes.length === 0 ? [] : [holesLine(wanted)]),
  ];
  return {
    exitCode: failed ? exitCodes.sourceFailed : exitCodes.done,
    text: `${lines.join('\n')}\n`,
    summary: {
      stored,
      organizations: report.sources,
      position: status.position,
      heldByOthers: report.held.length,
      failed: failing.map((source) => ({
        organizationId: source.organizationId,
        failure: source.lastFailure,
        error: source.lastError,
      })),
      holes: wanted.holes,
      holeSeconds: wanted.seconds,
      finished: report.finished,
    },
  };
};

const troubleLines = ({ sources }: Status, { held, discoveryError }: SyncReport): readonly string[] => {
  const lines: string[] = [];
  if (held.length > 0) lines.push(`another orgtrail was reading ${counted(held.length, 'organization')} all the time`);
  if (discoveryError instanceof Error) lines.push(`listing organizations failed: ${discoveryError.message}`);
  const near = sources.filter((source) => source.retentionSlackSeconds * 1_000 < RETENTION_NEAR_MS);
  if (near.length > 0)
    lines.push(
      `${counted(near.length, 'organization')} with time not collected that Cloudflare deletes within ${formatDuration(RETENTION_NEAR_MS)}: see orgtrail status`,
    );
  return lines;
};

const failedLine = ({ organizationId, organizationName, lastFailure, lastError }: SourceStatus): string =>
  `failed: ${organizationId} (${organizationName ?? 'no name'}): ${lastFailure}: ${lastError}`;

const holesLine = ({ seconds, holes }: WantedHoles): string => {
  const named = holes
    .slice(0, NAMED_HOLES)
    .map(
      ({ organizationId, since, reason, message }) =>
        `${printable(organizationId, 64)} ${since.toISOString()} (${reason}: ${printable(message, 120)})`,
    );
  const more = holes.length > NAMED_HOLES ? ', and others: select * from coverage_holes' : '';
  const length = Math.ceil(seconds);
  return `${length} ${length === 1 ? 'second' : 'seconds'} could not be collected: ${named.join(', ')}${more}`;
};
