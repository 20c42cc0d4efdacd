import { eq, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db } from '../../postgres/db.ts';
import { apiBudget } from '../../postgres/tables/sources.ts';
import { gcraOf } from './api-budget.sql.ts';

export interface ScrubBudgetOptions {
  readonly pool: Pool;
  /** Names the row of the budget that it is a share of: that of the principal, else that of the credential. */
  readonly fingerprint: string | (() => string);
  /** Of the whole budget, in any 5 minutes, of all replicas together. */
  readonly requestsPerWindow: number;
  /** Of these, what may go to reading history again. More than 0. */
  readonly share: number;
  /** Between two plans. */
  readonly tickMs: number;
}

export interface ScrubBudget {
  /** Grants up to so many requests, without waiting: none while the whole budget is needed, or blocked. */
  take(requests: number): Promise<number>;
  /** What was sent beyond what had been granted. */
  spend(requests: number): Promise<void>;
}

/** Saved up for so many plans. */
const TICKS_SAVED = 2;

/**
 * A second rate limiter (GCRA) of one row beside that of the whole budget (api-budget.ts), which every request goes through as well. That of
 * the whole budget says whether it is needed: one that is used up to its limit, or nearly, has none to spare.
 */
export const createScrubBudget = (options: ScrubBudgetOptions): ScrubBudget => {
  const { pool, fingerprint, requestsPerWindow, share, tickMs } = options;
  const whole = gcraOf(requestsPerWindow);
  const spacingMs = whole.spacingMs / share;
  // At least one, however long the ticks and small the share.
  const saved = Math.max(1, Math.ceil((TICKS_SAVED * tickMs) / spacingMs));
  const toleranceMs = (saved - 1) * spacingMs;
  const current = () => (typeof fingerprint === 'string' ? fingerprint : fingerprint());
  let madeRow: string | undefined;
  return {
    take: async (requests) => {
      const credential = current();
      const row = `${credential} scrub`;
      if (row !== madeRow) await db(pool).insert(apiBudget).values({ credential: row }).onConflictDoNothing();
      madeRow = row;
      const { rows } = await pool.query<{ granted: number }>(
        `with budget as (
           select from api_budget where credential = $1
             and (blocked_until > clock_timestamp() or next_free_at > clock_timestamp() + make_interval(secs => $2::float8 / 1000))),
         known as (
           select greatest(next_free_at, clock_timestamp()) as free_at from api_budget where credential = $3 for update),
         granted as (
           select free_at, least($4::integer, 1 + floor(
             (extract(epoch from clock_timestamp() - free_at) * 1000 + $5::float8) / $6::float8))::integer as requests from known)
         update api_budget b set next_free_at = granted.free_at + make_interval(secs => granted.requests * $6::float8 / 1000)
         from granted where b.credential = $3 and granted.requests > 0 and not exists (select from budget)
         returning granted.requests as granted`,
        [credential, whole.toleranceMs / 2, row, requests, toleranceMs, spacingMs],
      );
      return rows[0]?.granted ?? 0;
    },
    spend: async (requests) => {
      const { credential, nextFreeAt } = apiBudget;
      const spent = sql`make_interval(secs => ${requests * spacingMs}::float8 / 1000)`;
      await db(pool)
        .update(apiBudget)
        .set({ nextFreeAt: sql`greatest(${nextFreeAt}, clock_timestamp()) + ${spent}` })
        .where(eq(credential, `${current()} scrub`));
    },
  };
};
