import type { Pool } from 'pg';
import type { AnchorStore, LogToAnchor } from '../anchor.ts';
import { verifierKeys } from '../append/keys-in-force.ts';
import { readKeyHistory } from '../builder/evidence-store.sql.ts';
import { readTiles } from '../builder/load-log.sql.ts';
import { parseOrigin } from '../notes/checkpoint.ts';
import type { VerifierKey } from '../notes/signed-note.ts';

/** Of the log, the newest one. */
const signed = `
select l.number, l.base || '/' || l.feed_id || '.' || l.number as origin, c.size::float8 as size, c.note,
  coalesce((select max(a.size) from evidence_anchors a where a.number = l.number and a.anchor = $1 and a.at is not null), 0)::float8 as "keptSize",
  (select extract(epoch from clock_timestamp() - max(a.at)) from evidence_anchors a where a.number = l.number and a.anchor = $1)::float8
    as "keptSecondsAgo",
  coalesce((select max(a.tiles_size) from evidence_anchors a where a.number = l.number and a.anchor = $1), 0)::float8 as "tilesSize",
  to_char(c.made_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "signedAt"
from evidence_log l join lateral (select * from evidence_checkpoints c where c.number = l.number order by c.size desc limit 1) as c on true`;

export const createAnchorStore = (pool: Pool): AnchorStore => ({
  readSigned: async (anchor) => (await pool.query<LogToAnchor>(signed, [anchor])).rows[0],
  readTiles: (tiles) => readTiles(pool, tiles),
  readStatements: async (from, to) => {
    const sql = 'select text from evidence_statements where index >= $1 and index < $2 order by index';
    return (await pool.query<{ text: string }>(sql, [from, to])).rows.map(({ text }) => text);
  },
  noteKept: async ({ size }, anchor, { receipt, tilesSize }) => {
    await pool.query(note, [size, anchor, receipt ?? null, tilesSize, null]);
  },
  noteFailure: async ({ size, tilesSize }, anchor, error) => {
    await pool.query(note, [size, anchor, null, tilesSize, error]);
  },
});

const note = 'select orgtrail_note_anchor($1, $2, $3, $4, $5)';

/** Own keys and those of the log, but none that a signed statement says is stolen: the thief could stop the log by an anchor. */
export const keysAtAnchors = async (
  pool: Pool,
  origin: string,
  own: readonly Uint8Array[],
): Promise<readonly VerifierKey[]> =>
  verifierKeys(await readKeyHistory(pool), origin, own, await readKeyHistory(pool, { isSigned: true }));

/** For a receiver of events. */
export interface DueCheckpoint extends LogToAnchor {
  readonly feedId: string;
  /** In RFC 3339. */
  readonly signedAt: string;
}

export type SinkCheckpoints = ReturnType<typeof createSinkCheckpoints>;

export const anchorOfSink = (sink: string): string => `sink:${sink}`;

/** What sinks lack; deliveries are kept among the anchors. `intervalMs`: between two records to one sink. */
export const createSinkCheckpoints = (pool: Pool, intervalMs: number) => {
  const store = createAnchorStore(pool);
  const noteDelivered = async (sink: string, log: DueCheckpoint): Promise<void> =>
    await store.noteKept(log, anchorOfSink(sink), { tilesSize: 0 });
  return {
    /** Undefined: not time yet, nothing signed, or already delivered. Rejects if the account may not read them. */
    due: async (sink: string): Promise<DueCheckpoint | undefined> => {
      const log = (await store.readSigned(anchorOfSink(sink))) as Omit<DueCheckpoint, 'feedId'> | undefined;
      if (log === undefined) return undefined;
      if (log.keptSecondsAgo !== null && log.keptSecondsAgo * 1_000 < intervalMs) return undefined;
      const due = { ...log, feedId: parseOrigin(log.origin).feedId };
      if (log.size !== log.keptSize) return due;
      // Nothing was signed since: it still has the newest one.
      await noteDelivered(sink, due);
      return undefined;
    },
    noteDelivered,
    noteFailure: async (sink: string, log: DueCheckpoint, reason: string): Promise<void> =>
      await store.noteFailure(log, anchorOfSink(sink), reason),
  };
};
