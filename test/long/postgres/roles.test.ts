import type { Pool } from 'pg';
import { describe, expect, test } from 'vitest';
import { tokenProof } from '../../../src/postgres/access/access.ts';
import { createAccessToken } from '../../../src/postgres/access/tokens.sql.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { createLogin } from '../../support/accounts/login.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { startCluster } from '../../support/postgres/postgres-cluster.ts';
import { forgetNewest } from '../../support/postgres/schema-0-2-0.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { runOrgtrail } from '../../support/process/orgtrail-process.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { words } from '../../support/process/words.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

/** What only readers may select, and the salts, which not even they may. */
const readersOnly = words(`
  evidence_asked evidence_checkpoints evidence_key_orders evidence_reads evidence_sources evidence_statements evidence_tiles`);
const salts = 'evidence_month_keys';

/** What orgtrail_evidence may select; it writes by functions alone. */
const evidence = [
  ...words(`
    accounts organizations archive_objects audit_event_changes audit_events coverage coverage_holes coverage_readings
    discovery drizzle.__drizzle_migrations evidence_anchors evidence_coverage evidence_log evidence_verified feed_head holds
    position_jumps retention_drops retention_policy sources`),
  ...readersOnly,
  salts,
];

const functionsNamed = (text: string) => words(text).map((name) => `orgtrail_${name}`);

/** What orgtrail_ingest may call. order refuses without the proof of a token or a session that may. */
const ingestFunctions = functionsNamed(`
  access_log_shown acknowledge_detection archive_facts ask_own_detection attach_thaw begin_delivery begin_thaw
  check_thaw check_timeline claim_sink claim_source claim_thaw commit_page_2 create_partitions delete_search
  drop_month end_rests facts_of fail_delivery fail_lane fail_thaw find_thawed finish_alarms finish_delivery
  finish_delivery_and_skip finish_search_matches forget_archive_reads history_of hold_thaw index_thaw mute_detection
  note_access note_alarms note_alive note_archive_blocks note_archive_bounds note_archive_read note_archived
  note_detections note_own_failure note_scrub note_search_matches note_sink_failure note_snapshot note_tell_failure
  note_verification order own_detections prove_session read_access_log register_alarm_sinks register_sinks
  register_sinks_with_ages release_sink release_sinks_of rename_search renew_sink renumber_snapshots save_search
  session_replays
  skip_events skip_old_events take_requests take_snapshot tell_search token_use trim_coverage unmute_detection use_archive
  want_detections`);
/** What orgtrail_evidence may call. */
const evidenceFunctions = functionsNamed(`
  ask_coverage claim_evidence continue_evidence grow_evidence history_of instant_text is_evidence_here note_anchor
  note_checkpoint note_evidence note_evidence_settings note_held_back note_verified open_evidence ranges_of read_text refuse_evidence
  release_evidence
  release_evidence_of renew_evidence schema_version thin_checkpoints thin_reads`);

const views = words(
  'audit_event_traits audit_feed audit_history sync_status requests_blocked coverage_gaps coverage_proof detections',
);

/** Of its own: roles belong to a whole server, and here they come and go. */
const cluster = ofAllTests(startCluster);
const database = ofAllTests(() => createTestDatabase({ server: cluster.url() }));

