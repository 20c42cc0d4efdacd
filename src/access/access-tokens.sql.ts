import { createHash, randomBytes } from 'node:crypto';
import type { Pool } from 'pg';
import { sqlState } from '../postgres/sql-state.ts';
import type { Scope } from './access.ts';

/** Lets people and secret scanners recognise a token. */
export const TOKEN_PREFIX = 'orgtrail_';
const UNIQUE_VIOLATION = '23505';

/** A token as `token list --json` prints it: nothing of it opens anything. */
export interface AccessToken {
  readonly id: number;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly state: 'active' | 'expired' | 'revoked';
  readonly expiresAt: Date | null;
  readonly createdAt: Date;
  readonly createdAs: string;
  readonly revokedAt: Date | null;
  readonly revokedAs: string | null;
}

/** What a presented token is compared with. */
export interface ActiveToken {
  readonly id: number;
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** SHA-256, hexadecimal. */
  readonly hash: string;
  /** By the clock of the database; null: it does not expire. */
  readonly expiresInMs: number | null;
}

/** SHA-256, hexadecimal. It needs no salt: a token has 256 random bits. */
export const hashOfToken = (token: string): string => createHash('sha256').update(token).digest('hex');

const columns = `id::float8 as id, name, scopes,
  case when revoked_at is not null then 'revoked' when expires_at <= clock_timestamp() then 'expired' else 'active' end as state,
  expires_at as "expiresAt", created_at as "createdAt", created_as as "createdAs",
  revoked_at as "revokedAt", revoked_as as "revokedAs"`;

/** Makes a token and returns it once: only its hash is stored. Undefined if there is one of this name that is not revoked. */
export const createAccessToken = async (
  pool: Pool,
  wanted: { readonly name: string; readonly scopes: readonly Scope[]; readonly expiresAt: Date | undefined },
): Promise<(AccessToken & { readonly token: string }) | undefined> => {
  const token = `${TOKEN_PREFIX}${randomBytes(32).toString('base64url')}`;
  try {
    const { rows } = await pool.query<AccessToken>(
      `insert into access_tokens (name, hash, scopes, expires_at) values ($1, decode($2, 'hex'), $3, $4) returning ${columns}`,
      [wanted.name, hashOfToken(token), wanted.scopes, wanted.expiresAt ?? null],
    );
    return rows[0] && { ...rows[0], token };
  } catch (error) {
    if (sqlState(error) === UNIQUE_VIOLATION) return undefined;
    throw error;
  }
};

/** All of them, revoked ones too, oldest first. */
export const readAccessTokens = async (pool: Pool): Promise<readonly AccessToken[]> =>
  (await pool.query<AccessToken>(`select ${columns} from access_tokens order by id`)).rows;

/** Ends a token and its sessions; it stays in the table. Undefined if there is none of this name that is not revoked. */
export const revokeAccessToken = async (pool: Pool, name: string): Promise<AccessToken | undefined> => {
  const { rows } = await pool.query<AccessToken>(
    `update access_tokens set revoked_at = clock_timestamp(), revoked_as = session_user
     where name = $1 and revoked_at is null returning ${columns}`,
    [name],
  );
  return rows[0];
};

/** Those that open something now. */
export const readActiveTokens = async (pool: Pool): Promise<readonly ActiveToken[]> => {
  const { rows } = await pool.query<ActiveToken>(
    `select id::float8 as id, name, scopes, encode(hash, 'hex') as hash,
       extract(epoch from expires_at - clock_timestamp())::float8 * 1000 as "expiresInMs"
     from access_tokens where revoked_at is null and (expires_at is null or expires_at > clock_timestamp())`,
  );
  return rows;
};
