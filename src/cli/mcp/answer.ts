import type { z } from 'zod';
import type { Config } from '../../app/config/config.ts';
import { BusyError, OrgtrailError, reasonOf, SearchError } from '../../base/errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import { explainForbidden } from '../../postgres/sql-state.ts';
import {
  type IncompleteReason,
  incompleteBecause,
  incompleteReasons,
  type SearchCoverage,
} from '../../search/answer.ts';
import { coverageBody } from '../../search/contract.ts';
import type { SearchSource } from '../../search/search-source.ts';

interface ToolAnswer {
  // The protocol's own type allows more.
  [key: string]: unknown;
  content: { type: 'text'; text: string }[];
  isError?: boolean;
}

const MAX_TEXT = 300;
/** What does not fit is left out, and said to be. */
export const MAX_ANSWER = 100_000;

/** Escapes what people do not see and a model reads: marks of direction, tags, fillers, variation selectors, private characters. */
export const visible = (text: string): string =>
  text
    .toWellFormed()
    .replaceAll(
      /[\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu,
      (unseen) => `\\u{${(unseen.codePointAt(0) ?? 0).toString(16)}}`,
    );

export const short = (text: string | null, most = MAX_TEXT): string | null =>
  text === null ? null : visible(text.length > most ? `${text.slice(0, most)}… (${text.length} characters)` : text);

export const shortened = (value: unknown): unknown => {
  if (typeof value === 'string') return short(value);
  if (Array.isArray(value)) return value.map(shortened);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, shortened(one)]));
};

/** `because`: reasons besides those of the coverage. */
export const completenessOf = (
  coverage: SearchCoverage,
  because: readonly IncompleteReason[] = incompleteBecause(coverage),
) => ({
  complete: because.length === 0,
  incomplete_because: because.map((reason) => incompleteReasons[reason]),
  coverage: shortened(coverageBody(coverage)),
});

export const answered = (value: unknown): ToolAnswer => {
  const text = JSON.stringify(value, undefined, 1);
  if (text.length <= MAX_ANSWER) return { content: [{ type: 'text', text }] };
  return refused(`the answer is too long (${text.length} characters): ask for less time, or a smaller limit`);
};

const refused = (words: string): ToolAnswer => ({ content: [{ type: 'text', text: visible(words) }], isError: true });

/** Without a stack and without secrets. */
export const refusalOf = (error: unknown): ToolAnswer => {
  if (error instanceof OrgtrailError || error instanceof SearchError || error instanceof BusyError)
    return refused(error.message);
  const forbidden = explainForbidden(error);
  if (forbidden !== undefined) return refused(forbidden.message);
  return refused(
    `the database does not answer, or not as expected: ${reasonOf(error)}. Nothing is known from this call.`,
  );
};

/** Neither throws nor waits. */
export type NoteCall = (tool: string, what: Readonly<Record<string, unknown>>, events: number | undefined) => void;

export interface ToolContext {
  readonly source: SearchSource;
  /** Its sessions are read-only. */
  readonly pool: Pool;
  readonly config: Config;
  readonly orders?: { readonly pool: Pool; readonly proof: Buffer } | undefined;
}
type ToolResult = Readonly<{ body: unknown; events?: number }>;

export interface Tool<Input extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly input: Input;
  answer(context: ToolContext, asked: z.infer<Input>, signal: AbortSignal): Promise<ToolResult>;
}

/** Infers the input. */
export const tool = <Input extends z.ZodObject>(one: Tool<Input>): Tool => one as unknown as Tool;
