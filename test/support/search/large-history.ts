import type { Pool } from 'pg';
import { createPartitions } from '../../../src/ingest/sync/sync-store.sql.ts';

/** How much history is made, and how it is spread. The same numbers give the same rows. */
export interface LargeHistory {
  readonly events: number;
  readonly organizations: number;
  /** The end of the history, in milliseconds since 1970; it begins 18 months before, or so many days. */
  readonly untilMs: number;
  readonly days?: number;
  /** Events that are about an account or a zone name it: four accounts in each organization. */
  readonly withAccounts?: boolean;
  readonly onProgress?: (events: number) => void;
}

const HISTORY_DAYS = 548;
const CHUNK_EVENTS = 50_000;
const CONNECTIONS = 2;

/** The id of the organization, actor, … of a rank: 1 has the most events. */
export const organizationOfRank = (rank: number): string => `md5('organization ${rank}')`;

/**
 * One in [0, 1) for each row and purpose: hashes, so that the rows are the same in whatever order and by however many
 * connections they are made.
 */
const uniform = (seed: number): string => `((hashint8extended(n, ${seed}) & 1073741823) / 1073741824.0::float8)`;

/** Few have most of it: the rank r comes about 1/r as often as the first. */
const zipf = (seed: number, ranks: string): string => `floor(exp(${uniform(seed)} * ln(${ranks} + 1)))::integer`;

const stories = `(values
  (0, 'Update DNS record', 'update', 'PATCH', 'dns', 'dns_record', '/zones/%s/dns_records/'),
  (1, 'Create DNS record', 'create', 'POST', 'dns', 'dns_record', '/zones/%s/dns_records/'),
  (2, 'View zone', 'view', 'GET', 'zones', 'zone', '/zones/%s/'),
  (3, 'Purge cache', 'create', 'POST', 'cache', 'purge', '/zones/%s/purge_cache/'),
  (4, 'Update zone setting', 'update', 'PATCH', 'zones', 'zone_setting', '/zones/%s/settings/'),
  (5, 'Delete DNS record', 'delete', 'DELETE', 'dns', 'dns_record', '/zones/%s/dns_records/'),
  (6, 'Update ruleset', 'update', 'PUT', 'waf', 'ruleset', '/zones/%s/rulesets/'),
  (7, 'Deploy worker', 'update', 'PUT', 'workers', 'script', '/accounts/%s/workers/scripts/'),
  (8, 'Update Access policy', 'update', 'PUT', 'access', 'access_policy', '/accounts/%s/access/policies/'),
  (9, 'Add Member', 'create', 'POST', 'members', 'member', '/organizations/%s/members/'),
  (10, 'Update Member', 'update', 'PUT', 'members', 'member', '/organizations/%s/members/'),
  (11, 'Create API Token', 'create', 'POST', 'api_tokens', 'api_token', '/accounts/%s/tokens/'),
  (12, 'Delete zone', 'delete', 'DELETE', 'zones', 'zone', '/zones/%s/'),
  (13, 'Delete API Token', 'delete', 'DELETE', 'api_tokens', 'api_token', '/accounts/%s/tokens/'),
  (14, 'Remove Member', 'delete', 'DELETE', 'members', 'member', '/organizations/%s/members/'),
  (15, 'Update SSO Connector', 'update', 'PATCH', 'sso', 'sso_connector', '/organizations/%s/sso_connectors/')
) as story (number, description, action_type, method, product, resource_type, path)`;

