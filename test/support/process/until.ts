import { setTimeout as sleep } from 'node:timers/promises';

/** Progress ends a wait: this only ends one for something that does not come, also on a machine with very much else to do. */
const TIMEOUT_MS = 600_000;
const LOOK_EVERY_MS = 20;

/** For what another process does without a signal: looks again and again, and throws when it does not come. */
export const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
  const giveUpAt = performance.now() + TIMEOUT_MS;
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error(`not within ${TIMEOUT_MS / 1_000} s: ${what}`);
    await sleep(LOOK_EVERY_MS);
  }
};
