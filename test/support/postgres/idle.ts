import { setTimeout as pause } from 'node:timers/promises';
import { usageOf } from '../process/process-usage.ts';
import { until } from '../process/until.ts';

/** On a busy machine a process may get no time for a second though it has something to do. */
const QUIET_LOOKS = 3;

/** Resolves when the process has done nothing for some seconds: the kernel has taken all that it takes of what is sent to a reader. */
export const idle = async (pid: number): Promise<void> => {
  let before = Number.NEGATIVE_INFINITY;
  let quietLooks = 0;
  await until('the process waits for its reader', async () => {
    const { cpuMs } = await usageOf(pid);
    quietLooks = cpuMs - before <= 20 ? quietLooks + 1 : 0;
    before = cpuMs;
    if (quietLooks < QUIET_LOOKS) await pause(1_000);
    return quietLooks >= QUIET_LOOKS;
  });
};
