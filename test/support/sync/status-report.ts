import type { SinkStatus } from '../../../src/sinks/sink-status.sql.ts';
import { type CauseFacts, causesOf } from '../../../src/status/causes.ts';
import type { SourceHealth } from '../../../src/status/health.ts';
import { groupsOf } from '../../../src/status/source-state.ts';
import type { Report, SourceRow } from '../../../src/status/status-report.ts';
import { sourceFacts } from '../../unit/status/source-facts.ts';

export const source = (name: string, state: SourceHealth, more: Partial<SourceRow> = {}): SourceRow => ({
  kind: 'organization',
  id: `id-${name}`,
  organizationId: `id-${name}`,
  organizationName: name,
  organizationState: 'active',
  ...sourceFacts,
  refused: state === 'refused',
  firstReading: false,
  state,
  ...more,
});

export const sink = (name: string, more: Partial<SinkStatus> = {}): SinkStatus => ({
  name,
  type: 'webhook',
  target: 'https://siem.example/in',
  position: 7,
  lagEvents: 0,
  lagSeconds: 0,
  delivered: 7,
  deadLetters: 0,
  skipped: 0,
  maxAgeSeconds: null,
  failures: 0,
  lastError: null,
  lastSuccessAt: null,
  nextAttemptAt: null,
  heldBy: null,
  ...more,
});

export const NOW_MS = Date.UTC(2026, 10, 29, 19, 31);
const settings = { tickMs: 30_000, apiBudget: 900, nowMs: NOW_MS };

/** `known`: beside the status. */
export const report = (
  sources: readonly SourceRow[],
  more: Partial<Report> = {},
  known: Partial<CauseFacts> = {},
): Report => {
  const status = statusOf(sources, more);
  return { causes: causesOf({ ...settings, status, sinks: status.sinks, ...known }), ...status };
};

const statusOf = (sources: readonly SourceRow[], more: Partial<Report>): Omit<Report, 'causes'> => ({
  feedId: 'the-feed',
  position: 9,
  positionJumps: 0,
  clockAheadSeconds: null,
  requestsBlocked: null,
  aliveSecondsAgo: 1,
  vanished: [],
  sinks: [],
  sources,
  isWhole: true,
  groups: groupsOf(sources),
  discovery: {
    lastSuccessAt: null,
    ageSeconds: 11,
    lastError: null,
    leaseOwner: null,
    organizations: sources.length,
    shortListings: [],
  },
  ...more,
});
