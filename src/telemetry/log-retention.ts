import type { Logger } from 'pino';
import { keyOf } from '../ingest/planning/source.ts';
import { RETENTION_URGENT_MS } from '../ingest/planning/upstream-retention.ts';
import { kindOf } from '../ingest/sources/registry.ts';
import type { NearRetention } from '../ingest/sync/ports.ts';
import { formatDuration } from '../time/duration.ts';
import { onceADay } from './once-a-day.ts';

/** A first backfill begins with time that is about to be deleted, and reads it by itself: what lasts longer is trouble. */
const GRACE_MS = 3_600_000;

/**
 * Warns of sources that have time which is not collected and which Cloudflare will soon delete: for 30 days before, again for the last 7, once a day each.
 * Called with all of them after every plan.
 */
export const logRetention = (logger: Logger, nowMs: () => number): ((near: readonly NearRetention[]) => void) => {
  const mayWarn = onceADay(nowMs);
  let nearSinceMs = new Map<string, number>();
  return (near) => {
    const stillNear = new Map<string, number>();
    for (const { source, slackMs } of near) {
      const key = keyOf(source);
      const sinceMs = nearSinceMs.get(key) ?? nowMs();
      stillNear.set(key, sinceMs);
      const urgent = slackMs < RETENTION_URGENT_MS;
      if (nowMs() - sinceMs < GRACE_MS || !mayWarn(`${key} ${urgent}`)) continue;
      const when =
        slackMs <= 0
          ? 'are being deleted by Cloudflare now'
          : `will be deleted by Cloudflare in ${formatDuration(slackMs)}`;
      const kind = kindOf(source).owner === 'organization' ? {} : { kind: source.kind };
      const facts = { source: source.id, retentionSlackSeconds: Math.round(slackMs / 1_000), urgent, ...kind };
      logger.warn(facts, `unread audit logs ${when}`);
    }
    nearSinceMs = stillNear;
  };
};
