/** Events of one stretch of time, by result. */
export interface SummaryBucket {
  readonly startMs: number;
  readonly success: number;
  readonly failure: number;
  /** Another result, or none. */
  readonly other: number;
}

/** How many events match, and when they happened. */
export interface SummaryCount {
  readonly events: number;
  /** The counting timed out: there may be more, older than `countedSinceMs`. */
  readonly isAtLeast: boolean;
  /** Everything from here to the end is counted; null: everything is. */
  readonly countedSinceMs: number | null;
  /** Of these events, how many have no time, or one before 2001 or beyond the end of the histogram. They are in no bucket. */
  readonly untimed: number;
  readonly bucketMs: number;
  /** In order, without gaps; empty if no event has a time. */
  readonly buckets: readonly SummaryBucket[];
}

/** What values are counted of: the names are those of the fields of a query line. */
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
] as const;
export type FacetField = (typeof facetFields)[number];

export interface FacetValue {
  readonly value: string;
  /** Of an organization or account: its name; null if none is known, and of other fields. */
  readonly name: string | null;
  readonly events: number;
}

export interface Facet {
  readonly field: FacetField;
  /** The most frequent first. */
  readonly values: readonly FacetValue[];
  /** How many different values there are. */
  readonly distinct: number;
  /** Events without a value. */
  readonly without: number;
}

/** The top values of the events that match. */
export interface SummaryFacets {
  readonly facets: readonly Facet[];
  /** So many events were looked at. */
  readonly looked: number;
  /** There may be more: these are the newest. */
  readonly isSample: boolean;
}

export interface SearchSummary {
  readonly count: SummaryCount;
  /** Undefined: the looking timed out. */
  readonly facets: SummaryFacets | undefined;
}

/** `page`: within about a second, beside a page of events. `entity`: within half of that. `exact`: what takes up to ten seconds. */
export type SummaryDepth = 'page' | 'entity' | 'exact';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The lengths of a bar that people can read. The first is a second. */
const lengthsMs = [
  1_000,
  10_000,
  MINUTE_MS,
  5 * MINUTE_MS,
  15 * MINUTE_MS,
  HOUR_MS,
  3 * HOUR_MS,
  6 * HOUR_MS,
  12 * HOUR_MS,
  DAY_MS,
  2 * DAY_MS,
  7 * DAY_MS,
  14 * DAY_MS,
  28 * DAY_MS,
  91 * DAY_MS,
  364 * DAY_MS,
] as const;
const MAX_BUCKETS = 72;

/** A Monday: weeks begin with it, and all shorter lengths divide the time since. */
export const BUCKET_ORIGIN = '2001-01-01T00:00:00Z';
const originMs = Date.parse(BUCKET_ORIGIN);

/** The shortest length that divides so much time into no more than 72 bars. */
export const bucketMsOf = (sinceMs: number, beforeMs: number): number =>
  lengthsMs.find((ms) => bucketStart(beforeMs - 1, ms) - bucketStart(sinceMs, ms) < MAX_BUCKETS * ms) ?? 364 * DAY_MS;

/** The start of the bar that a moment is in. */
export const bucketStart = (atMs: number, bucketMs: number): number =>
  originMs + Math.floor((atMs - originMs) / bucketMs) * bucketMs;
