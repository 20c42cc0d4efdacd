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
  last_error text
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
      -- Page commits wait here, before they look up the partitions: what they add is moved, what was moved they find.
      lock table only audit_events in share row exclusive mode;
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
comment on table audit_events is 'Every audit-log entry, once per source and id, first seen wins. Never updated. Follow it by position: gapless, in commit order.';
comment on column audit_events."position" is 'Orders the feed: who has seen p never later meets a row below p.';
comment on column audit_events.action_time is '-infinity where the entry has no time that can be read (see defects).';
comment on column audit_events.raw is 'What Cloudflare sent, to the byte of the element. With defect nested_too_deeply or refused_by_database: a JSON string that holds that text.';
comment on column audit_events.defects is 'Null where the entry could be read in full; else what could not.';
comment on view audit_history is 'Events with organization names and the payload as jsonb (null where jsonb cannot hold it; raw has it).';
comment on table coverage is 'The time ranges of a source that are proven read: pass 0 once, pass k again at least its settle delay later.';
comment on view coverage_gaps is 'The time ranges, from the horizon to now, that have not been read. The last seconds before now are always one.';
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
comment on view sync_status is 'One row per source: how far behind, what is missing, who holds it, what went wrong last.';
comment on table walks is 'The open walks: a restart goes on from the cursor. [since, before) is what coverage grows by at the end; requests ask for more at both ends: lookback_ms before it, a second after it.';
