import type { Place } from '../base/geoip.ts';
import type { auditEvents } from '../postgres/tables/events.ts';
import type { Search, SearchCursor, SearchField } from './query/search.ts';

export interface NearValue {
  readonly value: string;
  readonly events: number;
  /** Not all were counted. */
  readonly atLeast: boolean;
}

/** About one filter of a search that found nothing. Null: it could not be looked up in time. */
export interface FilterReport {
  readonly field: SearchField;
  readonly value: string;
  /** In any event in PostgreSQL, of any time. */
  readonly occurs: boolean | null;
  /** In any event of the time and organization searched, whatever the other filters are. */
  readonly occursInRange: boolean | null;
  /** The nearest first; empty for a value that occurs. */
  readonly near: readonly NearValue[];
}

export interface EmptyReport {
  /** Whether anything is stored of the time and organization searched. Null: it could not be looked up in time. */
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
  rules_not_asked: 'The rules of detections have not been asked about all events: some that they find may be missing.',
  places_not_looked_up: 'The addresses of all events have not been looked up: where some are from is not known.',
  value_never_occurs: 'A value searched for occurs in no event that is in PostgreSQL: it may be misspelt.',
  value_not_checked:
    'Whether a value searched for occurs in any event could not be looked up in time, or in the archive.',
} as const;
export type IncompleteReason = keyof typeof incompleteReasons;

/** If months of the time searched are in the archive alone: what the database does not have may be there. */
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

export const asksForDetections = ({ terms = [] }: Search): boolean => terms.some(({ field }) => field === 'detection');
export const asksForPlaces = ({ terms = [] }: Search): boolean =>
  terms.some(({ field }) => field === 'country' || field === 'network');

/** Why events may be missing. An empty page is complete only if every value occurs, and all of the time is collected (invariant 14). */
export const incompleteBecause = (
  coverage: SearchCoverage,
  {
    hasSince = true,
    page,
    empty,
    derived = [],
  }: {
    hasSince?: boolean;
    page?: SearchPage;
    empty?: EmptyReport | undefined;
    derived?: readonly IncompleteReason[];
  } = {},
): readonly IncompleteReason[] => {
  const filters = empty?.filters ?? [];
  const holds: Readonly<Record<IncompleteReason, boolean>> = {
    search_unfinished: page?.reached !== undefined,
    no_organization_collected: coverage.organizations + coverage.accounts === 0,
    time_not_collected: coverage.incomplete > 0,
    begins_before_collection: hasSince && coverage.beginsEarlier,
    archive_not_searched: coverage.archivedMonths.length > 0,
    months_dropped: coverage.droppedMonths.length > 0,
    rules_not_asked: derived.includes('rules_not_asked'),
    places_not_looked_up: derived.includes('places_not_looked_up'),
    value_never_occurs: filters.some(({ occurs }) => occurs === false),
    value_not_checked: filters.some(({ occurs }) => occurs === null),
  };
  return (Object.keys(holds) as IncompleteReason[]).filter((reason) => holds[reason]);
};

type StoredEvent = Readonly<typeof auditEvents.$inferSelect>;

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
  readonly rawBytes: number;
  /** What it does, as the database derives it from the entry: of a batch what its lists do, `mixed` in front of several. */
  readonly effects?: readonly string[] | null;
}

/** By the feed's number, or by what stays the same in any database. */
export type EventKey =
  | { readonly position: number }
  | { readonly sourceKind: string; readonly sourceId: string; readonly id: string };

/** The same entry about a user, in the log of another account. */
export interface EventCopy {
  readonly position: number;
  readonly accountId: string | null;
  readonly accountName: string | null;
}

export interface EventDetail {
  readonly event: FoundEvent;
  readonly feedId: string;
  /** Null if the address has not been found in the files of ORGTRAIL_GEOIP. */
  readonly place: Place | null;
  /** With the defects of `textDefects`, a JSON string that holds the stored text. */
  readonly rawText: string;
  readonly changes: readonly { readonly seenAt: string; readonly rawText: string }[];
  readonly changesInAll: number;
  /** For an entry about a user with several copies: the first of them by position. `copyNumber` counts from 1. */
  readonly copies: readonly EventCopy[];
  readonly copiesInAll: number;
  readonly copyNumber: number;
  /** The neighbours in the feed; null if none is kept. */
  readonly previousPosition: number | null;
  readonly nextPosition: number | null;
}

export interface SearchPage {
  readonly events: readonly FoundEvent[];
  /** There are more in the direction of the cursor, or there may be. */
  readonly more: boolean;
  /** Where the search timed out: everything up to here was searched. Undefined: it looked at all it had to. */
  readonly reached: SearchCursor | undefined;
}

export interface SearchAnswer {
  readonly page: SearchPage;
  readonly coverage: SearchCoverage;
  readonly empty: EmptyReport | undefined;
  /** Why events that match may be missing; empty if none can be. */
  readonly incomplete: readonly IncompleteReason[];
  /** Of a search for the action delete: batches that delete, and so have another action. Undefined: not asked, or not counted in time. */
  readonly batchDeletions?: number | undefined;
}

export interface ArrivalsPage {
  readonly after?: number | undefined;
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Arrivals {
  readonly feedId: string;
  /** The last stored position. Lower than the one asked for: that one is of another database, or of a time that was lost. */
  readonly head: number;
  /** Where to go on: all positions up to here have been looked at. */
  readonly until: number;
  readonly events: readonly FoundEvent[];
}

export interface SearchCoverage {
  /** Of those searched, how many logs are collected. */
  readonly organizations: number;
  readonly accounts: number;
  /** Logs that lack some of that time, apart from the delay of the last moments. */
  readonly incomplete: number;
  /** Of all logs together, that delay included. */
  readonly notCollectedSeconds: number;
  /** Collected, but not read a second time a day or more later; of all logs together. */
  readonly readOnceSeconds: number;
  readonly gaps: readonly {
    /** For an account: the one it belongs to. */
    readonly organizationId: string | null;
    readonly organizationName: string | null;
    /** Null: the log of an organization. */
    readonly accountId: string | null;
    readonly accountName: string | null;
    readonly since: string;
    readonly before: string;
  }[];
  /** Nothing older is collected: of the logs, the latest such time. RFC 3339. */
  readonly collectedSince: string | null;
  readonly beginsEarlier: boolean;
  /** All logs are collected up to here, apart from the gaps. RFC 3339. */
  readonly collectedUntil: string | null;
  /** Only entries that meet ORGTRAIL_FILTERS are collected. */
  readonly filtered: boolean;
  /** Such as `2024-01`, oldest first: their events are in the archive alone. */
  readonly archivedMonths: readonly string[];
  /** Oldest first: their events, of whatever organization, were dropped without an archive. */
  readonly droppedMonths: readonly string[];
}

/** A stretch of time that could not be read; times in RFC 3339. */
export interface SearchHole {
  readonly sourceKind: string;
  readonly sourceId: string;
  readonly since: string;
  readonly before: string;
  readonly reason: string;
  readonly message: string;
}

/** From `2026-01-10 08:00:00.123+00`, with microseconds; null for a time that RFC 3339 cannot say. */
export const rfc3339Of = (sortTime: string): string | null => {
  const match = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?\+00$/.exec(sortTime);
  return match === null ? null : `${match[1]}T${match[2]}.${(match[3] ?? '').padEnd(6, '0')}Z`;
};
