import { createHash, randomBytes } from 'node:crypto';
import { and, eq, gt, isNull, or, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db, type Row } from '../postgres/db.ts';
import { sqlState } from '../postgres/sql-state.ts';
import { accessTokens } from '../postgres/tables/access.ts';
import { databaseTime } from '../postgres/tables/column-types.ts';
import type { Scope } from './access.ts';
import { keptOfProof, tokenProof } from './access-log-proof.ts';

/** Lets people and secret scanners recognise a token. */
export const TOKEN_PREFIX = 'orgtrail_';
const UNIQUE_VIOLATION = '23505';

const { expiresAt, revokedAt } = accessTokens;

const columns = {
  id: accessTokens.id,
  name: accessTokens.name,
  scopes: accessTokens.scopes,
  state: sql<'active' | 'expired' | 'revoked'>`case when ${revokedAt} is not null then 'revoked'
    when ${expiresAt} <= clock_timestamp() then 'expired' else 'active' end`,
  expiresAt,
  createdAt: accessTokens.createdAt,
  createdAs: accessTokens.createdAs,
  revokedAt,
  revokedAs: accessTokens.revokedAs,
  seesAccessLog: accessTokens.seesAccessLog,
  replaysSinks: accessTokens.replaysSinks,
};

/** A token as `token list --json` prints it: nothing of it opens anything. */
export type AccessToken = Row<typeof columns>;

const activeColumns = {
  id: accessTokens.id,
  name: accessTokens.name,
  scopes: accessTokens.scopes,
  /** SHA-256, hexadecimal. */
  hash: sql<string>`encode(${accessTokens.hash}, 'hex')`,
  /** By the clock of the database; null: it does not expire. */
  expiresInMs: sql<number | null>`extract(epoch from ${expiresAt} - clock_timestamp())::float8 * 1000`,
};

/** What a presented token is compared with. */
export type ActiveToken = Row<typeof activeColumns>;

/** SHA-256, hexadecimal. It needs no salt: a token has 256 random bits. */
export const hashOfToken = (token: string): string => createHash('sha256').update(token).digest('hex');

/** Makes a token and returns it once: only its hash is stored. Undefined if there is one of this name that is not revoked. */
export const createAccessToken = async (
  pool: Pool,
  wanted: {
    readonly name: string;
    readonly scopes: readonly Scope[];
    readonly expiresAt: Date | undefined;
    /** Its sessions see all of the trail of access. */
    readonly seesAccessLog?: boolean;
    /** Its sessions may set a sink back. */
    readonly replaysSinks?: boolean;
  },
): Promise<(AccessToken & { readonly token: string }) | undefined> => {
  const token = `${TOKEN_PREFIX}${randomBytes(32).toString('base64url')}`;
  try {
    const [created] = await db(pool)
      .insert(accessTokens)
      .values({
        ...wanted,
        scopes: [...wanted.scopes],
        hash: Buffer.from(hashOfToken(token), 'hex'),
        accessLogProof: keptOfProof(tokenProof(token)),
      })
      .returning(columns);
    return created && { ...created, token };
  } catch (error) {
    if (sqlState(error) === UNIQUE_VIOLATION) return undefined;
    throw error;
  }
};

/** All of them, revoked ones too, oldest first. */
export const readAccessTokens = async (pool: Pool): Promise<readonly AccessToken[]> =>
  await db(pool).select(columns).from(accessTokens).orderBy(accessTokens.id);

/** Ends a token and its sessions; it stays in the table. Undefined if there is none of this name that is not revoked. */
export const revokeAccessToken = async (pool: Pool, name: string): Promise<AccessToken | undefined> => {
  const [revoked] = await db(pool)
    .update(accessTokens)
    .set({ revokedAt: databaseTime, revokedAs: sql`session_user` })
    .where(and(eq(accessTokens.name, name), isNull(revokedAt)))
    .returning(columns);
  return revoked;
};

/** Those that open something now. */
export const readActiveTokens = async (pool: Pool): Promise<readonly ActiveToken[]> =>
  await db(pool)
    .select(activeColumns)
    .from(accessTokens)
    .where(and(isNull(revokedAt), or(isNull(expiresAt), gt(expiresAt, databaseTime))));
