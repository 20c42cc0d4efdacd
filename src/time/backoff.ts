const FIRST_MS = 5_000;
/** Longer than the five minutes of Cloudflare's block, short enough that a restored access is noticed within a coffee. */
const MAX_MS = 900_000;
/** Before a window is asked for a second time: its lane alone waits, and what fails twice is asked for otherwise. */
export const SECOND_ATTEMPT_MS = 2_000;
const FIRST_SINK_MS = 1_000;
/** A receiver is the user's own: an attempt a minute does not hurt. */
const MAX_SINK_MS = 60_000;

/**
 * How long a lane rests after its `failures`-th failure in a row (1, 2, …). `random` in [0, 1) spreads lanes
 * that failed together. Used by sync; the database adds it to its own clock.
 */
export const laneBackoffMs = (failures: number, random: number): number =>
  backoffMs(FIRST_MS, MAX_MS, failures, random);

/** The same for a sink, between two attempts at a delivery. */
export const sinkBackoffMs = (failures: number, random: number): number =>
  backoffMs(FIRST_SINK_MS, MAX_SINK_MS, failures, random);

const backoffMs = (firstMs: number, longestMs: number, failures: number, random: number): number => {
  const fullMs = Math.min(longestMs, firstMs * 2 ** Math.min(20, Math.max(0, failures - 1)));
  return Math.round(fullMs * (1 - random / 4));
};
