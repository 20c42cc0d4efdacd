import { eq, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { isVisible } from '../base/text.ts';
import { db } from '../postgres/queries.ts';
import { savedSearches } from '../postgres/tables/access.ts';

const byName = sql`lower(${savedSearches.name}) collate "C"`;

/** The saved searches of a database. An account without the right to execute its functions reads them, and its changes reject. */
export const savedSearchesIn = (pool: Pool): SavedSearches => ({
  list: async () => await db(pool).select().from(savedSearches).orderBy(byName),
  find: async (id) => {
    const [found] = await db(pool).select().from(savedSearches).where(eq(savedSearches.id, id));
    return found;
  },
  save: async (search) => {
    const { rows } = await pool.query<{ outcome: 'saved' | 'name taken' | 'full'; id: number }>(
      'select outcome, saved_id::float8 as id from orgtrail_save_search($1, $2, $3)',
      [search.name, search.search, search.by ?? null],
    );
    const { outcome, id } = rows[0] ?? { outcome: 'full', id: 0 };
    return outcome === 'saved' ? { id } : { refused: outcome };
  },
  rename: async (id, newName, by) => {
    const { rows } = await pool.query<{ outcome: 'renamed' | 'name taken' | 'unknown' }>(
      'select orgtrail_rename_search($1, $2, $3) as outcome',
      [id, newName, by ?? null],
    );
    return rows[0]?.outcome ?? 'unknown';
  },
  remove: async (id) => {
    const { rows } = await pool.query<{ removed: boolean }>('select orgtrail_delete_search($1) as removed', [id]);
    return rows[0]?.removed === true;
  },
});

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

/** How many are kept at most. As in drizzle/schema/search.sql. */
export const MAX_SAVED = 500;
export const MAX_NAME_LENGTH = 100;
const MAX_SEARCH_LENGTH = 8_000;

/** What a name leads to, or why it is none: a predicate to "the name". */
type NameReading = { readonly name: string } | { readonly fault: string };

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
