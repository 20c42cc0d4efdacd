import { setTimeout as sleep } from 'node:timers/promises';
import { BusyError } from '../errors.ts';

/** A place is waited for before that, but for one that is refused at once. */
const RETRY_AFTER_MS = 500;

/**
 * What the work comes to, as soon as it is not refused as busy. For a reader whose answer has begun: it has its place, and would be cut off
 * otherwise. Rejects with everything else, and when `gone` aborts.
 */
export const retryWhileBusy = async <T>(work: () => Promise<T>, gone: AbortSignal): Promise<T> => {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof BusyError)) throw error;
      await sleep(RETRY_AFTER_MS, undefined, { signal: gone });
    }
  }
};
