import type { Pool, PoolClient } from 'pg';
import { OrgtrailError } from '../../errors.ts';
import { sqlState } from '../sql-state.ts';

/**
 * What `run`, `sync` and `backfill` do with each table, and no more. Events, coverage, lanes, positions and sinks are written by
 * functions alone, which refuse what cannot be (docs/decisions/0029).
 */
const ingestMay: Readonly<Record<string, string>> = {
  organizations: 'select, insert, update',
  organization_changes: 'select, insert',
  accounts: 'select, insert, update',
  account_listings: 'select, insert, update',
  account_organizations: 'select, insert, update',
  account_changes: 'select, insert',
  // Triggers refuse what would hide that nothing is collected.
  sources: 'select, insert, update',
  coverage: 'select',
  lanes: 'select',
  coverage_holes: 'select',
  coverage_readings: 'select',
  walks: 'select',
  audit_events: 'select',
  audit_event_changes: 'select',
  feed_head: 'select',
  api_budget: 'select, insert, update',
  discovery: 'select, update',
  // An attacker who holds the collector's account must not be able to silence the detection of its misuse.
  collector_tokens: 'select',
  // An attacker who holds the collector's account must neither release a hold nor shorten the retention.
  holds: 'select',
  retention_policy: 'select',
  retention_drops: 'select',
  // Written by functions alone, which compare with what is stored.
  archive_policy: 'select',
  archive_objects: 'select',
  // Written by the trigger of feed_head, with its owner's rights.
  position_jumps: 'select',
  // Written by functions alone, which only orgtrail_evidence may call: a stolen account of a collector can write no leaf.
  evidence_logs: 'select',
  evidence_anchors: 'select',
  evidence_coverage: 'select',
  // Written by orgtrail_note_detections alone.
  findings: 'select',
  finding_head: 'select',
  // Written by orgtrail_mute_detection and orgtrail_unmute_detection alone, which keep every row.
  detection_mutes: 'select',
  // Written by orgtrail_note_verification and orgtrail_note_scrub alone, which keep a bounded number of rows.
  checks: 'select',
  // Written by orgtrail_note_alarms and orgtrail_finish_alarms alone.
  alarms: 'select',
  alarm_changes: 'select',
  alarm_cursors: 'select',
  sinks: 'select',
  sink_dead_letters: 'select',
  // An attacker who holds the collector's account must neither create a token nor restore one.
  access_tokens: 'select',
  console_sessions: 'select, insert, delete',
  // Written by orgtrail_prove_session alone, and read by functions: a session that a stolen account makes proves nothing.
  console_session_proofs: '',
  // Written by functions alone, which bound how many there are.
  saved_searches: 'select',
  // Written by orgtrail_note_access, which adds and changes nothing: the trail of access is evidence. Read by orgtrail_read_access_log for a proven session.
  access_log: '',
  'drizzle.__drizzle_migrations': 'select',
};

/** Of these, both roles may select. */
const views = [
  'audit_feed',
  'audit_history',
  'coverage_gaps',
  'coverage_proof',
  'sync_status',
  'audit_event_traits',
  'detections',
  'detection_api_token_changed',
  'detection_member_added',
  'detection_super_administrator_added',
  'detection_sso_or_mfa_changed',
  'detection_delete_burst',
  'detection_failure_burst',
  'detection_cloudflare_staff',
  'detection_collector_token',
  'detection_api_token_wide_scope',
  'detection_dns_records_deleted',
  'detection_protection_removed',
  'detection_sign_in_from_new_network',
  'detection_sign_in_without_sso',
  'detection_worker_secret_or_route_changed',
];
/** Each name is that of one function, of the owner and with the owner's rights. */
const ingestCalls = [
  'orgtrail_create_partitions',
  'orgtrail_drop_month',
  // Of earlier versions, whose replicas may be at work beside this one.
  'orgtrail_commit_page',
  'orgtrail_commit_walk_page',
  'orgtrail_commit_source_page',
  'orgtrail_commit_page_2',
  'orgtrail_claim_source',
  'orgtrail_take_request',
  'orgtrail_take_requests',
  'orgtrail_fail_lane',
  'orgtrail_end_rests',
  'orgtrail_trim_coverage',
  'orgtrail_check_timeline',
  'orgtrail_note_alive',
  'orgtrail_register_sinks',
  'orgtrail_claim_sink',
  'orgtrail_renew_sink',
  'orgtrail_begin_delivery',
  'orgtrail_finish_delivery',
  'orgtrail_skip_events',
  'orgtrail_fail_delivery',
  'orgtrail_note_sink_failure',
  'orgtrail_release_sink',
  'orgtrail_release_sinks_of',
  'orgtrail_register_sinks_with_ages',
  'orgtrail_skip_old_events',
  'orgtrail_finish_delivery_and_skip',
  'orgtrail_want_detections',
  'orgtrail_note_detections',
  'orgtrail_mute_detection',
  'orgtrail_unmute_detection',
  'orgtrail_note_verification',
  'orgtrail_note_scrub',
  'orgtrail_register_alarm_sinks',
  'orgtrail_note_alarms',
  'orgtrail_finish_alarms',
  'orgtrail_note_access',
  'orgtrail_prove_session',
  'orgtrail_access_log_shown',
  'orgtrail_read_access_log',
  'orgtrail_token_use',
  'orgtrail_session_replays',
  'orgtrail_replay_sink',
  'orgtrail_save_search',
  'orgtrail_rename_search',
  'orgtrail_delete_search',
  'orgtrail_use_archive',
  'orgtrail_archive_facts',
  'orgtrail_note_archived',
  'orgtrail_note_archive_read',
  'orgtrail_note_archive_blocks',
  'orgtrail_forget_archive_reads',
].join(', ');
/** What only those call; earlier versions gave it to the role. */
const internalFunctions = [
  'orgtrail_may_know_any',
  'orgtrail_has_stored',
  'orgtrail_add_counts',
  'orgtrail_note_reading',
  'orgtrail_note_reads',
  'orgtrail_bounded_instant',
  'orgtrail_timeline',
  'orgtrail_wait_for_disk',
  'orgtrail_archived',
  'orgtrail_archive_obstacle',
  'orgtrail_archive_difference',
].join(', ');
const roles = ['orgtrail_ingest', 'orgtrail_reader'] as const;

