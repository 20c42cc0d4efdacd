import type { BinaryRow } from '../postgres/copy.ts';
import type { Pool } from '../postgres/pool.ts';
import {
  beforeNext,
  type ChunkEnd,
  checkOfEvent,
  copyFeedRows,
  FILTERED_SCAN_POSITIONS,
  isDense,
  readMissedEvents,
  readPositionCheck,
  readPositions,
} from './feed.sql.ts';
import {
  type ArchivedEvent,
  type ArchivedEvents,
  type FeedRange,
  isFiltered,
  type PositionLookup,
  type RowLimits,
} from './feed.ts';
import { eventOf, field, positionOf, tooLargeBytes } from './feed-row.ts';

export interface BothParts {
  readonly pool: Pool;
  readonly archived: ArchivedEvents;
}

/** As `eachFeedRow`, of the database and the archive, by position. Undefined: a month was dropped meanwhile, and what was taken does not count. */
export const eachMergedRow = async (
  { pool, archived }: BothParts,
  range: FeedRange,
  limits: RowLimits,
  take: (row: BinaryRow) => number,
  signal?: AbortSignal,
): Promise<ChunkEnd | undefined> => {
  const { after, until } = range;
  const scanned = isFiltered(range) ? Math.min(until, after + FILTERED_SCAN_POSITIONS) : until;
  const stretch = await archived.read({ ...range, until: scanned }, limits, signal);
  let [events, last, lackingBytes] = [0, after, 0];
  const isFull = () => lackingBytes > 0 || events === limits.maxEvents;
  const add = (one: BinaryRow): void => {
    if (isFull()) return;
    lackingBytes = tooLargeBytes(one) || take(one);
    if (lackingBytes > 0) return;
    events += 1;
    last = positionOf(one);
  };
  const rest = stretch.events[Symbol.iterator]();
  const row = new ArchivedRow();
  let next = rest.next();
  const takeArchivedUpTo = (position: number): void => {
    for (; next.done !== true && next.value.position <= position; next = rest.next()) add(row.of(next.value));
  };
  // If each position of the stretch is an archived one, the database has no other.
  const isWhole = stretch.events.length === stretch.until - after;
  if (!isWhole) {
    const takeHot = (hot: BinaryRow): void => {
      takeArchivedUpTo(positionOf(hot));
      add(hot);
    };
    await copyFeedRows(pool, { ...range, until: stretch.until }, limits, takeHot, signal);
    // What was dropped after the archive was asked is in neither part, and what came back is in both.
    if ((await archived.sumObjects(after, stretch.until)) !== stretch.objects) return undefined;
  }
  takeArchivedUpTo(stretch.until);
  if (isFull()) return { until: last, events, lackingBytes };
  const isEmpty = events === 0 && stretch.objects === 0;
  const end = isEmpty ? await endOfRange({ pool, archived }, stretch.until, until) : stretch.until;
  return { until: end, events, lackingBytes };
};

/** The position in front of the next event of either part: a jump may have left out thousands of millions. */
export const endOfRange = async ({ pool, archived }: BothParts, position: number, until: number): Promise<number> => {
  const end = await beforeNext(pool, position, until);
  return (await archived.sumObjects(position, end)) === 0 ? end : position;
};

/** PostgreSQL counts from 2000. */
const EPOCH_MICROSECONDS = BigInt(Date.UTC(2000, 0, 1)) * 1_000n;
const FIELDS = Object.keys(field).length;
const LENGTH_BYTES = 4;
const INT64_BYTES = 8;

/** As COPY would have sent it. A row is valid until the next is made. */
export class ArchivedRow {
  readonly #starts = new Int32Array(FIELDS);
  readonly #lengths = new Int32Array(FIELDS);
  #bytes = Buffer.alloc(65_536);
  #at = 0;

