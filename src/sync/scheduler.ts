import { Cron } from 'croner';
import type { CycleReport } from './cycle.ts';

/** A cycle in the hands of the scheduler. `interrupted` turns true when the next tick is due. */
export type RunCycle = (interrupted: () => boolean) => Promise<CycleReport>;

export interface Scheduler {
  /** Stops ticking and resolves when the cycle under way has ended. */
  stop(): Promise<void>;
}

/**
 * Ticks by a cron pattern with seconds; the first cycle begins at once. Cycles never overlap: a tick that comes while one
 * runs asks it to end between two pages and then runs the next, so that a long backfill never holds up the live tail.
 * `onError` hears of cycles that failed as a whole (database or network away); the next tick tries again.
 */
export const startScheduler = (schedule: string, runCycle: RunCycle, onError: (error: unknown) => void): Scheduler => {
  let due = false;
  let stopped = false;
  let running: Promise<void> = Promise.resolve();
  let busy = false;
  const tick = (): void => {
    due = true;
    if (busy || stopped) return;
    busy = true;
    running = (async () => {
      while (due && !stopped) {
        due = false;
        try {
          await runCycle(() => due || stopped);
        } catch (error) {
          onError(error);
        }
      }
      busy = false;
    })();
  };
  const job = new Cron(schedule, { catch: onError }, tick);
  tick();
  return {
    stop: async () => {
      stopped = true;
      job.stop();
      await running;
    },
  };
};

/** The milliseconds between the next two ticks of a pattern; undefined where it is not one. For checks and thresholds. */
export const tickIntervalMs = (schedule: string): number | undefined => {
  try {
    const job = new Cron(schedule, { paused: true });
    const [first, second] = job.nextRuns(2);
    job.stop();
    return first === undefined || second === undefined ? undefined : second.getTime() - first.getTime();
  } catch {
    return undefined;
  }
};
