import { createHash, randomBytes } from 'node:crypto';
import { and, eq, gt, isNull, or, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db, type Row, readOnly } from '../queries.ts';
import { sqlState } from '../sql-state.ts';
import { accessTokens } from '../tables/access.ts';
import { databaseTime } from '../tables/column-types.ts';
import { keptOfProof, type Scope, tokenProof } from './access.ts';
import { giveOrder, type Ordering } from './access-log.sql.ts';

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

/** As `token list --json` prints it: nothing of it opens anything. */
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

export type ActiveToken = Row<typeof activeColumns>;

/** SHA-256, hexadecimal. It needs no salt: a token has 256 random bits. */
export const hashOfToken = (token: string): string => createHash('sha256').update(token).digest('hex');

/** Returns the token once: only its hash is stored. Undefined if an unrevoked one has this name. */
export const createAccessToken = async (
  source: Ordering,
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
  const { seesAccessLog = false, replaysSinks = false, ...rest } = wanted;
  const rights = { ...(seesAccessLog && { accessLog: true }), ...(replaysSinks && { replay: true }) };
  const proof = keptOfProof(tokenProof(token)).toString('hex');
  try {
    const created = await ordered(source, 'token create', { ...rest, ...rights, hash: hashOfToken(token), proof });
    return created && { ...created, token };
  } catch (error) {
    if (sqlState(error) === UNIQUE_VIOLATION) return undefined;
    throw error;
  }
};

const ordered = async (
  source: Ordering,
  order: string,
  given: Readonly<Record<string, unknown>>,
): Promise<AccessToken | undefined> => {
  const done = await giveOrder<{ readonly id: number }>(source, order, given);
  const of = eq(accessTokens.id, done?.id ?? 0);
  return (await db(source.pool).select(columns).from(accessTokens).where(of))[0];
};

/** Revoked ones too, oldest first. */
export const readAccessTokens = async (pool: Pool): Promise<readonly AccessToken[]> =>
  await db(pool).select(columns).from(accessTokens).orderBy(accessTokens.id);

/** Its sessions end; it stays in the table. Undefined if no unrevoked one has this name. */
export const revokeAccessToken = async (source: Ordering, name: string): Promise<AccessToken | undefined> =>
  await ordered(source, 'token revoke', { name });

export const readActiveTokens = async (pool: Pool): Promise<readonly ActiveToken[]> =>
  await db(pool)
    .select(activeColumns)
    .from(accessTokens)
    .where(and(isNull(revokedAt), or(isNull(expiresAt), gt(expiresAt, databaseTime))));

const TIMEOUT_MS = 5_000;
const MOST_TOKENS = 500;

export interface ShownToken extends AccessToken {
  /** `2026-11-27`, in UTC, by the trail of access, which has 400 days; null: not in that time. */
  readonly usedOn: string | null;
  /** Of the console, in force now. */
  readonly sessions: number;
  readonly lastSignInAt: Date | null;
}

export interface TokenOverview {
  /** Those that open something first, then by when they were made, the newest first. */
  readonly tokens: readonly ShownToken[];
  readonly isCut: boolean;
  /** Sessions in force that began with ORGTRAIL_FEED_TOKEN. */
  readonly feedTokenSessions: number;
}

/** Rejects if the database does not answer within some seconds. */
export const readTokenOverview = async (pool: Pool): Promise<TokenOverview> =>
  await readOnly(pool, TIMEOUT_MS, async (client) => {
    const { rows } = await client.query<ShownToken>(statement, [MOST_TOKENS + 1]);
    const sessions = await client.query<{ count: number }>(
      'select count(*)::integer as count from console_sessions where token_id is null and expires_at > clock_timestamp()',
    );
    return {
      tokens: rows.slice(0, MOST_TOKENS),
      isCut: rows.length > MOST_TOKENS,
      feedTokenSessions: sessions.rows[0]?.count ?? 0,
    };
  });

const statement = `select t.id::float8 as id, t.name, t.scopes, s.state, t.created_at as "createdAt", t.created_as as "createdAs",
    t.expires_at as "expiresAt", t.revoked_at as "revokedAt", t.revoked_as as "revokedAs",
    t.sees_access_log as "seesAccessLog", t.replays_sinks as "replaysSinks", u.used_on::text as "usedOn", c.sessions, c.last as "lastSignInAt"
  from access_tokens t
  cross join lateral (select case when t.revoked_at is not null then 'revoked'
    when t.expires_at <= clock_timestamp() then 'expired' else 'active' end as state) s
  cross join lateral (select count(*)::integer as sessions, max(created_at) as last from console_sessions
    where token_id = t.id and expires_at > clock_timestamp() and s.state = 'active') c
  left join orgtrail_token_use() u on u.token_id = t.id
  order by s.state <> 'active', t.id desc limit $1`;
