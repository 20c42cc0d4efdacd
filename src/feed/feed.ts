import type { FormatName } from '../formats/registry.ts';

/** A part of the feed: the events after `after`, up to and including `until`. */
export interface FeedRange {
  readonly after: number;
  readonly until: number;
  /** Only of these; undefined: of all. */
  readonly organizationIds: readonly string[] | undefined;
  /** Only of these accounts, in the same way. With both, an event must meet both. */
  readonly accountIds?: readonly string[] | undefined;
  /** Undefined: all. The first of those that meet the rest of the range's filter. */
  readonly copies?: Copies | undefined;
}

/** Whether events of the range are left out. */
export const isFiltered = ({ organizationIds, accountIds, copies }: FeedRange): boolean =>
  organizationIds !== undefined || accountIds !== undefined || copies === 'first';

/** Which feed, its last position, and the number of the last drop by retention or jump of positions (0 before the first). */
export interface FeedHead {
  readonly feedId: string;
  readonly position: number;
  readonly lastDrop: number;
}

/** Events missing after a position: dropped by retention, or lost by a failover. */
export interface MissedEvents {
  /** Events of the drops; if one began before the position, some of them were read. */
  readonly events: number;
  /** As `2024-01`. */
  readonly months: readonly string[];
  /** The jump that left the position out: what the reader has behind `from` was lost, and comes again behind `to`. */
  readonly jump: { readonly from: number; readonly to: number } | null;
  /** The last position that was dropped or left out. */
  readonly until: number;
  /** The first one behind the position that is still there; null if none is. */
  readonly firstPosition: number | null;
}

/** What the feed is served from, also to the command `feed`. All reject if the database does not answer. */
export interface FeedSource {
  /**
   * For a reader at this position. Before the feed is said to end in front of it, a failover is looked for; rejects if the
   * server is a standby, to which the position may still come.
   */
  head(after?: number): Promise<FeedHead>;
  /** What drops and jumps of a higher number than this one have to do with a position. */
  missedBehind(position: number, knownDrop: number): Promise<MissedEvents | undefined>;
  /** A short hash of the event at a position; undefined if none is kept there. */
  checkOf(position: number): Promise<string | undefined>;
  /** The position of the `limit`th event of the range, or its end. */
  endOf(range: FeedRange, limit: number): Promise<number>;
  /** Whether the range has any; for ranges with a filter. */
  hasEvents(range: FeedRange): Promise<boolean>;
  /** Resolves when there may be something behind `position`, after `timeoutMs`, or on abort. */
  waitBeyond(position: number, timeoutMs: number, signal: AbortSignal): Promise<void>;
  /**
   * The whole range in pieces of a few megabytes at most (a single larger event is one). Throws before a piece if a
   * drop later than the head's has taken something in front of it. When `gone` aborts, what is under way is cancelled and it throws.
   */
  pieces(
    head: Pick<FeedHead, 'feedId' | 'lastDrop'>,
    range: FeedRange,
    format: FormatName,
    gone?: AbortSignal,
  ): AsyncIterable<FeedPiece>;
}

/** What is asked about positions. */
export type PositionLookup = Pick<FeedSource, 'checkOf' | 'endOf' | 'hasEvents' | 'missedBehind'>;

export interface FeedPiece {
  /** All of the range up to here has been given. */
  readonly until: number;
  readonly events: number;
  /** Each line has its newline. Valid until the next piece is asked for: then its memory is used again. */
  readonly lines: Buffer;
}

/** Where a reader goes on. */
export interface FeedCursor {
  readonly nextPosition: number;
  readonly feedId: string;
  readonly check: string | undefined;
  /** The number of the last drop or jump that the reader has said to know of; 0: none. */
  readonly dropped: number;
}

/** The same in one text, which the reader sends back as it is. */
export const nextCursorOf = ({ nextPosition: position, feedId, check, dropped }: FeedCursor): string =>
  printFeedCursor({ position, feedId, check, dropped });

/** The last signed checkpoint of the evidence. */
export interface FeedEvidence {
  readonly size: number;
  readonly root: Buffer;
}

