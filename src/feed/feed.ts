import type { FormatName } from '../formats/registry.ts';

/** The events after `after`, up to and including `until`. */
export interface FeedRange {
  readonly after: number;
  readonly until: number;
  readonly organizationIds: readonly string[] | undefined;
  /** With `organizationIds`, an event must meet both. */
  readonly accountIds?: readonly string[] | undefined;
  /** `first`: of those that meet the rest of the filter. */
  readonly copies?: Copies | undefined;
}

export const isFiltered = ({ organizationIds, accountIds, copies }: FeedRange): boolean =>
  organizationIds !== undefined || accountIds !== undefined || copies === 'first';

/** Its last position, and the number of the last drop by retention or jump of positions (0 before the first). */
export interface FeedHead {
  readonly feedId: string;
  readonly position: number;
  readonly lastDrop: number;
}

/** Events missing after a position: dropped by retention, or lost by a failover. */
export interface MissedEvents {
  /** Of the drops. Some were read already if a drop began before the position. */
  readonly events: number;
  readonly months: readonly string[];
  /** It left the position out: what the reader has behind `from` was lost, and comes again behind `to`. */
  readonly jump: { readonly from: number; readonly to: number } | null;
  /** The last position that was dropped or left out. */
  readonly until: number;
  readonly firstPosition: number | null;
}

/** What the feed over HTTP and the command `feed` are served from. All reject if the database does not answer. */
export interface FeedSource {
  /** If the position is beyond the head, a failover is looked for first; rejects on a standby, to which it may still come. */
  head(after?: number): Promise<FeedHead>;
  missedBehind(position: number, knownDrop: number): Promise<MissedEvents | undefined>;
  /** A short hash of the event; undefined if none is kept at the position. */
  checkOf(position: number): Promise<string | undefined>;
  endOf(range: FeedRange, limit: number): Promise<number>;
  hasEvents(range: FeedRange): Promise<boolean>;
  waitBeyond(position: number, timeoutMs: number, signal: AbortSignal): Promise<void>;
  /** Up to a few megabytes, or one event. Throws before a piece if a later drop has taken something in front of it, and when `gone` aborts. */
  pieces(
    head: Pick<FeedHead, 'feedId' | 'lastDrop'>,
    range: FeedRange,
    format: FormatName,
    gone?: AbortSignal,
  ): AsyncIterable<FeedPiece>;
}

export type PositionLookup = Pick<FeedSource, 'checkOf' | 'endOf' | 'hasEvents' | 'missedBehind'>;

export interface FeedPiece {
  readonly until: number;
  readonly events: number;
  /** Each with its newline. Valid until the next piece is asked for: then the memory is used again. */
  readonly lines: Buffer;
}

/** Where a reader goes on, and how it is noticed that it cannot. */
export interface FeedCursor {
  /** All events up to here have been read. */
  readonly position: number;
  readonly feedId: string;
  /** A hash of the event at the position; undefined if none is kept there. */
  readonly check: string | undefined;
  /** The number of the last drop or jump that the reader was told of; 0: none. */
  readonly dropped: number;
}

export interface FeedEvidence {
  readonly size: number;
  readonly root: Buffer;
}

/** A JSON object in any format. */
export const lastLine = (cursor: FeedCursor, evidence?: FeedEvidence): string => {
  const parts = { next_position: cursor.position, feed_id: cursor.feedId, check: cursor.check ?? null };
  const signed = evidence && { evidence: { size: evidence.size, root: evidence.root.toString('base64') } };
  return `${JSON.stringify({ ...parts, next_cursor: printFeedCursor(cursor), ...signed })}\n`;
};

export interface Presented {
  readonly after: number;
  readonly feedId?: string | undefined;
  readonly check?: string | undefined;
  readonly dropped?: number | undefined;
}

/** By its cursor, or by the parts that a reader keeps itself. Undefined for a text that is no cursor. */
export const placeOf = ({
  cursor,
  ...parts
}: Presented & { readonly cursor?: string | undefined }): Presented | undefined => {
  if (cursor === undefined) return parts;
  const place = readFeedCursor(cursor);
  return place && { after: place.position, feedId: place.feedId, check: place.check, dropped: place.dropped };
};

export const START_OVER = 'start over with --after 0, or use the database that the position belongs to';

export const conflictOf = async (
  source: FeedSource,
  head: FeedHead,
  presented: Presented,
): Promise<string | undefined> => {
  const { after, feedId, check, dropped = 0 } = presented;
  if (feedId !== undefined && feedId.toLowerCase() !== head.feedId) {
    return `position ${after} belongs to feed ${feedId}, but this is feed ${head.feedId} of another database: their positions are not comparable`;
  }
  if (after > head.position) {
    return `position ${after} is beyond the end of the feed (${head.position}): this is a different database, or one restored from a backup`;
  }
  if (dropped > head.lastDrop) {
    return `drop ${dropped} has not happened, the last one is ${head.lastDrop}: this is a different database, or one restored from a backup`;
  }
  if (check === undefined) return undefined;
  const actual = await source.checkOf(after);
  if (actual === undefined || actual === check) return undefined;
  return `position ${after} is now a different event from the one you read: the database was restored to an earlier state and continued from there`;
};

