-- What the migrations of drizzle/ add up to. Generated: do not edit.
-- npm run schema:update writes it from the catalog of a migrated PostgreSQL 18; a test compares it.

create table api_budget (
  credential text not null,
  next_free_at timestamp with time zone not null default '-infinity'::timestamp with time zone,
  blocked_until timestamp with time zone not null default '-infinity'::timestamp with time zone,
  blocked_because text
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
  organization_id text collate "C" not null,
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
  defects text[]
) partition by RANGE (action_time);

create table collector_tokens (
  token_id text not null,
  note text,
  added_at timestamp with time zone not null default clock_timestamp()
);

create table coverage (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  pass integer not null,
  ranges tstzmultirange not null default '{}'::tstzmultirange
);

create table discovery (
  only_row boolean not null default true,
  last_attempt_at timestamp with time zone,
  last_success_at timestamp with time zone,
  last_error text,
  organizations integer,
  lease_owner text,
  lease_until timestamp with time zone,
  server_time timestamp with time zone
);

create table feed_head (
  only_row boolean not null default true,
  feed_id uuid not null default gen_random_uuid(),
  "position" bigint not null default 0
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
  last_seen_at timestamp with time zone not null default clock_timestamp()
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
  created_at timestamp with time zone not null default clock_timestamp()
);

