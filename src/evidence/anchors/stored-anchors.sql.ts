import type { Pool } from 'pg';
import { readTiles } from '../builder/load-logs.sql.ts';
import { vkeysOf } from '../builder/sign-log.ts';
import { everyKey, stolenKeys } from '../growth/keys-in-force.ts';
import { parseVerifierKey, type VerifierKey } from '../notes/verifier-key.ts';
import { readKeyHistory } from '../stored/journal-keys.sql.ts';
import type { AnchorStore, LogToAnchor } from './ports.ts';

/** Joins the statements of anchoring to the port that it declares. */
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
  readStatements: async (generation, from, to) => {
    const { rows } = await pool.query<{ text: string }>(
      'select text from evidence_journal where generation = $1 and index >= $2 and index < $3 order by index',
      [generation, from, to],
    );
    return rows.map(({ text }) => text);
  },
  noteKept: async ({ log, generation, size }, anchor, { receipt, tilesSize }) => {
    await pool.query(note, [generation, log, size, anchor, receipt ?? null, tilesSize, null]);
  },
  noteFailure: async ({ log, generation, size, tilesSize }, anchor, error) => {
    await pool.query(note, [generation, log, size, anchor, null, tilesSize, error]);
  },
});

const note = 'select orgtrail_note_anchor($1, $2, $3, $4, $5, $6, $7)';

/**
 * Whose checkpoints count at an anchor: the keys of this process, and all that the journal of the generation names, since an anchor has older
 * checkpoints. Not those that a signed statement says are stolen: the thief could stop the log by what he writes to an anchor.
 */
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
