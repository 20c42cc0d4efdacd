import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { eq, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db } from '../../postgres/queries.ts';
import { apiBudget } from '../../postgres/tables/sources.ts';
import { Permits, type Wait } from './permits.ts';

/** Cloudflare counts requests over any 5 minutes; the slack covers what delays a request on its way. */
const WINDOW_MS = 300_000;
const WINDOW_SLACK_MS = 5_000;
const BURST_SHARE = 0.1;

interface ApiBudgetOptions extends CountedRows {
  /**
   * Requests in any 5 minutes, of all replicas together; at least 10. Other credentials of the same user may lower it.
   */
  readonly requestsPerWindow: number | (() => number);
  readonly onWait?: (waitMs: number, because: string) => void;
}

export interface ApiBudget {
  acquire(signal: AbortSignal, isListing?: boolean): Promise<void>;
  pause(durationMs: number, reason: 'retry_after' | 'ratelimit'): Promise<void>;
  /** Requests wait for it to have room again. */
  isUsedUp(): boolean;
  available(): Promise<number>;
  /** How much longer `Retry-After` stops all requests; 0 if it does not. */
  blockedSeconds(): Promise<number>;
}

/** Names a credential without holding it: replicas with the same one share a row. */
export const credentialFingerprint = (secret: string): string =>
  createHash('sha256').update(`orgtrail api budget\0${secret}`).digest('hex').slice(0, 16);

/** No 5 minutes see more than the burst and what is spaced out in them. */
export const gcraOf = (requestsPerWindow: number) => {
  const burst = Math.max(1, Math.floor(requestsPerWindow * BURST_SHARE));
  const spacingMs = (WINDOW_MS + WINDOW_SLACK_MS) / (requestsPerWindow - burst);
  return { burst, spacingMs, toleranceMs: (burst - 1) * spacingMs };
};

/** The request budget (invariant 11): a rate limiter (GCRA) in one row, shared by all replicas with credentials of one
 * principal, on the database's clock. Requests that come close together are counted by one statement (permits.ts). */
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
    isUsedUp: () => permits.isUsedUp,
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

/** How long the API (429, or a limit that is used up) still stops all requests; 0 if it does not. */
export const readPauseMs = async (pool: Pool): Promise<number> => {
  const { rows } = await pool.query<{ ms: number }>(
    'select coalesce(max(extract(epoch from greatest(blocked_until, now()) - now())), 0)::float8 * 1000 as ms from api_budget',
  );
  return rows[0]?.ms ?? 0;
};

interface Counted {
  readonly countedFor: string;
  readonly key: string;
  readonly budget: number;
}

/** What all principals together may send at once, and how long the longest `Retry-After` still is: in one statement,
 * which idle principals are no part of. */
export const readBudgetsLeft = async (pool: Pool, credentials: readonly Counted[]) => {
  const { rows } = await pool.query<{ credential: string; blocked_ms: number; ahead_ms: number; paused_ms: number }>(
    `select credential, ahead_ms, blocked_ms, case when blocked_because = 'ratelimit' then 0 else blocked_ms end as paused_ms
     from (select credential, blocked_because,
       extract(epoch from greatest(blocked_until, now()) - now())::float8 * 1000 as blocked_ms,
       extract(epoch from greatest(next_free_at, now()) - now())::float8 * 1000 as ahead_ms
       from api_budget where blocked_until > now() or next_free_at > now()) busy`,
  );
  const busy = new Map(rows.map((row) => [row.credential, row]));
  const left = new Map<string, number>();
  let pausedMs = 0;
  for (const { countedFor, key, budget } of credentials) {
    const { burst, spacingMs, toleranceMs } = gcraOf(budget);
    let least = left.get(countedFor) ?? burst;
    for (const row of [busy.get(countedFor), busy.get(key)]) {
      if (row === undefined) continue;
      const waitMs = Math.max(row.blocked_ms > 0 ? row.blocked_ms : -toleranceMs, row.ahead_ms - toleranceMs);
      least = Math.min(least, Math.max(0, Math.floor(-waitMs / spacingMs) + 1));
      pausedMs = Math.max(pausedMs, row.paused_ms);
    }
    left.set(countedFor, least);
  }
  return { available: [...left.values()].reduce((sum, each) => sum + each, 0), blockedSeconds: pausedMs / 1_000 };
};

