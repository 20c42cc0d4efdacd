import type { SourceFacts, SourceHealth } from '../health.ts';

/** What tells a history that is being read from time that was skipped. Seconds. */
export interface HistoryFacts extends Pick<SourceFacts, 'gapSeconds'> {
  /** From the horizon to now. */
  readonly wantedSeconds: number;
  /** From the horizon to the oldest time that is collected; all that is wanted if nothing is. */
  readonly unreadHistorySeconds: number;
}

/**
 * Whether all that it lacks, beside the ordinary delay, is older than anything that was ever collected: it is read for the first
 * time, newest first, and no time was skipped. False as soon as its newest time lags, or time in between is missing: then it is behind.
 * A pure function; `readSummary` says the same in SQL.
 */
export const isFirstReading = (
  { state, gapSeconds, unreadHistorySeconds }: HistoryFacts & { readonly state: SourceHealth },
  behindAfterSeconds: number,
): boolean => state === 'behind' && gapSeconds - unreadHistorySeconds <= behindAfterSeconds;

/** How much of the time that is wanted is collected, from 0 to 1. */
export const collectedShare = ({
  wantedSeconds,
  gapSeconds,
}: Pick<HistoryFacts, 'wantedSeconds' | 'gapSeconds'>): number =>
  wantedSeconds <= 0 ? 1 : Math.min(1, Math.max(0, 1 - gapSeconds / wantedSeconds));
