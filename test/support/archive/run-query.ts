import type { Pool } from '../../../src/postgres/pool.ts';
import { runInProcess } from '../process/run-in-process.ts';

/** What `orgtrail query … --json` printed. */
export interface QueryAnswer {
  readonly code: number;
  readonly stderr: string;
  readonly stdout: string;
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly read: Readonly<Record<string, unknown>>;
}

/** `orgtrail query` with the rights of a daemon. */
export const queryWith =
  (env: Readonly<Record<string, string>>) =>
  async (sql: string, ...more: readonly string[]): Promise<QueryAnswer> => {
    const result = await runInProcess(['query', ...more, '--json', sql], env);
    const { rows = [], read = {} } = result.code === 0 ? JSON.parse(result.stdout) : {};
    return { ...result, rows, read };
  };

/** All stored events, with the columns of the archive as JSON has them. */
export const storedEvents = async (pool: Pool): Promise<readonly Readonly<Record<string, unknown>>[]> => {
  const instant = (name: string) => `to_char(${name} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as ${name}`;
  const { rows } = await pool.query(
    `select f.position::float8 as position, f.feed_id::text, f.source_kind, f.source_id, f.organization_id, f.organization_name, f.id,
       ${instant('action_time')}, ${instant('received_at')}, f.action_type, f.action_result, f.action_description, f.actor_id, f.actor_type,
       f.actor_context, f.actor_email, f.actor_ip_address, f.actor_token_id, f.actor_token_name, f.raw_cf_ray_id, f.raw_method,
       f.raw_status_code, f.raw_uri, f.raw_user_agent, f.resource_id, f.resource_product, f.resource_type, f.resource_scope, f.raw::text as raw,
       f.defects, f.account_id, f.account_name, f.zone_id, f.zone_name
     from audit_feed f order by f.position`,
  );
  return rows;
};
