import { and, arrayContains, eq, gt, inArray, isNull, or } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db } from '../postgres/db.ts';
import { accessTokens, consoleSessions } from '../postgres/tables/access.ts';
import { databaseTime } from '../postgres/tables/column-types.ts';
import type { SessionProof } from './ports.ts';

/** Of one token at a time; the oldest ones end. It bounds the table. */
const MAX_SESSIONS = 1_000;

/** A session that has not ended. */
export interface ConsoleSession {
  /** The name of its token; null: ORGTRAIL_FEED_TOKEN. */
  readonly tokenName: string | null;
}

/** Begins a session of the token, or of ORGTRAIL_FEED_TOKEN, and removes those that have expired. */
export const startSession = async (
  pool: Pool,
  session: {
    readonly key: Buffer;
    readonly tokenId: number | undefined;
    readonly seconds: number;
    readonly proof: SessionProof | undefined;
  },
): Promise<void> => {
  await pool.query(
    `with ended as (
       delete from console_sessions where expires_at <= clock_timestamp() or key in (
         select key from console_sessions where token_id is not distinct from $2::bigint
         order by created_at desc offset ${MAX_SESSIONS - 1}))
     insert into console_sessions (key, token_id, expires_at)
     values ($1, $2::bigint, clock_timestamp() + make_interval(secs => $3))`,
    [session.key, session.tokenId ?? null, session.seconds],
  );
  const { key, proof } = session;
  // A token of an earlier version proves nothing, but still signs in.
  if (proof !== undefined) {
    await pool.query('select orgtrail_prove_session($1, $2, $3)', [key, proof.token, proof.session]);
  }
};

/** The session of one of these keys, if it has not ended and its token still opens the console. */
export const findSession = async (pool: Pool, keys: readonly Buffer[]): Promise<ConsoleSession | undefined> => {
  const { tokenId, expiresAt } = consoleSessions;
  const opensConsole = and(
    isNull(accessTokens.revokedAt),
    arrayContains(accessTokens.scopes, ['search']),
    or(isNull(accessTokens.expiresAt), gt(accessTokens.expiresAt, databaseTime)),
  );
  const [session] = await db(pool)
    .select({ tokenName: accessTokens.name })
    .from(consoleSessions)
    .leftJoin(accessTokens, eq(accessTokens.id, tokenId))
    .where(and(inArray(consoleSessions.key, keys), gt(expiresAt, databaseTime), or(isNull(tokenId), opensConsole)));
  return session;
};

/** Ends it for every replica. */
export const endSession = async (pool: Pool, keys: readonly Buffer[]): Promise<void> => {
  await db(pool).delete(consoleSessions).where(inArray(consoleSessions.key, keys));
};
