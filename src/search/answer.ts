import type { auditEvents } from '../postgres/tables/events.ts';
import type { Search, SearchCursor, SearchField } from './query/search.ts';

/** A value that is stored, near to one that was searched for and is not. */
export interface NearValue {
  readonly value: string;
  readonly events: number;
  /** There may be more: not all were counted. */
  readonly atLeast: boolean;
}

/** What is known of one filter of a search that found nothing. Null: it could not be looked up in time. */
export interface FilterReport {
  readonly field: SearchField;
  /** As it was written. */
  readonly value: string;
  /** Whether any event that is in PostgreSQL has it, of any time. */
  readonly occurs: boolean | null;
  /** Whether any has it of the time and organization searched, whatever the other filters are. */
  readonly occursInRange: boolean | null;
  /** The nearest first; empty for a value that occurs. */
  readonly near: readonly NearValue[];
}

/** Why a search found nothing: filter by filter. */
export interface EmptyReport {
  /** Whether any event at all is stored of the time and organization searched. Null: it could not be looked up in time. */
  readonly anyInRange: boolean | null;
  readonly filters: readonly FilterReport[];
}

/** Why an answer may not be the whole truth. The names are a contract of the API. */
export const incompleteReasons = {
  search_unfinished: 'The search timed out: continue with the cursor.',
  no_organization_collected: 'None of the organizations and accounts searched is collected.',
  time_not_collected: 'Part of the time searched has not been collected.',
  begins_before_collection: 'The time searched begins before anything is collected.',
  archive_not_searched: 'Months of the time searched are in the archive alone, and were not searched.',
  months_dropped: 'Months of the time searched were dropped without an archive: what was in them is gone.',
  value_never_occurs: 'A value searched for occurs in no event that is in PostgreSQL: it may be misspelt.',
  value_not_checked:
    'Whether a value searched for occurs in any event could not be looked up in time, or in the archive.',
} as const;
export type IncompleteReason = keyof typeof incompleteReasons;

/** What is known of values if months of the time searched are in the archive alone: what the database does not have may be there. */
export const withArchivedValues = ({ anyInRange, filters }: EmptyReport): EmptyReport => {
  const orUnknown = (occurs: boolean | null) => (occurs === false ? null : occurs);
  return {
    anyInRange: orUnknown(anyInRange),
    filters: filters.map((filter) => ({
      ...filter,
      occurs: orUnknown(filter.occurs),
      occursInRange: orUnknown(filter.occursInRange),
    })),
  };
};

/**
 * Why events that match may be missing from a page; empty if none can be. A page without events is only complete if every
 * value that was searched for occurs in what is collected, and all of the time searched is (invariant 14). A pure function.
 */
export const incompleteBecause = (
  search: Search,
  page: SearchPage,
  coverage: SearchCoverage,
  empty: EmptyReport | undefined,
): readonly IncompleteReason[] => {
  const filters = empty?.filters ?? [];
  const holds: Readonly<Record<IncompleteReason, boolean>> = {
    search_unfinished: page.reached !== undefined,
    no_organization_collected: coverage.organizations + coverage.accounts === 0,
    time_not_collected: coverage.incomplete > 0,
    begins_before_collection: search.since !== undefined && coverage.beginsEarlier,
    archive_not_searched: page.archivedMonths === undefined && coverage.archivedMonths.length > 0,
    months_dropped: coverage.droppedMonths.length > 0,
    value_never_occurs: filters.some(({ occurs }) => occurs === false),
    value_not_checked: filters.some(({ occurs }) => occurs === null),
  };
  return (Object.keys(holds) as IncompleteReason[]).filter((reason) => holds[reason]);
};

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
