import { HASH_BYTES } from '../crypto/sha256.ts';
import { among } from '../growth/logs-in-memory.ts';
import { holeHash, holeLeaf, journalLeaf } from '../leaves/leaf.ts';
import type { LogName } from '../notes/origin.ts';
import { writeTlogProof } from '../notes/tlog-proof.ts';
import { writeEntryBundle } from '../tree/entry-bundle.ts';
import type { Tile } from '../tree/growing-tree.ts';
import { leafHash } from '../tree/merkle.ts';
import { hashOfRange, inclusionRanges, tilesOfRanges } from '../tree/proofs.ts';
import { TILE_WIDTH, type TileId, widthOfTile } from '../tree/tiles.ts';

/** A log of a generation, as its address names it. */
export interface LogAddress {
  readonly feedId: string;
  readonly generation: number;
  readonly log: LogName;
}

/** A log as of its last signed checkpoint. */
export interface SignedLog {
  readonly size: number;
  /** Of the checkpoint, which is served as it is. */
  readonly root: Buffer;
  readonly note: string;
}

/** What serving needs of the database. Every method is one statement, and only reads. */
export interface ServedStore {
  /** Undefined: there is no such log, or nothing of it is signed. */
  signed(address: LogAddress): Promise<SignedLog | undefined>;
  tiles(address: LogAddress, tiles: readonly TileId[]): Promise<readonly Tile[]>;
  /** The data of the leaves of events after a position and up to another, by position: those that are still there. */
  leaves(after: number, until: number): Promise<ReadonlyMap<number, Buffer>>;
  /** The texts of statements [from, to). */
  statements(generation: number, from: number, to: number): Promise<readonly string[]>;
  /** Of the journals of all generations, the newest first: those that their signed first statements name. */
  vkeys(): Promise<readonly string[]>;
  /** Of the events of the newest generation. */
  lastSigned(): Promise<SignedLog | undefined>;
}

/** The address of a tile: `level` is `entries` for the data of leaves. */
export interface TileAddress extends Omit<TileId, 'level'> {
  readonly level: number | 'entries';
}

/** `missing`: there is no such thing, or it is not signed yet. `gone`: the data of a leaf was dropped. */
export type ServedFile =
  | { readonly kind: 'found'; readonly body: Buffer }
  | { readonly kind: 'missing' }
  | { readonly kind: 'gone' };

const missing: ServedFile = { kind: 'missing' };

/** A tile or an entry bundle of a log, as far as it is signed. Throws an error if what is stored is not what was signed. */
export const servedTile = async (store: ServedStore, address: LogAddress, tile: TileAddress): Promise<ServedFile> => {
  const signed = await store.signed(address);
  const level = tile.level === 'entries' ? 0 : tile.level;
  const { n, width } = tile;
  if (signed === undefined || width > widthOfTile(signed.size, level, n)) return missing;
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

/** The `.tlog-proof` of an event; undefined if it is not signed yet. */
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
