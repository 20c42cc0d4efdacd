import type { Search } from './search.ts';

export const enumerations = {
  action: 'action_type',
  result: 'action_result',
  product: 'resource_product',
  resourceType: 'resource_type',
} as const satisfies Readonly<Record<string, SpelledColumn>>;
export type Enumeration = keyof typeof enumerations;

type OrUndefined<T> = { readonly [Field in keyof T]: T[Field] | undefined };

/** A search with its times made out: RFC 3339. Organizations and accounts are ids. */
export interface EventQuery extends OrUndefined<Omit<Search, 'since' | 'before' | 'defects' | 'changed'>> {
  readonly since: string | undefined;
  readonly before: string | undefined;
  readonly defects: boolean;
  readonly changed: boolean;
  /** By column, as stored events have it (`withSpellings`). A beginning has no spellings in small letters; none at all if there are too many. */
  readonly spellings?: Readonly<Partial<Record<SpelledColumn, readonly string[]>>> | undefined;
  /** Of all events with the ray id, if they are few (`withSpellings`). */
  readonly rayPositions?: readonly number[] | undefined;
  /** Only events up to here: what an export sees, however long it takes. */
  readonly untilPosition?: number | undefined;
}

/** Searched whatever the case of letters. Each has an index of its own for values that are not in small letters. */
export type SpelledColumn =
  | 'action_type'
  | 'action_result'
  | 'resource_product'
  | 'resource_type'
  | 'actor_email'
  | 'actor_token_name';

const FOLDED_LENGTH = 400;
/** Longer names of tokens are in the index of other spellings, cut. */
const INDEXED_BYTES = 600;

/** A text in small letters, cut, as the indexes of drizzle/schema/search.sql have it. */
export const folded = (text: string): string => `(left(lower(${text}), ${FOLDED_LENGTH}) collate "C")`;

/** As drizzle/schema/search.sql have it for the index of other spellings. */
export const hasOtherCase = (column: SpelledColumn): string =>
  column === 'actor_token_name'
    ? `(${column} <> lower(${column}) or octet_length(${column}) > ${INDEXED_BYTES})`
    : `${column} <> lower(${column})`;

/** A comparison as the plain index of a column serves it. True of no value that `isTooLong`. */
export const indexed = (column: SpelledColumn, comparison: string): string =>
  column === 'actor_token_name' ? `(octet_length(${column}) <= ${INDEXED_BYTES} and ${comparison})` : comparison;

/** The plain index of the column does not have it. */
export const isTooLong = (column: SpelledColumn, value: string): boolean =>
  column === 'actor_token_name' && Buffer.byteLength(value) > INDEXED_BYTES;

const PATTERN_LENGTH = FOLDED_LENGTH / 2;

/** For `like`: as much of a beginning as an index has, never half of a character. `beginsWholly` compares the rest. */
export const patternOf = (start: string): string =>
  `${likeText(start.slice(0, PATTERN_LENGTH).replace(/[\ud800-\udbff]$/, ''))}%`;

/** A comparison with `patternOf` that is true only of texts that begin with all of `start`. `lower`: whatever the case of letters. */
export const beginsWholly = (
  comparison: string,
  { text, start, lower }: { readonly text: string; readonly start: string; readonly lower: boolean },
  parameter: (value: unknown) => string,
): string => {
  if (start.length <= PATTERN_LENGTH) return comparison;
  const whole = parameter(start);
  return `(${comparison} and ${lower ? `starts_with(lower(${text}), lower(${whole}))` : `starts_with(${text}, ${whole})`})`;
};

export const likeText = (text: string): string => text.replace(/[\\%_]/g, '\\$&');