interface CountedRows {
  readonly pool: Pool;
  /** Names the row of the credential (`credentialFingerprint`); a function when the credential may be renewed. */
  readonly fingerprint: string | (() => string);
  /**
   * Whom Cloudflare may count for (principal.ts), in the order in which rows are locked. A request counts in all these
   * rows and in that of the credential, and each must have room: a principal's row is shared by its other credentials,
   * the credential's by replicas of versions that know no principal.
   */
  readonly principals?: () => readonly string[];
}

/** The row of credentials whose user is not known: what they send may be any user's. */
export const UNNAMED_USERS = 'user';
const OF_USERS = `credential = '${UNNAMED_USERS}' or credential like 'user:%' and credential not like '% scrub'`;

const followRows = ({ pool, fingerprint, principals = () => [] }: CountedRows, spacingMs: () => number) => {
  const credentialRow = followFingerprint(pool, fingerprint);
  let last: readonly string[] = [];
  return async () => {
    const credential = await credentialRow();
    const rows = principals();
    const entered = rows.filter((row) => !last.includes(row));
    last = rows;
    for (const row of entered) await enterRow(pool, row, spacingMs());
    return [...rows, credential];
  };
};

/** The request that asked for the principal was not counted there. A user may have sent what unnamed users have, and
 * vice versa. */
const enterRow = async (pool: Pool, row: string, spacingMs: number): Promise<void> => {
  await pool.query(
    `insert into api_budget as b (credential, next_free_at, blocked_until, blocked_because)
     select $1, greatest(max(next_free_at), clock_timestamp() + make_interval(secs => $2::float8 / 1000)),
       coalesce(max(blocked_until), '-infinity'), (array_agg(blocked_because order by blocked_until desc))[1]
     from api_budget where ($1 = '${UNNAMED_USERS}') <> (credential = '${UNNAMED_USERS}') and (${OF_USERS})
       -- What is further ahead is of a clock that went back (orgtrail_take_requests).
       and next_free_at < clock_timestamp() + interval '10 minutes'
     on conflict (credential) do update set
       next_free_at = greatest(excluded.next_free_at,
         greatest(b.next_free_at, clock_timestamp()) + make_interval(secs => $2::float8 / 1000)),
       blocked_until = greatest(b.blocked_until, excluded.blocked_until),
       blocked_because = case when excluded.blocked_until > b.blocked_until
         then excluded.blocked_because else b.blocked_because end`,
    [row, spacingMs],
  );
};

const followed = (fingerprint: string | (() => string)): (() => string) =>
  typeof fingerprint === 'string' ? () => fingerprint : fingerprint;

/** A renewed credential is usually of the same user: its row begins with the use and the pause of the old one. */
const followFingerprint = (pool: Pool, fingerprint: string | (() => string)): (() => Promise<string>) => {
  const current = followed(fingerprint);
  let last = current();
  return async () => {
    const now = current();
    if (now === last) return now;
    await pool.query(
      `insert into api_budget as b (credential, next_free_at, blocked_until, blocked_because)
       select $2, next_free_at, blocked_until, blocked_because from api_budget where credential = $1
       on conflict (credential) do update set
         next_free_at = greatest(b.next_free_at, excluded.next_free_at),
         blocked_until = greatest(b.blocked_until, excluded.blocked_until),
         blocked_because = case when excluded.blocked_until > b.blocked_until
           then excluded.blocked_because else b.blocked_because end`,
      [last, now],
    );
    last = now;
    return now;
  };
};

interface ScrubBudgetOptions {
  readonly pool: Pool;
  /** The row of the budget that it is a share of: that of the principal, else of the credential. */
  readonly fingerprint: string | (() => string);
  readonly requestsPerWindow: number;
  /** The part of it for reading history again; more than 0. */
  readonly share: number;
  readonly tickMs: number;
}

export interface ScrubBudget {
  /** Grants up to so many requests without waiting; none while the whole budget is needed, or blocked. */
  take(requests: number): Promise<number>;
  spend(requests: number): Promise<void>;
}

const TICKS_SAVED = 2;

/** Every request goes through the whole budget as well, whose row tells whether it has any to spare. */
export const createScrubBudget = (options: ScrubBudgetOptions): ScrubBudget => {
  const { pool, fingerprint, requestsPerWindow, share, tickMs } = options;
  const whole = gcraOf(requestsPerWindow);
  const spacingMs = whole.spacingMs / share;
  // At least one, however long the ticks and small the share.
  const saved = Math.max(1, Math.ceil((TICKS_SAVED * tickMs) / spacingMs));
  const toleranceMs = (saved - 1) * spacingMs;
  const current = followed(fingerprint);
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
