import { BusyError, OrgtrailError, reasonOf, SearchError } from '../../errors.ts';
import { coverageBody } from '../../http/search/routes.ts';
import { explainForbidden } from '../../postgres/sql-state.ts';
import type { SearchCoverage } from '../../search/found-event.ts';
import { type IncompleteReason, incompleteReasons } from '../../search/search-answer.ts';

/** What the client gets of a call. */
export interface ToolAnswer {
  // The protocol's own type allows more.
  [key: string]: unknown;
  content: { type: 'text'; text: string }[];
  isError?: boolean;
}

/** Of one text within an event. */
const MAX_TEXT = 300;
/** Whole answers are at most so long: what does not fit is left out, and said to be. */
export const MAX_ANSWER = 100_000;

/**
 * Characters that are not seen, and that a model still reads (directions of writing, tags, fillers, variation selectors, private ones): shown by their numbers, so
 * that text cannot be hidden from the people who look on.
 */
export const visible = (text: string): string =>
  text
    .toWellFormed()
    .replaceAll(
      /[\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu,
      (unseen) => `\\u{${(unseen.codePointAt(0) ?? 0).toString(16)}}`,
    );

/** A text within an event, cut to what an answer may have of it. */
export const short = (text: string | null, most = MAX_TEXT): string | null =>
  text === null ? null : visible(text.length > most ? `${text.slice(0, most)}… (${text.length} characters)` : text);

/** All texts within a value, cut. */
export const shortened = (value: unknown): unknown => {
  if (typeof value === 'string') return short(value);
  if (Array.isArray(value)) return value.map(shortened);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, shortened(one)]));
};

/** What an answer may lack. `because`: reasons beside those that the coverage itself has. */
export const completenessOf = (
  coverage: SearchCoverage,
  because: readonly IncompleteReason[] = reasonsOf(coverage),
) => ({
  complete: because.length === 0,
  incomplete_because: because.map((reason) => incompleteReasons[reason]),
  coverage: {
    ...coverageBody(coverage),
    not_collected: coverage.gaps.map((gap) => ({
      organization: short(gap.organizationName ?? gap.organizationId),
      account: short(gap.accountName ?? gap.accountId),
      since: gap.since,
      before: gap.before,
    })),
  },
});

const reasonsOf = ({
  organizations,
  accounts,
  incomplete,
  beginsEarlier,
  archivedMonths,
  droppedMonths,
}: SearchCoverage): IncompleteReason[] => [
  ...(organizations + accounts === 0 ? ['no_organization_collected' as const] : []),
  ...(incomplete > 0 ? ['time_not_collected' as const] : []),
  ...(beginsEarlier ? ['begins_before_collection' as const] : []),
  ...(archivedMonths.length > 0 ? ['archive_not_searched' as const] : []),
  ...(droppedMonths.length > 0 ? ['months_dropped' as const] : []),
];

export const answered = (value: unknown): ToolAnswer => {
  const text = JSON.stringify(value, undefined, 1);
  if (text.length <= MAX_ANSWER) return { content: [{ type: 'text', text }] };
  return refused(`the answer is too long (${text.length} characters): ask for less time, or a smaller limit`);
};

const refused = (words: string): ToolAnswer => ({
  content: [{ type: 'text', text: visible(words) }],
  isError: true,
});

/** The words for what went wrong, without a stack and without a secret. */
export const refusalOf = (error: unknown): ToolAnswer => {
  if (error instanceof OrgtrailError || error instanceof SearchError || error instanceof BusyError)
    return refused(error.message);
  const forbidden = explainForbidden(error);
  if (forbidden !== undefined) return refused(forbidden.message);
  return refused(
    `the database does not answer, or not as expected: ${reasonOf(error)}. Nothing is known from this call.`,
  );
};
