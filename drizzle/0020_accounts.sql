-- own transaction
-- Accounts as sources. Everything is added at the end of what there is: replicas of an earlier version go on beside this one, and see
-- no source of an account, since these have no organization_id.
create table accounts (
  id text collate "C" primary key,
  name text,
  type text,
  organization_id text collate "C" references organizations (id),
  create_time timestamptz,
  settings jsonb,
  state text not null default 'active' check (state in ('active', 'gone')),
  named_by_hand boolean not null default false,
  first_seen_at timestamptz not null default clock_timestamp(),
  last_seen_at timestamptz not null default clock_timestamp()
);
--> statement-breakpoint
create table account_listings (
  scope text collate "C" primary key,
  credential text,
  next_at timestamptz,
  last_attempt_at timestamptz,
  last_success_at timestamptz,
  last_failure text,
  last_error text,
  accounts integer
);
--> statement-breakpoint
create table account_organizations (
  account_id text collate "C" not null references accounts (id),
  scope text collate "C" not null references account_listings (scope),
  organization_id text collate "C",
  missed integer not null default 0,
  last_listed_at timestamptz not null default clock_timestamp(),
  primary key (account_id, scope)
);
--> statement-breakpoint
create table account_changes (
  id bigint generated always as identity primary key,
  account_id text collate "C" not null references accounts (id),
  change text not null check (change in ('appeared', 'gone', 'refused', 'restored', 'renamed', 'moved')),
  old_value text,
  new_value text,
  changed_at timestamptz not null default clock_timestamp()
);
--> statement-breakpoint
create trigger nothing_of_the_future before insert or update on account_listings for each row
  when (new.next_at > clock_timestamp() + interval '25 hours' or new.last_attempt_at > clock_timestamp() + interval '60 seconds'
    or new.last_success_at > clock_timestamp() + interval '60 seconds')
  execute function orgtrail_refuse_row('nothing was listed in the future, and no listing rests for longer than a day');
--> statement-breakpoint
alter table sources alter column organization_id drop not null,
  add column account_id text collate "C" references accounts (id),
  add column access text not null default 'granted' check (access in ('granted', 'refused')),
  add column refused_since timestamptz,
  add column credential text,
  add constraint sources_one_owner check (num_nonnulls(organization_id, account_id) = 1);
--> statement-breakpoint
update sources s set access = 'refused', refused_since = clock_timestamp()
from organizations o where o.id = s.organization_id and o.state = 'refused';
--> statement-breakpoint
alter table audit_events alter column organization_id drop not null,
  add column account_id text collate "C", add column account_name text, add column zone_id text collate "C", add column zone_name text;
--> statement-breakpoint
alter table holds add column account_id text collate "C";
--> statement-breakpoint
-- As orgtrail_commit_walk_page, with the columns of accounts and zones, for sources that may have no organization. That one stays for
-- replicas of an earlier version.
create or replace function orgtrail_commit_source_page(
  p_kind text, p_source_id text, p_organization_id text, p_epoch bigint, p_owner text, p_commit_seq bigint, p_lease_ms float8,
  p_lane text, p_filter_hash text, p_last_event_ms float8, p_event_rate float8, p_recent_event_rate float8,
  p_claim_passes integer[], p_claim_ranges text[], p_known_from timestamptz, p_known_to timestamptz,
  p_state jsonb, p_holes jsonb, p_reading jsonb, p_page_entries integer,
  p_raws json[], p_ids text[], p_times text[], p_firsts integer[], p_defects text[],
  p_action_type text[], p_action_result text[], p_action_description text[], p_actor_id text[], p_actor_type text[],
  p_actor_context text[], p_actor_email text[], p_actor_ip_address text[], p_actor_token_id text[], p_actor_token_name text[],
  p_raw_method text[], p_raw_uri text[], p_raw_user_agent text[], p_resource_id text[], p_resource_product text[],
  p_resource_type text[], p_resource_scope text[], p_account_id text[], p_account_name text[], p_zone_id text[], p_zone_name text[],
  p_raw_cf_ray_id text[], p_raw_status_code integer[])
