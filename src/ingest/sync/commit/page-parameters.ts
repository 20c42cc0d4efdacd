import { BufferPool } from '../../../limits/buffer-pool.ts';
import type { PageParameter } from '../../../postgres/page-query.ts';
import { type PageRows, place, textColumns } from '../../entries/entry-columns.ts';
import type { Page } from '../../entries/page.ts';
import { toMultirange } from '../../planning/coverage.ts';
import type { Hole } from '../../planning/lane.ts';
import type { ClaimedReads, PageCommit } from '../../planning/source.ts';
import { integerArray, sizeOfArray, writeArray } from './binary-array.ts';

const WIDE_DEDUPE_ENTRIES = 200;
const DEDUPE_MARGIN_MS = 35 * 86_400_000;
/** Years outside of these do not go through ISO strings of four digits. */
const EARLIEST_BOUND_MS = Date.UTC(1000, 0, 1);
const LATEST_BOUND_MS = Date.UTC(9000, 0, 1);

const buffers = new BufferPool();

/** The entries of a page as parameters, in memory that is used again. */
export interface RowParameters {
  readonly parameters: readonly PageParameter[];
  /** Not after a failure: the connection may still be sending from it. */
  giveBack(): void;
}

/** What the function takes of a page in columns, in its order. */
export const rowParameters = (rows: PageRows): RowParameters => {
  const sizes = arrays.map(({ at }) => sizeOfArray(rows, at));
  const buffer = buffers.take(sizes.reduce((sum, size) => sum + size));
  let end = 0;
  const [texts, ids, times, ...columns] = arrays.map(({ at, type }, index) => {
    const start = end;
    end += sizes[index] ?? 0;
    const target = buffer.subarray(start, end);
    writeArray(rows, at, type, target);
    return target;
  }) as [Buffer, Buffer, Buffer, ...Buffer[]];
  return {
    parameters: [texts, ids, times, integerArray(rows.firsts), null, ...columns, integerArray(rows.statusCodes)],
    giveBack: () => buffers.giveBack(buffer),
  };
};

/** What goes as arrays of texts, in the order of the statement's parameters. */
const arrays = [
  { at: place.text, type: 'json' as const },
  ...[place.id, place.time, ...Object.keys(textColumns).map((_, index) => place.firstColumn + index), place.rayId].map(
    (at) => ({ at, type: 'text' as const }),
  ),
];

/** What the function takes before the page, in its order. */
export const fixedParameters = (
  {
    lease,
    state,
    claims,
    page,
    lane,
    filterHash,
    eventRate,
    largestPage,
    holes = [],
    reading,
    reads,
    endsTurn,
  }: PageCommit,
  leaseMs: number,
): readonly PageParameter[] => {
  const claimed = claims.flatMap((ranges, pass) => (ranges.length === 0 ? [] : [{ pass, ranges }]));
  return [
    lease.kind,
    lease.id,
    lease.organizationId,
    lease.epoch,
    lease.owner,
    lease.commitSeq,
    // Without it, the lease ends.
    endsTurn === true ? null : leaseMs,
    lane,
    filterHash,
    latest(page.timesMs),
    eventRate?.perHour ?? null,
    eventRate?.recentPerHour ?? null,
    claimed.map(({ pass }) => pass),
    claimed.map(({ ranges }) => toMultirange(ranges)),
    ...dedupeBounds(page),
    state === undefined ? null : JSON.stringify(state),
    holes.length === 0 ? null : JSON.stringify(holes.map(toHole)),
    reading === undefined ? null : JSON.stringify({ ...reading, ...reading.range }),
    largestPage ?? page.entries,
    reads === undefined || claimed.length === 0 ? null : JSON.stringify(toReads(reads)),
  ];
};

const toReads = ({ window, pages, entries, answers }: ClaimedReads) => ({ ...window, pages, entries, ...answers });

const toHole = ({ range, pass, reason, message }: Hole) => ({ ...range, pass, reason, message });

/**
 * Where to look for an entry that is known: everywhere for a page of ordinary size; for a large one, five weeks around its
 * own times, which is a few partitions. Only an entry that comes again with a time further off than that, on a large page,
 * would be stored twice.
 */
export const dedupeBounds = (page: Page): [string, string] => {
  if (page.entries <= WIDE_DEDUPE_ENTRIES || page.timesMs.length === 0) return ['-infinity', 'infinity'];
  const bound = (timeMs: number) => new Date(timeMs).toISOString();
  const earliestMs = page.timesMs.reduce((a, b) => Math.min(a, b));
  const latestMs = page.timesMs.reduce((a, b) => Math.max(a, b));
  if (earliestMs < EARLIEST_BOUND_MS || latestMs > LATEST_BOUND_MS) return ['-infinity', 'infinity'];
  return [bound(earliestMs - DEDUPE_MARGIN_MS), bound(latestMs + DEDUPE_MARGIN_MS)];
};

const latest = (timesMs: readonly number[]): number | null => {
  let latestMs: number | null = null;
  for (const timeMs of timesMs) if (latestMs === null || timeMs > latestMs) latestMs = timeMs;
  return latestMs;
};
