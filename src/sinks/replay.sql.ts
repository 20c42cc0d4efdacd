import type { Pool } from 'pg';
import { countPositions, readMissedEvents } from '../feed/feed.sql.ts';
import { readFeedHead } from '../feed/feed-head.sql.ts';
import { giveOrder, type Ordering } from '../postgres/access/access-log.sql.ts';
import { readSinkStatus, type SinkStatus } from './sink-status.sql.ts';

/**
 * Sets a sink to a position, after which all goes out again; the new epoch keeps a delivery under way from undoing that. False if
 * there is no such sink or position, or it is before that and `skip` is not given. A session of the console only sets it back. Throws OrgtrailError `configuration` for who may not.
 */
export const replaySink = async (
  source: Ordering,
  sink: string,
  after: number,
  { skip = false }: { readonly skip?: boolean | undefined } = {},
): Promise<boolean> => (await giveOrder(source, 'sink replay', { sink, after, ...(skip && { skip }) })) !== undefined;

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
