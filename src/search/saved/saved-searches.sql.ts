import { eq, sql } from 'drizzle-orm';
import type { Pool } from 'pg';
import { db } from '../../postgres/db.ts';
import { savedSearches } from '../../postgres/tables/saved-searches.ts';
import type { SavedSearches } from './saved-search.ts';

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