create table sources (
  kind text collate "C" not null,
  id text collate "C" not null,
  organization_id text collate "C" not null,
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
  recent_event_rate double precision
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

alter table api_budget add constraint api_budget_pkey PRIMARY KEY (credential);
alter table audit_event_changes add constraint audit_event_changes_pkey PRIMARY KEY (id);
alter table audit_event_changes add constraint audit_event_changes_source_kind_source_id_event_id_raw_sha2_key UNIQUE (source_kind, source_id, event_id, raw_sha256);
alter table collector_tokens add constraint collector_tokens_pkey PRIMARY KEY (token_id);
alter table coverage add constraint coverage_pass_check CHECK ((pass >= 0));
alter table coverage add constraint coverage_pkey PRIMARY KEY (source_kind, source_id, filter_hash, pass);
alter table coverage add constraint coverage_source_kind_source_id_fkey FOREIGN KEY (source_kind, source_id) REFERENCES sources(kind, id);
alter table discovery add constraint discovery_only_row_check CHECK (only_row);
alter table discovery add constraint discovery_pkey PRIMARY KEY (only_row);
alter table feed_head add constraint feed_head_only_row_check CHECK (only_row);
alter table feed_head add constraint feed_head_pkey PRIMARY KEY (only_row);
alter table organization_changes add constraint organization_changes_change_check CHECK ((change = ANY (ARRAY['appeared'::text, 'gone'::text, 'refused'::text, 'restored'::text, 'renamed'::text, 'moved'::text])));
alter table organization_changes add constraint organization_changes_pkey PRIMARY KEY (id);
alter table organizations add constraint organizations_pkey PRIMARY KEY (id);
alter table organizations add constraint organizations_state_check CHECK ((state = ANY (ARRAY['active'::text, 'refused'::text, 'gone'::text])));
alter table sink_dead_letters add constraint sink_dead_letters_pkey PRIMARY KEY (sink, "position");
alter table sink_dead_letters add constraint sink_dead_letters_sink_fkey FOREIGN KEY (sink) REFERENCES sinks(name) ON DELETE CASCADE;
alter table sinks add constraint sinks_pkey PRIMARY KEY (name);
alter table sinks add constraint sinks_position_check CHECK (("position" >= 0));
alter table sources add constraint sources_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations(id);
alter table sources add constraint sources_pkey PRIMARY KEY (kind, id);
alter table walks add constraint walks_lane_check CHECK ((lane = ANY (ARRAY['live'::text, 'settle'::text, 'backfill'::text])));
alter table walks add constraint walks_pkey PRIMARY KEY (source_kind, source_id, lane);
alter table walks add constraint walks_source_kind_source_id_fkey FOREIGN KEY (source_kind, source_id) REFERENCES sources(kind, id);

CREATE UNIQUE INDEX audit_events_once ON ONLY public.audit_events USING btree (source_kind, source_id, id, action_time);
CREATE INDEX audit_events_position ON ONLY public.audit_events USING btree ("position");
CREATE INDEX audit_events_default_position_idx ON public.audit_events_default USING btree ("position");
CREATE UNIQUE INDEX audit_events_default_source_kind_source_id_id_action_time_idx ON public.audit_events_default USING btree (source_kind, source_id, id, action_time);
CREATE INDEX organization_changes_organization ON public.organization_changes USING btree (organization_id, changed_at);

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
    COALESCE(e.actor_token_id = ANY (c.tokens), false) OR COALESCE(e.resource_id = ANY (c.tokens), false) OR COALESCE("substring"(k.path, '/tokens/([^/]+)'::text) = ANY (c.tokens), false) AS touches_collector_token
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
     CROSS JOIN LATERAL ( SELECT ARRAY( SELECT collector_tokens.token_id
                   FROM collector_tokens) AS tokens) c;

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
    array_to_string(defects, ','::text) AS defects
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
    p.payload #> '{resource,request}'::text[] AS request,
    p.payload #> '{resource,response}'::text[] AS response,
    e.raw_cf_ray_id,
    e.raw_method,
    e.raw_status_code,
    e.raw_uri,
    e.raw_user_agent,
    e.source_kind,
    e.source_id,
    e.id,
    p.payload,
    e.defects
   FROM audit_events e
     LEFT JOIN organizations o ON o.id = e.organization_id
     CROSS JOIN LATERAL ( SELECT
                CASE
                    WHEN e.defects && ARRAY['nul_character'::text, 'lone_surrogate'::text, 'number_out_of_range'::text, 'nested_too_deeply'::text, 'refused_by_database'::text] THEN NULL::jsonb
                    ELSE e.raw::jsonb
                END AS payload) p;

create view coverage_gaps as
 SELECT s.kind AS source_kind,
    s.id AS source_id,
    s.organization_id,
    o.name AS organization_name,
    lower(gap.gap) AS since,
    upper(gap.gap) AS before,
    upper(gap.gap) - lower(gap.gap) AS duration
   FROM sources s
     JOIN organizations o ON o.id = s.organization_id
     LEFT JOIN coverage c ON c.source_kind = s.kind AND c.source_id = s.id AND c.filter_hash = s.filter_hash AND c.pass = 0
     CROSS JOIN LATERAL unnest(tstzmultirange(tstzrange(LEAST(s.wanted_since, now()), now())) - COALESCE(c.ranges, '{}'::tstzmultirange)) gap(gap)
  WHERE o.state <> 'gone'::text;

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
  WHERE done AND about_api_token;

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
  WHERE by_cloudflare_staff;

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
  WHERE touches_collector_token;

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
            s.since,
            lag(t.action_time, 9) OVER actions AS first_time,
            lag(t.action_time, 1) OVER actions AS previous_time,
            lag(t.action_time, 10) OVER actions AS previous_first_time,
            max(t."position") OVER (actions ROWS 9 PRECEDING) AS last_position
           FROM ( SELECT COALESCE(NULLIF(current_setting('orgtrail.bursts_since'::text, true), ''::text)::timestamp with time zone, now() - '31 days'::interval) AS since) s
             CROSS JOIN audit_event_traits t
          WHERE t.deletes AND t.action_time > '-infinity'::timestamp with time zone AND t.action_time >= (s.since - '00:10:00'::interval)
          WINDOW actions AS (PARTITION BY t.source_kind, t.source_id, t.actor_id ORDER BY t.action_time, t."position")) a
  WHERE first_time >= (action_time - '00:05:00'::interval) AND (previous_first_time >= (previous_time - '00:05:00'::interval)) IS NOT TRUE AND action_time >= since;

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
            s.since,
            lag(t.action_time, 9) OVER actions AS first_time,
            lag(t.action_time, 1) OVER actions AS previous_time,
            lag(t.action_time, 10) OVER actions AS previous_first_time,
            max(t."position") OVER (actions ROWS 9 PRECEDING) AS last_position
           FROM ( SELECT COALESCE(NULLIF(current_setting('orgtrail.bursts_since'::text, true), ''::text)::timestamp with time zone, now() - '31 days'::interval) AS since) s
             CROSS JOIN audit_event_traits t
          WHERE t.failed AND t.action_time > '-infinity'::timestamp with time zone AND t.action_time >= (s.since - '00:10:00'::interval)
          WINDOW actions AS (PARTITION BY t.source_kind, t.source_id, t.actor_id ORDER BY t.action_time, t."position")) a
  WHERE first_time >= (action_time - '00:05:00'::interval) AND (previous_first_time >= (previous_time - '00:05:00'::interval)) IS NOT TRUE AND action_time >= since;

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
  WHERE done AND creates AND about_member;

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
  WHERE done AND about_sso_or_mfa;

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
  WHERE done AND about_member AND NOT deletes AND (names_super_administrator OR creates AND about_organization_member AND NOT requests_role);

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
   FROM detection_collector_token;

