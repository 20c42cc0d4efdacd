import { setTimeout as sleep } from 'node:timers/promises';

/** For what another process brings about and tells nobody: looks again and again, and throws when the time is up. */
export const until = async (what: string, holds: () => Promise<boolean>, patienceMs = 30_000): Promise<void> => {
  const giveUpAt = performance.now() + patienceMs;
  while (!(await holds())) {
    if (performance.now() > giveUpAt) throw new Error(`not within ${patienceMs} ms: ${what}`);
    await sleep(50);
  }
};