/** Rows $1 to $2 of $3 events of $4 organizations; the history ends at $5 (seconds) and lasts $6. $7: accounts and zones are said. 0.8 kB of raw text each. */
const rows = `
insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, received_at, action_type,
  action_result, action_description, actor_id, actor_type, actor_context, actor_email, actor_ip_address, actor_token_id,
  actor_token_name, raw_cf_ray_id, raw_method, raw_status_code, raw_uri, raw_user_agent, resource_id, resource_product,
  resource_type, resource_scope, account_id, account_name, zone_id, zone_name, raw)
select 'organization', organization, organization, md5('event ' || n), n, at, at + interval '20 seconds', action_type, result,
  description, actor, case when by_token then 'account' else 'user' end, case when by_token then 'api_token' else 'dash' end,
  email, address, token, token_name, ray, method, status, uri, agent, resource, product, resource_type, 'accounts',
  case when of_account then md5(concat('account ', organization_rank, ' ', resource_rank % 4)) end,
  case when of_account then format('Account %s of %s', resource_rank % 4, organization_rank) end,
  case when of_zone then md5(concat('zone ', organization_rank, ' ', resource_rank % 500)) end,
  case when of_zone then format('zone-%s.org-%s.example', resource_rank % 500, organization_rank) end,
  format('{"id":"%s","action":{"description":"%s","result":"%s","time":"%s","type":"%s"},"actor":{"context":"%s",%s"id":"%s",'
    '"ip_address":"%s",%s"type":"%s"},"organization":{"id":"%s"},"raw":{"cf_ray_id":"%s","method":"%s","status_code":%s,'
    '"uri":"%s","user_agent":"%s"},"resource":{"id":"%s","product":"%s","request":{"name":"host-%s.example.com","type":"A",'
    '"content":"203.0.113.%s","ttl":%s,"proxied":%s,"comment":"change %s"},"response":{"success":%s,"result":{"id":"%s",'
    '"zone_name":"zone-%s.example.com","modified_on":"%s","tags":["team-%s"]}},"scope":"accounts","type":"%s"}}',
    md5('event ' || n), description, result, at_text, action_type, case when by_token then 'api_token' else 'dash' end,
    '"email":"' || email || '",', actor, address, '"token_id":"' || token || '","token_name":"' || token_name || '",',
    case when by_token then 'account' else 'user' end, organization, ray, method, status, uri, agent, resource, product,
    resource_rank, n % 256, 60 * (1 + n % 60), (n % 3 = 0)::text, md5('change ' || n / 7), (result = 'success')::text, resource,
    resource_rank % 500, at_text, actor_rank % 40, resource_type)::json
from (
  select drawn.*, story.*, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at_text,
    md5('organization ' || organization_rank) as organization, md5(concat('actor ', organization_rank, ' ', actor_rank)) as actor,
    case when not by_token then format('person-%s@org-%s.example', actor_rank, organization_rank) end as email,
    format('198.%s.%s.%s', 18 + organization_rank % 2, actor_rank % 250, 1 + address_number) as address,
    case when by_token then md5(concat('token ', organization_rank, ' ', actor_rank)) end as token,
    case when by_token then format('ci-%s', actor_rank) end as token_name,
    $7::boolean and path not like '/organizations%' as of_account, $7::boolean and path like '/zones%' as of_zone,
    left(md5('ray ' || n), 16) as ray, case when failed then 'failure' else 'success' end as result,
    case when failed then 403 else 200 end as status,
    format(path, md5(concat('zone ', organization_rank, ' ', resource_rank % 500))) || md5(concat('resource ', organization_rank, ' ', resource_rank)) as uri,
    case when by_token then 'Terraform/1.9.8 terraform-provider-cloudflare/5.6.0'
      else 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/136.0.0.0 Safari/537.36' end as agent,
    md5(concat('resource ', organization_rank, ' ', resource_rank)) as resource
  from (
    select n, to_timestamp($5::float8 - $6::float8 * (1 - n / $3::float8)) as at, ${zipf(1, '$4::float8')} as organization_rank,
      a.rank as actor_rank, a.rank % 5 in (1, 3) as by_token, floor(${uniform(3)} * 4)::integer as address_number,
      ${zipf(4, '20000')} as resource_rank, ${zipf(5, '16')} - 1 as story_number, ${uniform(6)} < 0.03 as failed
    from generate_series($1::bigint, $2::bigint) as n, lateral (select ${zipf(2, '400')} as rank) a) as drawn
  join ${stories} on story.number = story_number) as told`;

/**
 * Fills the migrated, empty database. Indexes but the two that every insert needs are left out meanwhile and built at the
 * end, which is several times as fast.
 */
export const makeLargeHistory = async (pool: Pool, history: LargeHistory): Promise<void> => {
  const { events, organizations, untilMs, days = HISTORY_DAYS, withAccounts = false, onProgress } = history;
  const sinceMs = untilMs - days * 86_400_000;
  await createPartitions(pool, sinceMs);
  await pool.query(
    `insert into organizations (id, name) select md5('organization ' || n), 'Organization ' || n from generate_series(1, $1::integer) n`,
    [organizations],
  );
  const indexes = await dropIndexes(pool);
  let next = 1;
  let done = 0;
  const load = async () => {
    while (next <= events) {
      const from = next;
      const to = Math.min(events, from + CHUNK_EVENTS - 1);
      next = to + 1;
      const time = [untilMs / 1_000, days * 86_400];
      await pool.query(rows, [from, to, events, organizations, ...time, withAccounts]);
      done += to - from + 1;
      onProgress?.(done);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, load));
  await pool.query('update feed_head set position = $1', [events]);
  await long(pool, indexes);
  await long(pool, ['vacuum (analyze) audit_events', 'analyze organizations']);
};

/** What else than the key and the position is indexed. Returns the statements that make them again. */
const dropIndexes = async (pool: Pool): Promise<readonly string[]> => {
  const { rows: indexes } = await pool.query<{ name: string; definition: string }>(
    `select indexrelid::regclass::text as name, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') as definition
     from pg_index where indrelid = 'audit_events'::regclass
       and indexrelid not in ('audit_events_once'::regclass, 'audit_events_position'::regclass)`,
  );
  for (const { name } of indexes) await pool.query(`drop index ${name}`);
  return indexes.map(({ definition }) => definition);
};

/** One after the other, with memory for sorting, and without the limit that a statement of the daemon has. */
const long = async (pool: Pool, statements: readonly string[]): Promise<void> => {
  const client = await pool.connect();
  try {
    await client.query("set maintenance_work_mem = '1GB'");
    for (const text of statements) await client.query(Object.assign({ text }, { query_timeout: 3_600_000 }));
    await client.query('reset maintenance_work_mem');
  } finally {
    client.release();
  }
};