/** The account that builds the evidence is a member of it, beside orgtrail_ingest if the daemon builds. */
const EVIDENCE_ROLE = 'orgtrail_evidence';
/** What readers may read as well, so that they can verify. */
const evidenceTables = [
  'evidence_tiles',
  'evidence_checkpoints',
  'evidence_journal',
  'evidence_sources',
  'evidence_asked',
  'evidence_key_orders',
  'evidence_reads',
];
/** With a key, the hash of an event can be tested against guesses after the event is dropped. */
const SALTS = 'evidence_month_keys';
/** What the builder hashes and states. */
const evidenceReads = [
  'audit_events',
  'audit_event_changes',
  'feed_head',
  'holds',
  'retention_drops',
  'retention_policy',
  'archive_objects',
  'position_jumps',
  'sources',
  'coverage',
  'coverage_holes',
  'coverage_readings',
  'discovery',
  'evidence_logs',
  'evidence_anchors',
  'evidence_coverage',
  ...evidenceTables,
  SALTS,
  'drizzle.__drizzle_migrations',
].join(', ');
const evidenceCalls = [
  'orgtrail_open_evidence',
  'orgtrail_claim_evidence',
  'orgtrail_renew_evidence',
  'orgtrail_release_evidence',
  'orgtrail_release_evidence_of',
  'orgtrail_grow_evidence',
  'orgtrail_note_checkpoint',
  'orgtrail_note_evidence',
  'orgtrail_note_evidence_settings',
  'orgtrail_continue_evidence',
  'orgtrail_thin_checkpoints',
  'orgtrail_thin_reads',
  'orgtrail_read_text',
  'orgtrail_instant_text',
  'orgtrail_note_anchor',
  'orgtrail_is_evidence_here',
  'orgtrail_ask_coverage',
  'orgtrail_schema_version',
].join(', ');

/**
 * Makes the roles if they are missing (they belong to the whole server, not to this database; that of the evidence only if `isAsked`) and gives them exactly the
 * rights above here; what else the owner once gave them is taken back. Partitions need no rights of their own: they are
 * reached through their parent. Within the caller's transaction; called by `migrate --roles` and after every migration of
 * a database that has used them. Throws OrgtrailError `configuration` if the account may not.
 */
export const grantRoles = async (client: PoolClient, { isAsked }: { readonly isAsked: boolean }): Promise<void> => {
  await requireOwner(client);
  for (const role of roles) await createRole(client, role);
  if (isAsked) await createEvidenceRole(client);
  await refuseOtherMakers(client);
  const both = roles.join(', ');
  await grantUsage(client);
  await client.query(`revoke all on all tables in schema drizzle from ${both}`);
  await client.query(`revoke all on ${Object.keys(ingestMay).concat(views).join(', ')} from ${both}`);
  await client.query(`revoke all on function ${ingestCalls}, ${internalFunctions} from ${both}`);
  for (const [table, rights] of Object.entries(ingestMay)) {
    if (rights !== '') await client.query(`grant ${rights} on ${table} to orgtrail_ingest`);
  }
  await client.query(`grant select on ${Object.keys(ingestMay).join(', ')} to orgtrail_reader`);
  await client.query(`grant select on ${views.join(', ')} to ${both}`);
  await client.query(`grant execute on function ${ingestCalls} to orgtrail_ingest`);
  await grantEvidence(client);
};

/** A migration by an account that may make no roles goes on without this one: evidence is an option. */
const grantEvidence = async (client: PoolClient): Promise<void> => {
  const everything = `${Object.keys(ingestMay).concat(views, evidenceTables).join(', ')}, ${SALTS}`;
  const both = roles.join(', ');
  await client.query(`revoke all on ${evidenceTables.join(', ')}, ${SALTS} from ${both}`);
  await client.query(`revoke all on function ${evidenceCalls} from ${both}`);
  await client.query(`grant select on ${evidenceTables.join(', ')} to orgtrail_reader`);
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [EVIDENCE_ROLE]);
  if (rowCount === 0) return;
  await client.query(`revoke all on ${everything} from ${EVIDENCE_ROLE}`);
  await client.query(`revoke all on function ${ingestCalls}, ${internalFunctions} from ${EVIDENCE_ROLE}`);
  await grantUsage(client, [EVIDENCE_ROLE]);
  await client.query(`grant select on ${evidenceReads} to ${EVIDENCE_ROLE}`);
  await client.query(`grant execute on function ${evidenceCalls} to ${EVIDENCE_ROLE}`);
};

