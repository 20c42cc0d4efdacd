import { readdirSync, readFileSync } from 'node:fs';
import { is, SQL } from 'drizzle-orm';
import { getTableConfig, getViewConfig, type PgColumn, PgDialect, PgTable, PgView } from 'drizzle-orm/pg-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { sqlQueries } from '../../support/deploy/dashboards.ts';
import { readRules } from '../../support/deploy/prometheus-rules.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';

const database = databaseOfTests();
const pool = poolOfTests(database);

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
    organizations version_id locked_until written_at verified_at fault superseded_at dropped_at blocks_sha256
    bounds footer_bytes added_in removed_in`,
  archive_snapshots: 'archive kind number at operation base entry manifests written_at',
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

const folder = new URL('../../../src/postgres/tables/', import.meta.url);
const modules = await Promise.all(
  readdirSync(folder).map((name): Promise<object> => import(new URL(name, folder).href)),
);
const declared = modules.flatMap((one): unknown[] => Object.values(one).flat());
const tables = declared.filter((one) => is(one, PgTable)).map(getTableConfig);
const views = declared.filter((one) => is(one, PgView)).map((view) => getViewConfig(view));

let stored: readonly Column[];

beforeAll(async () => {
  const { rows } = await database.pool.query<Column>(
    `select c.relname as relation, attname as column, format_type(atttypid, atttypmod) as type,
       case when c.relkind <> 'v' then attnotnull end as "notNull",
       case attidentity when 'a' then 'generated always as identity' else pg_get_expr(adbin, adrelid) end as default
     from pg_class c join pg_attribute on attrelid = c.oid and attnum > 0 and not attisdropped
       left join pg_attrdef on adrelid = attrelid and adnum = attnum
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition`,
  );
  stored = rows;
});

/** Each statement that operators are told to type, with where that is. */
const documented = (): readonly (readonly [where: string, statement: string])[] => {
  const directory = new URL('../../../docs/operations/', import.meta.url);
  const pages = readdirSync(directory).map((name) => [name, readFileSync(new URL(name, directory), 'utf8')] as const);
  const rules = readRules().flatMap((rule) =>
    'alert' in rule ? [[rule.alert, rule.annotations.description] as const] : [],
  );
  return [...pages, ...rules].flatMap(([where, text]) => {
    const blocks = [...text.matchAll(/```sql\n([\s\S]*?)```/g)].map(([, block = '']) => block);
    const inline = [...text.matchAll(/`((?:select|update) [^`]+)`/g)].map(([, statement = '']) => statement);
    return [...blocks, ...inline].map((statement) => [where, statement] as const);
  });
};

describe('the schema', () => {
  for (const [table, columns] of Object.entries(contract)) {
    test(`${table} has the columns that people query`, async () => {
      await expect(pool.query(`select ${columns.split(/\s+/).join(', ')} from ${table}`)).resolves.toBeDefined();
    });
  }

  test('is documented in the database itself: every table, view and column has a comment (\\d+)', async () => {
    const { rows } = await pool.query<{ what: string; words: string | null }>(
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
});

test('the columns that src/postgres/tables declares are in the database, with these types, nulls and defaults', () => {
  const known = [...tables.flatMap(ofTable), ...views.flatMap(ofView)];
  expect(stored).toEqual(expect.arrayContaining(known));
});

describe('SQL for operators', () => {
  test('is found in docs/operations and in the rules', () => expect(documented().length).toBeGreaterThan(8));

  test.each(documented())('%s: %s', async (_, statement) => {
    await pool.query(`begin; ${statement.replace(/;?\s*(--.*)?$/, '')}; rollback`);
  });

  test.each(sqlQueries({ organization: 'all', action: 'all', result: 'all' }).map(({ panel, text }) => [panel, text]))(
    'Grafana, %s',
    async (_, text) => {
      await pool.query(text);
    },
  );
});

interface Column {
  readonly relation: string;
  readonly column: string;
  readonly type: string;
  /** Null for a view, of whose columns PostgreSQL does not know it. */
  readonly notNull: boolean | null;
  readonly default: string | null;
}

/** A default as PostgreSQL writes it. */
const defaultOf = ({ default: value, generatedIdentity }: PgColumn): string | null => {
  if (generatedIdentity?.type === 'always') return 'generated always as identity';
  if (is(value, SQL)) return new PgDialect().sqlToQuery(value).sql;
  if (value === undefined) return null;
  return typeof value === 'string' ? `'${value}'::text` : String(value);
};

const ofTable = ({ name, columns }: (typeof tables)[number]): readonly Column[] =>
  columns.map((column) => ({
    relation: name,
    column: column.name,
    type: column.getSQLType(),
    notNull: column.notNull,
    default: defaultOf(column),
  }));

const ofView = ({ name, selectedFields }: (typeof views)[number]): readonly Column[] =>
  Object.values(selectedFields as Record<string, PgColumn>).map((column) => ({
    relation: name,
    column: column.name,
    type: column.getSQLType(),
    notNull: null,
    default: null,
  }));
