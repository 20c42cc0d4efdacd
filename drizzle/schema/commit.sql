-- The one call that stores a page: docs/decisions/01.

-- Whether any of the ids may be stored already, whenever it happened, by a plan that is kept: planning for all partitions costs more than
-- asking them. No other index has to do with the question, so the plan is right however full the months become. PostgreSQL before 17
-- might read all of a source instead: there the answer is yes.
create function orgtrail_may_know_any(p_kind text, p_source_id text, p_ids text[]) returns boolean
language plpgsql stable set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $function$
begin
  return cardinality(p_ids) > 0 and (current_setting('server_version_num')::integer < 170000 or exists (
    select from audit_events where source_kind = p_kind and source_id = p_source_id and id = any(p_ids)));
end
$function$;

-- Whether anything of a source is stored, by a plan that is kept. Only the unique index has this order: else a plan for few sources might read all
-- of a month, to find none of another source.
create function orgtrail_has_stored(p_kind text, p_source_id text) returns boolean
language plpgsql stable set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $function$
begin
  return (select id from audit_events where source_kind = p_kind and source_id = p_source_id order by id limit 1) is not null;
end
$function$;

-- A page and all that goes with it, by one call: fence, entries, their positions, the state of the lane with its walk, the coverage and the
-- record of a walk that ends with the page, together or not at all (invariant 1). What one statement with so much in it costs is its plan,
-- made again for each page; in a function plans are kept by the connection, behind a pooler, too, and nothing has to be prepared there. Several
-- statements: what a page does not need is not begun. An empty page, which most are, took a millisecond to begin and to end what puts entries
-- into tables. Called by src/ingest/sync/commit/ alone. A version that is to be called otherwise gets another name: during an upgrade, replicas
-- of both versions are at work.
--
-- p_known_from and p_known_to: the times between which known entries are looked for. p_state: the lane from here on; null leaves it as it is.
-- p_holes: null, or what could not be had. p_reading: null, or what was read to a credible end. p_page_entries: null unless the page came from
-- the API as it is. p_firsts: for each entry the number, from 1, of the first one with its id. p_defects: null, or for each entry null or its
-- defects as an array's text.
create function orgtrail_commit_page_2(p_kind text, p_source_id text, p_organization_id text, p_epoch bigint, p_owner text, p_commit_seq bigint,
  p_lease_ms float8, p_lane text, p_filter_hash text, p_last_event_ms float8, p_event_rate float8, p_recent_event_rate float8,
  p_claim_passes integer[], p_claim_ranges text[], p_known_from timestamptz, p_known_to timestamptz, p_state jsonb, p_holes jsonb, p_reading jsonb,
  p_page_entries integer, p_reads jsonb, p_raws json[], p_ids text[], p_times text[], p_firsts integer[], p_defects text[], p_action_type text[],
  p_action_result text[], p_action_description text[], p_actor_id text[], p_actor_type text[], p_actor_context text[], p_actor_email text[],
  p_actor_ip_address text[], p_actor_token_id text[], p_actor_token_name text[], p_raw_method text[], p_raw_uri text[], p_raw_user_agent text[],
  p_resource_id text[], p_resource_product text[], p_resource_type text[], p_resource_scope text[], p_account_id text[], p_account_name text[],
  p_zone_id text[], p_zone_name text[], p_raw_cf_ray_id text[], p_raw_status_code integer[])
returns table (fence integer, entries integer, stored integer, changed integer, defective integer, lateness float8[], covered json)
language plpgsql security definer set plan_cache_mode = force_generic_plan set jit = off set search_path from current as $function$
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
  if p_reads is not null and exists (select from evidence_log l where l.ended_at is null) then
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