/** The last line on request: in any format it is this JSON object. Without evidence it has no `evidence`. */
export const lastLine = (cursor: FeedCursor, evidence?: FeedEvidence): string => {
  const { nextPosition, feedId, check } = cursor;
  const parts = { next_position: nextPosition, feed_id: feedId, check: check ?? null };
  const signed = evidence && { evidence: { size: evidence.size, root: evidence.root.toString('base64') } };
  return `${JSON.stringify({ ...parts, next_cursor: nextCursorOf(cursor), ...signed })}\n`;
};

/** The place that a reader presents. */
export interface Presented {
  readonly after: number;
  readonly feedId?: string | undefined;
  readonly check?: string | undefined;
  /** The number of the last drop or jump that it knows of. */
  readonly dropped?: number | undefined;
}

/**
 * Where a reader is, by its cursor, or by the parts that it keeps itself. Undefined for a text that is no cursor. Used
 * over HTTP and by the command `feed`.
 */
export const placeOf = ({
  cursor,
  ...parts
}: Presented & { readonly cursor?: string | undefined }): Presented | undefined => {
  if (cursor === undefined) return parts;
  const place = readFeedCursor(cursor);
  return place && { after: place.position, feedId: place.feedId, check: place.check, dropped: place.dropped };
};

/** Why reading cannot continue from a position; undefined if it can. Used over HTTP and by the command `feed`. */
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

/** What is missing after a reader's position, in words; undefined if nothing. Used over HTTP and by the command `feed`. */
export const goneBehind = async (
  source: FeedSource,
  head: Pick<FeedHead, 'lastDrop'>,
  { after, dropped = 0 }: Presented,
): Promise<(MissedEvents & { readonly reason: string }) | undefined> => {
  // There is no later one.
  if (head.lastDrop <= dropped) return undefined;
  const missed = await source.missedBehind(after, dropped);
  if (missed === undefined) return undefined;
  return { ...missed, reason: [...droppedWords(missed, after), ...lostWords(missed.jump)].join('; ') };
};

const droppedWords = ({ events, months, until, jump }: MissedEvents, after: number): string[] =>
  months.length === 0
    ? []
    : [
        `retention dropped ${months.join(', ')}: up to ${events} events after position ${after} ${jump === null ? `(through ${until}) ` : ''}are no longer available`,
      ];

const lostWords = (jump: MissedEvents['jump']): string[] =>
  jump === null
    ? []
    : [
        `the database failed over or was restored, and lost the events after position ${jump.from} that you have read: they are sent again after ${jump.to}, with the same ids`,
      ];

/** Where a reader of the feed goes on, and how it is noticed that it cannot. */
interface FeedPlace {
  /** All events up to here have been read. */
  readonly position: number;
  readonly feedId: string;
  /** A hash of the event at the position; undefined if none is kept there. */
  readonly check: string | undefined;
  /** The number of the last drop or jump that the reader has been told of; 0: none. */
  readonly dropped: number;
}

const MAX_LENGTH = 400;
const VERSION = '1';
/** A cursor that was cut off is none. */
const END = '.';
const wholeNumber = /^(?:0|[1-9]\d{0,15})$/;
/** Of feed ids and checks: no blank, which separates the parts. */
const word = /^[\w-]{1,64}$/;

/** Opaque to readers, who send it back as it is: base64url. */
export const printFeedCursor = ({ position, feedId, check, dropped }: FeedPlace): string =>
  btoa([VERSION, position, feedId, check ?? '', dropped, END].join(' '))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');