describe('migrate --roles', () => {
  test('by an account that may not make roles: exit 2, and names the statements; afterwards it works, and again', async () => {
    const own = await createTestDatabase({ empty: true, server: cluster.url() });
    await using owner = await createLogin(own);
    await own.pool.query(`alter database ${new URL(own.url).pathname.slice(1)} owner to ${owner.name}`);
    // Without the warnings that migrations are still in progress, which a slow machine gets.
    const env = { DATABASE_URL: owner.url, ORGTRAIL_LOG_LEVEL: 'error' };
    const refused = await runInProcess(['migrate', '--roles'], env);
    expect(refused.stderr).toMatch(
      /orgtrail: this account may not create the role orgtrail_ingest\nTry: .*`create role/,
    );
    expect(refused.code).toBe(2);
    const { rows } = await own.pool.query("select to_regclass('audit_events') as found");
    expect(rows, 'all or nothing').toEqual([{ found: null }]);

    const statements = /`(create role .*?)`/.exec(refused.stderr)?.[1] ?? '';
    await own.pool.query(statements);
    for (const _ of ['first', 'second']) {
      const { code, stdout, stderr } = await runInProcess(['migrate', '--roles'], env);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toContain('orgtrail_ingest and orgtrail_reader have their rights');
      await expectRights(own.pool);
    }
  });

  test('by an account that does not own the schema: exit 2, and says who does', async () => {
    await withRoles();
    await using member = await createLogin(database, ['orgtrail_ingest']);
    const { code, stderr } = await runInProcess(['migrate', '--roles'], { DATABASE_URL: member.url });
    expect(stderr).toMatch(
      /the schema belongs to \S+: \S+ may not grant rights on it\nTry: run `orgtrail migrate --roles` as/,
    );
    expect(code).toBe(2);
  });

  test('takes back what is too much, and later migrations give what is missing', async () => {
    await withRoles();
    const { pool } = database;
    await pool.query(
      'grant all on audit_events, drizzle.__drizzle_migrations, audit_history to orgtrail_ingest, orgtrail_reader',
    );
    await pool.query('grant update (raw) on audit_events to orgtrail_ingest');
    await withRoles();
    await expectRights(pool);

    await pool.query('revoke all on audit_events from orgtrail_ingest, orgtrail_reader');
    await pool.query('revoke all on function orgtrail_create_partitions, orgtrail_drop_month from orgtrail_ingest');
    await migrateDatabase(pool);
    expect(await rightsOf(pool, 'orgtrail_ingest', false), 'what is current is left alone').not.toEqual(ingest);
    await forgetNewest(pool);
    await migrateDatabase(pool);
    await expectRights(pool);
  });
});

describe('a schema in which others may make objects', () => {
  const env = () => ({
    DATABASE_URL: database.url,
    CLOUDFLARE_API_TOKEN: 'none',
    CLOUDFLARE_BASE_URL: 'http://127.0.0.1:1',
  });

  test.each(['public', 'orgtrail_ingest'])('fails migrate --roles and check, while %s may', async (role) => {
    await withRoles();
    await database.pool.query(`grant create on schema public to ${role}`);
    const revoke = `revoke create on schema "public" from ${role};`;
    const migrated = await runInProcess(['migrate', '--roles'], env());
    expect(migrated.stderr).toContain('may create objects in the schema public');
    expect(migrated.stderr).toContain(revoke);
    expect(migrated.code).toBe(2);
    const checked = await runInProcess(['check'], env());
    expect(checked.stdout).toMatch(/^FAIL {2}rights .*may create objects in the schema public/m);
    expect(checked.stdout).toContain(revoke);
    expect(checked.code).toBe(2);

    await database.pool.query(revoke);
    expect(await runInProcess(['migrate', '--roles'], env())).toMatchObject({ code: 0 });
    expect((await runInProcess(['check'], env())).stdout).not.toContain('rights');
  });

  test('a function that is named like one of PostgreSQL is not called with the rights of the owner', async () => {
    await withRoles();
    await using daemon = await createLogin(database, ['orgtrail_ingest']);
    const { pool } = database;
    await pool.query(
      'grant create on schema public to public; create table called_as (account text); grant insert on called_as to public',
    );
    try {
      const ofOrders = [
        'jsonb_build_object(text, bigint)',
        'jsonb_agg(text)',
        'has_table_privilege(name, regclass, text)',
      ];
      for (const of of ['to_char(date, text)', 'format(text, regclass)', 'format(text, text)', ...ofOrders]) {
        await daemon.pool.query(
          `create function public.${of} returns text language sql volatile as 'insert into called_as values (current_user); select null::text'`,
        );
      }
      await daemon.pool.query(
        `create function public.trap(text[], text[]) returns boolean language sql volatile as 'insert into called_as values (current_user); select true';
         create operator public.<@ (leftarg = text[], rightarg = text[], function = public.trap)`,
      );
      const manager = { name: 'manager', scopes: ['manage'] as const, expiresAt: undefined };
      const made = await createAccessToken({ pool }, manager);
      const giver = { proof: tokenProof(made?.token ?? ''), route: 'trap' };
      const more = { ...manager, name: 'more', scopes: ['feed'] as const };
      await expect(createAccessToken({ pool: daemon.pool, giver }, more)).rejects.toThrow('no right that it lacks');
      await pool.query("select orgtrail_create_partitions('2025-01-05', '2025-01-06')");
      await pool.query(
        'insert into discovery default values on conflict do nothing; update discovery set server_time = now()',
      );
      await daemon.pool.query("select orgtrail_drop_month('2025-01-01', '30 days')");
      const { rows } = await pool.query('select account from called_as where account <> $1', [daemon.name]);
      expect(rows).toEqual([]);
    } finally {
      await pool.query('drop table called_as; revoke create on schema public from public');
    }
  });
});

describe('orgtrail_ingest', () => {
  test('is all that check, sync, backfill and status need, partitions included; and they are exact', async () => {
    await using world = await openWorld();
    await using daemon = await createLogin(world.database, ['orgtrail_ingest']);
    const env = { ...world.env, DATABASE_URL: daemon.url };
    expect(await runOrgtrail(['sync'], env)).toMatchObject({ code: 0, stderr: '' });
    await world.expectExactTruth();
    const { rows } = await world.database.pool.query<{ owner: string; events: number }>(
      `select pg_get_userbyid(c.relowner) as owner, (select count(*)::integer from audit_events) as events
       from pg_class c join pg_inherits i on i.inhrelid = c.oid where i.inhparent = 'audit_events'::regclass`,
    );
    expect(rows.length).toBeGreaterThan(2);
    expect(rows.map((row) => row.owner)).not.toContain(daemon.name);

    const window = ['--since', '2020-01-01', '--before', '2020-02-01'];
    for (const args of [['check'], ['status'], ['backfill', ...window], ['sync']]) {
      expect(await runInProcess(args, env), args[0]).toMatchObject({ code: 0, stderr: '' });
    }
    const old = await world.database.pool.query("select to_regclass('audit_events_2020_01') is not null as made");
    expect(old.rows).toEqual([{ made: true }]);
    await world.expectExactTruth();
  });

  test('cannot change or remove what is stored, nor anything else that it does not need (invariant 5)', async () => {
    await withRoles();
    await database.pool.query("select orgtrail_create_partitions('2026-01-05', '2026-01-06')");
    await using daemon = await createLogin(database, ['orgtrail_ingest']);
    // Of every kind of thing one: what there may be of each is in the catalog, which `expectRights` reads.
    for (const [statement, object] of [
      ["update audit_events set raw = '{}'", 'table audit_events'],
      ['truncate audit_event_changes', 'table audit_event_changes'],
      ['delete from audit_events_2026_01', 'table audit_events_2026_01'],
      ['delete from audit_events_default', 'table audit_events_default'],
      ['update feed_head set position = position', 'table feed_head'],
      ["insert into coverage values ('organization', 'a', 'none', 0, '{}')", 'table coverage'],
      ['select from access_log', 'table access_log'],
      ['update access_tokens set revoked_at = null, expires_at = null', 'table access_tokens'],
      ["insert into drizzle.__drizzle_migrations (hash) values ('x')", 'table __drizzle_migrations'],
      ['drop table lanes', 'table lanes'],
      ['alter table audit_events detach partition audit_events_2026_01', 'table audit_events'],
      ['create table mine (a integer)', 'schema public'],
      ['create table drizzle.mine (a integer)', 'schema drizzle'],
      [
        `create or replace function orgtrail_create_partitions(since timestamptz, until timestamptz) returns integer language sql as 'select 1'`,
        'schema public',
      ],
    ] as const) {
      expect(await refusal(daemon.pool, statement), statement).toMatch(
        new RegExp(`^(permission denied for|must be owner of) (?:${object}|${object.replace(/.* /, '\\w+ ')})$`),
      );
    }
  });

  test('is not led astray by tables of its own that are named like ours', async () => {
    await withRoles();
    await using daemon = await createLogin(database, ['orgtrail_ingest']);
    // On one connection: a simple query of several statements.
    await daemon.pool.query(`
      create temporary table audit_events (like public.audit_events);
      create temporary table audit_events_default (like public.audit_events);
      set search_path = pg_temp, public;
      select orgtrail_create_partitions('2025-03-05', '2025-03-06');
      drop table pg_temp.audit_events, pg_temp.audit_events_default`);
    const { rows } = await database.pool.query(
      "select inhparent::regclass::text as parent from pg_inherits where inhrelid = 'public.audit_events_2025_03'::regclass",
    );
    expect(rows).toEqual([{ parent: 'audit_events' }]);
  });
});

describe('orgtrail_reader', () => {
  test('reads every table and view but the salts of the evidence, and status works; it writes nothing and calls nothing that writes', async () => {
    await withRoles();
    await database.pool.query('create table of_somebody_else (a integer)');
    await using reader = await createLogin(database, ['orgtrail_reader']);
    for (const name of Object.keys(ingest)) {
      if (name === salts) expect(await refusal(reader.pool, `select * from ${name}`)).toContain('permission denied');
      else await expect(reader.pool.query(`select * from ${name}`), name).resolves.toBeDefined();
      if (name.includes('.') || isView(name)) continue;
      for (const statement of [`insert into ${name} default values`, `delete from ${name}`, `truncate ${name}`]) {
        expect(await refusal(reader.pool, statement), statement).toBe(`permission denied for table ${name}`);
      }
    }
    expect(await refusal(reader.pool, 'update sources set largest_page = 0')).toBe(
      'permission denied for table sources',
    );
    expect(await refusal(reader.pool, 'select * from of_somebody_else')).toContain('permission denied');
    expect(await refusal(reader.pool, 'select orgtrail_create_partitions(now(), now())')).toBe(
      'permission denied for function orgtrail_create_partitions',
    );
    await database.pool.query('drop table of_somebody_else');
    const env = { DATABASE_URL: reader.url };
    expect(await runInProcess(['status'], env)).toMatchObject({ code: 0, stderr: '' });
    expect(await runInProcess(['status', '--json'], env)).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('an account without the rights', () => {
  test('is told what to do, exit 2, without a stack trace', async () => {
    await withRoles();
    await using world = await openWorld({ organizations: 1, entries: 0 });
    await using stranger = await createLogin(world.database);
    await using reader = await createLogin(world.database, ['orgtrail_reader']);
    for (const [command, url] of [
      ['status', stranger.url],
      ['check', stranger.url],
      ['run', stranger.url],
      ['migrate', stranger.url],
      ['sync', reader.url],
    ] as const) {
      const { code, stdout, stderr } = await runInProcess([command], { ...world.env, DATABASE_URL: url });
      expect(stdout + stderr, command).toMatch(
        /the database account may not do this: permission denied for \w+ \w+\n.*Try: .*migrate --roles/,
      );
      expect(stdout + stderr, command).not.toMatch(/\n\s+at /);
      expect(code, command).toBe(2);
    }
  });

  test('and a schema that is not current: says that the owner must migrate', async () => {
    await using world = await openWorld({ organizations: 1, entries: 0 });
    await using daemon = await createLogin(world.database, ['orgtrail_ingest']);
    await forgetNewest(world.database.pool);
    const { code, stderr } = await runInProcess(['run'], { ...world.env, DATABASE_URL: daemon.url });
    expect(stderr).toMatch(
      /this account may not change it: permission denied .*\nTry: run `orgtrail migrate` with an account that owns/,
    );
    expect(code).toBe(2);
  });
});

const privileges = ['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'] as const;

/** These tables and views, with what a role may do with each. */
const withRight = (right: string, names: string) => Object.fromEntries(words(names).map((name) => [name, right]));

/** Every table and view, and what orgtrail_ingest may do with it. orgtrail_reader may select, everywhere, and no more. */
const ingest: Readonly<Record<string, string>> = {
  ...withRight(
    'SELECT',
    `
    access_tokens alarm_changes alarm_cursors alarms archive_objects archive_policy archive_restores archive_snapshots archive_thaws audit_event_changes
    audit_event_traits audit_events audit_feed audit_history checks collector_tokens coverage coverage_gaps
    coverage_holes coverage_proof coverage_readings detection_api_token_changed detection_api_token_wide_scope
    detection_cloudflare_staff detection_collector_token detection_delete_burst detection_dns_records_deleted
    detection_failure_burst detection_member_added detection_mutes detection_protection_removed detection_scim_changed
    detection_sign_in_from_new_network detection_sign_in_without_sso detection_sso_or_mfa_changed
    detection_super_administrator_added detection_worker_secret_or_route_changed detections
    drizzle.__drizzle_migrations event_spellings evidence_anchors evidence_coverage evidence_log evidence_verified feed_head finding_head findings
    holds lanes own_detections position_jumps requests_blocked retention_drops retention_policy retention_waits saved_searches search_matches search_tells
    sink_dead_letters sinks sync_status`,
  ),
  ...withRight(
    '',
    `
    access_log console_session_proofs evidence_asked evidence_checkpoints evidence_key_orders
    evidence_month_keys evidence_reads evidence_sources evidence_statements evidence_tiles`,
  ),
  ...withRight('SELECT INSERT', 'account_changes organization_changes'),
  ...withRight('SELECT UPDATE', 'discovery'),
  ...withRight(
    'SELECT INSERT UPDATE',
    'account_listings account_organizations accounts api_budget organizations place_head sources',
  ),
  ...withRight('SELECT INSERT DELETE', 'console_sessions'),
  ...withRight('SELECT INSERT UPDATE DELETE', 'address_places'),
};

/** Which of them PostgreSQL cannot write to, for any account. */
const isView = (name: string): boolean => views.includes(name) || name.startsWith('detection_');

/** What each role may do with each table and view, by the catalog; partitions too. */
const rightsOf = async (pool: Pool, role: string, partitions: boolean): Promise<Record<string, string>> => {
  const { rows } = await pool.query<{ name: string; rights: string }>(
    `select c.oid::regclass::text as name,
       coalesce((select string_agg(p, ' ' order by n) from unnest($2::text[]) with ordinality as u (p, n)
         where has_table_privilege($1, c.oid, p)), '') as rights
     from pg_class c where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
       and c.relnamespace in ('public'::regnamespace, 'drizzle'::regnamespace)
       and c.relispartition = $3 and (c.relkind <> 'S') order by 1`,
    [role, privileges, partitions],
  );
  return Object.fromEntries(rows.map(({ name, rights }) => [name, rights]));
};

/** What the server says to a statement that it refuses. */
const refusal = (pool: Pool, statement: string): Promise<string> =>
  pool.query(statement).then(
    () => 'it was done',
    (error: Error) => error.message,
  );

/** Both roles have exactly what they should have. */
const expectRights = async (pool: Pool): Promise<void> => {
  expect(await rightsOf(pool, 'orgtrail_ingest', false)).toEqual(ingest);
  const readable = Object.fromEntries(Object.keys(ingest).map((name) => [name, name === salts ? '' : 'SELECT']));
  expect(await rightsOf(pool, 'orgtrail_reader', false)).toEqual(readable);
  for (const role of ['orgtrail_ingest', 'orgtrail_reader']) {
    const onPartitions = new Set(Object.values(await rightsOf(pool, role, true)));
    expect(onPartitions, 'partitions are reached through their parent').toEqual(new Set(['']));
  }
  const building = Object.fromEntries(
    Object.keys(ingest).map((name) => [name, evidence.includes(name) ? 'SELECT' : '']),
  );
  expect(await rightsOf(pool, 'orgtrail_evidence', false)).toEqual(building);
  const { rows: columns } = await pool.query(
    `select r as role, a.attrelid::regclass::text as table, attname as column
     from pg_attribute a join pg_class c on c.oid = a.attrelid, unnest(array['orgtrail_ingest', 'orgtrail_reader']) as r
     where c.relnamespace in ('public'::regnamespace, 'drizzle'::regnamespace) and a.attnum > 0 and a.attacl is not null
       and has_column_privilege(r, c.oid, a.attnum, 'UPDATE') and not has_table_privilege(r, c.oid, 'UPDATE')`,
  );
  expect(columns).toEqual([]);
  const { rows: functions } = await pool.query<{ role: string; function: string }>(
    `select r as role, p.proname as function
     from pg_proc p, unnest(array['orgtrail_ingest', 'orgtrail_reader']) as r
     where p.pronamespace = 'public'::regnamespace and has_function_privilege(r, p.oid, 'EXECUTE') and p.provolatile <> 'i'
     order by 2`,
  );
  const callable = (role: string) => functions.flatMap((each) => (each.role === role ? [each.function] : []));
  expect(callable('orgtrail_ingest'), 'but for what only computes').toEqual(ingestFunctions);
  // It reads as the account that calls it.
  expect(callable('orgtrail_reader')).toEqual(['orgtrail_history_of']);
  const { rows: builds } = await pool.query<{ function: string }>(
    `select p.proname as function from pg_proc p where p.pronamespace = 'public'::regnamespace
       and has_function_privilege('orgtrail_evidence', p.oid, 'EXECUTE') and p.provolatile <> 'i' order by 1`,
  );
  expect(builds.map((row) => row.function)).toEqual(evidenceFunctions);
  const { rows: schemas } = await pool.query(
    `select r as role from unnest(array['orgtrail_ingest', 'orgtrail_reader']) as r
     where has_schema_privilege(r, 'public', 'CREATE') or has_schema_privilege(r, 'drizzle', 'CREATE')`,
  );
  expect(schemas).toEqual([]);
};

const withRoles = () => migrateDatabase(database.pool, { roles: true });
