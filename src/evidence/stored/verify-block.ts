import { type BinaryFields, readEventRow } from '../append/event-row.ts';
import type { LeafTile } from '../builder/load-log.sql.ts';
import { leavesOf } from '../builder/read-due.sql.ts';
import { HASH_BYTES } from '../bytes.ts';
import { holdsNumber, type NumberRange } from '../journal/instants.ts';
import { monthOf, saltOf, statementLeaf, writeEventLeaf } from '../leaf.ts';
import { leafHash, perfectRoot, TILE_WIDTH, widthOfTile } from '../tree/tiles.ts';

/** The log verifies itself by blocks of so many leaves. */
export const BLOCK_LEAVES = 16_384;

/** As it is stored, of one snapshot. */
export interface StoredBlock {
  readonly block: number;
  /** Leaves [from, to), which are signed. */
  readonly from: number;
  readonly to: number;
  readonly tiles: readonly LeafTile[];
  /** Roots of full tiles, by the number of the tile. */
  readonly parents: ReadonlyMap<number, Buffer>;
  readonly statements: ReadonlyMap<number, { readonly text: string; readonly source: number }>;
  readonly numbers: ReadonlyMap<number, { readonly kind: string; readonly id: string }>;
  readonly monthKeys: ReadonlyMap<string, Buffer>;
  /** Indexes of leaves whose events were dropped, by a statement or as retention notes. */
  readonly dropped: readonly NumberRange[];
  readonly droppedPositions: readonly NumberRange[];
}

interface Leaf {
  readonly index: number;
  readonly number: number;
  readonly hash: Buffer;
  isFound: boolean;
}

/** Compares the leaves of a block with what is stored. Rows come by `take`, in whatever order, then `end` says what was found. */
export class BlockCheck {
  readonly faults: string[] = [];
  readonly #stored: StoredBlock;
  readonly #byPosition = new Map<number, Leaf>();

  constructor(stored: StoredBlock) {
    this.#stored = stored;
    const { from, to, block } = stored;
    const tiles = new Map(stored.tiles.map((tile) => [tile.n, tile]));
    let last = 0;
    for (let n = from / TILE_WIDTH; n * TILE_WIDTH < to; n += 1) {
      const tile = tiles.get(n);
      const width = widthOfTile(to, 0, n);
      if (tile === undefined || tile.hashes.length < width * HASH_BYTES)
        this.fault(`tile ${n} of block ${block} is missing or cut`);
      else last = this.#takeTile(tile, width, last);
    }
  }

  fault(text: string): void {
    this.faults.push(text);
  }

  #takeTile(tile: LeafTile, width: number, before: number): number {
    const { parents } = this.#stored;
    const { n, hashes, firstPosition } = tile;
    const parent = parents.get(n);
    if (width === TILE_WIDTH && parent?.equals(perfectRoot(hashes, 0, TILE_WIDTH)) !== true)
      this.fault(`tile ${n} does not give its hash in the tile above`);
    let last = before;
    let first: number | undefined;
    for (const { index, position, number } of leavesOf(tile).slice(0, width)) {
      const at = (index - n * TILE_WIDTH) * HASH_BYTES;
      const hash = hashes.subarray(at, at + HASH_BYTES);
      if (position === 0) this.#takeStatement(index, number, hash);
      else if (position <= last) this.fault(`position ${position} of leaf ${index} does not ascend`);
      else this.#byPosition.set(position, { index, number, hash, isFound: false });
      if (position > 0) first ??= position;
      last = Math.max(last, position);
    }
    if ((first ?? null) !== firstPosition && !(first === undefined && leavesOf(tile).length > width))
      this.fault(`the first position of tile ${n} is ${first ?? 'none'}, not ${firstPosition ?? 'none'}`);
    return last;
  }

  #takeStatement(index: number, number: number, hash: Buffer): void {
    const statement = this.#stored.statements.get(index);
    if (statement === undefined) this.fault(`statement ${index} is missing`);
    else if (!leafHash(statementLeaf(statement.text)).equals(hash))
      this.fault(`statement ${index} is not the one in the tree`);
    else if (statement.source !== number)
      this.fault(`statement ${index} is of number ${statement.source}, not ${number}`);
  }

  /** `mayBeNew`: beyond the leaves that are signed. */
  take(row: BinaryFields, mayBeNew: (position: number) => boolean): void {
    const event = readEventRow(row);
    const { position, sourceKind, sourceId } = event;
    const leaf = this.#byPosition.get(position);
    if (leaf === undefined) {
      if (!mayBeNew(position)) this.fault(`the event at position ${position} of ${sourceKind} ${sourceId} has no leaf`);
      return;
    }
    if (leaf.isFound) {
      this.fault(`there are two events at position ${position}`);
      return;
    }
    leaf.isFound = true;
    const key = this.#stored.monthKeys.get(monthOf(event.actionTimeUs));
    const hash = key && leafHash(writeEventLeaf({ ...event, salt: saltOf(key, position) }));
    if (hash === undefined) this.fault(`event ${position} has no key of its month`);
    else if (!hash.equals(leaf.hash))
      this.fault(`event ${position} of ${sourceKind} ${sourceId} is not the one in the tree`);
    const of = this.#stored.numbers.get(leaf.number);
    if (of?.kind !== sourceKind || of.id !== sourceId) this.fault(`event ${position} is not of number ${leaf.number}`);
  }

  end(): readonly string[] {
    const { dropped, droppedPositions } = this.#stored;
    for (const [position, { index, isFound }] of this.#byPosition) {
      if (isFound || holdsNumber(dropped, index) || holdsNumber(droppedPositions, position)) continue;
      this.fault(`event ${position} is missing, and no drop says why`);
    }
    return this.faults;
  }
}
