import { EvidenceFault, sha256 } from '../bytes.ts';
import {
  chained,
  chainStart,
  type EventLeaf,
  holeHash,
  journalLeaf,
  monthOf,
  NO_SOURCE,
  readTileSources,
  type SourceChain,
  saltOf,
  writeEventLeaf,
  writeTileSources,
} from '../leaf.ts';
import type { LogName } from '../notes/checkpoint.ts';
import { GrowingTree, type ReadTile, type Tile } from '../tree/growing-tree.ts';
import { leafHash, TILE_WIDTH } from '../tree/tiles.ts';
import type { NewEntry } from './new-statements.ts';

/** Salts the events of a month. */
interface MonthKey {
  readonly month: string;
  readonly key: Buffer;
  /** Not stored yet. */
  readonly isNew: boolean;
}

export interface LogsToLoad {
  readonly sizes: Readonly<Record<LogName, number>>;
  /** At the right edges. */
  readonly tiles: Readonly<Record<LogName, readonly Tile[]>>;
  readonly tileSources: Buffer;
  readonly sources: readonly NumberedSource[];
  readonly monthKeys: ReadonlyMap<string, Buffer>;
}

export interface Appended {
  readonly tiles: readonly (StoredTile & { readonly log: LogName })[];
  readonly monthKeys: readonly MonthKey[];
  readonly sources: readonly NumberedSource[];
  readonly holes: readonly HoleRange[];
  readonly newSources: readonly NumberedSource[];
}

/** After a failed commit all of this is to be forgotten, the keys of months above all: another process has made others. */
export class LogsInMemory {
  readonly #events: EventsLog;
  readonly #journal: GrowingTree;
  readonly #monthKeys: Map<string, Buffer>;
  readonly #makeKey: () => Buffer;
  #usedKeys = new Map<string, MonthKey>();
  #holes: HoleRange[] = [];
  #newSources: NumberedSource[] = [];
  #lastMonth: { readonly dayUs: bigint; readonly month: string } | undefined;

  /** Throws an EvidenceFault if the tiles are not those of logs of these sizes. */
  constructor(logs: LogsToLoad, makeKey: () => Buffer) {
    this.#events = new EventsLog(logs);
    this.#journal = new GrowingTree(logs.sizes.journal, among(logs.tiles.journal));
    this.#monthKeys = new Map(logs.monthKeys);
    this.#makeKey = makeKey;
  }

  sizeOf(log: LogName): number {
    return log === 'events' ? this.#events.size : this.#journal.size;
  }

  rootOf(log: LogName): Buffer {
    return log === 'events' ? this.#events.root() : this.#journal.root();
  }

  chainOf(kind: string, id: string): SourceChain {
    return this.#events.chainOf(kind, id);
  }

