import { isVisible } from '../../text/visible.ts';

/** A search that is kept under a name, for all who may search. */
export interface SavedSearch {
  readonly id: number;
  readonly name: string;
  /** The parameters of its link, as they stand behind `?`. Relative times as they were written. */
  readonly search: string;
  /** The name of the token, or ORGTRAIL_FEED_TOKEN; null: not known. */
  readonly savedBy: string | null;
  /** The account of the database. */
  readonly savedAs: string;
  readonly savedAt: Date;
  readonly renamedBy: string | null;
  readonly renamedAt: Date | null;
}

/** How many are kept at most. As in drizzle/0058. */
export const MAX_SAVED = 500;
export const MAX_NAME_LENGTH = 100;
const MAX_SEARCH_LENGTH = 8_000;

/** What a name leads to, or why it is none: a predicate to "the name". */
export type NameReading = { readonly name: string } | { readonly fault: string };

/** Characters that are not seen, or that turn the direction of text: two names could look alike. */
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/** Reads a name as people write it. Runs of blanks are one, and letters with marks are composed: what looks alike is the same. */
export const readSavedName = (given: unknown): NameReading => {
  const name = typeof given === 'string' ? given.trim().replace(/\s+/g, ' ').normalize('NFC') : '';
  if (name === '') return { fault: 'must not be empty' };
  if (unseen.test(name)) return { fault: 'must not have control characters, or others that are not seen' };
  if (!isVisible(name)) return { fault: 'must have a character that is seen' };
  if ([...name].length > MAX_NAME_LENGTH) return { fault: `must not be longer than ${MAX_NAME_LENGTH} characters` };
  return { name };
};

/** Whether the database takes a search, as the parameters of its link. */
export const isSavable = (parameters: string): boolean => parameters.length <= MAX_SEARCH_LENGTH;

export const savedFaults = {
  'name taken': 'is the name of another saved search',
  full: `cannot be kept: there are ${MAX_SAVED} saved searches, which is the most; delete one first`,
} as const;

/** Where saved searches are kept. All reject if the database does not answer. */
export interface SavedSearches {
  /** By name. */
  list(): Promise<readonly SavedSearch[]>;
  find(id: number): Promise<SavedSearch | undefined>;
  save(search: {
    readonly name: string;
    readonly search: string;
    readonly by: string | undefined;
  }): Promise<{ readonly id: number } | { readonly refused: keyof typeof savedFaults }>;
  rename(id: number, name: string, by: string | undefined): Promise<'renamed' | 'name taken' | 'unknown'>;
  /** False: it was gone already. */
  remove(id: number): Promise<boolean>;
}
