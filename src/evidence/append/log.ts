import { EvidenceFault } from '../bytes.ts';
import { type Fields, type StatementType, writeStatement } from '../journal/statement.ts';
import {
  addLeaf,
  chainStart,
  type EventLeaf,
  type Growing,
  LOG_NUMBER,
  monthOf,
  type NumberChain,
  saltOf,
  statementLeaf,
  writeEventLeaf,
} from '../leaf.ts';
import { GrowingTree, type ReadTile, type Tile } from '../tree/growing-tree.ts';
import { leafHash, TILE_WIDTH } from '../tree/tiles.ts';

/** Salts the events of a month. */
interface MonthKey {
  readonly month: string;
  readonly key: Buffer;
  /** Not stored yet. */
  readonly isNew: boolean;
}

/** The log itself, or a source. */
export interface StoredNumber extends NumberChain {
  readonly number: number;
  readonly kind: string;
  readonly id: string;
}

/** Beside tiles of level 0 are positions (0: a statement) and numbers of their leaves. */
export interface StoredTile extends Tile {
  readonly positions: Buffer | undefined;
  readonly sources: Buffer | undefined;
  readonly firstPosition: number | undefined;
}

export interface LogToLoad {
  readonly size: number;
  /** At the right edge. */
  readonly tiles: readonly Tile[];
  /** Of its last tile of level 0. */
  readonly positions: Buffer;
  readonly sources: Buffer;
  readonly numbers: readonly StoredNumber[];
  readonly monthKeys: ReadonlyMap<string, Buffer>;
}

export interface NewStatement {
  readonly index: number;
  readonly type: StatementType;
  readonly source: number;
  /** What it is about; a thing is stated once. */
  readonly ref: string;
  readonly text: string;
}

export interface Appended {
  readonly tiles: readonly StoredTile[];
  readonly monthKeys: readonly MonthKey[];
  readonly numbers: readonly StoredNumber[];
  readonly statements: readonly NewStatement[];
}

type GrowingNumber = Growing<StoredNumber>;

/** After a failed commit all of this is to be forgotten, the keys of months above all: another process has made others. */
export class LogInMemory {
  /** By the clock of the database: when what is stated next is stated. */
  at = '';
  readonly #tree: GrowingTree;
  /** By kind and id: no text is made for each event. */
  readonly #byName = new Map<string, Map<string, GrowingNumber>>();
  readonly #byNumber: (GrowingNumber | undefined)[] = [];
  readonly #monthKeys: Map<string, Buffer>;
  readonly #makeKey: () => Buffer;
  readonly #changed = new Set<number>();
  #usedKeys = new Map<string, MonthKey>();
  #statements: NewStatement[] = [];
  #lastMonth: { readonly dayUs: bigint; readonly month: string } | undefined;
  /** From the tile on that was partial at the last `take`. */
  #positions: number[];
  #sources: number[];
  #firstTile: number;

  /** Throws an EvidenceFault if the tiles are not those of a log of this size. */
  constructor({ size, tiles, positions, sources, numbers, monthKeys }: LogToLoad, makeKey: () => Buffer) {
    this.#tree = new GrowingTree(size, among(tiles));
    this.#firstTile = Math.floor(size / TILE_WIDTH);
    const width = size % TILE_WIDTH;
    if (positions.length < 8 * width || sources.length < 4 * width)
      throw new EvidenceFault('positions or sources of the last tile are cut');
    this.#positions = Array.from({ length: width }, (_, at) => Number(positions.readBigUInt64BE(8 * at)));
    this.#sources = Array.from({ length: width }, (_, at) => sources.readUInt32BE(4 * at));
    this.#put({ number: LOG_NUMBER, kind: 'log', id: '', ...chainStart });
    for (const number of numbers) this.#put(number);
    this.#monthKeys = new Map(monthKeys);
    this.#makeKey = makeKey;
  }

  get size(): number {
    return this.#tree.size;
  }

  root(): Buffer {
    return this.#tree.root();
  }

  chainOf(number: number): NumberChain {
    return this.#byNumber[number] ?? chainStart;
  }