returns table (fence integer, entries integer, stored integer, changed integer, defective integer, lateness float8[], covered json)
language plpgsql security definer set plan_cache_mode = force_generic_plan set jit = off as $function$
#variable_conflict use_column
declare
  sorted_ids text[];
  known_ids text[];
  known_positions bigint[];
  known_raws json[];
  known_defects text[];
  last_position bigint;
  -- With one of these, at least one side is no jsonb that could be compared (src/ingest/entries/entry.ts).
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
      resource_product, resource_type, resource_scope, account_id, account_name, zone_id, zone_name, raw_cf_ray_id, raw_status_code)
    select p_kind, p_source_id, p_organization_id, id, (select base from head) + (select ordinals from numbering)[n],
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
--> statement-breakpoint
do $do$
begin
  execute pg_catalog.format('alter function %s set search_path = %I, pg_temp',
    'orgtrail_commit_source_page'::regproc::regprocedure, current_schema());
  execute pg_catalog.format('revoke execute on function %s from public', 'orgtrail_commit_source_page'::regproc::regprocedure);
end
$do$;
--> statement-breakpoint
create or replace view coverage_gaps as
select s.kind as source_kind, s.id as source_id, coalesce(s.organization_id, a.organization_id) as organization_id, o.name as organization_name,
  lower(gap) as since, upper(gap) as before, upper(gap) - lower(gap) as duration,
  s.account_id, a.name as account_name
from sources s
left join accounts a on a.id = s.account_id
left join organizations o on o.id = coalesce(s.organization_id, a.organization_id)
cross join lateral (select least(now(), greatest(s.wanted_since, now() - s.wanted_history)) as since) horizon
left join coverage c on c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = s.filter_hash and c.pass = 0
cross join lateral unnest(
  tstzmultirange(tstzrange(horizon.since, now())) - coalesce(c.ranges, '{}'::tstzmultirange)) gap
where coalesce(a.state, o.state) <> 'gone';
--> statement-breakpoint
create or replace view sync_status as
select s.kind as source_kind, s.id as source_id, coalesce(s.organization_id, a.organization_id) as organization_id,
  o.name as organization_name, case when s.account_id is null then o.state end as organization_state,
  s.lease_owner, s.lease_epoch, s.lease_until, coalesce(l.failures, 0) as failures, l.next_attempt_at, s.last_attempt_at,
  l.last_success_at, s.last_event_at, l.last_failure, l.last_error, s.wanted_since,
  extract(epoch from now() - least(now(), greatest(g.read_until, horizon.since)))::float8 as lag_seconds,
  coalesce(g.gap_seconds, 0)::float8 as gap_seconds,
  extract(epoch from coalesce(g.oldest_gap, now()) - r.oldest_kept)::float8 as retention_slack_seconds,
  coalesce(l.open_walks, 0) as open_walks, l.walking_pages, l.walking_entries,
  l.failing_lanes, coalesce(h.holes, 0) as holes, coalesce(u.unproven_seconds, 0) as unproven_seconds,
  s.account_id, a.name as account_name, a.state as account_state, s.access, s.refused_since, s.credential
