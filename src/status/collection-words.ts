import { formatDuration } from '../time/duration.ts';

/**
 * What time that has not been read from Cloudflare is called, on every page and by every command: one number (`gap_seconds`,
 * all of the time wanted that is not collected, the delay and holes included), and one word for it.
 */
export const NOT_COLLECTED = 'Not collected';
/** `lag_seconds`: from the end of what is collected to now. */
export const DELAY = 'Delay';

interface Uncollected {
  readonly gapSeconds: number;
  readonly lagSeconds: number;
}

/** `45s`; whole seconds, since the next turn collects what is less. */
export const collectionSpan = (seconds: number): string => (seconds < 1 ? '0s' : formatDuration(seconds * 1_000));

/** All of it in one sentence, with where it is. */
export const notCollectedSentence = ({ gapSeconds, lagSeconds }: Uncollected): string => {
  const all = `${NOT_COLLECTED}: ${collectionSpan(gapSeconds)}`;
  if (gapSeconds < 1) return `${all}.`;
  if (gapSeconds - lagSeconds < 1) return `${all}, the newest.`;
  return lagSeconds < 1 ? `${all}, of earlier time.` : `${all}, ${collectionSpan(lagSeconds)} of it the newest.`;
};
