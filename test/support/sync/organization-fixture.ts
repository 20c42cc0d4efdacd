import type { Pool } from 'pg';
import type { FoundOrganization, OrganizationChange } from '../../../src/ingest/planning/source.ts';
import { recordListing } from '../../../src/ingest/sync/discovery/organizations.sql.ts';

export interface Listings {
  list(
    found: readonly FoundOrganization[],
    complete?: boolean,
    within?: readonly string[],
  ): Promise<readonly OrganizationChange[]>;
  /** The same of organizations whose id is all that matters. */
  listIds(
    ids: readonly string[],
    complete?: boolean,
    within?: readonly string[],
  ): Promise<readonly OrganizationChange[]>;
  /** What is stored of one. */
  row(id: string): Promise<Readonly<Record<string, unknown>>>;
  /** All changes as lines: id, change, old value, new value. */
  changes(): Promise<readonly string[]>;
}

/** What the tests of organizations do with a database. */
export const listingsIn = (pool: () => Pool): Listings => {
  const list: Listings['list'] = (found, complete = true, within = undefined) =>
    recordListing(pool(), found, { complete, within });
  return {
    list,
    listIds: (ids, complete, within) =>
      list(
        ids.map((id) => ({ id, name: `Name of ${id}` })),
        complete,
        within,
      ),
    row: async (id) => {
      const { rows } = await pool().query(
        'select name, parent_id, managed_by, create_time, meta, profile, state, missed_listings from organizations where id = $1',
        [id],
      );
      return rows[0];
    },
    changes: async () => {
      const { rows } = await pool().query<{ line: string }>(
        `select concat_ws(' ', organization_id, change, old_value, new_value) as line from organization_changes order by id`,
      );
      return rows.map(({ line }) => line);
    },
  };
};
