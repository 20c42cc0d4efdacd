import type { Pool } from 'pg';
import { OrgtrailError } from '../../errors.ts';
import { sqlState } from '../../postgres/sql-state.ts';

/** Who asks for a replay in the console. */
export interface ReplaySession {
  /** `sessionProof` of the session. */
  readonly proof: Buffer;
  readonly address: string;
}

/**
 * Sets a sink to a position: all after it goes out again. The new epoch keeps a delivery under way from undoing that. False if there is no
 * such sink, or no such position yet. Without a session only for the owner of the schema. With one the sink goes back only (false if not), and
 * the trail of access gets its row with it. Throws OrgtrailError `configuration` for an account or a session that may not.
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

/** The name of the token by which this session may set sinks back. Undefined: it may not. */
export const readReplayer = async (pool: Pool, proof: Buffer): Promise<string | undefined> => {
  const { rows } = await pool.query<{ who: string | null }>('select orgtrail_session_replays($1) as who', [proof]);
  return rows[0]?.who ?? undefined;
};
