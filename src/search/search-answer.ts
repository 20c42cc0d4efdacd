import type { SearchCoverage, SearchPage } from './found-event.ts';
import type { Search, SearchField } from './search.ts';

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
