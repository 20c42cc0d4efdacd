export interface SummaryBucket {
  readonly startMs: number;
  readonly success: number;
  readonly failure: number;
  /** Any other result, or none. */
  readonly other: number;
}

export interface SummaryCount {
  readonly events: number;
  /** The time was over: there may be more, older than `countedSinceMs`. */
  readonly isAtLeast: boolean;
  /** All from here to the end are counted; null: all are. */
  readonly countedSinceMs: number | null;
  /** Of these, in no bucket: without a time, or with one before 2001 or beyond the end of the histogram. */
  readonly untimed: number;
  readonly bucketMs: number;
  /** Without gaps; empty if no event has a time. */
  readonly buckets: readonly SummaryBucket[];
}

/** In the names of the fields of a query line. */
export const facetFields = [
  'actor',
  'action',
  'result',
  'resource_type',
  'product',
  'organization',
  'account',
  'zone',
  'ip',
  'token',
  'effect',
  'detection',
  'country',
  'network',
] as const;
export type FacetField = (typeof facetFields)[number];

export interface FacetValue {
  readonly value: string;
  /** Of an organization or account; null if it is not known, and for other fields. */
  readonly name: string | null;
  readonly events: number;
}

export interface Facet {
  readonly field: FacetField;
  readonly values: readonly FacetValue[];
  readonly distinct: number;
  readonly without: number;
}

export interface SummaryFacets {
  readonly facets: readonly Facet[];
  readonly looked: number;
  /** The newest; there may be more. */
  readonly isSample: boolean;
}

export interface SearchSummary {
  readonly count: SummaryCount;
  /** Undefined: the time was over. */
  readonly facets: SummaryFacets | undefined;
}

/** `page`: takes about a second, beside a page of events. `entity`: half of that. `exact`: up to ten seconds. */
export type SummaryDepth = 'page' | 'entity' | 'exact';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const lengthsMs = [
  ...[1_000, 10_000],
  ...[1, 5, 15].map((minutes) => minutes * MINUTE_MS),
  ...[1, 3, 6, 12].map((hours) => hours * HOUR_MS),
  ...[1, 2, 7, 14, 28, 91, 364].map((days) => days * DAY_MS),
];
const MAX_BUCKETS = 72;

/** A Monday: weeks begin with it, and all shorter lengths divide the time since. */
export const BUCKET_ORIGIN = '2001-01-01T00:00:00Z';
const originMs = Date.parse(BUCKET_ORIGIN);

/** The shortest that makes no more than 72 bars of so much time. */
export const bucketMsOf = (sinceMs: number, beforeMs: number): number =>
  lengthsMs.find((ms) => bucketStart(beforeMs - 1, ms) - bucketStart(sinceMs, ms) < MAX_BUCKETS * ms) ?? 364 * DAY_MS;

export const bucketStart = (atMs: number, bucketMs: number): number =>
  originMs + Math.floor((atMs - originMs) / bucketMs) * bucketMs;
