import type { Actor, Term } from './terms.ts';

export const enumerations = {
  action: 'action_type',
  result: 'action_result',
  product: 'resource_product',
  resourceType: 'resource_type',
} as const satisfies Readonly<Record<string, SpelledColumn>>;
export type Enumeration = keyof typeof enumerations;

/** By the column. Of what begins with something: without the spellings that are in small letters; missing if there are too many. */
type Spellings = Readonly<Partial<Record<SpelledColumn, readonly string[]>>>;

/** A search with its times made out: RFC 3339. What is undefined does not matter. */
export interface EventQuery {
  /** Inclusive. */
  readonly since: string | undefined;
  /** Exclusive. */
  readonly before: string | undefined;
  /** Its id. */
  readonly organization?: string | undefined;
  /** Its id. */
  readonly account?: string | undefined;
  /** Its id or its name. */
  readonly zone?: string | undefined;
  readonly actor?: Actor | undefined;
  readonly action?: string | undefined;
  readonly result?: string | undefined;
  readonly product?: string | undefined;
  readonly resourceType?: string | undefined;
  readonly resource?: string | undefined;
  readonly ray?: string | undefined;
  readonly text?: string | undefined;
  /** Organizations and accounts in it are ids. */
  readonly terms?: readonly Term[] | undefined;
  /** Of the enumerations and the actor: how they are spelled in stored events (`withSpellings`). */
  readonly spellings?: Spellings | undefined;
  /** Of all events with the ray id, if they are few (`withSpellings`). */
  readonly rayPositions?: readonly number[] | undefined;
  readonly defects: boolean;
  readonly changed: boolean;
  /** Months that are in the archive alone are searched as well. */
  readonly archive?: boolean | undefined;
  /** Of an entry in the logs of several accounts, the first that matches. */
  readonly copies?: 'first' | undefined;
  /** Only events up to here: what an export sees, however long it takes. */
  readonly untilPosition?: number | undefined;
}

/** Columns that are searched whatever the case of letters. Each has an index of its own of the values that are not in small letters. */
export type SpelledColumn =
  | 'action_type'
  | 'action_result'
  | 'resource_product'
  | 'resource_type'
  | 'actor_email'
  | 'actor_token_name';

/** What is indexed of a text whatever the case of its letters: longer ones would not fit into an index. */
const FOLDED_LENGTH = 400;
/** Of names of tokens; longer ones are in the other index, cut. */
const INDEXED_BYTES = 600;

/** A text in small letters, cut, as the indexes of drizzle/schema/search.sql have it. */
export const folded = (text: string): string => `(left(lower(${text}), ${FOLDED_LENGTH}) collate "C")`;

/** The condition of the index of other spellings: as drizzle/schema/search.sql says it. */
export const hasOtherCase = (column: SpelledColumn): string =>
  column === 'actor_token_name'
    ? `(${column} <> lower(${column}) or octet_length(${column}) > ${INDEXED_BYTES})`
    : `${column} <> lower(${column})`;

/** A comparison with a column as its plain index serves it. True of no value that `isTooLong`. */
export const indexed = (column: SpelledColumn, comparison: string): string =>
  column === 'actor_token_name' ? `(octet_length(${column}) <= ${INDEXED_BYTES} and ${comparison})` : comparison;

/** True for a value that the plain index of a column does not have. */
export const isTooLong = (column: SpelledColumn, value: string): boolean =>
  column === 'actor_token_name' && Buffer.byteLength(value) > INDEXED_BYTES;

const PATTERN_LENGTH = FOLDED_LENGTH / 2;

/** The pattern of `like` for what begins so. As much of it as an index has: `beginsWholly` compares the rest. Never half of a character. */
export const patternOf = (start: string): string =>
  `${likeText(start.slice(0, PATTERN_LENGTH).replace(/[\ud800-\udbff]$/, ''))}%`;

/** A comparison with `patternOf`, true only of texts that begin with all of `start`. `lower`: whatever the case of letters. */
export const beginsWholly = (
  comparison: string,
  { text, start, lower }: { readonly text: string; readonly start: string; readonly lower: boolean },
  parameter: (value: unknown) => string,
): string => {
  if (start.length <= PATTERN_LENGTH) return comparison;
  const whole = parameter(start);
  return `(${comparison} and ${lower ? `starts_with(lower(${text}), lower(${whole}))` : `starts_with(${text}, ${whole})`})`;
};

/** A text that `like` takes for no pattern. */
export const likeText = (text: string): string => text.replace(/[\\%_]/g, '\\$&');
