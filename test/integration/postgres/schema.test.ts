import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { dumpSchema } from '../../support/postgres/schema-dump.ts';

const snapshot = fileURLToPath(new URL('../../../drizzle/schema.sql', import.meta.url));

const database = databaseOfTests();

/** The names that people use in SQL, as the documentation gives them. */
const contract: Readonly<Record<string, string>> = {
  organizations: 'id name parent_id managed_by create_time meta profile state first_seen_at last_seen_at',
  organization_changes: 'organization_id change old_value new_value changed_at',
  sources: `kind id organization_id filter_hash lease_owner lease_epoch lease_until last_attempt_at last_event_at wanted_since
    wanted_history largest_page`,
  coverage: 'source_kind source_id filter_hash pass ranges proven',
  lanes: `source_kind source_id filter_hash lane state failures next_attempt_at last_attempt_at last_success_at last_failure
    last_error`,
  coverage_readings: 'source_kind source_id filter_hash since before method number direction found read_from read_to',
  coverage_proof: 'source_kind source_id organization_id day method number direction found unproven_seconds',
  coverage_holes: `source_kind source_id filter_hash pass since before reason message attempts found_at last_attempt_at
    next_attempt_at`,
  // Of version 0.1.
  walks: 'source_kind source_id lane since before cursor seq pages entries last_time in_order',
  audit_events: `source_kind source_id organization_id id position action_time received_at action_type action_result
    action_description actor_id actor_type actor_context actor_email actor_ip_address actor_token_id actor_token_name
    raw_cf_ray_id raw_method raw_status_code raw_uri raw_user_agent resource_id resource_product resource_type
    resource_scope raw defects`,
  audit_event_changes: 'source_kind source_id event_id position raw seen_at',
  feed_head: 'feed_id position timeline timeline_since',
  position_jumps: 'id from_position to_position old_timeline new_timeline found_at',
  audit_feed: `position feed_id source_kind source_id organization_id organization_name id action_time received_at action_type
    action_result action_description actor_id actor_type actor_context actor_email actor_ip_address actor_token_id
    actor_token_name raw_cf_ray_id raw_method raw_status_code raw_uri raw_user_agent resource_id resource_product
    resource_type resource_scope raw defects`,
  sinks: `name kind target position batch_until lease_owner failures delivered last_success_at last_error skipped
    max_age_seconds`,
  sink_dead_letters: 'sink position reason refused_at',
  holds: 'id organization_id since before reason created_by created_as created_at released_by released_as released_at',
  retention_drops: 'id partition month events first_position last_position bytes dropped_at',
  retention_policy: 'shortest',
  archive_policy: 'archive set_at set_as',
  archive_objects: `archive key kind month feed_id first_position last_position events bytes sha256 ids_sha256 raw_sha256 columns_sha256
    organizations version_id locked_until written_at verified_at fault superseded_at dropped_at blocks_sha256`,
  detection_mutes: `id detection actor reason muted_until created_by created_as created_at ended_by ended_as ended_at`,
  checks: `id kind source_kind source_id filter_hash round since before began_at last_read_at ended_at read_seconds sources compared missing extra
    changed fixed_missing fixed_changed failed fixes findings done_by done_as`,
  access_log: 'id at kind outcome who account address route status what events requests',
  access_tokens:
    'id name hash scopes expires_at created_at created_as revoked_at revoked_as access_log_proof sees_access_log replays_sinks',
  console_sessions: 'key token_id created_at expires_at',
  console_session_proofs: 'key token_id proof',
  saved_searches: 'id name search saved_by saved_as saved_at renamed_by renamed_at',
  api_budget: 'credential',
  audit_history:
    'position action_time organization_id organization_name action_type actor_email request response payload defects',
  coverage_gaps: 'source_kind source_id organization_id organization_name since before duration',
  sync_status: `source_kind source_id organization_id lag_seconds gap_seconds retention_slack_seconds failures next_attempt_at
    last_success_at last_failure last_error open_walks walking_pages walking_entries failing_lanes holes unproven_seconds`,
};

describe('the schema', () => {
  for (const [table, columns] of Object.entries(contract)) {
    test(`${table} has the columns that people query`, async () => {
      await expect(
        database.pool.query(`select ${columns.split(/\s+/).join(', ')} from ${table}`),
      ).resolves.toBeDefined();
    });
  }

  test('is documented in the database itself: every table, view and column has a comment (\\d+)', async () => {
    const { rows } = await database.pool.query<{ what: string; words: string | null }>(
      `select concat_ws('.', c.relname, a.attname) as what,
         case when a.attnum is null then obj_description(c.oid, 'pg_class') else col_description(c.oid, a.attnum) end as words
       from pg_class c
       cross join lateral (select null::smallint as attnum, null::name as attname
         union all select attnum, attname from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped) a
       where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition`,
    );
    expect(rows.length).toBeGreaterThan(400);
    expect(rows.filter(({ words }) => words === null || words.trim() === '').map(({ what }) => what)).toEqual([]);
  });

  test('is what drizzle/schema.sql says', async ({ skip }) => {
    const { rows } = await database.pool.query<{ version: number }>(
      "select current_setting('server_version_num')::integer / 10000 as version",
    );
    const version = rows[0]?.version;
    if (version !== SNAPSHOT_VERSION) {
      skip(`drizzle/schema.sql is compared on PostgreSQL ${SNAPSHOT_VERSION} only; this is ${version}`);
    }
    await expect(
      await dumpSchema(database.pool),
      'drizzle/schema.sql is not what the migrations add up to: npm run schema:update, and look at the difference',
    ).toMatchFileSnapshot(snapshot);
  });
});

const SNAPSHOT_VERSION = 18;
