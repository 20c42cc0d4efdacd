import { createDaemon, type DaemonOptions } from './daemon.ts';
import type { SyncContext } from './ports.ts';
import { startScheduler } from './scheduler.ts';

export interface SyncForeverOptions extends DaemonOptions {
  /** Cron pattern with seconds. */
  readonly schedule: string;
}

export interface Syncing {
  /** Begins nothing new, and resolves when what is under way has ended. */
  stop(): Promise<void>;
}

/** The daemon: ticks by its schedule. Called by the command `run`. */
export const syncForever = (context: SyncContext, options: SyncForeverOptions): Syncing => {
  const daemon = createDaemon(context, options);
  const scheduler = startScheduler(options.schedule, daemon.tick, options.onError);
  return {
    stop: async () => {
      daemon.clear();
      await scheduler.stop();
      daemon.clear();
      await daemon.idle();
    },
  };
};
