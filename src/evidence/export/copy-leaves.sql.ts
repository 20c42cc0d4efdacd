import type { PoolClient } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import { type BinaryRow, copyWithin } from '../../postgres/copy.ts';
import { longStatement } from '../../postgres/pool.ts';
import { eventFields, rawOfRow, readEventRow } from '../append/event-row.ts';
import { type LeafTile, readLeafTiles, readMonthKeys } from '../builder/load-log.sql.ts';
import { leavesOf } from '../builder/read-due.sql.ts';
import { kindOf, type Selection } from '../bundle/layout.ts';
import { writeRecord } from '../bundle/records.ts';
import { EvidenceFault, HASH_BYTES, sha256 } from '../bytes.ts';
import { microsecondsOf } from '../journal/instants.ts';
import { monthOf, SALT_BYTES, saltOf, writeEventLeaf } from '../leaf.ts';
import { TILE_WIDTH } from '../tree/tiles.ts';
import type { FoundLeaves } from './copy-statements.sql.ts';
import { field, integer } from './snapshot.sql.ts';
import { type BundleWriter, RecordWriter } from './writer.ts';

export interface LeavesToCopy {
  readonly selection: Selection;
  /** Of the last signed checkpoint. */
  readonly size: number;
  /** Of the statements of the selection. */
  readonly statements: readonly number[];
  /** SHA-256 of later contents, by the index of their event. */
  readonly changes: ReadonlyMap<number, ReadonlySet<string>>;
  readonly found: FoundLeaves;
  readonly splits: readonly number[];
  readonly isPacked: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onLeaf?: ((index: number) => void) | undefined;
}

/** Tiles of one query: 700 kB. */
const TILES_AT_ONCE = 64;

/** Leaves are made from what is stored now: the verifier says whether they are in the tree. Gives the number of events with their content. */
export const copyLeaves = async (client: PoolClient, writer: BundleWriter, options: LeavesToCopy): Promise<number> => {
  const { size, splits, isPacked } = options;
  const upper = await readUpperTiles(client);
  let tiles = new Map<number, LeafTile>();
  const hashesOf = (level: number, n: number): Buffer => {
    const hashes = level === 0 ? tiles.get(n)?.hashes : upper.get(`${level}/${n}`);
    if (hashes === undefined) throw new EvidenceFault(`tile ${n} of level ${level} is missing`);
    return hashes;
  };
  const records = new RecordWriter(writer, { isPacked, hashesOf, splits });
  const copy = new LeafCopy(records, options, await readMonthKeys(client));
  const needed = await neededTiles(client, options);
  try {
    for (let at = 0; at < needed.length; at += TILES_AT_ONCE) {
      const some = needed.slice(at, at + TILES_AT_ONCE);
      const chunk = await readLeafTiles(client, 'n = any ($1::bigint[]) order by n', [some]);
      tiles = new Map(chunk.map((tile) => [tile.n, tile]));
      await copyEvents(
        client,
        copy,
        chunk.flatMap((tile) => copy.shownOf(tile)),
        options,
      );
      // Roots of fewer leaves than a tile has are of tiles that are here.
      records.hide(Math.min(size, ((chunk.at(-1)?.n ?? 0) + 1) * TILE_WIDTH));
    }
    records.end();
  } finally {
    records.close();
  }
  return copy.events;
};

interface ShownLeaf {
  readonly index: number;
  readonly number: number;
  /** 0: a statement. */
  readonly position: number;
  readonly hash: Buffer;
}

/** Takes rows of events, and writes the leaves up to each. */
class LeafCopy {
  events = 0;
  readonly #records: RecordWriter;
  readonly #options: LeavesToCopy;
  readonly #kind: ReturnType<typeof kindOf>;
  readonly #monthKeys: ReadonlyMap<string, Buffer>;
  readonly #statements: ReadonlySet<number>;
  readonly #bounds: readonly (bigint | undefined)[];
  #leaves: readonly ShownLeaf[] = [];
  /** Later contents, by position. */
  #contents: ReadonlyMap<number, readonly Buffer[]> = new Map();
  #next = 0;

  constructor(records: RecordWriter, options: LeavesToCopy, monthKeys: ReadonlyMap<string, Buffer>) {
    const { since, before } = options.selection;
    this.#records = records;
    this.#options = options;
    this.#kind = kindOf(options.selection);
    this.#monthKeys = monthKeys;
    this.#statements = new Set(options.statements);
    this.#bounds = [since, before].map((instant) => (instant === null ? undefined : microsecondsOf(instant)));
  }

