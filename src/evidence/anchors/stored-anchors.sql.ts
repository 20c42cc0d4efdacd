import type { Pool } from 'pg';
import type { AnchorStore, LogToAnchor } from '../anchor.ts';
import { everyKey, stolenKeys } from '../append/keys-in-force.ts';
import { readKeyHistory } from '../builder/evidence-store.sql.ts';
import { readStatements, readTiles } from '../builder/load-logs.sql.ts';
import { vkeysOf } from '../builder/signing-keys.ts';
import { parseOrigin } from '../notes/checkpoint.ts';
import { parseVerifierKey, type VerifierKey } from '../notes/signed-note.ts';

export const createAnchorStore = (pool: Pool): AnchorStore => ({
  readSigned: async (generation, anchor) => {
    const { rows } = await pool.query<LogToAnchor>(
      `select l.name as log, l.generation, l.origin, c.size::float8 as size, c.note,
         coalesce((select max(a.size) from evidence_anchors a
           where a.log = l.name and a.generation = l.generation and a.anchor = $2 and a.at is not null), 0)::float8 as "keptSize",
         (select extract(epoch from clock_timestamp() - max(a.at)) from evidence_anchors a
           where a.log = l.name and a.generation = l.generation and a.anchor = $2)::float8 as "keptSecondsAgo",
         coalesce((select max(a.tiles_size) from evidence_anchors a
           where a.log = l.name and a.generation = l.generation and a.anchor = $2), 0)::float8 as "tilesSize"
       from evidence_logs l cross join lateral (
         select size, note from evidence_checkpoints c where c.log = l.name and c.generation = l.generation
         order by c.size desc limit 1) as c
       where l.generation = $1 order by l.name`,
      [generation, anchor],
    );
    return rows;
  },
  readTiles: (log, generation, tiles) => readTiles(pool, log, generation, tiles),
  readStatements: (generation, from, to) => readStatements(pool, generation, from, to),
  noteKept: async ({ log, generation, size }, anchor, { receipt, tilesSize }) => {
    await pool.query(note, [generation, log, size, anchor, receipt ?? null, tilesSize, null]);
  },
  noteFailure: async ({ log, generation, size, tilesSize }, anchor, error) => {
    await pool.query(note, [generation, log, size, anchor, null, tilesSize, error]);
  },
});

const note = 'select orgtrail_note_anchor($1, $2, $3, $4, $5, $6, $7)';

/** Own keys and those of the journal, but none that a signed statement says is stolen: the thief could stop the log by an anchor. */
export const keysAtAnchors = async (
  pool: Pool,
  generation: number,
  origins: readonly string[],
  own: readonly Uint8Array[],
): Promise<readonly VerifierKey[]> => {
  const stolen = stolenKeys(await readKeyHistory(pool, generation, { isSigned: true }));
  const vkeys = [
    ...own.flatMap((publicKey) => vkeysOf(origins, { publicKey })),
    ...everyKey(await readKeyHistory(pool, generation)),
  ];
  return [...new Set(vkeys)].filter((vkey) => !stolen.includes(vkey)).map(parseVerifierKey);
};

/** For a receiver of events. */
export interface DueCheckpoints {
  readonly feedId: string;
  readonly generation: number;
  /** Of the events, in RFC 3339. */
  readonly signedAt: string;
  readonly events: LogToAnchor;
  readonly journal: LogToAnchor;
}

export type SinkCheckpoints = ReturnType<typeof createSinkCheckpoints>;

export const anchorOfSink = (sink: string): string => `sink:${sink}`;

/** What sinks lack; deliveries are kept among the anchors. `intervalMs`: between two records to one sink. */
export const createSinkCheckpoints = (pool: Pool, intervalMs: number) => {
  const store = createAnchorStore(pool);
  const noteDelivered = async (sink: string, { events, journal }: DueCheckpoints): Promise<void> => {
    for (const log of [events, journal]) await store.noteKept(log, anchorOfSink(sink), { tilesSize: 0 });
  };
  return {
    /** Undefined: not time yet, nothing signed, or already delivered. Rejects if the account may not read them. */
    due: async (sink: string): Promise<DueCheckpoints | undefined> => {
      const newest = await readNewest(pool);
      if (newest === undefined) return undefined;
      const logs = await store.readSigned(newest.generation, anchorOfSink(sink));
      const [events, journal] = [logs.find(({ log }) => log === 'events'), logs.find(({ log }) => log === 'journal')];
      if (events === undefined || journal === undefined || events.size === 0) return undefined;
      const isTime = logs.some(({ keptSecondsAgo: ago }) => ago === null || ago * 1_000 >= intervalMs);
      if (!isTime) return undefined;
      const due = { feedId: parseOrigin(events.origin).feedId, ...newest, events, journal };
      const isDelivered = logs.every(({ size, keptSize }) => size === keptSize);
      if (!isDelivered) return due;
      // Nothing was signed since: it still has the newest ones.
      await noteDelivered(sink, due);
      return undefined;
    },
    noteDelivered,
    noteFailure: async (sink: string, { events }: DueCheckpoints, reason: string): Promise<void> =>
      await store.noteFailure(events, anchorOfSink(sink), reason),
  };
};

const readNewest = async (pool: Pool): Promise<Pick<DueCheckpoints, 'generation' | 'signedAt'> | undefined> => {
  const { rows } = await pool.query<{ generation: number; signedAt: string }>(
    `select l.generation, to_char(c.made_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "signedAt"
     from evidence_logs l cross join lateral (
       select made_at from evidence_checkpoints c where c.log = l.name and c.generation = l.generation order by c.size desc limit 1) as c
     where l.name = 'events' order by l.generation desc limit 1`,
  );
  return rows[0];
};
