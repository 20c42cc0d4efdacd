import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { type CountedRows, followed, followRows } from './budget-rows.sql.ts';
import { Permits, type Wait } from './permits.ts';

/** Cloudflare counts requests over any 5 minutes; the seconds on top cover what delays a request on its way. */
const WINDOW_MS = 300_000;
const WINDOW_SLACK_MS = 5_000;
/** The share of the budget that may go out at once. */
const BURST_SHARE = 0.1;

export interface ApiBudgetOptions extends CountedRows {
  /** Requests in any 5 minutes, of all replicas together. At least 10. A function if other credentials of the same user may lower it. */
  readonly requestsPerWindow: number | (() => number);
  /** Called for every wait, in milliseconds, with its reason. */
  readonly onWait?: (waitMs: number, because: string) => void;
}

export interface ApiBudget {
  acquire(signal: AbortSignal, isListing?: boolean): Promise<void>;
  pause(durationMs: number, reason: 'retry_after' | 'ratelimit'): Promise<void>;
  /** Requests that could go out at once now. For the metric. */
  available(): Promise<number>;
  /** How much longer `Retry-After` stops all requests; 0 if it does not. For the metric. */
  blockedSeconds(): Promise<number>;
}

/** Names a credential without holding it: replicas with the same one share a row. */
export const credentialFingerprint = (secret: string): string =>
  createHash('sha256').update(`orgtrail api budget\0${secret}`).digest('hex').slice(0, 16);

/** What a budget means for the rate limiter: no 5 minutes see more than its burst and what is spaced out in them. */
export const gcraOf = (requestsPerWindow: number) => {
  const burst = Math.max(1, Math.floor(requestsPerWindow * BURST_SHARE));
  const spacingMs = (WINDOW_MS + WINDOW_SLACK_MS) / (requestsPerWindow - burst);
  return { burst, spacingMs, toleranceMs: (burst - 1) * spacingMs };
};

/**
 * The request budget (invariant 11): a rate limiter of one row (GCRA) that all replicas with the credentials of one principal share,
 * on the database's clock. Burst and rate are set so that no 5 minutes anywhere see more than the budget. Requests that come close together
 * are counted by one statement (permits.ts).
 */
export const createApiBudget = (options: ApiBudgetOptions): ApiBudget => {
  const { pool, requestsPerWindow } = options;
  const limits = () => gcraOf(typeof requestsPerWindow === 'number' ? requestsPerWindow : requestsPerWindow());
  const rowKeys = followRows(options, () => limits().spacingMs);

  const take = async (needed: number, ahead: number): Promise<number> => {
    const keys = await rowKeys();
    const { spacingMs, toleranceMs } = limits();
    const { rows } = await pool.query<{ taken: number }>('select orgtrail_take_requests($1, $2, $3, $4, $5) as taken', [
      keys,
      spacingMs,
      toleranceMs,
      needed,
      ahead,
    ]);
    return rows[0]?.taken ?? 0;
  };

  const waitTime = async (): Promise<Wait> => {
    const { toleranceMs } = limits();
    const { rows } = await pool.query<{ blocked_ms: number; spaced_ms: number; blocked_because: string | null }>(
      // No infinite time is subtracted: before version 17 that is an error.
      `select extract(epoch from greatest(blocked_until, now()) - now())::float8 * 1000 as blocked_ms,
         extract(epoch from greatest(next_free_at, now()) - now())::float8 * 1000 - $2 as spaced_ms, blocked_because
       from api_budget where credential = any($1)
       order by greatest(blocked_until, next_free_at - make_interval(secs => $2::float8 / 1000)) desc limit 1`,
      [await rowKeys(), toleranceMs],
    );
    const row = rows[0] ?? { blocked_ms: 0, spaced_ms: -toleranceMs, blocked_because: null };
    if (row.blocked_ms > Math.max(0, row.spaced_ms))
      return { waitMs: row.blocked_ms, because: row.blocked_because ?? 'retry_after' };
    return { waitMs: row.spaced_ms, because: 'budget' };
  };

  const fingerprint = followed(options.fingerprint);
  const permits = new Permits({
    take,
    wait: waitTime,
    name: () => [...(options.principals?.() ?? []), fingerprint()].join(' '),
    nowMs: () => performance.now(),
    sleep: (durationMs, signal) => sleep(durationMs, undefined, { signal }),
    onWait: ({ waitMs, because }) => options.onWait?.(waitMs, because),
  });

  return {
    acquire: (signal, isListing) => permits.acquire(signal, isListing),
    pause: async (durationMs, reason) => {
      permits.drop();
      await pool.query(
        `insert into api_budget as b (credential, blocked_until, blocked_because)
         select credential, clock_timestamp() + make_interval(secs => $2::float8 / 1000), $3 from unnest($1::text[]) credential
         on conflict (credential) do update set blocked_until = excluded.blocked_until, blocked_because = excluded.blocked_because
         where b.blocked_until < excluded.blocked_until`,
        [await rowKeys(), durationMs, reason],
      );
    },
    available: async () => {
      const { waitMs } = await waitTime();
      const { burst, spacingMs } = limits();
      return Math.min(burst, Math.max(0, Math.floor(-waitMs / spacingMs) + 1));
    },
    blockedSeconds: async () => {
      const { waitMs, because } = await waitTime();
      return because === 'retry_after' ? waitMs / 1_000 : 0;
    },
  };
};

/** How much longer the API (429, or a limit that is used up) stops all requests. Milliseconds; 0 if it does not. */
export const readPauseMs = async (pool: Pool): Promise<number> => {
  const { rows } = await pool.query<{ ms: number }>(
    'select coalesce(max(extract(epoch from greatest(blocked_until, now()) - now())), 0)::float8 * 1000 as ms from api_budget',
  );
  return rows[0]?.ms ?? 0;
};
