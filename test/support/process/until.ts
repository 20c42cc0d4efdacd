import { setTimeout as sleep } from 'node:timers/promises';

/** Progress ends a wait: this only ends one for something that does not come, also on a machine with very much else to do. */
const TIMEOUT_MS = 600_000;
const [LEAST_PAUSE_MS, LONGEST_PAUSE_MS] = [20, 2_000];
/** In times of what the last check took: some compare all that is stored, and others need the cores. */
const PAUSE = 9;
/** What has taken long takes longer: the pause is a part of the time waited so far, up to half a second. */
const [PART, LONGEST_PART_MS] = [0.05, 500];

/** For what another process does without a signal: looks again and again, and throws when it does not come. */
export const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
  const startedAt = performance.now();
  const giveUpAt = startedAt + TIMEOUT_MS;
  for (;;) {
    const beganAt = performance.now();
    if (await holds()) return;
    const endedAt = performance.now();
    if (endedAt > giveUpAt) throw new Error(`not within ${TIMEOUT_MS / 1_000} s: ${what}`);
    const partMs = Math.min(LONGEST_PART_MS, PART * (endedAt - startedAt));
    await sleep(Math.max(LEAST_PAUSE_MS, partMs, Math.min(LONGEST_PAUSE_MS, PAUSE * (endedAt - beganAt))));
  }
};
