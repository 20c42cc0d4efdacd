create table organizations (
  id text collate "C" primary key,
  name text,
  parent_id text collate "C",
  managed_by text,
  create_time timestamptz,
  meta jsonb,
  profile jsonb,
  profile_read_at timestamptz,
  listed_under text collate "C",
  children_listed_at timestamptz,
  state text not null default 'active' check (state in ('active', 'refused', 'gone')),
  missed_listings integer not null default 0,
  first_seen_at timestamptz not null default clock_timestamp(),
  last_seen_at timestamptz not null default clock_timestamp()
);
comment on table organizations is 'Every organization that the credential has reached, with the metadata of its last listing.';
comment on column organizations.listed_under is 'The parent under which it was found, where the listing itself does not show it.';
comment on column organizations.missed_listings is 'Complete listings in a row that did not name it; gone from the second on.';
--> statement-breakpoint
create table organization_changes (
  id bigint generated always as identity primary key,
  organization_id text collate "C" not null,
  change text not null check (change in ('appeared', 'gone', 'refused', 'restored', 'renamed', 'moved')),
  old_value text,
  new_value text,
  changed_at timestamptz not null default clock_timestamp()
);
comment on table organization_changes is 'What became of organizations, as orgtrail saw it: appeared, gone, refused, restored, renamed, moved.';
create index organization_changes_organization on organization_changes (organization_id, changed_at);
--> statement-breakpoint
create table discovery (
  only_row boolean primary key default true check (only_row),
  last_attempt_at timestamptz,
  last_success_at timestamptz,
  last_error text,
  organizations integer
);
comment on table discovery is 'The last walk of GET /organizations: readiness depends on its age.';
insert into discovery default values;
--> statement-breakpoint
create table sources (
  kind text collate "C" not null,
  id text collate "C" not null,
  organization_id text collate "C" not null references organizations (id),
  filter_hash text not null,
  wanted_since timestamptz not null,
  lease_owner text,
  lease_epoch bigint not null default 0,
  lease_until timestamptz,
  commit_seq bigint not null default 0,
  failures integer not null default 0,
  next_attempt_at timestamptz,
  last_attempt_at timestamptz,
  last_success_at timestamptz,
  last_event_at timestamptz,
  last_failure text,
  last_error text,
  primary key (kind, id)
);
comment on table sources is 'One row per log that is pulled; also the lease that lets one replica at a time walk it.';
comment on column sources.filter_hash is 'Names the filter set in force; coverage read under another one does not count.';
comment on column sources.wanted_since is 'The horizon at the last planning: nothing older is wanted.';
comment on column sources.commit_seq is 'Counts page commits; a statement that expects another value writes nothing.';
--> statement-breakpoint
create table coverage (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  pass integer not null check (pass >= 0),
  ranges tstzmultirange not null default '{}',
  primary key (source_kind, source_id, filter_hash, pass),
  foreign key (source_kind, source_id) references sources (kind, id)
);
comment on table coverage is 'The time ranges of a source that are proven read: pass 0 once, pass k again at least its settle delay later.';
--> statement-breakpoint
create table walks (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  lane text not null check (lane in ('live', 'settle', 'backfill')),
  filter_hash text not null,
  since timestamptz not null,
  before timestamptz not null,
  started_at timestamptz not null,
  cursor text,
  seq bigint not null default 0,
  pages integer not null,
  empty_pages integer not null,
  entries bigint not null,
  last_time timestamptz,
  in_order boolean not null,
  page_limit integer not null,
  stalls integer not null,
  stalled_entries bigint not null,
  lookback_ms integer not null,
  primary key (source_kind, source_id, lane),
  foreign key (source_kind, source_id) references sources (kind, id)
);
comment on table walks is 'The open walks: a restart goes on from the cursor. [since, before) is what coverage grows by at the end; requests ask for more at both ends: lookback_ms before it, a second after it.';
--> statement-breakpoint
create table audit_events (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  organization_id text collate "C" not null,
  id text collate "C" not null,
  position bigint not null,
  action_time timestamptz not null,
  received_at timestamptz not null default clock_timestamp(),
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
) partition by range (action_time);
comment on table audit_events is 'Every audit-log entry, once per source and id, first seen wins. Never updated. Follow it by position: gapless, in commit order.';
comment on column audit_events.position is 'Orders the feed: who has seen p never later meets a row below p.';
comment on column audit_events.action_time is '-infinity where the entry has no time that can be read (see defects).';
comment on column audit_events.raw is 'What Cloudflare sent, to the byte of the element. With defect nested_too_deeply or refused_by_database: a JSON string that holds that text.';
comment on column audit_events.defects is 'Null where the entry could be read in full; else what could not.';
--> statement-breakpoint
create table audit_events_default partition of audit_events default;
create unique index audit_events_once on audit_events (source_kind, source_id, id, action_time);
create index audit_events_position on audit_events (position);
--> statement-breakpoint
create table audit_event_changes (
  id bigint generated always as identity primary key,
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  event_id text collate "C" not null,
  position bigint not null,
  raw json not null,
  raw_sha256 text not null,
  seen_at timestamptz not null default clock_timestamp(),
  unique (source_kind, source_id, event_id, raw_sha256)
);
comment on table audit_event_changes is 'Later content of an id that was already stored with other content; position is that of the stored event.';
--> statement-breakpoint
create table feed_head (
  only_row boolean primary key default true check (only_row),
  feed_id uuid not null default gen_random_uuid(),
  position bigint not null default 0
);
comment on table feed_head is 'The last position given out, and which feed it belongs to. Locked by each page commit that adds rows.';
insert into feed_head default values;
--> statement-breakpoint
create table api_budget (
  credential text primary key,
  next_free_at timestamptz not null default '-infinity',
  blocked_until timestamptz not null default '-infinity',
  blocked_because text
);
comment on table api_budget is 'The request budget that all replicas share, one row per credential fingerprint (a truncated hash, not the credential).';
--> statement-breakpoint
-- Creates the monthly partitions of [since, until]. Rows of such a month that already lie in the default partition move.
create function orgtrail_create_partitions(since timestamptz, until timestamptz) returns integer
language plpgsql as $function$
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
--> statement-breakpoint
-- raw::jsonb where jsonb takes it, else null: a view must not fail because one row in it is defective.
create view audit_history as
select e.position, e.action_time, e.received_at, e.organization_id, o.name as organization_name,
  e.action_type, e.action_result, e.action_description,
  e.actor_id, e.actor_type, e.actor_context, e.actor_email, e.actor_ip_address, e.actor_token_id, e.actor_token_name,
  e.resource_id, e.resource_product, e.resource_type, e.resource_scope,
  p.payload #> '{resource,request}' as request, p.payload #> '{resource,response}' as response,
  e.raw_cf_ray_id, e.raw_method, e.raw_status_code, e.raw_uri, e.raw_user_agent,
  e.source_kind, e.source_id, e.id, p.payload, e.defects
