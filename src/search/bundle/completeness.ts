import type { SearchCoverage } from '../found-event.ts';
import type { SearchHole } from '../ports.ts';
import type { EmptyReport, IncompleteReason } from '../search-answer.ts';

/** So many gaps and holes are named; all are counted in the seconds. */
export const MAX_NAMED = 1_000;

/** The newest of the events that match and are not in a bundle, since it is full. */
export interface LeftOut {
  readonly position: number;
  /** Null if the entry has none. */
  readonly action_time: string | null;
}

/** What is known of what an answer may lack. */
export interface Completeness {
  readonly coverage: SearchCoverage;
  readonly holes: readonly SearchHole[];
  readonly empty: EmptyReport | undefined;
  readonly incomplete: readonly IncompleteReason[];
  /** Undefined: no event that matches is left out. */
  readonly leftOut: LeftOut | undefined;
}

/** Why a bundle may not be the whole truth: what an answer says, and that it is full. */
export const reasonsOf = ({ incomplete, leftOut }: Completeness): readonly string[] => [
  ...incomplete,
  ...(leftOut === undefined ? [] : ['older_events_left_out']),
];

/** `completeness.json`, with the names of `GET /v1/search`. */
export const completenessJson = (completeness: Completeness) => {
  const { coverage, holes, empty, leftOut } = completeness;
  const because = reasonsOf(completeness);
  return {
    complete: because.length === 0,
    incomplete_because: because,
    newest_left_out: leftOut ?? null,
    organizations: coverage.organizations,
    accounts: coverage.accounts,
    incomplete: coverage.incomplete,
    not_collected_seconds: coverage.notCollectedSeconds,
    read_once_seconds: coverage.readOnceSeconds,
    read_until: coverage.collectedUntil,
    collected_since: coverage.collectedSince,
    begins_before_collection: coverage.beginsEarlier,
    filtered: coverage.filtered,
    archived_months: coverage.archivedMonths,
    dropped_months: coverage.droppedMonths,
    gaps: coverage.gaps.map((gap) => ({
      organization_id: gap.organizationId,
      organization_name: gap.organizationName,
      account_id: gap.accountId,
      account_name: gap.accountName,
      since: gap.since,
      before: gap.before,
    })),
    holes: holes.map(({ sourceKind, sourceId, since, before, reason, message }) => ({
      source_kind: sourceKind,
      source_id: sourceId,
      since,
      before,
      reason,
      message,
    })),
    empty:
      empty === undefined
        ? null
        : empty.filters.map(({ field, value, occurs, occursInRange }) => ({
            field,
            value,
            occurs,
            occurs_in_range: occursInRange,
          })),
  };
};
