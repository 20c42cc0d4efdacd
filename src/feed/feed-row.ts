import type { FeedEvent } from '../formats/format.ts';
import type { BinaryRow } from '../postgres/copy.ts';

/** In the order of the query in feed.sql.ts. */
export const field = {
  position: 0,
  sourceKind: 1,
  sourceId: 2,
  organizationId: 3,
  id: 4,
  actionTime: 5,
  receivedAt: 6,
  defects: 7,
  accountId: 8,
  accountName: 9,
  zoneId: 10,
  zoneName: 11,
  raw: 12,
} as const;

/** More than a row and a line have beside the entry. */
const MAX_ROW_BYTES = 8_192;
/** Behind the fields: the size of an entry that is too large to be sent; else null. */
const entryBytes = 13;

/** How many bytes the row takes, if its entry was too large to be sent; else 0. */
export const tooLargeBytes = ({ bytes, starts, lengths }: BinaryRow): number =>
  (lengths[field.raw] ?? 0) < 0 ? MAX_ROW_BYTES + bytes.readInt32BE(starts[entryBytes]) : 0;

export interface FeedContext {
  readonly feedId: string;
  /** By id, as of the beginning of the reading. A join would cost a third of the speed. */
  readonly organizationNames: ReadonlyMap<string, string | null>;
}

const int64 = (bytes: Buffer, at: number): number => bytes.readInt32BE(at) * 4_294_967_296 + bytes.readUInt32BE(at + 4);

export const positionOf = ({ bytes, starts }: BinaryRow): number => int64(bytes, starts[field.position] ?? 0);

export const textOf = ({ bytes, starts, lengths }: BinaryRow, index: number): string | null => {
  const start = starts[index] ?? 0;
  const length = lengths[index] ?? -1;
  return length < 0 ? null : bytes.toString('utf8', start, start + length);
};

const EPOCH_DAY = Date.UTC(2000, 0, 1) / 86_400_000;
const DAY_MICROSECONDS = 86_400_000_000;
/** RFC 3339 has four digits for a year. */
const FIRST_DAY = Date.parse('0000-01-01T00:00:00Z') / 86_400_000;
const LAST_DAY = Date.parse('9999-12-31T00:00:00Z') / 86_400_000;

/** Null for infinity, and for years that RFC 3339 cannot say. `day`: since 1970; `microseconds`: of the day. */
export const readInstant = (
  { bytes, starts }: BinaryRow,
  index: number,
): { readonly day: number; readonly microseconds: number } | null => {
  const at = starts[index] ?? 0;
  const sinceEpoch = int64(bytes, at);
  const days = Math.floor(sinceEpoch / DAY_MICROSECONDS);
  // Before 1715 and after 2285, not exact to the microsecond.
  if (!Number.isSafeInteger(sinceEpoch)) return readDistantInstant(bytes.readBigInt64BE(at));
  return { day: EPOCH_DAY + days, microseconds: sinceEpoch - days * DAY_MICROSECONDS };
};

const readDistantInstant = (sinceEpoch: bigint): ReturnType<typeof readInstant> => {
  const microsecondsOfDay = BigInt(DAY_MICROSECONDS);
  const microseconds = ((sinceEpoch % microsecondsOfDay) + microsecondsOfDay) % microsecondsOfDay;
  const day = EPOCH_DAY + Number((sinceEpoch - microseconds) / microsecondsOfDay);
  return day >= FIRST_DAY && day <= LAST_DAY ? { day, microseconds: Number(microseconds) } : null;
};

const twoDigits = Array.from({ length: 100 }, (_, number) => String(number).padStart(2, '0'));

const MAX_CACHED = 10_000;
const dates = new Map<number, string>();

/** As RFC 3339 has it, with the T behind it. */
export const dateOf = (day: number): string => new Date(day * 86_400_000).toISOString().slice(0, 11);

export const cached = <K, V>(cache: Map<K, V>, key: K, make: (key: K) => V): V => {
  let value = cache.get(key);
  if (value === undefined) {
    value = make(key);
    if (cache.size === MAX_CACHED) cache.clear();
    cache.set(key, value);
  }
  return value;
};

const instantOf = (row: BinaryRow, index: number): string | null => {
  const instant = readInstant(row, index);
  if (instant === null) return null;
  const seconds = Math.floor(instant.microseconds / 1_000_000);
  const minutes = Math.floor(seconds / 60);
  const fraction = String(1_000_000 + instant.microseconds - seconds * 1_000_000).slice(1);
  const time = `${twoDigits[Math.floor(minutes / 60)]}:${twoDigits[minutes % 60]}:${twoDigits[seconds % 60]}`;
  return `${cached(dates, instant.day, dateOf)}${time}.${fraction}Z`;
};

export const eventOf = (row: BinaryRow, { feedId, organizationNames }: FeedContext): FeedEvent =>
  namedEventOf(row, feedId, organizationNames.get(textOf(row, field.organizationId) ?? '') ?? null);

export const namedEventOf = (row: BinaryRow, feedId: string, organizationName: string | null): FeedEvent => {
  const defects = textOf(row, field.defects);
  return {
    position: positionOf(row),
    feedId,
    sourceKind: textOf(row, field.sourceKind) ?? '',
    sourceId: textOf(row, field.sourceId) ?? '',
    organizationId: textOf(row, field.organizationId),
    organizationName,
    accountId: textOf(row, field.accountId),
    accountName: textOf(row, field.accountName),
    zoneId: textOf(row, field.zoneId),
    zoneName: textOf(row, field.zoneName),
    id: textOf(row, field.id) ?? '',
    actionTime: instantOf(row, field.actionTime),
    receivedAt: instantOf(row, field.receivedAt) ?? '9999-12-31T00:00:00.000000Z',
    rawText: textOf(row, field.raw) ?? '',
    defects: defects === null ? null : (JSON.parse(defects) as readonly string[]),
  };
};
