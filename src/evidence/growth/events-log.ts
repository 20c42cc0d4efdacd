import { EvidenceFault } from '../evidence-fault.ts';
import { holeHash } from '../leaves/leaf.ts';
import {
  chained,
  chainStart,
  NO_SOURCE,
  readTileSources,
  type SourceChain,
  writeTileSources,
} from '../leaves/source-chain.ts';
import { GrowingTree, type ReadTile, type Tile } from '../tree/growing-tree.ts';
import { leafHash } from '../tree/merkle.ts';
import { TILE_WIDTH } from '../tree/tiles.ts';

/** A source with its number in tiles, and the chain of its leaves. */
export interface NumberedSource extends SourceChain {
  readonly number: number;
  readonly kind: string;
  readonly id: string;
}

/** A tile as it is stored: that of level 0 has the numbers of the sources of its leaves beside it. */
export interface StoredTile extends Tile {
  readonly sources: Buffer | undefined;
}

/** What a log of this size goes on from. */
export interface StoredEvents {
  readonly size: number;
  readonly readTile: ReadTile;
  /** Of the partial tile of level 0; empty if there is none. */
  readonly tileSources: Buffer;
  readonly sources: readonly NumberedSource[];
}

/** Two bytes each. */
const MAX_SOURCES = 65_535;

/** The right edge of the log `events`: tree, sources of the last tile, chains. After a commit that failed, load a new one. */
export class EventsLog {
  readonly #tree: GrowingTree;
  /** By kind, and by id within it: no text is made for each event. */
  readonly #sources = new Map<string, Map<string, GrowingSource>>();
  readonly #byNumber: (GrowingSource | undefined)[] = [];
  readonly #changed = new Set<number>();
  /** Of the leaves from the tile on that was partial at the last `take`. */
  #numbers: number[];
  #firstTile: number;

  constructor({ size, readTile, tileSources, sources }: StoredEvents) {
    this.#tree = new GrowingTree(size, readTile);
    this.#firstTile = Math.floor(size / TILE_WIDTH);
    this.#numbers = readTileSources(tileSources, size % TILE_WIDTH);
    for (const source of sources) this.#put(source);
  }

  get size(): number {
    return this.#tree.size;
  }

  root(): Buffer {
    return this.#tree.root();
  }

  /** `NO_SOURCE` if it has no number yet. */
  numberOf(kind: string, id: string): number {
    return this.#sources.get(kind)?.get(id)?.number ?? NO_SOURCE;
  }

  /** Of the leaves so far; empty for a source that has none. */
  chainOf(kind: string, id: string): SourceChain {
    const { events, chain } = this.#sources.get(kind)?.get(id) ?? chainStart;
    return { events, chain };
  }

  /** Gives the next number to a source. Throws an EvidenceFault if there are no more. */
  addSource(kind: string, id: string): NumberedSource {
    const number = Math.max(1, this.#byNumber.length);
    if (number > MAX_SOURCES) throw new EvidenceFault(`there are more than ${MAX_SOURCES} sources`);
    const source = { number, kind, id, ...chainStart };
    this.#put(source);
    return source;
  }

  /** Appends the leaf of an event of a source that has a number. */
  append(data: Uint8Array, number: number): void {
    const source = this.#byNumber[number];
    if (source === undefined) throw new RangeError(`source ${number} has not been added`);
    const hash = leafHash(data);
    this.#tree.append(hash);
    this.#numbers.push(number);
    const { events, chain } = chained(source, hash);
    source.events = events;
    source.chain = chain;
    this.#changed.add(number);
  }

  /** Appends the leaves of positions that have no event, up to this one. */
  appendHoles(until: number): void {
    while (this.#tree.size < until) {
      this.#tree.append(holeHash(this.#tree.size + 1));
      this.#numbers.push(NO_SOURCE);
    }
  }

  /** Everything that is to be stored since the last call. */
  take(): { readonly tiles: readonly StoredTile[]; readonly sources: readonly NumberedSource[] } {
    const tiles = this.#tree.takeTiles().map((tile) => ({ ...tile, sources: this.#sourcesOf(tile) }));
    const sources = [...this.#changed].map((number) => ({ ...(this.#byNumber[number] as GrowingSource) }));
    const firstTile = Math.floor(this.size / TILE_WIDTH);
    this.#numbers = this.#numbers.slice((firstTile - this.#firstTile) * TILE_WIDTH);
    this.#firstTile = firstTile;
    this.#changed.clear();
    return { tiles, sources };
  }

  #sourcesOf({ level, n, width }: Tile): Buffer | undefined {
    if (level > 0) return undefined;
    const start = (n - this.#firstTile) * TILE_WIDTH;
    return writeTileSources(this.#numbers.slice(start, start + width));
  }

  #put(source: NumberedSource): void {
    const growing = { ...source };
    const ofKind = this.#sources.get(source.kind) ?? new Map<string, GrowingSource>();
    this.#sources.set(source.kind, ofKind.set(source.id, growing));
    this.#byNumber[source.number] = growing;
  }
}

type GrowingSource = { -readonly [Field in keyof NumberedSource]: NumberedSource[Field] };