/** Undefined for whatever `printFeedCursor` has not written. */
export const readFeedCursor = (text: string): FeedPlace | undefined => {
  if (text.length > MAX_LENGTH || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  const [version, position = '', feedId = '', check = '', dropped = '', end, ...more] = decode(text).split(' ');
  const numbers = [position, dropped].every(
    (digits) => wholeNumber.test(digits) && Number.isSafeInteger(Number(digits)),
  );
  if (version !== VERSION || end !== END || !numbers || more.length > 0 || !word.test(feedId)) return undefined;
  if (check !== '' && !word.test(check)) return undefined;
  const place = {
    position: Number(position),
    feedId,
    check: check === '' ? undefined : check,
    dropped: Number(dropped),
  };
  return printFeedCursor(place) === text ? place : undefined;
};

const decode = (text: string): string => {
  try {
    return atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  } catch {
    return '';
  }
};

/** An entry about a user's own profile stands in the log of every account that the user may use: `first` leaves all copies out but one. */
export type Copies = 'all' | 'first';
export const copiesChoices = ['all', 'first'] as const satisfies readonly Copies[];

/** As in the view audit_history of drizzle/schema/events.sql, and in the predicate of the index audit_events_user_copies. */
const aboutUser = (row: string): string =>
  `${row}.source_kind = 'account' and ${row}.resource_scope in ('user', 'memberships')`;

/** SQL: all copies of an event of `audit_events e` that is about a user, `e` itself included, as rows `f`. */
export const copiesOf = (e: string, f: string): string =>
  `${aboutUser(f)} and ${f}.id = ${e}.id and ${f}.action_time = ${e}.action_time`;

/** SQL: whether an event may have copies. An entry without a time that can be read has none. */
export const mayHaveCopies = (e: string): string => `${aboutUser(e)} and ${e}.action_time > '-infinity'`;

/** SQL: whether a row with the source, id and time of an event has a copy that is wanted, itself included. */
export const hasCopy = (e: string, wanted: (row: string) => string): string =>
  `${e}.source_kind = 'account' and exists (select from audit_events f where ${copiesOf(e, 'f')} and ${wanted('f')})`;

/**
 * SQL: whether a row `e` of `audit_events` is no copy of one with a lower position that a reader gets as well. `wanted` is the
 * condition that this one meets. What a position is given to is settled, so the answer for a row is always the same.
 */
export const isFirstCopy = (e: string, wanted: (row: string) => string): string =>
  `case when ${mayHaveCopies(e)} then not exists (select from audit_events f
     where ${copiesOf(e, 'f')} and f.position < ${e}.position and ${wanted('f')}) else true end`;

/** An event that retention has dropped from the database, as its archive has it. Texts are UTF-8. */
export interface ArchivedEvent {
  readonly position: number;
  readonly sourceKind: Uint8Array;
  readonly sourceId: Uint8Array;
  readonly organizationId: Uint8Array | null;
  readonly id: Uint8Array;
  /** In microseconds since 1970, as `receivedAt`. */
  readonly actionTime: bigint;
  readonly receivedAt: bigint;
  readonly defects: readonly string[] | null;
  readonly accountId: Uint8Array | null;
  readonly accountName: Uint8Array | null;
  readonly zoneId: Uint8Array | null;
  readonly zoneName: Uint8Array | null;
  readonly raw: Uint8Array;
}

/** A beginning of a range: all of it that is archived, up to and including `until`. */
interface ArchivedStretch {
  readonly until: number;
  /** In order of position. */
  readonly events: readonly ArchivedEvent[];
  /** What `countObjects` said of the range up to `until` before it was read. */
  readonly objects: number;
}

/** Of one reading of rows. */
export interface RowLimits {
  readonly maxEvents: number;
  /** Of raw texts: the archive reads no more of them, but one at least; the database says of a larger one how large it is. */
  readonly maxBytes: number;
}

/**
 * The events that retention has dropped and an archive has. A drop is in the archive as a whole or not at all. What cannot be believed or read
 * rejects with OrgtrailError `archive_unreadable`.
 */
export interface ArchivedEvents {
  read(range: FeedRange, limits: RowLimits, signal?: AbortSignal): Promise<ArchivedStretch>;
  /** As `read`, with positions alone: it reads less. */
  positions(
    range: FeedRange,
    maxEvents: number,
    signal?: AbortSignal,
  ): Promise<{ readonly until: number; readonly positions: readonly number[] }>;
  /** How many objects may have events after a position, up to another one: it changes when a month is dropped. */
  countObjects(after: number, until: number): Promise<number>;
  close(): Promise<void>;
}
