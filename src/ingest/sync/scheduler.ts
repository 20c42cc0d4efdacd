import { Cron } from 'croner';

export interface Scheduler {
  /** Stops ticking and resolves when the tick under way has ended. */
  stop(): Promise<void>;
}

/**
 * Ticks by a cron pattern with seconds; the first tick comes at once. Ticks never overlap: one that comes due while another
 * is under way is left out. `onError` is called for ticks that fail; the next tick retries.
 */
export const startScheduler = (
  schedule: string,
  tick: () => Promise<void>,
  onError: (error: unknown) => void,
): Scheduler => {
  let underWay: Promise<void> | undefined;
  const run = (): void => {
    underWay ??= tick()
      .catch(onError)
      .finally(() => {
        underWay = undefined;
      });
  };
  const job = new Cron(schedule, run);
  run();
  return {
    stop: async () => {
      job.stop();
      await underWay;
    },
  };
};

/** The milliseconds between the next two ticks of a pattern; undefined if it is not one. For checks and thresholds. */
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
