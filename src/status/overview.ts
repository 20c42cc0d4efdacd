/** What the overview shows beside the status. Declared here: edges do not import each other. Milliseconds since 1970. */

export type TimeRange = readonly [fromMs: number, toMs: number];

/** What Cloudflare's API does not serve, not even in parts. */
export interface ShownCoverageHole {
  readonly range: TimeRange;
  readonly reason: string;
  readonly message: string;
  readonly attempts: number;
  readonly nextAttemptAtMs: number;
}

/** What has been read of an organization. */
export interface ShownCoverage {
  readonly organizationId: string;
  /** The horizon: nothing older is wanted. */
  readonly sinceMs: number;
  readonly nowMs: number;
  readonly gaps: readonly TimeRange[];
  readonly passes: readonly { readonly pass: number; readonly ranges: readonly TimeRange[] }[];
  /** Newest first; a part of them if there are many. */
  readonly holes: readonly ShownCoverageHole[];
  readonly walks: readonly { readonly lane: string; readonly range: TimeRange; readonly readUntilMs: number | null }[];
}

export interface ShownActivity {
  readonly hours: readonly { readonly startMs: number; readonly events: number }[];
  /** By the id of the organization. */
  readonly bySource: ReadonlyMap<string, number>;
}

export interface ShownChange {
  readonly organizationId: string;
  readonly organizationName: string | null;
  readonly change: string;
  readonly oldValue: string | null;
  readonly newValue: string | null;
  readonly changedAt: Date;
}

/** What this process has counted since it started. */
export interface ProcessFigures {
  readonly throttledSeconds: number;
  readonly defectiveEntries: number;
  /** How late events were seen first, live lane: how many came within `seconds`, those of smaller ones included. */
  readonly lateness: readonly { readonly seconds: number; readonly events: number }[];
}

export interface ShownBudget {
  readonly available: number;
  /** Of all replicas together. */
  readonly per5Minutes: number;
  readonly blockedSeconds: number;
}

/** All of these reject where the database does not answer. */
export interface OverviewSource {
  /** How long after the first reading each settle pass comes, in milliseconds: those of pass 1, 2 and so on. */
  readonly settleDelaysMs: readonly number[];
  coverage(organizationIds: readonly string[]): Promise<readonly ShownCoverage[]>;
  /** May be up to a minute old. */
  activity(): Promise<ShownActivity>;
  changes(limit: number, organizationId?: string): Promise<readonly ShownChange[]>;
  changedEntries(): Promise<number>;
  budget(): Promise<ShownBudget>;
  figures(): Promise<ProcessFigures>;
}