  /** Positions before it are holes. */
  append(event: Omit<EventLeaf, 'salt'>): void {
    const { position, sourceKind, sourceId } = event;
    if (position <= this.#events.size) throw new EvidenceFault(`there are two events at position ${position}`);
    this.appendHoles(position - 1);
    const salt = saltOf(this.#keyOf(event.actionTimeUs), position);
    const known = this.#events.numberOf(sourceKind, sourceId);
    const number = known === NO_SOURCE ? this.#addSource(sourceKind, sourceId) : known;
    this.#events.append(writeEventLeaf({ ...event, salt }), number);
  }

  appendHoles(until: number): void {
    const from = this.#events.size + 1;
    if (from <= until) this.#holes.push([from, until + 1]);
    this.#events.appendHoles(until);
  }

  state(entries: readonly NewEntry[]): void {
    for (const { text } of entries) this.#journal.append(leafHash(journalLeaf(text)));
  }

  /** To be stated in the same commit. */
  get newSources(): readonly NumberedSource[] {
    return this.#newSources;
  }

  take(): Appended {
    const { tiles, sources } = this.#events.take();
    const journalTiles = this.#journal.takeTiles();
    const appended: Appended = {
      tiles: [
        ...tiles.map((tile) => ({ ...tile, log: 'events' as const })),
        ...journalTiles.map((tile) => ({ ...tile, sources: undefined, log: 'journal' as const })),
      ],
      monthKeys: [...this.#usedKeys.values()],
      sources,
      holes: this.#holes,
      newSources: this.#newSources,
    };
    this.#usedKeys = new Map();
    this.#holes = [];
    this.#newSources = [];
    return appended;
  }

  #addSource(kind: string, id: string): number {
    const added = this.#events.addSource(kind, id);
    this.#newSources.push(added);
    return added.number;
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

export interface NumberedSource extends SourceChain {
  readonly number: number;
  readonly kind: string;
  readonly id: string;
}

/** Beside tiles of level 0 are the numbers of the sources of their leaves. */
interface StoredTile extends Tile {
  readonly sources: Buffer | undefined;
}

/** Two bytes. */
const MAX_SOURCES = 65_535;

/** Tree, sources of the last tile, chains. After a failed commit, load a new one. */
class EventsLog {
  readonly #tree: GrowingTree;
  /** By kind and id: no text is made for each event. */
  readonly #sources = new Map<string, Map<string, GrowingSource>>();
  readonly #byNumber: (GrowingSource | undefined)[] = [];
  readonly #changed = new Set<number>();
  /** From the tile on that was partial at the last `take`. */
  #numbers: number[];
  #firstTile: number;

  constructor({ sizes: { events: size }, tiles, tileSources, sources }: LogsToLoad) {
    this.#tree = new GrowingTree(size, among(tiles.events));
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

  chainOf(kind: string, id: string): SourceChain {
    const { events, chain } = this.#sources.get(kind)?.get(id) ?? chainStart;
    return { events, chain };
  }

  /** Throws an EvidenceFault if there are no more numbers. */
  addSource(kind: string, id: string): NumberedSource {
    const number = Math.max(1, this.#byNumber.length);
    if (number > MAX_SOURCES) throw new EvidenceFault(`there are more than ${MAX_SOURCES} sources`);
    const source = { number, kind, id, ...chainStart };
    this.#put(source);
    return source;
  }

  append(data: Uint8Array, number: number): void {
    const source = this.#byNumber[number];
    if (source === undefined) throw new RangeError(`source ${number} has not been added`);
    const hash = leafHash(data);
    this.#tree.append(hash);
    this.#numbers.push(number);
    Object.assign(source, chained(source, hash));
    this.#changed.add(number);
  }

  appendHoles(until: number): void {
    while (this.#tree.size < until) {
      this.#tree.append(holeHash(this.#tree.size + 1));
      this.#numbers.push(NO_SOURCE);
    }
  }

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

/** A row of binary COPY: fields in the order of `eventFields`. */
export interface BinaryFields {
  readonly bytes: Buffer;
  readonly starts: Int32Array;
  readonly lengths: Int32Array;
}

/** Fields of a leaf, as SQL over audit_events. */
export const eventFields = [
  'position',
  'received_at',
  'action_time',
  'source_kind',
  'source_id',
  'organization_id',
  'id',
  `array_to_string(defects, ',')`,
  'raw::text',
] as const;

/** PostgreSQL counts microseconds from 2000 on. */
const EPOCH_US = 946_684_800_000_000n;
const MINUS_INFINITY = -(2n ** 63n);

/** Without the salt, which needs the key of the month. Copies what it takes. */
export const readEventRow = ({ bytes, starts, lengths }: BinaryFields): Omit<EventLeaf, 'salt'> => {
  const start = (field: number): number => starts[field] as number;
  const length = (field: number): number => lengths[field] as number;
  const text = (field: number): string =>
    length(field) < 0 ? '' : bytes.toString('utf8', start(field), start(field) + length(field));
  const actionTime = bytes.readBigInt64BE(start(2));
  const organizationId = text(5);
  const defects = text(7);
  const rawBytes = length(8);
  return {
    position: Number(bytes.readBigInt64BE(start(0))),
    receivedAtUs: bytes.readBigInt64BE(start(1)) + EPOCH_US,
    actionTimeUs: actionTime === MINUS_INFINITY ? undefined : actionTime + EPOCH_US,
    sourceKind: text(3),
    sourceId: text(4),
    organizationId: organizationId === '' ? undefined : organizationId,
    id: text(6),
    defects: defects === '' ? [] : [defects],
    rawBytes,
    rawSha256: sha256(bytes.subarray(start(8), start(8) + rawBytes)),
  };
};

/* Positions have no gaps: an event that is missing was dropped by retention, left out by a jump, or deleted. */

/** Positions [from, to). */
export type HoleRange = readonly [from: number, to: number];

/** Undefined: all holes are explained. */
export const unexplainedHole = (
  holes: readonly HoleRange[],
  explanations: readonly HoleRange[],
): number | undefined => {
  const sorted = explanations.toSorted(([a], [b]) => a - b);
  for (const [from, to] of holes) {
    let at = from;
    for (const [start, end] of sorted) if (start <= at && end > at) at = end;
    if (at < to) return at;
  }
  return undefined;
};

/** A chunk never reaches into a jump, which has no events. */
export const nextChunk = (
  { size, head, events, holes }: { size: number; head: number; events: number; holes: number },
  jumps: readonly HoleRange[],
): { readonly until: number; readonly isHole: boolean } => {
  const next = size + 1;
  const within = jumps.find(([from, to]) => from <= next && next < to);
  if (within !== undefined) return { until: Math.min(head, within[1] - 1, size + holes), isHole: true };
  const ahead = jumps.filter(([from]) => from > next).map(([from]) => from - 1);
  return { until: Math.min(head, size + events, ...ahead), isHole: false };
};
