-- The account of the collector writes by these functions alone (docs/decisions/0029): they belong to the owner of the schema, run with its rights
-- and refuse what cannot be. What follows is first the sinks, then what was written directly until now, then what the functions of before take
-- on trust. migrate gives orgtrail_ingest the functions and takes the rights on the tables away (src/store/roles.ts). All of it may run twice.
--
-- A sink goes forward, and no further than the feed. Back goes only the owner: orgtrail sink replay.
create or replace function orgtrail_require_position(p_name text, p_from bigint, p_to bigint) returns void
language plpgsql as $function$
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
--> statement-breakpoint
-- At every start of a daemon. One that is known keeps its position; what it rests is over.
create or replace function orgtrail_register_sinks(p_names text[], p_kinds text[], p_targets text[], p_starts text[]) returns void
language sql as $function$
  insert into sinks (name, kind, target, position)
  select s.name, s.kind, s.target, case when s.start = 'now' then feed_head.position else 0 end
  from unnest(p_names, p_kinds, p_targets, p_starts) as s (name, kind, target, start), feed_head
  on conflict (name) do update set kind = excluded.kind, target = excluded.target, next_attempt_at = null
$function$;
--> statement-breakpoint
-- A span from an account that may mean harm: from nothing to an hour. Leases are ten minutes at most, rests an hour.
create or replace function orgtrail_span(p_ms float8) returns interval
language sql immutable parallel safe as $function$
  select make_interval(secs => least(greatest(p_ms, 0), 3600000) / 1000)
$function$;
--> statement-breakpoint
-- Takes the turn of a sink; no row where there is none to be had. Every taking is a new epoch. Skips a row that is locked: its writer has
-- the turn.
create or replace function orgtrail_claim_sink(p_name text, p_owner text, p_lease_ms float8)
returns table (epoch bigint, at_position bigint, batch_until bigint, failures integer, refused_in_row integer)
language sql as $function$
  with free as (
    select name from sinks
    where name = p_name and (lease_until is null or lease_until <= clock_timestamp() or lease_owner = p_owner)
      and (next_attempt_at is null or next_attempt_at <= clock_timestamp())
    for update skip locked)
  update sinks s set lease_owner = p_owner, lease_epoch = lease_epoch + 1, lease_until = clock_timestamp() + orgtrail_span(p_lease_ms)
  from free where s.name = free.name
  returning s.lease_epoch, s.position, s.batch_until, s.failures, s.refused_in_row
$function$;
--> statement-breakpoint
create or replace function orgtrail_release_sinks_of(p_owner text) returns void
language sql as $function$
  update sinks set lease_until = null where lease_owner = p_owner
$function$;
--> statement-breakpoint
create or replace function orgtrail_release_sink(p_name text, p_epoch bigint) returns void
language sql as $function$
  update sinks set lease_until = null where name = p_name and lease_epoch = p_epoch
$function$;
--> statement-breakpoint
-- These answer whether the turn still is the caller's: a later epoch means that another one has the sink, or that it was set back.
create or replace function orgtrail_renew_sink(p_name text, p_epoch bigint, p_lease_ms float8) returns boolean
language plpgsql as $function$
begin
  update sinks set lease_until = clock_timestamp() + orgtrail_span(p_lease_ms) where name = p_name and lease_epoch = p_epoch;
  return found;
end
$function$;
--> statement-breakpoint
create or replace function orgtrail_begin_delivery(p_name text, p_epoch bigint, p_until bigint, p_lease_ms float8) returns boolean
language plpgsql as $function$
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
--> statement-breakpoint
-- Position, count and dead letters together. Dead letters of the same stretch, from before a replay, are gone where they were accepted now.
create or replace function orgtrail_finish_delivery(p_name text, p_epoch bigint, p_until bigint, p_accepted bigint, p_refused_in_row integer,
  p_refused bigint[], p_reasons text[], p_lease_ms float8) returns boolean
language plpgsql as $function$
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
--> statement-breakpoint
-- Moves on over events that are not for this sink, or stays: nothing waits, so what failed before is over.
create or replace function orgtrail_skip_events(p_name text, p_epoch bigint, p_until bigint, p_lease_ms float8) returns boolean
language plpgsql as $function$
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
--> statement-breakpoint
-- Notes a failure, lets the sink rest and gives the turn back: another replica may have the better way to it.
create or replace function orgtrail_fail_delivery(p_name text, p_epoch bigint, p_reason text, p_rest_ms float8) returns boolean
language plpgsql as $function$
begin
  update sinks set failures = least(failures, 2000000000) + 1, last_error = left(p_reason, 2000), lease_until = null,
    next_attempt_at = clock_timestamp() + orgtrail_span(p_rest_ms)
  where name = p_name and lease_epoch = p_epoch;
  return found;
