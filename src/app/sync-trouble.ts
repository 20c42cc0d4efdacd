/** What keeps the daemon from syncing as a whole, for readiness: reading may work although writing does not. */
export interface SyncTrouble {
  /** Something failed, for this reason. */
  failed(reason: string): void;
  /** The latest reason, while it is fresh: with trouble that lasts, every tick fails again. */
  current(): string | undefined;
}

/** Remembers a failure for two ticks. `nowMs` is a steady clock. Used by `run`. */
export const createSyncTrouble = (tickMs: number, nowMs: () => number): SyncTrouble => {
  let latest: { readonly reason: string; readonly atMs: number } | undefined;
  return {
    failed: (reason) => {
      latest = { reason, atMs: nowMs() };
    },
    current: () => (latest !== undefined && nowMs() - latest.atMs <= 2 * tickMs ? latest.reason : undefined),
  };
};
