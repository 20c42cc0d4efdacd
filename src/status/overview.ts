import type { SourceKey } from '../ingest/planning/source.ts';
import type { organizationChanges } from '../postgres/tables/sources.ts';
import type { SummaryBucket } from '../search/summary/summary.ts';

export type TimeRange = readonly [fromMs: number, toMs: number];

export interface DrawnHole {
  readonly range: TimeRange;
  readonly reason: string;
  readonly message: string;
  readonly attempts: number;
  readonly nextAttemptAtMs: number;
}

export interface SourceCoverage extends SourceKey {
  /** The horizon: nothing older is wanted. */
  readonly sinceMs: number;
  readonly nowMs: number;
  /** Oldest first, as the view coverage_gaps. */
  readonly gaps: readonly TimeRange[];
  /** By number of settle pass; the first reading is what is no gap. */
  readonly passes: readonly { readonly pass: number; readonly ranges: readonly TimeRange[] }[];
  /** Of the first reading, newest first, no more than 200. */
  readonly holes: readonly DrawnHole[];
  readonly walks: readonly { readonly lane: string; readonly range: TimeRange; readonly readUntilMs: number | null }[];
}

export interface Activity {
  /** Oldest first, those without events included. */
  readonly hours: readonly SummaryBucket[];
  readonly bySource: ReadonlyMap<string, number>;
}

export interface OrganizationChange extends Readonly<Omit<typeof organizationChanges.$inferSelect, 'id'>> {
  readonly organizationName: string | null;
}

/** Since the process started. */
export interface ProcessFigures {
  /** In the last five minutes. */
  readonly recentRequests: number;
  readonly defectiveEntries: number;
  /** Live lane, cumulative: events seen within `seconds`. */
  readonly lateness: readonly { readonly seconds: number; readonly events: number }[];
}

export interface ApiBudgetFigures {
  readonly available: number;
  /** Of all replicas. Undefined with several credentials: each user of Cloudflare has a limit of its own. */
  readonly per5Minutes: number | undefined;
  readonly blockedSeconds: number;
}

/** How much was read lately, for the estimate of the time left. */
export interface ReadingPace extends SourceKey {
  readonly readSeconds: number;
  /** `PACE_MINUTES`, or less if the reading began less than that ago. */
  readonly overSeconds: number;
}