end
$function$;
--> statement-breakpoint
-- What failed before there was a turn: the database refused to give one. Nothing while a replica delivers.
create or replace function orgtrail_note_sink_failure(p_name text, p_reason text, p_rest_ms float8) returns void
language sql as $function$
  update sinks set failures = least(failures, 2000000000) + 1, last_error = left(p_reason, 2000),
    next_attempt_at = clock_timestamp() + orgtrail_span(p_rest_ms)
  where name = p_name and (lease_until is null or lease_until <= clock_timestamp())
$function$;
--> statement-breakpoint
-- A lane failed, and rests. Nothing where the lease of the source has gone to another process.
create or replace function orgtrail_fail_lane(p_kind text, p_source_id text, p_epoch bigint, p_filter_hash text, p_lane text, p_state jsonb,
  p_failures integer, p_last_failure text, p_last_error text, p_rest_ms float8) returns void
language sql as $function$
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
--> statement-breakpoint
-- An outage is over: lanes that failed with it need not rest on. Locked in one order, so that replicas do not wait for each other in a circle.
create or replace function orgtrail_end_rests(p_failures text[]) returns integer
language plpgsql as $function$
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
--> statement-breakpoint
-- Takes back what was claimed of the future. p_delays_ms: of pass 0, 1, …: each may claim up to its delay before now. How many rows had some.
create or replace function orgtrail_trim_coverage(p_delays_ms float8[]) returns integer
language plpgsql as $function$
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
  update coverage c set ranges = c.ranges * ahead.past, proven = c.proven * ahead.past
  from ahead where c.source_kind = ahead.source_kind and c.source_id = ahead.source_id
    and c.filter_hash = ahead.filter_hash and c.pass = ahead.pass;
  get diagnostics trimmed = row_count;
  return trimmed;
end
$function$;
--> statement-breakpoint
-- Of version 0.1, whose replicas may be at work during an upgrade: as before, but nothing of the future is claimed.
create or replace function orgtrail_commit_page(
  p_kind text, p_source_id text, p_organization_id text, p_epoch bigint, p_owner text, p_commit_seq bigint, p_lease_ms float8,
  p_lane text, p_filter_hash text, p_last_event_ms float8, p_event_rate float8, p_recent_event_rate float8,
  p_claim_passes integer[], p_claim_ranges text[], p_known_from timestamptz, p_known_to timestamptz,
  p_walk_since_ms float8, p_walk_before_ms float8, p_walk_started_ms float8, p_walk_cursor text, p_walk_pages integer,
  p_walk_empty_pages integer, p_walk_entries bigint, p_walk_last_time_ms float8, p_walk_in_order boolean, p_walk_page_limit integer,
  p_walk_stalls integer, p_walk_stalled_entries bigint, p_walk_lookback_ms integer,
  p_raws json[], p_ids text[], p_times text[], p_firsts integer[], p_defects text[],
  p_action_type text[], p_action_result text[], p_action_description text[], p_actor_id text[], p_actor_type text[],
  p_actor_context text[], p_actor_email text[], p_actor_ip_address text[], p_actor_token_id text[],
  p_actor_token_name text[], p_raw_method text[], p_raw_uri text[], p_raw_user_agent text[], p_resource_id text[],
  p_resource_product text[], p_resource_type text[], p_resource_scope text[], p_raw_cf_ray_id text[],
  p_raw_status_code integer[])