  shownOf(tile: LeafTile): ShownLeaf[] {
    const { selection, size, found } = this.#options;
    const { source } = selection;
    return leavesOf(tile).flatMap(({ index, position, number }) => {
      const isEvent = this.#kind === 'search' ? found.indexes.has(index) : source === null || number === source;
      const isShown = index < size && (position === 0 ? this.#statements.has(index) : isEvent);
      const at = (index % TILE_WIDTH) * HASH_BYTES;
      return isShown ? [{ index, number, position, hash: tile.hashes.subarray(at, at + HASH_BYTES) }] : [];
    });
  }

  begin(leaves: readonly ShownLeaf[], contents: ReadonlyMap<number, readonly Buffer[]>): void {
    this.#leaves = leaves;
    this.#contents = contents;
    this.#next = 0;
  }

  /** One without a leaf is for the check of the store to find. */
  take(row: BinaryRow): void {
    const event = readEventRow(row);
    this.#until(event.position);
    const leaf = this.#leaves[this.#next];
    if (leaf === undefined || leaf.position !== event.position) return;
    this.#next += 1;
    const key = this.#monthKeys.get(monthOf(event.actionTimeUs));
    const salt = key === undefined ? Buffer.alloc(SALT_BYTES) : saltOf(key, event.position);
    const data = writeEventLeaf({ ...event, salt });
    if (this.#isShown(event.actionTimeUs)) {
      const later = (this.#contents.get(event.position) ?? []).map((raw) => writeRecord({ kind: 'C', raw }));
      this.#records.leaf(leaf.index, writeRecord({ kind: 'E', leaf: data, raw: rawOfRow(row) }), ...later);
      this.events += 1;
    } else this.#records.leaf(leaf.index, writeRecord({ kind: 'L', leaf: data }));
    this.#options.onLeaf?.(leaf.index);
  }

  end(): void {
    this.#until(Number.POSITIVE_INFINITY);
  }

  #isShown(us: bigint | undefined): boolean {
    const [since, before] = this.#bounds;
    const isOfTime =
      us === undefined || ((since === undefined || since <= us) && (before === undefined || us < before));
    return this.#kind === 'search' || isOfTime;
  }

  /** Statements, and events that are gone. */
  #until(position: number): void {
    for (;;) {
      const leaf = this.#leaves[this.#next];
      if (leaf === undefined || leaf.position >= position) return;
      this.#next += 1;
      if (leaf.position === 0) this.#records.statement(leaf.index);
      else if (this.#kind !== 'search')
        this.#records.leaf(leaf.index, writeRecord({ kind: 'D', number: leaf.number, hash: leaf.hash }));
      else throw new OrgtrailError('usage', `event ${leaf.position} was dropped meanwhile: try again`);
    }
  }
}

/** Positions ascend with indexes, so rows come in the order of leaves. */
const copyEvents = async (
  client: PoolClient,
  copy: LeafCopy,
  leaves: readonly ShownLeaf[],
  { selection, changes, signal }: LeavesToCopy,
): Promise<void> => {
  const events = leaves.filter(({ position }) => position > 0);
  const [first, last] = [events[0], events.at(-1)];
  copy.begin(leaves, await readContents(client, events, changes));
  if (first !== undefined && last !== undefined) {
    const ofSource =
      selection.source === null
        ? ''
        : `and (e.source_kind, e.source_id) = (select s.kind, s.id from evidence_sources s where s.number = ${integer(selection.source)})`;
    const where =
      kindOf(selection) === 'search'
        ? `position in (${events.map(({ position }) => integer(position)).join()})`
        : `position between ${integer(first.position)} and ${integer(last.position)} ${ofSource}`;
    const query = `select ${eventFields.join(', ')} from audit_events e where ${where} order by position`;
    await copyWithin(client, query, (row) => copy.take(row), { signal, long: true });
  }
  copy.end();
};

/** The later contents that are stated, each once, by position. */
const readContents = async (
  client: PoolClient,
  events: readonly ShownLeaf[],
  changes: LeavesToCopy['changes'],
): Promise<ReadonlyMap<number, readonly Buffer[]>> => {
  const changed = new Map(events.flatMap(({ index, position }) => (changes.has(index) ? [[position, index]] : [])));
  const contents = new Map<number, Buffer[]>();
  if (changed.size === 0) return contents;
  const seen = new Set<string>();
  const take = (row: BinaryRow) => {
    const [position, raw] = [Number(row.bytes.readBigInt64BE(row.starts[0])), field(row, 1)];
    const hash = sha256(raw).toString('hex');
    const isStated = changes.get(changed.get(position) ?? -1)?.has(hash) === true;
    if (!isStated || seen.has(`${position} ${hash}`)) return;
    seen.add(`${position} ${hash}`);
    contents.set(position, [...(contents.get(position) ?? []), Buffer.from(raw)]);
  };
  const positions = [...changed.keys()].map(integer).join();
  await copyWithin(
    client,
    `select position, raw::text from audit_event_changes where position in (${positions}) order by id`,
    take,
    { long: true },
  );
  return contents;
};

/** Of level 0, those that a leaf or a root of fewer than 256 leaves comes from, ascending. */
const neededTiles = async (
  client: PoolClient,
  { selection, size, statements, found, splits }: LeavesToCopy,
): Promise<number[]> => {
  const { source } = selection;
  const last = Math.floor((size - 1) / TILE_WIDTH);
  if (kindOf(selection) !== 'search' && source === null) return Array.from({ length: last + 1 }, (_, n) => n);
  const needed = new Set([last]);
  for (const index of [...statements, ...found.indexes, ...splits]) {
    // A root ends before it, perhaps at the end of the tile before.
    if (index < size) needed.add(Math.floor(index / TILE_WIDTH));
    if (index > 0) needed.add(Math.floor((index - 1) / TILE_WIDTH));
  }
  if (kindOf(selection) !== 'search') {
    const take = (row: BinaryRow) => {
      const sources = field(row, 1);
      for (let at = 0; at < sources.length; at += 4)
        if (sources.readUInt32BE(at) === source)
          return void needed.add(Number(row.bytes.readBigInt64BE(row.starts[0])));
    };
    await copyWithin(client, `select n, sources from evidence_tiles where level = 0 and n <= ${integer(last)}`, take, {
      long: true,
    });
  }
  return [...needed].sort((a, b) => a - b);
};

/** 32 bytes for 256 leaves. */
const readUpperTiles = async (client: PoolClient): Promise<ReadonlyMap<string, Buffer>> => {
  const { rows } = await client.query<{ level: number; n: number; hashes: Buffer }>(
    longStatement('select level::integer as level, n::float8 as n, hashes from evidence_tiles where level > 0'),
  );
  return new Map(rows.map(({ level, n, hashes }) => [`${level}/${n}`, hashes]));
};

/** Where these events stand; those that are not signed yet are left out. Throws an EvidenceFault for one that is to have a leaf and has none. */
export const findLeaves = async (
  client: PoolClient,
  positions: readonly number[],
  size: number,
): Promise<FoundLeaves> => {
  const [indexes, numbers] = [new Set<number>(), new Set<number>()];
  const left = new Set(positions);
  const wanted = [...left].sort((a, b) => a - b);
  for (let at = 0; at < wanted.length; at += POSITIONS_AT_ONCE) {
    const { rows } = await client.query<LeafTile>(
      longStatement(
        `select distinct t.n::float8 as n, t.positions, t.sources from unnest($1::bigint[]) as p (position) cross join lateral (
           select first.n from evidence_tiles first where first.level = 0 and first.first_position <= p.position
           order by first.first_position desc limit 1) as found join evidence_tiles t on t.level = 0 and t.n = found.n`,
        [wanted.slice(at, at + POSITIONS_AT_ONCE)],
      ),
    );
    for (const { index, position, number } of rows.flatMap(leavesOf)) {
      if (!left.delete(position) || index >= size) continue;
      indexes.add(index);
      numbers.add(number);
    }
  }
  const { rows } = await client.query<{ position: number }>('select position::float8 as position from evidence_log');
  const stray = [...left].find((position) => position <= (rows[0]?.position ?? 0));
  if (stray !== undefined) throw new EvidenceFault(`event ${stray} has no leaf`);
  return { indexes, numbers };
};

const POSITIONS_AT_ONCE = 10_000;
