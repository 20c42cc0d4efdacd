-- Whether any of the ids may be stored already, whenever it happened, by a plan that is kept: planning for all partitions costs more than
-- asking them. No other index has to do with the question, so the plan is right however full the months become. PostgreSQL before 17
-- might read all of a source instead: there the answer is yes.
create or replace function orgtrail_may_know_any(p_kind text, p_source_id text, p_ids text[]) returns boolean
language plpgsql stable set plan_cache_mode = 'force_generic_plan' set enable_seqscan = off set jit = off as $function$
begin
  return cardinality(p_ids) > 0 and (current_setting('server_version_num')::integer < 170000 or exists (
    select from audit_events where source_kind = p_kind and source_id = p_source_id and id = any(p_ids)));
end
$function$;
--> statement-breakpoint
-- A page and all that goes with it, by one call: fence, entries, their positions, the walk's cursor and the coverage, together or not at
-- all (invariant 1). What a statement with so much in it costs is its plan, made anew for each page; in a function it is kept by
-- the connection, behind a pooler, too, and nothing has to be prepared there. Called by src/store/commit-page.ts alone. A later
-- version that is to be called otherwise gets another name: during an upgrade, replicas of both versions are at work.
--
-- p_known_from and p_known_to: the times between which known entries are looked for. p_walk_since_ms null: the walk ends. p_firsts: for each
-- entry the number, from 1, of the first one with its id. p_defects: null, or for each entry null or its defects as an array's text.
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
revoke execute on function orgtrail_may_know_any(text, text, text[]) from public;
--> statement-breakpoint
do $do$
begin
  execute format('revoke execute on function %s from public', 'orgtrail_commit_page'::regproc::regprocedure);
end
$do$;