returns table (fence integer, entries integer, stored integer, changed integer, defective integer, lateness float8[], covered json)
language plpgsql set plan_cache_mode = 'force_generic_plan' set jit = off as $function$
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
--> statement-breakpoint
-- As in 0014, but within what can be.
create or replace function orgtrail_note_reading(p_kind text, p_source_id text, p_filter_hash text, p_lane text, p_reading jsonb) returns void
language plpgsql as $function$
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
  days as (
    select day, to_char(day at time zone 'UTC', 'YYYY-MM-DD') as name from generate_series(first_day, last_day, interval '24 hours') day),
  counted as (
    select day, coalesce((by_day ->> name)::bigint, 0) as found, day in (first_day, last_day) or by_day ? name as alone from days),
  -- Days alone have a number each; those between two of them have that of the last one before them.
  grouped as (
    select day, found, alone, count(*) filter (where alone) over (order by day) as piece from counted),
  pieces as (
    select greatest(min(day), first_time) as since, least(max(day) + interval '24 hours', last_time) as before, sum(found)::bigint as found
    from grouped group by piece, alone),
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
--> statement-breakpoint
-- As in 0006, but within reason: every month is a table, and all of history is locked while they are made.
create or replace function orgtrail_create_partitions(since timestamptz, until timestamptz) returns integer
language plpgsql as $function$
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
  perform pg_advisory_xact_lock(hashtext('orgtrail_create_partitions'));
  while month <= until at time zone 'UTC' loop
    partition := pg_catalog.format('audit_events_%s', pg_catalog.to_char(month, 'YYYY_MM'::text));
    if to_regclass(partition) is null then
      lower_bound := month at time zone 'UTC';
      upper_bound := (month + interval '1 month') at time zone 'UTC';
      -- Page commits and readers wait here, before they look up the partitions: what they add is moved, what was moved they find.
      lock table only audit_events in access exclusive mode;
      lock table audit_events_default in access exclusive mode;
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
--> statement-breakpoint
-- As in 0007, but with the exact types of what is called: for others PostgreSQL would take a function of the same name from the schema, if an
-- account may make one there.
create or replace function orgtrail_drop_month(of_month date, retention interval) returns text
language plpgsql as $function$
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
  if not pg_try_advisory_xact_lock(hashtext('orgtrail_drop_month')) then
    raise exception 'another replica is dropping one' using errcode = 'lock_not_available';
  end if;
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
  execute pg_catalog.format('delete from audit_event_changes c using %s e where e.position = c.position', partition);
  get diagnostics gone.changes = row_count;
  lock table only audit_events in access exclusive mode;
  execute pg_catalog.format('lock table %s in access exclusive mode', partition);
  lock table holds, sinks, sink_dead_letters in share mode;
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  if highest is distinct from gone.last_position then
    raise exception 'events were added to it at this moment' using errcode = 'lock_not_available';
  end if;
  obstacle := orgtrail_retention_obstacle(partition, month, until);
  if obstacle is not null then raise exception '%', obstacle using errcode = 'lock_not_available'; end if;
  execute pg_catalog.format('drop table %s', partition);
  if gone.events > 0 then
    insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, ids_sha256, retention)
    values (name, of_month, gone.events, gone.changes, gone.first_position, gone.last_position, gone.bytes,
      gone.ids_sha256, orgtrail_drop_month.retention);
  end if;
  return null;
end
$function$;
--> statement-breakpoint
create or replace function orgtrail_retention_obstacle(partition regclass, month timestamptz, until timestamptz) returns text
language plpgsql stable as $function$
declare
  highest bigint;
  obstacle text;
begin
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  if highest is null then return null; end if;
  execute pg_catalog.format('select pg_catalog.format(''hold %%s covers events in it: %%s'', h.id, left(h.reason, 200)) from holds h'
    ' where h.released_at is null and h.since < %L and h.before > %L and exists (select from %s e'
    ' where (h.organization_id is null or e.organization_id = h.organization_id) and e.action_time >= h.since and e.action_time < h.before)'
    ' order by h.id limit 1', until, month, partition) into obstacle;
  if obstacle is not null then return obstacle; end if;
  select pg_catalog.format('the sink %s is at position %s, and still needs events up to %s', s.name, s.position, highest) into obstacle
  from sinks s where s.position < highest order by s.position limit 1;
  if obstacle is not null then return obstacle; end if;
  execute pg_catalog.format('select pg_catalog.format(''position %%s is a dead letter of the sink %%s'', d.position, d.sink)'
    ' from sink_dead_letters d where exists (select from %s e where e.position = d.position) order by 1 limit 1', partition)
    into obstacle;
  return obstacle;
end
$function$;
--> statement-breakpoint
create or replace function orgtrail_jump_positions() returns trigger
language plpgsql as $function$
declare
  current constant text := orgtrail_timeline(tg_relid);
  numbers constant regclass := pg_catalog.pg_get_serial_sequence('retention_drops', 'id');
  last_kept timestamptz;
  jump bigint;
