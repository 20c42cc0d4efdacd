import { BufferPool } from '../../../base/memory.ts';
import type { PageParameter } from '../../../postgres/page-query.ts';
import { NULL, type PageRows, PLACES, place, REPLACED, textColumns } from '../../entries/entry.ts';
import type { Page } from '../../entries/page.ts';
import { toMultirange } from '../../planning/coverage.ts';
import type { ClaimedReads, PageCommit } from '../../planning/source.ts';

const WIDE_DEDUPE_ENTRIES = 200;
const DEDUPE_MARGIN_MS = 35 * 86_400_000;
/** Years outside of these do not go through ISO strings of four digits. */
const EARLIEST_BOUND_MS = Date.UTC(1000, 0, 1);
const LATEST_BOUND_MS = Date.UTC(9000, 0, 1);

const buffers = new BufferPool();

interface RowParameters {
  readonly parameters: readonly PageParameter[];
  /** Not after a failure: the connection may still be sending from it. */
  giveBack(): void;
}

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

const arrays = [
  { at: place.text, type: 'json' as const },
  ...[place.id, place.time, ...Object.keys(textColumns).map((_, index) => place.firstColumn + index), place.rayId].map(
    (at) => ({ at, type: 'text' as const }),
  ),
];

export const fixedParameters = (commit: PageCommit, leaseMs: number): readonly PageParameter[] => {
  const { lease, page, state, eventRate, holes = [], reading, reads } = commit;
  const claimed = commit.claims.flatMap((ranges, pass) => (ranges.length === 0 ? [] : [{ pass, ranges }]));
  return [
    lease.kind,
    lease.id,
    lease.organizationId,
    lease.epoch,
    lease.owner,
    lease.commitSeq,
    // Without it, the lease ends.
    commit.endsTurn === true ? null : leaseMs,
    commit.lane,
    commit.filterHash,
    page.timesMs.reduce<number | null>((latest, timeMs) => Math.max(latest ?? timeMs, timeMs), null),
    eventRate?.perHour ?? null,
    eventRate?.recentPerHour ?? null,
    claimed.map(({ pass }) => pass),
    claimed.map(({ ranges }) => toMultirange(ranges)),
    ...dedupeBounds(page),
    json(state),
    holes.length === 0 ? null : json(holes.map(({ range, ...hole }) => ({ ...range, ...hole }))),
    json(reading && { ...reading, ...reading.range }),
    commit.largestPage ?? page.entries,
    claimed.length === 0 ? null : json(reads && toReads(reads)),
  ];
};

const json = (value: object | undefined): string | null => (value === undefined ? null : JSON.stringify(value));

const toReads = ({ window, pages, entries, answers }: ClaimedReads) => ({ ...window, pages, entries, ...answers });

/** Where to look for a known entry: everywhere for an ordinary page; for a large one, five weeks around its own times,
 * a few partitions. Only an entry that comes again with a time further off, on a large page, would be stored twice. */
export const dedupeBounds = (page: Page): [string, string] => {
  if (page.entries <= WIDE_DEDUPE_ENTRIES || page.timesMs.length === 0) return ['-infinity', 'infinity'];
  const bound = (timeMs: number) => new Date(timeMs).toISOString();
  const earliestMs = page.timesMs.reduce((a, b) => Math.min(a, b));
  const latestMs = page.timesMs.reduce((a, b) => Math.max(a, b));
  if (earliestMs < EARLIEST_BOUND_MS || latestMs > LATEST_BOUND_MS) return ['-infinity', 'infinity'];
  return [bound(earliestMs - DEDUPE_MARGIN_MS), bound(latestMs + DEDUPE_MARGIN_MS)];
};

/** OIDs of PostgreSQL's types, the same in every database. */
const INT4 = 23;
const TEXT = 25;
const JSON_TYPE = 114;

const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;
/** Shorter values are copied here, byte by byte: a call costs more. */
const SHORT_BYTES = 48;

type ElementType = 'text' | 'json';
const oids = { text: TEXT, json: JSON_TYPE } as const satisfies Record<ElementType, number>;

export const sizeOfArray = ({ spans, replaced, firsts }: PageRows, place: number): number => {
  let size = HEADER_BYTES + firsts.length * LENGTH_BYTES;
  for (let row = 0; row < firsts.length; row += 1) {
    const index = (row * PLACES + place) * 2;
    const start = spans[index] ?? NULL;
    if (start === REPLACED) size += Buffer.byteLength(replaced.get(index) ?? '');
    else if (start !== NULL) size += (spans[index + 1] ?? start) - start;
  }
  return size;
};

/** PostgreSQL's binary array format, into exactly `sizeOfArray` bytes. The text format would have every quote and
 * backslash escaped here and read again there, character by character. */
export const writeArray = (rows: PageRows, place: number, type: ElementType, target: Buffer): void => {
  const { bytes, spans } = rows;
  let at = writeHeader(target, rows.firsts.length, true, oids[type]);
  for (let row = 0; row < rows.firsts.length; row += 1) {
    const index = (row * PLACES + place) * 2;
    const start = spans[index] ?? NULL;
    const from = at + LENGTH_BYTES;
    if (start === NULL) {
      at = target.writeInt32BE(-1, at);
    } else if (start === REPLACED) {
      const length = target.write(rows.replaced.get(index) ?? '', from, 'utf8');
      at = target.writeInt32BE(length, at) + length;
    } else {
      const length = (spans[index + 1] ?? start) - start;
      target.writeInt32BE(length, at);
      copy(bytes, start, length, target, from);
      at = from + length;
    }
  }
};

const copy = (source: Buffer, start: number, length: number, target: Buffer, at: number): void => {
  if (length > SHORT_BYTES) {
    source.copy(target, at, start, start + length);
    return;
  }
  for (let index = 0; index < length; index += 1) target[at + index] = source[start + index] ?? 0;
};

export const integerArray = (values: readonly (number | null)[]): Buffer => {
  const nulls = values.reduce<number>((count, value) => count + (value === null ? 1 : 0), 0);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + values.length * 8 - nulls * 4);
  let at = writeHeader(bytes, values.length, nulls > 0, INT4);
  for (const value of values) {
    at = bytes.writeInt32BE(value === null ? -1 : 4, at);
    if (value !== null) at = bytes.writeInt32BE(value, at);
  }
  return bytes;
};

/** Dimensions, whether there are nulls, the type; then the length and the lower bound of the one dimension. */
const writeHeader = (bytes: Buffer, length: number, hasNull: boolean, type: number): number => {
  let at = bytes.writeInt32BE(1, 0);
  at = bytes.writeInt32BE(hasNull ? 1 : 0, at);
  at = bytes.writeInt32BE(type, at);
  at = bytes.writeInt32BE(length, at);
  return bytes.writeInt32BE(1, at);
};
