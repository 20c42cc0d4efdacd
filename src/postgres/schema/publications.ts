import type { Pool, PoolClient } from 'pg';
import { OrgtrailError } from '../../base/errors.ts';
import { inTransaction } from '../pool.ts';
import { sqlState } from '../sql-state.ts';
import { LOCK_TABLE } from './migrate.ts';

interface Publication {
  readonly name: string;
  readonly publish: string;
  /** By table, its columns: one that a later version adds must not stop subscribers whose table lacks it. */
  readonly tables: Readonly<Record<string, string>>;
}

/** The names are a contract: subscriptions and connectors name them. Why there are two: docs/decisions/19. */
const publications: readonly Publication[] = [
  {
    name: 'orgtrail',
    publish: 'insert',
    tables: {
      audit_events: `source_kind, source_id, organization_id, id, position, action_time, received_at, action_type,
        action_result, action_description, actor_id, actor_type, actor_context, actor_email, actor_ip_address,
        actor_token_id, actor_token_name, raw_cf_ray_id, raw_method, raw_status_code, raw_uri, raw_user_agent, resource_id,
        resource_product, resource_type, resource_scope, raw, defects,
        account_id, account_name, zone_id, zone_name`,
      audit_event_changes: 'id, source_kind, source_id, event_id, position, raw, raw_sha256, seen_at',
      // One row, inserted once: its position, which each commit updates, is not published.
      feed_head: 'feed_id',
    },
  },
  {
    name: 'orgtrail_organizations',
    publish: 'insert, update',
    tables: {
      organizations: 'id, name, parent_id, managed_by, create_time, meta, profile, state, first_seen_at, last_seen_at',
    },
  },
];

/**
 * Makes the publications for logical replication, or brings them to what they should be. Tables and settings that an operator
 * added to them are taken out. Returns the server's wal_level: below `logical`, nothing can be replicated yet. Called by
 * `migrate --publication`. Throws OrgtrailError `configuration` if the account does not own the tables, or may not create
 * in the database.
 */
export const createPublications = async (pool: Pool): Promise<{ readonly walLevel: string }> => {
  try {
    return await inTransaction(pool, async (client) => {
      await client.query(LOCK_TABLE);
      for (const publication of publications) await createPublication(client, publication);
      const { rows } = await client.query<{ level: string }>("select current_setting('wal_level') as level");
      return { walLevel: rows[0]?.level ?? 'unknown' };
    });
  } catch (error) {
    if (sqlState(error) !== '42501' || !(error instanceof Error)) throw error;
    throw new OrgtrailError('configuration', `this account may not make the publications: ${error.message}`, {
      hint: 'run `orgtrail migrate --publication` as the owner of the tables, who also needs: grant create on database NAME to OWNER',
      cause: error,
    });
  }
};

const createPublication = async (client: PoolClient, { name, publish, tables }: Publication): Promise<void> => {
  const list = Object.entries(tables).map(([table, columns]) => `${table} (${columns})`);
  // Via the root: a subscriber knows one table, whatever partitions come and go here.
  const settings = `(publish = '${publish}', publish_via_partition_root = true)`;
  const { rowCount } = await client.query('select from pg_publication where pubname = $1', [name]);
  if (rowCount === 0) {
    await client.query(`create publication ${name} for table ${list.join(', ')} with ${settings}`);
    return;
  }
  await client.query(`alter publication ${name} set ${settings}`);
  await client.query(`alter publication ${name} set table ${list.join(', ')}`);
};