from sources s
left join accounts a on a.id = s.account_id
left join organizations o on o.id = coalesce(s.organization_id, a.organization_id)
-- 548 days in hours: a day of a session's time zone may have 23 or 25.
cross join lateral (select now() - interval '13152 hours' as oldest_kept) r
cross join lateral (select least(now(), greatest(s.wanted_since, now() - s.wanted_history)) as since) horizon
left join coverage c on c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = s.filter_hash and c.pass = 0
left join lateral (
  select upper(c.ranges) as read_until,
    min(greatest(lower(gap), r.oldest_kept)) filter (where upper(gap) > r.oldest_kept) as oldest_gap,
    sum(extract(epoch from upper(gap) - lower(gap))) as gap_seconds
  from unnest(tstzmultirange(tstzrange(horizon.since, now())) - coalesce(c.ranges, '{}'::tstzmultirange)) gap
) g on true
left join lateral (
  select max(failures) as failures,
    min(next_attempt_at) filter (where failures > 0) as next_attempt_at,
    coalesce(max(last_success_at) filter (where lane = 'live'), max(last_success_at)) as last_success_at,
    (array_agg(last_failure order by failures desc, last_attempt_at desc) filter (where failures > 0))[1] as last_failure,
    (array_agg(last_error order by failures desc, last_attempt_at desc) filter (where failures > 0))[1] as last_error,
    string_agg(lane, ',' order by lane) filter (where failures > 0) as failing_lanes,
    count(state -> 'walk')::integer as open_walks,
    sum((state #>> '{walk,pages}')::integer)::integer as walking_pages,
    sum((state #>> '{walk,entries}')::bigint)::bigint as walking_entries
  from lanes where source_kind = s.kind and source_id = s.id and filter_hash = s.filter_hash
) l on true
left join lateral (
  select count(*)::integer as holes from coverage_holes
  where source_kind = s.kind and source_id = s.id and filter_hash = s.filter_hash and pass = 0 and before > horizon.since
) h on true
left join lateral (
  select sum(extract(epoch from upper(part) - lower(part)))::float8 as unproven_seconds
  from unnest((c.ranges - c.proven) * tstzmultirange(tstzrange(horizon.since, now()))) part
) u on true;
--> statement-breakpoint
create or replace view coverage_proof as
select s.kind as source_kind, s.id as source_id, coalesce(s.organization_id, a.organization_id) as organization_id, o.name as organization_name,
  (days.day at time zone 'UTC')::date as day,
  p.proven_at, p.method, p.number, p.direction, coalesce(p.found, 0)::bigint as found, p.last_read_at,
  (extract(epoch from least(now(), days.day + interval '24 hours') - days.day) - coalesce(p.seconds, 0))::float8 as unproven_seconds,
  s.account_id, a.name as account_name
from sources s
left join accounts a on a.id = s.account_id
left join organizations o on o.id = coalesce(s.organization_id, a.organization_id)
cross join lateral (select least(now(), greatest(s.wanted_since, now() - s.wanted_history)) as since) horizon
left join lateral (
  select min(since) as since from coverage_readings r
  where r.source_kind = s.kind and r.source_id = s.id and r.filter_hash = s.filter_hash) oldest on true
cross join lateral generate_series(
  date_trunc('day', least(horizon.since, oldest.since), 'UTC'), now(), interval '24 hours') as days (day)
left join lateral (
  select min(read_from) as proven_at, max(read_to) as last_read_at, sum(found) as found,
    (array_agg(method order by read_from, since))[1] as method, (array_agg(number order by read_from, since))[1] as number,
    (array_agg(direction order by read_from, since))[1] as direction,
    sum(extract(epoch from least(before, now(), days.day + interval '24 hours') - greatest(since, days.day))) as seconds
  from coverage_readings r
  where r.source_kind = s.kind and r.source_id = s.id and r.filter_hash = s.filter_hash
    and r.since < least(now(), days.day + interval '24 hours') and r.before > days.day
) p on true;
--> statement-breakpoint
create or replace view audit_feed as
select e.position,
  (select h.feed_id::text from feed_head h) as feed_id,
  e.source_kind, e.source_id, e.organization_id,
  (select o.name from organizations o where o.id = e.organization_id) as organization_name,
  e.id,
  case when isfinite(e.action_time) then e.action_time end as action_time,
  e.received_at,
  e.action_type, e.action_result, e.action_description,
  e.actor_id, e.actor_type, e.actor_context, e.actor_email, e.actor_ip_address, e.actor_token_id, e.actor_token_name,
  e.raw_cf_ray_id, e.raw_method, e.raw_status_code, e.raw_uri, e.raw_user_agent,
  e.resource_id, e.resource_product, e.resource_type, e.resource_scope,
  e.raw::text as raw, array_to_string(e.defects, ',') as defects,
  e.account_id, e.account_name, e.zone_id, e.zone_name
from audit_events e;
--> statement-breakpoint
create or replace view audit_history as
select e.position, e.action_time, e.received_at, e.organization_id, o.name as organization_name,
  e.action_type, e.action_result, e.action_description,
  e.actor_id, e.actor_type, e.actor_context, e.actor_email, e.actor_ip_address, e.actor_token_id, e.actor_token_name,
  e.resource_id, e.resource_product, e.resource_type, e.resource_scope,
  orgtrail_payload(e.raw, e.defects) #> '{resource,request}' as request,
  orgtrail_payload(e.raw, e.defects) #> '{resource,response}' as response,
  e.raw_cf_ray_id, e.raw_method, e.raw_status_code, e.raw_uri, e.raw_user_agent,
  e.source_kind, e.source_id, e.id, orgtrail_payload(e.raw, e.defects) as payload, e.defects,
  e.account_id, e.account_name, e.zone_id, e.zone_name
from audit_events e
left join organizations o on o.id = e.organization_id;
--> statement-breakpoint
create or replace view detection_sso_or_mfa_changed as
select 'sso_or_mfa_changed'::text as detection, 'high'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_sso_or_mfa
  -- A sign-in by it changes nothing.
  and lower(action_type) is distinct from 'login';
--> statement-breakpoint
comment on table accounts is 'Every account whose log is pulled: of organizations, of GET /accounts, or named in ORGTRAIL_ACCOUNTS.';
--> statement-breakpoint
comment on column accounts.id is 'Cloudflare''s id of the account.';
--> statement-breakpoint
comment on column accounts.name is 'As of the last listing; changes are in account_changes.';
--> statement-breakpoint
comment on column accounts.type is 'standard or enterprise, as Cloudflare says.';
--> statement-breakpoint
comment on column accounts.organization_id is 'The organization that it belongs to now, as far as listings say; null if it belongs to none that is known.';
--> statement-breakpoint
comment on column accounts.create_time is 'When it was created, as Cloudflare says.';
--> statement-breakpoint
comment on column accounts.settings is 'The settings that a listing shows, among them whether the API may be used.';
--> statement-breakpoint
comment on column accounts.state is 'active; gone: no listing that ever showed it does any more, and its log refuses.';
--> statement-breakpoint
comment on column accounts.named_by_hand is 'Named in ORGTRAIL_ACCOUNTS: pulled whether or not a listing shows it.';
--> statement-breakpoint
comment on column accounts.first_seen_at is 'When it was first seen.';
--> statement-breakpoint
comment on column accounts.last_seen_at is 'When a listing last named it.';
--> statement-breakpoint
comment on table account_listings is 'Each listing that accounts are found by, with its own pause.';
--> statement-breakpoint
comment on column account_listings.scope is 'organization:ID (GET /organizations/{id}/accounts) or credential:NAME (GET /accounts).';
--> statement-breakpoint
comment on column account_listings.credential is 'The credential that it was last listed with.';
--> statement-breakpoint
comment on column account_listings.next_at is 'It is listed again from then on; null: at once.';
--> statement-breakpoint
comment on column account_listings.last_attempt_at is 'When it was last tried.';
--> statement-breakpoint
comment on column account_listings.last_success_at is 'When it last reached its end.';
--> statement-breakpoint
comment on column account_listings.last_failure is 'The kind of the last failure; null after a success.';
--> statement-breakpoint
comment on column account_listings.last_error is 'The same in words.';
--> statement-breakpoint
comment on column account_listings.accounts is 'How many accounts its last complete listing named.';
--> statement-breakpoint
comment on table account_organizations is 'Which listing shows which account, and what it says of its organization.';
--> statement-breakpoint
comment on column account_organizations.account_id is 'The account.';
--> statement-breakpoint
comment on column account_organizations.scope is 'The listing that shows it.';
--> statement-breakpoint
comment on column account_organizations.organization_id is 'The organization that the listing says it belongs to; null if it says none.';
--> statement-breakpoint
comment on column account_organizations.missed is 'Complete listings of the scope in a row that did not name it.';
--> statement-breakpoint
comment on column account_organizations.last_listed_at is 'When the listing last named it.';
--> statement-breakpoint
comment on table account_changes is 'What became of accounts, as orgtrail saw it: appeared, gone, refused, restored, renamed, moved.';
--> statement-breakpoint
comment on column account_changes.id is 'Counts changes.';
--> statement-breakpoint
comment on column account_changes.account_id is 'The account.';
--> statement-breakpoint
comment on column account_changes.change is 'What happened.';
--> statement-breakpoint
comment on column account_changes.old_value is 'The name before, or the organization before.';
--> statement-breakpoint
comment on column account_changes.new_value is 'The name since, or the organization since.';
--> statement-breakpoint
comment on column account_changes.changed_at is 'When orgtrail saw it.';
--> statement-breakpoint
comment on column sources.account_id is 'The account whose log it is; null for the log of an organization. One of both is always null.';
--> statement-breakpoint
comment on column sources.access is 'granted; refused: Cloudflare answers 403 for this log.';
--> statement-breakpoint
comment on column sources.refused_since is 'Since when it is refused.';
--> statement-breakpoint
comment on column sources.credential is 'The credential that reads it.';
--> statement-breakpoint
comment on column audit_events.account_id is 'The account that the entry is about; of an accounts log always set.';
--> statement-breakpoint
comment on column audit_events.account_name is 'Its name, as the entry says.';
--> statement-breakpoint
comment on column audit_events.zone_id is 'The zone that the entry is about.';
--> statement-breakpoint
comment on column audit_events.zone_name is 'Its name, as the entry says.';
--> statement-breakpoint
comment on column holds.account_id is 'Only events of this account; null: of all.';
--> statement-breakpoint
comment on column coverage_gaps.account_id is 'The account whose log it is; null for the log of an organization.';
--> statement-breakpoint
comment on column coverage_gaps.account_name is 'Its name, as last listed.';
--> statement-breakpoint
comment on column coverage_proof.account_id is 'The account whose log it is; null for the log of an organization.';
--> statement-breakpoint
comment on column coverage_proof.account_name is 'Its name, as last listed.';
--> statement-breakpoint
comment on column sync_status.account_id is 'The account whose log it is; null for the log of an organization.';
--> statement-breakpoint
comment on column sync_status.account_name is 'Its name, as last listed.';
--> statement-breakpoint
comment on column sync_status.account_state is 'active or gone; null for the log of an organization.';
--> statement-breakpoint
comment on column sync_status.access is 'granted, or refused while Cloudflare answers 403 for this log.';
--> statement-breakpoint
comment on column sync_status.refused_since is 'Since when it is refused.';
--> statement-breakpoint
comment on column sync_status.credential is 'The credential that reads it.';
--> statement-breakpoint
comment on column audit_feed.account_id is 'The account that the entry is about.';
--> statement-breakpoint
comment on column audit_feed.account_name is 'Its name, as the entry says.';
--> statement-breakpoint
comment on column audit_feed.zone_id is 'The zone that the entry is about.';
--> statement-breakpoint
comment on column audit_feed.zone_name is 'Its name, as the entry says.';
--> statement-breakpoint
comment on column audit_history.account_id is 'The account that the entry is about.';
--> statement-breakpoint
comment on column audit_history.account_name is 'Its name, as the entry says.';
--> statement-breakpoint
comment on column audit_history.zone_id is 'The zone that the entry is about.';
--> statement-breakpoint
comment on column audit_history.zone_name is 'Its name, as the entry says.';
