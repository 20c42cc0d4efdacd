import type { Pool } from 'pg';

/** Whom requests are counted for. */
export interface CountedRows {
  readonly pool: Pool;
  /** Names the row of the credential; see `credentialFingerprint`. A function when the credential may be renewed. */
  readonly fingerprint: string | (() => string);
  /**
   * Whom Cloudflare may count for (principal.ts), if that is not the credential by itself, in the order in which rows are locked. A request counts in
   * the rows of all of them and in that of the credential, and all must have room: those of principals are shared by their other credentials, that of
   * the credential by replicas of versions that know no principal.
   */
  readonly principals?: () => readonly string[];
}

/** The row of all users whose credentials do not say whose they are: what they send may be any user's. */
export const UNNAMED_USERS = 'user';
const OF_USERS = `credential = '${UNNAMED_USERS}' or credential like 'user:%' and credential not like '% scrub'`;

/** The rows that count a request, in the order in which they are locked. */
export const followRows = (
  { pool, fingerprint, principals = () => [] }: CountedRows,
  spacingMs: () => number,
): (() => Promise<readonly string[]>) => {
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

/**
 * The request that asked for the principal is the one that could not count for it. A user may have sent what unnamed users have, and they what
 * any user has: so much of the row is used, too.
 */
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

export const followed = (fingerprint: string | (() => string)): (() => string) =>
  typeof fingerprint === 'string' ? () => fingerprint : fingerprint;

/**
 * The row in force. A renewed credential is usually of the same user, whose requests Cloudflare counts together: its row
 * begins with what the old one has used, and with its pause.
 */
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