/** True if `grantRoles` has been here before. */
export const areRolesInUse = async (client: PoolClient): Promise<boolean> => {
  const { rows } = await client.query<{ used: boolean | null }>(
    "select has_schema_privilege(to_regrole('orgtrail_ingest')::oid, 'drizzle', 'usage') as used",
  );
  return rows[0]?.used === true;
};

/** PostgreSQL only warns of a grant by an account that does not own the table but has rights of its own. */
const requireOwner = async (client: PoolClient): Promise<void> => {
  const { rows } = await client.query<{ account: string; owner: string }>(
    `select current_user as account, pg_get_userbyid(relowner) as owner from pg_class
     where oid = any($1::regclass[]) and not pg_has_role(current_user, relowner, 'usage') limit 1`,
    [Object.keys(ingestMay)],
  );
  const row = rows[0];
  if (row === undefined) return;
  throw new OrgtrailError(
    'configuration',
    `the schema belongs to ${row.owner}: ${row.account} may not grant rights on it`,
    {
      hint: `run \`orgtrail migrate --roles\` as ${row.owner}`,
    },
  );
};

const createRole = async (client: PoolClient, role: string): Promise<void> => {
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [role]);
  if (rowCount === 1) return;
  try {
    // Another database of the server may be making them at this moment.
    await client.query(
      `do $$ begin create role ${role} nologin; exception when duplicate_object or unique_violation then null; end $$`,
    );
  } catch (error) {
    if (sqlState(error) !== '42501') throw error;
    throw new OrgtrailError('configuration', `this account may not create the role ${role}`, {
      hint: `let one that may run \`${[...roles, EVIDENCE_ROLE].map((name) => `create role ${name};`).join(' ')}\`, then run this again`,
      cause: error,
    });
  }
};

/** An account that may make no roles goes on without it: the others may have been made for it before there was this one. */
const createEvidenceRole = async (client: PoolClient): Promise<void> => {
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [EVIDENCE_ROLE]);
  if (rowCount === 1) return;
  await client.query(
    `do $$ begin create role ${EVIDENCE_ROLE} nologin;
     exception when duplicate_object or unique_violation or insufficient_privilege then null; end $$`,
  );
};

/** A schema of orgtrail in which another account may make objects, and the account. */
interface OpenSchema {
  readonly schema: string;
  readonly role: string;
}

/**
 * The schemas in which every account, or one of the roles, may create objects: theirs could be taken for PostgreSQL's own by functions that run with
 * the rights of the owner. A database from before PostgreSQL 15 lets every account. Called by `check` as well.
 */
export const readOpenSchemas = async (client: Pool | PoolClient): Promise<readonly OpenSchema[]> => {
  const { rows } = await client.query<OpenSchema>(
    `select distinct nspname as schema, coalesce(r.rolname, 'public') as role
     from pg_namespace n cross join lateral aclexplode(n.nspacl) a left join pg_roles r on r.oid = a.grantee
     where nspname in (current_schema(), 'drizzle') and a.privilege_type = 'CREATE'
       and (a.grantee = 0 or r.rolname = any($1)) order by 1, 2`,
    [[...roles, EVIDENCE_ROLE]],
  );
  return rows;
};

/** What to run, as the owner of the schema, so that no other account makes objects in it. */
export const closeSchemas = (open: readonly OpenSchema[]): string =>
  open.map(({ schema, role }) => `revoke create on schema "${schema}" from ${role};`).join(' ');

const refuseOtherMakers = async (client: PoolClient): Promise<void> => {
  const open = await readOpenSchemas(client);
  if (open.length === 0) return;
  throw new OrgtrailError('configuration', describeOpen(open), {
    hint: `run \`${closeSchemas(open)}\`, then this again`,
  });
};

/** For people: who may do what they must not. */
export const describeOpen = (open: readonly OpenSchema[]): string =>
  open
    .map(
      ({ schema, role }) => `${role === 'public' ? 'every account' : role} may create objects in the schema ${schema}`,
    )
    .join('; ');

/** Every account usually has USAGE on schema public already, and its owner need not be that of the tables. */
const grantUsage = async (client: PoolClient, to: readonly string[] = roles): Promise<void> => {
  const { rows } = await client.query<{ schema: string; role: string }>(
    `select quote_ident(schema) as schema, role
     from unnest(array[current_schema(), 'drizzle']) as schema, unnest($1::text[]) as role
     where not has_schema_privilege(role, schema, 'usage')`,
    [to],
  );
  for (const { schema, role } of rows) await client.query(`grant usage on schema ${schema} to ${role}`);
};