  /** Of a source, stated if it has none. */
  numberOf(kind: string, id: string, organizationId: string | null): number {
    const known = this.#byName.get(kind)?.get(id);
    if (known !== undefined) return known.number;
    const number = Math.max(1, this.#byNumber.length);
    this.#put({ number, kind, id, ...chainStart });
    this.state('source', number, `${kind}/${id}`, { number, kind, id, organization_id: organizationId });
    return number;
  }

  append(event: Omit<EventLeaf, 'salt'>): void {
    const { position, sourceKind, sourceId, organizationId = null } = event;
    const number = this.numberOf(sourceKind, sourceId, organizationId);
    const salt = saltOf(this.#keyOf(event.actionTimeUs), position);
    this.#append(leafHash(writeEventLeaf({ ...event, salt })), number, position);
  }

  /** Of a source that has a number, or the log. */
  state<T extends StatementType>(type: T, source: number, ref: string, fields: Fields<T>): void {
    const index = this.size;
    const text = writeStatement(type, { index, at: this.at, source }, fields);
    this.#statements.push({ index, type, source, ref, text });
    this.#append(leafHash(statementLeaf(text)), source, 0);
  }

  get isChanged(): boolean {
    return this.#changed.size > 0;
  }

  take(): Appended {
    const tiles = this.#tree.takeTiles().map((tile) => ({ ...tile, ...this.#besides(tile) }));
    const numbers = [...this.#changed].map((number) => ({ ...(this.#byNumber[number] as GrowingNumber) }));
    const appended: Appended = {
      tiles,
      monthKeys: [...this.#usedKeys.values()],
      numbers,
      statements: this.#statements,
    };
    const firstTile = Math.floor(this.size / TILE_WIDTH);
    const done = (firstTile - this.#firstTile) * TILE_WIDTH;
    this.#positions = this.#positions.slice(done);
    this.#sources = this.#sources.slice(done);
    this.#firstTile = firstTile;
    this.#changed.clear();
    this.#usedKeys = new Map();
    this.#statements = [];
    return appended;
  }

  #append(hash: Buffer, number: number, position: number): void {
    const of = this.#byNumber[number];
    if (of === undefined) throw new RangeError(`source ${number} has no number`);
    this.#tree.append(hash);
    this.#positions.push(position);
    this.#sources.push(number);
    addLeaf(of, hash, position > 0);
    this.#changed.add(number);
  }

  #besides({ level, n, width }: Tile): Pick<StoredTile, 'positions' | 'sources' | 'firstPosition'> {
    if (level > 0) return { positions: undefined, sources: undefined, firstPosition: undefined };
    const start = (n - this.#firstTile) * TILE_WIDTH;
    const [positions, sources] = [Buffer.alloc(8 * width), Buffer.alloc(4 * width)];
    let firstPosition: number | undefined;
    for (let at = 0; at < width; at += 1) {
      const position = this.#positions[start + at] as number;
      if (position > 0) firstPosition ??= position;
      positions.writeBigUInt64BE(BigInt(position), 8 * at);
      sources.writeUInt32BE(this.#sources[start + at] as number, 4 * at);
    }
    return { positions, sources, firstPosition };
  }

  #put(number: StoredNumber): void {
    const growing = { ...number };
    const ofKind = this.#byName.get(number.kind) ?? new Map<string, GrowingNumber>();
    this.#byName.set(number.kind, ofKind.set(number.id, growing));
    this.#byNumber[number.number] = growing;
  }

  #keyOf(actionTimeUs: bigint | undefined): Buffer {
    const month = this.#monthOf(actionTimeUs);
    const used = this.#usedKeys.get(month);
    if (used !== undefined) return used.key;
    const known = this.#monthKeys.get(month);
    const key = known ?? this.#makeKey();
    this.#usedKeys.set(month, { month, key, isNew: known === undefined });
    this.#monthKeys.set(month, key);
    return key;
  }

  /** Cached: events of one day come together. */
  #monthOf(actionTimeUs: bigint | undefined): string {
    if (actionTimeUs === undefined) return monthOf(actionTimeUs);
    const dayUs = actionTimeUs / US_PER_DAY;
    if (this.#lastMonth?.dayUs !== dayUs || actionTimeUs < 0n)
      this.#lastMonth = { dayUs, month: monthOf(actionTimeUs) };
    return this.#lastMonth.month;
  }
}

const US_PER_DAY = 86_400_000_000n;

export const among = (tiles: readonly Tile[]): ReadTile => {
  const byPlace = new Map(tiles.map(({ level, n, hashes }) => [`${level}/${n}`, hashes]));
  return ({ level, n }) => {
    const hashes = byPlace.get(`${level}/${n}`);
    if (hashes === undefined) throw new EvidenceFault(`tile ${n} of level ${level} is missing`);
    return hashes;
  };
};
