import type { Pool } from 'pg';
import { readOnly } from '../postgres/read-only.ts';
import type { Scope } from './access.ts';

const TIMEOUT_MS = 5_000;
/** Revoked tokens stay in the table. */
const MOST_TOKENS = 500;

/** A token as the console shows it: nothing of it opens anything. */
export interface ShownToken {
  readonly id: number;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly state: 'active' | 'expired' | 'revoked';
  readonly createdAt: Date;
  readonly createdAs: string;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  readonly revokedAs: string | null;
  /** Its sessions see all of the trail of access. */
  readonly seesAccessLog: boolean;
  /** Its sessions may set a sink back. */
  readonly replaysSinks: boolean;
  /** `2026-11-27`, in UTC, by the trail of access, which has 400 days; null: not in that time. */
  readonly usedOn: string | null;
  /** Of the console, in force now. */
  readonly sessions: number;
  /** When the newest of these sessions began. */
  readonly lastSignInAt: Date | null;
}

/** What the page of tokens is made from. */
export interface TokenOverview {
  /** Those that open something first, then by when they were made, the newest first. */
  readonly tokens: readonly ShownToken[];
  /** There are more than are listed. */
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
