import type { z } from 'zod';
import type { Config } from '../../app/config/config.ts';
import { BusyError, OrgtrailError, reasonOf, SearchError } from '../../base/errors.ts';
import { coverageBody } from '../../http/search/routes.ts';
import type { Pool } from '../../postgres/pool.ts';
import { explainForbidden } from '../../postgres/sql-state.ts';
import { type IncompleteReason, incompleteReasons, type SearchCoverage } from '../../search/answer.ts';
import type { SearchSource } from '../../search/search-source.ts';

/** What the client gets of a call. */
interface ToolAnswer {
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

/** Is called for each call of a tool. Neither throws nor waits. */
export type NoteCall = (tool: string, what: Readonly<Record<string, unknown>>, events: number | undefined) => void;

/** What tools answer from. Its sessions are read-only. */
export interface ToolContext {
  readonly source: SearchSource;
  readonly pool: Pool;
  readonly config: Config;
}

/** What a tool gives, and how many events it gave, for the trail of access. */
interface ToolResult {
  readonly body: unknown;
  readonly events?: number;
}

export interface Tool<Input extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly input: Input;
  answer(context: ToolContext, asked: z.infer<Input>, signal: AbortSignal): Promise<ToolResult>;
}

/** Infers the input of a tool. */
export const tool = <Input extends z.ZodObject>(one: Tool<Input>): Tool => one as unknown as Tool;
