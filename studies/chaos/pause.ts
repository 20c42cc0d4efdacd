import { setTimeout as sleep } from 'node:timers/promises';

/** Waits; comes back early, without an error, when the signal aborts. */
export const pause = async (ms: number, signal: AbortSignal): Promise<void> => {
  await sleep(ms, undefined, { signal }).catch(() => {});
};
