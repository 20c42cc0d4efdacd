import { eq, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { z } from 'zod';
import { instant, operation } from '../base/operation.ts';
import { isVisible, printable, table } from '../base/text.ts';
import { db } from '../postgres/queries.ts';
import { savedSearches } from '../postgres/tables/access.ts';
import { printLine, readSearch } from './query/search.ts';

const byName = sql`lower(${savedSearches.name}) collate "C"`;

export type SavedSearches = ReturnType<typeof savedSearchesIn>;
export type SavedSearch = Readonly<typeof savedSearches.$inferSelect>;

/** Parameters of links, with relative times as written. Changes reject if the account of the database may not execute their functions. */
export const savedSearchesIn = (pool: Pool) => ({
  list: async (): Promise<readonly SavedSearch[]> => await db(pool).select().from(savedSearches).orderBy(byName),
  find: async (id: number): Promise<SavedSearch | undefined> => {
    const [found] = await db(pool).select().from(savedSearches).where(eq(savedSearches.id, id));
    return found;
  },
  save: async (search: {
    readonly name: string;
    readonly search: string;
    readonly by: string | undefined;
  }): Promise<{ readonly id: number } | { readonly refused: keyof typeof savedFaults }> => {
    const { rows } = await pool.query<{ outcome: 'saved' | 'name taken' | 'full'; id: number }>(
      'select outcome, saved_id::float8 as id from orgtrail_save_search($1, $2, $3)',
      [search.name, search.search, search.by ?? null],
    );
    const { outcome, id } = rows[0] ?? { outcome: 'full', id: 0 };
    return outcome === 'saved' ? { id } : { refused: outcome };
  },
  rename: async (id: number, newName: string, by: string | undefined) => {
    const { rows } = await pool.query<{ outcome: 'renamed' | 'name taken' | 'unknown' }>(
      'select orgtrail_rename_search($1, $2, $3) as outcome',
      [id, newName, by ?? null],
    );
    return rows[0]?.outcome ?? 'unknown';
  },
  /** False: it was gone already. */
  remove: async (id: number) => {
    const { rows } = await pool.query<{ removed: boolean }>('select orgtrail_delete_search($1) as removed', [id]);
    return rows[0]?.removed === true;
  },
});

/** As in drizzle/schema/search.sql. */
export const MAX_SAVED = 500;
export const MAX_NAME_LENGTH = 100;
const MAX_SEARCH_LENGTH = 8_000;

/** What is not seen, or turns the direction of text: two names could look alike. */
const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/** A name, or why it is none: a predicate to "the name". Runs of blanks become one, and letters with marks are composed: what looks alike is the same. */
export const readSavedName = (given: unknown): { readonly name: string } | { readonly fault: string } => {
  const name = typeof given === 'string' ? given.trim().replace(/\s+/g, ' ').normalize('NFC') : '';
  if (name === '') return { fault: 'must not be empty' };
  if (unseen.test(name)) return { fault: 'must not have control characters, or others that are not seen' };
  if (!isVisible(name)) return { fault: 'must have a character that is seen' };
  if ([...name].length > MAX_NAME_LENGTH) return { fault: `must not be longer than ${MAX_NAME_LENGTH} characters` };
  return { name };
};

export const isSavable = (parameters: string): boolean => parameters.length <= MAX_SEARCH_LENGTH;

export const savedFaults = {
  'name taken': 'is the name of another saved search',
  full: `cannot be kept: there are ${MAX_SAVED} saved searches, which is the most; delete one first`,
} as const;

const saved = z.object({
  id: z.number(),
  name: z.string(),
  search: z.string().describe('As the parameters of a link; relative times stay relative.'),
  savedBy: z.string().nullable().describe('The token; null: a command, or no token was needed.'),
  savedAs: z.string().describe('The account of the database.'),
  savedAt: instant,
  renamedBy: z.string().nullable(),
  renamedAt: instant.nullable(),
});

export const listSaved = operation({
  name: 'search --list-saved',
  says: 'Show the saved searches',
  path: '/v1/saved-searches',
  tool: 'list_saved_searches',
  needs: { scope: 'search' },
  input: z.strictObject({}),
  output: z.array(saved).readonly().describe('By name.'),
  run: ({ pool }: { readonly pool: Pool }) => savedSearchesIn(pool).list(),
  show: (all) => {
    const rows = all.map(({ name, search, savedBy, savedAs, savedAt }) => [
      printable(name, 60),
      savedAt.toISOString(),
      printable(savedBy ?? savedAs, 32),
      lineOf(search),
    ]);
    return rows.length === 0 ? 'no saved searches\n' : table(['NAME', 'SAVED', 'BY', 'SEARCH'], rows);
  },
});

/** What this version cannot read stays as it is. */
export const lineOf = (search: string): string => {
  const { search: read, faults } = readSearch(Object.fromEntries(new URLSearchParams(search)), Date.now());
  const line = faults.length > 0 ? search : printLine(read);
  return line === '' ? 'all events' : printable(line, 120);
};
