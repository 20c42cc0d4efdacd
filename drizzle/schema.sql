-- What the migrations of drizzle/ add up to. Generated: do not edit.
-- npm run schema:update writes it from the catalog of a migrated PostgreSQL 18; a test compares it.

create table access_log (
  id bigint not null generated always as identity,
  at timestamp with time zone not null default clock_timestamp(),
  kind text not null,
  outcome text not null,
  who text,
  account text not null default SESSION_USER,
  address text,
  route text,
  status integer,
  what jsonb not null,
  events bigint,
  requests bigint not null
);

create table access_tokens (
  id bigint not null generated always as identity,
  name text collate "C" not null,
  hash bytea not null,
  scopes text[] not null,
  expires_at timestamp with time zone,
  created_at timestamp with time zone not null default clock_timestamp(),
  created_as text not null default SESSION_USER,
  revoked_at timestamp with time zone,
  revoked_as text,
  access_log_proof bytea,
  sees_access_log boolean not null default false,
  replays_sinks boolean not null default false
);

create table account_changes (
  id bigint not null generated always as identity,
  account_id text collate "C" not null,
  change text not null,
  old_value text,
  new_value text,
  changed_at timestamp with time zone not null default clock_timestamp()
);

create table account_listings (
  scope text collate "C" not null,
  credential text,
  next_at timestamp with time zone,
  last_attempt_at timestamp with time zone,
  last_success_at timestamp with time zone,
  last_failure text,
  last_error text,
  accounts integer,
  lease_owner text,
  lease_until timestamp with time zone,
  walk_began_at timestamp with time zone,
  walk_page text,
  short_since timestamp with time zone
);

create table account_organizations (
  account_id text collate "C" not null,
  scope text collate "C" not null,
  organization_id text collate "C",
  missed integer not null default 0,
  last_listed_at timestamp with time zone not null default clock_timestamp()
);

create table accounts (
  id text collate "C" not null,
  name text,
  type text,
  organization_id text collate "C",
  create_time timestamp with time zone,
  settings jsonb,
  state text not null default 'active'::text,
  named_by_hand boolean not null default false,
  first_seen_at timestamp with time zone not null default clock_timestamp(),
  last_seen_at timestamp with time zone not null default clock_timestamp(),
  left_at timestamp with time zone
);

create table alarm_changes (
  number bigint not null generated always as identity,
  alarm text not null,
  opened bigint,
  state text not null,
  severity text not null,
  summary text not null,
  changed_at timestamp with time zone not null default clock_timestamp()
);

create table alarm_cursors (
  sink text collate "C" not null,
  number bigint not null,
  noted_at timestamp with time zone
);

create table alarms (
  alarm text collate "C" not null,
  severity text not null,
  summary text not null,
  seen_since timestamp with time zone not null default clock_timestamp(),
  opened bigint
);

create table api_budget (
  credential text not null,
  next_free_at timestamp with time zone not null default '-infinity'::timestamp with time zone,
  blocked_until timestamp with time zone not null default '-infinity'::timestamp with time zone,
  blocked_because text
);

create table archive_objects (
  id bigint not null generated always as identity,
  archive text not null,
  key text not null,
  kind text not null,
  month date not null,
  feed_id uuid not null,
  first_position bigint not null,
  last_position bigint not null,
  events bigint not null,
  bytes bigint not null,
  sha256 text not null,
  ids_sha256 text not null,
  raw_sha256 text not null,
  columns_sha256 text not null,
  organizations jsonb not null,
  version_id text,
  locked_until timestamp with time zone,
  written_at timestamp with time zone not null default clock_timestamp(),
  written_as text not null default SESSION_USER,
  verified_at timestamp with time zone not null default clock_timestamp(),
  fault text,
  superseded_at timestamp with time zone,
  dropped_at timestamp with time zone,
  blocks_sha256 bytea
);

create table archive_policy (
  only_row boolean not null default true,
  archive text not null,
  set_at timestamp with time zone not null default clock_timestamp(),
  set_as text not null default SESSION_USER
);

create table audit_event_changes (
  id bigint not null generated always as identity,
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  event_id text collate "C" not null,
  "position" bigint not null,
  raw json not null,
  raw_sha256 text not null,
  seen_at timestamp with time zone not null default clock_timestamp()
);

create table audit_events (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  organization_id text collate "C",
  id text collate "C" not null,
  "position" bigint not null,
  action_time timestamp with time zone not null,
  received_at timestamp with time zone not null default clock_timestamp(),
  action_type text,
  action_result text,
  action_description text,
  actor_id text,
  actor_type text,
  actor_context text,
  actor_email text,
  actor_ip_address text,
  actor_token_id text,
  actor_token_name text,
  raw_cf_ray_id text,
  raw_method text,
  raw_status_code integer,
  raw_uri text,
  raw_user_agent text,
  resource_id text,
  resource_product text,
  resource_type text,
  resource_scope text,
  raw json not null,
  defects text[],
  account_id text collate "C",
  account_name text,
  zone_id text collate "C",
  zone_name text
) partition by RANGE (action_time);

create table checks (
  id bigint not null generated always as identity,
  kind text not null,
  source_kind text,
  source_id text,
  filter_hash text,
  round integer,
  since timestamp with time zone not null,
  before timestamp with time zone not null,
  began_at timestamp with time zone not null,
  last_read_at timestamp with time zone not null default clock_timestamp(),
  ended_at timestamp with time zone,
  read_seconds double precision not null default 0,
  sources integer not null default 1,
  compared bigint not null default 0,
  missing bigint not null default 0,
  extra bigint not null default 0,
  changed bigint not null default 0,
  fixed_missing bigint not null default 0,
  fixed_changed bigint not null default 0,
  failed integer not null default 0,
  fixes boolean not null,
  findings jsonb not null default '[]'::jsonb,
  done_by text,
  done_as text not null default SESSION_USER
);

create table collector_tokens (
  token_id text not null,
  note text,
  added_at timestamp with time zone not null default clock_timestamp()
);

create table console_session_proofs (
  key bytea not null,
  token_id bigint not null,
  proof bytea not null
);

create table console_sessions (
  key bytea not null,
  token_id bigint,
  created_at timestamp with time zone not null default clock_timestamp(),
  expires_at timestamp with time zone not null
);

create table coverage (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  pass integer not null,
  ranges tstzmultirange not null default '{}'::tstzmultirange,
  proven tstzmultirange not null default '{}'::tstzmultirange,
  read_before tstzmultirange not null default '{}'::tstzmultirange,
  noted tstzmultirange not null default '{}'::tstzmultirange,
  noted_at timestamp with time zone,
  read_again tstzmultirange not null default '{}'::tstzmultirange
);

create table coverage_holes (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  pass integer not null,
  since timestamp with time zone not null,
  before timestamp with time zone not null,
  reason text not null,
  message text not null,
  attempts integer not null default 1,
  found_at timestamp with time zone not null default clock_timestamp(),
  last_attempt_at timestamp with time zone not null default clock_timestamp(),
  next_attempt_at timestamp with time zone not null
);

create table coverage_readings (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  since timestamp with time zone not null,
  before timestamp with time zone not null,
  method text not null,
  number integer not null,
  direction text not null,
  found bigint not null,
  read_from timestamp with time zone not null,
  read_to timestamp with time zone not null
);

create table detection_mutes (
  id bigint not null generated always as identity,
  detection text not null,
  actor text,
  reason text not null,
  muted_until timestamp with time zone,
  created_by text not null,
  created_as text not null default SESSION_USER,
  created_at timestamp with time zone not null default clock_timestamp(),
  ended_by text,
  ended_as text,
  ended_at timestamp with time zone
);

create table discovery (
  only_row boolean not null default true,
  last_attempt_at timestamp with time zone,
  last_success_at timestamp with time zone,
  last_error text,
  organizations integer,
  lease_owner text,
  lease_until timestamp with time zone,
  server_time timestamp with time zone,
  short_since timestamp with time zone
);

create table evidence_anchors (
  log text collate "C" not null,
  generation integer not null,
  anchor text collate "C" not null,
  size bigint not null,
  at timestamp with time zone,
  receipt bytea,
  tiles_size bigint not null default 0,
  error text,
  failed_at timestamp with time zone
);

create table evidence_asked (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  asked_at timestamp with time zone not null
);

create table evidence_checkpoints (
  log text collate "C" not null,
  generation integer not null,
  size bigint not null,
  root bytea not null,
  note text not null,
  made_at timestamp with time zone not null default clock_timestamp()
);

create table evidence_coverage (
  generation integer not null,
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  index bigint not null,
  wanted_since timestamp with time zone,
  stated_at timestamp with time zone not null,
  reads_count bigint,
  reads_after bigint
);

create table evidence_journal (
  generation integer not null,
  index bigint not null,
  kind text collate "C" not null,
  ref text collate "C" not null,
  text text not null,
  at timestamp with time zone not null default clock_timestamp()
);

create table evidence_key_orders (
  id bigint not null generated always as identity,
  generation integer not null,
  reason text collate "C" not null,
  new_vkeys text[] not null,
  both_for interval not null,
  ordered_by text not null,
  ordered_as text not null default SESSION_USER,
  ordered_at timestamp with time zone not null default clock_timestamp(),
  stated_at timestamp with time zone
);

create table evidence_logs (
  name text collate "C" not null,
  generation integer not null,
  origin text not null,
  size bigint not null default 0,
  root bytea not null,
  lease_owner text,
  lease_epoch bigint not null default 0,
  lease_until timestamp with time zone,
  state text not null default 'building'::text,
  state_reason text,
  adopted_size bigint not null default 0,
  timeline text,
  signed_size bigint,
  signed_at timestamp with time zone,
  schema_version text,
  ended_at timestamp with time zone,
  ended_by text,
  ended_reason text,
  anchors text[],
  statements_every interval,
  key_ordered text,
  old_key_until timestamp with time zone
);

create table evidence_month_keys (
  month text collate "C" not null,
  key bytea not null
);

create table evidence_reads (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  number bigint not null,
  read_at timestamp with time zone not null,
  lane text not null,
  filter_hash text not null,
  since timestamp with time zone not null,
  before timestamp with time zone not null,
  pages integer not null,
  entries bigint not null,
  answers integer not null,
  first_date timestamp with time zone,
  first_cf_ray text,
  last_date timestamp with time zone,
  last_cf_ray text,
  bodies_sha256 bytea not null,
  sha256 bytea not null
);

create table evidence_sources (
  generation integer not null,
  number integer not null,
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  events bigint not null,
  chain bytea not null
);

create table evidence_tiles (
  log text collate "C" not null,
  generation integer not null,
  level smallint not null,
  n bigint not null,
  hashes bytea not null,
  sources bytea
);

create table feed_head (
  only_row boolean not null default true,
  feed_id uuid not null default gen_random_uuid(),
  "position" bigint not null default 0,
  timeline text,
  timeline_since timestamp with time zone,
  alive_at timestamp with time zone,
  paced_until timestamp with time zone,
  database_oid bigint
);

create table finding_head (
  only_row boolean not null default true,
  "position" bigint not null,
  began_at bigint not null,
  noted_at timestamp with time zone not null default clock_timestamp()
);

create table findings (
  detection text not null,
  source_kind text not null,
  source_id text not null,
  id text not null,
  "position" bigint not null,
  event_position bigint not null,
  severity text not null,
  action_time timestamp with time zone not null,
  received_at timestamp with time zone not null,
  organization_id text,
  organization_name text,
  account_id text,
  account_name text,
  zone_id text,
  zone_name text,
  actor text not null,
  actor_ip_address text,
  action_type text,
  action_result text,
  resource_type text,
  resource_id text,
  events integer not null,
  first_time timestamp with time zone not null,
  summary text not null,
  noted_at timestamp with time zone not null default clock_timestamp(),
  copies_of_position bigint
);

create table holds (
  id bigint not null generated always as identity,
  organization_id text collate "C",
  since timestamp with time zone not null default '-infinity'::timestamp with time zone,
  before timestamp with time zone not null default 'infinity'::timestamp with time zone,
  reason text not null,
  created_by text,
  created_as text not null default SESSION_USER,
  created_at timestamp with time zone not null default clock_timestamp(),
  released_by text,
  released_as text,
  released_at timestamp with time zone,
  account_id text collate "C"
);

create table lanes (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  lane text not null,
  state jsonb not null,
  failures integer not null default 0,
  next_attempt_at timestamp with time zone,
  last_attempt_at timestamp with time zone not null default clock_timestamp(),
  last_success_at timestamp with time zone,
  last_failure text,
  last_error text,
  found jsonb not null default '{}'::jsonb
);

create table organization_changes (
  id bigint not null generated always as identity,
  organization_id text collate "C" not null,
  change text not null,
  old_value text,
  new_value text,
  changed_at timestamp with time zone not null default clock_timestamp()
);

create table organizations (
  id text collate "C" not null,
  name text,
  parent_id text collate "C",
  managed_by text,
  create_time timestamp with time zone,
  meta jsonb,
  profile jsonb,
  profile_read_at timestamp with time zone,
  listed_under text collate "C",
  children_listed_at timestamp with time zone,
  state text not null default 'active'::text,
  missed_listings integer not null default 0,
  first_seen_at timestamp with time zone not null default clock_timestamp(),
  last_seen_at timestamp with time zone not null default clock_timestamp(),
  log_asked_at timestamp with time zone,
  log_open_at_misses integer,
  listed_by text collate "C",
  left_at timestamp with time zone
);

create table position_jumps (
  id bigint not null,
  from_position bigint not null,
  to_position bigint not null,
  old_timeline text not null,
  new_timeline text not null,
  found_at timestamp with time zone not null default clock_timestamp()
);

create table retention_drops (
  id bigint not null generated always as identity,
  partition text not null,
  month date not null,
  events bigint not null,
  changes bigint not null,
  first_position bigint,
  last_position bigint,
  bytes bigint not null,
  ids_sha256 text,
  retention interval not null,
  dropped_at timestamp with time zone not null default clock_timestamp(),
  dropped_as text not null default SESSION_USER,
  positions int8multirange
);

create table retention_policy (
  only_row boolean not null default true,
  shortest interval not null,
  set_at timestamp with time zone not null default clock_timestamp()
);

create table retention_waits (
  id bigint not null generated always as identity,
  reason text not null,
  since timestamp with time zone not null default clock_timestamp(),
  ends_at timestamp with time zone not null default (clock_timestamp() + '1 day'::interval),
  confirmed_at timestamp with time zone,
  confirmed_by text,
  confirmed_as text
);

create table saved_searches (
  id bigint not null generated always as identity,
  name text collate "C" not null,
  search text not null,
  saved_by text,
  saved_as text not null default SESSION_USER,
  saved_at timestamp with time zone not null default clock_timestamp(),
  renamed_by text,
  renamed_at timestamp with time zone
);

create table sink_dead_letters (
  sink text collate "C" not null,
  "position" bigint not null,
  reason text not null,
  refused_at timestamp with time zone not null default clock_timestamp()
);

create table sinks (
  name text collate "C" not null,
  kind text not null,
  target text not null,
  "position" bigint not null,
  batch_until bigint,
  lease_owner text,
  lease_epoch bigint not null default 0,
  lease_until timestamp with time zone,
  failures integer not null default 0,
  refused_in_row integer not null default 0,
  next_attempt_at timestamp with time zone,
  delivered bigint not null default 0,
  last_attempt_at timestamp with time zone,
  last_success_at timestamp with time zone,
  last_error text,
  created_at timestamp with time zone not null default clock_timestamp(),
  skipped bigint not null default 0,
  max_age_seconds bigint
);

create table sources (
  kind text collate "C" not null,
  id text collate "C" not null,
  organization_id text collate "C",
  filter_hash text not null,
  wanted_since timestamp with time zone not null,
  lease_owner text,
  lease_epoch bigint not null default 0,
  lease_until timestamp with time zone,
  commit_seq bigint not null default 0,
  failures integer not null default 0,
  next_attempt_at timestamp with time zone,
  last_attempt_at timestamp with time zone,
  last_success_at timestamp with time zone,
  last_event_at timestamp with time zone,
  last_failure text,
  last_error text,
  event_rate double precision,
  recent_event_rate double precision,
  largest_page integer not null default 0,
  wanted_history interval,
  account_id text collate "C",
  access text not null default 'granted'::text,
  refused_since timestamp with time zone,
  credential text,
  reader text collate "C"
);

create table walks (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  lane text not null,
  filter_hash text not null,
  since timestamp with time zone not null,
  before timestamp with time zone not null,
  started_at timestamp with time zone not null,
  cursor text,
  seq bigint not null default 0,
  pages integer not null,
  empty_pages integer not null,
  entries bigint not null,
  last_time timestamp with time zone,
  in_order boolean not null,
  page_limit integer not null,
  stalls integer not null,
  stalled_entries bigint not null,
  lookback_ms integer not null
);

create table audit_events_default partition of audit_events DEFAULT;

alter table access_log add constraint access_log_pkey PRIMARY KEY (id);
alter table access_tokens add constraint access_tokens_access_log_proof_check CHECK ((octet_length(access_log_proof) = 32));
alter table access_tokens add constraint access_tokens_hash_check CHECK ((octet_length(hash) = 32));
alter table access_tokens add constraint access_tokens_hash_key UNIQUE (hash);
alter table access_tokens add constraint access_tokens_pkey PRIMARY KEY (id);
alter table access_tokens add constraint access_tokens_scopes_check CHECK (((cardinality(scopes) > 0) AND (scopes <@ ARRAY['feed'::text, 'search'::text, 'metrics'::text])));
alter table account_changes add constraint account_changes_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id);
alter table account_changes add constraint account_changes_change_check CHECK ((change = ANY (ARRAY['appeared'::text, 'gone'::text, 'refused'::text, 'restored'::text, 'renamed'::text, 'moved'::text, 'left'::text])));
alter table account_changes add constraint account_changes_pkey PRIMARY KEY (id);
alter table account_listings add constraint account_listings_pkey PRIMARY KEY (scope);
alter table account_organizations add constraint account_organizations_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id);
alter table account_organizations add constraint account_organizations_pkey PRIMARY KEY (account_id, scope);
alter table account_organizations add constraint account_organizations_scope_fkey FOREIGN KEY (scope) REFERENCES account_listings(scope);
alter table accounts add constraint accounts_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations(id);
alter table accounts add constraint accounts_pkey PRIMARY KEY (id);
alter table accounts add constraint accounts_state_check CHECK ((state = ANY (ARRAY['active'::text, 'gone'::text])));
alter table alarm_changes add constraint alarm_changes_pkey PRIMARY KEY (number);
alter table alarm_changes add constraint alarm_changes_state_check CHECK ((state = ANY (ARRAY['open'::text, 'resolved'::text])));
alter table alarm_cursors add constraint alarm_cursors_pkey PRIMARY KEY (sink);
alter table alarm_cursors add constraint alarm_cursors_sink_fkey FOREIGN KEY (sink) REFERENCES sinks(name) ON DELETE CASCADE;
alter table alarms add constraint alarms_pkey PRIMARY KEY (alarm);
alter table api_budget add constraint api_budget_pkey PRIMARY KEY (credential);
alter table archive_objects add constraint archive_objects_bytes_check CHECK ((bytes > 0));
alter table archive_objects add constraint archive_objects_check CHECK ((last_position >= first_position));
alter table archive_objects add constraint archive_objects_events_check CHECK ((events > 0));
alter table archive_objects add constraint archive_objects_kind_check CHECK ((kind = ANY (ARRAY['events'::text, 'changes'::text])));
alter table archive_objects add constraint archive_objects_pkey PRIMARY KEY (id);
alter table archive_objects add constraint archive_objects_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text));
alter table archive_policy add constraint archive_policy_archive_check CHECK ((archive <> ''::text));
alter table archive_policy add constraint archive_policy_only_row_check CHECK (only_row);
alter table archive_policy add constraint archive_policy_pkey PRIMARY KEY (only_row);
alter table audit_event_changes add constraint audit_event_changes_pkey PRIMARY KEY (id);
alter table audit_event_changes add constraint audit_event_changes_source_kind_source_id_event_id_raw_sha2_key UNIQUE (source_kind, source_id, event_id, raw_sha256);
alter table audit_events add constraint audit_events_position_from_1 CHECK (("position" > 0)) NOT VALID;
alter table audit_events_default add constraint audit_events_position_from_1 CHECK (("position" > 0)) NOT VALID;
alter table checks add constraint checks_kind CHECK ((kind = ANY (ARRAY['verify'::text, 'scrub'::text])));
alter table checks add constraint checks_pkey PRIMARY KEY (id);
alter table collector_tokens add constraint collector_tokens_pkey PRIMARY KEY (token_id);
alter table console_session_proofs add constraint console_session_proofs_key_fkey FOREIGN KEY (key) REFERENCES console_sessions(key) ON DELETE CASCADE;
alter table console_session_proofs add constraint console_session_proofs_pkey PRIMARY KEY (key);
alter table console_session_proofs add constraint console_session_proofs_proof_check CHECK ((octet_length(proof) = 32));
alter table console_session_proofs add constraint console_session_proofs_proof_key UNIQUE (proof);
alter table console_session_proofs add constraint console_session_proofs_token_id_fkey FOREIGN KEY (token_id) REFERENCES access_tokens(id);
alter table console_sessions add constraint console_sessions_key_check CHECK ((octet_length(key) = 32));
alter table console_sessions add constraint console_sessions_pkey PRIMARY KEY (key);
alter table console_sessions add constraint console_sessions_token_id_fkey FOREIGN KEY (token_id) REFERENCES access_tokens(id);
alter table coverage add constraint coverage_pass_check CHECK ((pass >= 0));
alter table coverage add constraint coverage_pkey PRIMARY KEY (source_kind, source_id, filter_hash, pass);
alter table coverage add constraint coverage_source_kind_source_id_fkey FOREIGN KEY (source_kind, source_id) REFERENCES sources(kind, id);
alter table coverage_holes add constraint coverage_holes_pass_check CHECK ((pass >= 0));
alter table coverage_holes add constraint coverage_holes_pkey PRIMARY KEY (source_kind, source_id, filter_hash, pass, since);
alter table coverage_holes add constraint coverage_holes_source_kind_source_id_fkey FOREIGN KEY (source_kind, source_id) REFERENCES sources(kind, id);
alter table coverage_readings add constraint coverage_readings_check CHECK ((before > since));
alter table coverage_readings add constraint coverage_readings_direction_check CHECK ((direction = ANY (ARRAY['asc'::text, 'desc'::text])));
alter table coverage_readings add constraint coverage_readings_method_check CHECK ((method = ANY (ARRAY['first reading'::text, 'pass'::text, 'scrub'::text])));
alter table coverage_readings add constraint coverage_readings_number_check CHECK ((number >= 0));
alter table coverage_readings add constraint coverage_readings_pkey PRIMARY KEY (source_kind, source_id, filter_hash, since);
alter table detection_mutes add constraint detection_mutes_pkey PRIMARY KEY (id);
alter table discovery add constraint discovery_only_row_check CHECK (only_row);
alter table discovery add constraint discovery_pkey PRIMARY KEY (only_row);
alter table evidence_anchors add constraint evidence_anchors_log_check CHECK ((log = ANY (ARRAY['events'::text, 'journal'::text])));
alter table evidence_anchors add constraint evidence_anchors_pkey PRIMARY KEY (log, generation, anchor, size);
alter table evidence_asked add constraint evidence_asked_pkey PRIMARY KEY (source_kind, source_id);
alter table evidence_checkpoints add constraint evidence_checkpoints_pkey PRIMARY KEY (log, generation, size);
alter table evidence_coverage add constraint evidence_coverage_pkey PRIMARY KEY (generation, source_kind, source_id, filter_hash);
alter table evidence_journal add constraint evidence_journal_generation_kind_ref_key UNIQUE (generation, kind, ref);
alter table evidence_journal add constraint evidence_journal_pkey PRIMARY KEY (generation, index);
alter table evidence_key_orders add constraint evidence_key_orders_pkey PRIMARY KEY (id);
alter table evidence_key_orders add constraint evidence_key_orders_reason_check CHECK ((reason = ANY (ARRAY['rotation'::text, 'lost'::text, 'compromised'::text])));
alter table evidence_logs add constraint evidence_logs_generation_check CHECK ((generation >= 1));
alter table evidence_logs add constraint evidence_logs_name_check CHECK ((name = ANY (ARRAY['events'::text, 'journal'::text])));
alter table evidence_logs add constraint evidence_logs_pkey PRIMARY KEY (name, generation);
alter table evidence_logs add constraint evidence_logs_root_check CHECK ((octet_length(root) = 32));
alter table evidence_logs add constraint evidence_logs_size_check CHECK ((size >= 0));
alter table evidence_logs add constraint evidence_logs_state_check CHECK ((state = ANY (ARRAY['building'::text, 'ok'::text, 'behind'::text, 'forked'::text, 'halted'::text])));
alter table evidence_month_keys add constraint evidence_month_keys_key_check CHECK ((octet_length(key) = 32));
alter table evidence_month_keys add constraint evidence_month_keys_pkey PRIMARY KEY (month);
alter table evidence_reads add constraint evidence_reads_bodies_sha256_check CHECK ((octet_length(bodies_sha256) = 32));
alter table evidence_reads add constraint evidence_reads_number_check CHECK ((number >= 1));
alter table evidence_reads add constraint evidence_reads_pkey PRIMARY KEY (source_kind, source_id, number);
alter table evidence_reads add constraint evidence_reads_sha256_check CHECK ((octet_length(sha256) = 32));
alter table evidence_sources add constraint evidence_sources_chain_check CHECK ((octet_length(chain) = 32));
alter table evidence_sources add constraint evidence_sources_generation_source_kind_source_id_key UNIQUE (generation, source_kind, source_id);
alter table evidence_sources add constraint evidence_sources_number_check CHECK (((number >= 1) AND (number <= 65535)));
alter table evidence_sources add constraint evidence_sources_pkey PRIMARY KEY (generation, number);
alter table evidence_tiles add constraint evidence_tiles_hashes_check CHECK ((((octet_length(hashes) >= 32) AND (octet_length(hashes) <= 8192)) AND ((octet_length(hashes) % 32) = 0)));
alter table evidence_tiles add constraint evidence_tiles_pkey PRIMARY KEY (log, generation, level, n);
alter table feed_head add constraint feed_head_only_row_check CHECK (only_row);
alter table feed_head add constraint feed_head_pkey PRIMARY KEY (only_row);
alter table finding_head add constraint finding_head_only_row_check CHECK (only_row);
alter table finding_head add constraint finding_head_pkey PRIMARY KEY (only_row);
alter table finding_head add constraint finding_head_position_check CHECK (("position" >= 0));
alter table findings add constraint findings_pkey PRIMARY KEY (detection, source_kind, source_id, id);
alter table holds add constraint holds_check CHECK ((since < before));
alter table holds add constraint holds_pkey PRIMARY KEY (id);
alter table holds add constraint holds_reason_check CHECK ((reason <> ''::text));
alter table lanes add constraint lanes_lane_check CHECK ((lane = ANY (ARRAY['live'::text, 'settle'::text, 'backfill'::text, 'scrub'::text])));
alter table lanes add constraint lanes_pkey PRIMARY KEY (source_kind, source_id, filter_hash, lane);
alter table lanes add constraint lanes_source_kind_source_id_fkey FOREIGN KEY (source_kind, source_id) REFERENCES sources(kind, id);
alter table organization_changes add constraint organization_changes_change_check CHECK ((change = ANY (ARRAY['appeared'::text, 'gone'::text, 'refused'::text, 'restored'::text, 'renamed'::text, 'moved'::text, 'left'::text])));
alter table organization_changes add constraint organization_changes_pkey PRIMARY KEY (id);
alter table organizations add constraint organizations_pkey PRIMARY KEY (id);
alter table organizations add constraint organizations_state_check CHECK ((state = ANY (ARRAY['active'::text, 'refused'::text, 'gone'::text])));
alter table position_jumps add constraint position_jumps_check CHECK ((to_position > from_position));
alter table position_jumps add constraint position_jumps_pkey PRIMARY KEY (id);
alter table retention_drops add constraint retention_drops_pkey PRIMARY KEY (id);
alter table retention_policy add constraint retention_policy_only_row_check CHECK (only_row);
alter table retention_policy add constraint retention_policy_pkey PRIMARY KEY (only_row);
alter table retention_policy add constraint retention_policy_shortest_check CHECK ((shortest >= '1 day'::interval));
alter table retention_waits add constraint retention_waits_pkey PRIMARY KEY (id);
alter table saved_searches add constraint saved_searches_name_check CHECK ((((length(name) >= 1) AND (length(name) <= 100)) AND (name = btrim(name))));
alter table saved_searches add constraint saved_searches_pkey PRIMARY KEY (id);
alter table saved_searches add constraint saved_searches_search_check CHECK ((length(search) <= 8000));
alter table sink_dead_letters add constraint sink_dead_letters_pkey PRIMARY KEY (sink, "position");
alter table sink_dead_letters add constraint sink_dead_letters_sink_fkey FOREIGN KEY (sink) REFERENCES sinks(name) ON DELETE CASCADE;
alter table sinks add constraint sinks_pkey PRIMARY KEY (name);
alter table sinks add constraint sinks_position_check CHECK (("position" >= 0));
alter table sources add constraint sources_access_check CHECK ((access = ANY (ARRAY['granted'::text, 'refused'::text])));
alter table sources add constraint sources_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id);
alter table sources add constraint sources_one_owner CHECK ((num_nonnulls(organization_id, account_id) = 1));
alter table sources add constraint sources_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations(id);
alter table sources add constraint sources_pkey PRIMARY KEY (kind, id);
alter table walks add constraint walks_lane_check CHECK ((lane = ANY (ARRAY['live'::text, 'settle'::text, 'backfill'::text])));
alter table walks add constraint walks_pkey PRIMARY KEY (source_kind, source_id, lane);
alter table walks add constraint walks_source_kind_source_id_fkey FOREIGN KEY (source_kind, source_id) REFERENCES sources(kind, id);

CREATE INDEX access_log_at ON public.access_log USING btree (at);
CREATE INDEX access_log_who ON public.access_log USING btree (who, at, id);
CREATE UNIQUE INDEX access_tokens_name ON public.access_tokens USING btree (name) WHERE (revoked_at IS NULL);
CREATE INDEX archive_objects_last_position ON public.archive_objects USING btree (last_position) WHERE (dropped_at IS NOT NULL);
CREATE INDEX archive_objects_month ON public.archive_objects USING btree (month, kind, first_position);
CREATE INDEX audit_events_account ON ONLY public.audit_events USING btree (account_id, action_time, "position") WHERE (account_id IS NOT NULL);
CREATE INDEX audit_events_action_result_case ON ONLY public.audit_events USING btree ("left"(lower(action_result), 400) COLLATE "C", md5(action_result)) WHERE (action_result <> lower(action_result));
CREATE INDEX audit_events_action_type_case ON ONLY public.audit_events USING btree ("left"(lower(action_type), 400) COLLATE "C", md5(action_type)) WHERE (action_type <> lower(action_type));
CREATE INDEX audit_events_actor_email ON ONLY public.audit_events USING btree (actor_email text_pattern_ops);
CREATE INDEX audit_events_actor_email_case ON ONLY public.audit_events USING btree ("left"(lower(actor_email), 400) COLLATE "C", md5(actor_email)) WHERE (actor_email <> lower(actor_email));
CREATE INDEX audit_events_actor_id ON ONLY public.audit_events USING btree (actor_id);
CREATE INDEX audit_events_actor_ip_address ON ONLY public.audit_events USING btree (actor_ip_address text_pattern_ops);
CREATE INDEX audit_events_actor_token_id ON ONLY public.audit_events USING btree (actor_token_id text_pattern_ops) WHERE (actor_token_id IS NOT NULL);
CREATE INDEX audit_events_actor_token_name ON ONLY public.audit_events USING btree (actor_token_name text_pattern_ops) WHERE (octet_length(actor_token_name) <= 600);
CREATE INDEX audit_events_actor_token_name_case ON ONLY public.audit_events USING btree ("left"(lower(actor_token_name), 400) COLLATE "C", md5(actor_token_name)) WHERE ((actor_token_name <> lower(actor_token_name)) OR (octet_length(actor_token_name) > 600));
CREATE INDEX audit_events_defects ON ONLY public.audit_events USING btree (action_time, "position") WHERE (defects IS NOT NULL);
CREATE INDEX audit_events_failures ON ONLY public.audit_events USING btree (action_time, "position") INCLUDE (organization_id, actor_email, actor_ip_address) WHERE (action_result = 'failure'::text);
CREATE UNIQUE INDEX audit_events_once ON ONLY public.audit_events USING btree (source_kind, source_id, id, action_time);
CREATE INDEX audit_events_organization ON ONLY public.audit_events USING btree (organization_id, action_time, "position");
CREATE INDEX audit_events_other_results ON ONLY public.audit_events USING btree (action_time, "position") INCLUDE (organization_id, action_result) WHERE ((action_result IS DISTINCT FROM 'success'::text) AND (action_result IS DISTINCT FROM 'failure'::text));
CREATE INDEX audit_events_position ON ONLY public.audit_events USING btree ("position");
CREATE INDEX audit_events_ray ON ONLY public.audit_events USING brin (raw_cf_ray_id text_bloom_ops (n_distinct_per_range='2000', false_positive_rate='0.01')) WITH (pages_per_range='128', autosummarize='on');
CREATE INDEX audit_events_resource_id ON ONLY public.audit_events USING btree (resource_id);
CREATE INDEX audit_events_resource_product_case ON ONLY public.audit_events USING btree ("left"(lower(resource_product), 400) COLLATE "C", md5(resource_product)) WHERE (resource_product <> lower(resource_product));
CREATE INDEX audit_events_resource_type ON ONLY public.audit_events USING btree (resource_type, action_type, action_time);
CREATE INDEX audit_events_resource_type_case ON ONLY public.audit_events USING btree ("left"(lower(resource_type), 400) COLLATE "C", md5(resource_type)) WHERE (resource_type <> lower(resource_type));
CREATE INDEX audit_events_time ON ONLY public.audit_events USING btree (action_time, "position");
CREATE INDEX audit_events_user_copies ON ONLY public.audit_events USING btree (id, action_time, "position") WHERE ((source_kind = 'account'::text) AND (resource_scope = ANY (ARRAY['user'::text, 'memberships'::text])));
CREATE INDEX audit_events_zone ON ONLY public.audit_events USING btree (zone_id) WHERE (zone_id IS NOT NULL);
CREATE INDEX audit_events_zone_name ON ONLY public.audit_events USING btree ("left"(lower(zone_name), 400) COLLATE "C") WHERE (zone_name IS NOT NULL);
CREATE INDEX audit_events_default_account_id_action_time_position_idx ON public.audit_events_default USING btree (account_id, action_time, "position") WHERE (account_id IS NOT NULL);
CREATE INDEX audit_events_default_action_time_position_idx ON public.audit_events_default USING btree (action_time, "position");
CREATE INDEX audit_events_default_action_time_position_idx1 ON public.audit_events_default USING btree (action_time, "position") WHERE (defects IS NOT NULL);
CREATE INDEX audit_events_default_action_time_position_organization_id__idx1 ON public.audit_events_default USING btree (action_time, "position") INCLUDE (organization_id, action_result) WHERE ((action_result IS DISTINCT FROM 'success'::text) AND (action_result IS DISTINCT FROM 'failure'::text));
CREATE INDEX audit_events_default_action_time_position_organization_id_a_idx ON public.audit_events_default USING btree (action_time, "position") INCLUDE (organization_id, actor_email, actor_ip_address) WHERE (action_result = 'failure'::text);
CREATE INDEX audit_events_default_actor_email_idx1 ON public.audit_events_default USING btree (actor_email text_pattern_ops);
CREATE INDEX audit_events_default_actor_id_idx ON public.audit_events_default USING btree (actor_id);
CREATE INDEX audit_events_default_actor_ip_address_idx1 ON public.audit_events_default USING btree (actor_ip_address text_pattern_ops);
CREATE INDEX audit_events_default_actor_token_id_idx1 ON public.audit_events_default USING btree (actor_token_id text_pattern_ops) WHERE (actor_token_id IS NOT NULL);
CREATE INDEX audit_events_default_actor_token_name_idx ON public.audit_events_default USING btree (actor_token_name text_pattern_ops) WHERE (octet_length(actor_token_name) <= 600);
CREATE INDEX audit_events_default_id_action_time_position_idx ON public.audit_events_default USING btree (id, action_time, "position") WHERE ((source_kind = 'account'::text) AND (resource_scope = ANY (ARRAY['user'::text, 'memberships'::text])));
CREATE INDEX audit_events_default_left_idx ON public.audit_events_default USING btree ("left"(lower(zone_name), 400) COLLATE "C") WHERE (zone_name IS NOT NULL);
CREATE INDEX audit_events_default_left_md5_idx ON public.audit_events_default USING btree ("left"(lower(action_type), 400) COLLATE "C", md5(action_type)) WHERE (action_type <> lower(action_type));
CREATE INDEX audit_events_default_left_md5_idx1 ON public.audit_events_default USING btree ("left"(lower(action_result), 400) COLLATE "C", md5(action_result)) WHERE (action_result <> lower(action_result));
CREATE INDEX audit_events_default_left_md5_idx2 ON public.audit_events_default USING btree ("left"(lower(resource_product), 400) COLLATE "C", md5(resource_product)) WHERE (resource_product <> lower(resource_product));
CREATE INDEX audit_events_default_left_md5_idx3 ON public.audit_events_default USING btree ("left"(lower(resource_type), 400) COLLATE "C", md5(resource_type)) WHERE (resource_type <> lower(resource_type));
CREATE INDEX audit_events_default_left_md5_idx4 ON public.audit_events_default USING btree ("left"(lower(actor_email), 400) COLLATE "C", md5(actor_email)) WHERE (actor_email <> lower(actor_email));
CREATE INDEX audit_events_default_left_md5_idx5 ON public.audit_events_default USING btree ("left"(lower(actor_token_name), 400) COLLATE "C", md5(actor_token_name)) WHERE ((actor_token_name <> lower(actor_token_name)) OR (octet_length(actor_token_name) > 600));
CREATE INDEX audit_events_default_organization_id_action_time_position_idx ON public.audit_events_default USING btree (organization_id, action_time, "position");
CREATE INDEX audit_events_default_position_idx ON public.audit_events_default USING btree ("position");
CREATE INDEX audit_events_default_raw_cf_ray_id_idx ON public.audit_events_default USING brin (raw_cf_ray_id text_bloom_ops (n_distinct_per_range='2000', false_positive_rate='0.01')) WITH (pages_per_range='128', autosummarize='on');
CREATE INDEX audit_events_default_resource_id_idx ON public.audit_events_default USING btree (resource_id);
CREATE INDEX audit_events_default_resource_type_action_type_action_time_idx ON public.audit_events_default USING btree (resource_type, action_type, action_time);
CREATE UNIQUE INDEX audit_events_default_source_kind_source_id_id_action_time_idx ON public.audit_events_default USING btree (source_kind, source_id, id, action_time);
CREATE INDEX audit_events_default_zone_id_idx ON public.audit_events_default USING btree (zone_id) WHERE (zone_id IS NOT NULL);
CREATE UNIQUE INDEX checks_rounds ON public.checks USING btree (source_kind, source_id, filter_hash, round, began_at) WHERE (kind = 'scrub'::text);
CREATE INDEX detection_mutes_in_force ON public.detection_mutes USING btree (detection) WHERE (ended_at IS NULL);
CREATE INDEX findings_position ON public.findings USING btree ("position");
CREATE INDEX findings_time ON public.findings USING btree (action_time);
CREATE INDEX organization_changes_organization ON public.organization_changes USING btree (organization_id, changed_at);
CREATE INDEX retention_drops_last_position ON public.retention_drops USING btree (last_position);
CREATE UNIQUE INDEX saved_searches_name ON public.saved_searches USING btree (lower(name));

create view audit_event_traits as
 SELECT e."position",
    e.action_time,
    e.received_at,
    e.organization_id,
    o.name AS organization_name,
    a.actor,
    e.actor_id,
    e.actor_type,
    e.actor_ip_address,
    e.actor_token_id,
    e.action_type,
    e.action_result,
    e.action_description,
    e.resource_type,
    e.resource_id,
    e.source_kind,
    e.source_id,
    e.id,
    regexp_replace(concat("left"(COALESCE(NULLIF(e.action_description, ''::text), concat_ws(' '::text, e.action_type, e.resource_type)), 200), (' ('::text || "left"(NULLIF(concat_ws(' '::text, e.resource_type, e.resource_id), ''::text), 200)) || ')'::text, ' by ', "left"(a.actor, 200), ' from '::text || "left"(NULLIF(e.actor_ip_address, ''::text), 60),
        CASE
            WHEN k.failed THEN ', failed'::text
            ELSE NULL::text
        END), '[\u0001-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]'::text, ' '::text, 'g'::text) AS summary,
    k.failed,
    NOT k.failed AND k.verb <> 'view'::text AS done,
    NOT k.failed AND (k.verb = 'delete'::text OR k.method = 'DELETE'::text) AS deletes,
    k.verb <> 'delete'::text AND k.method <> 'DELETE'::text AND (k.verb = 'create'::text OR k.method = 'POST'::text) AS creates,
    k.names ~* 'api[ _-]?(token|key)'::text OR k.path ~* '/tokens(/|$)'::text OR COALESCE((lower(e.resource_type) = ANY (ARRAY['token'::text, 'tokens'::text])) OR (lower(e.resource_product) = ANY (ARRAY['token'::text, 'tokens'::text])), false) AS about_api_token,
    k.names ~* 'member|invite'::text OR k.path ~* '/members(/|$)'::text AS about_member,
    k.path ~* '/members(/|$)'::text AND k.path ~* '/organizations/'::text AS about_organization_member,
    concat_ws(' '::text, p.request, p.response) ~* 'super[ _-]?admin'::text AS names_super_administrator,
    COALESCE(p.request, ''::text) ~* 'role'::text AS requests_role,
    k.names ~* '(^|[; _-])(sso|mfa|2fa)|two[ _-]?factor|single[ _-]sign|identity[ _-]?provider'::text OR k.path ~* '/sso_connectors|/identity_providers|/two_factor'::text OR e.raw::text ~* 'factor|mfa_'::text AND COALESCE(p.request, ''::text) ~* 'two_?factor|mfa_'::text AS about_sso_or_mfa,
    COALESCE(lower(e.actor_type) = ANY (ARRAY['cloudflare_admin'::text, 'cloudflare-admin'::text, 'cloudflare admin'::text]), false) AS by_cloudflare_staff,
    COALESCE(e.actor_token_id = ANY (c.tokens), false) OR COALESCE(e.resource_id = ANY (c.tokens), false) OR COALESCE("substring"(k.path, '/tokens/([^/]+)'::text) = ANY (c.tokens), false) AS touches_collector_token,
    u.about_user,
        CASE
            WHEN u.about_user THEN ( SELECT min(f."position") AS min
               FROM audit_events f
              WHERE f.source_kind = 'account'::text AND (f.resource_scope = ANY (ARRAY['user'::text, 'memberships'::text])) AND f.id = e.id AND f.action_time = e.action_time AND f."position" < e."position")
            ELSE NULL::bigint
        END AS copies_of_position,
    concat_ws(' '::text, p.request, p.response) ~* 'com\.cloudflare\.api\.account\.(zone\.)?\*|api tokens (write|edit)'::text AS grants_widely,
    k.names ~* 'firewall|ruleset|(^|[; _-])waf|access[ _-]?(app|polic|group|rule)|gateway[ _-]?rule|rate[ _-]?limit'::text OR k.path ~* '/firewall/|/rulesets/|/access/(apps|policies|groups)/|/gateway/rules/|/rate_limits/'::text OR COALESCE(lower(e.resource_product) = 'access'::text AND (lower(e.resource_type) = ANY (ARRAY['app'::text, 'policy'::text, 'group'::text])), false) OR COALESCE(lower(e.resource_product) = 'gateway'::text AND lower(e.resource_type) = 'rule'::text, false) AS about_protection,
    NOT k.failed AND k.verb <> 'view'::text AND (k.path ~* '/dns_records/batch$'::text AND COALESCE(p.request, ''::text) ~* '"deletes"\s*:\s*\[\s*\{'::text OR (k.verb = 'delete'::text OR k.method = 'DELETE'::text) AND (COALESCE(lower(e.resource_type) = ANY (ARRAY['zone'::text, 'zones'::text]), false) OR (lower(COALESCE(e.action_description, ''::text)) = ANY (ARRAY['delete zone'::text, 'delete_zone'::text, 'zone delete'::text, 'zone_delete'::text])))) AS deletes_many_dns_records,
    (k.names ~* 'worker'::text OR k.path ~* '/workers/'::text) AND (k.names ~* 'secret|route'::text OR k.path ~* '/(secrets|secrets-bulk|routes|domains)(/|$)'::text) AS about_worker_secret_or_route,
    u.about_user AND NOT k.failed AND k.verb = 'login'::text AS signs_in,
    concat_ws(';'::text, k.names, k.path) ~* '(^|[;/ _-])sso|single[ _-]?sign'::text AS names_sso,
        CASE
            WHEN e.actor_ip_address ~ '^\d{1,3}(\.\d{1,3}){3}$'::text THEN "substring"(e.actor_ip_address, '^\d+\.\d+\.\d+'::text)
            WHEN e.actor_ip_address ~* '^[0-9a-f]{1,4}(:[0-9a-f]{0,4}){2,7}$'::text THEN regexp_replace("substring"(lower(e.actor_ip_address), '^[0-9a-f]*:[0-9a-f]*:[0-9a-f]*'::text), ':$'::text, ':0'::text)
            ELSE NULLIF("left"(e.actor_ip_address, 100), ''::text)
        END AS actor_network,
    "left"(lower("substring"(e.actor_email, '@([^@]+)$'::text)), 300) AS actor_domain
   FROM audit_events e
     LEFT JOIN organizations o ON o.id = e.organization_id
     CROSS JOIN LATERAL ( SELECT COALESCE(NULLIF(e.actor_email, ''::text), NULLIF(e.actor_token_name, ''::text), NULLIF(e.actor_id, ''::text), NULLIF(e.actor_type, ''::text), 'unknown'::text) AS actor) a
     CROSS JOIN LATERAL ( SELECT COALESCE(lower(e.action_result) = 'failure'::text, false) OR COALESCE(e.raw_status_code >= 400 AND e.raw_status_code <= 599, false) AS failed,
            COALESCE(lower(e.action_type), ''::text) AS verb,
            COALESCE(upper(e.raw_method), ''::text) AS method,
            COALESCE("substring"(e.raw_uri, '^[^?#]*'::text), ''::text) AS path,
            concat_ws(';'::text, e.resource_type, e.resource_product, e.action_description) AS names) k
     CROSS JOIN LATERAL ( SELECT
                CASE
                    WHEN e.defects && ARRAY['nul_character'::text, 'lone_surrogate'::text, 'number_out_of_range'::text, 'nested_too_deeply'::text, 'refused_by_database'::text] THEN e.raw::text
                    ELSE e.raw::jsonb #>> '{resource,request}'::text[]
                END AS request,
                CASE
                    WHEN e.defects && ARRAY['nul_character'::text, 'lone_surrogate'::text, 'number_out_of_range'::text, 'nested_too_deeply'::text, 'refused_by_database'::text] THEN NULL::text
                    ELSE e.raw::jsonb #>> '{resource,response}'::text[]
                END AS response) p
     CROSS JOIN LATERAL ( SELECT e.source_kind = 'account'::text AND COALESCE(e.resource_scope = ANY (ARRAY['user'::text, 'memberships'::text]), false) AND e.action_time > '-infinity'::timestamp with time zone AS about_user) u
     CROSS JOIN LATERAL ( SELECT ARRAY( SELECT collector_tokens.token_id
                   FROM collector_tokens) AS tokens) c
  WHERE orgtrail_without_jit();

create view audit_feed as
 SELECT "position",
    ( SELECT h.feed_id::text AS feed_id
           FROM feed_head h) AS feed_id,
    source_kind,
    source_id,
    organization_id,
    ( SELECT o.name
           FROM organizations o
          WHERE o.id = e.organization_id) AS organization_name,
    id,
        CASE
            WHEN isfinite(action_time) THEN action_time
            ELSE NULL::timestamp with time zone
        END AS action_time,
    received_at,
    action_type,
    action_result,
    action_description,
    actor_id,
    actor_type,
    actor_context,
    actor_email,
    actor_ip_address,
    actor_token_id,
    actor_token_name,
    raw_cf_ray_id,
    raw_method,
    raw_status_code,
    raw_uri,
    raw_user_agent,
    resource_id,
    resource_product,
    resource_type,
    resource_scope,
    raw::text AS raw,
    array_to_string(defects, ','::text) AS defects,
    account_id,
    account_name,
    zone_id,
    zone_name
   FROM audit_events e;

create view audit_history as
 SELECT e."position",
    e.action_time,
    e.received_at,
    e.organization_id,
    o.name AS organization_name,
    e.action_type,
    e.action_result,
    e.action_description,
    e.actor_id,
    e.actor_type,
    e.actor_context,
    e.actor_email,
    e.actor_ip_address,
    e.actor_token_id,
    e.actor_token_name,
    e.resource_id,
    e.resource_product,
    e.resource_type,
    e.resource_scope,
    orgtrail_payload(e.raw, e.defects) #> '{resource,request}'::text[] AS request,
    orgtrail_payload(e.raw, e.defects) #> '{resource,response}'::text[] AS response,
    e.raw_cf_ray_id,
    e.raw_method,
    e.raw_status_code,
    e.raw_uri,
    e.raw_user_agent,
    e.source_kind,
    e.source_id,
    e.id,
    orgtrail_payload(e.raw, e.defects) AS payload,
    e.defects,
    e.account_id,
    e.account_name,
    e.zone_id,
    e.zone_name,
        CASE
            WHEN e.source_kind = 'account'::text AND (e.resource_scope = ANY (ARRAY['user'::text, 'memberships'::text])) AND e.action_time > '-infinity'::timestamp with time zone THEN ( SELECT min(f."position") AS min
               FROM audit_events f
              WHERE f.source_kind = 'account'::text AND (f.resource_scope = ANY (ARRAY['user'::text, 'memberships'::text])) AND f.id = e.id AND f.action_time = e.action_time AND f."position" < e."position")
            ELSE NULL::bigint
        END AS copies_of_position
   FROM audit_events e
     LEFT JOIN organizations o ON o.id = e.organization_id;

create view coverage_gaps as
 SELECT s.kind AS source_kind,
    s.id AS source_id,
    COALESCE(s.organization_id, a.organization_id) AS organization_id,
    o.name AS organization_name,
    lower(gap.gap) AS since,
    upper(gap.gap) AS before,
    upper(gap.gap) - lower(gap.gap) AS duration,
    s.account_id,
    a.name AS account_name
   FROM sources s
     LEFT JOIN accounts a ON a.id = s.account_id
     LEFT JOIN organizations o ON o.id = COALESCE(s.organization_id, a.organization_id)
     CROSS JOIN LATERAL ( SELECT LEAST(now(), GREATEST(s.wanted_since, now() - s.wanted_history)) AS since) horizon
     LEFT JOIN coverage c ON c.source_kind = s.kind AND c.source_id = s.id AND c.filter_hash = s.filter_hash AND c.pass = 0
     CROSS JOIN LATERAL unnest(tstzmultirange(tstzrange(horizon.since, now())) - COALESCE(c.ranges, '{}'::tstzmultirange)) gap(gap)
  WHERE COALESCE(a.state, o.state) <> 'gone'::text;

create view coverage_proof as
 SELECT s.kind AS source_kind,
    s.id AS source_id,
    COALESCE(s.organization_id, a.organization_id) AS organization_id,
    o.name AS organization_name,
    (days.day AT TIME ZONE 'UTC'::text)::date AS day,
    p.proven_at,
    p.method,
    p.number,
    p.direction,
    COALESCE(p.found, 0::numeric)::bigint AS found,
    p.last_read_at,
    (EXTRACT(epoch FROM LEAST(now(), days.day + '24:00:00'::interval) - days.day) - COALESCE(p.seconds, 0::numeric))::double precision AS unproven_seconds,
    s.account_id,
    a.name AS account_name
   FROM sources s
     LEFT JOIN accounts a ON a.id = s.account_id
     LEFT JOIN organizations o ON o.id = COALESCE(s.organization_id, a.organization_id)
     CROSS JOIN LATERAL ( SELECT LEAST(now(), GREATEST(s.wanted_since, now() - s.wanted_history)) AS since) horizon
     LEFT JOIN LATERAL ( SELECT min(r.since) AS since
           FROM coverage_readings r
          WHERE r.source_kind = s.kind AND r.source_id = s.id AND r.filter_hash = s.filter_hash) oldest ON true
     CROSS JOIN LATERAL generate_series(date_trunc('day'::text, LEAST(horizon.since, oldest.since), 'UTC'::text), now(), '24:00:00'::interval) days(day)
     LEFT JOIN LATERAL ( SELECT min(r.read_from) AS proven_at,
            max(r.read_to) AS last_read_at,
            sum(r.found) AS found,
            (array_agg(r.method ORDER BY r.read_from, r.since))[1] AS method,
            (array_agg(r.number ORDER BY r.read_from, r.since))[1] AS number,
            (array_agg(r.direction ORDER BY r.read_from, r.since))[1] AS direction,
            sum(EXTRACT(epoch FROM LEAST(r.before, now(), days.day + '24:00:00'::interval) - GREATEST(r.since, days.day))) AS seconds
           FROM coverage_readings r
          WHERE r.source_kind = s.kind AND r.source_id = s.id AND r.filter_hash = s.filter_hash AND r.since < LEAST(now(), days.day + '24:00:00'::interval) AND r.before > days.day) p ON true;

create view detection_api_token_changed as
 SELECT 'api_token_changed'::text AS detection,
    'medium'::text AS severity,
    "position",
    action_time,
    received_at,
    organization_id,
    organization_name,
    actor,
    actor_id,
    actor_type,
    actor_ip_address,
    actor_token_id,
    action_type,
    action_result,
    action_description,
    resource_type,
    resource_id,
    1 AS events,
    action_time AS first_time,
    summary,
    source_kind,
    source_id,
    id
   FROM audit_event_traits
  WHERE done AND about_api_token AND copies_of_position IS NULL;

create view detection_api_token_wide_scope as
 SELECT 'api_token_wide_scope'::text AS detection,
    'high'::text AS severity,
    "position",
    action_time,
    received_at,
    organization_id,
    organization_name,
    actor,
    actor_id,
    actor_type,
    actor_ip_address,
    actor_token_id,
    action_type,
    action_result,
    action_description,
    resource_type,
    resource_id,
    1 AS events,
    action_time AS first_time,
    summary,
    source_kind,
    source_id,
    id
   FROM audit_event_traits
  WHERE done AND about_api_token AND NOT deletes AND grants_widely AND copies_of_position IS NULL;

create view detection_cloudflare_staff as
 SELECT 'cloudflare_staff'::text AS detection,
    'medium'::text AS severity,
    "position",
    action_time,
    received_at,
    organization_id,
    organization_name,
    actor,
    actor_id,
    actor_type,
    actor_ip_address,
    actor_token_id,
    action_type,
    action_result,
    action_description,
    resource_type,
    resource_id,
    1 AS events,
    action_time AS first_time,
    summary,
    source_kind,
    source_id,
    id
   FROM audit_event_traits
  WHERE by_cloudflare_staff AND copies_of_position IS NULL;

create view detection_collector_token as
 SELECT 'collector_token'::text AS detection,
    'critical'::text AS severity,
    "position",
    action_time,
    received_at,
    organization_id,
    organization_name,
    actor,
    actor_id,
    actor_type,
    actor_ip_address,
    actor_token_id,
    action_type,
    action_result,
    action_description,
    resource_type,
    resource_id,
    1 AS events,
    action_time AS first_time,
    summary,
    source_kind,
    source_id,
    id
   FROM audit_event_traits
  WHERE touches_collector_token AND copies_of_position IS NULL;

create view detection_delete_burst as
 SELECT 'delete_burst'::text AS detection,
    'high'::text AS severity,
    last_position AS "position",
    action_time,
    received_at,
    organization_id,
    organization_name,
    actor,
    actor_id,
    actor_type,
    actor_ip_address,
    actor_token_id,
    action_type,
    action_result,
    action_description,
    resource_type,
    resource_id,
    10 AS events,
    first_time,
    concat('10 deletes or more within 5 minutes, the tenth: ', summary) AS summary,
    source_kind,
    source_id,
    id
   FROM ( SELECT DISTINCT ON (a.source_kind, (
                CASE
                    WHEN a.about_user THEN ''::text
                    ELSE a.source_id
                END), a.id, a.action_time) a.last_position,
            a.action_time,
            a.received_at,
            a.organization_id,
            a.organization_name,
            a.actor,
            a.actor_id,
            a.actor_type,
            a.actor_ip_address,
            a.actor_token_id,
            a.action_type,
            a.action_result,
            a.action_description,
            a.resource_type,
            a.resource_id,
            a.first_time,
            a.summary,
            a.source_kind,
            a.source_id,
            a.id
           FROM ( SELECT t."position",
                    t.action_time,
                    t.received_at,
                    t.organization_id,
                    t.organization_name,
                    t.actor,
                    t.actor_id,
                    t.actor_type,
                    t.actor_ip_address,
                    t.actor_token_id,
                    t.action_type,
                    t.action_result,
                    t.action_description,
                    t.resource_type,
                    t.resource_id,
                    t.source_kind,
                    t.source_id,
                    t.id,
                    t.summary,
                    t.failed,
                    t.done,
                    t.deletes,
                    t.creates,
                    t.about_api_token,
                    t.about_member,
                    t.about_organization_member,
                    t.names_super_administrator,
                    t.requests_role,
                    t.about_sso_or_mfa,
                    t.by_cloudflare_staff,
                    t.touches_collector_token,
                    t.about_user,
                    t.copies_of_position,
                    s.since,
                    lag(t.action_time, 9) OVER actions AS first_time,
                    lag(t.action_time, 1) OVER actions AS previous_time,
                    lag(t.action_time, 10) OVER actions AS previous_first_time,
                    max(t."position") OVER (actions ROWS 9 PRECEDING) AS last_position
                   FROM ( SELECT COALESCE(NULLIF(current_setting('orgtrail.bursts_since'::text, true), ''::text)::timestamp with time zone, now() - '31 days'::interval) AS since) s
                     CROSS JOIN audit_event_traits t
                  WHERE t.deletes AND t.action_time > '-infinity'::timestamp with time zone AND t.action_time >= (s.since - '00:10:00'::interval)
                  WINDOW actions AS (PARTITION BY t.source_kind, t.source_id, t.actor_id ORDER BY t.action_time, t."position")) a
          WHERE a.first_time >= (a.action_time - '00:05:00'::interval) AND (a.previous_first_time >= (a.previous_time - '00:05:00'::interval)) IS NOT TRUE AND a.action_time >= a.since
          ORDER BY a.source_kind, (
                CASE
                    WHEN a.about_user THEN ''::text
                    ELSE a.source_id
                END), a.id, a.action_time, a.last_position) once;

create view detection_dns_records_deleted as
 SELECT 'dns_records_deleted'::text AS detection,
    'high'::text AS severity,
    "position",
    action_time,
    received_at,
    organization_id,
    organization_name,
    actor,
    actor_id,
    actor_type,
    actor_ip_address,
    actor_token_id,
    action_type,
    action_result,
    action_description,
    resource_type,
    resource_id,
    1 AS events,
    action_time AS first_time,
    summary,
    source_kind,
    source_id,
    id
   FROM audit_event_traits
  WHERE deletes_many_dns_records AND copies_of_position IS NULL;

create view detection_failure_burst as
 SELECT 'failure_burst'::text AS detection,
    'medium'::text AS severity,
    last_position AS "position",
    action_time,
    received_at,
    organization_id,
    organization_name,
    actor,
    actor_id,
    actor_type,
    actor_ip_address,
    actor_token_id,
    action_type,
    action_result,
    action_description,
    resource_type,
    resource_id,
    10 AS events,
    first_time,
    concat('10 failed actions or more within 5 minutes, the tenth: ', summary) AS summary,
    source_kind,
    source_id,
    id
   FROM ( SELECT DISTINCT ON (a.source_kind, (
                CASE
                    WHEN a.about_user THEN ''::text
                    ELSE a.source_id
                END), a.id, a.action_time) a.last_position,
            a.action_time,
            a.received_at,
            a.organization_id,
            a.organization_name,
            a.actor,
            a.actor_id,
            a.actor_type,
            a.actor_ip_address,
            a.actor_token_id,
            a.action_type,
            a.action_result,
            a.action_description,
            a.resource_type,
            a.resource_id,
            a.first_time,
            a.summary,
            a.source_kind,
            a.source_id,
            a.id
           FROM ( SELECT t."position",
                    t.action_time,
                    t.received_at,
                    t.organization_id,
                    t.organization_name,
                    t.actor,
                    t.actor_id,
                    t.actor_type,
                    t.actor_ip_address,
                    t.actor_token_id,
                    t.action_type,
                    t.action_result,
                    t.action_description,
                    t.resource_type,
                    t.resource_id,
                    t.source_kind,
                    t.source_id,
                    t.id,
                    t.summary,
                    t.failed,
                    t.done,
                    t.deletes,
                    t.creates,
                    t.about_api_token,
                    t.about_member,
                    t.about_organization_member,
                    t.names_super_administrator,
                    t.requests_role,
                    t.about_sso_or_mfa,
                    t.by_cloudflare_staff,
                    t.touches_collector_token,
                    t.about_user,
                    t.copies_of_position,
                    s.since,
                    lag(t.action_time, 9) OVER actions AS first_time,
                    lag(t.action_time, 1) OVER actions AS previous_time,
                    lag(t.action_time, 10) OVER actions AS previous_first_time,
                    max(t."position") OVER (actions ROWS 9 PRECEDING) AS last_position
                   FROM ( SELECT COALESCE(NULLIF(current_setting('orgtrail.bursts_since'::text, true), ''::text)::timestamp with time zone, now() - '31 days'::interval) AS since) s
                     CROSS JOIN audit_event_traits t
                  WHERE t.failed AND t.action_time > '-infinity'::timestamp with time zone AND t.action_time >= (s.since - '00:10:00'::interval)
                  WINDOW actions AS (PARTITION BY t.source_kind, t.source_id, t.actor_id ORDER BY t.action_time, t."position")) a
          WHERE a.first_time >= (a.action_time - '00:05:00'::interval) AND (a.previous_first_time >= (a.previous_time - '00:05:00'::interval)) IS NOT TRUE AND a.action_time >= a.since
          ORDER BY a.source_kind, (
                CASE
                    WHEN a.about_user THEN ''::text
                    ELSE a.source_id
                END), a.id, a.action_time, a.last_position) once;

create view detection_member_added as
 SELECT 'member_added'::text AS detection,
    'medium'::text AS severity,
    "position",
    action_time,
    received_at,
    organization_id,
    organization_name,
    actor,
    actor_id,
    actor_type,
    actor_ip_address,
    actor_token_id,
    action_type,
    action_result,
    action_description,
    resource_type,
    resource_id,
    1 AS events,
    action_time AS first_time,
    summary,
    source_kind,
    source_id,
    id
   FROM audit_event_traits
  WHERE done AND creates AND about_member AND copies_of_position IS NULL;

create view detection_protection_removed as
 SELECT 'protection_removed'::text AS detection,
    'high'::text AS severity,
    "position",
    action_time,
    received_at,
    organization_id,
    organization_name,
    actor,
    actor_id,
    actor_type,
    actor_ip_address,
    actor_token_id,
    action_type,
    action_result,
    action_description,
    resource_type,
    resource_id,
    1 AS events,
    action_time AS first_time,
    summary,
    source_kind,
    source_id,
    id
   FROM audit_event_traits
  WHERE deletes AND about_protection AND copies_of_position IS NULL;

create view detection_sign_in_from_new_network as
 SELECT 'sign_in_from_new_network'::text AS detection,
    'medium'::text AS severity,
    GREATEST("position", known_position) AS "position",
    action_time,
    received_at,
    organization_id,
    organization_name,
    actor,
    actor_id,
    actor_type,
    actor_ip_address,
    actor_token_id,
    action_type,
    action_result,
    action_description,
    resource_type,
    resource_id,
    1 AS events,
    action_time AS first_time,
    concat('Sign-in from a new network: ', summary) AS summary,
    source_kind,
    source_id,
    id
   FROM ( SELECT t."position",
            t.action_time,
            t.received_at,
            t.organization_id,
            t.organization_name,
            t.actor,
            t.actor_id,
            t.actor_type,
            t.actor_ip_address,
            t.actor_token_id,
            t.action_type,
            t.action_result,
            t.action_description,
            t.resource_type,
            t.resource_id,
            t.source_kind,
            t.source_id,
            t.id,
            t.summary,
            t.failed,
            t.done,
            t.deletes,
            t.creates,
            t.about_api_token,
            t.about_member,
            t.about_organization_member,
            t.names_super_administrator,
            t.requests_role,
            t.about_sso_or_mfa,
            t.by_cloudflare_staff,
            t.touches_collector_token,
            t.about_user,
            t.copies_of_position,
            t.grants_widely,
            t.about_protection,
            t.deletes_many_dns_records,
            t.about_worker_secret_or_route,
            t.signs_in,
            t.names_sso,
            t.actor_network,
            t.actor_domain,
            s.since,
            min(t."position") OVER (PARTITION BY t.actor_id ORDER BY t.action_time RANGE BETWEEN '31 days'::interval PRECEDING AND '00:00:00.000001'::interval PRECEDING) AS known_position,
            lag(t.action_time) OVER (PARTITION BY t.actor_id, t.actor_network ORDER BY t.action_time, t."position") AS last_time
           FROM ( SELECT COALESCE(NULLIF(current_setting('orgtrail.bursts_since'::text, true), ''::text)::timestamp with time zone, now() - '31 days'::interval) AS since) s
             CROSS JOIN audit_event_traits t
          WHERE t.signs_in AND t.copies_of_position IS NULL AND NULLIF(t.actor_id, ''::text) IS NOT NULL AND t.actor_network IS NOT NULL AND t.action_time >= (s.since - '31 days'::interval)) a
  WHERE known_position IS NOT NULL AND (last_time >= (action_time - '31 days'::interval)) IS NOT TRUE AND action_time >= since;

create view detection_sign_in_without_sso as
 SELECT 'sign_in_without_sso'::text AS detection,
    'high'::text AS severity,
    GREATEST("position", known_position) AS "position",
    action_time,
    received_at,
    organization_id,
    organization_name,
    actor,
    actor_id,
    actor_type,
    actor_ip_address,
    actor_token_id,
    action_type,
    action_result,
    action_description,
    resource_type,
    resource_id,
    1 AS events,
    action_time AS first_time,
    concat('Sign-in without SSO, which others of the domain use: ', summary) AS summary,
    source_kind,
    source_id,
    id
   FROM ( SELECT t."position",
            t.action_time,
            t.received_at,
            t.organization_id,
            t.organization_name,
            t.actor,
            t.actor_id,
            t.actor_type,
            t.actor_ip_address,
            t.actor_token_id,
            t.action_type,
            t.action_result,
            t.action_description,
            t.resource_type,
            t.resource_id,
            t.source_kind,
            t.source_id,
            t.id,
            t.summary,
            t.failed,
            t.done,
            t.deletes,
            t.creates,
            t.about_api_token,
            t.about_member,
            t.about_organization_member,
            t.names_super_administrator,
            t.requests_role,
            t.about_sso_or_mfa,
            t.by_cloudflare_staff,
            t.touches_collector_token,
            t.about_user,
            t.copies_of_position,
            t.grants_widely,
            t.about_protection,
            t.deletes_many_dns_records,
            t.about_worker_secret_or_route,
            t.signs_in,
            t.names_sso,
            t.actor_network,
            t.actor_domain,
            s.since,
            min(
                CASE
                    WHEN t.names_sso THEN t."position"
                    ELSE NULL::bigint
                END) OVER before AS known_position
           FROM ( SELECT COALESCE(NULLIF(current_setting('orgtrail.bursts_since'::text, true), ''::text)::timestamp with time zone, now() - '31 days'::interval) AS since) s
             CROSS JOIN audit_event_traits t
          WHERE t.signs_in AND t.copies_of_position IS NULL AND t.actor_domain IS NOT NULL AND t.action_time >= (s.since - '31 days'::interval)
          WINDOW before AS (PARTITION BY t.actor_domain ORDER BY t.action_time RANGE BETWEEN '31 days'::interval PRECEDING AND CURRENT ROW)) a
  WHERE NOT names_sso AND known_position IS NOT NULL AND action_time >= since;

create view detection_sso_or_mfa_changed as
 SELECT 'sso_or_mfa_changed'::text AS detection,
    'high'::text AS severity,
    "position",
    action_time,
    received_at,
    organization_id,
    organization_name,
    actor,
    actor_id,
    actor_type,
    actor_ip_address,
    actor_token_id,
    action_type,
    action_result,
    action_description,
    resource_type,
    resource_id,
    1 AS events,
    action_time AS first_time,
    summary,
    source_kind,
    source_id,
    id
   FROM audit_event_traits
  WHERE done AND about_sso_or_mfa AND lower(action_type) IS DISTINCT FROM 'login'::text AND copies_of_position IS NULL;

create view detection_super_administrator_added as
 SELECT 'super_administrator_added'::text AS detection,
    'high'::text AS severity,
    "position",
    action_time,
    received_at,
    organization_id,
    organization_name,
    actor,
    actor_id,
    actor_type,
    actor_ip_address,
    actor_token_id,
    action_type,
    action_result,
    action_description,
    resource_type,
    resource_id,
    1 AS events,
    action_time AS first_time,
    summary,
    source_kind,
    source_id,
    id
   FROM audit_event_traits
  WHERE done AND about_member AND NOT deletes AND (names_super_administrator OR creates AND about_organization_member AND NOT requests_role) AND copies_of_position IS NULL;

create view detection_worker_secret_or_route_changed as
 SELECT 'worker_secret_or_route_changed'::text AS detection,
    'medium'::text AS severity,
    "position",
    action_time,
    received_at,
    organization_id,
    organization_name,
    actor,
    actor_id,
    actor_type,
    actor_ip_address,
    actor_token_id,
    action_type,
    action_result,
    action_description,
    resource_type,
    resource_id,
    1 AS events,
    action_time AS first_time,
    summary,
    source_kind,
    source_id,
    id
   FROM audit_event_traits
  WHERE done AND about_worker_secret_or_route AND copies_of_position IS NULL;

create view detections as
 SELECT detection_api_token_changed.detection,
    detection_api_token_changed.severity,
    detection_api_token_changed."position",
    detection_api_token_changed.action_time,
    detection_api_token_changed.received_at,
    detection_api_token_changed.organization_id,
    detection_api_token_changed.organization_name,
    detection_api_token_changed.actor,
    detection_api_token_changed.actor_id,
    detection_api_token_changed.actor_type,
    detection_api_token_changed.actor_ip_address,
    detection_api_token_changed.actor_token_id,
    detection_api_token_changed.action_type,
    detection_api_token_changed.action_result,
    detection_api_token_changed.action_description,
    detection_api_token_changed.resource_type,
    detection_api_token_changed.resource_id,
    detection_api_token_changed.events,
    detection_api_token_changed.first_time,
    detection_api_token_changed.summary,
    detection_api_token_changed.source_kind,
    detection_api_token_changed.source_id,
    detection_api_token_changed.id
   FROM detection_api_token_changed
UNION ALL
 SELECT detection_member_added.detection,
    detection_member_added.severity,
    detection_member_added."position",
    detection_member_added.action_time,
    detection_member_added.received_at,
    detection_member_added.organization_id,
    detection_member_added.organization_name,
    detection_member_added.actor,
    detection_member_added.actor_id,
    detection_member_added.actor_type,
    detection_member_added.actor_ip_address,
    detection_member_added.actor_token_id,
    detection_member_added.action_type,
    detection_member_added.action_result,
    detection_member_added.action_description,
    detection_member_added.resource_type,
    detection_member_added.resource_id,
    detection_member_added.events,
    detection_member_added.first_time,
    detection_member_added.summary,
    detection_member_added.source_kind,
    detection_member_added.source_id,
    detection_member_added.id
   FROM detection_member_added
UNION ALL
 SELECT detection_super_administrator_added.detection,
    detection_super_administrator_added.severity,
    detection_super_administrator_added."position",
    detection_super_administrator_added.action_time,
    detection_super_administrator_added.received_at,
    detection_super_administrator_added.organization_id,
    detection_super_administrator_added.organization_name,
    detection_super_administrator_added.actor,
    detection_super_administrator_added.actor_id,
    detection_super_administrator_added.actor_type,
    detection_super_administrator_added.actor_ip_address,
    detection_super_administrator_added.actor_token_id,
    detection_super_administrator_added.action_type,
    detection_super_administrator_added.action_result,
    detection_super_administrator_added.action_description,
    detection_super_administrator_added.resource_type,
    detection_super_administrator_added.resource_id,
    detection_super_administrator_added.events,
    detection_super_administrator_added.first_time,
    detection_super_administrator_added.summary,
    detection_super_administrator_added.source_kind,
    detection_super_administrator_added.source_id,
    detection_super_administrator_added.id
   FROM detection_super_administrator_added
UNION ALL
 SELECT detection_sso_or_mfa_changed.detection,
    detection_sso_or_mfa_changed.severity,
    detection_sso_or_mfa_changed."position",
    detection_sso_or_mfa_changed.action_time,
    detection_sso_or_mfa_changed.received_at,
    detection_sso_or_mfa_changed.organization_id,
    detection_sso_or_mfa_changed.organization_name,
    detection_sso_or_mfa_changed.actor,
    detection_sso_or_mfa_changed.actor_id,
    detection_sso_or_mfa_changed.actor_type,
    detection_sso_or_mfa_changed.actor_ip_address,
    detection_sso_or_mfa_changed.actor_token_id,
    detection_sso_or_mfa_changed.action_type,
    detection_sso_or_mfa_changed.action_result,
    detection_sso_or_mfa_changed.action_description,
    detection_sso_or_mfa_changed.resource_type,
    detection_sso_or_mfa_changed.resource_id,
    detection_sso_or_mfa_changed.events,
    detection_sso_or_mfa_changed.first_time,
    detection_sso_or_mfa_changed.summary,
    detection_sso_or_mfa_changed.source_kind,
    detection_sso_or_mfa_changed.source_id,
    detection_sso_or_mfa_changed.id
   FROM detection_sso_or_mfa_changed
UNION ALL
 SELECT detection_delete_burst.detection,
    detection_delete_burst.severity,
    detection_delete_burst."position",
    detection_delete_burst.action_time,
    detection_delete_burst.received_at,
    detection_delete_burst.organization_id,
    detection_delete_burst.organization_name,
    detection_delete_burst.actor,
    detection_delete_burst.actor_id,
    detection_delete_burst.actor_type,
    detection_delete_burst.actor_ip_address,
    detection_delete_burst.actor_token_id,
    detection_delete_burst.action_type,
    detection_delete_burst.action_result,
    detection_delete_burst.action_description,
    detection_delete_burst.resource_type,
    detection_delete_burst.resource_id,
    detection_delete_burst.events,
    detection_delete_burst.first_time,
    detection_delete_burst.summary,
    detection_delete_burst.source_kind,
    detection_delete_burst.source_id,
    detection_delete_burst.id
   FROM detection_delete_burst
UNION ALL
 SELECT detection_failure_burst.detection,
    detection_failure_burst.severity,
    detection_failure_burst."position",
    detection_failure_burst.action_time,
    detection_failure_burst.received_at,
    detection_failure_burst.organization_id,
    detection_failure_burst.organization_name,
    detection_failure_burst.actor,
    detection_failure_burst.actor_id,
    detection_failure_burst.actor_type,
    detection_failure_burst.actor_ip_address,
    detection_failure_burst.actor_token_id,
    detection_failure_burst.action_type,
    detection_failure_burst.action_result,
    detection_failure_burst.action_description,
    detection_failure_burst.resource_type,
    detection_failure_burst.resource_id,
    detection_failure_burst.events,
    detection_failure_burst.first_time,
    detection_failure_burst.summary,
    detection_failure_burst.source_kind,
    detection_failure_burst.source_id,
    detection_failure_burst.id
   FROM detection_failure_burst
UNION ALL
 SELECT detection_cloudflare_staff.detection,
    detection_cloudflare_staff.severity,
    detection_cloudflare_staff."position",
    detection_cloudflare_staff.action_time,
    detection_cloudflare_staff.received_at,
    detection_cloudflare_staff.organization_id,
    detection_cloudflare_staff.organization_name,
    detection_cloudflare_staff.actor,
    detection_cloudflare_staff.actor_id,
    detection_cloudflare_staff.actor_type,
    detection_cloudflare_staff.actor_ip_address,
    detection_cloudflare_staff.actor_token_id,
    detection_cloudflare_staff.action_type,
    detection_cloudflare_staff.action_result,
    detection_cloudflare_staff.action_description,
    detection_cloudflare_staff.resource_type,
    detection_cloudflare_staff.resource_id,
    detection_cloudflare_staff.events,
    detection_cloudflare_staff.first_time,
    detection_cloudflare_staff.summary,
    detection_cloudflare_staff.source_kind,
    detection_cloudflare_staff.source_id,
    detection_cloudflare_staff.id
   FROM detection_cloudflare_staff
UNION ALL
 SELECT detection_collector_token.detection,
    detection_collector_token.severity,
    detection_collector_token."position",
    detection_collector_token.action_time,
    detection_collector_token.received_at,
    detection_collector_token.organization_id,
    detection_collector_token.organization_name,
    detection_collector_token.actor,
    detection_collector_token.actor_id,
    detection_collector_token.actor_type,
    detection_collector_token.actor_ip_address,
    detection_collector_token.actor_token_id,
    detection_collector_token.action_type,
    detection_collector_token.action_result,
    detection_collector_token.action_description,
    detection_collector_token.resource_type,
    detection_collector_token.resource_id,
    detection_collector_token.events,
    detection_collector_token.first_time,
    detection_collector_token.summary,
    detection_collector_token.source_kind,
    detection_collector_token.source_id,
    detection_collector_token.id
   FROM detection_collector_token
UNION ALL
 SELECT detection_api_token_wide_scope.detection,
    detection_api_token_wide_scope.severity,
    detection_api_token_wide_scope."position",
    detection_api_token_wide_scope.action_time,
    detection_api_token_wide_scope.received_at,
    detection_api_token_wide_scope.organization_id,
    detection_api_token_wide_scope.organization_name,
    detection_api_token_wide_scope.actor,
    detection_api_token_wide_scope.actor_id,
    detection_api_token_wide_scope.actor_type,
    detection_api_token_wide_scope.actor_ip_address,
    detection_api_token_wide_scope.actor_token_id,
    detection_api_token_wide_scope.action_type,
    detection_api_token_wide_scope.action_result,
    detection_api_token_wide_scope.action_description,
    detection_api_token_wide_scope.resource_type,
    detection_api_token_wide_scope.resource_id,
    detection_api_token_wide_scope.events,
    detection_api_token_wide_scope.first_time,
    detection_api_token_wide_scope.summary,
    detection_api_token_wide_scope.source_kind,
    detection_api_token_wide_scope.source_id,
    detection_api_token_wide_scope.id
   FROM detection_api_token_wide_scope
UNION ALL
 SELECT detection_protection_removed.detection,
    detection_protection_removed.severity,
    detection_protection_removed."position",
    detection_protection_removed.action_time,
    detection_protection_removed.received_at,
    detection_protection_removed.organization_id,
    detection_protection_removed.organization_name,
    detection_protection_removed.actor,
    detection_protection_removed.actor_id,
    detection_protection_removed.actor_type,
    detection_protection_removed.actor_ip_address,
    detection_protection_removed.actor_token_id,
    detection_protection_removed.action_type,
    detection_protection_removed.action_result,
    detection_protection_removed.action_description,
    detection_protection_removed.resource_type,
    detection_protection_removed.resource_id,
    detection_protection_removed.events,
    detection_protection_removed.first_time,
    detection_protection_removed.summary,
    detection_protection_removed.source_kind,
    detection_protection_removed.source_id,
    detection_protection_removed.id
   FROM detection_protection_removed
UNION ALL
 SELECT detection_dns_records_deleted.detection,
    detection_dns_records_deleted.severity,
    detection_dns_records_deleted."position",
    detection_dns_records_deleted.action_time,
    detection_dns_records_deleted.received_at,
    detection_dns_records_deleted.organization_id,
    detection_dns_records_deleted.organization_name,
    detection_dns_records_deleted.actor,
    detection_dns_records_deleted.actor_id,
    detection_dns_records_deleted.actor_type,
    detection_dns_records_deleted.actor_ip_address,
    detection_dns_records_deleted.actor_token_id,
    detection_dns_records_deleted.action_type,
    detection_dns_records_deleted.action_result,
    detection_dns_records_deleted.action_description,
    detection_dns_records_deleted.resource_type,
    detection_dns_records_deleted.resource_id,
    detection_dns_records_deleted.events,
    detection_dns_records_deleted.first_time,
    detection_dns_records_deleted.summary,
    detection_dns_records_deleted.source_kind,
    detection_dns_records_deleted.source_id,
    detection_dns_records_deleted.id
   FROM detection_dns_records_deleted
UNION ALL
 SELECT detection_worker_secret_or_route_changed.detection,
    detection_worker_secret_or_route_changed.severity,
    detection_worker_secret_or_route_changed."position",
    detection_worker_secret_or_route_changed.action_time,
    detection_worker_secret_or_route_changed.received_at,
    detection_worker_secret_or_route_changed.organization_id,
    detection_worker_secret_or_route_changed.organization_name,
    detection_worker_secret_or_route_changed.actor,
    detection_worker_secret_or_route_changed.actor_id,
    detection_worker_secret_or_route_changed.actor_type,
    detection_worker_secret_or_route_changed.actor_ip_address,
    detection_worker_secret_or_route_changed.actor_token_id,
    detection_worker_secret_or_route_changed.action_type,
    detection_worker_secret_or_route_changed.action_result,
    detection_worker_secret_or_route_changed.action_description,
    detection_worker_secret_or_route_changed.resource_type,
    detection_worker_secret_or_route_changed.resource_id,
    detection_worker_secret_or_route_changed.events,
    detection_worker_secret_or_route_changed.first_time,
    detection_worker_secret_or_route_changed.summary,
    detection_worker_secret_or_route_changed.source_kind,
    detection_worker_secret_or_route_changed.source_id,
    detection_worker_secret_or_route_changed.id
   FROM detection_worker_secret_or_route_changed
UNION ALL
 SELECT detection_sign_in_without_sso.detection,
    detection_sign_in_without_sso.severity,
    detection_sign_in_without_sso."position",
    detection_sign_in_without_sso.action_time,
    detection_sign_in_without_sso.received_at,
    detection_sign_in_without_sso.organization_id,
    detection_sign_in_without_sso.organization_name,
    detection_sign_in_without_sso.actor,
    detection_sign_in_without_sso.actor_id,
    detection_sign_in_without_sso.actor_type,
    detection_sign_in_without_sso.actor_ip_address,
    detection_sign_in_without_sso.actor_token_id,
    detection_sign_in_without_sso.action_type,
    detection_sign_in_without_sso.action_result,
    detection_sign_in_without_sso.action_description,
    detection_sign_in_without_sso.resource_type,
    detection_sign_in_without_sso.resource_id,
    detection_sign_in_without_sso.events,
    detection_sign_in_without_sso.first_time,
    detection_sign_in_without_sso.summary,
    detection_sign_in_without_sso.source_kind,
    detection_sign_in_without_sso.source_id,
    detection_sign_in_without_sso.id
   FROM detection_sign_in_without_sso
UNION ALL
 SELECT detection_sign_in_from_new_network.detection,
    detection_sign_in_from_new_network.severity,
    detection_sign_in_from_new_network."position",
    detection_sign_in_from_new_network.action_time,
    detection_sign_in_from_new_network.received_at,
    detection_sign_in_from_new_network.organization_id,
    detection_sign_in_from_new_network.organization_name,
    detection_sign_in_from_new_network.actor,
    detection_sign_in_from_new_network.actor_id,
    detection_sign_in_from_new_network.actor_type,
    detection_sign_in_from_new_network.actor_ip_address,
    detection_sign_in_from_new_network.actor_token_id,
    detection_sign_in_from_new_network.action_type,
    detection_sign_in_from_new_network.action_result,
    detection_sign_in_from_new_network.action_description,
    detection_sign_in_from_new_network.resource_type,
    detection_sign_in_from_new_network.resource_id,
    detection_sign_in_from_new_network.events,
    detection_sign_in_from_new_network.first_time,
    detection_sign_in_from_new_network.summary,
    detection_sign_in_from_new_network.source_kind,
    detection_sign_in_from_new_network.source_id,
    detection_sign_in_from_new_network.id
   FROM detection_sign_in_from_new_network;

create view requests_blocked as
 SELECT max(blocked_until) AS blocked_until,
    (array_agg(blocked_because ORDER BY api_budget.blocked_until DESC))[1] AS because
   FROM api_budget
  WHERE blocked_until > now();

create view sync_status as
 SELECT s.kind AS source_kind,
    s.id AS source_id,
    COALESCE(s.organization_id, a.organization_id) AS organization_id,
    o.name AS organization_name,
        CASE
            WHEN s.account_id IS NULL THEN o.state
            ELSE NULL::text
        END AS organization_state,
    s.lease_owner,
    s.lease_epoch,
    s.lease_until,
    COALESCE(l.failures, 0) AS failures,
    l.next_attempt_at,
    s.last_attempt_at,
    l.last_success_at,
    s.last_event_at,
    l.last_failure,
    l.last_error,
    s.wanted_since,
    EXTRACT(epoch FROM now() - LEAST(now(), GREATEST(g.read_until, horizon.since)))::double precision AS lag_seconds,
    COALESCE(g.gap_seconds, 0::numeric)::double precision AS gap_seconds,
    EXTRACT(epoch FROM COALESCE(g.oldest_gap, now()) - r.oldest_kept)::double precision AS retention_slack_seconds,
    COALESCE(l.open_walks, 0) AS open_walks,
    l.walking_pages,
    l.walking_entries,
    l.failing_lanes,
    COALESCE(h.holes, 0) AS holes,
    COALESCE(u.unproven_seconds, 0::double precision) AS unproven_seconds,
    s.account_id,
    a.name AS account_name,
    a.state AS account_state,
    s.access,
    s.refused_since,
    s.credential,
    COALESCE(u.read_once_seconds, 0::double precision) AS read_once_seconds
   FROM sources s
     LEFT JOIN accounts a ON a.id = s.account_id
     LEFT JOIN organizations o ON o.id = COALESCE(s.organization_id, a.organization_id)
     CROSS JOIN LATERAL ( SELECT now() - '13152:00:00'::interval AS oldest_kept) r
     CROSS JOIN LATERAL ( SELECT LEAST(now(), GREATEST(s.wanted_since, now() - s.wanted_history)) AS since) horizon
     LEFT JOIN coverage c ON c.source_kind = s.kind AND c.source_id = s.id AND c.filter_hash = s.filter_hash AND c.pass = 0
     LEFT JOIN LATERAL ( SELECT upper(c.ranges) AS read_until,
            min(GREATEST(lower(gap.gap), r.oldest_kept)) FILTER (WHERE upper(gap.gap) > r.oldest_kept) AS oldest_gap,
            sum(EXTRACT(epoch FROM upper(gap.gap) - lower(gap.gap))) AS gap_seconds
           FROM unnest(tstzmultirange(tstzrange(horizon.since, now())) - COALESCE(c.ranges, '{}'::tstzmultirange)) gap(gap)) g ON true
     LEFT JOIN LATERAL ( SELECT max(lanes.failures) AS failures,
            min(lanes.next_attempt_at) FILTER (WHERE lanes.failures > 0) AS next_attempt_at,
            COALESCE(max(lanes.last_success_at) FILTER (WHERE lanes.lane = 'live'::text), max(lanes.last_success_at)) AS last_success_at,
            (array_agg(lanes.last_failure ORDER BY lanes.failures DESC, lanes.last_attempt_at DESC) FILTER (WHERE lanes.failures > 0))[1] AS last_failure,
            (array_agg(lanes.last_error ORDER BY lanes.failures DESC, lanes.last_attempt_at DESC) FILTER (WHERE lanes.failures > 0))[1] AS last_error,
            string_agg(lanes.lane, ','::text ORDER BY lanes.lane) FILTER (WHERE lanes.failures > 0) AS failing_lanes,
            count(lanes.state -> 'walk'::text)::integer AS open_walks,
            sum((lanes.state #>> '{walk,pages}'::text[])::integer)::integer AS walking_pages,
            sum((lanes.state #>> '{walk,entries}'::text[])::bigint)::bigint AS walking_entries
           FROM lanes
          WHERE lanes.source_kind = s.kind AND lanes.source_id = s.id AND lanes.filter_hash = s.filter_hash) l ON true
     LEFT JOIN LATERAL ( SELECT count(*)::integer AS holes
           FROM coverage_holes
          WHERE coverage_holes.source_kind = s.kind AND coverage_holes.source_id = s.id AND coverage_holes.filter_hash = s.filter_hash AND coverage_holes.pass = 0 AND coverage_holes.before > horizon.since) h ON true
     LEFT JOIN LATERAL ( SELECT ( SELECT sum(EXTRACT(epoch FROM upper(part.part) - lower(part.part)))::double precision AS sum
                   FROM unnest((c.ranges - c.proven) * tstzmultirange(tstzrange(horizon.since, now()))) part(part)) AS unproven_seconds,
            ( SELECT sum(EXTRACT(epoch FROM upper(part.part) - lower(part.part)))::double precision AS sum
                   FROM unnest((c.ranges - c.read_again) * tstzmultirange(tstzrange(horizon.since, now()))) part(part)) AS read_once_seconds) u ON true;

CREATE OR REPLACE FUNCTION public.orgtrail_access_log_shown(p_session_proof bytea, p_token text, OUT shown text, OUT token text, OUT since timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  select case when t.sees_access_log then 'all' else 'own' end, t.name, t.created_at into shown, token, since
  from console_session_proofs p join console_sessions s on s.key = p.key join access_tokens t on t.id = p.token_id
  where p.proof = sha256(p_session_proof) and s.expires_at > clock_timestamp() and s.token_id = t.id
    and t.revoked_at is null and coalesce(t.expires_at, 'infinity'::timestamptz) > clock_timestamp();
  if shown is not null then return; end if;
  shown := 'none';
  if not has_table_privilege(session_user, 'access_log'::regclass, 'select'::text) then return; end if;
  if p_token is null then
    shown := 'all';
    return;
  end if;
  select case when t.sees_access_log then 'all' else 'own' end, t.name, t.created_at into shown, token, since
  from access_tokens t where t.name = p_token and t.revoked_at is null;
  shown := coalesce(shown, 'none');
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_add_counts(a jsonb, b jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select coalesce(jsonb_object_agg(key, entries), '{}')
  from (select key, sum(value::bigint) as entries
    from (select key, value from jsonb_each_text(a) union all select key, value from jsonb_each_text(b)) both_of_them group by key) summed
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_archive_difference(p_month date, p_events bigint)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  object archive_objects;
  facts record;
  changes bigint;
begin
  if coalesce(p_events, 0) = 0 or not exists (select from archive_policy) then return null; end if;
  if orgtrail_archived(p_month, 'events') <> p_events then
    return pg_catalog.format('the archive has %s of its %s events', orgtrail_archived(p_month, 'events'), p_events);
  end if;
  for object in select o.* from archive_objects o
    where o.month = p_month and o.superseded_at is null and o.dropped_at is null
      and o.archive = (select p.archive from archive_policy p) order by o.kind, o.first_position
  loop
    select * into facts from orgtrail_archive_facts(object.kind, p_month, object.first_position, object.last_position);
    if (facts.events, facts.ids_sha256, facts.raw_sha256, facts.columns_sha256)
      is distinct from (object.events, object.ids_sha256, object.raw_sha256, object.columns_sha256) then
      return pg_catalog.format('the archive has other contents in %s', object.key);
    end if;
  end loop;
  select facts_of.events into changes
  from orgtrail_archive_facts('changes', p_month, 0, 9223372036854775807) as facts_of;
  if changes <> orgtrail_archived(p_month, 'changes') then
    return pg_catalog.format('the archive has %s of its %s later contents', orgtrail_archived(p_month, 'changes'), changes);
  end if;
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_archive_facts(p_kind text, p_month date, p_first bigint, p_last bigint, OUT events bigint, OUT first_position bigint, OUT last_position bigint, OUT ids_sha256 text, OUT raw_sha256 text, OUT columns_sha256 text, OUT organizations jsonb)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  since timestamptz := pg_catalog.date_trunc('month', p_month::timestamp) at time zone 'UTC';
  until timestamptz := (pg_catalog.date_trunc('month', p_month::timestamp) + interval '1 month') at time zone 'UTC';
begin
  if p_kind = 'changes' then
    select count(*), min(e.position), max(e.position),
      encode(sha256(convert_to(string_agg(c.source_kind || ' ' || c.source_id || ' ' || c.event_id || ' ' || c.raw_sha256, E'\n'
        order by c.position, c.id), 'UTF8')), 'hex'),
      encode(sha256(convert_to(string_agg(encode(sha256(convert_to(c.raw::text, 'UTF8')), 'hex'), E'\n' order by c.position, c.id), 'UTF8')), 'hex'),
      encode(sha256(convert_to(string_agg(encode(sha256(convert_to(concat_ws(E'\x1f',
        c.position, c.id, pg_catalog.floor(extract(epoch from c.seen_at) * 1000000)::bigint), 'UTF8')), 'hex'), E'\n'
        order by c.position, c.id), 'UTF8')), 'hex'), '{}'::jsonb
    into events, first_position, last_position, ids_sha256, raw_sha256, columns_sha256, organizations
    from audit_event_changes c join audit_events e on e.position = c.position
    where e.action_time >= since and e.action_time < until and c.position between p_first and p_last;
    return;
  end if;
  select count(*), min(e.position), max(e.position),
    encode(sha256(convert_to(string_agg(e.source_kind || ' ' || e.source_id || ' ' || e.id, E'\n' order by e.position), 'UTF8')), 'hex'),
    encode(sha256(convert_to(string_agg(encode(sha256(convert_to(e.raw::text, 'UTF8')), 'hex'), E'\n' order by e.position), 'UTF8')), 'hex'),
    encode(sha256(convert_to(string_agg(encode(sha256(convert_to(concat_ws(E'\x1f',
      e.position, coalesce(e.source_kind, E'\x1e'), coalesce(e.source_id, E'\x1e'), coalesce(e.organization_id, E'\x1e'), coalesce(e.id, E'\x1e'),
      pg_catalog.floor(extract(epoch from e.action_time) * 1000000)::bigint, pg_catalog.floor(extract(epoch from e.received_at) * 1000000)::bigint,
      coalesce(e.action_type, E'\x1e'), coalesce(e.action_result, E'\x1e'), coalesce(e.action_description, E'\x1e'), coalesce(e.actor_id, E'\x1e'),
      coalesce(e.actor_type, E'\x1e'), coalesce(e.actor_context, E'\x1e'), coalesce(e.actor_email, E'\x1e'), coalesce(e.actor_ip_address, E'\x1e'),
      coalesce(e.actor_token_id, E'\x1e'), coalesce(e.actor_token_name, E'\x1e'), coalesce(e.raw_cf_ray_id, E'\x1e'), coalesce(e.raw_method, E'\x1e'),
      coalesce(e.raw_status_code::text, E'\x1e'), coalesce(e.raw_uri, E'\x1e'), coalesce(e.raw_user_agent, E'\x1e'), coalesce(e.resource_id, E'\x1e'),
      coalesce(e.resource_product, E'\x1e'), coalesce(e.resource_type, E'\x1e'), coalesce(e.resource_scope, E'\x1e'), coalesce(e.account_id, E'\x1e'),
      coalesce(e.account_name, E'\x1e'), coalesce(e.zone_id, E'\x1e'), coalesce(e.zone_name, E'\x1e'),
      coalesce(pg_catalog.array_to_string(e.defects, ','), E'\x1e')), 'UTF8')), 'hex'), E'\n'
      order by e.position), 'UTF8')), 'hex')
  into events, first_position, last_position, ids_sha256, raw_sha256, columns_sha256
  from audit_events e
  where e.action_time >= since and e.action_time < until and e.position between p_first and p_last;
  select coalesce(jsonb_object_agg(o.organization, jsonb_build_object('events', o.events, 'from', o.earliest, 'to', o.latest)), '{}'::jsonb)
  into organizations
  from (select coalesce(e.organization_id, '') as organization, count(*) as events, min(e.action_time) as earliest, max(e.action_time) as latest
    from audit_events e
    where e.action_time >= since and e.action_time < until and e.position between p_first and p_last group by 1) as o;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_archive_obstacle(p_month date, p_highest bigint, p_events bigint)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  found_up_to bigint;
  bad record;
begin
  if p_highest is null or not exists (select from archive_policy) then return null; end if;
  select max(o.last_position) into found_up_to from archive_objects o
  where o.month = p_month and o.kind = 'events' and o.superseded_at is null and o.dropped_at is null
    and o.archive = (select p.archive from archive_policy p);
  if found_up_to is distinct from p_highest then
    return pg_catalog.format('the archive has its events up to position %s, and still needs those up to %s',
      coalesce(found_up_to, 0), p_highest);
  end if;
  select o.key, o.fault, o.verified_at into bad from archive_objects o
  where o.month = p_month and o.superseded_at is null and o.dropped_at is null
    and o.archive = (select p.archive from archive_policy p)
    and (o.fault is not null or o.verified_at < clock_timestamp() - interval '1 hour')
  order by o.fault is null, o.first_position limit 1;
  if bad.fault is not null then return pg_catalog.format('the archive has a fault: %s: %s', bad.key, left(bad.fault, 200)); end if;
  if bad.key is not null then
    return pg_catalog.format('the archive was not read back within the last hour: %s', bad.key);
  end if;
  if p_events is not null and orgtrail_archived(p_month, 'events') <> p_events then
    return pg_catalog.format('the archive has %s of its %s events', orgtrail_archived(p_month, 'events'), p_events);
  end if;
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_archived(p_month date, p_kind text)
 RETURNS bigint
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(sum(o.events), 0)::bigint from archive_objects o
  where o.month = p_month and o.kind = p_kind and o.superseded_at is null and o.dropped_at is null
    and o.archive = (select p.archive from archive_policy p)
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_ask_coverage(p_kinds text[], p_ids text[])
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  asked bigint;
begin
  insert into evidence_asked as a (source_kind, source_id, asked_at)
  select s.kind, s.id, clock_timestamp() from sources s
  where p_kinds is null or (s.kind, s.id) in (select u.kind, u.id from unnest(p_kinds, p_ids) as u (kind, id))
  order by s.kind, s.id
  on conflict (source_kind, source_id) do update set asked_at = excluded.asked_at;
  get diagnostics asked = row_count;
  return asked;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_begin_delivery(p_name text, p_epoch bigint, p_until bigint, p_lease_ms double precision)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  was bigint := (select s.position from sinks s where s.name = p_name and s.lease_epoch = p_epoch for update);
begin
  if was is null or p_until <= was then return false; end if;
  perform orgtrail_require_position(p_name, was, p_until);
  update sinks set batch_until = p_until, last_attempt_at = clock_timestamp(),
    lease_until = clock_timestamp() + orgtrail_span(p_lease_ms)
  where name = p_name;
  return true;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_bounded_instant(p_ms text)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE
AS $function$
  -- From 1970 to 9999.
  select case when p_ms is not null then pg_catalog.to_timestamp(least(greatest(p_ms::float8, 0), 253370764800000) / 1000) end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_check_timeline()
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if pg_is_in_recovery() or current_setting('transaction_read_only')::boolean then return; end if;
  update feed_head set position = position
  where only_row in (select only_row from feed_head where timeline <> orgtrail_timeline(tableoid) for update skip locked);
  perform orgtrail_compare_server();
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_claim_evidence(p_generation integer, p_owner text, p_lease_ms double precision)
 RETURNS TABLE(epoch bigint, held_by text)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  return query
    update evidence_logs l set lease_owner = p_owner, lease_epoch = l.lease_epoch + 1,
      lease_until = clock_timestamp() + orgtrail_span(p_lease_ms)
    where l.name = 'events' and l.generation = p_generation
      and (l.lease_until is null or l.lease_until <= clock_timestamp() or l.lease_owner = p_owner)
    returning l.lease_epoch, null::text;
  if not found then
    return query select null::bigint, l.lease_owner from evidence_logs l where l.name = 'events' and l.generation = p_generation;
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_claim_sink(p_name text, p_owner text, p_lease_ms double precision)
 RETURNS TABLE(epoch bigint, at_position bigint, batch_until bigint, failures integer, refused_in_row integer)
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  with free as (
    select name from sinks
    where name = p_name and (lease_until is null or lease_until <= clock_timestamp() or lease_owner = p_owner)
      and (next_attempt_at is null or next_attempt_at <= clock_timestamp())
    for update skip locked)
  update sinks s set lease_owner = p_owner, lease_epoch = lease_epoch + 1, lease_until = clock_timestamp() + orgtrail_span(p_lease_ms)
  from free where s.name = free.name
  returning s.lease_epoch, s.position, s.batch_until, s.failures, s.refused_in_row
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_claim_source(p_kind text, p_source_id text, p_owner text, p_lease_ms double precision, p_filter_hash text)
 RETURNS TABLE(epoch double precision, commit_seq double precision, source json)
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
begin
  -- Skips a row that is locked: the process that is writing to it holds the source.
  with free as (
    select kind, id from sources
    where kind = p_kind and id = p_source_id
      and (lease_until is null or lease_until <= clock_timestamp() or lease_owner = p_owner)
    for update skip locked)
  update sources s set lease_owner = p_owner, lease_epoch = lease_epoch + 1,
    lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000)
  from free where s.kind = free.kind and s.id = free.id
  returning s.lease_epoch, s.commit_seq into epoch, commit_seq;
  if not found then return; end if;
  -- A statement of its own: it sees what was committed while the one before waited.
  select to_json(state) into source from (
    select s.kind, s.id, s.event_rate as "eventRate", s.recent_event_rate as "recentEventRate", s.largest_page as "largestPage",
      o.id as "organizationId",
      s.access = 'refused' or s.account_id is null and o.state = 'refused' as refused,
      coalesce((select json_agg(json_build_array(c.pass, (
          select json_agg(json_build_array((extract(epoch from lower(r)) * 1000), (extract(epoch from upper(r)) * 1000)) order by r) from unnest(c.ranges) r)))
        from coverage c
        where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = p_filter_hash), '[]') as coverage,
      (select json_agg(json_build_array((extract(epoch from lower(r)) * 1000), (extract(epoch from upper(r)) * 1000)) order by r)
        from coverage c cross join lateral unnest(c.ranges - c.proven) r
        where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = p_filter_hash and c.pass = 0) as unproven,
      (select json_agg(json_build_array((extract(epoch from lower(r)) * 1000), (extract(epoch from upper(r)) * 1000)) order by r)
        from coverage c cross join lateral unnest(c.read_before) r
        where c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = p_filter_hash and c.pass = 0) as "readBefore",
      coalesce((select json_agg(json_build_object('lane', l.lane, 'state', l.state,
          'rest_ms', greatest(0, (extract(epoch from l.next_attempt_at - clock_timestamp()) * 1000))))
        from lanes l
        where l.source_kind = s.kind and l.source_id = s.id and l.filter_hash = p_filter_hash), '[]') as lanes,
      coalesce((select json_agg(json_build_object('pass', h.pass, 'range', json_build_array((extract(epoch from h.since) * 1000), (extract(epoch from h.before) * 1000)),
          'reason', h.reason, 'due', h.next_attempt_at <= clock_timestamp()))
        from coverage_holes h
        where h.source_kind = s.kind and h.source_id = s.id and h.filter_hash = p_filter_hash), '[]') as holes
    from sources s left join accounts a on a.id = s.account_id
      left join organizations o on o.id = coalesce(s.organization_id, a.organization_id)
    where s.kind = p_kind and s.id = p_source_id) state;
  return next;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_commit_page(p_kind text, p_source_id text, p_organization_id text, p_epoch bigint, p_owner text, p_commit_seq bigint, p_lease_ms double precision, p_lane text, p_filter_hash text, p_last_event_ms double precision, p_event_rate double precision, p_recent_event_rate double precision, p_claim_passes integer[], p_claim_ranges text[], p_known_from timestamp with time zone, p_known_to timestamp with time zone, p_walk_since_ms double precision, p_walk_before_ms double precision, p_walk_started_ms double precision, p_walk_cursor text, p_walk_pages integer, p_walk_empty_pages integer, p_walk_entries bigint, p_walk_last_time_ms double precision, p_walk_in_order boolean, p_walk_page_limit integer, p_walk_stalls integer, p_walk_stalled_entries bigint, p_walk_lookback_ms integer, p_raws json[], p_ids text[], p_times text[], p_firsts integer[], p_defects text[], p_action_type text[], p_action_result text[], p_action_description text[], p_actor_id text[], p_actor_type text[], p_actor_context text[], p_actor_email text[], p_actor_ip_address text[], p_actor_token_id text[], p_actor_token_name text[], p_raw_method text[], p_raw_uri text[], p_raw_user_agent text[], p_resource_id text[], p_resource_product text[], p_resource_type text[], p_resource_scope text[], p_raw_cf_ray_id text[], p_raw_status_code integer[])
 RETURNS TABLE(fence integer, entries integer, stored integer, changed integer, defective integer, lateness double precision[], covered json)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET plan_cache_mode TO 'force_generic_plan'
 SET jit TO 'off'
 SET search_path TO 'public', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  sorted_ids text[];
  known_ids text[];
  known_positions bigint[];
  known_raws json[];
  known_defects text[];
  last_position bigint;
  -- With one of these, at least one side is no jsonb that could be compared (src/domain/entry.ts).
  not_jsonb constant text[] := array['nul_character', 'lone_surrogate', 'number_out_of_range', 'nested_too_deeply', 'refused_by_database'];
begin
  -- Planned each time, since only with its times does the planner see which partitions it is about, and with their sizes how to read
  -- them: a plan from when a month was empty would read all of it later. All ids in one scan of each unique index: a join would ask
  -- once per entry, which costs twice as much. Seen too early, it does no harm: whoever stores for this source moves commit_seq.
  -- Each partition's index is read in the order of the ids, and what is in order need not be sorted for each anew.
  sorted_ids := array(select id from unnest(p_ids) as given (id) order by id collate "C");
  if p_known_from > '-infinity' or orgtrail_may_know_any(p_kind, p_source_id, sorted_ids) then
    execute $known$
      select array_agg(id), array_agg(position), array_agg(raw), array_agg(defects::text)
      from (
        select distinct on (id) id, position, raw, defects
        from (
          select id, position, raw, defects from audit_events
          where source_kind = $1 and source_id = $2 and action_time between $4 and $5 and id = any($3)
          union all
          select id, position, raw, defects from audit_events
          where source_kind = $1 and source_id = $2 and action_time = '-infinity' and id = any($3)) e
        order by id, position) known
    $known$ into known_ids, known_positions, known_raws, known_defects
    using p_kind, p_source_id, sorted_ids, p_known_from, p_known_to;
  end if;

  -- * A call that waited on the fence has an old snapshot; commit_seq, compared on the newest row, then differs, the fence is empty and
  --   nothing is written. Only for READ COMMITTED: elsewhere the wait ends in an error.
  -- * Which entries are new is decided on numbers and ids. The rest of an entry goes from the parameter into its row, without being sorted,
  --   joined or kept on the way: "numbering" tells by an array which position each has behind the head, 0 where it is known.
  -- * The feed's head is locked last: sources wait for one another only while rows go in.
  -- * "read_before" is the coverage of before this statement: all parts of it see the same snapshot.
  with fence as materialized (
    update sources set commit_seq = commit_seq + 1, failures = 0, next_attempt_at = null, last_failure = null,
      last_error = null, last_attempt_at = clock_timestamp(), last_success_at = clock_timestamp(),
      lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000),
      last_event_at = greatest(last_event_at,
        case when p_last_event_ms is not null then least(to_timestamp(p_last_event_ms / 1000), clock_timestamp()) end),
      event_rate = coalesce(p_event_rate, event_rate), recent_event_rate = coalesce(p_recent_event_rate, recent_event_rate)
    where kind = p_kind and id = p_source_id and lease_epoch = p_epoch and lease_owner = p_owner and commit_seq = p_commit_seq
    returning kind, id, commit_seq),
  walk_ends as (
    delete from walks w using fence
    where p_walk_since_ms is null and w.source_kind = fence.kind and w.source_id = fence.id and w.lane = p_lane),
  -- A walk is not persisted before its first page, so going on may mean beginning.
  walk_goes_on as (
    insert into walks as w (source_kind, source_id, lane, filter_hash, since, before, started_at, cursor, seq, pages,
      empty_pages, entries, last_time, in_order, page_limit, stalls, stalled_entries, lookback_ms)
    select kind, id, p_lane, p_filter_hash, to_timestamp(p_walk_since_ms / 1000), to_timestamp(p_walk_before_ms / 1000),
      to_timestamp(p_walk_started_ms / 1000), p_walk_cursor, commit_seq, p_walk_pages, p_walk_empty_pages, p_walk_entries,
      to_timestamp(p_walk_last_time_ms / 1000), p_walk_in_order, p_walk_page_limit, p_walk_stalls, p_walk_stalled_entries,
      p_walk_lookback_ms
    from fence where p_walk_since_ms is not null
    on conflict (source_kind, source_id, lane) do update set filter_hash = excluded.filter_hash, since = excluded.since,
      before = excluded.before, started_at = excluded.started_at, cursor = excluded.cursor, seq = excluded.seq,
      pages = excluded.pages, empty_pages = excluded.empty_pages, entries = excluded.entries,
      last_time = excluded.last_time, in_order = excluded.in_order, page_limit = excluded.page_limit,
      stalls = excluded.stalls, stalled_entries = excluded.stalled_entries, lookback_ms = excluded.lookback_ms),
  claim as (
    insert into coverage as c (source_kind, source_id, filter_hash, pass, ranges)
    select kind, id, p_filter_hash, claimed.pass, claimed.ranges::tstzmultirange
      * tstzmultirange(tstzrange(null, date_trunc('milliseconds', clock_timestamp()) + interval '60 seconds'))
    from fence, unnest(p_claim_passes, p_claim_ranges) as claimed (pass, ranges)
    on conflict (source_kind, source_id, filter_hash, pass) do update set ranges = c.ranges + excluded.ranges),
  page as materialized (
    select n, id, first_n = n as first, defects::text[] as defects
    from (select generate_subscripts(p_ids, 1) as n, unnest(p_ids) as id, unnest(p_firsts) as first_n,
        unnest(p_defects) as defects from fence) read),
  known as materialized (
    select id, position, raw, defects::text[] as defects
    from unnest(known_ids, known_positions, known_raws, known_defects) as k (id, position, raw, defects)),
  fresh as materialized (
    select n, is_fresh, is_fresh and defects is not null as defective, sum(is_fresh::integer) over (order by n) as ordinal
    from (select p.n, p.defects, p.first and k.id is null as is_fresh from page p left join known k on k.id = p.id) decided),
  numbering as materialized (
    select array_agg(case when is_fresh then ordinal else 0 end order by n) as ordinals, max(ordinal) as entries from fresh),
  head as (
    update feed_head set position = position + numbering.entries from numbering
    where numbering.entries > 0 returning position - numbering.entries as base),
  stored as (
    insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw, defects,
      action_type, action_result, action_description, actor_id, actor_type, actor_context, actor_email,
      actor_ip_address, actor_token_id, actor_token_name, raw_method, raw_uri, raw_user_agent, resource_id,
      resource_product, resource_type, resource_scope, raw_cf_ray_id, raw_status_code)
    select p_kind, p_source_id, p_organization_id, id, (select base from head) + (select ordinals from numbering)[n],
      action_time::timestamptz, raw, defects::text[],
      action_type, action_result, action_description, actor_id, actor_type, actor_context, actor_email,
      actor_ip_address, actor_token_id, actor_token_name, raw_method, raw_uri, raw_user_agent, resource_id,
      resource_product, resource_type, resource_scope, raw_cf_ray_id, raw_status_code
    from (
      select generate_subscripts(p_ids, 1) as n, unnest(p_ids) as id, unnest(p_times) as action_time, unnest(p_raws) as raw,
        unnest(p_defects) as defects,
        unnest(p_action_type) as action_type, unnest(p_action_result) as action_result,
        unnest(p_action_description) as action_description, unnest(p_actor_id) as actor_id,
        unnest(p_actor_type) as actor_type, unnest(p_actor_context) as actor_context,
        unnest(p_actor_email) as actor_email, unnest(p_actor_ip_address) as actor_ip_address,
        unnest(p_actor_token_id) as actor_token_id, unnest(p_actor_token_name) as actor_token_name,
        unnest(p_raw_method) as raw_method, unnest(p_raw_uri) as raw_uri,
        unnest(p_raw_user_agent) as raw_user_agent, unnest(p_resource_id) as resource_id,
        unnest(p_resource_product) as resource_product, unnest(p_resource_type) as resource_type,
        unnest(p_resource_scope) as resource_scope, unnest(p_raw_cf_ray_id) as raw_cf_ray_id,
        unnest(p_raw_status_code) as raw_status_code
      from (select where (select entries from numbering) > 0) as wanted) e
    where (select ordinals from numbering)[n] > 0
    returning id, position, action_time),
  firsts as materialized (
    select id, position, raw, defects from known
    union all
    select f.id, s.position, p_raws[f.n], f.defects from (select distinct id from page where not first) again
      join page f on f.id = again.id and f.first join stored s on s.id = f.id),
  differing as materialized (
    select distinct on (p.id, p.raw::text) p.id, p.raw, f.position
    from firsts f
      join (select page.n, page.id, page.defects, r.raw from page
        join (select generate_subscripts(p_raws, 1) as n, unnest(p_raws) as raw
          from (select where exists (select from firsts)) as wanted) r using (n)) p on p.id = f.id
    where p.raw::text <> f.raw::text and case
      when p.defects && not_jsonb or f.defects && not_jsonb then true
      else p.raw::jsonb <> f.raw::jsonb end),
  changed as (
    insert into audit_event_changes (source_kind, source_id, event_id, position, raw, raw_sha256)
    select p_kind, p_source_id, id, position, raw, encode(sha256(convert_to(raw::text, 'UTF8')), 'hex') from differing
    on conflict (source_kind, source_id, event_id, raw_sha256) do nothing returning 1),
  read_before as materialized (
    select pass, ranges from coverage
    where source_kind = p_kind and source_id = p_source_id and filter_hash = p_filter_hash),
  covered as (
    select pass, count(*)::integer as entries
    from (select (select max(pass) from read_before where ranges @> action_time) as pass
      from stored where action_time > '-infinity') late
    where pass is not null group by pass)
  select (select count(*) from fence)::integer, (select count(*) from page)::integer,
    (select count(*) from stored)::integer, (select count(*) from changed)::integer,
    (select count(*) from fresh where defective)::integer,
    (select array_agg(extract(epoch from clock_timestamp() - action_time)::float8) from stored
      where p_lane = 'live' and action_time > '-infinity'),
    (select json_agg(json_build_object('pass', pass, 'entries', entries)) from covered),
    (select max(position) from stored)
  into fence, entries, stored, changed, defective, lateness, covered, last_position;
  if last_position is not null then perform pg_notify('orgtrail_feed', last_position::text); end if;
  return next;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_commit_page_2(p_kind text, p_source_id text, p_organization_id text, p_epoch bigint, p_owner text, p_commit_seq bigint, p_lease_ms double precision, p_lane text, p_filter_hash text, p_last_event_ms double precision, p_event_rate double precision, p_recent_event_rate double precision, p_claim_passes integer[], p_claim_ranges text[], p_known_from timestamp with time zone, p_known_to timestamp with time zone, p_state jsonb, p_holes jsonb, p_reading jsonb, p_page_entries integer, p_reads jsonb, p_raws json[], p_ids text[], p_times text[], p_firsts integer[], p_defects text[], p_action_type text[], p_action_result text[], p_action_description text[], p_actor_id text[], p_actor_type text[], p_actor_context text[], p_actor_email text[], p_actor_ip_address text[], p_actor_token_id text[], p_actor_token_name text[], p_raw_method text[], p_raw_uri text[], p_raw_user_agent text[], p_resource_id text[], p_resource_product text[], p_resource_type text[], p_resource_scope text[], p_account_id text[], p_account_name text[], p_zone_id text[], p_zone_name text[], p_raw_cf_ray_id text[], p_raw_status_code integer[])
 RETURNS TABLE(fence integer, entries integer, stored integer, changed integer, defective integer, lateness double precision[], covered json)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET plan_cache_mode TO 'force_generic_plan'
 SET jit TO 'off'
 SET search_path TO 'public', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  sorted_ids text[];
  known_ids text[];
  known_positions bigint[];
  known_raws json[];
  known_defects text[];
  ordinals integer[];
  base bigint;
  last_position bigint;
  found_by_day jsonb := '{}';
  -- With one of these, at least one side is no jsonb that could be compared (src/ingest/entries/entry.ts).
  not_jsonb constant text[] := array['nul_character', 'lone_surrogate', 'number_out_of_range', 'nested_too_deeply', 'refused_by_database'];
begin
  -- Planned each time, since only with its times does the planner see which partitions it is about, and with their sizes how to read
  -- them: a plan from when a month was empty would read all of it later. All ids in one scan of each unique index: a join would ask
  -- once per entry, which costs twice as much. Seen too early, it does no harm: any process that stores for this source moves commit_seq.
  -- Each partition's index is read in the order of the ids, and what is in order need not be sorted for each anew.
  if cardinality(p_ids) > 0 then
    sorted_ids := array(select id from unnest(p_ids) as given (id) order by id collate "C");
    -- Of a source without anything stored, nothing is known.
    if (case when p_known_from = '-infinity' then orgtrail_may_know_any(p_kind, p_source_id, sorted_ids)
      else (select last_event_at from sources where kind = p_kind and id = p_source_id) is not null
        or orgtrail_has_stored(p_kind, p_source_id) end) then
      execute $known$
        select array_agg(id), array_agg(position), array_agg(raw), array_agg(defects::text)
        from (
          select distinct on (id) id, position, raw, defects
          from (
            select id, position, raw, defects from audit_events
            where source_kind = $1 and source_id = $2 and action_time between $4 and $5 and id = any($3)
            union all
            select id, position, raw, defects from audit_events
            where source_kind = $1 and source_id = $2 and action_time = '-infinity' and id = any($3)) e
          order by id, position) known
      $known$ into known_ids, known_positions, known_raws, known_defects
      using p_kind, p_source_id, sorted_ids, p_known_from, p_known_to;
    end if;
  end if;

  -- The fence. A call that waited on it has an old snapshot; commit_seq, compared on the newest row, then differs, and nothing is written. Only for
  -- READ COMMITTED: elsewhere the wait ends in an error. What follows is of the same transaction, and each statement sees what this one waited for.
  update sources set commit_seq = commit_seq + 1, last_attempt_at = clock_timestamp(),
    lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000),
    last_event_at = greatest(last_event_at,
      case when p_last_event_ms is not null then least(to_timestamp(p_last_event_ms / 1000), clock_timestamp()) end),
    event_rate = coalesce(p_event_rate, event_rate), recent_event_rate = coalesce(p_recent_event_rate, recent_event_rate),
    largest_page = greatest(largest_page, p_page_entries)
  where kind = p_kind and id = p_source_id and lease_epoch = p_epoch and lease_owner = p_owner and commit_seq = p_commit_seq;
  fence := found::integer;
  entries := 0;
  stored := 0;
  changed := 0;
  defective := 0;
  if fence = 0 then
    return next;
    return;
  end if;

  -- Most pages are empty: what they do not need is not begun.
  -- Which entries are new is decided on numbers and ids. "ordinals" tells which position each has behind the head, 0 for one that is known.
  -- The coverage is that of before this page.
  if cardinality(p_ids) > 0 then
    with known as materialized (
      select id from unnest(known_ids) as k (id)),
    decided as materialized (
      select p.n, p.day_time, p.defects, p.first_n = p.n and k.id is null as is_fresh
      from (select generate_subscripts(p_ids, 1) as n, unnest(p_ids) as id, unnest(p_firsts) as first_n,
          unnest(p_times)::timestamptz as day_time, unnest(p_defects) as defects) p
        left join known k on k.id = p.id),
    fresh as materialized (
      select n, day_time, is_fresh, is_fresh and defects is not null as defective, sum(is_fresh::integer) over (order by n) as ordinal from decided),
    found as (
      select coalesce(jsonb_object_agg(day, entries), '{}') as by_day
      from (select to_char(day_time at time zone 'UTC', 'YYYY-MM-DD') as day, count(*) as entries
        from fresh where is_fresh and day_time > '-infinity' group by 1) days),
    read_before as materialized (
      select pass, ranges from coverage
      where source_kind = p_kind and source_id = p_source_id and filter_hash = p_filter_hash),
    covered as (
      select pass, count(*)::integer as entries
      from (select (select max(pass) from read_before where ranges @> day_time) as pass
        from fresh where is_fresh and day_time > '-infinity') late
      where pass is not null group by pass)
    select array_agg(case when is_fresh then ordinal else 0 end order by n), coalesce(max(ordinal), 0)::integer, count(*)::integer,
      count(*) filter (where defective)::integer,
      (select by_day from found), (select json_agg(json_build_object('pass', pass, 'entries', entries)) from covered)
    into ordinals, stored, entries, defective, found_by_day, covered
    from fresh;
  end if;

  if cardinality(p_claim_passes) > 0 then
    -- Whatever a caller takes for now: the future cannot have been read. In whole milliseconds, as all claims are.
    with claimed as materialized (
      select pass, ranges::tstzmultirange
        * tstzmultirange(tstzrange(null, date_trunc('milliseconds', clock_timestamp()) + interval '60 seconds')) as ranges
      from unnest(p_claim_passes, p_claim_ranges) as c (pass, ranges)),
    read_before as materialized (
      select pass, ranges from coverage
      where source_kind = p_kind and source_id = p_source_id and filter_hash = p_filter_hash),
    claim as (
      insert into coverage as c (source_kind, source_id, filter_hash, pass, ranges, proven)
      select p_kind, p_source_id, p_filter_hash, pass, ranges, ranges from claimed where not isempty(ranges)
      on conflict (source_kind, source_id, filter_hash, pass)
      do update set ranges = c.ranges + excluded.ranges, proven = c.proven + excluded.proven)
    delete from coverage_holes h using claimed
    where h.source_kind = p_kind and h.source_id = p_source_id and h.filter_hash = p_filter_hash
      and (h.pass = claimed.pass or p_lane = 'scrub' and h.pass = 100 and claimed.pass = 0)
      -- A hole of more than a second may be read in parts.
      and tstzrange(h.since, h.before) <@ (claimed.ranges + case when h.pass = claimed.pass
        then coalesce((select ranges from read_before where read_before.pass = claimed.pass), '{}') else '{}' end);
  end if;
  if p_holes is not null then
    with hole_given as materialized (
      select (e ->> 'pass')::integer as pass, to_timestamp((e ->> 'fromMs')::float8 / 1000) as since,
        to_timestamp((e ->> 'toMs')::float8 / 1000) as before, e ->> 'reason' as reason, e ->> 'message' as message
      from jsonb_array_elements(p_holes) e),
    -- A hole that grows takes in those that it reaches. It has been tried as often as they, and once more if it was due.
    hole_before as materialized (
      select g.pass, g.since, max(h.attempts) as attempts, min(h.next_attempt_at) as next_attempt_at, min(h.found_at) as found_at
      from hole_given g join coverage_holes h on h.source_kind = p_kind and h.source_id = p_source_id and h.filter_hash = p_filter_hash
        and h.pass = g.pass and h.since >= g.since and h.before <= g.before
      group by g.pass, g.since),
    hole_taken_in as (
      delete from coverage_holes h using hole_given g
      where h.source_kind = p_kind and h.source_id = p_source_id and h.filter_hash = p_filter_hash
        and h.pass = g.pass and h.since > g.since and h.before <= g.before)
    insert into coverage_holes as h (source_kind, source_id, filter_hash, pass, since, before, reason, message,
      attempts, found_at, next_attempt_at)
    select p_kind, p_source_id, p_filter_hash, g.pass, g.since, g.before, g.reason, g.message,
      case when b.next_attempt_at > clock_timestamp() then b.attempts else coalesce(b.attempts, 0) + 1 end,
      coalesce(b.found_at, clock_timestamp()),
      -- After an hour, two, four, up to a week.
      case when b.next_attempt_at > clock_timestamp() then b.next_attempt_at
        else clock_timestamp() + make_interval(hours => least(168, 2 ^ least(coalesce(b.attempts, 0), 8))::integer) end
    from hole_given g left join hole_before b using (pass, since)
    on conflict (source_kind, source_id, filter_hash, pass, since) do update set before = excluded.before, reason = excluded.reason,
      message = excluded.message, attempts = excluded.attempts, last_attempt_at = clock_timestamp(),
      found_at = excluded.found_at, next_attempt_at = excluded.next_attempt_at;
  end if;
  -- Progress is what brought something, or was read to its end.
  if p_state is not null then
    insert into lanes as l (source_kind, source_id, filter_hash, lane, state, failures, last_success_at, found)
    values (p_kind, p_source_id, p_filter_hash, p_lane, p_state, (p_state ->> 'failures')::integer,
      case when cardinality(p_claim_passes) > 0 or stored > 0 then clock_timestamp() end, found_by_day)
    on conflict (source_kind, source_id, filter_hash, lane) do update set state = excluded.state, failures = excluded.failures,
      last_attempt_at = excluded.last_attempt_at, next_attempt_at = null,
      last_success_at = coalesce(excluded.last_success_at, l.last_success_at),
      last_failure = case when excluded.failures > 0 then l.last_failure end,
      last_error = case when excluded.failures > 0 then l.last_error end,
      found = case when excluded.found = '{}' then l.found else orgtrail_add_counts(l.found, excluded.found) end;
  elsif found_by_day <> '{}' then
    -- What a question finds that leaves the lane as it is.
    update lanes l set found = orgtrail_add_counts(l.found, found_by_day)
    where l.source_kind = p_kind and l.source_id = p_source_id and l.filter_hash = p_filter_hash and l.lane = p_lane;
  end if;
  if p_reading is not null then
    perform orgtrail_note_reading(p_kind, p_source_id, p_filter_hash, p_lane, p_reading);
  end if;
  -- What proves the claim is kept if there is a log of evidence that has not ended.
  if p_reads is not null and exists (select from evidence_logs l where l.name = 'events' and l.ended_at is null
      and l.generation = (select max(g.generation) from evidence_logs g)) then
    perform orgtrail_note_reads(p_kind, p_source_id, p_filter_hash, p_lane, p_reads);
  end if;
  -- The feed's head is locked last: sources wait for one another only while rows go in. The rest of an entry goes from the parameter into its
  -- row, without being sorted, joined or kept on the way.
  if stored > 0 then
    update feed_head set position = position + stored returning position - stored into base;
    with rows_stored as (
      insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw, defects,
        action_type, action_result, action_description, actor_id, actor_type, actor_context, actor_email,
        actor_ip_address, actor_token_id, actor_token_name, raw_method, raw_uri, raw_user_agent, resource_id,
        resource_product, resource_type, resource_scope, account_id, account_name, zone_id, zone_name, raw_cf_ray_id, raw_status_code)
      select p_kind, p_source_id, p_organization_id, id, base + ordinals[n],
        action_time::timestamptz, raw, defects::text[],
        action_type, action_result, action_description, actor_id, actor_type, actor_context, actor_email,
        actor_ip_address, actor_token_id, actor_token_name, raw_method, raw_uri, raw_user_agent, resource_id,
        resource_product, resource_type, resource_scope,
        -- Whatever the entry says or leaves out: the log of an account is about that account.
        coalesce(account_id, case when p_kind = 'account' then p_source_id end), account_name, zone_id, zone_name,
        raw_cf_ray_id, raw_status_code
      from (
        select generate_subscripts(p_ids, 1) as n, unnest(p_ids) as id, unnest(p_times) as action_time, unnest(p_raws) as raw,
          unnest(p_defects) as defects,
          unnest(p_action_type) as action_type, unnest(p_action_result) as action_result,
          unnest(p_action_description) as action_description, unnest(p_actor_id) as actor_id,
          unnest(p_actor_type) as actor_type, unnest(p_actor_context) as actor_context,
          unnest(p_actor_email) as actor_email, unnest(p_actor_ip_address) as actor_ip_address,
          unnest(p_actor_token_id) as actor_token_id, unnest(p_actor_token_name) as actor_token_name,
          unnest(p_raw_method) as raw_method, unnest(p_raw_uri) as raw_uri,
          unnest(p_raw_user_agent) as raw_user_agent, unnest(p_resource_id) as resource_id,
          unnest(p_resource_product) as resource_product, unnest(p_resource_type) as resource_type,
          unnest(p_resource_scope) as resource_scope, unnest(p_account_id) as account_id,
          unnest(p_account_name) as account_name, unnest(p_zone_id) as zone_id, unnest(p_zone_name) as zone_name,
          unnest(p_raw_cf_ray_id) as raw_cf_ray_id,
          unnest(p_raw_status_code) as raw_status_code) e
      where ordinals[n] > 0
      returning action_time, position)
    select max(position), array_agg(extract(epoch from clock_timestamp() - action_time)::float8)
        filter (where p_lane = 'live' and action_time > '-infinity')
    into last_position, lateness from rows_stored;
  end if;
  -- An id that was known, or comes twice in this page, may have other content now.
  if stored < entries then
    with page as materialized (
      select n, id, first_n = n as first, defects::text[] as defects
      from (select generate_subscripts(p_ids, 1) as n, unnest(p_ids) as id, unnest(p_firsts) as first_n,
          unnest(p_defects) as defects) read),
    firsts as materialized (
      select id, position, raw, defects::text[] as defects
      from unnest(known_ids, known_positions, known_raws, known_defects) as k (id, position, raw, defects)
      union all
      select f.id, base + ordinals[f.n], p_raws[f.n], f.defects from (select distinct id from page where not first) again
        join page f on f.id = again.id and f.first where ordinals[f.n] > 0),
    differing as materialized (
      select distinct on (p.id, p.raw::text) p.id, p.raw, f.position
      from firsts f
        join (select page.n, page.id, page.defects, r.raw from page
          join (select generate_subscripts(p_raws, 1) as n, unnest(p_raws) as raw) r using (n)) p on p.id = f.id
      where p.raw::text <> f.raw::text and case
        when p.defects && not_jsonb or f.defects && not_jsonb then true
        else p.raw::jsonb <> f.raw::jsonb end),
    changed_now as (
      insert into audit_event_changes (source_kind, source_id, event_id, position, raw, raw_sha256)
      select p_kind, p_source_id, id, position, raw, encode(sha256(convert_to(raw::text, 'UTF8')), 'hex') from differing
      on conflict (source_kind, source_id, event_id, raw_sha256) do nothing returning 1)
    select count(*)::integer into changed from changed_now;
  end if;
  if last_position is not null then perform pg_notify('orgtrail_feed', last_position::text); end if;
  return next;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_commit_source_page(p_kind text, p_source_id text, p_organization_id text, p_epoch bigint, p_owner text, p_commit_seq bigint, p_lease_ms double precision, p_lane text, p_filter_hash text, p_last_event_ms double precision, p_event_rate double precision, p_recent_event_rate double precision, p_claim_passes integer[], p_claim_ranges text[], p_known_from timestamp with time zone, p_known_to timestamp with time zone, p_state jsonb, p_holes jsonb, p_reading jsonb, p_page_entries integer, p_raws json[], p_ids text[], p_times text[], p_firsts integer[], p_defects text[], p_action_type text[], p_action_result text[], p_action_description text[], p_actor_id text[], p_actor_type text[], p_actor_context text[], p_actor_email text[], p_actor_ip_address text[], p_actor_token_id text[], p_actor_token_name text[], p_raw_method text[], p_raw_uri text[], p_raw_user_agent text[], p_resource_id text[], p_resource_product text[], p_resource_type text[], p_resource_scope text[], p_account_id text[], p_account_name text[], p_zone_id text[], p_zone_name text[], p_raw_cf_ray_id text[], p_raw_status_code integer[])
 RETURNS TABLE(fence integer, entries integer, stored integer, changed integer, defective integer, lateness double precision[], covered json)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET plan_cache_mode TO 'force_generic_plan'
 SET jit TO 'off'
 SET search_path TO 'public', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  sorted_ids text[];
  known_ids text[];
  known_positions bigint[];
  known_raws json[];
  known_defects text[];
  ordinals integer[];
  base bigint;
  last_position bigint;
  found_by_day jsonb := '{}';
  -- With one of these, at least one side is no jsonb that could be compared (src/ingest/entries/entry.ts).
  not_jsonb constant text[] := array['nul_character', 'lone_surrogate', 'number_out_of_range', 'nested_too_deeply', 'refused_by_database'];
begin
  -- Planned each time, since only with its times does the planner see which partitions it is about, and with their sizes how to read
  -- them: a plan from when a month was empty would read all of it later. All ids in one scan of each unique index: a join would ask
  -- once per entry, which costs twice as much. Seen too early, it does no harm: whoever stores for this source moves commit_seq.
  -- Each partition's index is read in the order of the ids, and what is in order need not be sorted for each anew.
  if cardinality(p_ids) > 0 then
    sorted_ids := array(select id from unnest(p_ids) as given (id) order by id collate "C");
    -- Of a source without anything stored, nothing is known.
    if (case when p_known_from = '-infinity' then orgtrail_may_know_any(p_kind, p_source_id, sorted_ids)
      else (select last_event_at from sources where kind = p_kind and id = p_source_id) is not null
        or orgtrail_has_stored(p_kind, p_source_id) end) then
      execute $known$
        select array_agg(id), array_agg(position), array_agg(raw), array_agg(defects::text)
        from (
          select distinct on (id) id, position, raw, defects
          from (
            select id, position, raw, defects from audit_events
            where source_kind = $1 and source_id = $2 and action_time between $4 and $5 and id = any($3)
            union all
            select id, position, raw, defects from audit_events
            where source_kind = $1 and source_id = $2 and action_time = '-infinity' and id = any($3)) e
          order by id, position) known
      $known$ into known_ids, known_positions, known_raws, known_defects
      using p_kind, p_source_id, sorted_ids, p_known_from, p_known_to;
    end if;
  end if;

  -- The fence. A call that waited on it has an old snapshot; commit_seq, compared on the newest row, then differs, and nothing is written. Only for
  -- READ COMMITTED: elsewhere the wait ends in an error. What follows is of the same transaction, and each statement sees what this one waited for.
  update sources set commit_seq = commit_seq + 1, last_attempt_at = clock_timestamp(),
    lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000),
    last_event_at = greatest(last_event_at,
      case when p_last_event_ms is not null then least(to_timestamp(p_last_event_ms / 1000), clock_timestamp()) end),
    event_rate = coalesce(p_event_rate, event_rate), recent_event_rate = coalesce(p_recent_event_rate, recent_event_rate),
    largest_page = greatest(largest_page, p_page_entries)
  where kind = p_kind and id = p_source_id and lease_epoch = p_epoch and lease_owner = p_owner and commit_seq = p_commit_seq;
  fence := found::integer;
  entries := 0;
  stored := 0;
  changed := 0;
  defective := 0;
  if fence = 0 then
    return next;
    return;
  end if;

  -- Most pages are empty: what they do not need is not begun.
  -- Which entries are new is decided on numbers and ids. "ordinals" tells which position each has behind the head, 0 for one that is known.
  -- The coverage is that of before this page.
  if cardinality(p_ids) > 0 then
    with known as materialized (
      select id from unnest(known_ids) as k (id)),
    decided as materialized (
      select p.n, p.day_time, p.defects, p.first_n = p.n and k.id is null as is_fresh
      from (select generate_subscripts(p_ids, 1) as n, unnest(p_ids) as id, unnest(p_firsts) as first_n,
          unnest(p_times)::timestamptz as day_time, unnest(p_defects) as defects) p
        left join known k on k.id = p.id),
    fresh as materialized (
      select n, day_time, is_fresh, is_fresh and defects is not null as defective, sum(is_fresh::integer) over (order by n) as ordinal from decided),
    found as (
      select coalesce(jsonb_object_agg(day, entries), '{}') as by_day
      from (select to_char(day_time at time zone 'UTC', 'YYYY-MM-DD') as day, count(*) as entries
        from fresh where is_fresh and day_time > '-infinity' group by 1) days),
    read_before as materialized (
      select pass, ranges from coverage
      where source_kind = p_kind and source_id = p_source_id and filter_hash = p_filter_hash),
    covered as (
      select pass, count(*)::integer as entries
      from (select (select max(pass) from read_before where ranges @> day_time) as pass
        from fresh where is_fresh and day_time > '-infinity') late
      where pass is not null group by pass)
    select array_agg(case when is_fresh then ordinal else 0 end order by n), coalesce(max(ordinal), 0)::integer, count(*)::integer,
      count(*) filter (where defective)::integer,
      (select by_day from found), (select json_agg(json_build_object('pass', pass, 'entries', entries)) from covered)
    into ordinals, stored, entries, defective, found_by_day, covered
    from fresh;
  end if;

  if cardinality(p_claim_passes) > 0 then
    -- Whatever a caller takes for now: the future cannot have been read. In whole milliseconds, as all claims are.
    with claimed as materialized (
      select pass, ranges::tstzmultirange
        * tstzmultirange(tstzrange(null, date_trunc('milliseconds', clock_timestamp()) + interval '60 seconds')) as ranges
      from unnest(p_claim_passes, p_claim_ranges) as c (pass, ranges)),
    read_before as materialized (
      select pass, ranges from coverage
      where source_kind = p_kind and source_id = p_source_id and filter_hash = p_filter_hash),
    claim as (
      insert into coverage as c (source_kind, source_id, filter_hash, pass, ranges, proven)
      select p_kind, p_source_id, p_filter_hash, pass, ranges, ranges from claimed where not isempty(ranges)
      on conflict (source_kind, source_id, filter_hash, pass)
      do update set ranges = c.ranges + excluded.ranges, proven = c.proven + excluded.proven)
    delete from coverage_holes h using claimed
    where h.source_kind = p_kind and h.source_id = p_source_id and h.filter_hash = p_filter_hash
      and (h.pass = claimed.pass or p_lane = 'scrub' and h.pass = 100 and claimed.pass = 0)
      -- A hole of more than a second may be read in parts.
      and tstzrange(h.since, h.before) <@ (claimed.ranges + case when h.pass = claimed.pass
        then coalesce((select ranges from read_before where read_before.pass = claimed.pass), '{}') else '{}' end);
  end if;
  if p_holes is not null then
    with hole_given as materialized (
      select (e ->> 'pass')::integer as pass, to_timestamp((e ->> 'fromMs')::float8 / 1000) as since,
        to_timestamp((e ->> 'toMs')::float8 / 1000) as before, e ->> 'reason' as reason, e ->> 'message' as message
      from jsonb_array_elements(p_holes) e),
    -- A hole that grows takes in those that it reaches. It has been tried as often as they, and once more if it was due.
    hole_before as materialized (
      select g.pass, g.since, max(h.attempts) as attempts, min(h.next_attempt_at) as next_attempt_at, min(h.found_at) as found_at
      from hole_given g join coverage_holes h on h.source_kind = p_kind and h.source_id = p_source_id and h.filter_hash = p_filter_hash
        and h.pass = g.pass and h.since >= g.since and h.before <= g.before
      group by g.pass, g.since),
    hole_taken_in as (
      delete from coverage_holes h using hole_given g
      where h.source_kind = p_kind and h.source_id = p_source_id and h.filter_hash = p_filter_hash
        and h.pass = g.pass and h.since > g.since and h.before <= g.before)
    insert into coverage_holes as h (source_kind, source_id, filter_hash, pass, since, before, reason, message,
      attempts, found_at, next_attempt_at)
    select p_kind, p_source_id, p_filter_hash, g.pass, g.since, g.before, g.reason, g.message,
      case when b.next_attempt_at > clock_timestamp() then b.attempts else coalesce(b.attempts, 0) + 1 end,
      coalesce(b.found_at, clock_timestamp()),
      -- After an hour, two, four, up to a week.
      case when b.next_attempt_at > clock_timestamp() then b.next_attempt_at
        else clock_timestamp() + make_interval(hours => least(168, 2 ^ least(coalesce(b.attempts, 0), 8))::integer) end
    from hole_given g left join hole_before b using (pass, since)
    on conflict (source_kind, source_id, filter_hash, pass, since) do update set before = excluded.before, reason = excluded.reason,
      message = excluded.message, attempts = excluded.attempts, last_attempt_at = clock_timestamp(),
      found_at = excluded.found_at, next_attempt_at = excluded.next_attempt_at;
  end if;
  -- Progress is what brought something, or was read to its end.
  if p_state is not null then
    insert into lanes as l (source_kind, source_id, filter_hash, lane, state, failures, last_success_at, found)
    values (p_kind, p_source_id, p_filter_hash, p_lane, p_state, (p_state ->> 'failures')::integer,
      case when cardinality(p_claim_passes) > 0 or stored > 0 then clock_timestamp() end, found_by_day)
    on conflict (source_kind, source_id, filter_hash, lane) do update set state = excluded.state, failures = excluded.failures,
      last_attempt_at = excluded.last_attempt_at, next_attempt_at = null,
      last_success_at = coalesce(excluded.last_success_at, l.last_success_at),
      last_failure = case when excluded.failures > 0 then l.last_failure end,
      last_error = case when excluded.failures > 0 then l.last_error end,
      found = case when excluded.found = '{}' then l.found else orgtrail_add_counts(l.found, excluded.found) end;
  elsif found_by_day <> '{}' then
    -- What a question finds that leaves the lane as it is.
    update lanes l set found = orgtrail_add_counts(l.found, found_by_day)
    where l.source_kind = p_kind and l.source_id = p_source_id and l.filter_hash = p_filter_hash and l.lane = p_lane;
  end if;
  if p_reading is not null then
    perform orgtrail_note_reading(p_kind, p_source_id, p_filter_hash, p_lane, p_reading);
  end if;
  -- The feed's head is locked last: sources wait for one another only while rows go in. The rest of an entry goes from the parameter into its
  -- row, without being sorted, joined or kept on the way.
  if stored > 0 then
    update feed_head set position = position + stored returning position - stored into base;
    with rows_stored as (
      insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw, defects,
        action_type, action_result, action_description, actor_id, actor_type, actor_context, actor_email,
        actor_ip_address, actor_token_id, actor_token_name, raw_method, raw_uri, raw_user_agent, resource_id,
        resource_product, resource_type, resource_scope, account_id, account_name, zone_id, zone_name, raw_cf_ray_id, raw_status_code)
      select p_kind, p_source_id, p_organization_id, id, base + ordinals[n],
        action_time::timestamptz, raw, defects::text[],
        action_type, action_result, action_description, actor_id, actor_type, actor_context, actor_email,
        actor_ip_address, actor_token_id, actor_token_name, raw_method, raw_uri, raw_user_agent, resource_id,
        resource_product, resource_type, resource_scope,
        -- Whatever the entry says or leaves out: the log of an account is about that account.
        coalesce(account_id, case when p_kind = 'account' then p_source_id end), account_name, zone_id, zone_name,
        raw_cf_ray_id, raw_status_code
      from (
        select generate_subscripts(p_ids, 1) as n, unnest(p_ids) as id, unnest(p_times) as action_time, unnest(p_raws) as raw,
          unnest(p_defects) as defects,
          unnest(p_action_type) as action_type, unnest(p_action_result) as action_result,
          unnest(p_action_description) as action_description, unnest(p_actor_id) as actor_id,
          unnest(p_actor_type) as actor_type, unnest(p_actor_context) as actor_context,
          unnest(p_actor_email) as actor_email, unnest(p_actor_ip_address) as actor_ip_address,
          unnest(p_actor_token_id) as actor_token_id, unnest(p_actor_token_name) as actor_token_name,
          unnest(p_raw_method) as raw_method, unnest(p_raw_uri) as raw_uri,
          unnest(p_raw_user_agent) as raw_user_agent, unnest(p_resource_id) as resource_id,
          unnest(p_resource_product) as resource_product, unnest(p_resource_type) as resource_type,
          unnest(p_resource_scope) as resource_scope, unnest(p_account_id) as account_id,
          unnest(p_account_name) as account_name, unnest(p_zone_id) as zone_id, unnest(p_zone_name) as zone_name,
          unnest(p_raw_cf_ray_id) as raw_cf_ray_id,
          unnest(p_raw_status_code) as raw_status_code) e
      where ordinals[n] > 0
      returning action_time, position)
    select max(position), array_agg(extract(epoch from clock_timestamp() - action_time)::float8)
        filter (where p_lane = 'live' and action_time > '-infinity')
    into last_position, lateness from rows_stored;
  end if;
  -- An id that was known, or comes twice in this page, may have other content now.
  if stored < entries then
    with page as materialized (
      select n, id, first_n = n as first, defects::text[] as defects
      from (select generate_subscripts(p_ids, 1) as n, unnest(p_ids) as id, unnest(p_firsts) as first_n,
          unnest(p_defects) as defects) read),
    firsts as materialized (
      select id, position, raw, defects::text[] as defects
      from unnest(known_ids, known_positions, known_raws, known_defects) as k (id, position, raw, defects)
      union all
      select f.id, base + ordinals[f.n], p_raws[f.n], f.defects from (select distinct id from page where not first) again
        join page f on f.id = again.id and f.first where ordinals[f.n] > 0),
    differing as materialized (
      select distinct on (p.id, p.raw::text) p.id, p.raw, f.position
      from firsts f
        join (select page.n, page.id, page.defects, r.raw from page
          join (select generate_subscripts(p_raws, 1) as n, unnest(p_raws) as raw) r using (n)) p on p.id = f.id
      where p.raw::text <> f.raw::text and case
        when p.defects && not_jsonb or f.defects && not_jsonb then true
        else p.raw::jsonb <> f.raw::jsonb end),
    changed_now as (
      insert into audit_event_changes (source_kind, source_id, event_id, position, raw, raw_sha256)
      select p_kind, p_source_id, id, position, raw, encode(sha256(convert_to(raw::text, 'UTF8')), 'hex') from differing
      on conflict (source_kind, source_id, event_id, raw_sha256) do nothing returning 1)
    select count(*)::integer into changed from changed_now;
  end if;
  if last_position is not null then perform pg_notify('orgtrail_feed', last_position::text); end if;
  return next;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_commit_walk_page(p_kind text, p_source_id text, p_organization_id text, p_epoch bigint, p_owner text, p_commit_seq bigint, p_lease_ms double precision, p_lane text, p_filter_hash text, p_last_event_ms double precision, p_event_rate double precision, p_recent_event_rate double precision, p_claim_passes integer[], p_claim_ranges text[], p_known_from timestamp with time zone, p_known_to timestamp with time zone, p_state jsonb, p_holes jsonb, p_reading jsonb, p_page_entries integer, p_raws json[], p_ids text[], p_times text[], p_firsts integer[], p_defects text[], p_action_type text[], p_action_result text[], p_action_description text[], p_actor_id text[], p_actor_type text[], p_actor_context text[], p_actor_email text[], p_actor_ip_address text[], p_actor_token_id text[], p_actor_token_name text[], p_raw_method text[], p_raw_uri text[], p_raw_user_agent text[], p_resource_id text[], p_resource_product text[], p_resource_type text[], p_resource_scope text[], p_raw_cf_ray_id text[], p_raw_status_code integer[])
 RETURNS TABLE(fence integer, entries integer, stored integer, changed integer, defective integer, lateness double precision[], covered json)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET plan_cache_mode TO 'force_generic_plan'
 SET jit TO 'off'
 SET search_path TO 'public', 'pg_temp'
AS $function$
#variable_conflict use_column
declare
  sorted_ids text[];
  known_ids text[];
  known_positions bigint[];
  known_raws json[];
  known_defects text[];
  last_position bigint;
  -- With one of these, at least one side is no jsonb that could be compared (src/domain/entry.ts).
  not_jsonb constant text[] := array['nul_character', 'lone_surrogate', 'number_out_of_range', 'nested_too_deeply', 'refused_by_database'];
begin
  -- Planned each time, since only with its times does the planner see which partitions it is about, and with their sizes how to read
  -- them: a plan from when a month was empty would read all of it later. All ids in one scan of each unique index: a join would ask
  -- once per entry, which costs twice as much. Seen too early, it does no harm: whoever stores for this source moves commit_seq.
  -- Each partition's index is read in the order of the ids, and what is in order need not be sorted for each anew.
  sorted_ids := array(select id from unnest(p_ids) as given (id) order by id collate "C");
  if p_known_from > '-infinity' or orgtrail_may_know_any(p_kind, p_source_id, sorted_ids) then
    execute $known$
      select array_agg(id), array_agg(position), array_agg(raw), array_agg(defects::text)
      from (
        select distinct on (id) id, position, raw, defects
        from (
          select id, position, raw, defects from audit_events
          where source_kind = $1 and source_id = $2 and action_time between $4 and $5 and id = any($3)
          union all
          select id, position, raw, defects from audit_events
          where source_kind = $1 and source_id = $2 and action_time = '-infinity' and id = any($3)) e
        order by id, position) known
    $known$ into known_ids, known_positions, known_raws, known_defects
    using p_kind, p_source_id, sorted_ids, p_known_from, p_known_to;
  end if;

  -- * A call that waited on the fence has an old snapshot; commit_seq, compared on the newest row, then differs, the fence is empty and
  --   nothing is written. Only for READ COMMITTED: elsewhere the wait ends in an error.
  -- * Which entries are new is decided on numbers and ids. The rest of an entry goes from the parameter into its row, without being sorted,
  --   joined or kept on the way: "numbering" tells by an array which position each has behind the head, 0 where it is known.
  -- * The feed's head is locked last: sources wait for one another only while rows go in.
  -- * "read_before" is the coverage of before this statement: all parts of it see the same snapshot.
  with fence as materialized (
    update sources set commit_seq = commit_seq + 1, last_attempt_at = clock_timestamp(),
      lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000),
      last_event_at = greatest(last_event_at,
        case when p_last_event_ms is not null then least(to_timestamp(p_last_event_ms / 1000), clock_timestamp()) end),
      event_rate = coalesce(p_event_rate, event_rate), recent_event_rate = coalesce(p_recent_event_rate, recent_event_rate),
      largest_page = greatest(largest_page, p_page_entries)
    where kind = p_kind and id = p_source_id and lease_epoch = p_epoch and lease_owner = p_owner and commit_seq = p_commit_seq
    returning kind, id, commit_seq),
  -- Whatever a caller takes for now: the future cannot have been read. In whole milliseconds, as all claims are.
  claimed as materialized (
    select pass, ranges::tstzmultirange
      * tstzmultirange(tstzrange(null, date_trunc('milliseconds', clock_timestamp()) + interval '60 seconds')) as ranges
    from fence, unnest(p_claim_passes, p_claim_ranges) as c (pass, ranges)),
  read_before as materialized (
    select pass, ranges from coverage
    where source_kind = p_kind and source_id = p_source_id and filter_hash = p_filter_hash),
  claim as (
    insert into coverage as c (source_kind, source_id, filter_hash, pass, ranges, proven)
    select p_kind, p_source_id, p_filter_hash, pass, ranges, ranges from claimed where not isempty(ranges)
    on conflict (source_kind, source_id, filter_hash, pass)
    do update set ranges = c.ranges + excluded.ranges, proven = c.proven + excluded.proven),
  filled as (
    delete from coverage_holes h using claimed
    where h.source_kind = p_kind and h.source_id = p_source_id and h.filter_hash = p_filter_hash
      and (h.pass = claimed.pass or p_lane = 'scrub' and h.pass = 100 and claimed.pass = 0)
      -- A hole of more than a second may be read in parts.
      and tstzrange(h.since, h.before) <@ (claimed.ranges + case when h.pass = claimed.pass
        then coalesce((select ranges from read_before where read_before.pass = claimed.pass), '{}') else '{}' end)),
  hole_given as materialized (
    select (e ->> 'pass')::integer as pass, to_timestamp((e ->> 'fromMs')::float8 / 1000) as since,
      to_timestamp((e ->> 'toMs')::float8 / 1000) as before, e ->> 'reason' as reason, e ->> 'message' as message
    from fence, jsonb_array_elements(p_holes) e),
  -- A hole that grows takes in those that it reaches. It has been tried as often as they, and once more if it was due.
  hole_before as materialized (
    select g.pass, g.since, max(h.attempts) as attempts, min(h.next_attempt_at) as next_attempt_at, min(h.found_at) as found_at
    from hole_given g join coverage_holes h on h.source_kind = p_kind and h.source_id = p_source_id and h.filter_hash = p_filter_hash
      and h.pass = g.pass and h.since >= g.since and h.before <= g.before
    group by g.pass, g.since),
  hole_taken_in as (
    delete from coverage_holes h using hole_given g
    where h.source_kind = p_kind and h.source_id = p_source_id and h.filter_hash = p_filter_hash
      and h.pass = g.pass and h.since > g.since and h.before <= g.before),
  hole as (
    insert into coverage_holes as h (source_kind, source_id, filter_hash, pass, since, before, reason, message,
      attempts, found_at, next_attempt_at)
    select p_kind, p_source_id, p_filter_hash, g.pass, g.since, g.before, g.reason, g.message,
      case when b.next_attempt_at > clock_timestamp() then b.attempts else coalesce(b.attempts, 0) + 1 end,
      coalesce(b.found_at, clock_timestamp()),
      -- After an hour, two, four, up to a week.
      case when b.next_attempt_at > clock_timestamp() then b.next_attempt_at
        else clock_timestamp() + make_interval(hours => least(168, 2 ^ least(coalesce(b.attempts, 0), 8))::integer) end
    from hole_given g left join hole_before b using (pass, since)
    on conflict (source_kind, source_id, filter_hash, pass, since) do update set before = excluded.before, reason = excluded.reason,
      message = excluded.message, attempts = excluded.attempts, last_attempt_at = clock_timestamp(),
      found_at = excluded.found_at, next_attempt_at = excluded.next_attempt_at),
  page as materialized (
    select n, id, first_n = n as first, defects::text[] as defects
    from (select generate_subscripts(p_ids, 1) as n, unnest(p_ids) as id, unnest(p_firsts) as first_n,
        unnest(p_defects) as defects from fence) read),
  known as materialized (
    select id, position, raw, defects::text[] as defects
    from unnest(known_ids, known_positions, known_raws, known_defects) as k (id, position, raw, defects)),
  fresh as materialized (
    select n, is_fresh, is_fresh and defects is not null as defective, sum(is_fresh::integer) over (order by n) as ordinal
    from (select p.n, p.defects, p.first and k.id is null as is_fresh from page p left join known k on k.id = p.id) decided),
  numbering as materialized (
    select array_agg(case when is_fresh then ordinal else 0 end order by n) as ordinals, max(ordinal) as entries from fresh),
  head as (
    update feed_head set position = position + numbering.entries from numbering
    where numbering.entries > 0 returning position - numbering.entries as base),
  stored as (
    insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw, defects,
      action_type, action_result, action_description, actor_id, actor_type, actor_context, actor_email,
      actor_ip_address, actor_token_id, actor_token_name, raw_method, raw_uri, raw_user_agent, resource_id,
      resource_product, resource_type, resource_scope, raw_cf_ray_id, raw_status_code)
    select p_kind, p_source_id, p_organization_id, id, (select base from head) + (select ordinals from numbering)[n],
      action_time::timestamptz, raw, defects::text[],
      action_type, action_result, action_description, actor_id, actor_type, actor_context, actor_email,
      actor_ip_address, actor_token_id, actor_token_name, raw_method, raw_uri, raw_user_agent, resource_id,
      resource_product, resource_type, resource_scope, raw_cf_ray_id, raw_status_code
    from (
      select generate_subscripts(p_ids, 1) as n, unnest(p_ids) as id, unnest(p_times) as action_time, unnest(p_raws) as raw,
        unnest(p_defects) as defects,
        unnest(p_action_type) as action_type, unnest(p_action_result) as action_result,
        unnest(p_action_description) as action_description, unnest(p_actor_id) as actor_id,
        unnest(p_actor_type) as actor_type, unnest(p_actor_context) as actor_context,
        unnest(p_actor_email) as actor_email, unnest(p_actor_ip_address) as actor_ip_address,
        unnest(p_actor_token_id) as actor_token_id, unnest(p_actor_token_name) as actor_token_name,
        unnest(p_raw_method) as raw_method, unnest(p_raw_uri) as raw_uri,
        unnest(p_raw_user_agent) as raw_user_agent, unnest(p_resource_id) as resource_id,
        unnest(p_resource_product) as resource_product, unnest(p_resource_type) as resource_type,
        unnest(p_resource_scope) as resource_scope, unnest(p_raw_cf_ray_id) as raw_cf_ray_id,
        unnest(p_raw_status_code) as raw_status_code
      from (select where (select entries from numbering) > 0) as wanted) e
    where (select ordinals from numbering)[n] > 0
    returning id, position, action_time),
  firsts as materialized (
    select id, position, raw, defects from known
    union all
    select f.id, s.position, p_raws[f.n], f.defects from (select distinct id from page where not first) again
      join page f on f.id = again.id and f.first join stored s on s.id = f.id),
  differing as materialized (
    select distinct on (p.id, p.raw::text) p.id, p.raw, f.position
    from firsts f
      join (select page.n, page.id, page.defects, r.raw from page
        join (select generate_subscripts(p_raws, 1) as n, unnest(p_raws) as raw
          from (select where exists (select from firsts)) as wanted) r using (n)) p on p.id = f.id
    where p.raw::text <> f.raw::text and case
      when p.defects && not_jsonb or f.defects && not_jsonb then true
      else p.raw::jsonb <> f.raw::jsonb end),
  changed as (
    insert into audit_event_changes (source_kind, source_id, event_id, position, raw, raw_sha256)
    select p_kind, p_source_id, id, position, raw, encode(sha256(convert_to(raw::text, 'UTF8')), 'hex') from differing
    on conflict (source_kind, source_id, event_id, raw_sha256) do nothing returning 1),
  found as materialized (
    select coalesce(jsonb_object_agg(day, entries), '{}') as by_day
    from (select to_char(action_time at time zone 'UTC', 'YYYY-MM-DD') as day, count(*) as entries
      from stored where action_time > '-infinity' group by 1) days),
  -- Progress is what brought something, or was read to its end.
  lane as (
    insert into lanes as l (source_kind, source_id, filter_hash, lane, state, failures, last_success_at, found)
    select kind, id, p_filter_hash, p_lane, p_state, (p_state ->> 'failures')::integer,
      case when progress.made then clock_timestamp() end, (select by_day from found)
    from fence, lateral (select cardinality(p_claim_passes) > 0 or coalesce((select entries from numbering), 0) > 0 as made) progress
    where p_state is not null
    on conflict (source_kind, source_id, filter_hash, lane) do update set state = excluded.state, failures = excluded.failures,
      last_attempt_at = excluded.last_attempt_at, next_attempt_at = null,
      last_success_at = coalesce(excluded.last_success_at, l.last_success_at),
      last_failure = case when excluded.failures > 0 then l.last_failure end,
      last_error = case when excluded.failures > 0 then l.last_error end,
      found = case when excluded.found = '{}' then l.found else orgtrail_add_counts(l.found, excluded.found) end),
  -- What a question finds that leaves the lane as it is.
  found_beside as (
    update lanes l set found = orgtrail_add_counts(l.found, found.by_day) from fence, found
    where p_state is null and found.by_day <> '{}' and l.source_kind = p_kind and l.source_id = p_source_id
      and l.filter_hash = p_filter_hash and l.lane = p_lane),
  covered as (
    select pass, count(*)::integer as entries
    from (select (select max(pass) from read_before where ranges @> action_time) as pass
      from stored where action_time > '-infinity') late
    where pass is not null group by pass)
  select (select count(*) from fence)::integer, (select count(*) from page)::integer,
    (select count(*) from stored)::integer, (select count(*) from changed)::integer,
    (select count(*) from fresh where defective)::integer,
    (select array_agg(extract(epoch from clock_timestamp() - action_time)::float8) from stored
      where p_lane = 'live' and action_time > '-infinity'),
    (select json_agg(json_build_object('pass', pass, 'entries', entries)) from covered),
    (select max(position) from stored)
  into fence, entries, stored, changed, defective, lateness, covered, last_position;
  if fence > 0 and p_reading is not null then
    perform orgtrail_note_reading(p_kind, p_source_id, p_filter_hash, p_lane, p_reading);
  end if;
  if last_position is not null then perform pg_notify('orgtrail_feed', last_position::text); end if;
  return next;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_compare_server()
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  here constant bigint := (select d.oid::bigint from pg_database d where d.datname = current_database());
  started constant timestamptz := pg_postmaster_start_time();
  head feed_head;
begin
  select h.* into head from feed_head h
  where h.position > 0 and h.timeline is not distinct from coalesce(orgtrail_timeline(h.tableoid), h.timeline)
    and (h.database_oid is distinct from here or h.alive_at < started - interval '15 minutes')
  for update skip locked;
  if not found then return; end if;
  if head.database_oid <> here then
    insert into retention_waits (reason) values ('the database is a copy of another one');
  elsif head.alive_at < started - interval '15 minutes' then
    insert into retention_waits (reason) values (pg_catalog.format(
      'the server was started %s after orgtrail was last at work, and may have an older state', date_trunc('second', started - head.alive_at)));
  end if;
  update feed_head h set database_oid = here, alive_at = clock_timestamp() where h.only_row = head.only_row;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_continue_evidence(p_generation integer, p_epoch bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update evidence_logs l set timeline = orgtrail_timeline('feed_head'::regclass)
  where l.name = 'events' and l.generation = p_generation and l.lease_epoch = p_epoch and l.state not in ('behind', 'forked');
  return found;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_copy_evidence(p_generation integer, p_next integer, p_level integer, p_n bigint, p_limit integer)
 RETURNS TABLE(level integer, n bigint, tiles bigint)
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
#variable_conflict use_column
begin
  perform orgtrail_require_stopped_evidence(p_generation, p_next);
  return query
    with chosen as materialized (
      select t.level, t.n, t.hashes, t.sources from evidence_tiles t
      where t.log = 'events' and t.generation = p_generation and (t.level, t.n) > (p_level, p_n)
      order by t.level, t.n limit p_limit
    ), copied as (
      insert into evidence_tiles as c (log, generation, level, n, hashes, sources)
      select 'events', p_next, s.level, s.n, s.hashes, s.sources from chosen s
      on conflict (log, generation, level, n) do update set hashes = excluded.hashes, sources = excluded.sources
      where c.hashes <> excluded.hashes or c.sources is distinct from excluded.sources
    )
    select s.level::integer, s.n, (select count(*) from chosen) from chosen s order by s.level desc, s.n desc limit 1;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_create_partitions(since timestamp with time zone, until timestamp with time zone)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET lock_timeout TO '10s'
AS $function$
declare
  month timestamp := date_trunc('month', since at time zone 'UTC');
  lower_bound timestamptz;
  upper_bound timestamptz;
  partition text;
  created integer := 0;
begin
  if (since >= timestamptz '2009-01-01 00:00:00+00' and until <= clock_timestamp() + interval '3 months') is not true then
    raise exception 'months are made from 2009 to three months from now, not from % to %', since, until using errcode = 'invalid_parameter_value';
  elsif until > since + interval '240 months' then
    raise exception 'no more than 240 months at once, not from % to %', since, until using errcode = 'invalid_parameter_value';
  end if;
  while month <= until at time zone 'UTC' loop
    partition := pg_catalog.format('audit_events_%s', pg_catalog.to_char(month, 'YYYY_MM'::text));
    if to_regclass(partition) is null then
      -- Page commits and readers wait here, before they look up the partitions: what they add is moved, what was moved they find.
      lock table only audit_events in access exclusive mode;
      lock table audit_events_default in access exclusive mode;
    end if;
    -- Another replica may have made it meanwhile.
    if to_regclass(partition) is null then
      lower_bound := month at time zone 'UTC';
      upper_bound := (month + interval '1 month') at time zone 'UTC';
      execute pg_catalog.format('create table %I (like audit_events including defaults including constraints)', partition);
      execute pg_catalog.format('with moved as (delete from audit_events_default where action_time >= %L and action_time < %L returning *)'
        ' insert into %I select * from moved', lower_bound, upper_bound, partition);
      execute pg_catalog.format('alter table audit_events attach partition %I for values from (%L) to (%L)',
        partition, lower_bound, upper_bound);
      created := created + 1;
    end if;
    month := month + interval '1 month';
  end loop;
  return created;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_delete_search(p_id bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  delete from saved_searches s where s.id = p_id;
  return found;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_drop_month(of_month date, retention interval)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET lock_timeout TO '2s'
AS $function$
declare
  name text := 'audit_events_' || pg_catalog.to_char(of_month::timestamp, 'YYYY_MM'::text);
  partition regclass := to_regclass(name);
  month timestamptz := date_trunc('month', of_month::timestamp) at time zone 'UTC';
  until timestamptz := (date_trunc('month', of_month::timestamp) + interval '1 month') at time zone 'UTC';
  -- A clock that is ahead must not drop: Cloudflare's own time, as of the last listing, counts as well.
  now_at_most timestamptz := (select case when server_time is not null
    then least(clock_timestamp(), server_time + interval '2 days') end from discovery);
  shortest interval;
  gone retention_drops;
  highest bigint;
  changes_archived bigint;
  obstacle text;
begin
  if retention < interval '1 day' then return 'a retention of less than a day'; end if;
  if not pg_has_role(session_user, (select relowner from pg_class where oid = 'audit_events'::regclass), 'usage') then
    select p.shortest into shortest from retention_policy p;
    if shortest is null then
      return pg_catalog.format('%s may not drop anything: the owner of the schema has not set a retention_policy', session_user);
    elsif retention < shortest then
      return pg_catalog.format('%s may not drop what is younger than %s, as retention_policy says', session_user, shortest);
    end if;
  end if;
  begin
    lock table retention_drops in share row exclusive mode nowait;
  exception when lock_not_available then
    raise exception 'another replica is dropping one' using errcode = 'lock_not_available';
  end;
  perform orgtrail_check_timeline();
  if exists (select from feed_head h where h.timeline <> orgtrail_timeline(h.tableoid)) then
    raise exception 'whether the database failed over is being found out' using errcode = 'lock_not_available';
  end if;
  obstacle := orgtrail_retention_wait();
  if obstacle is not null then return obstacle; end if;
  if partition is null or not exists (select from pg_inherits where inhrelid = partition and inhparent = 'audit_events'::regclass) then
    return 'there is no such partition';
  end if;
  -- A day more: what a walk reads again at the edge of the history must not come back as new.
  if now_at_most is null then
    raise exception 'the time is not known: no organization has been listed yet' using errcode = 'lock_not_available';
  end if;
  if until > now_at_most - retention - interval '1 day' then return 'it is not old enough'; end if;
  obstacle := orgtrail_retention_obstacle(partition, month, until);
  if obstacle is not null then return obstacle; end if;
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  obstacle := orgtrail_archive_obstacle(of_month, highest, null);
  if obstacle is not null then return obstacle; end if;
  -- All that takes long comes before the locks. Events are only ever added, at the end: one look there shows whether it still holds;
  -- if not, an error undoes what was done so far.
  execute pg_catalog.format('select count(*), min(position), max(position), pg_total_relation_size(%L) from %s', name, partition)
    into gone.events, gone.first_position, gone.last_position, gone.bytes;
  -- All ids are one text in memory meanwhile.
  if gone.events <= 2000000 then
    execute pg_catalog.format('select encode(sha256(convert_to(string_agg('
      'source_kind || '' '' || source_id || '' '' || id, E''\n'' order by position), ''UTF8'')), ''hex'') from %s', partition)
      into gone.ids_sha256;
  end if;
  if exists (select from evidence_logs) then
    execute pg_catalog.format('select range_agg(int8range(first, last + 1)) from (select min(position) as first, max(position) as last'
      ' from (select position, position - row_number() over (order by position) as run from %s) as numbered group by run) as runs',
      partition) into gone.positions;
  end if;
  obstacle := orgtrail_archive_difference(of_month, gone.events);
  if obstacle is not null then return obstacle; end if;
  changes_archived := orgtrail_archived(of_month, 'changes');
  execute pg_catalog.format('delete from audit_event_changes c using %s e where e.position = c.position', partition);
  get diagnostics gone.changes = row_count;
  lock table only audit_events in access exclusive mode;
  execute pg_catalog.format('lock table %s in access exclusive mode', partition);
  lock table holds, sinks, sink_dead_letters, archive_policy in share mode;
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  if highest is distinct from gone.last_position then
    raise exception 'events were added to it at this moment' using errcode = 'lock_not_available';
  end if;
  obstacle := orgtrail_retention_obstacle(partition, month, until);
  if obstacle is null then obstacle := orgtrail_archive_obstacle(of_month, highest, gone.events); end if;
  if obstacle is not null then raise exception '%', obstacle using errcode = 'lock_not_available'; end if;
  if exists (select from archive_policy) then
    if gone.changes is distinct from changes_archived then
      raise exception 'later contents were added to it at this moment' using errcode = 'lock_not_available';
    end if;
    update archive_objects o set dropped_at = clock_timestamp()
    where o.month = of_month and o.superseded_at is null and o.dropped_at is null
      and o.archive = (select p.archive from archive_policy p);
  else
    delete from evidence_month_keys k where k.month = pg_catalog.to_char(of_month::timestamp, 'YYYY-MM'::text);
  end if;
  execute pg_catalog.format('drop table %s', partition);
  if gone.events > 0 then
    insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, ids_sha256, retention, positions)
    values (name, of_month, gone.events, gone.changes, gone.first_position, gone.last_position, gone.bytes,
      gone.ids_sha256, orgtrail_drop_month.retention, gone.positions);
  end if;
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_end_evidence(p_generation integer, p_by text, p_reason text, p_size bigint, p_root bytea, p_journal_size bigint, p_journal_root bytea, p_tile_levels integer[], p_tile_ns bigint[], p_tile_hashes bytea[], p_text text)
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  result text := 'grown';
begin
  perform from evidence_logs l where l.generation = p_generation order by l.name for update;
  if not found or exists (select from evidence_logs l where l.generation > p_generation or l.generation = p_generation and l.ended_at is not null)
  then
    return 'stale';
  end if;
  if p_text is not null then
    result := orgtrail_grow_evidence(p_generation,
      (select l.lease_epoch from evidence_logs l where l.name = 'events' and l.generation = p_generation),
      array[p_size, p_journal_size], array[p_size, p_journal_size + 1], array[p_root, p_journal_root],
      array_fill('journal'::text, array[cardinality(p_tile_ns)]), p_tile_levels, p_tile_ns, p_tile_hashes,
      array_fill(null::bytea, array[cardinality(p_tile_ns)]), '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
      array['end'], array['1'], array[p_text]);
  end if;
  if result = 'grown' then
    update evidence_logs l set ended_at = clock_timestamp(), ended_by = p_by, ended_reason = p_reason where l.generation = p_generation;
  end if;
  return result;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_end_rests(p_failures text[])
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  ended integer;
begin
  with resting as materialized (
    select source_kind, source_id, filter_hash, lane from lanes
    where next_attempt_at is not null and last_failure = any(p_failures)
    order by source_kind, source_id, filter_hash, lane for update)
  update lanes l set next_attempt_at = null from resting r
  where l.source_kind = r.source_kind and l.source_id = r.source_id and l.filter_hash = r.filter_hash and l.lane = r.lane;
  get diagnostics ended = row_count;
  return ended;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_fail_delivery(p_name text, p_epoch bigint, p_reason text, p_rest_ms double precision)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update sinks set failures = least(failures, 2000000000) + 1, last_error = left(p_reason, 2000), lease_until = null,
    next_attempt_at = clock_timestamp() + orgtrail_span(p_rest_ms)
  where name = p_name and lease_epoch = p_epoch;
  return found;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_fail_lane(p_kind text, p_source_id text, p_epoch bigint, p_filter_hash text, p_lane text, p_state jsonb, p_failures integer, p_last_failure text, p_last_error text, p_rest_ms double precision)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  with fence as (
    update sources set last_attempt_at = clock_timestamp()
    where kind = p_kind and id = p_source_id and lease_epoch = p_epoch returning kind, id)
  insert into lanes (source_kind, source_id, filter_hash, lane, state, failures, last_failure, last_error, next_attempt_at, last_attempt_at)
  select kind, id, p_filter_hash, p_lane, p_state, p_failures, p_last_failure, p_last_error,
    clock_timestamp() + make_interval(secs => least(greatest(p_rest_ms, 0), 604800000) / 1000), clock_timestamp()
  from fence
  on conflict (source_kind, source_id, filter_hash, lane) do update set state = excluded.state, failures = excluded.failures,
    last_failure = excluded.last_failure, last_error = excluded.last_error, next_attempt_at = excluded.next_attempt_at,
    last_attempt_at = excluded.last_attempt_at
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_finish_alarms(p_name text, p_epoch bigint, p_number bigint, p_accepted bigint, p_lease_ms double precision)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if not orgtrail_finish_delivery(p_name, p_epoch, (select h.position from feed_head h), p_accepted, 0, '{}', '{}', p_lease_ms) then
    return false;
  end if;
  if p_number > (select coalesce(max(c.number), 0) from alarm_changes c) then
    raise exception 'the sink % may not go to alarm %: there is none', p_name, p_number using errcode = 'check_violation';
  end if;
  update alarm_cursors c set number = greatest(c.number, p_number) where c.sink = p_name;
  return true;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_finish_delivery(p_name text, p_epoch bigint, p_until bigint, p_accepted bigint, p_refused_in_row integer, p_refused bigint[], p_reasons text[], p_lease_ms double precision)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  was bigint := (select s.position from sinks s where s.name = p_name and s.lease_epoch = p_epoch for update);
begin
  if was is null then return false; end if;
  perform orgtrail_require_position(p_name, was, p_until);
  if exists (select from unnest(p_refused) as r (position) where (r.position > was and r.position <= p_until) is not true) then
    raise exception 'the sink % delivered what is between % and %, and no dead letter can lie elsewhere', p_name, was, p_until
      using errcode = 'check_violation';
  end if;
  update sinks set position = p_until, batch_until = null, delivered = delivered + p_accepted, refused_in_row = p_refused_in_row,
    failures = 0, next_attempt_at = null, last_error = null, last_success_at = clock_timestamp(),
    lease_until = clock_timestamp() + orgtrail_span(p_lease_ms)
  where name = p_name;
  delete from sink_dead_letters d
  where d.sink = p_name and d.position > was and d.position <= p_until and d.position <> all(p_refused);
  insert into sink_dead_letters (sink, position, reason)
  select p_name, u.position, left(u.reason, 2000) from unnest(p_refused, p_reasons) as u (position, reason)
  on conflict (sink, position) do update set reason = excluded.reason, refused_at = clock_timestamp();
  return true;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_finish_delivery_and_skip(p_name text, p_epoch bigint, p_until bigint, p_accepted bigint, p_refused_in_row integer, p_refused bigint[], p_reasons text[], p_skipped bigint, p_lease_ms double precision)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  was bigint := (select s.position from sinks s where s.name = p_name and s.lease_epoch = p_epoch for update);
begin
  if was is null then return false; end if;
  perform orgtrail_require_skipped(p_name, p_skipped, was, p_until);
  if not orgtrail_finish_delivery(p_name, p_epoch, p_until, p_accepted, p_refused_in_row, p_refused, p_reasons, p_lease_ms) then
    return false;
  end if;
  update sinks set skipped = skipped + p_skipped where name = p_name;
  return true;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_forget_archive_reads(p_month date)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  update archive_objects o set verified_at = '-infinity'
  where o.month = p_month and o.superseded_at is null and o.dropped_at is null
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_forget_findings()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  delete from findings f
  where f.action_time >= new.month::timestamp at time zone 'UTC'
    and f.action_time < (new.month::timestamp + interval '1 month') at time zone 'UTC';
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_fork_evidence(p_generation integer, p_next integer, p_size bigint, p_root bytea, p_events_origin text, p_journal_origin text, p_journal_root bytea, p_tile_levels integer[], p_tile_ns bigint[], p_tile_hashes bytea[], p_kinds text[], p_refs text[], p_texts text[])
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  head bigint := (select h.position from feed_head h);
  line text := orgtrail_timeline('feed_head'::regclass);
begin
  -- In the order of all others, and against those that copy.
  perform from evidence_logs l where l.generation = p_generation order by l.name for update;
  perform orgtrail_require_stopped_evidence(p_generation, p_next);
  if p_kinds[1] is distinct from 'fork' then
    raise exception 'evidence: a generation begins with a fork' using errcode = 'check_violation';
  end if;
  if not exists (select from evidence_logs l
      where l.name = 'events' and l.generation = p_generation and l.size = p_size and l.root = p_root)
    or (select count(*) from evidence_tiles t where t.log = 'events' and t.generation = p_generation)
      <> (select count(*) from evidence_tiles t where t.log = 'events' and t.generation = p_next) then
    return false;
  end if;
  perform orgtrail_wait_for_disk();
  insert into evidence_logs (name, generation, origin, size, root, adopted_size, timeline)
  values ('events', p_next, p_events_origin, p_size, p_root, head, line),
    ('journal', p_next, p_journal_origin, cardinality(p_texts), p_journal_root, 0, line);
  insert into evidence_sources (generation, number, source_kind, source_id, events, chain)
  select p_next, s.number, s.source_kind, s.source_id, s.events, s.chain
  from evidence_sources s where s.generation = p_generation;
  insert into evidence_tiles (log, generation, level, n, hashes)
  select 'journal', p_next, u.level, u.n, u.hashes
  from unnest(p_tile_levels, p_tile_ns, p_tile_hashes) as u (level, n, hashes);
  insert into evidence_journal (generation, index, kind, ref, text)
  select p_next, u.place - 1, u.kind, u.ref, u.text
  from unnest(p_kinds, p_refs, p_texts) with ordinality as u (kind, ref, text, place);
  return true;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_grow_evidence(p_generation integer, p_epoch bigint, p_from bigint[], p_to bigint[], p_roots bytea[], p_tile_logs text[], p_tile_levels integer[], p_tile_ns bigint[], p_tile_hashes bytea[], p_tile_sources bytea[], p_months text[], p_keys bytea[], p_are_new boolean[], p_numbers integer[], p_source_kinds text[], p_source_ids text[], p_events bigint[], p_chains bytea[], p_kinds text[], p_refs text[], p_texts text[])
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  events evidence_logs;
  journal evidence_logs;
  changed bigint;
begin
  select * into events from evidence_logs l where l.name = 'events' and l.generation = p_generation for update;
  select * into journal from evidence_logs l where l.name = 'journal' and l.generation = p_generation for update;
  if events.size is distinct from p_from[1] or journal.size is distinct from p_from[2] or events.lease_epoch <> p_epoch
    or exists (select from evidence_logs l where l.generation > p_generation) then
    return 'stale';
  end if;
  if events.state in ('behind', 'forked') then return 'stopped'; end if;
  if not orgtrail_is_evidence_here(events.timeline) then return 'moved'; end if;
  if p_to[1] < p_from[1] or p_to[2] <> p_from[2] + cardinality(p_texts) or p_to[1] > (select h.position from feed_head h) then
    raise exception 'evidence: the logs may not go from % to %', p_from, p_to using errcode = 'check_violation';
  end if;
  perform orgtrail_wait_for_disk();
  insert into evidence_month_keys (month, key)
  select u.month, u.key from unnest(p_months, p_keys, p_are_new) as u (month, key, is_new) where u.is_new
  on conflict (month) do nothing;
  -- A key that is in use must still be there: that of a month that was dropped never comes back.
  perform from evidence_month_keys k where k.month = any(p_months) for share;
  if exists (select from unnest(p_months, p_keys) as u (month, key)
      where not exists (select from evidence_month_keys k where k.month = u.month and k.key = u.key)) then
    raise exception 'evidence: the key of a month is another one by now' using errcode = 'serialization_failure';
  end if;
  insert into evidence_tiles as t (log, generation, level, n, hashes, sources)
  select u.log, p_generation, u.level, u.n, u.hashes, u.sources
  from unnest(p_tile_logs, p_tile_levels, p_tile_ns, p_tile_hashes, p_tile_sources) as u (log, level, n, hashes, sources)
  on conflict (log, generation, level, n) do update set hashes = excluded.hashes, sources = excluded.sources
  where substring(excluded.hashes from 1 for octet_length(t.hashes)) = t.hashes
    and (t.sources is null or substring(excluded.sources from 1 for octet_length(t.sources)) = t.sources);
  get diagnostics changed = row_count;
  if changed <> cardinality(p_tile_ns) then
    raise exception 'evidence: a tile only grows' using errcode = 'check_violation';
  end if;
  insert into evidence_sources as s (generation, number, source_kind, source_id, events, chain)
  select p_generation, u.number, u.kind, u.id, u.events, u.chain
  from unnest(p_numbers, p_source_kinds, p_source_ids, p_events, p_chains) as u (number, kind, id, events, chain)
  on conflict (generation, number) do update set events = excluded.events, chain = excluded.chain
  where s.source_kind = excluded.source_kind and s.source_id = excluded.source_id and s.events < excluded.events;
  get diagnostics changed = row_count;
  if changed <> cardinality(p_numbers) then
    raise exception 'evidence: the leaves of a source only grow' using errcode = 'check_violation';
  end if;
  insert into evidence_journal (generation, index, kind, ref, text)
  select p_generation, p_from[2] + u.place - 1, u.kind, u.ref, u.text
  from unnest(p_kinds, p_refs, p_texts) with ordinality as u (kind, ref, text, place);
  update evidence_logs l set size = p_to[1], root = p_roots[1], timeline = coalesce(l.timeline, orgtrail_timeline('feed_head'::regclass))
  where l.name = 'events' and l.generation = p_generation;
  update evidence_logs l set size = p_to[2], root = p_roots[2] where l.name = 'journal' and l.generation = p_generation;
  return 'grown';
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_has_stored(p_kind text, p_source_id text)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
begin
  return (select id from audit_events where source_kind = p_kind and source_id = p_source_id order by id limit 1) is not null;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_history_of(p_position bigint)
 RETURNS TABLE("position" bigint, action_time timestamp with time zone, matched_by text)
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE ROWS 50
 SET plan_cache_mode TO 'force_custom_plan'
AS $function$
declare
  subject record;
  of_user boolean;
begin
  select e.position, e.action_time, nullif(e.resource_id, '') as resource_id, e.resource_product as product, e.resource_type as type,
    e.resource_scope as scope, nullif(split_part(e.raw_uri, '?', 1), '') as path, upper(e.raw_method) as method,
    e.organization_id, e.account_id, e.zone_id
  into subject from audit_events e where e.position = p_position limit 1;
  if not found then return; end if;
  of_user := coalesce(subject.scope in ('user', 'memberships'), false);
  return query
  with matched as (
    select e.position, e.action_time, 'id' as matched_by, e.id, e.source_kind, e.organization_id, e.account_id, e.zone_id
    from audit_events e
    where subject.resource_id is not null and e.resource_id = subject.resource_id
      and e.resource_product is not distinct from subject.product and e.resource_type is not distinct from subject.type
    union all
    -- A POST goes to the collection, which many resources share.
    select e.position, e.action_time, 'uri', e.id, e.source_kind, e.organization_id, e.account_id, e.zone_id
    from audit_events e
    where subject.resource_id is null and subject.path is not null and subject.method is distinct from 'POST'
      and e.resource_type is not distinct from subject.type and split_part(e.raw_uri, '?', 1) = subject.path
    union all
    select e.position, e.action_time, 'type', e.id, e.source_kind, e.organization_id, e.account_id, e.zone_id
    from audit_events e
    where subject.resource_id is null and (subject.path is null or subject.method = 'POST')
      and subject.type is not null and e.resource_type = subject.type
      and e.resource_product is not distinct from subject.product
    union all
    select subject.position, subject.action_time, 'itself', null, null, subject.organization_id, subject.account_id, subject.zone_id
    where subject.resource_id is null and (subject.path is null or subject.method = 'POST') and subject.type is null
  ), owned as (
    -- Short ids such as the name of a setting exist in every zone and account. What an entry does not say, does not tell them apart.
    select m.* from matched m
    where of_user or (
      coalesce(m.zone_id = subject.zone_id, true)
      and case
        when m.account_id is not null and subject.account_id is not null then m.account_id = subject.account_id
        else coalesce(m.organization_id = subject.organization_id, true) end)
  )
  select o.position, o.action_time, o.matched_by from (
    select m.*, row_number() over (partition by m.source_kind, m.id, m.action_time order by m.position) as copy from owned m
  ) o
  -- An entry of a user is in the log of each of his accounts: the history has it once. What counts as a copy is as in audit_history.
  where o.position = subject.position
    or not (of_user and o.source_kind = 'account' and o.action_time > '-infinity')
    or o.copy = 1 and not exists (select from owned own where own.position = subject.position
      and own.source_kind = 'account' and own.id = o.id and own.action_time = o.action_time);
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_instant_text(p_at timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  select coalesce(pg_catalog.to_json(pg_catalog.to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text, 'null')
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_ip(p_text text)
 RETURNS inet
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case
    when p_text ~* '^(?:::(?:ffff:)?)?(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$' then p_text::inet
    when length(p_text) <= 40 and p_text ~* '^(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}:){1,7}:|(?:[0-9a-f]{1,4}:){1,6}:[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}:){1,5}(?::[0-9a-f]{1,4}){1,2}|(?:[0-9a-f]{1,4}:){1,4}(?::[0-9a-f]{1,4}){1,3}|(?:[0-9a-f]{1,4}:){1,3}(?::[0-9a-f]{1,4}){1,4}|(?:[0-9a-f]{1,4}:){1,2}(?::[0-9a-f]{1,4}){1,5}|[0-9a-f]{1,4}:(?::[0-9a-f]{1,4}){1,6}|:(?:(?::[0-9a-f]{1,4}){1,7}|:))$' then p_text::inet
  end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_is_evidence_here(p_timeline text)
 RETURNS boolean
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select coalesce(p_timeline = orgtrail_timeline('feed_head'::regclass), true)
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_jump_positions()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  current constant text := orgtrail_timeline(tg_relid);
  numbers constant regclass := pg_catalog.pg_get_serial_sequence('retention_drops', 'id');
  last_kept timestamptz;
  jump bigint;
begin
  if current is null then return new; end if;
  if old.timeline is not null then
    if old.alive_at is not null then
      jump := 250000
        + ceil(20000 * greatest(0, least(25, coalesce(extract(epoch from old.alive_at - old.paced_until), 25))))::bigint
        + 25000 * ceil(greatest(0, extract(epoch from clock_timestamp() - old.alive_at)))::bigint;
    else
      -- Of before this migration, when nothing was paced.
      select e.received_at into last_kept from audit_events e where e.position <= old.position order by e.position desc limit 1;
      jump := 1000000 + 100000 * ceil(greatest(0,
        extract(epoch from clock_timestamp() - greatest(last_kept, old.timeline_since))))::bigint;
    end if;
    new.position := new.position + jump;
    -- Numbered with the drops, so that readers acknowledge both alike; beyond the number of any drop that was lost.
    insert into position_jumps (id, from_position, to_position, old_timeline, new_timeline)
    values (pg_catalog.setval(numbers, pg_catalog.nextval(numbers) + 1000), old.position, old.position + jump, old.timeline, current);
    insert into retention_waits (reason) values ('the database failed over or was restored');
    raise warning 'positions go on after % instead of %: the timeline changed from % to %, and commits may have been lost',
      old.position + jump, old.position, old.timeline, current using errcode = 'OT001';
    -- Nothing is given out at once behind a jump: another standby may not know of it.
    new.paced_until := clock_timestamp();
  end if;
  new.database_oid := (select d.oid from pg_database d where d.datname = current_database());
  new.alive_at := clock_timestamp();
  new.timeline := current;
  new.timeline_since := clock_timestamp();
  return new;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_keep_evidence_ended()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  raise exception 'evidence: the log was ended' using errcode = 'object_not_in_prerequisite_state';
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_may_know_any(p_kind text, p_source_id text, p_ids text[])
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
AS $function$
begin
  return cardinality(p_ids) > 0 and (current_setting('server_version_num')::integer < 170000 or exists (
    select from audit_events where source_kind = p_kind and source_id = p_source_id and id = any(p_ids)));
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_mute_detection(p_detection text, p_actor text, p_reason text, p_muted_until timestamp with time zone, p_by text)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  made bigint;
begin
  if p_detection is null or p_detection !~ '^[a-z0-9_]{1,100}$' or p_detection = 'collector_token' then
    raise exception 'the detection % cannot be muted', left(p_detection, 100) using errcode = 'check_violation';
  end if;
  if coalesce(p_reason, '') !~ '\S' or coalesce(p_by, '') !~ '\S' or length(p_reason) > 1000 or length(p_by) > 200 or length(p_actor) > 1000
    or p_muted_until <= clock_timestamp() then
    raise exception 'a mute needs a reason, a person, and an end in the future' using errcode = 'check_violation';
  end if;
  -- One at a time, so that the limit holds.
  lock table detection_mutes in share row exclusive mode;
  if exists (select from detection_mutes m where m.detection = p_detection and m.actor is not distinct from p_actor
    and m.ended_at is null and coalesce(m.muted_until, 'infinity') > clock_timestamp()) then
    return null;
  end if;
  if (select count(*) from detection_mutes m where m.ended_at is null and coalesce(m.muted_until, 'infinity') > clock_timestamp()) >= 1000 then
    raise exception 'a thousand mutes are in force: end some of them first' using errcode = 'check_violation';
  end if;
  insert into detection_mutes (detection, actor, reason, muted_until, created_by)
  values (p_detection, p_actor, p_reason, p_muted_until, p_by) returning id into made;
  return made;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_access(p_notes jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  insert into access_log (kind, outcome, who, address, route, status, what, events, requests)
  select coalesce(left(note ->> 'kind', 40), 'unknown'), coalesce(left(note ->> 'outcome', 40), 'unknown'),
    left(note ->> 'who', 200), left(note ->> 'address', 100), left(note ->> 'route', 200), (note ->> 'status')::integer,
    case when length(note ->> 'what') <= 8000 then note -> 'what' else jsonb_build_object('cut', left(note ->> 'what', 8000)) end,
    (note ->> 'events')::bigint, coalesce((note ->> 'requests')::bigint, 1::bigint)
  from jsonb_array_elements(p_notes) as notes (note) limit 1000;
  delete from access_log where id in (
    select id from access_log where at < clock_timestamp() - interval '400 days' order by at limit 1000);
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_alarms(p_alarms text[], p_severities text[], p_summaries text[], p_after_ms double precision)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET lock_timeout TO '10s'
AS $function$
declare
  each record;
  made bigint;
begin
  -- Until the commit, so that numbers follow the order of commits.
  lock table alarms in share row exclusive mode;
  insert into alarms as a (alarm, severity, summary)
  select left(u.alarm, 200), u.severity, left(u.summary, 2000) from unnest(p_alarms, p_severities, p_summaries) as u (alarm, severity, summary)
  on conflict (alarm) do update set severity = excluded.severity, summary = excluded.summary;
  for each in select * from alarms a where a.alarm <> all (p_alarms) loop
    if each.opened is not null then
      insert into alarm_changes (alarm, opened, state, severity, summary)
      values (each.alarm, each.opened, 'resolved', each.severity, each.summary);
    end if;
    delete from alarms a where a.alarm = each.alarm;
  end loop;
  for each in select * from alarms a where a.opened is null and a.seen_since <= clock_timestamp() - orgtrail_span(p_after_ms) order by a.alarm loop
    insert into alarm_changes (alarm, state, severity, summary) values (each.alarm, 'open', each.severity, each.summary)
    returning number into made;
    update alarms a set opened = made where a.alarm = each.alarm;
  end loop;
  delete from alarm_changes c where c.changed_at < clock_timestamp() - interval '1 year';
  update alarm_cursors set noted_at = clock_timestamp() where noted_at is not null;
  return true;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_alive()
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if pg_is_in_recovery() or current_setting('transaction_read_only')::boolean then return; end if;
  -- While it waits for a standby, nothing could be committed. What follows it in the log is lost with it.
  perform set_config('synchronous_commit', 'off', true);
  perform orgtrail_compare_server();
  update feed_head h set alive_at = clock_timestamp() where h.only_row in (
    select f.only_row from feed_head f
    where f.timeline = orgtrail_timeline(f.tableoid) and f.alive_at not between clock_timestamp() - interval '4 s' and clock_timestamp()
    for update skip locked);
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_anchor(p_generation integer, p_log text, p_size bigint, p_anchor text, p_receipt bytea, p_tiles_size bigint, p_error text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if not exists (select from evidence_checkpoints c where c.log = p_log and c.generation = p_generation and c.size = p_size) then
    raise exception 'evidence: no checkpoint of % was signed at size %', p_log, p_size using errcode = 'check_violation';
  end if;
  delete from evidence_anchors a
  where a.log = p_log and a.generation = p_generation and a.anchor = p_anchor and a.at is null and a.size <> p_size;
  if p_error is null then
    update evidence_anchors a set error = null, failed_at = null
    where a.log = p_log and a.generation = p_generation and a.anchor = p_anchor and a.error is not null;
  end if;
  insert into evidence_anchors as a (log, generation, anchor, size, at, receipt, tiles_size, error, failed_at)
  values (p_log, p_generation, p_anchor, p_size, case when p_error is null then clock_timestamp() end, p_receipt, p_tiles_size,
    left(p_error, 1000), case when p_error is not null then clock_timestamp() end)
  on conflict (log, generation, anchor, size) do update set
    at = coalesce(excluded.at, a.at), receipt = coalesce(excluded.receipt, a.receipt),
    tiles_size = greatest(excluded.tiles_size, a.tiles_size), error = excluded.error, failed_at = excluded.failed_at;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_archive_blocks(p_id bigint, p_sha256 text, p_blocks bytea)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update archive_objects o set blocks_sha256 = p_blocks
  where o.id = p_id and o.sha256 = p_sha256 and o.blocks_sha256 is null and octet_length(p_blocks) = 32 * ((o.bytes + 262143) / 262144);
  return found;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_archive_read(p_id bigint, p_sha256 text, p_fault text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update archive_objects o
  set verified_at = case when p_fault is null then clock_timestamp() else o.verified_at end, fault = p_fault
  where o.id = p_id and (p_fault is not null or o.sha256 = p_sha256);
  return found;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_archived(p_archive text, p_key text, p_kind text, p_month date, p_first bigint, p_last bigint, p_events bigint, p_bytes bigint, p_sha256 text, p_ids_sha256 text, p_raw_sha256 text, p_columns_sha256 text, p_version_id text, p_locked_until timestamp with time zone)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  facts record;
  noted bigint;
begin
  if not exists (select from archive_policy p where p.archive = p_archive) then
    raise exception 'the database has another archive in use, or none' using errcode = 'check_violation';
  end if;
  select * into facts from orgtrail_archive_facts(p_kind, p_month, p_first, p_last);
  if (facts.events, facts.first_position, facts.last_position, facts.ids_sha256, facts.raw_sha256, facts.columns_sha256)
    is distinct from (p_events, p_first, p_last, p_ids_sha256, p_raw_sha256, p_columns_sha256) then
    raise exception 'the object % does not hold what the database holds', p_key using errcode = 'check_violation';
  end if;
  -- One at a time, under the archive that is in use now.
  perform from archive_policy p where p.archive = p_archive for update;
  update archive_objects o set verified_at = clock_timestamp(), fault = null, version_id = p_version_id
  where o.archive = p_archive and o.key = p_key and o.sha256 = p_sha256 and o.kind = p_kind and o.month = p_month
    and o.first_position = p_first and o.last_position = p_last and o.superseded_at is null and o.dropped_at is null
    and o.ids_sha256 = p_ids_sha256 and o.raw_sha256 = p_raw_sha256 and o.columns_sha256 = p_columns_sha256
  returning o.id into noted;
  if noted is not null then return noted; end if;
  update archive_objects o set superseded_at = clock_timestamp()
  where o.archive = p_archive and o.kind = p_kind and o.month = p_month and o.superseded_at is null and o.dropped_at is null
    and o.first_position <= p_last and o.last_position >= p_first;
  insert into archive_objects (archive, key, kind, month, feed_id, first_position, last_position, events, bytes, sha256, ids_sha256,
    raw_sha256, columns_sha256, organizations, version_id, locked_until)
  values (p_archive, p_key, p_kind, p_month, (select h.feed_id from feed_head h), p_first, p_last, p_events, p_bytes, p_sha256, p_ids_sha256,
    p_raw_sha256, p_columns_sha256, facts.organizations, p_version_id, p_locked_until)
  returning id into noted;
  return noted;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_checkpoint(p_generation integer, p_epoch bigint, p_log text, p_size bigint, p_root bytea, p_note text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  events evidence_logs;
  signed evidence_logs;
begin
  select * into events from evidence_logs l where l.name = 'events' and l.generation = p_generation for update;
  select * into signed from evidence_logs l where l.name = p_log and l.generation = p_generation for update;
  if events.lease_epoch is distinct from p_epoch or signed.size is distinct from p_size or signed.root <> p_root
    or events.state in ('behind', 'forked', 'halted') or not orgtrail_is_evidence_here(events.timeline) then
    return false;
  end if;
  perform orgtrail_wait_for_disk();
  insert into evidence_checkpoints (log, generation, size, root, note) values (p_log, p_generation, p_size, p_root, p_note)
  on conflict (log, generation, size) do update set note = excluded.note where evidence_checkpoints.root = excluded.root;
  if not found then
    raise exception 'evidence: another root of % was signed at size %', p_log, p_size using errcode = 'check_violation';
  end if;
  update evidence_logs l set signed_size = p_size, signed_at = clock_timestamp() where l.name = p_log and l.generation = p_generation;
  return true;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_detections(p_most bigint)
 RETURNS TABLE(noted_to bigint, feed_end bigint, noted bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  was bigint;
  until bigint;
  since timestamptz;
begin
  select h.position into was from finding_head h for update skip locked;
  if not found then return; end if;
  feed_end := (select f.position from feed_head f);
  noted_to := was;
  noted := 0;
  if was < feed_end then
    -- A jump of positions is passed at once.
    until := least(feed_end, (select min(e.position) from audit_events e where e.position > was) - 1 + greatest(p_most, 1));
    until := coalesce(until, feed_end);
    select min(e.action_time) into since from audit_events e
    where e.position > was and e.position <= until and e.action_time > '-infinity';
    perform pg_catalog.set_config('orgtrail.bursts_since', greatest(since, now() - interval '31 days')::text, true);
    -- Planned anew each time: how many positions there are decides about the indexes.
    execute 'insert into findings (detection, source_kind, source_id, id, position, event_position, severity, action_time, received_at,'
      '   organization_id, organization_name, account_id, account_name, zone_id, zone_name, actor, actor_ip_address,'
      '   action_type, action_result, resource_type, resource_id, events, first_time, summary)'
      ' select d.detection, d.source_kind, d.source_id, d.id, d.position, coalesce(e.position, d.position), d.severity, d.action_time, d.received_at,'
      '   d.organization_id, d.organization_name, e.account_id, e.account_name, e.zone_id, e.zone_name, d.actor, d.actor_ip_address,'
      '   d.action_type, d.action_result, d.resource_type, d.resource_id, d.events, d.first_time, d.summary'
      ' from detections d left join lateral ('
      '   select a.position, a.account_id, a.account_name, a.zone_id, a.zone_name from audit_events a'
      '   where a.source_kind = d.source_kind and a.source_id = d.source_id and a.id = d.id and a.action_time = d.action_time) e on true'
      ' where d.position > $1 and d.position <= $2'
      ' on conflict do nothing' using was, until;
    get diagnostics noted = row_count;
    -- The same of each copy of an entry about a user, which may come long after the first: of findings since, and of entries since.
    execute 'insert into findings (detection, source_kind, source_id, id, position, event_position, severity, action_time, received_at,'
      '   organization_id, organization_name, account_id, account_name, zone_id, zone_name, actor, actor_ip_address,'
      '   action_type, action_result, resource_type, resource_id, events, first_time, summary, copies_of_position)'
      ' select f.detection, c.source_kind, c.source_id, c.id, greatest(f.position, c.position), c.position, f.severity, f.action_time, c.received_at,'
      '   c.organization_id, o.name, c.account_id, c.account_name, c.zone_id, c.zone_name, f.actor, f.actor_ip_address,'
      '   f.action_type, f.action_result, f.resource_type, f.resource_id, f.events, f.first_time, f.summary, f.event_position'
      ' from ('
      '   select f.detection, f.source_id as of_source, c.* from findings f join audit_events c on c.id = f.id and c.action_time = f.action_time'
      '   where f.position > $1 and f.position <= $2 and f.copies_of_position is null and f.source_kind = ''account'' and f.action_time > ''-infinity'''
      '     and c.source_kind = ''account'' and c.resource_scope in (''user'', ''memberships'') and c.position <= $2'
      '   union all'
      '   select f.detection, f.source_id, c.* from audit_events c join findings f on f.id = c.id and f.action_time = c.action_time'
      '   where c.position > $1 and c.position <= $2 and c.source_kind = ''account'' and c.resource_scope in (''user'', ''memberships'')'
      '     and c.action_time > ''-infinity'' and f.position <= $1 and f.copies_of_position is null and f.source_kind = ''account'') c'
      ' join findings f on f.detection = c.detection and f.source_kind = ''account'' and f.source_id = c.of_source and f.id = c.id'
      ' left join organizations o on o.id = c.organization_id'
      ' where c.source_id <> c.of_source'
      ' on conflict do nothing' using was, until;
    update finding_head set position = until, noted_at = clock_timestamp();
    noted_to := until;
  end if;
  return next;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_evidence(p_generation integer, p_epoch bigint, p_state text, p_reason text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  -- In the order of all others.
  perform from evidence_logs l where l.generation = p_generation order by l.name for update;
  update evidence_logs l set state = p_state, state_reason = p_reason
  where l.generation = p_generation and l.state not in ('behind', 'forked')
    and p_epoch = (select e.lease_epoch from evidence_logs e where e.name = 'events' and e.generation = p_generation);
  return found;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_evidence_key()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update evidence_key_orders o set stated_at = clock_timestamp()
  where o.generation = new.generation and o.id::text = new.ref and o.stated_at is null
    and o.reason = new.text::jsonb ->> 'reason' and to_jsonb(o.new_vkeys) = new.text::jsonb -> 'new_vkeys';
  if not found then
    raise exception 'evidence: no such key was ordered' using errcode = 'serialization_failure';
  end if;
  update evidence_logs l set key_ordered = null, old_key_until = (new.text::jsonb ->> 'old_signs_until')::timestamptz
  where l.generation = new.generation;
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_evidence_settings(p_generation integer, p_epoch bigint, p_anchors text[], p_statements_ms double precision)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update evidence_logs l set anchors = p_anchors, statements_every = make_interval(secs => p_statements_ms / 1000)
  where l.name = 'events' and l.generation = p_generation and l.lease_epoch = p_epoch;
  return found;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_read_again(p_kind text, p_source_id text, p_filter_hash text, p_lane text, p_since timestamp with time zone, p_before timestamp with time zone, p_after_ms double precision)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  held coverage;
  is_noted boolean := false;
  again tstzmultirange;
begin
  select * into held from coverage c
  where c.source_kind = p_kind and c.source_id = p_source_id and c.filter_hash = p_filter_hash and c.pass = 0;
  if not found then return; end if;
  if held.noted_at is null or isempty(held.read_before) and p_lane = 'backfill' then
    is_noted := true;
  elsif held.noted_at <= clock_timestamp() - make_interval(secs => p_after_ms / 1000) then
    held.read_before := held.noted;
    is_noted := true;
  end if;
  again := tstzmultirange(tstzrange(p_since, p_before)) * held.read_before * held.ranges - held.read_again;
  if not isempty(again) then
    again := again - coalesce((
      select range_agg(tstzrange(day, day + interval '24 hours'))
      from lanes l, jsonb_object_keys(l.found) key, lateral (select key::timestamp at time zone 'UTC') as of (day)
      where l.source_kind = p_kind and l.source_id = p_source_id and l.filter_hash = p_filter_hash and l.lane = p_lane
        and length(key) = 10), '{}');
  end if;
  if not is_noted and isempty(again) then return; end if;
  update coverage c set read_before = held.read_before, read_again = held.read_again + again,
    noted = case when is_noted then held.ranges else held.noted end,
    noted_at = case when is_noted then clock_timestamp() else held.noted_at end
  where c.source_kind = p_kind and c.source_id = p_source_id and c.filter_hash = p_filter_hash and c.pass = 0;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_reading(p_kind text, p_source_id text, p_filter_hash text, p_lane text, p_reading jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
declare
  p_method constant text := p_reading ->> 'method';
  p_number constant integer := (p_reading ->> 'number')::integer;
  p_direction constant text := p_reading ->> 'direction';
  read_now constant timestamptz := clock_timestamp();
  -- Before 2009 there was nothing to read; each day is a row here.
  first_time timestamptz := greatest(to_timestamp((p_reading ->> 'fromMs')::float8 / 1000), timestamptz '2009-01-01 00:00:00+00');
  last_time timestamptz := least(to_timestamp((p_reading ->> 'toMs')::float8 / 1000), read_now + interval '60 seconds');
  first_day constant timestamptz := date_trunc('day', first_time, 'UTC');
  last_day constant timestamptz := date_trunc('day', last_time - interval '1 microsecond', 'UTC');
  by_day jsonb;
  neighbour coverage_readings;
begin
  if last_time <= first_time then return; end if;
  perform orgtrail_note_read_again(p_kind, p_source_id, p_filter_hash, p_lane, first_time, last_time,
    coalesce((p_reading ->> 'againAfterMs')::float8, 86400000));
  select l.found into by_day from lanes l
  where l.source_kind = p_kind and l.source_id = p_source_id and l.filter_hash = p_filter_hash and l.lane = p_lane;
  by_day := coalesce(by_day, '{}');

  with replaced as (
    delete from coverage_readings r
    where r.source_kind = p_kind and r.source_id = p_source_id and r.filter_hash = p_filter_hash
      and r.since < last_time and r.before > first_time
      -- They do not overlap: only the last one that begins before it can reach into it.
      and r.since >= coalesce((select max(b.since) from coverage_readings b
        where b.source_kind = p_kind and b.source_id = p_source_id and b.filter_hash = p_filter_hash
          and b.since <= first_time), '-infinity')
    returning r.*)
  insert into coverage_readings
  select source_kind, source_id, filter_hash, since, first_time, method, number, direction, found, read_from, read_to
  from replaced where since < first_time
  union all
  select source_kind, source_id, filter_hash, last_time, before, method, number, direction,
    case when since < first_time then 0 else found end, read_from, read_to
  from replaced where before > last_time;

  -- The piece of the first day joins what is before it, that of the last day what is behind it.
  select * into neighbour from coverage_readings r
  where r.source_kind = p_kind and r.source_id = p_source_id and r.filter_hash = p_filter_hash and r.since >= first_day
    and r.since < first_time and r.before = first_time
    and r.method = p_method and r.number = p_number and r.direction = p_direction;
  if found then
    if first_day = last_day and not by_day ? to_char(first_day at time zone 'UTC', 'YYYY-MM-DD')
      and not exists (select from coverage_readings r
        where r.source_kind = p_kind and r.source_id = p_source_id and r.filter_hash = p_filter_hash and r.since = last_time) then
      -- The ordinary course of the live tail.
      update coverage_readings r set before = last_time, read_to = read_now
      where r.source_kind = p_kind and r.source_id = p_source_id and r.filter_hash = p_filter_hash and r.since = neighbour.since;
      return;
    end if;
  end if;

  with joined as (
    delete from coverage_readings r
    where r.source_kind = p_kind and r.source_id = p_source_id and r.filter_hash = p_filter_hash
      and r.method = p_method and r.number = p_number and r.direction = p_direction
      and (r.since = neighbour.since
        or r.since = last_time and last_time < last_day + interval '24 hours' and r.before <= last_day + interval '24 hours')
    returning r.*),
  -- Each day that has a piece of its own: the first, the last, and those for which something was found. by_day is taken apart once: asked for
  -- each day of a long time, all of it would be unpacked for each.
  counted as (
    select day, sum(found)::bigint as found
    from (
      select first_day as day, 0 as found union all select last_day, 0
      union all
      select key::timestamp at time zone 'UTC', value::bigint from jsonb_each_text(by_day)
      where length(key) = 10 and key collate "C" between to_char(first_day at time zone 'UTC', 'YYYY-MM-DD')
        and to_char(last_day at time zone 'UTC', 'YYYY-MM-DD')) given
    group by day),
  followed as (
    select day, found, lead(day) over (order by day) as next_day from counted),
  pieces as (
    select greatest(day, first_time) as since, least(day + interval '24 hours', last_time) as before, found from followed
    union all
    -- The days between, as one.
    select day + interval '24 hours', next_day, 0 from followed where next_day > day + interval '24 hours'),
  extended as (
    select least(p.since, l.since) as since, greatest(p.before, r.before) as before,
      p.found + coalesce(l.found, 0) + coalesce(r.found, 0) as found, least(read_now, l.read_from, r.read_from) as read_from
    from pieces p
      left join joined l on l.before = p.since and p.since = first_time
      left join joined r on r.since = p.before and p.before = last_time)
  insert into coverage_readings
  select p_kind, p_source_id, p_filter_hash, since, before, p_method, p_number, p_direction, found, read_from, read_now from extended;

  if by_day <> '{}' then
    update lanes l set found = coalesce((
      select jsonb_object_agg(key, value) from jsonb_each(l.found)
      where key < to_char(first_day at time zone 'UTC', 'YYYY-MM-DD') or key > to_char(last_day at time zone 'UTC', 'YYYY-MM-DD')), '{}')
    where l.source_kind = p_kind and l.source_id = p_source_id and l.filter_hash = p_filter_hash and l.lane = p_lane;
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_reads(p_kind text, p_source_id text, p_filter_hash text, p_lane text, p_reads jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  added evidence_reads;
  was evidence_reads;
begin
  select * into was from evidence_reads r where r.source_kind = p_kind and r.source_id = p_source_id order by r.number desc limit 1;
  added.source_kind := p_kind;
  added.source_id := p_source_id;
  added.number := coalesce(was.number, 0) + 1;
  added.read_at := clock_timestamp();
  added.lane := left(p_lane, 64);
  added.filter_hash := left(p_filter_hash, 200);
  added.since := orgtrail_bounded_instant(p_reads ->> 'fromMs');
  added.before := orgtrail_bounded_instant(p_reads ->> 'toMs');
  added.pages := greatest((p_reads ->> 'pages')::integer, 0);
  added.entries := least(greatest((p_reads ->> 'entries')::bigint, 0), 9007199254740991);
  added.answers := greatest((p_reads ->> 'count')::integer, 0);
  added.first_date := orgtrail_bounded_instant(p_reads ->> 'firstDateMs');
  added.first_cf_ray := left(p_reads ->> 'firstCfRay', 64);
  added.last_date := orgtrail_bounded_instant(p_reads ->> 'lastDateMs');
  added.last_cf_ray := left(p_reads ->> 'lastCfRay', 64);
  added.bodies_sha256 := decode(p_reads ->> 'sha256', 'hex');
  added.sha256 := sha256(coalesce(was.sha256, decode(repeat('00', 32), 'hex')) || sha256(convert_to(orgtrail_read_text(added), 'UTF8')));
  insert into evidence_reads values (added.*);
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_scrub(p_kind text, p_source_id text, p_filter_hash text, p_owner text, p_part jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  is_new boolean;
  now_at constant timestamptz := clock_timestamp();
  long_ago constant timestamptz := timestamptz '2009-01-01 00:00:00+00';
  entries constant bigint := greatest(0, least(100000, coalesce((p_part ->> 'entries')::bigint, 0)));
  missing_now constant bigint := greatest(0, least(entries, coalesce((p_part ->> 'missing')::bigint, 0)));
  changed_now constant bigint := greatest(0, least(entries, coalesce((p_part ->> 'changed')::bigint, 0)));
  seconds constant double precision := greatest(0, least(1e9, coalesce((p_part ->> 'seconds')::double precision, 0)));
  ended constant timestamptz := case when (p_part ->> 'ended')::boolean then now_at end;
begin
  if not exists (select from sources s where s.kind = p_kind and s.id = p_source_id) then
    raise exception 'there is no such source' using errcode = 'check_violation';
  end if;
  insert into checks as c (kind, source_kind, source_id, filter_hash, round, since, before, began_at, last_read_at, ended_at, read_seconds,
    compared, missing, changed, fixed_missing, fixed_changed, fixes, done_by)
  values ('scrub', p_kind, p_source_id, left(p_filter_hash, 100), greatest(1, coalesce((p_part ->> 'round')::integer, 1)),
    greatest(long_ago, coalesce(to_timestamp((p_part ->> 'sinceMs')::float8 / 1000), long_ago)),
    least(now_at, greatest(long_ago, coalesce(to_timestamp((p_part ->> 'beforeMs')::float8 / 1000), now_at))),
    -- Cloudflare's clock may be ahead; the same number gives the same time.
    least(now_at + interval '1 hour', greatest(long_ago, coalesce(to_timestamp((p_part ->> 'beganMs')::float8 / 1000), long_ago))),
    now_at, ended, seconds, entries, missing_now, changed_now, missing_now, changed_now, true, left(p_owner, 200))
  on conflict (source_kind, source_id, filter_hash, round, began_at) where kind = 'scrub' do update set
    last_read_at = excluded.last_read_at, ended_at = coalesce(excluded.ended_at, c.ended_at), read_seconds = c.read_seconds + excluded.read_seconds,
    compared = c.compared + excluded.compared, missing = c.missing + excluded.missing, changed = c.changed + excluded.changed,
    fixed_missing = c.fixed_missing + excluded.missing, fixed_changed = c.fixed_changed + excluded.changed, done_by = excluded.done_by
  returning c.xmax = 0 into is_new;
  if is_new then
    delete from checks c using (
      select k.id, k.missing + k.changed > 0 as found, row_number() over (partition by k.missing + k.changed > 0 order by k.id desc) as number
      from checks k where k.kind = 'scrub' and k.source_kind = p_kind and k.source_id = p_source_id) old
    where c.id = old.id and old.number > case when old.found then 20 else 3 end;
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_sink_failure(p_name text, p_reason text, p_rest_ms double precision)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  update sinks set failures = least(failures, 2000000000) + 1, last_error = left(p_reason, 2000),
    next_attempt_at = clock_timestamp() + orgtrail_span(p_rest_ms)
  where name = p_name and (lease_until is null or lease_until <= clock_timestamp())
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_statement()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  said jsonb := new.text::jsonb;
begin
  if new.kind = 'coverage' then
    insert into evidence_coverage as c (generation, source_kind, source_id, filter_hash, index, wanted_since, stated_at, reads_count, reads_after)
    values (new.generation, said ->> 'source_kind', said ->> 'source_id', said #>> '{filter,hash}', new.index,
      (said ->> 'wanted_since')::timestamptz, coalesce(said ->> 'as_of', said ->> 'at')::timestamptz,
      (said #>> '{reads,count}')::bigint, (said #>> '{reads,after,count}')::bigint)
    on conflict (generation, source_kind, source_id, filter_hash) do update
      set index = excluded.index, wanted_since = excluded.wanted_since, stated_at = excluded.stated_at,
        reads_count = excluded.reads_count, reads_after = excluded.reads_after;
  else
    update evidence_logs l set schema_version = case when new.kind = 'schema' then said ->> 'to_version' else orgtrail_schema_version() end
    where l.name = 'events' and l.generation = new.generation;
  end if;
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_note_verification(p_run jsonb)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  made bigint;
  now_at constant timestamptz := clock_timestamp();
  long_ago constant timestamptz := timestamptz '2009-01-01 00:00:00+00';
  count_of constant jsonb := case when jsonb_typeof(p_run -> 'counts') = 'object' then p_run -> 'counts' else '{}' end;
  began constant timestamptz := least(now_at, greatest(long_ago, coalesce((p_run ->> 'beganAt')::timestamptz, now_at)));
begin
  insert into checks (kind, since, before, began_at, last_read_at, ended_at, sources, compared, missing, extra, changed, fixed_missing,
    fixed_changed, failed, fixes, findings, done_by)
  values ('verify',
    greatest(long_ago, coalesce((p_run ->> 'since')::timestamptz, long_ago)), least(now_at, coalesce((p_run ->> 'before')::timestamptz, now_at)),
    began, now_at, now_at,
    coalesce((count_of ->> 'sources')::integer, 0), coalesce((count_of ->> 'compared')::bigint, 0), coalesce((count_of ->> 'missing')::bigint, 0),
    coalesce((count_of ->> 'extra')::bigint, 0), coalesce((count_of ->> 'changed')::bigint, 0), coalesce((count_of ->> 'fixedMissing')::bigint, 0),
    coalesce((count_of ->> 'fixedChanged')::bigint, 0), coalesce((count_of ->> 'failed')::integer, 0),
    coalesce((p_run ->> 'fixes')::boolean, false),
    case when jsonb_typeof(p_run -> 'findings') = 'array' and jsonb_array_length(p_run -> 'findings') <= 100
      and length(p_run ->> 'findings') <= 200000 then p_run -> 'findings' else '[]' end,
    left(p_run ->> 'by', 200))
  returning id into made;
  delete from checks c where c.kind = 'verify' and c.id <= (
    select k.id from checks k where k.kind = 'verify' order by k.id desc offset 1000 limit 1);
  return made;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_open_evidence(p_events_origin text, p_journal_origin text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  head bigint := (select h.position from feed_head h);
  line text := orgtrail_timeline('feed_head'::regclass);
  -- Of a tree without leaves.
  empty bytea := sha256(''::bytea);
begin
  insert into evidence_logs (name, generation, origin, root, adopted_size, timeline)
  values ('events', 1, p_events_origin, empty, head, line), ('journal', 1, p_journal_origin, empty, 0, line)
  on conflict (name, generation) do nothing;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_order_evidence_key(p_generation integer, p_reason text, p_new_vkeys text[], p_both_for_ms double precision, p_by text)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  ordered bigint;
begin
  -- In the order of all others.
  perform from evidence_logs l where l.generation = p_generation and l.ended_at is null order by l.name for update;
  if not found or exists (select from evidence_logs l where l.generation > p_generation) then return null; end if;
  delete from evidence_key_orders o where o.generation = p_generation and o.stated_at is null;
  insert into evidence_key_orders (generation, reason, new_vkeys, both_for, ordered_by)
  values (p_generation, p_reason, p_new_vkeys, orgtrail_span(p_both_for_ms), p_by) returning id into ordered;
  update evidence_logs l set key_ordered = p_reason where l.generation = p_generation;
  return ordered;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_pace_positions()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  begun constant timestamptz := clock_timestamp();
  given constant bigint := new.position - old.position;
begin
  if given > 250000 and pg_has_role(session_user, (select c.relowner from pg_class c where c.oid = tg_relid), 'usage') then
    new.paced_until := begun;
  else
    -- What lies in the future is of another clock.
    new.paced_until := least(begun, greatest(old.paced_until, begun - interval '25 s')) + make_interval(secs => given / 20000.0);
    if new.paced_until > begun then perform pg_sleep(extract(epoch from new.paced_until - begun)); end if;
  end if;
  new.alive_at := clock_timestamp();
  return new;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_payload(raw json, defects text[])
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select case when defects && array['nul_character', 'lone_surrogate', 'number_out_of_range', 'nested_too_deeply', 'refused_by_database']
    then null else raw::jsonb end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_prove_session(p_key bytea, p_token_proof bytea, p_session_proof bytea)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  proven bigint;
begin
  select t.id into proven from access_tokens t join console_sessions s on s.token_id = t.id
  where t.access_log_proof = sha256(p_token_proof) and t.revoked_at is null and coalesce(t.expires_at, 'infinity'::timestamptz) > clock_timestamp()
    and s.key = p_key and s.expires_at > clock_timestamp();
  if proven is null then return false; end if;
  insert into console_session_proofs (key, token_id, proof) values (p_key, proven, sha256(p_session_proof)) on conflict do nothing;
  return true;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_read_access_log(p_session_proof bytea, p_token text, p_who text, p_kind text, p_since timestamp with time zone, p_before timestamp with time zone, p_at timestamp with time zone, p_id bigint, p_limit integer)
 RETURNS SETOF access_log
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  may record;
  condition text := '';
begin
  select * into may from orgtrail_access_log_shown(p_session_proof, p_token);
  if may.shown = 'none' then return; end if;
  -- A plan for what is asked for: none of the values is in the text.
  if may.shown = 'own' then condition := condition || ' and l.who = $1 and l.at >= $2'; end if;
  if p_who is not null then condition := condition || ' and l.who = $3'; end if;
  if p_kind is not null then condition := condition || ' and l.kind = $4'; end if;
  if p_since is not null then condition := condition || ' and l.at >= $5'; end if;
  if p_before is not null then condition := condition || ' and l.at < $6'; end if;
  if p_at is not null and p_id is not null then condition := condition || ' and l.at <= $7 and (l.at < $7 or l.id < $8)'; end if;
  return query execute 'select l.* from access_log l where true' || condition || ' order by l.at desc, l.id desc limit $9'
    using may.token, may.since, p_who, p_kind, p_since, p_before, p_at, p_id, least(greatest(coalesce(p_limit, 1), 1), 201);
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_read_text(p_row evidence_reads)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  select pg_catalog.format('{"number":%s,"source_kind":%s,"source_id":%s,"read_at":%s,"lane":%s,"filter_hash":%s,"since":%s,"before":%s,'
      '"pages":%s,"entries":%s,"answers":%s,"first_date":%s,"first_cf_ray":%s,"last_date":%s,"last_cf_ray":%s,"bodies_sha256":%s}',
    p_row.number, pg_catalog.to_json(p_row.source_kind), pg_catalog.to_json(p_row.source_id), orgtrail_instant_text(p_row.read_at), pg_catalog.to_json(p_row.lane),
    pg_catalog.to_json(p_row.filter_hash), orgtrail_instant_text(p_row.since), orgtrail_instant_text(p_row.before), p_row.pages, p_row.entries, p_row.answers,
    orgtrail_instant_text(p_row.first_date), coalesce(pg_catalog.to_json(p_row.first_cf_ray)::text, 'null'),
    orgtrail_instant_text(p_row.last_date), coalesce(pg_catalog.to_json(p_row.last_cf_ray)::text, 'null'), pg_catalog.to_json(pg_catalog.encode(p_row.bodies_sha256, 'hex')))
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_refuse_evidence(p_generation integer, p_reason text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  -- In the order of all others.
  perform from evidence_logs l where l.generation = p_generation order by l.name for update;
  update evidence_logs l set state = 'halted', state_reason = left(p_reason, 1000)
  where l.generation = p_generation and l.generation = (select max(g.generation) from evidence_logs g)
    and l.ended_at is null and l.state in ('ok', 'building') and not exists (select from evidence_logs s
      where s.generation = p_generation and greatest(s.lease_until, s.signed_at) > clock_timestamp() - interval '1 minute');
  return found;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_refuse_row()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if pg_has_role(session_user, (select relowner from pg_class where oid = tg_relid), 'usage') then return new; end if;
  raise exception '%: %', tg_table_name, tg_argv[0] using errcode = 'check_violation';
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_register_alarm_sinks(p_names text[], p_starts text[])
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  insert into alarm_cursors (sink, number)
  select s.name, case when s.start = 'now' then coalesce((select max(c.number) from alarm_changes c), 0) else 0 end
  from unnest(p_names, p_starts) as s (name, start)
  on conflict do nothing;
  update alarm_cursors set noted_at = case when sink = any(p_names) then clock_timestamp() end
  where sink = any(p_names) or noted_at is not null;
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_register_sinks(p_names text[], p_kinds text[], p_targets text[], p_starts text[])
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  insert into sinks (name, kind, target, position)
  select s.name, s.kind, s.target, case when s.start = 'now' then feed_head.position else 0 end
  from unnest(p_names, p_kinds, p_targets, p_starts) as s (name, kind, target, start), feed_head
  on conflict (name) do update set kind = excluded.kind, target = excluded.target, next_attempt_at = null
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_register_sinks_with_ages(p_names text[], p_kinds text[], p_targets text[], p_starts text[], p_max_ages_seconds bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform orgtrail_register_sinks(p_names, p_kinds, p_targets, p_starts);
  update sinks s set max_age_seconds = given.max_age_seconds
  from unnest(p_names, p_max_ages_seconds) as given (name, max_age_seconds)
  where s.name = given.name and s.max_age_seconds is distinct from given.max_age_seconds;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_release_evidence(p_generation integer, p_epoch bigint)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  update evidence_logs l set lease_until = null
  where l.name = 'events' and l.generation = p_generation and l.lease_epoch = p_epoch
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_release_evidence_of(p_owner text)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  update evidence_logs l set lease_until = null where l.name = 'events' and l.lease_owner = p_owner
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_release_sink(p_name text, p_epoch bigint)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  update sinks set lease_until = null where name = p_name and lease_epoch = p_epoch
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_release_sinks_of(p_owner text)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  update sinks set lease_until = null where lease_owner = p_owner
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_rename_search(p_id bigint, p_name text, p_by text)
 RETURNS text
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update saved_searches s set name = p_name, renamed_by = left(p_by, 200), renamed_at = clock_timestamp() where s.id = p_id;
  return case when found then 'renamed' else 'unknown' end;
exception when unique_violation then
  return 'name taken';
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_renew_evidence(p_generation integer, p_epoch bigint, p_lease_ms double precision)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update evidence_logs l set lease_until = clock_timestamp() + orgtrail_span(p_lease_ms)
  where l.name = 'events' and l.generation = p_generation and l.lease_epoch = p_epoch;
  return found;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_renew_sink(p_name text, p_epoch bigint, p_lease_ms double precision)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  update sinks set lease_until = clock_timestamp() + orgtrail_span(p_lease_ms) where name = p_name and lease_epoch = p_epoch;
  return found;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_replay_sink(p_session_proof bytea, p_name text, p_after bigint, p_address text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  replayer constant text := orgtrail_session_replays(p_session_proof);
  was bigint;
begin
  if replayer is null and (p_session_proof is not null or not has_table_privilege(session_user, 'sinks'::regclass, 'update'::text)) then
    raise exception 'this account or session may not set a sink to another position' using errcode = 'insufficient_privilege';
  end if;
  select s.position into was from sinks s where s.name = p_name for update;
  update sinks s set position = p_after, batch_until = null, lease_epoch = s.lease_epoch + 1, lease_until = null, failures = 0, refused_in_row = 0,
    next_attempt_at = null, last_error = null
  where s.name = p_name and p_after between 0 and (select h.position from feed_head h) and (replayer is null or p_after <= s.position);
  if not found then return false; end if;
  if replayer is not null then
    insert into access_log (kind, outcome, who, address, route, status, what, requests)
    values ('replay', 'ok', replayer, left(p_address, 100), 'POST /sinks/:name/replay', 303,
      jsonb_build_object('sink', p_name, 'after', p_after, 'from', was), 1);
  end if;
  return true;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_require_position(p_name text, p_from bigint, p_to bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  head constant bigint := (select h.position from feed_head h);
begin
  if p_to is null or p_to < p_from then
    raise exception 'the sink % may not go back from % to %: only the owner of the schema may, by orgtrail sink replay', p_name, p_from, p_to
      using errcode = 'check_violation';
  elsif p_to > head then
    raise exception 'the sink % may not go to %: the feed ends at %', p_name, p_to, head using errcode = 'check_violation';
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_require_skipped(p_name text, p_skipped bigint, p_from bigint, p_to bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  if (p_skipped >= 0 and p_skipped <= p_to - p_from) is not true then
    raise exception 'the sink % cannot skip % events between % and %', p_name, p_skipped, p_from, p_to using errcode = 'check_violation';
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_require_stopped_evidence(p_generation integer, p_next integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform from evidence_logs l where l.name = 'events' and l.generation = p_generation
    and (l.state in ('behind', 'forked') or l.ended_at is not null) for share;
  if not found or p_next <= p_generation or exists (select from evidence_logs l where l.generation > p_generation) then
    raise exception 'evidence: generation % goes on, or another one follows it already', p_generation
      using errcode = 'object_not_in_prerequisite_state';
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_retention_obstacle(partition regclass, month timestamp with time zone, until timestamp with time zone)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  highest bigint;
  obstacle text;
begin
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  if highest is null then return null; end if;
  execute pg_catalog.format('select pg_catalog.format(''hold %%s covers events in it: %%s'', h.id, left(h.reason, 200)) from holds h'
    ' where h.released_at is null and h.since < %L and h.before > %L and exists (select from %s e'
    ' where (h.organization_id is null or e.organization_id = h.organization_id)'
    ' and (h.account_id is null or e.account_id = h.account_id or e.source_kind = ''account'' and e.source_id = h.account_id)'
    ' and e.action_time >= h.since and e.action_time < h.before)'
    ' order by h.id limit 1', until, month, partition) into obstacle;
  if obstacle is not null then return obstacle; end if;
  select pg_catalog.format('the sink %s is at position %s, and still needs events up to %s', s.name, s.position, highest) into obstacle
  from sinks s where s.position < highest order by s.position limit 1;
  if obstacle is not null then return obstacle; end if;
  execute pg_catalog.format('select pg_catalog.format(''position %%s is a dead letter of the sink %%s'', d.position, d.sink)'
    ' from sink_dead_letters d where exists (select from %s e where e.position = d.position) order by 1 limit 1', partition)
    into obstacle;
  if obstacle is not null then return obstacle; end if;
  -- A leaf that was not made could never be made again, and a drop that is not stated looks like a theft.
  select case when l.size < highest
      then pg_catalog.format('the evidence is at position %s, and still needs events up to %s', l.size, highest)
      else pg_catalog.format('the evidence is %s, and cannot state what is dropped', l.state) end into obstacle
  from evidence_logs l
  where l.name = 'events' and l.generation = (select max(generation) from evidence_logs) and l.ended_at is null
    and (l.size < highest or l.state in ('behind', 'forked', 'halted'));
  return obstacle;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_retention_wait()
 RETURNS text
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select pg_catalog.format('nothing is dropped before %s: %s; `orgtrail hold confirm` ends that, once all holds are there',
    pg_catalog.to_char(w.ends_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'::text), w.reason)
  from (select x.reason, x.ends_at from retention_waits x where x.confirmed_at is null and x.ends_at > clock_timestamp()
    order by x.ends_at desc limit 1) w
  union all
  select 'nothing is dropped: the evidence has not been compared with its anchors on this server; a process that has its key does that'
  from evidence_logs l
  where l.name = 'events' and l.generation = (select max(g.generation) from evidence_logs g) and l.ended_at is null
    and l.state not in ('behind', 'forked')
    and (not orgtrail_is_evidence_here(l.timeline) or (select max(w.since) from retention_waits w)
      > (select coalesce(max(s.signed_at), '-infinity') from evidence_logs s where s.generation = l.generation))
  limit 1
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_save_search(p_name text, p_search text, p_by text, OUT outcome text, OUT saved_id bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  -- One at a time: else two could both be the last one that fits.
  lock table saved_searches in share row exclusive mode;
  if exists (select from saved_searches s where lower(s.name) collate "C" = lower(p_name) collate "C") then
    outcome := 'name taken';
  elsif (select count(*) from saved_searches) >= 500 then
    outcome := 'full';
  else
    insert into saved_searches (name, search, saved_by) values (p_name, p_search, left(p_by, 200)) returning id into saved_id;
    outcome := 'saved';
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_schema_version()
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select to_char(max(m.created_at) - 1795550000000, 'FM0000') from drizzle.__drizzle_migrations m
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_session_replays(p_session_proof bytea)
 RETURNS text
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select t.name from console_session_proofs p join console_sessions s on s.key = p.key join access_tokens t on t.id = p.token_id
  where p.proof = sha256(p_session_proof) and s.expires_at > clock_timestamp() and s.token_id = t.id and t.replays_sinks and 'search' = any (t.scopes)
    and t.revoked_at is null and coalesce(t.expires_at, 'infinity'::timestamptz) > clock_timestamp()
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_skip_events(p_name text, p_epoch bigint, p_until bigint, p_lease_ms double precision)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  was bigint := (select s.position from sinks s where s.name = p_name and s.lease_epoch = p_epoch for update);
begin
  if was is null then return false; end if;
  perform orgtrail_require_position(p_name, was, p_until);
  update sinks set position = p_until, batch_until = null, failures = 0, next_attempt_at = null, last_error = null,
    lease_until = clock_timestamp() + orgtrail_span(p_lease_ms)
  where name = p_name;
  return true;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_skip_old_events(p_name text, p_epoch bigint, p_until bigint, p_skipped bigint, p_lease_ms double precision)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  was bigint := (select s.position from sinks s where s.name = p_name and s.lease_epoch = p_epoch for update);
begin
  if was is null then return false; end if;
  perform orgtrail_require_skipped(p_name, p_skipped, was, p_until);
  if not orgtrail_skip_events(p_name, p_epoch, p_until, p_lease_ms) then return false; end if;
  update sinks set skipped = skipped + p_skipped where name = p_name;
  delete from sink_dead_letters d where d.sink = p_name and d.position > was and d.position <= p_until;
  return true;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_span(p_ms double precision)
 RETURNS interval
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
AS $function$
  select make_interval(secs => least(greatest(p_ms, 0), 3600000) / 1000)
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_take_request(p_credentials text[], p_spacing_ms double precision, p_tolerance_ms double precision)
 RETURNS boolean
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  taken bigint;
begin
  with known as (
    select b.blocked_until <= clock_timestamp()
      and b.next_free_at <= clock_timestamp() + make_interval(secs => p_tolerance_ms / 1000) as is_free
    from unnest(p_credentials) with ordinality as wanted (credential, place) join api_budget b using (credential)
    order by place for update of b)
  insert into api_budget as b (credential, next_free_at)
  select credential, clock_timestamp() + make_interval(secs => p_spacing_ms / 1000) from unnest(p_credentials) credential
  where (select coalesce(bool_and(is_free), true) from known)
  on conflict (credential) do update set
    next_free_at = greatest(b.next_free_at, clock_timestamp()) + make_interval(secs => p_spacing_ms / 1000)
  where b.blocked_until <= clock_timestamp()
    and b.next_free_at <= clock_timestamp() + make_interval(secs => p_tolerance_ms / 1000);
  get diagnostics taken = row_count;
  return taken = cardinality(p_credentials);
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_take_requests(p_credentials text[], p_spacing_ms double precision, p_tolerance_ms double precision, p_needed integer, p_ahead integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
declare
  -- In whole microseconds, as the times in the rows are.
  tolerance_ms constant float8 := extract(epoch from make_interval(secs => p_tolerance_ms / 1000)) * 1000;
  ahead_ms float8;
  granted integer;
  taken bigint;
begin
  -- Infinity if a row is blocked. The rows stay locked to the end.
  with known as (
    select b.next_free_at, b.blocked_until
    from unnest(p_credentials) with ordinality as wanted (credential, place) join api_budget b using (credential)
    order by place for update of b)
  select coalesce(max(case when blocked_until > clock_timestamp() then 'infinity'
    else extract(epoch from greatest(next_free_at, clock_timestamp()) - clock_timestamp())::float8 * 1000 end), 0)
  into ahead_ms from known;
  if ahead_ms > tolerance_ms then
    -- No budget is used up for so long: the clock of the database went back. The burst counts as used, so that no more goes out than may.
    update api_budget b set next_free_at = clock_timestamp() + make_interval(secs => p_tolerance_ms / 1000)
    where b.credential = any(p_credentials) and b.next_free_at > clock_timestamp() + interval '10 minutes';
    return 0;
  end if;
  granted := least(p_needed, 1 + floor((tolerance_ms - ahead_ms) / p_spacing_ms)::integer);
  if granted = p_needed then
    granted := granted + greatest(0, least(p_ahead, floor((tolerance_ms / 2 - ahead_ms) / p_spacing_ms)::integer - granted));
  end if;
  insert into api_budget as b (credential, next_free_at)
  select credential, clock_timestamp() + make_interval(secs => granted * p_spacing_ms / 1000) from unnest(p_credentials) credential
  on conflict (credential) do update set
    next_free_at = greatest(b.next_free_at, clock_timestamp()) + make_interval(secs => granted * p_spacing_ms / 1000)
  -- Another process may have made a row that was not there.
  where b.blocked_until <= clock_timestamp()
    and b.next_free_at <= clock_timestamp() + make_interval(secs => (p_tolerance_ms - (granted - 1) * p_spacing_ms) / 1000);
  get diagnostics taken = row_count;
  return case when taken = cardinality(p_credentials) then granted else 0 end;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_thin_checkpoints()
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  thinned bigint;
begin
  delete from evidence_checkpoints c
  where c.made_at < clock_timestamp() - interval '7 days' and exists (
    select from evidence_checkpoints later
    where later.log = c.log and later.generation = c.generation and later.size > c.size
      and later.made_at < date_trunc('hour', c.made_at) + interval '1 hour')
    and not exists (
      select from evidence_anchors a
      where a.log = c.log and a.generation = c.generation and a.size = c.size and a.at is not null);
  get diagnostics thinned = row_count;
  return thinned;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_thin_reads()
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  thinned bigint;
begin
  with stated as materialized (
    select distinct on (c.source_kind, c.source_id) c.source_kind, c.source_id, c.reads_after
    from evidence_coverage c join evidence_logs l on l.name = 'journal' and l.generation = c.generation
    where c.generation = (select max(g.generation) from evidence_logs g) and c.index < l.signed_size and c.reads_after is not null
    order by c.source_kind, c.source_id, c.index desc)
  delete from evidence_reads r using stated s
  where s.reads_after > 0 and r.source_kind = s.source_kind and r.source_id = s.source_id and r.number < s.reads_after;
  get diagnostics thinned = row_count;
  return thinned;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_timeline(head oid)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  known text;
begin
  if pg_is_in_recovery() then return null; end if;
  known := substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || ' ' || head;
  begin
    return known || ' ' || (select c.system_identifier from pg_control_system() c);
  exception when insufficient_privilege or undefined_function or feature_not_supported then
    return known;
  end;
exception when others then
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_token_use()
 RETURNS TABLE(token_id bigint, used_on date)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  select t.id, (used.at at time zone 'UTC')::date from access_tokens t cross join lateral (
    -- Bounds, an order and a collation that only access_log_who has: by the times alone, a token that is not used would be looked for in all rows.
    select l.at from access_log l where l.who >= t.name collate "default" and l.who <= t.name collate "default" and l.at >= t.created_at and l.at <= coalesce(t.revoked_at, 'infinity'::timestamptz)
      and l.address is not null and l.outcome <> 'refused' order by l.who desc, l.at desc limit 1) as used
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_trim_coverage(p_delays_ms double precision[])
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  trimmed integer;
begin
  with latest as (
    select n - 1 as pass,
      date_trunc('milliseconds', clock_timestamp()) + interval '61 seconds' - make_interval(secs => ms / 1000) as before
    from unnest(p_delays_ms) with ordinality as d (ms, n)),
  ahead as (
    select c.source_kind, c.source_id, c.filter_hash, c.pass, tstzmultirange(tstzrange(null, latest.before)) as past
    from coverage c join latest on latest.pass = c.pass
    where upper(c.ranges) > latest.before
    order by c.source_kind, c.source_id, c.filter_hash, c.pass for update of c)
  update coverage c set ranges = c.ranges * ahead.past, proven = c.proven * ahead.past, read_before = c.read_before * ahead.past,
    noted = c.noted * ahead.past, read_again = c.read_again * ahead.past
  from ahead where c.source_kind = ahead.source_kind and c.source_id = ahead.source_id
    and c.filter_hash = ahead.filter_hash and c.pass = ahead.pass;
  get diagnostics trimmed = row_count;
  return trimmed;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_unmute_detection(p_id bigint, p_by text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if coalesce(p_by, '') !~ '\S' or length(p_by) > 200 then
    raise exception 'the person who ends a mute must be named' using errcode = 'check_violation';
  end if;
  update detection_mutes m set ended_by = p_by, ended_as = session_user, ended_at = clock_timestamp()
  where m.id = p_id and m.ended_at is null and coalesce(m.muted_until, 'infinity') > clock_timestamp();
  return found;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_use_archive(p_archive text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if exists (select from archive_policy p where p.archive = p_archive) then return; end if;
  insert into archive_policy (archive) values (p_archive)
  on conflict (only_row) do update set archive = excluded.archive, set_at = clock_timestamp(), set_as = session_user;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_wait_for_disk()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then
    perform set_config('synchronous_commit', 'on', true);
  end if;
end
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_want_detections(p_from_beginning boolean)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
  insert into finding_head (position, began_at)
  select b.position, b.position from (select case when p_from_beginning then 0 else h.position end as position from feed_head h) b
  on conflict do nothing
$function$;

CREATE OR REPLACE FUNCTION public.orgtrail_without_jit()
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
AS $function$
begin
  perform pg_catalog.set_config('jit', 'off', true);
  return true;
end
$function$;

CREATE TRIGGER nothing_of_the_future BEFORE INSERT OR UPDATE ON public.account_listings FOR EACH ROW WHEN (((new.next_at > (clock_timestamp() + '25:00:00'::interval)) OR (new.last_attempt_at > (clock_timestamp() + '00:01:00'::interval)) OR (new.last_success_at > (clock_timestamp() + '00:01:00'::interval)) OR (new.lease_until > (clock_timestamp() + '01:00:00'::interval)) OR (new.walk_began_at > (clock_timestamp() + '00:01:00'::interval)))) EXECUTE FUNCTION orgtrail_refuse_row('nothing was listed in the future, and no listing rests for longer than a day');
CREATE TRIGGER nothing_of_the_future BEFORE INSERT OR UPDATE ON public.discovery FOR EACH ROW WHEN (((new.last_success_at > (clock_timestamp() + '00:01:00'::interval)) OR (new.last_attempt_at > (clock_timestamp() + '00:01:00'::interval)) OR (new.lease_until > (clock_timestamp() + '01:00:00'::interval)))) EXECUTE FUNCTION orgtrail_refuse_row('nothing was listed in the future, and no lease is longer than an hour');
CREATE TRIGGER evidence_journal_key AFTER INSERT ON public.evidence_journal FOR EACH ROW WHEN ((new.kind = 'key'::text)) EXECUTE FUNCTION orgtrail_note_evidence_key();
CREATE TRIGGER statement_is_noted AFTER INSERT ON public.evidence_journal FOR EACH ROW WHEN ((new.kind = ANY (ARRAY['coverage'::text, 'schema'::text, 'genesis'::text, 'fork'::text]))) EXECUTE FUNCTION orgtrail_note_statement();
CREATE TRIGGER evidence_logs_ended BEFORE UPDATE ON public.evidence_logs FOR EACH ROW WHEN (((old.ended_at IS NOT NULL) AND ((new.size <> old.size) OR (new.root <> old.root) OR (new.ended_at IS DISTINCT FROM old.ended_at)))) EXECUTE FUNCTION orgtrail_keep_evidence_ended();
CREATE TRIGGER positions_are_paced BEFORE UPDATE OF "position" ON public.feed_head FOR EACH ROW WHEN ((new."position" > old."position")) EXECUTE FUNCTION orgtrail_pace_positions();
CREATE TRIGGER timeline_is_watched BEFORE UPDATE OF "position" ON public.feed_head FOR EACH ROW WHEN (((old.timeline IS NULL) OR (old.timeline <> orgtrail_timeline(old.tableoid)))) EXECUTE FUNCTION orgtrail_jump_positions();
CREATE TRIGGER forget_findings AFTER INSERT ON public.retention_drops FOR EACH ROW EXECUTE FUNCTION orgtrail_forget_findings();
CREATE TRIGGER leases_end BEFORE INSERT OR UPDATE OF lease_until ON public.sources FOR EACH ROW WHEN ((new.lease_until > (clock_timestamp() + '01:00:00'::interval))) EXECUTE FUNCTION orgtrail_refuse_row('no lease is longer than an hour');
CREATE TRIGGER nothing_of_the_future BEFORE INSERT OR UPDATE OF wanted_since, wanted_history ON public.sources FOR EACH ROW WHEN (((new.wanted_since > (clock_timestamp() - '00:04:00'::interval)) OR (new.wanted_history < '00:05:00'::interval))) EXECUTE FUNCTION orgtrail_refuse_row('what is wanted begins five minutes ago or earlier: otherwise nothing would ever be missing');

comment on table access_log is 'Who was given what, and who was refused: written by orgtrail_note_access alone, which keeps a row for 400 days. The sums of events and requests over rows are what was given in total (docs/access.md).';
comment on column access_log.id is 'Its number.';
comment on column access_log.at is 'When the row was written, by the clock of the database.';
comment on column access_log.kind is 'sign-in, sign-out, refusal, search, export, event, feed, access-log; saved-search, mute, replay; by a command: evidence, hold, replay, token.';
comment on column access_log.outcome is 'begun (the end is another row), ok, refused, failed, cut off (the connection ended before the answer did).';
comment on column access_log.who is 'The name of the token, or ORGTRAIL_FEED_TOKEN; of a command what --by says; null: open on loopback, or not known.';
comment on column access_log.account is 'The database account that wrote the row: that of the daemon, or of who ran the command. Nobody can choose it.';
comment on column access_log.address is 'Where the request came from; null for a command, and where very many addresses were refused within an hour.';
comment on column access_log.route is 'The route of the request, or the command.';
comment on column access_log.status is 'The HTTP status of the answer; null for a command.';
comment on column access_log.what is 'The parameters of the search, the filter of the feed, the position of the event, or the arguments of the command. Never a secret.';
comment on column access_log.events is 'How many events were given; null where that is not known or makes no sense.';
comment on column access_log.requests is 'How many requests the row stands for: the same one repeated within an hour is one row at the end of it; 0: one that has only begun.';
comment on table access_tokens is 'Tokens of the HTTP API and the console, made by `orgtrail token create`. Revoked ones stay, as evidence.';
comment on column access_tokens.id is 'Its number.';
comment on column access_tokens.name is 'Whose it is. Unique among those that are not revoked.';
comment on column access_tokens.hash is 'SHA-256 of the token, which has 256 random bits. The token itself is stored nowhere.';
comment on column access_tokens.scopes is 'What it opens: feed, search (the console included), metrics.';
comment on column access_tokens.expires_at is 'From then on it opens nothing; null: it does not expire.';
comment on column access_tokens.created_at is 'When it was made.';
comment on column access_tokens.created_as is 'The database account that made it.';
comment on column access_tokens.revoked_at is 'When it was revoked; null: it was not.';
comment on column access_tokens.revoked_as is 'The database account that revoked it.';
comment on column access_tokens.access_log_proof is 'SHA-256 of what a daemon makes of the token itself at a sign-in, to read access_log and to set sinks back for it; null: made before migration 0061, and does neither.';
comment on column access_tokens.sees_access_log is 'Its sessions of the console read all of access_log; else the rows of the token alone.';
comment on column access_tokens.replays_sinks is 'Its sessions of the console may set a sink back.';
comment on table account_changes is 'What became of accounts, as orgtrail saw it: appeared, gone, refused, restored, renamed, moved, left.';
comment on column account_changes.id is 'Counts changes.';
comment on column account_changes.account_id is 'The account.';
comment on column account_changes.change is 'What happened.';
comment on column account_changes.old_value is 'The name before, or the organization before.';
comment on column account_changes.new_value is 'The name since, or the organization since.';
comment on column account_changes.changed_at is 'When orgtrail saw it.';
comment on table account_listings is 'Each listing that accounts are found by, with its own pause.';
comment on column account_listings.scope is 'organization:ID (GET /organizations/{id}/accounts) or credential:KEY (GET /accounts): the credential as api_budget names it. Until version 0.2: by its configured name.';
comment on column account_listings.credential is 'The credential that it was last listed with.';
comment on column account_listings.next_at is 'It is listed again from then on; null: at once.';
comment on column account_listings.last_attempt_at is 'When it was last tried.';
comment on column account_listings.last_success_at is 'When it last reached its end.';
comment on column account_listings.last_failure is 'The kind of the last failure; null after a success.';
comment on column account_listings.last_error is 'The same in words.';
comment on column account_listings.accounts is 'How many accounts its last complete listing named.';
comment on column account_listings.lease_owner is 'The process that walks it, while lease_until is to come.';
comment on column account_listings.lease_until is 'When the lease ends, unless it is renewed.';
comment on column account_listings.walk_began_at is 'When the walk under way began; null: there is none.';
comment on column account_listings.walk_page is 'Where the walk under way goes on; null: at its first page.';
comment on column account_listings.short_since is 'Since when the listing names fewer than it counts: last_error says how many. Null: the last one was complete, or failed otherwise.';
comment on table account_organizations is 'Which listing shows which account, and what it says of its organization.';
comment on column account_organizations.account_id is 'The account.';
comment on column account_organizations.scope is 'The listing that shows it.';
comment on column account_organizations.organization_id is 'The organization that the listing says it belongs to; null if it says none.';
comment on column account_organizations.missed is 'Complete listings of the scope in a row that did not name it.';
comment on column account_organizations.last_listed_at is 'When the listing last named it.';
comment on table accounts is 'Every account whose log is pulled: of organizations, of GET /accounts, or named in ORGTRAIL_ACCOUNTS.';
comment on column accounts.id is 'Cloudflare''s id of the account.';
comment on column accounts.name is 'As of the last listing; changes are in account_changes.';
comment on column accounts.type is 'standard or enterprise, as Cloudflare says.';
comment on column accounts.organization_id is 'The organization that it belongs to now, as far as listings say; null if it belongs to none that is known.';
comment on column accounts.create_time is 'When it was created, as Cloudflare says.';
comment on column accounts.settings is 'The settings that a listing shows, among them whether the API may be used.';
comment on column accounts.state is 'active; gone: no listing that ever showed it does any more, and its log refuses.';
comment on column accounts.named_by_hand is 'Named in ORGTRAIL_ACCOUNTS: pulled whether or not a listing shows it.';
comment on column accounts.first_seen_at is 'When it was first seen.';
comment on column accounts.last_seen_at is 'When a listing last named it.';
comment on column accounts.left_at is 'Since when no listing that is read shows it although its audit log answers: it is read on. Null: it is listed, or gone.';
comment on table alarm_changes is 'Alarms opened and resolved, in order.';
comment on column alarm_changes.number is 'Numbers the changes; in the order of their commits, with gaps.';
comment on column alarm_changes.alarm is 'As in alarms.';
comment on column alarm_changes.opened is 'The number by which the alarm was opened that this resolves; null: this opens it.';
comment on column alarm_changes.state is 'open or resolved.';
comment on column alarm_changes.severity is 'As in alarms.';
comment on column alarm_changes.summary is 'For people; of a resolved alarm, what it was last.';
comment on column alarm_changes.changed_at is 'When it was opened or resolved.';
comment on table alarm_cursors is 'How far each sink of alarms is.';
comment on column alarm_cursors.sink is 'Its name, as in sinks.';
comment on column alarm_cursors.number is 'All changes up to this one are delivered.';
comment on column alarm_cursors.noted_at is 'When the daemon noted alarms for this sink last; null: the sink is sent something else now, or was registered by an earlier version.';
comment on table alarms is 'What is wrong with orgtrail itself at this moment, as the daemons see it for sinks of alarms.';
comment on column alarms.alarm is 'Its name, with that of a sink if it is about one.';
comment on column alarms.severity is 'medium, high or critical.';
comment on column alarms.summary is 'For people.';
comment on column alarms.seen_since is 'Since when its condition has been met without a break.';
comment on column alarms.opened is 'The number of the change by which it was opened; null: its condition has not lasted long enough.';
comment on table api_budget is 'The request budget that all replicas share, one row per credential fingerprint (a truncated hash, not the credential).';
comment on column api_budget.credential is 'A hash that tells credentials apart, and nothing about them.';
comment on column api_budget.next_free_at is 'When the next request may go out, if all of the burst is used.';
comment on column api_budget.blocked_until is 'Until then Retry-After stops all requests.';
comment on column api_budget.blocked_because is 'What Cloudflare said when it blocked.';
comment on table archive_objects is 'The catalogue of the archive: what was written, read back and compared. Written by functions alone. What an object holds is decided by its hashes, never by its name.';
comment on column archive_objects.id is 'Its number.';
comment on column archive_objects.archive is 'Where it is: as archive_policy.archive.';
comment on column archive_objects.key is 'Its name below the prefix.';
comment on column archive_objects.kind is 'events, or changes: rows of audit_event_changes.';
comment on column archive_objects.month is 'The first day of the month, UTC.';
comment on column archive_objects.feed_id is 'Which numbering the positions belong to.';
comment on column archive_objects.first_position is 'The lowest position in it.';
comment on column archive_objects.last_position is 'The highest position in it. It has all of its month between the two.';
comment on column archive_objects.events is 'How many rows it has.';
comment on column archive_objects.bytes is 'Its size.';
comment on column archive_objects.sha256 is 'SHA-256 of its bytes.';
comment on column archive_objects.ids_sha256 is 'SHA-256 of the lines ''source_kind source_id id'' in order of position, as retention_drops.ids_sha256; of changes with raw_sha256 as well.';
comment on column archive_objects.raw_sha256 is 'SHA-256 of lines, each the SHA-256 of the raw text of one row, in order of position.';
comment on column archive_objects.columns_sha256 is 'The same of all other columns: docs/archive.md says how they are joined.';
comment on column archive_objects.organizations is 'By organization, or the empty text for none: how many events, and the times of the first and the last action.';
comment on column archive_objects.version_id is 'What the bucket called this version of it, if it has versions.';
comment on column archive_objects.locked_until is 'Until when the bucket lets it be neither changed nor deleted, as was asked for. Null: it was not asked for.';
comment on column archive_objects.written_at is 'When it was noted here, after it had been read back.';
comment on column archive_objects.written_as is 'The account of the database that did it.';
comment on column archive_objects.verified_at is 'When it was last read whole, with the bytes that it must have; -infinity: a round has begun that is to read it again.';
comment on column archive_objects.fault is 'What was wrong when it was last read. Null: nothing.';
comment on column archive_objects.superseded_at is 'When an object took its place; it counts no more.';
comment on column archive_objects.dropped_at is 'When the events in it were dropped from this database. Null: they are here as well.';
comment on column archive_objects.blocks_sha256 is 'The SHA-256 of each 262,144 bytes of it, one after the other. Null: it was written by an earlier version, and was not read whole since.';
comment on table archive_policy is 'One row, or none: the archive in which a month must be before it is dropped. Written by orgtrail_use_archive; the owner alone can delete the row.';
comment on column archive_policy.only_row is 'Always true: there is one row.';
comment on column archive_policy.archive is 'Bucket, prefix and endpoint, or the directory.';
comment on column archive_policy.set_at is 'When.';
comment on column archive_policy.set_as is 'The account of the database that did it.';
comment on table audit_event_changes is 'Later content of an id that was already stored with other content; position is that of the stored event.';
comment on column audit_event_changes.id is 'A number of its own, in the order in which changes were seen.';
comment on column audit_event_changes.source_kind is 'organization: the audit log of one.';
comment on column audit_event_changes.source_id is 'Within the kind: the organization''s id.';
comment on column audit_event_changes.event_id is 'The id of the entry.';
comment on column audit_event_changes."position" is 'Of the event in the feed.';
comment on column audit_event_changes.raw is 'The later content, as Cloudflare sent it.';
comment on column audit_event_changes.raw_sha256 is 'Of raw: the same content is recorded once.';
comment on column audit_event_changes.seen_at is 'When it was read.';
comment on view audit_event_traits is 'What the detections look at, one row per event: build your own on it. Select only the traits that you need; each costs time.';
comment on column audit_event_traits."position" is 'Of the event in the feed.';
comment on column audit_event_traits.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column audit_event_traits.received_at is 'When orgtrail stored it.';
comment on column audit_event_traits.organization_id is 'Cloudflare''s id of the organization.';
comment on column audit_event_traits.organization_name is 'As of the last listing.';
comment on column audit_event_traits.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column audit_event_traits.actor_id is 'actor.id: who did it.';
comment on column audit_event_traits.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column audit_event_traits.actor_ip_address is 'actor.ip_address: from where.';
comment on column audit_event_traits.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column audit_event_traits.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column audit_event_traits.action_result is 'action.result: success or failure; others may come.';
comment on column audit_event_traits.action_description is 'action.description: what was done, in words.';
comment on column audit_event_traits.resource_type is 'resource.type.';
comment on column audit_event_traits.resource_id is 'resource.id: what it was done to.';
comment on column audit_event_traits.source_kind is 'organization: the audit log of one.';
comment on column audit_event_traits.source_id is 'Within the kind: the organization''s id.';
comment on column audit_event_traits.id is 'The id of the entry; unique within its source.';
comment on column audit_event_traits.summary is 'For people: texts of the entry, shortened, without control characters. Still text of others: do not trust it.';
comment on column audit_event_traits.failed is 'The result is failure, or the HTTP status 400 to 599. A result that no document has counts as success.';
comment on column audit_event_traits.done is 'Did not fail, and is no view.';
comment on column audit_event_traits.deletes is 'Did not fail, and deletes something.';
comment on column audit_event_traits.creates is 'Creates something, whether it failed or not.';
comment on column audit_event_traits.about_api_token is 'API tokens or keys by type, product, description or path.';
comment on column audit_event_traits.about_member is 'Members or invitations by name or by path.';
comment on column audit_event_traits.about_organization_member is 'Members of an organization, by path.';
comment on column audit_event_traits.names_super_administrator is 'The request or the response names that role.';
comment on column audit_event_traits.requests_role is 'The request names a role in any way.';
comment on column audit_event_traits.about_sso_or_mfa is 'Single sign-on, identity providers or two factors by name, by path, or in the request (enforce_twofactor of account settings).';
comment on column audit_event_traits.by_cloudflare_staff is 'Cloudflare''s own staff did it.';
comment on column audit_event_traits.touches_collector_token is 'By, or about, one of collector_tokens.';
comment on column audit_event_traits.about_user is 'The entry is about a user''s own profile: it stands in the log of every account that the user may use, under one id and time.';
comment on column audit_event_traits.copies_of_position is 'The first copy of an entry about a user; null of the first, and of every other entry. Detections look at the first alone.';
comment on column audit_event_traits.grants_widely is 'The request or the answer names all accounts, all zones, or the right to make API tokens.';
comment on column audit_event_traits.about_protection is 'Firewall, WAF, rulesets, rate limits, Access applications and policies, Gateway rules: by name or by path.';
comment on column audit_event_traits.deletes_many_dns_records is 'A batch of changes of DNS records with deletes, or the deletion of a whole zone. Did not fail.';
comment on column audit_event_traits.about_worker_secret_or_route is 'Secrets, routes and domains of Workers, by name or by path.';
comment on column audit_event_traits.signs_in is 'A sign-in that did not fail: action type login, about a user.';
comment on column audit_event_traits.names_sso is 'Names single sign-on in type, product, description or path.';
comment on column audit_event_traits.actor_network is 'The first three bytes of an IPv4 address, the first three groups of an IPv6 address as it is written; any other text as it is.';
comment on column audit_event_traits.actor_domain is 'What follows the @ in the e-mail address of the actor, in small letters.';
comment on table audit_events is 'Every audit-log entry, once per source and id, first seen wins. Never updated. Follow it by position: gapless, in commit order.';
comment on column audit_events.source_kind is 'organization: the audit log of one.';
comment on column audit_events.source_id is 'Within the kind: the organization''s id.';
comment on column audit_events.organization_id is 'Cloudflare''s id of the organization.';
comment on column audit_events.id is 'Cloudflare''s id of the entry; sha256:… where it has none or one that is too long.';
comment on column audit_events."position" is 'Orders the feed: who has seen p never later meets a row below p.';
comment on column audit_events.action_time is '-infinity where the entry has no time that can be read (see defects).';
comment on column audit_events.received_at is 'When it was stored.';
comment on column audit_events.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column audit_events.action_result is 'action.result: success or failure; others may come.';
comment on column audit_events.action_description is 'action.description: what was done, in words.';
comment on column audit_events.actor_id is 'actor.id: who did it.';
comment on column audit_events.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column audit_events.actor_context is 'actor.context: dash, api_token, api_key, …';
comment on column audit_events.actor_email is 'actor.email, where the actor has one.';
comment on column audit_events.actor_ip_address is 'actor.ip_address: from where.';
comment on column audit_events.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column audit_events.actor_token_name is 'actor.token_name.';
comment on column audit_events.raw_cf_ray_id is 'raw.cf_ray_id (or cf_rayid) of the request.';
comment on column audit_events.raw_method is 'raw.method: the HTTP method.';
comment on column audit_events.raw_status_code is 'raw.status_code: the HTTP status.';
comment on column audit_events.raw_uri is 'raw.uri: the path that was called.';
comment on column audit_events.raw_user_agent is 'raw.user_agent.';
comment on column audit_events.resource_id is 'resource.id: what it was done to.';
comment on column audit_events.resource_product is 'resource.product.';
comment on column audit_events.resource_type is 'resource.type.';
comment on column audit_events.resource_scope is 'resource.scope; as JSON text where it is no string.';
comment on column audit_events.raw is 'What Cloudflare sent, to the byte of the element. With defect nested_too_deeply or refused_by_database: a JSON string that holds that text.';
comment on column audit_events.defects is 'Null where the entry could be read in full; else what could not.';
comment on column audit_events.account_id is 'The account that the entry is about; of an accounts log always set.';
comment on column audit_events.account_name is 'Its name, as the entry says.';
comment on column audit_events.zone_id is 'The zone that the entry is about.';
comment on column audit_events.zone_name is 'Its name, as the entry says.';
comment on view audit_feed is 'audit_events for tools that follow it by position: plain types, organization names, and the feed that a position belongs to. Null action_time where the entry has none that can be read.';
comment on column audit_feed."position" is 'Follow it: gapless, in commit order, unique.';
comment on column audit_feed.feed_id is 'Which numbering the position belongs to.';
comment on column audit_feed.source_kind is 'organization: the audit log of one.';
comment on column audit_feed.source_id is 'Within the kind: the organization''s id.';
comment on column audit_feed.organization_id is 'Cloudflare''s id of the organization.';
comment on column audit_feed.organization_name is 'As of the last listing.';
comment on column audit_feed.id is 'The id of the entry; unique within its source.';
comment on column audit_feed.action_time is 'Null where the entry has no time that can be read.';
comment on column audit_feed.received_at is 'When orgtrail stored it.';
comment on column audit_feed.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column audit_feed.action_result is 'action.result: success or failure; others may come.';
comment on column audit_feed.action_description is 'action.description: what was done, in words.';
comment on column audit_feed.actor_id is 'actor.id: who did it.';
comment on column audit_feed.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column audit_feed.actor_context is 'actor.context: dash, api_token, api_key, …';
comment on column audit_feed.actor_email is 'actor.email, where the actor has one.';
comment on column audit_feed.actor_ip_address is 'actor.ip_address: from where.';
comment on column audit_feed.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column audit_feed.actor_token_name is 'actor.token_name.';
comment on column audit_feed.raw_cf_ray_id is 'raw.cf_ray_id (or cf_rayid) of the request.';
comment on column audit_feed.raw_method is 'raw.method: the HTTP method.';
comment on column audit_feed.raw_status_code is 'raw.status_code: the HTTP status.';
comment on column audit_feed.raw_uri is 'raw.uri: the path that was called.';
comment on column audit_feed.raw_user_agent is 'raw.user_agent.';
comment on column audit_feed.resource_id is 'resource.id: what it was done to.';
comment on column audit_feed.resource_product is 'resource.product.';
comment on column audit_feed.resource_type is 'resource.type.';
comment on column audit_feed.resource_scope is 'resource.scope; as JSON text where it is no string.';
comment on column audit_feed.raw is 'What Cloudflare sent, to the byte, as text.';
comment on column audit_feed.defects is 'Null where the entry could be read in full; else names with commas between.';
comment on column audit_feed.account_id is 'The account that the entry is about.';
comment on column audit_feed.account_name is 'Its name, as the entry says.';
comment on column audit_feed.zone_id is 'The zone that the entry is about.';
comment on column audit_feed.zone_name is 'Its name, as the entry says.';
comment on view audit_history is 'Events with organization names and the payload as jsonb (null where jsonb cannot hold it; raw has it).';
comment on column audit_history."position" is 'Orders the feed: who has seen p never later meets a row below p.';
comment on column audit_history.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column audit_history.received_at is 'When orgtrail stored it.';
comment on column audit_history.organization_id is 'Cloudflare''s id of the organization.';
comment on column audit_history.organization_name is 'As of the last listing.';
comment on column audit_history.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column audit_history.action_result is 'action.result: success or failure; others may come.';
comment on column audit_history.action_description is 'action.description: what was done, in words.';
comment on column audit_history.actor_id is 'actor.id: who did it.';
comment on column audit_history.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column audit_history.actor_context is 'actor.context: dash, api_token, api_key, …';
comment on column audit_history.actor_email is 'actor.email, where the actor has one.';
comment on column audit_history.actor_ip_address is 'actor.ip_address: from where.';
comment on column audit_history.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column audit_history.actor_token_name is 'actor.token_name.';
comment on column audit_history.resource_id is 'resource.id: what it was done to.';
comment on column audit_history.resource_product is 'resource.product.';
comment on column audit_history.resource_type is 'resource.type.';
comment on column audit_history.resource_scope is 'resource.scope; as JSON text where it is no string.';
comment on column audit_history.request is 'resource.request of the entry: what was sent to the API.';
comment on column audit_history.response is 'resource.response of the entry: what the API answered.';
comment on column audit_history.raw_cf_ray_id is 'raw.cf_ray_id (or cf_rayid) of the request.';
comment on column audit_history.raw_method is 'raw.method: the HTTP method.';
comment on column audit_history.raw_status_code is 'raw.status_code: the HTTP status.';
comment on column audit_history.raw_uri is 'raw.uri: the path that was called.';
comment on column audit_history.raw_user_agent is 'raw.user_agent.';
comment on column audit_history.source_kind is 'organization: the audit log of one.';
comment on column audit_history.source_id is 'Within the kind: the organization''s id.';
comment on column audit_history.id is 'The id of the entry; unique within its source.';
comment on column audit_history.payload is 'The whole entry. For containment: payload @> ''{"resource": {"request": {"name": "x"}}}''.';
comment on column audit_history.defects is 'Null where the entry could be read in full; else what could not.';
comment on column audit_history.account_id is 'The account that the entry is about.';
comment on column audit_history.account_name is 'Its name, as the entry says.';
comment on column audit_history.zone_id is 'The zone that the entry is about.';
comment on column audit_history.zone_name is 'Its name, as the entry says.';
comment on column audit_history.copies_of_position is 'Of an entry about a user''s own profile, which stands in the log of every account that the user may use: the position of the first of these copies. Null of the first, and of every other entry.';
comment on table checks is 'Runs of orgtrail verify, and rounds of the scrub lane with one row for each source and round: what was compared, when, by whom and with what result. The newest are kept: 1,000 runs; of each source 3 rounds, and 20 that found something.';
comment on column checks.id is 'Its number: the higher, the later it was noted first.';
comment on column checks.kind is 'verify: a run of the command; scrub: a round of the daemon.';
comment on column checks.source_kind is 'Of a round: the kind of log that it reads. Null for a run, which may read many.';
comment on column checks.source_id is 'Of a round: which log.';
comment on column checks.filter_hash is 'Of a round: the filter set that it reads under.';
comment on column checks.round is 'Of a round: its number for this source, as in coverage_proof.';
comment on column checks.since is 'The time that is compared begins here.';
comment on column checks.before is 'And ends before this.';
comment on column checks.began_at is 'When it began.';
comment on column checks.last_read_at is 'When it read last.';
comment on column checks.ended_at is 'When it ended; null: it is under way, or was left for a later round.';
comment on column checks.read_seconds is 'Of a round: how much time it has read to a credible end.';
comment on column checks.sources is 'How many logs were compared.';
comment on column checks.compared is 'Entries that Cloudflare served and that were held against the store. A round counts those of each page: in pages that overlap or come again they count again.';
comment on column checks.missing is 'Entries that were served and not stored.';
comment on column checks.extra is 'Of a run: entries that are stored and were not served, not even when they were asked for once more.';
comment on column checks.changed is 'Entries that were served with other content than all that is stored of them.';
comment on column checks.fixed_missing is 'Of those missing, how many were stored then.';
comment on column checks.fixed_changed is 'Of those changed, for how many the other content was recorded then.';
comment on column checks.failed is 'Of a run: how many logs were not compared to the end.';
comment on column checks.fixes is 'Whether it stores what it finds missing: a round always does, a run with --fix.';
comment on column checks.findings is 'Of a run: what differs in each log, no more than 100 of them, with some of the ids.';
comment on column checks.done_by is 'Of a run: who is said to have made it (--by). Of a round: the process that read last.';
comment on column checks.done_as is 'The account of the database.';
comment on table collector_tokens is 'The ids (no secrets) of the API tokens that the collector reads with: GET /user/tokens/verify tells them. Written by the owner alone; detection_collector_token watches them.';
comment on column collector_tokens.token_id is 'The id of the API token, which is no secret.';
comment on column collector_tokens.note is 'For people.';
comment on column collector_tokens.added_at is 'When it was added.';
comment on table console_session_proofs is 'Sessions of the console that have proven their token, and so read access_log, or set sinks back. Written by orgtrail_prove_session alone.';
comment on column console_session_proofs.key is 'That of the session.';
comment on column console_session_proofs.token_id is 'The token that was proven.';
comment on column console_session_proofs.proof is 'SHA-256 of what a daemon makes of the cookie of the session, to read access_log and to set sinks back for it.';
comment on table console_sessions is 'Who is signed in to the console. Signing out deletes the row, which ends the session on every replica.';
comment on column console_sessions.key is 'A hash of what the cookie holds: nobody can sign in with it. Keyed with ORGTRAIL_FEED_TOKEN for its sessions, so that another token ends them.';
comment on column console_sessions.token_id is 'The token that it was begun with; null: ORGTRAIL_FEED_TOKEN.';
comment on column console_sessions.created_at is 'When it began.';
comment on column console_sessions.expires_at is 'When it ends at the latest. It ends with its token, too.';
comment on table coverage is 'The time ranges of a source that are proven read: pass 0 once, pass k again at least its settle delay later.';
comment on column coverage.source_kind is 'organization: the audit log of one.';
comment on column coverage.source_id is 'Within the kind: the organization''s id.';
comment on column coverage.filter_hash is 'Names the filter set that it was read under.';
comment on column coverage.pass is '0: read for the first time; 1, 2, …: read again after that settle delay.';
comment on column coverage.ranges is 'What has been read, as ranges [since, before).';
comment on column coverage.proven is 'The part of ranges that was read to a credible end. The rest was claimed by version 0.1, which trusted order and caps; the scrub lane proves it first.';
comment on column coverage.read_before is 'Of pass 0: the part of ranges that had been read a day ago, or earlier. A reading of it counts as a second one.';
comment on column coverage.noted is 'Of pass 0: ranges as of noted_at; becomes read_before a day later.';
comment on column coverage.noted_at is 'When noted was taken; null before the first reading.';
comment on column coverage.read_again is 'Of pass 0: the part of ranges that a reading at least a day after the first one found to be complete. The rest was read once.';
comment on view coverage_gaps is 'The time ranges, from the horizon to now, that have not been read. The last seconds before now are always one.';
comment on column coverage_gaps.source_kind is 'organization: the audit log of one.';
comment on column coverage_gaps.source_id is 'Within the kind: the organization''s id.';
comment on column coverage_gaps.organization_id is 'Cloudflare''s id of the organization.';
comment on column coverage_gaps.organization_name is 'As of the last listing.';
comment on column coverage_gaps.since is 'The gap begins here.';
comment on column coverage_gaps.before is 'And ends before this.';
comment on column coverage_gaps.duration is 'How long it is.';
comment on column coverage_gaps.account_id is 'The account whose log it is; null for the log of an organization.';
comment on column coverage_gaps.account_name is 'Its name, as last listed.';
comment on table coverage_holes is 'What cannot be had: time that the API serves neither by itself nor in parts, or always counts wrong. Never claimed; tried again after an hour, two, four, at last once a week. A row goes when its time has been read.';
comment on column coverage_holes.source_kind is 'The kind of log: organization.';
comment on column coverage_holes.source_id is 'Which one.';
comment on column coverage_holes.filter_hash is 'The filter set that it was asked under.';
comment on column coverage_holes.pass is 'The pass that lacks it; 0 is the first reading: then entries may be missing from the store.';
comment on column coverage_holes.since is 'The hole begins here.';
comment on column coverage_holes.before is 'And ends before this.';
comment on column coverage_holes.reason is 'Why it cannot be had, in one word.';
comment on column coverage_holes.message is 'The same in words.';
comment on column coverage_holes.attempts is 'How often it was tried to its end.';
comment on column coverage_holes.found_at is 'When it was first found.';
comment on column coverage_holes.last_attempt_at is 'When it was last tried.';
comment on column coverage_holes.next_attempt_at is 'When it is tried again.';
comment on view coverage_proof is 'For each source and UTC day, from the oldest time that is wanted to today: when and how it was last proven that every entry which Cloudflare serves for it is stored. Ask for one source or a few days: it has a row for every day of every source.';
comment on column coverage_proof.source_kind is 'The kind of log: organization.';
comment on column coverage_proof.source_id is 'Which one.';
comment on column coverage_proof.organization_id is 'The organization that the log belongs to.';
comment on column coverage_proof.organization_name is 'Its name, as last listed.';
comment on column coverage_proof.day is 'The day, in UTC.';
comment on column coverage_proof.proven_at is 'Every proven part of the day was last read to a credible end at this time or later; null if no part of it has been proven.';
comment on column coverage_proof.method is 'How the part that was read longest ago was read: first reading, pass (again after a delay, for late entries) or scrub (all of history again, from the other side).';
comment on column coverage_proof.number is 'The number of that pass, or of that round of the scrub lane; 0 for the first reading.';
comment on column coverage_proof.direction is 'The order in which that reading asked for entries: asc or desc.';
comment on column coverage_proof.found is 'Entries of the day that its last readings were the first to find. Those of a pass were late, those of the scrub lane were missing.';
comment on column coverage_proof.last_read_at is 'When the part that was read last was read.';
comment on column coverage_proof.unproven_seconds is 'How much of the day, up to now, has not been proven: not read yet, a hole, older than what is wanted, or claimed by version 0.1 without proof.';
comment on column coverage_proof.account_id is 'The account whose log it is; null for the log of an organization.';
comment on column coverage_proof.account_name is 'Its name, as last listed.';
comment on table coverage_readings is 'The last reading of each stretch of time to a credible end, without overlaps. Stretches are whole days as far as possible; coverage_proof expands them to days.';
comment on column coverage_readings.source_kind is 'The kind of log: organization.';
comment on column coverage_readings.source_id is 'Which one.';
comment on column coverage_readings.filter_hash is 'The filter set that it was read under.';
comment on column coverage_readings.since is 'The stretch begins here.';
comment on column coverage_readings.before is 'And ends before this.';
comment on column coverage_readings.method is 'first reading; pass (again after a delay, for late entries); scrub (all of history again, as a check).';
comment on column coverage_readings.number is 'Of the pass or of the round of the scrub lane; 0 for the first reading.';
comment on column coverage_readings.direction is 'The order that was asked for: asc or desc.';
comment on column coverage_readings.found is 'Entries that it was the first to find. Other than 0 only within one UTC day.';
comment on column coverage_readings.read_from is 'When the first part of it was read: nothing of it was read before this.';
comment on column coverage_readings.read_to is 'When its last part was read.';
comment on view detection_api_token_changed is 'An API token (or key) was created, changed, rolled or deleted, for a user, an account or an organization.';
comment on column detection_api_token_changed.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_api_token_changed.severity is 'low, medium, high or critical.';
comment on column detection_api_token_changed."position" is 'Of the event in the feed.';
comment on column detection_api_token_changed.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column detection_api_token_changed.received_at is 'When orgtrail stored it.';
comment on column detection_api_token_changed.organization_id is 'Cloudflare''s id of the organization.';
comment on column detection_api_token_changed.organization_name is 'As of the last listing.';
comment on column detection_api_token_changed.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_api_token_changed.actor_id is 'actor.id: who did it.';
comment on column detection_api_token_changed.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detection_api_token_changed.actor_ip_address is 'actor.ip_address: from where.';
comment on column detection_api_token_changed.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detection_api_token_changed.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detection_api_token_changed.action_result is 'action.result: success or failure; others may come.';
comment on column detection_api_token_changed.action_description is 'action.description: what was done, in words.';
comment on column detection_api_token_changed.resource_type is 'resource.type.';
comment on column detection_api_token_changed.resource_id is 'resource.id: what it was done to.';
comment on column detection_api_token_changed.events is 'How many events it takes.';
comment on column detection_api_token_changed.first_time is 'When the first of them happened.';
comment on column detection_api_token_changed.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detection_api_token_changed.source_kind is 'organization: the audit log of one.';
comment on column detection_api_token_changed.source_id is 'Within the kind: the organization''s id.';
comment on column detection_api_token_changed.id is 'The id of the entry; unique within its source.';
comment on view detection_api_token_wide_scope is 'An API token was created or changed that is for all accounts, for all zones, or that may make further tokens.';
comment on column detection_api_token_wide_scope.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_api_token_wide_scope.severity is 'low, medium, high or critical.';
comment on column detection_api_token_wide_scope."position" is 'Of the event in the feed.';
comment on column detection_api_token_wide_scope.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column detection_api_token_wide_scope.received_at is 'When orgtrail stored it.';
comment on column detection_api_token_wide_scope.organization_id is 'Cloudflare''s id of the organization.';
comment on column detection_api_token_wide_scope.organization_name is 'As of the last listing.';
comment on column detection_api_token_wide_scope.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_api_token_wide_scope.actor_id is 'actor.id: who did it.';
comment on column detection_api_token_wide_scope.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detection_api_token_wide_scope.actor_ip_address is 'actor.ip_address: from where.';
comment on column detection_api_token_wide_scope.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detection_api_token_wide_scope.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detection_api_token_wide_scope.action_result is 'action.result: success or failure; others may come.';
comment on column detection_api_token_wide_scope.action_description is 'action.description: what was done, in words.';
comment on column detection_api_token_wide_scope.resource_type is 'resource.type.';
comment on column detection_api_token_wide_scope.resource_id is 'resource.id: what it was done to.';
comment on column detection_api_token_wide_scope.events is 'How many events it takes.';
comment on column detection_api_token_wide_scope.first_time is 'When the first of them happened.';
comment on column detection_api_token_wide_scope.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detection_api_token_wide_scope.source_kind is 'organization: the audit log of one.';
comment on column detection_api_token_wide_scope.source_id is 'Within the kind: the organization''s id.';
comment on column detection_api_token_wide_scope.id is 'The id of the entry; unique within its source.';
comment on view detection_cloudflare_staff is 'Cloudflare''s own staff did something (actor.type cloudflare_admin), whatever came of it.';
comment on column detection_cloudflare_staff.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_cloudflare_staff.severity is 'low, medium, high or critical.';
comment on column detection_cloudflare_staff."position" is 'Of the event in the feed.';
comment on column detection_cloudflare_staff.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column detection_cloudflare_staff.received_at is 'When orgtrail stored it.';
comment on column detection_cloudflare_staff.organization_id is 'Cloudflare''s id of the organization.';
comment on column detection_cloudflare_staff.organization_name is 'As of the last listing.';
comment on column detection_cloudflare_staff.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_cloudflare_staff.actor_id is 'actor.id: who did it.';
comment on column detection_cloudflare_staff.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detection_cloudflare_staff.actor_ip_address is 'actor.ip_address: from where.';
comment on column detection_cloudflare_staff.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detection_cloudflare_staff.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detection_cloudflare_staff.action_result is 'action.result: success or failure; others may come.';
comment on column detection_cloudflare_staff.action_description is 'action.description: what was done, in words.';
comment on column detection_cloudflare_staff.resource_type is 'resource.type.';
comment on column detection_cloudflare_staff.resource_id is 'resource.id: what it was done to.';
comment on column detection_cloudflare_staff.events is 'How many events it takes.';
comment on column detection_cloudflare_staff.first_time is 'When the first of them happened.';
comment on column detection_cloudflare_staff.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detection_cloudflare_staff.source_kind is 'organization: the audit log of one.';
comment on column detection_cloudflare_staff.source_id is 'Within the kind: the organization''s id.';
comment on column detection_cloudflare_staff.id is 'The id of the entry; unique within its source.';
comment on view detection_collector_token is 'One of collector_tokens was used for something that is logged (reading is not), or somebody tried to change it, failed attempts included.';
comment on column detection_collector_token.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_collector_token.severity is 'low, medium, high or critical.';
comment on column detection_collector_token."position" is 'Of the event in the feed.';
comment on column detection_collector_token.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column detection_collector_token.received_at is 'When orgtrail stored it.';
comment on column detection_collector_token.organization_id is 'Cloudflare''s id of the organization.';
comment on column detection_collector_token.organization_name is 'As of the last listing.';
comment on column detection_collector_token.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_collector_token.actor_id is 'actor.id: who did it.';
comment on column detection_collector_token.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detection_collector_token.actor_ip_address is 'actor.ip_address: from where.';
comment on column detection_collector_token.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detection_collector_token.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detection_collector_token.action_result is 'action.result: success or failure; others may come.';
comment on column detection_collector_token.action_description is 'action.description: what was done, in words.';
comment on column detection_collector_token.resource_type is 'resource.type.';
comment on column detection_collector_token.resource_id is 'resource.id: what it was done to.';
comment on column detection_collector_token.events is 'How many events it takes.';
comment on column detection_collector_token.first_time is 'When the first of them happened.';
comment on column detection_collector_token.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detection_collector_token.source_kind is 'organization: the audit log of one.';
comment on column detection_collector_token.source_id is 'Within the kind: the organization''s id.';
comment on column detection_collector_token.id is 'The id of the entry; unique within its source.';
comment on view detection_delete_burst is 'One actor deleted 10 things or more in an organization within 5 minutes. One row each time the tenth comes; looks at the last 31 days, or since orgtrail.bursts_since.';
comment on column detection_delete_burst.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_delete_burst.severity is 'low, medium, high or critical.';
comment on column detection_delete_burst."position" is 'Of that one of the ten that was stored last: whoever follows it meets the burst, in whatever order its events arrive.';
comment on column detection_delete_burst.action_time is 'Of the action that made it a burst; first_time is that of the first of the ten.';
comment on column detection_delete_burst.received_at is 'When orgtrail stored it.';
comment on column detection_delete_burst.organization_id is 'Cloudflare''s id of the organization.';
comment on column detection_delete_burst.organization_name is 'As of the last listing.';
comment on column detection_delete_burst.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_delete_burst.actor_id is 'actor.id: who did it.';
comment on column detection_delete_burst.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detection_delete_burst.actor_ip_address is 'actor.ip_address: from where.';
comment on column detection_delete_burst.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detection_delete_burst.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detection_delete_burst.action_result is 'action.result: success or failure; others may come.';
comment on column detection_delete_burst.action_description is 'action.description: what was done, in words.';
comment on column detection_delete_burst.resource_type is 'resource.type.';
comment on column detection_delete_burst.resource_id is 'resource.id: what it was done to.';
comment on column detection_delete_burst.events is 'How many events it takes.';
comment on column detection_delete_burst.first_time is 'When the first of them happened.';
comment on column detection_delete_burst.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detection_delete_burst.source_kind is 'organization: the audit log of one.';
comment on column detection_delete_burst.source_id is 'Within the kind: the organization''s id.';
comment on column detection_delete_burst.id is 'The id of the entry; unique within its source.';
comment on view detection_dns_records_deleted is 'A batch of changes deleted DNS records, or a whole zone was deleted. Ten records that are deleted one by one are a delete_burst.';
comment on column detection_dns_records_deleted.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_dns_records_deleted.severity is 'low, medium, high or critical.';
comment on column detection_dns_records_deleted."position" is 'Of the event in the feed.';
comment on column detection_dns_records_deleted.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column detection_dns_records_deleted.received_at is 'When orgtrail stored it.';
comment on column detection_dns_records_deleted.organization_id is 'Cloudflare''s id of the organization.';
comment on column detection_dns_records_deleted.organization_name is 'As of the last listing.';
comment on column detection_dns_records_deleted.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_dns_records_deleted.actor_id is 'actor.id: who did it.';
comment on column detection_dns_records_deleted.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detection_dns_records_deleted.actor_ip_address is 'actor.ip_address: from where.';
comment on column detection_dns_records_deleted.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detection_dns_records_deleted.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detection_dns_records_deleted.action_result is 'action.result: success or failure; others may come.';
comment on column detection_dns_records_deleted.action_description is 'action.description: what was done, in words.';
comment on column detection_dns_records_deleted.resource_type is 'resource.type.';
comment on column detection_dns_records_deleted.resource_id is 'resource.id: what it was done to.';
comment on column detection_dns_records_deleted.events is 'How many events it takes.';
comment on column detection_dns_records_deleted.first_time is 'When the first of them happened.';
comment on column detection_dns_records_deleted.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detection_dns_records_deleted.source_kind is 'organization: the audit log of one.';
comment on column detection_dns_records_deleted.source_id is 'Within the kind: the organization''s id.';
comment on column detection_dns_records_deleted.id is 'The id of the entry; unique within its source.';
comment on view detection_failure_burst is 'Of one actor in an organization, 10 actions or more failed within 5 minutes. One row each time the tenth comes; looks at the last 31 days, or since orgtrail.bursts_since.';
comment on column detection_failure_burst.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_failure_burst.severity is 'low, medium, high or critical.';
comment on column detection_failure_burst."position" is 'Of that one of the ten that was stored last: whoever follows it meets the burst, in whatever order its events arrive.';
comment on column detection_failure_burst.action_time is 'Of the action that made it a burst; first_time is that of the first of the ten.';
comment on column detection_failure_burst.received_at is 'When orgtrail stored it.';
comment on column detection_failure_burst.organization_id is 'Cloudflare''s id of the organization.';
comment on column detection_failure_burst.organization_name is 'As of the last listing.';
comment on column detection_failure_burst.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_failure_burst.actor_id is 'actor.id: who did it.';
comment on column detection_failure_burst.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detection_failure_burst.actor_ip_address is 'actor.ip_address: from where.';
comment on column detection_failure_burst.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detection_failure_burst.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detection_failure_burst.action_result is 'action.result: success or failure; others may come.';
comment on column detection_failure_burst.action_description is 'action.description: what was done, in words.';
comment on column detection_failure_burst.resource_type is 'resource.type.';
comment on column detection_failure_burst.resource_id is 'resource.id: what it was done to.';
comment on column detection_failure_burst.events is 'How many events it takes.';
comment on column detection_failure_burst.first_time is 'When the first of them happened.';
comment on column detection_failure_burst.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detection_failure_burst.source_kind is 'organization: the audit log of one.';
comment on column detection_failure_burst.source_id is 'Within the kind: the organization''s id.';
comment on column detection_failure_burst.id is 'The id of the entry; unique within its source.';
comment on view detection_member_added is 'Somebody was added to an organization, an account or a group, or invited.';
comment on column detection_member_added.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_member_added.severity is 'low, medium, high or critical.';
comment on column detection_member_added."position" is 'Of the event in the feed.';
comment on column detection_member_added.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column detection_member_added.received_at is 'When orgtrail stored it.';
comment on column detection_member_added.organization_id is 'Cloudflare''s id of the organization.';
comment on column detection_member_added.organization_name is 'As of the last listing.';
comment on column detection_member_added.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_member_added.actor_id is 'actor.id: who did it.';
comment on column detection_member_added.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detection_member_added.actor_ip_address is 'actor.ip_address: from where.';
comment on column detection_member_added.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detection_member_added.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detection_member_added.action_result is 'action.result: success or failure; others may come.';
comment on column detection_member_added.action_description is 'action.description: what was done, in words.';
comment on column detection_member_added.resource_type is 'resource.type.';
comment on column detection_member_added.resource_id is 'resource.id: what it was done to.';
comment on column detection_member_added.events is 'How many events it takes.';
comment on column detection_member_added.first_time is 'When the first of them happened.';
comment on column detection_member_added.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detection_member_added.source_kind is 'organization: the audit log of one.';
comment on column detection_member_added.source_id is 'Within the kind: the organization''s id.';
comment on column detection_member_added.id is 'The id of the entry; unique within its source.';
comment on table detection_mutes is 'Findings that the console leaves out of its list, by whom and why. The views, the feed, sinks and Sigma know nothing of it (docs/detections.md).';
comment on column detection_mutes.id is 'Its number.';
comment on column detection_mutes.detection is 'The detection, as in detections.';
comment on column detection_mutes.actor is 'Only findings of this actor, as in detections; null: of all.';
comment on column detection_mutes.reason is 'Why, in the words of who did it.';
comment on column detection_mutes.muted_until is 'Until when; null: until it is ended.';
comment on column detection_mutes.created_by is 'The name of the token of the session that muted it.';
comment on column detection_mutes.created_as is 'The database account that did it: that of the daemon.';
comment on column detection_mutes.created_at is 'When, by the clock of the database.';
comment on column detection_mutes.ended_by is 'The name of the token of the session that ended it.';
comment on column detection_mutes.ended_as is 'The database account that ended it.';
comment on column detection_mutes.ended_at is 'When it was ended; null: it is in force, or its time is over.';
comment on view detection_protection_removed is 'A firewall or WAF rule, a ruleset, a rate limit, a Gateway rule, or an Access application, policy or group was deleted.';
comment on column detection_protection_removed.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_protection_removed.severity is 'low, medium, high or critical.';
comment on column detection_protection_removed."position" is 'Of the event in the feed.';
comment on column detection_protection_removed.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column detection_protection_removed.received_at is 'When orgtrail stored it.';
comment on column detection_protection_removed.organization_id is 'Cloudflare''s id of the organization.';
comment on column detection_protection_removed.organization_name is 'As of the last listing.';
comment on column detection_protection_removed.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_protection_removed.actor_id is 'actor.id: who did it.';
comment on column detection_protection_removed.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detection_protection_removed.actor_ip_address is 'actor.ip_address: from where.';
comment on column detection_protection_removed.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detection_protection_removed.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detection_protection_removed.action_result is 'action.result: success or failure; others may come.';
comment on column detection_protection_removed.action_description is 'action.description: what was done, in words.';
comment on column detection_protection_removed.resource_type is 'resource.type.';
comment on column detection_protection_removed.resource_id is 'resource.id: what it was done to.';
comment on column detection_protection_removed.events is 'How many events it takes.';
comment on column detection_protection_removed.first_time is 'When the first of them happened.';
comment on column detection_protection_removed.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detection_protection_removed.source_kind is 'organization: the audit log of one.';
comment on column detection_protection_removed.source_id is 'Within the kind: the organization''s id.';
comment on column detection_protection_removed.id is 'The id of the entry; unique within its source.';
comment on view detection_sign_in_from_new_network is 'A user who had signed in within the 31 days before did so from a network (actor_network) that none of these sign-ins was from. Looks at the last 31 days, or since orgtrail.bursts_since.';
comment on column detection_sign_in_from_new_network.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_sign_in_from_new_network.severity is 'low, medium, high or critical.';
comment on column detection_sign_in_from_new_network."position" is 'Of the sign-in, or of the first known one before it if that was stored later: whoever follows it meets the detection, in whatever order events arrive.';
comment on column detection_sign_in_from_new_network.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column detection_sign_in_from_new_network.received_at is 'When orgtrail stored it.';
comment on column detection_sign_in_from_new_network.organization_id is 'Cloudflare''s id of the organization.';
comment on column detection_sign_in_from_new_network.organization_name is 'As of the last listing.';
comment on column detection_sign_in_from_new_network.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_sign_in_from_new_network.actor_id is 'actor.id: who did it.';
comment on column detection_sign_in_from_new_network.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detection_sign_in_from_new_network.actor_ip_address is 'actor.ip_address: from where.';
comment on column detection_sign_in_from_new_network.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detection_sign_in_from_new_network.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detection_sign_in_from_new_network.action_result is 'action.result: success or failure; others may come.';
comment on column detection_sign_in_from_new_network.action_description is 'action.description: what was done, in words.';
comment on column detection_sign_in_from_new_network.resource_type is 'resource.type.';
comment on column detection_sign_in_from_new_network.resource_id is 'resource.id: what it was done to.';
comment on column detection_sign_in_from_new_network.events is 'How many events it takes.';
comment on column detection_sign_in_from_new_network.first_time is 'When the first of them happened.';
comment on column detection_sign_in_from_new_network.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detection_sign_in_from_new_network.source_kind is 'organization: the audit log of one.';
comment on column detection_sign_in_from_new_network.source_id is 'Within the kind: the organization''s id.';
comment on column detection_sign_in_from_new_network.id is 'The id of the entry; unique within its source.';
comment on view detection_sign_in_without_sso is 'A user signed in without single sign-on, though one with an e-mail address of the same domain signed in with it in the 31 days before. Looks at the last 31 days, or since orgtrail.bursts_since.';
comment on column detection_sign_in_without_sso.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_sign_in_without_sso.severity is 'low, medium, high or critical.';
comment on column detection_sign_in_without_sso."position" is 'Of the sign-in, or of the first known one by SSO if that was stored later: whoever follows it meets the detection, in whatever order events arrive.';
comment on column detection_sign_in_without_sso.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column detection_sign_in_without_sso.received_at is 'When orgtrail stored it.';
comment on column detection_sign_in_without_sso.organization_id is 'Cloudflare''s id of the organization.';
comment on column detection_sign_in_without_sso.organization_name is 'As of the last listing.';
comment on column detection_sign_in_without_sso.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_sign_in_without_sso.actor_id is 'actor.id: who did it.';
comment on column detection_sign_in_without_sso.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detection_sign_in_without_sso.actor_ip_address is 'actor.ip_address: from where.';
comment on column detection_sign_in_without_sso.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detection_sign_in_without_sso.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detection_sign_in_without_sso.action_result is 'action.result: success or failure; others may come.';
comment on column detection_sign_in_without_sso.action_description is 'action.description: what was done, in words.';
comment on column detection_sign_in_without_sso.resource_type is 'resource.type.';
comment on column detection_sign_in_without_sso.resource_id is 'resource.id: what it was done to.';
comment on column detection_sign_in_without_sso.events is 'How many events it takes.';
comment on column detection_sign_in_without_sso.first_time is 'When the first of them happened.';
comment on column detection_sign_in_without_sso.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detection_sign_in_without_sso.source_kind is 'organization: the audit log of one.';
comment on column detection_sign_in_without_sso.source_id is 'Within the kind: the organization''s id.';
comment on column detection_sign_in_without_sso.id is 'The id of the entry; unique within its source.';
comment on view detection_sso_or_mfa_changed is 'Single sign-on, an identity provider or the demand for a second factor was set, changed or removed.';
comment on column detection_sso_or_mfa_changed.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_sso_or_mfa_changed.severity is 'low, medium, high or critical.';
comment on column detection_sso_or_mfa_changed."position" is 'Of the event in the feed.';
comment on column detection_sso_or_mfa_changed.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column detection_sso_or_mfa_changed.received_at is 'When orgtrail stored it.';
comment on column detection_sso_or_mfa_changed.organization_id is 'Cloudflare''s id of the organization.';
comment on column detection_sso_or_mfa_changed.organization_name is 'As of the last listing.';
comment on column detection_sso_or_mfa_changed.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_sso_or_mfa_changed.actor_id is 'actor.id: who did it.';
comment on column detection_sso_or_mfa_changed.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detection_sso_or_mfa_changed.actor_ip_address is 'actor.ip_address: from where.';
comment on column detection_sso_or_mfa_changed.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detection_sso_or_mfa_changed.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detection_sso_or_mfa_changed.action_result is 'action.result: success or failure; others may come.';
comment on column detection_sso_or_mfa_changed.action_description is 'action.description: what was done, in words.';
comment on column detection_sso_or_mfa_changed.resource_type is 'resource.type.';
comment on column detection_sso_or_mfa_changed.resource_id is 'resource.id: what it was done to.';
comment on column detection_sso_or_mfa_changed.events is 'How many events it takes.';
comment on column detection_sso_or_mfa_changed.first_time is 'When the first of them happened.';
comment on column detection_sso_or_mfa_changed.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detection_sso_or_mfa_changed.source_kind is 'organization: the audit log of one.';
comment on column detection_sso_or_mfa_changed.source_id is 'Within the kind: the organization''s id.';
comment on column detection_sso_or_mfa_changed.id is 'The id of the entry; unique within its source.';
comment on view detection_super_administrator_added is 'A member whose role is named super administrator was added or changed, or one was added to an organization without a role: that is a super administrator, too.';
comment on column detection_super_administrator_added.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_super_administrator_added.severity is 'low, medium, high or critical.';
comment on column detection_super_administrator_added."position" is 'Of the event in the feed.';
comment on column detection_super_administrator_added.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column detection_super_administrator_added.received_at is 'When orgtrail stored it.';
comment on column detection_super_administrator_added.organization_id is 'Cloudflare''s id of the organization.';
comment on column detection_super_administrator_added.organization_name is 'As of the last listing.';
comment on column detection_super_administrator_added.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_super_administrator_added.actor_id is 'actor.id: who did it.';
comment on column detection_super_administrator_added.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detection_super_administrator_added.actor_ip_address is 'actor.ip_address: from where.';
comment on column detection_super_administrator_added.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detection_super_administrator_added.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detection_super_administrator_added.action_result is 'action.result: success or failure; others may come.';
comment on column detection_super_administrator_added.action_description is 'action.description: what was done, in words.';
comment on column detection_super_administrator_added.resource_type is 'resource.type.';
comment on column detection_super_administrator_added.resource_id is 'resource.id: what it was done to.';
comment on column detection_super_administrator_added.events is 'How many events it takes.';
comment on column detection_super_administrator_added.first_time is 'When the first of them happened.';
comment on column detection_super_administrator_added.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detection_super_administrator_added.source_kind is 'organization: the audit log of one.';
comment on column detection_super_administrator_added.source_id is 'Within the kind: the organization''s id.';
comment on column detection_super_administrator_added.id is 'The id of the entry; unique within its source.';
comment on view detection_worker_secret_or_route_changed is 'A secret, a route or a domain of a Worker was set, changed or removed.';
comment on column detection_worker_secret_or_route_changed.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_worker_secret_or_route_changed.severity is 'low, medium, high or critical.';
comment on column detection_worker_secret_or_route_changed."position" is 'Of the event in the feed.';
comment on column detection_worker_secret_or_route_changed.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column detection_worker_secret_or_route_changed.received_at is 'When orgtrail stored it.';
comment on column detection_worker_secret_or_route_changed.organization_id is 'Cloudflare''s id of the organization.';
comment on column detection_worker_secret_or_route_changed.organization_name is 'As of the last listing.';
comment on column detection_worker_secret_or_route_changed.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_worker_secret_or_route_changed.actor_id is 'actor.id: who did it.';
comment on column detection_worker_secret_or_route_changed.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detection_worker_secret_or_route_changed.actor_ip_address is 'actor.ip_address: from where.';
comment on column detection_worker_secret_or_route_changed.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detection_worker_secret_or_route_changed.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detection_worker_secret_or_route_changed.action_result is 'action.result: success or failure; others may come.';
comment on column detection_worker_secret_or_route_changed.action_description is 'action.description: what was done, in words.';
comment on column detection_worker_secret_or_route_changed.resource_type is 'resource.type.';
comment on column detection_worker_secret_or_route_changed.resource_id is 'resource.id: what it was done to.';
comment on column detection_worker_secret_or_route_changed.events is 'How many events it takes.';
comment on column detection_worker_secret_or_route_changed.first_time is 'When the first of them happened.';
comment on column detection_worker_secret_or_route_changed.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detection_worker_secret_or_route_changed.source_kind is 'organization: the audit log of one.';
comment on column detection_worker_secret_or_route_changed.source_id is 'Within the kind: the organization''s id.';
comment on column detection_worker_secret_or_route_changed.id is 'The id of the entry; unique within its source.';
comment on view detections is 'All detections. Follow it by position: an event stands in it once for each detection that it meets. An alert is named by (detection, source_kind, source_id, id).';
comment on column detections.detection is 'Its name; the view detection_… has only this one.';
comment on column detections.severity is 'low, medium, high or critical, as the level of the Sigma rule.';
comment on column detections."position" is 'Of the event in the feed.';
comment on column detections.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column detections.received_at is 'When orgtrail stored it.';
comment on column detections.organization_id is 'Cloudflare''s id of the organization.';
comment on column detections.organization_name is 'As of the last listing.';
comment on column detections.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detections.actor_id is 'actor.id: who did it.';
comment on column detections.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column detections.actor_ip_address is 'actor.ip_address: from where.';
comment on column detections.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column detections.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column detections.action_result is 'action.result: success or failure; others may come.';
comment on column detections.action_description is 'action.description: what was done, in words.';
comment on column detections.resource_type is 'resource.type.';
comment on column detections.resource_id is 'resource.id: what it was done to.';
comment on column detections.events is 'How many events it takes: 1, or for a burst its threshold.';
comment on column detections.first_time is 'When the first of them happened.';
comment on column detections.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column detections.source_kind is 'organization: the audit log of one.';
comment on column detections.source_id is 'Within the kind: the organization''s id.';
comment on column detections.id is 'The id of the entry; unique within its source.';
comment on table discovery is 'The last walk of GET /organizations: readiness depends on its age.';
comment on column discovery.only_row is 'There is one row.';
comment on column discovery.last_attempt_at is 'When something was last tried.';
comment on column discovery.last_success_at is 'When it last succeeded.';
comment on column discovery.last_error is 'What went wrong last, in words; null since the last success.';
comment on column discovery.organizations is 'How many the last listing named.';
comment on column discovery.lease_owner is 'The replica that lists the organizations, while lease_until is to come.';
comment on column discovery.lease_until is 'When the lease ends, unless it is renewed.';
comment on column discovery.server_time is 'Cloudflare''s own time at last_success_at, which is this database''s clock: their difference is how far the two are apart.';
comment on column discovery.short_since is 'Since when the listing names fewer than it counts, or not every credential answers it: last_error says which. Null: the last one was complete, or failed.';
comment on table evidence_anchors is 'Which signed checkpoints are kept outside of this database, and where.';
comment on column evidence_anchors.log is 'events or journal.';
comment on column evidence_anchors.generation is 'As in evidence_logs.';
comment on column evidence_anchors.anchor is 'As ORGTRAIL_EVIDENCE_ANCHORS names it.';
comment on column evidence_anchors.size is 'Of the checkpoint.';
comment on column evidence_anchors.at is 'When it was last seen to be there; null: never.';
comment on column evidence_anchors.receipt is 'What the anchor answered: the signature line of a witness, a time-stamp token, the version of an object.';
comment on column evidence_anchors.tiles_size is 'The full tiles of so many leaves are kept there as well.';
comment on column evidence_anchors.error is 'Why the last attempt failed; null: it did not.';
comment on column evidence_anchors.failed_at is 'When it failed.';
comment on table evidence_asked is 'When a coverage statement of a source was last asked for, beside those that are made anyway.';
comment on column evidence_asked.source_kind is 'As in audit_events.';
comment on column evidence_asked.source_id is 'As in audit_events.';
comment on column evidence_asked.asked_at is 'A later statement answers it.';
comment on table evidence_checkpoints is 'Signed checkpoints: all of a week, and before that the last of each hour.';
comment on column evidence_checkpoints.log is 'events or journal.';
comment on column evidence_checkpoints.generation is 'As in evidence_logs.';
comment on column evidence_checkpoints.size is 'Leaves.';
comment on column evidence_checkpoints.root is 'Their root.';
comment on column evidence_checkpoints.note is 'The signed note of c2sp.org/tlog-checkpoint.';
comment on column evidence_checkpoints.made_at is 'When it was stored.';
comment on table evidence_coverage is 'The last coverage statement of each source and filter set, written with the statement.';
comment on column evidence_coverage.generation is 'As in evidence_logs.';
comment on column evidence_coverage.source_kind is 'As in audit_events.';
comment on column evidence_coverage.source_id is 'As in audit_events.';
comment on column evidence_coverage.filter_hash is 'Names the filter set that the statement is about.';
comment on column evidence_coverage.index is 'Which statement of evidence_journal it is.';
comment on column evidence_coverage.wanted_since is 'What it says of the horizon.';
comment on column evidence_coverage.stated_at is 'As of when it states what is covered.';
comment on column evidence_coverage.reads_count is 'How many rows of evidence_reads it counts.';
comment on column evidence_coverage.reads_after is 'Rows up to this number are no longer promised.';
comment on table evidence_journal is 'The statements.';
comment on column evidence_journal.generation is 'As in evidence_logs.';
comment on column evidence_journal.index is 'Which leaf of the journal it is, from 0.';
comment on column evidence_journal.kind is 'Its type: genesis, source, drop, jump, hold, change and so on.';
comment on column evidence_journal.ref is 'What it is about; a thing is stated once.';
comment on column evidence_journal.text is 'JSON, byte for byte as it is hashed.';
comment on column evidence_journal.at is 'When it was stored.';
comment on table evidence_key_orders is 'Keys of the log of evidence that an operator has ordered. Written by functions alone.';
comment on column evidence_key_orders.id is 'The reference of its statement.';
comment on column evidence_key_orders.generation is 'As in evidence_logs.';
comment on column evidence_key_orders.reason is 'rotation, lost or compromised.';
comment on column evidence_key_orders.new_vkeys is 'The public keys of both logs.';
comment on column evidence_key_orders.both_for is 'So long the old key signs as well.';
comment on column evidence_key_orders.ordered_by is 'Who is said to have ordered it.';
comment on column evidence_key_orders.ordered_as is 'The account of the database.';
comment on column evidence_key_orders.ordered_at is 'When it was ordered.';
comment on column evidence_key_orders.stated_at is 'When the statement was made; null: the process that builds has not made it yet.';
comment on table evidence_logs is 'The two Merkle logs, one row for each generation: leaf i of events is position i + 1, leaves of journal are signed statements. Written by functions alone, as all tables evidence_*.';
comment on column evidence_logs.name is 'events or journal.';
comment on column evidence_logs.generation is 'From 1. The next one begins if a log cannot go on, after a restore.';
comment on column evidence_logs.origin is 'What names the log in its checkpoints: its address without the scheme.';
comment on column evidence_logs.size is 'How many leaves it has.';
comment on column evidence_logs.root is 'The root of these leaves, as of RFC 6962.';
comment on column evidence_logs.lease_owner is 'The process that builds; in the row of the events, for both logs.';
comment on column evidence_logs.lease_epoch is 'Counts the takings of the lease; a statement of an earlier one changes nothing.';
comment on column evidence_logs.lease_until is 'When another process may take it.';
comment on column evidence_logs.state is 'building, ok, halted (a hole that nothing explains), behind or forked (the database went back): nothing is signed in the last three.';
comment on column evidence_logs.state_reason is 'Why it is halted, behind or forked.';
comment on column evidence_logs.adopted_size is 'Positions up to this one were there before the log: integrity holds for them from adoption on.';
comment on column evidence_logs.timeline is 'What feed_head.timeline was when the log was last written. On another one a signed checkpoint may be lost.';
comment on column evidence_logs.signed_size is 'Of the last signed checkpoint.';
comment on column evidence_logs.signed_at is 'When that was signed.';
comment on column evidence_logs.schema_version is 'The migration that the journal speaks of last; in the row of the events. At first that of the first statement.';
comment on column evidence_logs.ended_at is 'When an operator ended the log: no leaf follows, and retention does not wait for it. Null: it goes on.';
comment on column evidence_logs.ended_by is 'Who is said to have ended it.';
comment on column evidence_logs.ended_reason is 'Why.';
comment on column evidence_logs.anchors is 'The anchors that the process that built last is set to have, by name; null: none has said.';
comment on column evidence_logs.statements_every is 'How often it states the coverage of a source; null: none has said.';
comment on column evidence_logs.key_ordered is 'Why another key is ordered that is not stated yet; null: none is.';
comment on column evidence_logs.old_key_until is 'Until when the key before signs as well, by the last statement about keys.';
comment on table evidence_month_keys is 'What salts the leaves of the events of a month: dropped with the month, unless that is in an archive.';
comment on column evidence_month_keys.month is 'By action_time in UTC, as 2026-01; -infinity for events without a time.';
comment on column evidence_month_keys.key is '32 random bytes.';
comment on table evidence_reads is 'The requests behind what is claimed as read, while there is evidence: one row for each walk that has come to its end, written with the claim.';
comment on column evidence_reads.source_kind is 'As in audit_events.';
comment on column evidence_reads.source_id is 'As in audit_events.';
comment on column evidence_reads.number is 'From 1, for each source.';
comment on column evidence_reads.read_at is 'When it was stored.';
comment on column evidence_reads.lane is 'As in lanes.';
comment on column evidence_reads.filter_hash is 'Names the filter set.';
comment on column evidence_reads.since is 'Of the window, as it was asked for: more than is claimed.';
comment on column evidence_reads.before is 'Its end.';
comment on column evidence_reads.pages is 'Pages of the walk.';
comment on column evidence_reads.entries is 'Entries on these.';
comment on column evidence_reads.answers is 'So many answers are hashed: those pages, and those to questions that proved the end.';
comment on column evidence_reads.first_date is 'The header Date of the first one; null: it had none.';
comment on column evidence_reads.first_cf_ray is 'The header CF-Ray of the first one, by which Cloudflare knows the request.';
comment on column evidence_reads.last_date is 'The header Date of the last one.';
comment on column evidence_reads.last_cf_ray is 'The header CF-Ray of the last one.';
comment on column evidence_reads.bodies_sha256 is 'SHA-256 of the one before and the SHA-256 of the body, over these answers, from 32 zero bytes on.';
comment on column evidence_reads.sha256 is 'SHA-256 of that of the row before and the SHA-256 of this row as orgtrail_read_text has it.';
comment on table evidence_sources is 'The numbers of sources, and for each the count and the chain of its leaves.';
comment on column evidence_sources.generation is 'As in evidence_logs.';
comment on column evidence_sources.number is 'In evidence_tiles.sources.';
comment on column evidence_sources.source_kind is 'As in audit_events.';
comment on column evidence_sources.source_id is 'As in audit_events.';
comment on column evidence_sources.events is 'How many leaves of it there are.';
comment on column evidence_sources.chain is 'SHA-256 of the chain before and the hash of the leaf, over these leaves.';
comment on table evidence_tiles is 'Hash tiles of c2sp.org/tlog-tiles. The last one of a level grows.';
comment on column evidence_tiles.log is 'events or journal.';
comment on column evidence_tiles.generation is 'As in evidence_logs.';
comment on column evidence_tiles.level is '0 are the leaves.';
comment on column evidence_tiles.n is 'The tile has the hashes from number 256 n on.';
comment on column evidence_tiles.hashes is 'Up to 256 hashes of 32 bytes.';
comment on column evidence_tiles.sources is 'At level 0 of events the number of the source of each leaf, two bytes each; 0 for a hole.';
comment on table feed_head is 'The last position given out, and which feed it belongs to. Locked by each page commit that adds rows.';
comment on column feed_head.only_row is 'There is one row.';
comment on column feed_head.feed_id is 'Names this numbering of positions: made once, with the schema.';
comment on column feed_head."position" is 'The last one given out.';
comment on column feed_head.timeline is 'The timeline of the server (the first part of the names of its WAL files), the oid of this table and the identifier of the server (pg_control_system), as of the last position given out. When one of them changes, positions jump: position_jumps.';
comment on column feed_head.timeline_since is 'When timeline was last set.';
comment on column feed_head.alive_at is 'When this row was last written under its lock, by a commit that stored events or by a daemon every few seconds. What a failover loses was given out later.';
comment on column feed_head.paced_until is 'When all positions that were given out would have been at 20,000 in a second. It may be 25 seconds ago at the most: so many more may be given out at once.';
comment on column feed_head.database_oid is 'The oid of the database that this row was last compared in: a copy of the database has another one. Null: nothing was stored yet.';
comment on table finding_head is 'Up to which position of the feed the detections have been asked. No row: no sink has wanted them yet.';
comment on column finding_head.only_row is 'True: there is one row.';
comment on column finding_head."position" is 'All findings up to this position of the feed are noted.';
comment on column finding_head.began_at is 'The position after which findings were noted first.';
comment on column finding_head.noted_at is 'When the detections were last asked about new events.';
comment on table findings is 'What the detections found, noted once each for the sinks of detections, from when the first such sink was known. The view detections has all of it, also of before.';
comment on column findings.detection is 'Its name; the view detection_… has only this one.';
comment on column findings.source_kind is 'organization: the audit log of one.';
comment on column findings.source_id is 'Within the kind: the organization''s id.';
comment on column findings.id is 'The id of the entry; unique within its source.';
comment on column findings."position" is 'Up to which position of the feed the events must be known for it: a sink follows it.';
comment on column findings.event_position is 'Of the event that names it: source_kind, source_id, id.';
comment on column findings.severity is 'low, medium, high or critical, as the level of the Sigma rule.';
comment on column findings.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column findings.received_at is 'When orgtrail stored it.';
comment on column findings.organization_id is 'Cloudflare''s id of the organization.';
comment on column findings.organization_name is 'As of the last listing.';
comment on column findings.account_id is 'The account that the entry is about; of an accounts log always set.';
comment on column findings.account_name is 'Its name, as the entry says.';
comment on column findings.zone_id is 'The zone that the entry is about.';
comment on column findings.zone_name is 'Its name, as the entry says.';
comment on column findings.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column findings.actor_ip_address is 'actor.ip_address: from where.';
comment on column findings.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column findings.action_result is 'action.result: success or failure; others may come.';
comment on column findings.resource_type is 'resource.type.';
comment on column findings.resource_id is 'resource.id: what it was done to.';
comment on column findings.events is 'How many events it takes: 1, or for a burst its threshold.';
comment on column findings.first_time is 'When the first of them happened.';
comment on column findings.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';
comment on column findings.noted_at is 'When it was noted.';
comment on column findings.copies_of_position is 'Of a copy of the finding in the log of another account that the user may use: the event_position of the finding. Null: it was found here. A sink is told of one of them.';
comment on table holds is 'Legal holds: while one is in force, no partition that has events of its organization and time is dropped. Released ones stay, as evidence.';
comment on column holds.id is 'Its number: orgtrail hold release takes it.';
comment on column holds.organization_id is 'Whose events are held; null: those of every organization.';
comment on column holds.since is 'From this action_time on; -infinity: from the beginning.';
comment on column holds.before is 'Before this action_time; infinity: those to come, too.';
comment on column holds.reason is 'Why, in the words of who added it.';
comment on column holds.created_by is 'Who wanted it, by his own account.';
comment on column holds.created_as is 'The account of the database that added it.';
comment on column holds.created_at is 'When it was added.';
comment on column holds.released_by is 'Who released it, by his own account.';
comment on column holds.released_as is 'The account of the database that released it.';
comment on column holds.released_at is 'When it was released; null: it is in force.';
comment on column holds.account_id is 'Only events of this account; null: of all.';
comment on table lanes is 'What each lane of a source does under a filter set: its open walk, how wide its windows may be, its failures and its rest. A lane''s trouble is its own.';
comment on column lanes.source_kind is 'The kind of log: organization.';
comment on column lanes.source_id is 'Which one.';
comment on column lanes.filter_hash is 'The filter set that the process reads under.';
comment on column lanes.lane is 'Why it reads: live (the newest time), settle (late entries), backfill (history), scrub (all of it again, as a check).';
comment on column lanes.state is 'What a restart goes on from: walk (window in milliseconds since 1970, cursor, pages, entries), widthMs, trouble, entriesPerDay, pageLimit.';
comment on column lanes.failures is 'In a row; ended by a page that brought something new or a window that was read to its end.';
comment on column lanes.next_attempt_at is 'It rests until then after a failure.';
comment on column lanes.last_attempt_at is 'When a page of it was last committed, or failed.';
comment on column lanes.last_success_at is 'When it last made progress: stored something new, or read a window to its end.';
comment on column lanes.last_failure is 'The kind of the last failure, while it is failing.';
comment on column lanes.last_error is 'The same in words.';
comment on column lanes.found is 'By UTC day: the entries that it has stored and whose time it has not read to its end yet. With that they go to coverage_readings.found.';
comment on table organization_changes is 'What became of organizations, as orgtrail saw it: appeared, gone, refused, restored, renamed, moved, left.';
comment on column organization_changes.id is 'A number of its own, in the order in which changes were seen.';
comment on column organization_changes.organization_id is 'Cloudflare''s id of the organization.';
comment on column organization_changes.change is 'appeared, gone, refused, restored, renamed, moved or left.';
comment on column organization_changes.old_value is 'The name or parent before.';
comment on column organization_changes.new_value is 'The name or parent after.';
comment on column organization_changes.changed_at is 'When orgtrail saw it; it may have happened earlier.';
comment on table organizations is 'Every organization that the credential has reached, with the metadata of its last listing.';
comment on column organizations.id is 'Cloudflare''s id of the organization.';
comment on column organizations.name is 'As of the last listing; changes are in organization_changes.';
comment on column organizations.parent_id is 'The organization that it is below; null at the top.';
comment on column organizations.managed_by is 'Who manages it, as Cloudflare says.';
comment on column organizations.create_time is 'When it was created, as Cloudflare says.';
comment on column organizations.meta is 'The rest of what the listing says of it.';
comment on column organizations.profile is 'Its business profile (GET /organizations/{id}/profile), where the credential may read it.';
comment on column organizations.profile_read_at is 'When the profile was last asked for, whatever the answer.';
comment on column organizations.listed_under is 'The parent under which it was found, where the listing itself does not show it.';
comment on column organizations.children_listed_at is 'When organizations below it were last looked for.';
comment on column organizations.state is 'active; refused: Cloudflare answers 403; gone: no listing names it any more.';
comment on column organizations.missed_listings is 'Complete listings in a row that did not name it. From the second on its audit log is asked, and it is gone once that refuses.';
comment on column organizations.first_seen_at is 'When a listing first named it.';
comment on column organizations.last_seen_at is 'When a listing last named it.';
comment on column organizations.log_asked_at is 'When its audit log was last asked whether it still answers, since listings miss the organization.';
comment on column organizations.log_open_at_misses is 'How many listings had missed it when its audit log last answered; the next question waits for twice as many, or a day.';
comment on column organizations.listed_by is 'A credential of the process whose listing named it last, as api_budget names it; null: not known. While it sends requests, the listings of others do not miss it.';
comment on column organizations.left_at is 'Since when no listing shows it although its audit log answers: it is read on. Null: it is listed, or gone.';
comment on table position_jumps is 'Where positions were left out after a failover or a restore, which may have lost commits: a lost position is never given to another event. A reader whose position lies between from_position and to_position has read events that were lost; they come again, behind to_position.';
comment on column position_jumps.id is 'A number of its own, from the same series as retention_drops.id. Readers acknowledge it with dropped=.';
comment on column position_jumps.from_position is 'The last position before the jump.';
comment on column position_jumps.to_position is 'The last position that is left out: the next event has the one behind it.';
comment on column position_jumps.old_timeline is 'What feed_head.timeline was before.';
comment on column position_jumps.new_timeline is 'What feed_head.timeline became.';
comment on column position_jumps.found_at is 'When the first position was asked for on the new timeline.';
comment on view requests_blocked is 'Until when requests to Cloudflare wait, of the credential that waits longest, and why; null if none does.';
comment on column requests_blocked.blocked_until is 'No request is sent before this.';
comment on column requests_blocked.because is 'retry_after: Cloudflare has answered 429; ratelimit: it has said that little is left.';
comment on table retention_drops is 'What ORGTRAIL_RETENTION has dropped, one row per month that had events. A reader of the feed that is behind last_position has missed some of them.';
comment on column retention_drops.id is 'Its number: a reader of the feed that knows of it says dropped=….';
comment on column retention_drops.partition is 'The table that held the month.';
comment on column retention_drops.month is 'Its first day, UTC.';
comment on column retention_drops.events is 'How many events were dropped.';
comment on column retention_drops.changes is 'Rows of audit_event_changes about them, which went with them.';
comment on column retention_drops.first_position is 'The lowest position among them. Others between it and last_position may be kept.';
comment on column retention_drops.last_position is 'The highest position among them.';
comment on column retention_drops.bytes is 'Size of the table and its indexes.';
comment on column retention_drops.ids_sha256 is 'SHA-256 of the lines ''source_kind source_id id'' in order of position: a backup can be compared. Null above 2,000,000 events.';
comment on column retention_drops.retention is 'The retention that was in force.';
comment on column retention_drops.dropped_at is 'When.';
comment on column retention_drops.dropped_as is 'The account of the database that did it.';
comment on column retention_drops.positions is 'Which positions the month had, if there was evidence of them: what the drop statement says. Null: there was none.';
comment on table retention_policy is 'The shortest retention that accounts other than the owner may drop by; without a row they may drop nothing. Written by migrate --roles, from ORGTRAIL_RETENTION.';
comment on column retention_policy.only_row is 'There is one row or none.';
comment on column retention_policy.shortest is 'Nothing younger may be dropped.';
comment on column retention_policy.set_at is 'When it was set.';
comment on table retention_waits is 'Times from which retention drops nothing, because the database may be an older state. Written by functions alone, and confirmed by the owner: orgtrail hold confirm.';
comment on column retention_waits.id is 'A number of its own.';
comment on column retention_waits.reason is 'What was found.';
comment on column retention_waits.since is 'When it was found.';
comment on column retention_waits.ends_at is 'From then on months are dropped again.';
comment on column retention_waits.confirmed_at is 'When an operator ended the wait; null: it ended by itself, or has not ended.';
comment on column retention_waits.confirmed_by is 'Who is said to have confirmed.';
comment on column retention_waits.confirmed_as is 'The account of the database that did.';
comment on table saved_searches is 'Searches that people keep under a name. Written by orgtrail_save_search, orgtrail_rename_search and orgtrail_delete_search alone.';
comment on column saved_searches.id is 'Its number.';
comment on column saved_searches.name is 'Unique, whatever the case of its letters.';
comment on column saved_searches.search is 'The parameters of its link, as they stand behind /events?. Relative times are kept as they were written.';
comment on column saved_searches.saved_by is 'The name of the token, or ORGTRAIL_FEED_TOKEN; null: open on loopback, or saved by a command.';
comment on column saved_searches.saved_as is 'The database account that saved it: that of the daemon, or of who ran the command.';
comment on column saved_searches.saved_at is 'When it was saved.';
comment on column saved_searches.renamed_by is 'Who renamed it last, as saved_by; null: not known, or it was not renamed.';
comment on column saved_searches.renamed_at is 'When it was renamed last; null: it was not.';
comment on table sink_dead_letters is 'Events that a sink refuses for good, and why. The event itself is in audit_events, by its position.';
comment on column sink_dead_letters.sink is 'The name of the sink.';
comment on column sink_dead_letters."position" is 'The event that is refused.';
comment on column sink_dead_letters.reason is 'What the receiver said.';
comment on column sink_dead_letters.refused_at is 'When it was last refused.';
comment on table sinks is 'Where events are pushed to, one row per sink of ORGTRAIL_SINKS, and how far each is.';
comment on column sinks.name is 'As in ORGTRAIL_SINKS.';
comment on column sinks.kind is 'The type, as in ORGTRAIL_SINKS.';
comment on column sinks.target is 'Where it delivers to, without any credential.';
comment on column sinks."position" is 'All events up to here are delivered or in sink_dead_letters. May be set back: orgtrail sink replay.';
comment on column sinks.batch_until is 'The last position of the delivery under way: after a restart the same events go out under the same key.';
comment on column sinks.lease_owner is 'The replica that delivers, while lease_until is to come; lease_epoch counts such leases.';
comment on column sinks.lease_epoch is 'Counts leases: a later one ends all earlier ones.';
comment on column sinks.lease_until is 'When the lease ends, unless it is renewed.';
comment on column sinks.failures is 'Failed attempts in a row.';
comment on column sinks.refused_in_row is 'Dead letters since something was last accepted: too many of them mean a wrong setting, not wrong events.';
comment on column sinks.next_attempt_at is 'It rests until then.';
comment on column sinks.delivered is 'Events accepted so far, repeats included.';
comment on column sinks.last_attempt_at is 'When something was last tried.';
comment on column sinks.last_success_at is 'When it last succeeded.';
comment on column sinks.last_error is 'What went wrong last, in words; null since the last success.';
comment on column sinks.created_at is 'When it was first served.';
comment on column sinks.skipped is 'Events skipped so far since they were older than max_age, those of replays included.';
comment on column sinks.max_age_seconds is 'Events whose action is older than this are skipped; null: none is.';
comment on table sources is 'One row per log that is pulled; also the lease that lets one replica at a time walk it.';
comment on column sources.kind is 'organization: its audit log.';
comment on column sources.id is 'Within the kind: the organization''s id.';
comment on column sources.organization_id is 'Cloudflare''s id of the organization.';
comment on column sources.filter_hash is 'Names the filter set in force; coverage read under another one does not count.';
comment on column sources.wanted_since is 'The horizon at the last planning: nothing older is wanted.';
comment on column sources.lease_owner is 'Who holds the lease, while lease_until is to come.';
comment on column sources.lease_epoch is 'Counts leases: a later one ends all earlier ones.';
comment on column sources.lease_until is 'When the lease ends, unless it is renewed.';
comment on column sources.commit_seq is 'Counts page commits; a statement that expects another value writes nothing.';
comment on column sources.failures is 'Of version 0.1: see lanes.';
comment on column sources.next_attempt_at is 'Of version 0.1: see lanes.';
comment on column sources.last_attempt_at is 'When something was last tried.';
comment on column sources.last_success_at is 'Of version 0.1: see lanes.';
comment on column sources.last_event_at is 'The latest time of an entry that was read.';
comment on column sources.last_failure is 'Of version 0.1: see lanes.';
comment on column sources.last_error is 'Of version 0.1: see lanes.';
comment on column sources.event_rate is 'Events per hour over the last days, as the live lane saw them; null before its first page. How often the source is asked depends on it.';
comment on column sources.recent_event_rate is 'Events per hour over about the last hour that was read.';
comment on column sources.largest_page is 'The most entries that a page of this source has ever had. One as large that says that it is the last may have been cut, and must be proven.';
comment on column sources.wanted_history is 'Nothing older than this is wanted, as of now: wanted_since alone would stand still between two listings.';
comment on column sources.account_id is 'The account whose log it is; null for the log of an organization. One of both is always null.';
comment on column sources.access is 'granted; refused: Cloudflare answers 403 for this log.';
comment on column sources.refused_since is 'Since when it is refused.';
comment on column sources.credential is 'The credential that reads it.';
comment on column sources.reader is 'The credential that has read it last, as api_budget names it; null: not known. While it sends requests, what others are refused does not count.';
comment on view sync_status is 'One row per source: how far behind, what is missing, who holds it, what went wrong last.';
comment on column sync_status.source_kind is 'organization: the audit log of one.';
comment on column sync_status.source_id is 'Within the kind: the organization''s id.';
comment on column sync_status.organization_id is 'Cloudflare''s id of the organization.';
comment on column sync_status.organization_name is 'As of the last listing.';
comment on column sync_status.organization_state is 'active, refused or gone: organizations.state.';
comment on column sync_status.lease_owner is 'Who holds the lease, while lease_until is to come.';
comment on column sync_status.lease_epoch is 'Counts leases: a later one ends all earlier ones.';
comment on column sync_status.lease_until is 'When the lease ends, unless it is renewed.';
comment on column sync_status.failures is 'Failures in a row of the lane that has most of them.';
comment on column sync_status.next_attempt_at is 'It rests until then.';
comment on column sync_status.last_attempt_at is 'When something was last tried.';
comment on column sync_status.last_success_at is 'When the live lane last made progress.';
comment on column sync_status.last_event_at is 'The latest time of an entry that was read.';
comment on column sync_status.last_failure is 'The kind of the last failure; null since the last success.';
comment on column sync_status.last_error is 'Of the lane that has failed most often in a row; null if none is failing.';
comment on column sync_status.wanted_since is 'The horizon: nothing older is wanted.';
comment on column sync_status.lag_seconds is 'From the end of what has been read to now.';
comment on column sync_status.gap_seconds is 'Time that has not been read, from the horizon to now.';
comment on column sync_status.retention_slack_seconds is 'Until the oldest unread time leaves the retention of Cloudflare.';
comment on column sync_status.open_walks is 'Walks that are under way.';
comment on column sync_status.walking_pages is 'Pages that these have read.';
comment on column sync_status.walking_entries is 'Entries that these have read.';
comment on column sync_status.failing_lanes is 'The lanes that are failing, with commas between.';
comment on column sync_status.holes is 'How many holes the time wanted has: rows of coverage_holes of the first reading, most of them of a second.';
comment on column sync_status.unproven_seconds is 'Time that version 0.1 claimed as read and that has not been proven since.';
comment on column sync_status.account_id is 'The account whose log it is; null for the log of an organization.';
comment on column sync_status.account_name is 'Its name, as last listed.';
comment on column sync_status.account_state is 'active or gone; null for the log of an organization.';
comment on column sync_status.access is 'granted, or refused while Cloudflare answers 403 for this log.';
comment on column sync_status.refused_since is 'Since when it is refused.';
comment on column sync_status.credential is 'The credential that reads it.';
comment on column sync_status.read_once_seconds is 'Time that has been read, and not a second time at least a day later.';
comment on table walks is 'The open walks: a restart goes on from the cursor. [since, before) is what coverage grows by at the end; requests ask for more at both ends: lookback_ms before it, a second after it.';
comment on column walks.source_kind is 'organization: the audit log of one.';
comment on column walks.source_id is 'Within the kind: the organization''s id.';
comment on column walks.lane is 'live, settle or backfill: what it is for.';
comment on column walks.filter_hash is 'Names the filter set that it was read under.';
comment on column walks.since is 'What it reads begins here.';
comment on column walks.before is 'What it reads ends before this.';
comment on column walks.started_at is 'When it began, by Cloudflare''s clock.';
comment on column walks.cursor is 'Cloudflare''s cursor of the next page; null: the first one.';
comment on column walks.seq is 'The commit_seq of the source at its last page.';
comment on column walks.pages is 'Pages read.';
comment on column walks.empty_pages is 'Empty pages in a row.';
comment on column walks.entries is 'Entries read.';
comment on column walks.last_time is 'The latest time of an entry so far.';
comment on column walks.in_order is 'Times have only ascended so far: then it may end at any page.';
comment on column walks.page_limit is 'Entries asked for per page.';
comment on column walks.stalls is 'How often it got no further with a page.';
comment on column walks.stalled_entries is 'Entries on the page that got no further.';
comment on column walks.lookback_ms is 'Requests begin so much before since.';
