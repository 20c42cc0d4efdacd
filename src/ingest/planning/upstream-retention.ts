import { type Coverage, gapsIn } from './coverage.ts';

const DAY_MS = 86_400_000;

/** Cloudflare keeps audit logs for 18 months; older time is empty. The view sync_status has the same constant. */
export const RETENTION_MS = 548 * DAY_MS;

/** Unread time with less than this left is worth a warning, and with less than the second a louder one. */
export const RETENTION_NEAR_MS = 30 * DAY_MS;
export const RETENTION_URGENT_MS = 7 * DAY_MS;

/**
 * How long until the oldest time that is wanted and unread leaves Cloudflare's retention, as of Cloudflare's time `nowMs`:
 * 0 while it does so at this moment, all of the retention if nothing is unread.
 */
export const retentionSlackMs = (firstReading: Coverage, horizonMs: number, nowMs: number): number => {
  const oldestKeptMs = nowMs - RETENTION_MS;
  const [oldest] = gapsIn({ fromMs: Math.max(horizonMs, oldestKeptMs), toMs: nowMs }, firstReading);
  return oldest === undefined ? RETENTION_MS : oldest.fromMs - oldestKeptMs;
};