create view sync_status as
 SELECT s.kind AS source_kind,
    s.id AS source_id,
    s.organization_id,
    o.name AS organization_name,
    o.state AS organization_state,
    s.lease_owner,
    s.lease_epoch,
    s.lease_until,
    s.failures,
    s.next_attempt_at,
    s.last_attempt_at,
    s.last_success_at,
    s.last_event_at,
    s.last_failure,
    s.last_error,
    s.wanted_since,
    EXTRACT(epoch FROM now() - LEAST(now(), GREATEST(g.read_until, s.wanted_since)))::double precision AS lag_seconds,
    COALESCE(g.gap_seconds, 0::numeric)::double precision AS gap_seconds,
    EXTRACT(epoch FROM COALESCE(g.oldest_gap, now()) - r.oldest_kept)::double precision AS retention_slack_seconds,
    w.open_walks,
    w.walking_pages,
    w.walking_entries
   FROM sources s
     JOIN organizations o ON o.id = s.organization_id
     CROSS JOIN LATERAL ( SELECT now() - '13152:00:00'::interval AS oldest_kept) r
     LEFT JOIN coverage c ON c.source_kind = s.kind AND c.source_id = s.id AND c.filter_hash = s.filter_hash AND c.pass = 0
     LEFT JOIN LATERAL ( SELECT upper(c.ranges) AS read_until,
            min(GREATEST(lower(gap.gap), r.oldest_kept)) FILTER (WHERE upper(gap.gap) > r.oldest_kept) AS oldest_gap,
            sum(EXTRACT(epoch FROM upper(gap.gap) - lower(gap.gap))) AS gap_seconds
           FROM unnest(tstzmultirange(tstzrange(LEAST(s.wanted_since, now()), now())) - COALESCE(c.ranges, '{}'::tstzmultirange)) gap(gap)) g ON true
     LEFT JOIN LATERAL ( SELECT count(*)::integer AS open_walks,
            sum(walks.pages)::integer AS walking_pages,
            sum(walks.entries)::bigint AS walking_entries
           FROM walks
          WHERE walks.source_kind = s.kind AND walks.source_id = s.id) w ON true;

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
  perform pg_advisory_xact_lock(hashtext('orgtrail_create_partitions'));
  while month <= until at time zone 'UTC' loop
    partition := format('audit_events_%s', to_char(month, 'YYYY_MM'));
    if to_regclass(partition) is null then
      lower_bound := month at time zone 'UTC';
      upper_bound := (month + interval '1 month') at time zone 'UTC';
      -- Page commits and readers wait here, before they look up the partitions: what they add is moved, what was moved they find.
      lock table only audit_events in access exclusive mode;
      lock table audit_events_default in access exclusive mode;
      execute format('create table %I (like audit_events including defaults including constraints)', partition);
      execute format('with moved as (delete from audit_events_default where action_time >= %L and action_time < %L returning *)'
        ' insert into %I select * from moved', lower_bound, upper_bound, partition);
      execute format('alter table audit_events attach partition %I for values from (%L) to (%L)',
        partition, lower_bound, upper_bound);
      created := created + 1;
    end if;
    month := month + interval '1 month';
  end loop;
  return created;
end
$function$;