export const goneBehind = async (
  source: FeedSource,
  head: Pick<FeedHead, 'lastDrop'>,
  { after, dropped = 0 }: Presented,
): Promise<(MissedEvents & { readonly reason: string }) | undefined> => {
  // No later drop or jump has happened.
  if (head.lastDrop <= dropped) return undefined;
  const missed = await source.missedBehind(after, dropped);
  if (missed === undefined) return undefined;
  const { events, months, until, jump } = missed;
  const through = jump === null ? `(through ${until}) ` : '';
  const reasons = [
    months.length > 0 &&
      `retention dropped ${months.join(', ')}: up to ${events} events after position ${after} ${through}are no longer available`,
    jump !== null &&
      `the database failed over or was restored, and lost the events after position ${jump.from} that you have read: they are sent again after ${jump.to}, with the same ids`,
  ];
  return { ...missed, reason: reasons.filter((reason) => reason !== false).join('; ') };
};

const MAX_LENGTH = 400;
const VERSION = '1';
const END = '.';
const wholeNumber = /^(?:0|[1-9]\d{0,15})$/;
const word = /^[\w-]{1,64}$/;

/** Opaque to readers: base64url. */
export const printFeedCursor = ({ position, feedId, check, dropped }: FeedCursor): string =>
  Buffer.from([VERSION, position, feedId, check ?? '', dropped, END].join(' '), 'latin1').toString('base64url');

/** Undefined for anything that `printFeedCursor` has not written. */
export const readFeedCursor = (text: string): FeedCursor | undefined => {
  if (text.length > MAX_LENGTH || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  const parts = Buffer.from(text, 'base64url').toString('latin1').split(' ');
  const [version, position = '', feedId = '', check = '', dropped = '', end, ...more] = parts;
  const numbers = [position, dropped].every(
    (digits) => wholeNumber.test(digits) && Number.isSafeInteger(Number(digits)),
  );
  if (version !== VERSION || end !== END || !numbers || more.length > 0 || !word.test(feedId)) return undefined;
  if (check !== '' && !word.test(check)) return undefined;
  const known = check === '' ? undefined : check;
  const place = { position: Number(position), feedId, check: known, dropped: Number(dropped) };
  return printFeedCursor(place) === text ? place : undefined;
};

/** The entry about a user stands in the log of every account that the user may use: `first` leaves out all copies but one. */
export type Copies = 'all' | 'first';
export const copiesChoices = ['all', 'first'] as const satisfies readonly Copies[];

/** As in the view audit_history of drizzle/schema/events.sql. */
const aboutUser = (row: string): string =>
  `${row}.source_kind = 'account' and ${row}.resource_scope in ('user', 'memberships')`;

/** SQL: all copies `f` of an event `e` of `audit_events` that is about a user, itself included. */
export const copiesOf = (e: string, f: string): string =>
  `${aboutUser(f)} and ${f}.id = ${e}.id and ${f}.action_time = ${e}.action_time`;

/** SQL. An entry without a time that can be read has no copies. */
export const mayHaveCopies = (e: string): string => `${aboutUser(e)} and ${e}.action_time > '-infinity'`;

/** SQL: whether a row with the source, id and time of an event has a copy that is wanted, itself included. */
export const hasCopy = (e: string, wanted: (row: string) => string): string =>
  `${e}.source_kind = 'account' and exists (select from audit_events f where ${copiesOf(e, 'f')} and ${wanted('f')})`;

/**
 * SQL: whether a row of `audit_events` is no copy of one with a lower position that a reader gets as well. `wanted`: the condition that the reader's
 * events meet. What a position is given to is settled, so the answer for a row is always the same.
 */
export const isFirstCopy = (e: string, wanted: (row: string) => string): string =>
  `case when ${mayHaveCopies(e)} then not exists (select from audit_events f
     where ${copiesOf(e, 'f')} and f.position < ${e}.position and ${wanted('f')}) else true end`;

export interface ArchivedEvent {
  readonly position: number;
  readonly sourceKind: Uint8Array;
  readonly sourceId: Uint8Array;
  readonly organizationId: Uint8Array | null;
  readonly id: Uint8Array;
  /** Microseconds since 1970, as `receivedAt`. */
  readonly actionTime: bigint;
  readonly receivedAt: bigint;
  readonly defects: readonly string[] | null;
  readonly accountId: Uint8Array | null;
  readonly accountName: Uint8Array | null;
  readonly zoneId: Uint8Array | null;
  readonly zoneName: Uint8Array | null;
  readonly raw: Uint8Array;
}

interface ArchivedStretch {
  readonly until: number;
  readonly events: readonly ArchivedEvent[];
  /** As `sumObjects` says of the range up to `until`, from before it was read. */
  readonly objects: number;
}

export interface RowLimits {
  readonly maxEvents: number;
  /** Of raw texts. The archive reads no more of them, but for the first; the database says how large a larger one is. */
  readonly maxBytes: number;
}

/** A drop is in the archive as a whole or not at all. What cannot be believed or read rejects with OrgtrailError `archive_unreadable`. */
export interface ArchivedEvents {
  read(range: FeedRange, limits: RowLimits, signal?: AbortSignal): Promise<ArchivedStretch>;
  positions(
    range: FeedRange,
    maxEvents: number,
    signal?: AbortSignal,
  ): Promise<{ readonly until: number; readonly positions: readonly number[] }>;
  /** Of the numbers of objects that may have events after a position, up to another one: it changes when a month is dropped or comes back. 0: none. */
  sumObjects(after: number, until: number): Promise<number>;
  close(): Promise<void>;
}
