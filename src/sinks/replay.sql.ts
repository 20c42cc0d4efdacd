import type { Pool } from 'pg';
import { OrgtrailError } from '../base/errors.ts';
import { countPositions, readMissedEvents } from '../feed/feed.sql.ts';
import { readFeedHead } from '../feed/feed-head.sql.ts';
import { sqlState } from '../postgres/sql-state.ts';
import { readSinkStatus, type SinkStatus } from './sink-status.sql.ts';

export interface ReplaySession {
  /** `sessionProof` of the session. */
  readonly proof: Buffer;
  readonly address: string;
}

/**
 * Sets a sink to a position, after which all goes out again; the new epoch keeps a delivery under way from undoing that. False if
 * there is no such sink or position. Without a session only for the owner of the schema; with one the sink only goes back, and the
 * trail of access gets its row. Throws OrgtrailError `configuration` for an account or a session that may not.
 */
export const replaySink = async (
  pool: Pool,
  name: string,
  after: number,
  session?: ReplaySession,
): Promise<boolean> => {
  const asked = pool.query<{ done: boolean }>('select orgtrail_replay_sink($1, $2, $3, $4) as done', [
    session?.proof ?? null,
    name,
    after,
    session?.address ?? null,
  ]);
  const { rows } = await asked.catch((error: unknown) => {
    if (sqlState(error) !== '42501') throw error;
    const who = session === undefined ? 'account' : 'session';
    throw new OrgtrailError('configuration', `this ${who} may not set a sink to another position`, {
      hint: 'run it with a DATABASE_URL of the account that owns the schema',
      cause: error,
    });
  });
  return rows[0]?.done === true;
};

/** The name of the token whose session may replay; undefined: it may not. */
export const readReplayer = async (pool: Pool, proof: Buffer): Promise<string | undefined> => {
  const { rows } = await pool.query<{ who: string | null }>('select orgtrail_session_replays($1) as who', [proof]);
  return rows[0]?.who ?? undefined;
};

export interface ReplayPlan {
  readonly sink: SinkStatus;
  /** The last position that is not sent. */
  readonly after: number;
  /** Events after it, whether sent before or not. */
  readonly toSend: number;
  readonly again: number;
  /** Never to be sent, since the sink would go forward. */
  readonly left: number;
  /** At most this many of them are dropped by retention and in no archive. */
  readonly gone: number;
}

/** No such sink, or a position beyond the end of the feed. */
export type NoReplay =
  | { readonly kind: 'no sink'; readonly sinks: readonly SinkStatus[] }
  | { readonly kind: 'no position'; readonly head: number };

/** Changes nothing. `after` undefined: not a position. */
export const planReplay = async (
  pool: Pool,
  name: string,
  { after, hasArchive }: { readonly after: number | undefined; readonly hasArchive: boolean },
): Promise<ReplayPlan | NoReplay> => {
  const sinks = await readSinkStatus(pool, undefined);
  const sink = sinks.find((each) => each.name === name);
  if (sink === undefined) return { kind: 'no sink', sinks };
  const head = (await readFeedHead(pool)).position;
  if (after === undefined || after > head) return { kind: 'no position', head };
  const skipped = await countPositions(pool, sink.position, after);
  return {
    sink,
    after,
    toSend: await countPositions(pool, after, head),
    again: Math.max(0, -skipped),
    left: Math.max(0, skipped),
    gone: (await readMissedEvents(pool, after, 0, { hasArchive }))?.events ?? 0,
  };
};