comment on table api_budget is 'The request budget that all replicas share, one row per credential fingerprint (a truncated hash, not the credential).';
comment on table audit_event_changes is 'Later content of an id that was already stored with other content; position is that of the stored event.';
comment on view audit_event_traits is 'What the detections look at, one row per event: build your own on it. Select only the traits that you need; each costs time.';
comment on column audit_event_traits.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column audit_event_traits.summary is 'For people: texts of the entry, shortened, without control characters. Still text of others: do not trust it.';
comment on column audit_event_traits.failed is 'The result is failure, or the HTTP status 400 to 599. A result that no document has counts as success.';
comment on column audit_event_traits.done is 'Did not fail, and is no view.';
comment on column audit_event_traits.requests_role is 'The request names a role in any way.';
comment on column audit_event_traits.about_sso_or_mfa is 'Single sign-on, identity providers or two factors by name, by path, or in the request (enforce_twofactor of account settings).';
comment on table audit_events is 'Every audit-log entry, once per source and id, first seen wins. Never updated. Follow it by position: gapless, in commit order.';
comment on column audit_events."position" is 'Orders the feed: who has seen p never later meets a row below p.';
comment on column audit_events.action_time is '-infinity where the entry has no time that can be read (see defects).';
comment on column audit_events.raw is 'What Cloudflare sent, to the byte of the element. With defect nested_too_deeply or refused_by_database: a JSON string that holds that text.';
comment on column audit_events.defects is 'Null where the entry could be read in full; else what could not.';
comment on view audit_feed is 'audit_events for tools that follow it by position: plain types, organization names, and the feed that a position belongs to. Null action_time where the entry has none that can be read.';
comment on view audit_history is 'Events with organization names and the payload as jsonb (null where jsonb cannot hold it; raw has it).';
comment on table collector_tokens is 'The ids (no secrets) of the API tokens that the collector reads with: GET /user/tokens/verify tells them. Written by the owner alone; detection_collector_token watches them.';
comment on table coverage is 'The time ranges of a source that are proven read: pass 0 once, pass k again at least its settle delay later.';
comment on view coverage_gaps is 'The time ranges, from the horizon to now, that have not been read. The last seconds before now are always one.';
comment on view detection_api_token_changed is 'An API token (or key) was created, changed, rolled or deleted, for a user, an account or an organization.';
comment on view detection_cloudflare_staff is 'Cloudflare''s own staff did something (actor.type cloudflare_admin), whatever came of it.';
comment on view detection_collector_token is 'One of collector_tokens was used for something that is logged (reading is not), or somebody tried to change it, failed attempts included.';
comment on view detection_delete_burst is 'One actor deleted 10 things or more in an organization within 5 minutes. One row each time the tenth comes; looks at the last 31 days, or since orgtrail.bursts_since.';
comment on column detection_delete_burst."position" is 'Of that one of the ten that was stored last: whoever follows it meets the burst, in whatever order its events arrive.';
comment on column detection_delete_burst.action_time is 'Of the action that made it a burst; first_time is that of the first of the ten.';
comment on view detection_failure_burst is 'Of one actor in an organization, 10 actions or more failed within 5 minutes. One row each time the tenth comes; looks at the last 31 days, or since orgtrail.bursts_since.';
comment on column detection_failure_burst."position" is 'Of that one of the ten that was stored last: whoever follows it meets the burst, in whatever order its events arrive.';
comment on column detection_failure_burst.action_time is 'Of the action that made it a burst; first_time is that of the first of the ten.';
comment on view detection_member_added is 'Somebody was added to an organization, an account or a group, or invited.';
comment on view detection_sso_or_mfa_changed is 'Single sign-on, an identity provider or the demand for a second factor was set, changed or removed.';
comment on view detection_super_administrator_added is 'A member whose role is named super administrator was added or changed, or one was added to an organization without a role: that is a super administrator, too.';
comment on view detections is 'All detections. Follow it by position: an event stands in it once for each detection that it meets. An alert is named by (detection, source_kind, source_id, id).';
comment on column detections.severity is 'low, medium, high or critical, as the level of the Sigma rule.';
comment on column detections.events is 'How many events it takes: 1, or for a burst its threshold.';
comment on table discovery is 'The last walk of GET /organizations: readiness depends on its age.';
comment on column discovery.lease_owner is 'The replica that lists the organizations, while lease_until is to come.';
comment on column discovery.server_time is 'Cloudflare''s own time at the last listing: where a replica begins that has had no answer yet.';
comment on table feed_head is 'The last position given out, and which feed it belongs to. Locked by each page commit that adds rows.';
comment on table organization_changes is 'What became of organizations, as orgtrail saw it: appeared, gone, refused, restored, renamed, moved.';
comment on table organizations is 'Every organization that the credential has reached, with the metadata of its last listing.';
comment on column organizations.listed_under is 'The parent under which it was found, where the listing itself does not show it.';
comment on column organizations.missed_listings is 'Complete listings in a row that did not name it; gone from the second on.';
comment on table sink_dead_letters is 'Events that a sink refuses for good, and why. The event itself is in audit_events, by its position.';
comment on table sinks is 'Where events are pushed to, one row per sink of ORGTRAIL_SINKS, and how far each is.';
comment on column sinks."position" is 'All events up to here are delivered or in sink_dead_letters. May be set back: orgtrail sink replay.';
comment on column sinks.batch_until is 'The last position of the delivery under way: after a restart the same events go out under the same key.';
comment on column sinks.lease_owner is 'The replica that delivers, while lease_until is to come; lease_epoch counts such leases.';
comment on column sinks.refused_in_row is 'Dead letters since something was last accepted: too many of them mean a wrong setting, not wrong events.';
comment on table sources is 'One row per log that is pulled; also the lease that lets one replica at a time walk it.';
comment on column sources.filter_hash is 'Names the filter set in force; coverage read under another one does not count.';
comment on column sources.wanted_since is 'The horizon at the last planning: nothing older is wanted.';
comment on column sources.commit_seq is 'Counts page commits; a statement that expects another value writes nothing.';
comment on column sources.event_rate is 'Events per hour over the last days, as the live lane saw them; null before its first page. How often the source is asked depends on it.';
comment on column sources.recent_event_rate is 'Events per hour over about the last hour that was read.';
comment on view sync_status is 'One row per source: how far behind, what is missing, who holds it, what went wrong last.';
comment on table walks is 'The open walks: a restart goes on from the cursor. [since, before) is what coverage grows by at the end; requests ask for more at both ends: lookback_ms before it, a second after it.';
