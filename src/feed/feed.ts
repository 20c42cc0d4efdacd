import type { FormatName } from '../formats/formats.ts';
import type { Copies } from './copies.ts';
import { printFeedCursor, readFeedCursor } from './feed-cursor.ts';

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
