const DAY_MS = 86_400_000;

/** Cloudflare keeps audit logs for 18 months; older time is empty. The view sync_status has the same constant. */
export const RETENTION_MS = 548 * DAY_MS;

/** Unread time with less than this left is worth a warning, and with less than the second a louder one. */
export const RETENTION_NEAR_MS = 30 * DAY_MS;
export const RETENTION_URGENT_MS = 7 * DAY_MS;

/**
 * How long until the oldest time that is wanted and unread leaves Cloudflare's retention, as of Cloudflare's time `nowMs`: 0 while it does so
 * at this moment, all of the retention if nothing is unread. `readUpTo`: where the first reading ends that has read everything from a time on.
 */
export const retentionSlackMs = (
  readUpTo: (fromMs: number) => number | undefined,
  horizonMs: number,
  nowMs: number,
): number | undefined => {
  const oldestKeptMs = nowMs - RETENTION_MS;
  const unreadMs = readUpTo(Math.max(horizonMs, oldestKeptMs));
  if (unreadMs === undefined) return undefined;
  return unreadMs >= nowMs ? RETENTION_MS : unreadMs - oldestKeptMs;
};
