import type { BinaryRow } from '../../postgres/copy/binary-row.ts';
import type { Pool } from '../../postgres/pool.ts';
import { beforeNext, type ChunkEnd, copyFeedRows, FILTERED_SCAN_POSITIONS } from '../feed.sql.ts';
import { type FeedRange, isFiltered } from '../feed.ts';
import { positionOf, tooLargeBytes } from '../feed-row.ts';
import { ArchivedRow } from './archived-row.ts';
import type { ArchivedEvents, RowLimits } from './ports.ts';

/** What the database has, and what it has dropped. */
export interface BothParts {
  readonly pool: Pool;
  readonly archived: ArchivedEvents;
}

/**
 * As `eachFeedRow`, of events in the database and in the archive, which are mixed in order of position. Undefined: a month was dropped
 * meanwhile, so some may be missing, and what was taken does not count.
 */
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
  const rows = new Taking(take, limits.maxEvents, after);
  const rest = stretch.events[Symbol.iterator]();
  const row = new ArchivedRow();
  let next = rest.next();
  const takeArchivedUpTo = (position: number): void => {
    for (; next.done !== true && next.value.position <= position; next = rest.next()) rows.add(row.of(next.value));
  };
  // A stretch in which each position is an archived one has no other.
  const isWhole = stretch.events.length === stretch.until - after;
  if (!isWhole) {
    await copyFeedRows(
      pool,
      { ...range, until: stretch.until },
      limits,
      (hot) => {
        takeArchivedUpTo(positionOf(hot));
        rows.add(hot);
      },
      signal,
    );
    // What was dropped after the archive had been asked is in neither part.
    if ((await archived.countObjects(after, stretch.until)) !== stretch.objects) return undefined;
  }
  takeArchivedUpTo(stretch.until);
  const { events, last, lackingBytes, isFull } = rows;
  if (isFull) return { until: last, events, lackingBytes };
  const isEmpty = events === 0 && stretch.objects === 0;
  return {
    until: isEmpty ? await beforeNextOf({ pool, archived }, stretch.until, until) : stretch.until,
    events,
    lackingBytes,
  };
};

/** Counts what is taken, and stops when there is no room. */
class Taking {
  events = 0;
  last: number;
  lackingBytes = 0;
  readonly #take: (row: BinaryRow) => number;
  readonly #maxEvents: number;

  constructor(take: (row: BinaryRow) => number, maxEvents: number, after: number) {
    this.#take = take;
    this.#maxEvents = maxEvents;
    this.last = after;
  }

  get isFull(): boolean {
    return this.lackingBytes > 0 || this.events === this.#maxEvents;
  }

  add(row: BinaryRow): void {
    if (this.isFull) return;
    this.lackingBytes = tooLargeBytes(row) || this.#take(row);
    if (this.lackingBytes > 0) return;
    this.events += 1;
    this.last = positionOf(row);
  }
}

/** The end of the stretch behind a position in which neither part has an event: a jump may have left out thousands of millions. */
export const beforeNextOf = async ({ pool, archived }: BothParts, position: number, until: number): Promise<number> => {
  const end = await beforeNext(pool, position, until);
  return (await archived.countObjects(position, end)) === 0 ? end : position;
};
