import type { Search } from './search.ts';

export const enumerations = {
  action: 'action_type',
  result: 'action_result',
  product: 'resource_product',
  resourceType: 'resource_type',
} as const;
export type Enumeration = keyof typeof enumerations;

type OrUndefined<T> = { readonly [Field in keyof T]: T[Field] | undefined };

/** A search with its times made out: RFC 3339. Organizations and accounts are ids. */
export interface EventQuery extends OrUndefined<Omit<Search, 'since' | 'before' | 'defects' | 'changed'>> {
  readonly since: string | undefined;
  readonly before: string | undefined;
  readonly defects: boolean;
  readonly changed: boolean;
  /** Of stored events (`withSpellings`). */
  readonly spellings?: Spellings | undefined;
  /** Of all events with the ray id, if they are few (`withSpellings`). */
  readonly rayPositions?: readonly number[] | undefined;
  /** Only events up to here: what an export sees, however long it takes. */
  readonly untilPosition?: number | undefined;
}

export type SpelledColumn = (typeof enumerations)[keyof typeof enumerations];

/** By column and value: all spellings of the value, the one in small letters first. */
export type Spellings = ReadonlyMap<string, readonly string[]>;

export const spellingKey = (column: SpelledColumn, value: string): string => `${column} ${value}`;

const FOLDED_LENGTH = 400;

/** A text in small letters, cut, as event_spellings has it. */
export const folded = (text: string): string => `(left(lower(${text}), ${FOLDED_LENGTH}) collate "C")`;

const names = 'orgtrail_names(zone_id, zone_name, actor_token_name, actor_email)';

/** SQL: whether the index of names has a row for a parameter. It may have more than what is meant (`surely`). */
export const mayBeZone = (text: string): string => `${names} @@ orgtrail_zone(${text})`;

/** Of e-mail addresses, it has those that are not in small letters. */
export const mayHaveName = (column: 'actor_token_name' | 'actor_email', text: string, isBeginning: boolean): string =>
  `${names} @@ orgtrail_name('${column === 'actor_email' ? 'e' : 't'}', ${text}, ${isBeginning})`;

/** A comparison beside one by an index: as an operator, the planner would take both together for much less than each. */
export const surely = (comparison: string): string => `coalesce(${comparison}, false)`;

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
