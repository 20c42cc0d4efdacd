const FIRST_MS = 5_000;
/** Longer than the five minutes of Cloudflare's block, short enough that a restored access is noticed within a coffee. */
const LONGEST_MS = 900_000;

/**
 * How long a source rests after its `failures`-th failure in a row (1, 2, …). `random` in [0, 1) spreads sources
 * that failed together. Used by sync; the database adds it to its own clock.
 */
export const sourceBackoffMs = (failures: number, random: number): number => {
  const fullMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(20, Math.max(0, failures - 1)));
  return Math.round(fullMs * (1 - random / 4));
};