from audit_events e
left join organizations o on o.id = e.organization_id
cross join lateral (select case
  when e.defects && array['nul_character', 'lone_surrogate', 'number_out_of_range', 'nested_too_deeply', 'refused_by_database'] then null
  else e.raw::jsonb end as payload) p;
comment on view audit_history is 'Events with organization names and the payload as jsonb (null where jsonb cannot hold it; raw has it).';
--> statement-breakpoint
create view coverage_gaps as
select s.kind as source_kind, s.id as source_id, s.organization_id, o.name as organization_name,
  lower(gap) as since, upper(gap) as before, upper(gap) - lower(gap) as duration
from sources s
join organizations o on o.id = s.organization_id
left join coverage c on c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = s.filter_hash and c.pass = 0
cross join lateral unnest(
  tstzmultirange(tstzrange(least(s.wanted_since, now()), now())) - coalesce(c.ranges, '{}'::tstzmultirange)) gap
where o.state <> 'gone';
comment on view coverage_gaps is 'The time ranges, from the horizon to now, that have not been read. The last seconds before now are always one.';
--> statement-breakpoint
create view sync_status as
select s.kind as source_kind, s.id as source_id, s.organization_id, o.name as organization_name, o.state as organization_state,
  s.lease_owner, s.lease_epoch, s.lease_until, s.failures, s.next_attempt_at, s.last_attempt_at, s.last_success_at,
  s.last_event_at, s.last_failure, s.last_error, s.wanted_since,
  extract(epoch from now() - least(now(), greatest(g.read_until, s.wanted_since)))::float8 as lag_seconds,
  coalesce(g.gap_seconds, 0)::float8 as gap_seconds,
  extract(epoch from coalesce(g.oldest_gap, now()) - (now() - interval '548 days'))::float8 as retention_slack_seconds,
  w.open_walks, w.walking_pages, w.walking_entries
from sources s
join organizations o on o.id = s.organization_id
left join coverage c on c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = s.filter_hash and c.pass = 0
left join lateral (
  select upper(c.ranges) as read_until, min(lower(gap)) as oldest_gap,
    sum(extract(epoch from upper(gap) - lower(gap))) as gap_seconds
  from unnest(tstzmultirange(tstzrange(least(s.wanted_since, now()), now())) - coalesce(c.ranges, '{}'::tstzmultirange)) gap
) g on true
left join lateral (
  select count(*)::integer as open_walks, sum(pages)::integer as walking_pages, sum(entries)::bigint as walking_entries
  from walks where source_kind = s.kind and source_id = s.id
) w on true;
comment on view sync_status is 'One row per source: how far behind, what is missing, who holds it, what went wrong last.';
