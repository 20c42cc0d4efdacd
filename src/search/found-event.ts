import type { auditEvents } from '../postgres/tables/events.ts';
import type { SearchCursor } from './search-cursor.ts';

type StoredEvent = Readonly<typeof auditEvents.$inferSelect>;

/** A stored event as a search gives it out: all columns but the entry itself. */
export interface FoundEvent extends Omit<StoredEvent, 'actionTime' | 'receivedAt' | `raw${string}`> {
  /** As in a cursor: exact, and `-infinity` if the entry has none. */
  readonly sortTime: string;
  /** RFC 3339 with microseconds; null if the entry has none, or one that RFC 3339 cannot say. */
  readonly actionTime: string | null;
  readonly receivedAt: string;
  readonly organizationName: string | null;
  /** As of the last listing, where the entry does not name its account. */
  readonly listedAccountName?: string | null;
  readonly rayId: StoredEvent['rawCfRayId'];
  readonly method: StoredEvent['rawMethod'];
  readonly statusCode: StoredEvent['rawStatusCode'];
  readonly uri: StoredEvent['rawUri'];
  readonly userAgent: StoredEvent['rawUserAgent'];
  /** Later content of the same id is kept. */
  readonly changed: boolean;
  /** Of the entry's text. */
  readonly rawBytes: number;
}

/** How an event is named: by the feed's number, or by what stays the same in any database. */
export type EventKey =
  | { readonly position: number }
  | { readonly sourceKind: string; readonly sourceId: string; readonly id: string };

/** Later content of an id that was already stored. */
interface EventChange {
  /** RFC 3339. */
  readonly seenAt: string;
  /** The exact stored text. */
  readonly rawText: string;
}

/** The same entry about a user, in the log of one of the accounts that the user may use. */
export interface EventCopy {
  readonly position: number;
  readonly accountId: string | null;
  readonly accountName: string | null;
}

/** One event with all that is kept of it. */
export interface EventDetail {
  readonly event: FoundEvent;
  readonly feedId: string;
  /** The exact stored text; with the defects of `textDefects` a JSON string that holds it. */
  readonly rawText: string;
  /** In the order in which they were seen: the first of them. */
  readonly changes: readonly EventChange[];
  /** How many there are in all. */
  readonly changesInAll: number;
  /** Of an entry about a user: the first of its copies by position, this one among them if it is one of these. Empty if it is the only one. */
  readonly copies: readonly EventCopy[];
  /** How many there are in all, and which of them this one is, from 1 on; 0 if it is the only one. */
  readonly copiesInAll: number;
  readonly copyNumber: number;
  /** The events before and after it in the feed; null if none is kept. */
  readonly previousPosition: number | null;
  readonly nextPosition: number | null;
}

/** A page of a search. */
export interface SearchPage {
  /** Newest first, whatever the direction. */
  readonly events: readonly FoundEvent[];
  /** There are more in the direction of the cursor, or there may be. */
  readonly more: boolean;
  /** Where the search timed out: everything up to here was searched. Undefined if it looked at all it had to. */
  readonly reached: SearchCursor | undefined;
  /** The months that were read from the archive for it; undefined: none was to be. */
  readonly archivedMonths?: readonly string[];
}

/** Which events of a search are asked for, by the order in which they were stored. */
export interface ArrivalsPage {
  /** The position behind which to begin. Default: the end, so that there are none yet. */
  readonly after?: number | undefined;
  readonly limit: number;
  /** When it aborts, the statement is cancelled. */
  readonly signal?: AbortSignal | undefined;
}

/** Events of a search that were stored behind a position. */
export interface Arrivals {
  readonly feedId: string;
  /** The last position that is stored. Below the one that was asked for: that is of another database, or of a time that was lost. */
  readonly head: number;
  /** All positions up to here have been looked at: where to go on. */
  readonly until: number;
  /** In the order of their positions. */
  readonly events: readonly FoundEvent[];
}

/** How much of the time that a search looked at is collected. */
export interface SearchCoverage {
  /** Of the organizations searched, of how many the log is collected. */
  readonly organizations: number;
  /** The same of accounts. */
  readonly accounts: number;
  /** Of these logs, how many lack some of that time, apart from the delay of the last moments. */
  readonly incomplete: number;
  /** Of all of them together, within the time searched, that delay included. */
  readonly notCollectedSeconds: number;
  /** Of what is collected of the time searched, what was not read a second time, a day or more later: of all of them together. */
  readonly readOnceSeconds: number;
  /** The longest times that are not collected of those that are incomplete, within the time searched. */
  readonly gaps: readonly SearchGap[];
  /** Nothing older than this is collected (of the logs, the latest such time). RFC 3339. */
  readonly collectedSince: string | null;
  /** The time searched begins earlier than that. */
  readonly beginsEarlier: boolean;
  /** All logs are collected up to here, apart from the gaps. RFC 3339. */
  readonly collectedUntil: string | null;
  /** Only entries that meet ORGTRAIL_FILTERS are collected. */
  readonly filtered: boolean;
  /** Months of the time searched whose events are in the archive alone, such as `2024-01`: the oldest first. */
  readonly archivedMonths: readonly string[];
  /** Months of the time searched whose events were dropped without an archive, of whatever organization: the oldest first. */
  readonly droppedMonths: readonly string[];
}

interface SearchGap {
  /** Of an account: the one that it belongs to. */
  readonly organizationId: string | null;
  readonly organizationName: string | null;
  /** Null of the log of an organization. */
  readonly accountId: string | null;
  readonly accountName: string | null;
  /** RFC 3339. */
  readonly since: string;
  readonly before: string;
}

/** `2026-01-10 08:00:00.123+00`, as PostgreSQL writes a time in UTC, in RFC 3339 with microseconds; null if that cannot say it. */
export const rfc3339Of = (sortTime: string): string | null => {
  const match = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?\+00$/.exec(sortTime);
  return match === null ? null : `${match[1]}T${match[2]}.${(match[3] ?? '').padEnd(6, '0')}Z`;
};
