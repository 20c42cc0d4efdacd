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
