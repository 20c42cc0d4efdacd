import type { SourceKey } from '../ingest/planning/source.ts';
import type { organizationChanges } from '../postgres/tables/sources.ts';
import type { SummaryBucket } from '../search/summary/summary.ts';

/** Milliseconds since 1970. */
export type TimeRange = readonly [fromMs: number, toMs: number];

/** What Cloudflare's API does not serve, not even in parts. */
export interface DrawnHole {
  readonly range: TimeRange;
  readonly reason: string;
  readonly message: string;
  readonly attempts: number;
  readonly nextAttemptAtMs: number;
}

/** What has been read of a source, for drawing, by the filter set in force. */
export interface SourceCoverage extends SourceKey {
  /** The horizon: nothing older is wanted. */
  readonly sinceMs: number;
  readonly nowMs: number;
  /** Oldest first: what the view coverage_gaps has. */
  readonly gaps: readonly TimeRange[];
  /** What each settle pass has read again, by its number; the first reading is what is no gap. */
  readonly passes: readonly { readonly pass: number; readonly ranges: readonly TimeRange[] }[];
  /** Of the first reading, newest first, no more than 200. */
  readonly holes: readonly DrawnHole[];
  readonly walks: readonly { readonly lane: string; readonly range: TimeRange; readonly readUntilMs: number | null }[];
}

/** How many events there were, by their action time. */
export interface Activity {
  /** Whole hours, oldest first; those without events are there, too. */
  readonly hours: readonly SummaryBucket[];
  /** In all these hours, by the key of the source. */
  readonly bySource: ReadonlyMap<string, number>;
}

export interface OrganizationChange extends Readonly<Omit<typeof organizationChanges.$inferSelect, 'id'>> {
  readonly organizationName: string | null;
}

/** What this process has counted since it started. */
export interface ProcessFigures {
  /** Requests to Cloudflare in the last five minutes. */
  readonly recentRequests: number;
  readonly defectiveEntries: number;
  /** How late events were seen first, live lane: how many came within `seconds`, those of smaller ones included. */
  readonly lateness: readonly { readonly seconds: number; readonly events: number }[];
}

export interface ApiBudgetFigures {
  /** That could go out at once, of all replicas together. */
  readonly available: number;
  /** Of all replicas together. Undefined with several credentials: each user of Cloudflare has a limit of its own. */
  readonly per5Minutes: number | undefined;
  readonly blockedSeconds: number;
}

/** How much of a source was read lately, from which the time left is estimated. */
export interface ReadingPace extends SourceKey {
  /** Seconds of history that were read in the last `overSeconds`. */
  readonly readSeconds: number;
  /** `PACE_MINUTES`, or less if the reading began less than that ago. */
  readonly overSeconds: number;
}

/** All of these reject if the database does not answer. */
export interface OverviewSource {
  /** How long after the first reading each settle pass comes, in milliseconds: those of pass 1, 2 and so on. */
  readonly settleDelaysMs: readonly number[];
  coverage(keys: readonly SourceKey[]): Promise<readonly SourceCoverage[]>;
  /** Of these sources; a source without anything read yet has none. */
  pace(keys: readonly SourceKey[]): Promise<readonly ReadingPace[]>;
  /** May be up to a minute old. */
  activity(): Promise<Activity>;
  /** The same hours of one organization with its accounts; undefined if counting them takes too long for a page. */
  hours(organizationId: string): Promise<Activity['hours'] | undefined>;
  changes(limit: number, organizationId?: string): Promise<readonly OrganizationChange[]>;
  changedEntries(): Promise<number>;
  budget(): Promise<ApiBudgetFigures>;
  figures(): Promise<ProcessFigures>;
}