begin
  if current is null then return new; end if;
  if old.timeline is not null then
    select e.received_at into last_kept from audit_events e where e.position <= old.position order by e.position desc limit 1;
    jump := 1000000 + 100000 * ceil(greatest(0,
      extract(epoch from clock_timestamp() - greatest(last_kept, old.timeline_since))))::bigint;
    new.position := new.position + jump;
    -- Numbered with the drops, so that readers acknowledge both alike; beyond the number of any drop that was lost.
    insert into position_jumps (id, from_position, to_position, old_timeline, new_timeline)
    values (pg_catalog.setval(numbers, pg_catalog.nextval(numbers) + 1000), old.position, old.position + jump, old.timeline, current);
    raise warning 'positions go on after % instead of %: the timeline changed from % to %, and commits may have been lost',
      old.position + jump, old.position, old.timeline, current using errcode = 'OT001';
  end if;
  new.timeline := current;
  new.timeline_since := clock_timestamp();
  return new;
end
$function$;
--> statement-breakpoint
-- What an account other than the owner may not say: it would look as if all were well.
create or replace function orgtrail_refuse_row() returns trigger
language plpgsql as $function$
begin
  if pg_has_role(session_user, (select relowner from pg_class where oid = tg_relid), 'usage') then return new; end if;
  raise exception '%: %', tg_table_name, tg_argv[0] using errcode = 'check_violation';
end
$function$;
--> statement-breakpoint
create or replace trigger nothing_of_the_future before insert or update of wanted_since, wanted_history on sources for each row
  when (new.wanted_since > clock_timestamp() - interval '4 minutes' or new.wanted_history < interval '5 minutes')
  execute function orgtrail_refuse_row('what is wanted begins five minutes ago or earlier: otherwise nothing would ever be missing');
--> statement-breakpoint
create or replace trigger leases_end before insert or update of lease_until on sources for each row
  when (new.lease_until > clock_timestamp() + interval '1 hour') execute function orgtrail_refuse_row('no lease is longer than an hour');
--> statement-breakpoint
create or replace trigger nothing_of_the_future before insert or update on discovery for each row
  when (new.last_success_at > clock_timestamp() + interval '60 seconds' or new.last_attempt_at > clock_timestamp() + interval '60 seconds'
    or new.lease_until > clock_timestamp() + interval '1 hour')
  execute function orgtrail_refuse_row('nothing was listed in the future, and no lease is longer than an hour');
--> statement-breakpoint
do $do$
declare
  each text;
begin
  -- They run with the rights of their owner, and find nothing by a name but what is PostgreSQL's or orgtrail's own.
  foreach each in array array['orgtrail_register_sinks', 'orgtrail_claim_sink', 'orgtrail_release_sinks_of', 'orgtrail_release_sink',
    'orgtrail_renew_sink', 'orgtrail_begin_delivery', 'orgtrail_finish_delivery', 'orgtrail_skip_events', 'orgtrail_fail_delivery',
    'orgtrail_note_sink_failure', 'orgtrail_fail_lane', 'orgtrail_end_rests', 'orgtrail_trim_coverage', 'orgtrail_commit_page',
    'orgtrail_commit_walk_page', 'orgtrail_check_timeline', 'orgtrail_create_partitions', 'orgtrail_drop_month', 'orgtrail_jump_positions'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
  end loop;
  execute pg_catalog.format('alter function orgtrail_retention_obstacle(regclass, timestamptz, timestamptz)'
    ' set search_path = %I, pg_temp', current_schema());
  execute pg_catalog.format('alter function orgtrail_refuse_row() set search_path = %I, pg_temp', current_schema());
  foreach each in array array['orgtrail_register_sinks', 'orgtrail_claim_sink', 'orgtrail_release_sinks_of', 'orgtrail_release_sink',
    'orgtrail_renew_sink', 'orgtrail_begin_delivery', 'orgtrail_finish_delivery', 'orgtrail_skip_events', 'orgtrail_fail_delivery',
    'orgtrail_note_sink_failure', 'orgtrail_fail_lane', 'orgtrail_end_rests', 'orgtrail_trim_coverage', 'orgtrail_require_position',
    'orgtrail_span', 'orgtrail_refuse_row'] loop
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
--> statement-breakpoint
alter function orgtrail_create_partitions(timestamptz, timestamptz) set lock_timeout = '10s';
--> statement-breakpoint
alter function orgtrail_drop_month(date, interval) set lock_timeout = '2s';
