import { eq, getTableColumns, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { z } from 'zod';
import { instant, operation } from '../base/operation.ts';
import { isVisible, printable, table } from '../base/text.ts';
import { parseDurationMs } from '../base/time.ts';
import { db } from '../postgres/queries.ts';
import { savedSearches, searchTells } from '../postgres/tables/access.ts';
import { sinks } from '../postgres/tables/events.ts';
import { printLine, readSearch } from './query/search.ts';

const byName = sql`lower(${savedSearches.name}) collate "C"`;

export type SavedSearches = ReturnType<typeof savedSearchesIn>;
export type SavedSearch = Readonly<typeof savedSearches.$inferSelect> & {
  readonly tells: z.output<typeof tells> | null;
};

const columns = {
  ...getTableColumns(savedSearches),
  tells: {
    sink: searchTells.sink,
    everySeconds: searchTells.everySeconds,
    toldBy: searchTells.toldBy,
    toldSince: searchTells.toldSince,
    matched: searchTells.matched,
    lastMatchAt: searchTells.lastMatchAt,
    /** Of the search first: without it, nothing reaches the sink. */
    error: sql<
      string | null
    >`coalesce(${searchTells.error}, case when ${sinks.failures} > 0 then ${sinks.lastError} end)`,
  },
};

/** Parameters of links, with relative times as written. Changes reject if the account of the database may not execute their functions. */
export const savedSearchesIn = (pool: Pool) => ({
  list: async (): Promise<readonly SavedSearch[]> => await withTells(pool).orderBy(byName),
  find: async (id: number): Promise<SavedSearch | undefined> => {
    const [found] = await withTells(pool).where(eq(savedSearches.id, id));
    return found;
  },
  /** Without a sink, it ends. */
  tell: async (
    id: number,
    told: { readonly sink: string | undefined; readonly everySeconds: number; readonly by: string | undefined },
  ) => {
    const { rows } = await pool.query<{ outcome: 'told' | 'ended' | 'unknown' | 'no sink' }>(
      'select orgtrail_tell_search($1, $2, $3, $4) as outcome',
      [id, told.sink ?? null, told.everySeconds, told.by ?? null],
    );
    return rows[0]?.outcome ?? 'unknown';
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

const withTells = (pool: Pool) =>
  db(pool)
    .select(columns)
    .from(savedSearches)
    .leftJoin(searchTells, eq(searchTells.searchId, savedSearches.id))
    .leftJoin(sinks, eq(sinks.name, searchTells.sink));

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

const tells = z.object({
  sink: z.string(),
  everySeconds: z.number().describe('Two messages are at least so far apart.'),
  toldBy: z.string().nullable(),
  toldSince: instant.describe('It is told of what happened since then.'),
  matched: z.number().describe('Events that have matched.'),
  lastMatchAt: instant.nullable(),
  error: z.string().nullable().describe('Why it, or its sink, fails; null: neither does.'),
});

const saved = z.object({
  id: z.number(),
  name: z.string(),
  search: z.string().describe('As the parameters of a link; relative times stay relative.'),
  savedBy: z.string().nullable().describe('The token; null: a command, or no token was needed.'),
  savedAs: z.string().describe('The account of the database.'),
  savedAt: instant,
  renamedBy: z.string().nullable(),
  renamedAt: instant.nullable(),
  tells: tells.nullable().describe('The sink that is told what newly matches.'),
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
    const rows = all.map(({ name, search, savedBy, savedAs, savedAt, tells: told }) => [
      printable(name, 60),
      savedAt.toISOString(),
      printable(savedBy ?? savedAs, 32),
      tellsText(told),
      lineOf(search),
    ]);
    return rows.length === 0 ? 'no saved searches\n' : table(['NAME', 'SAVED', 'BY', 'TELLS', 'SEARCH'], rows);
  },
});

const tellsText = (told: SavedSearch['tells']): string => {
  if (told === null) return '-';
  const { sink, lastMatchAt, error } = told;
  const last = lastMatchAt === null ? 'no match yet' : `last match ${lastMatchAt.toISOString()}`;
  return `${sink}: ${error === null ? last : `fails: ${printable(error, 200)}`}`;
};

/** Why a search cannot tell: an entry that changes later is not new. */
export const whyNotTold = (search: string): string | undefined =>
  new URLSearchParams(search).has('changed') ? 'entries that changed later are not new: it cannot be told' : undefined;

/** Of a duration such as `15m`; undefined unless it is from a minute to a week. */
export const readEverySeconds = (text: string): number | undefined => {
  const seconds = Math.round((parseDurationMs(text) ?? 0) / 1_000);
  return seconds >= 60 && seconds <= 604_800 ? seconds : undefined;
};

/** What this version cannot read stays as it is. */
export const lineOf = (search: string): string => {
  const { search: read, faults } = readSearch(Object.fromEntries(new URLSearchParams(search)), Date.now());
  const line = faults.length > 0 ? search : printLine(read);
  return line === '' ? 'all events' : printable(line, 120);
};
