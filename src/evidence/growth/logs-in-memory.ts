import { EvidenceFault } from '../evidence-fault.ts';
import { type EventLeaf, journalLeaf, writeEventLeaf } from '../leaves/leaf.ts';
import { monthOf, saltOf } from '../leaves/month-key.ts';
import { NO_SOURCE, type SourceChain } from '../leaves/source-chain.ts';
import type { LogName } from '../notes/origin.ts';
import { GrowingTree, type ReadTile, type Tile } from '../tree/growing-tree.ts';
import { leafHash } from '../tree/merkle.ts';
import type { NewEntry } from './due-statements.ts';
import { EventsLog, type NumberedSource, type StoredTile } from './events-log.ts';
import type { HoleRange } from './explained-holes.ts';

/** The key that salts the events of a month. */
export interface MonthKey {
  readonly month: string;
  readonly key: Buffer;
  /** It is not stored yet. */
  readonly isNew: boolean;
}

/** What both logs go on from. */
export interface LogsToLoad {
  readonly sizes: Readonly<Record<LogName, number>>;
  /** The partial tiles at the right edges. */
  readonly tiles: Readonly<Record<LogName, readonly Tile[]>>;
  readonly tileSources: Buffer;
  readonly sources: readonly NumberedSource[];
  readonly monthKeys: ReadonlyMap<string, Buffer>;
}

/** What has been appended since the last time. */
export interface Appended {
  readonly tiles: readonly (StoredTile & { readonly log: LogName })[];
  /** Of all events of it. */
  readonly monthKeys: readonly MonthKey[];
  /** Those that have more leaves now. */
  readonly sources: readonly NumberedSource[];
  /** Positions without an event. */
  readonly holes: readonly HoleRange[];
  readonly newSources: readonly NumberedSource[];
}

/**
 * The right edges of both logs in the memory of a builder. If what was appended could not be committed, all of this is to be forgotten, the
 * keys of months above all: another process has made others.
 */
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
  constructor({ sizes, tiles, tileSources, sources, monthKeys }: LogsToLoad, makeKey: () => Buffer) {
    this.#events = new EventsLog({ size: sizes.events, readTile: among(tiles.events), tileSources, sources });
    this.#journal = new GrowingTree(sizes.journal, among(tiles.journal));
    this.#monthKeys = new Map(monthKeys);
    this.#makeKey = makeKey;
  }

  sizeOf(log: LogName): number {
    return log === 'events' ? this.#events.size : this.#journal.size;
  }

  rootOf(log: LogName): Buffer {
    return log === 'events' ? this.#events.root() : this.#journal.root();
  }

  /** The leaves of a source so far. */
  chainOf(kind: string, id: string): SourceChain {
    return this.#events.chainOf(kind, id);
  }

  /** Appends the next event; what is left out before it are holes. */
  append(event: Omit<EventLeaf, 'salt'>): void {
    const { position, sourceKind, sourceId } = event;
    if (position <= this.#events.size) throw new EvidenceFault(`there are two events at position ${position}`);
    this.appendHoles(position - 1);
    const salt = saltOf(this.#keyOf(event.actionTimeUs), position);
    const known = this.#events.numberOf(sourceKind, sourceId);
    const number = known === NO_SOURCE ? this.#addSource(sourceKind, sourceId) : known;
    this.#events.append(writeEventLeaf({ ...event, salt }), number);
  }

  /** All positions up to this one have no event. */
  appendHoles(until: number): void {
    const from = this.#events.size + 1;
    if (from <= until) this.#holes.push([from, until + 1]);
    this.#events.appendHoles(until);
  }

  state(entries: readonly NewEntry[]): void {
    for (const { text } of entries) this.#journal.append(leafHash(journalLeaf(text)));
  }

  /** New ones so far, which are to be stated in the same commit. */
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

  /** Events of one day come together. */
  #monthOf(actionTimeUs: bigint | undefined): string {
    if (actionTimeUs === undefined) return monthOf(actionTimeUs);
    const dayUs = actionTimeUs / US_PER_DAY;
    if (this.#lastMonth?.dayUs !== dayUs || actionTimeUs < 0n)
      this.#lastMonth = { dayUs, month: monthOf(actionTimeUs) };
    return this.#lastMonth.month;
  }
}

const US_PER_DAY = 86_400_000_000n;

/** Reads one of these tiles. */
export const among = (tiles: readonly Tile[]): ReadTile => {
  const byPlace = new Map(tiles.map(({ level, n, hashes }) => [`${level}/${n}`, hashes]));
  return ({ level, n }) => {
    const hashes = byPlace.get(`${level}/${n}`);
    if (hashes === undefined) throw new EvidenceFault(`tile ${n} of level ${level} is missing`);
    return hashes;
  };
};
