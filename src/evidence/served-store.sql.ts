import type { Pool } from 'pg';
import { everyKey, keyHistory } from './append/keys-in-force.ts';
import { among, readEventRow } from './append/logs.ts';
import { createEvidenceStore } from './builder/evidence-store.sql.ts';
import { readMonthKeys, readStatements, readTiles } from './builder/load-logs.sql.ts';
import { HASH_BYTES } from './bytes.ts';
import { holeHash, holeLeaf, journalLeaf, monthOf, saltOf, writeEventLeaf } from './leaf.ts';
import { type LogName, writeTlogProof } from './notes/checkpoint.ts';
import { parseVerifierKey, printVerifierKey, whoSigned } from './notes/signed-note.ts';
import { hashOfRange, inclusionRanges, tilesOfRanges } from './tree/proofs.ts';
import { leafHash, TILE_WIDTH, type TileId, widthOfTile, writeEntryBundle } from './tree/tiles.ts';

const lastCheckpoint = `select c.size::float8 as size, c.root, c.note from evidence_logs l cross join lateral (
  select size, root, note from evidence_checkpoints c where c.log = l.name and c.generation = l.generation
  order by c.size desc limit 1) as c`;

/** The account needs what `orgtrail_evidence` may read. */
export const createServedStore = (pool: Pool) => {
  const store = createEvidenceStore(pool, 'serve', 0);
  // Every method is one statement, and only reads.
  return {
    /** Undefined: no such log, or nothing signed. */
    signed: async ({ feedId, generation, log }: LogAddress): Promise<SignedLog | undefined> => {
      const { rows } = await pool.query<SignedLog>(
        `${lastCheckpoint} where l.name = $1 and l.generation = $2 and right(l.origin, length($3)) = $3`,
        [log, generation, `/${feedId}.${generation}/${log}`],
      );
      return rows[0];
    },
    tiles: ({ generation, log }: LogAddress, tiles: readonly TileId[]) => readTiles(pool, log, generation, tiles),
    /** Leaves of events (after, until] that are still there, by position. */
    leaves: async (after: number, until: number): Promise<ReadonlyMap<number, Buffer>> => {
      const keys = await readMonthKeys(pool);
      const leaves = new Map<number, Buffer>();
      await store.copyEvents(after, until, (row) => {
        const event = readEventRow(row);
        const key = keys.get(monthOf(event.actionTimeUs));
        // Dropped between the two statements.
        if (key === undefined) return;
        leaves.set(event.position, writeEventLeaf({ ...event, salt: saltOf(key, event.position) }));
      });
      return leaves;
    },
    statements: (generation: number, from: number, to: number) => readStatements(pool, generation, from, to),
    /** Keys that signed first statements name, newest generation first. */
    vkeys: async (): Promise<readonly string[]> => {
      const { rows } = await pool.query<{ text: string }>(
        `select j.text from evidence_journal j join evidence_logs l on l.generation = j.generation and l.name = 'journal'
         where j.kind in ('genesis', 'fork', 'key') and j.index < l.signed_size order by j.generation desc, j.index desc`,
      );
      const { rows: last } = await pool.query<SignedLog>(lastCheckpoint);
      const vkeys = [...new Set(rows.flatMap(({ text }) => everyKey(keyHistory([text]))))];
      return whoSigned(
        last.map(({ note }) => note),
        vkeys.map(parseVerifierKey),
      ).map(printVerifierKey);
    },
    lastSigned: async (): Promise<SignedLog | undefined> => {
      const sql = `${lastCheckpoint} where l.name = 'events' order by l.generation desc limit 1`;
      return (await pool.query<SignedLog>(sql)).rows[0];
    },
  };
};

export type ServedStore = ReturnType<typeof createServedStore>;

export interface LogAddress {
  readonly feedId: string;
  readonly generation: number;
  readonly log: LogName;
}

export interface SignedLog {
  readonly size: number;
  readonly root: Buffer;
  readonly note: string;
}

export interface TileAddress extends Omit<TileId, 'level'> {
  readonly level: number | 'entries';
}

/** `missing`: or not signed yet. `gone`: dropped. */
export type ServedFile =
  | { readonly kind: 'found'; readonly body: Buffer }
  | { readonly kind: 'missing' }
  | { readonly kind: 'gone' };

/** Throws an error if what is stored is not what was signed. */
export const servedTile = async (store: ServedStore, address: LogAddress, tile: TileAddress): Promise<ServedFile> => {
  const signed = await store.signed(address);
  const level = tile.level === 'entries' ? 0 : tile.level;
  const { n, width } = tile;
  if (signed === undefined || width > widthOfTile(signed.size, level, n)) return { kind: 'missing' };
  const [stored] = await store.tiles(address, [{ level, n, width }]);
  const hashes = stored?.hashes.subarray(0, width * HASH_BYTES);
  if (hashes?.length !== width * HASH_BYTES) throw new Error(`tile ${n} of level ${level} of ${address.log} is cut`);
  if (tile.level !== 'entries') return { kind: 'found', body: hashes };
  const first = n * TILE_WIDTH;
  const leaves =
    address.log === 'journal'
      ? (await store.statements(address.generation, first, first + width)).map(journalLeaf)
      : await eventLeaves(store, first, hashes);
  if (leaves.includes(undefined)) return { kind: 'gone' };
  const found = leaves.filter((leaf) => leaf !== undefined);
  for (const [index, leaf] of found.entries()) {
    if (!leafHash(leaf).equals(hashAt(hashes, index)))
      throw new Error(`leaf ${first + index} of ${address.log} is not the one in the tree`);
  }
  if (found.length !== width) throw new Error(`statements are missing after ${first + found.length}`);
  return { kind: 'found', body: writeEntryBundle(found) };
};

const hashAt = (hashes: Buffer, index: number): Buffer => hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);

const eventLeaves = async (store: ServedStore, first: number, hashes: Buffer): Promise<(Buffer | undefined)[]> => {
  const width = hashes.length / HASH_BYTES;
  const leaves = await store.leaves(first, first + width);
  return Array.from({ length: width }, (_, index) => {
    const position = first + index + 1;
    return leaves.get(position) ?? (holeHash(position).equals(hashAt(hashes, index)) ? holeLeaf(position) : undefined);
  });
};

/** Undefined: not signed yet. */
export const servedProof = async (
  store: ServedStore,
  address: LogAddress,
  position: number,
): Promise<string | undefined> => {
  const signed = await store.signed(address);
  if (signed === undefined || position > signed.size) return undefined;
  const ranges = inclusionRanges(position - 1, signed.size);
  const readTile = among(await store.tiles(address, tilesOfRanges(ranges, signed.size)));
  const hashes = ranges.map((range) => hashOfRange(range, signed.size, readTile));
  return writeTlogProof({ index: position - 1, hashes, checkpoint: signed.note });
};