  of(event: ArchivedEvent): BinaryRow {
    const { defects } = event;
    this.#at = 0;
    this.#number(field.position, BigInt(event.position));
    this.#text(field.sourceKind, event.sourceKind);
    this.#text(field.sourceId, event.sourceId);
    this.#text(field.organizationId, event.organizationId);
    this.#text(field.id, event.id);
    this.#number(field.actionTime, event.actionTime - EPOCH_MICROSECONDS);
    this.#number(field.receivedAt, event.receivedAt - EPOCH_MICROSECONDS);
    this.#text(field.defects, defects === null ? null : Buffer.from(JSON.stringify(defects)));
    this.#text(field.accountId, event.accountId);
    this.#text(field.accountName, event.accountName);
    this.#text(field.zoneId, event.zoneId);
    this.#text(field.zoneName, event.zoneName);
    this.#text(field.raw, event.raw);
    // The row ends with its entry: readers search up to the end.
    return { bytes: this.#bytes.subarray(0, this.#at), starts: this.#starts, lengths: this.#lengths };
  }

  #number(index: number, value: bigint): void {
    const start = this.#begin(index, INT64_BYTES, INT64_BYTES);
    this.#bytes.writeBigInt64BE(value, start);
  }

  #text(index: number, value: Uint8Array | null): void {
    const start = this.#begin(index, value?.length ?? -1, value?.length ?? 0);
    // Only now: for a large value there are other bytes.
    if (value !== null) this.#bytes.set(value, start);
  }

  #begin(index: number, length: number, sizeBytes: number): number {
    const start = this.#at + LENGTH_BYTES;
    this.#at = start + sizeBytes;
    if (this.#at > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(2 * this.#at);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.writeInt32BE(length, start - LENGTH_BYTES);
    this.#starts[index] = start;
    this.#lengths[index] = length;
    return start;
  }
}

export const lookUpAll = (parts: BothParts): PositionLookup => ({
  checkOf: async (position) =>
    (await readPositionCheck(parts.pool, position)) ?? (await checkOfArchived(parts, position)),
  endOf: (range, limit) => positionOfNth(parts, range, limit),
  hasEvents: async (range) => (await nthPosition(parts, range, 1)) !== undefined,
  missedBehind: async (position, knownDrop) => {
    const missed = await readMissedEvents(parts.pool, position, knownDrop, { hasArchive: true });
    if (missed === undefined) return undefined;
    const range = { after: position, until: missed.firstPosition ?? missed.until, organizationIds: undefined };
    return { ...missed, firstPosition: (await nthPosition(parts, range, 1)) ?? missed.firstPosition };
  },
});

const checkOfArchived = async ({ pool, archived }: BothParts, position: number): Promise<string | undefined> => {
  if (position === 0) return undefined;
  const range = { after: position - 1, until: position, organizationIds: undefined };
  const [event] = (await archived.read(range, { maxEvents: 1, maxBytes: 1 })).events;
  if (event === undefined) return undefined;
  const context = { feedId: '', organizationNames: new Map<string, null>() };
  return await checkOfEvent(pool, eventOf(new ArchivedRow().of(event), context));
};

const positionOfNth = async (parts: BothParts, range: FeedRange, nth: number): Promise<number> =>
  (await isDense(parts.pool, range, { hasArchive: true }))
    ? Math.min(range.until, range.after + nth)
    : ((await nthPosition(parts, range, nth)) ?? range.until);

/** Undefined: the range has fewer events. */
const nthPosition = async (parts: BothParts, range: FeedRange, nth: number): Promise<number | undefined> => {
  const { pool, archived } = parts;
  let [from, wanted] = [range.after, nth];
  while (from < range.until) {
    const most = Math.min(wanted, FILTERED_SCAN_POSITIONS);
    const until = Math.min(range.until, from + FILTERED_SCAN_POSITIONS);
    const cold = await archived.positions({ ...range, after: from, until }, most);
    const hot = await readPositions(pool, { ...range, after: from, until: cold.until }, most);
    const found = [...new Set([...cold.positions, ...hot])].sort((a, b) => a - b);
    if (found.length >= wanted) return found[wanted - 1];
    wanted -= found.length;
    from = found.length === 0 ? await endOfRange(parts, cold.until, range.until) : cold.until;
  }
  return undefined;
};
