-- The requests behind what is claimed, for the evidence: docs/decisions/0054. Empty and unused until ORGTRAIL_EVIDENCE_ORIGIN is set.
create table if not exists evidence_reads (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  number bigint not null check (number >= 1),
  read_at timestamptz not null,
  lane text not null,
  filter_hash text not null,
  since timestamptz not null,
  before timestamptz not null,
  pages integer not null,
  entries bigint not null,
  answers integer not null,
  first_date timestamptz,
  first_cf_ray text,
  last_date timestamptz,
  last_cf_ray text,
  bodies_sha256 bytea not null check (octet_length(bodies_sha256) = 32),
  sha256 bytea not null check (octet_length(sha256) = 32),
  primary key (source_kind, source_id, number)
);
--> statement-breakpoint
alter table evidence_coverage add column if not exists reads_count bigint;
--> statement-breakpoint
alter table evidence_coverage add column if not exists reads_after bigint;
--> statement-breakpoint
-- An instant of a statement, as JSON. Without a path of its own, as the next two: so they are part of the statement that calls them.
create or replace function orgtrail_instant_text(p_at timestamptz) returns text
language sql stable as $function$
  select coalesce(pg_catalog.to_json(pg_catalog.to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text, 'null')
$function$;
--> statement-breakpoint
-- The line of a row in `journal/reads.ndjson`, which is hashed byte for byte: it never changes.
create or replace function orgtrail_read_text(p_row evidence_reads) returns text
language sql stable as $function$
  select pg_catalog.format('{"number":%s,"source_kind":%s,"source_id":%s,"read_at":%s,"lane":%s,"filter_hash":%s,"since":%s,"before":%s,'
      '"pages":%s,"entries":%s,"answers":%s,"first_date":%s,"first_cf_ray":%s,"last_date":%s,"last_cf_ray":%s,"bodies_sha256":%s}',
    p_row.number, pg_catalog.to_json(p_row.source_kind), pg_catalog.to_json(p_row.source_id), orgtrail_instant_text(p_row.read_at), pg_catalog.to_json(p_row.lane),
    pg_catalog.to_json(p_row.filter_hash), orgtrail_instant_text(p_row.since), orgtrail_instant_text(p_row.before), p_row.pages, p_row.entries, p_row.answers,
    orgtrail_instant_text(p_row.first_date), coalesce(pg_catalog.to_json(p_row.first_cf_ray)::text, 'null'),
    orgtrail_instant_text(p_row.last_date), coalesce(pg_catalog.to_json(p_row.last_cf_ray)::text, 'null'), pg_catalog.to_json(pg_catalog.encode(p_row.bodies_sha256, 'hex')))
$function$;
--> statement-breakpoint
-- A time that a collector gives, within what a verifier reads: it must not be able to make a row that no verifier takes.
create or replace function orgtrail_bounded_instant(p_ms text) returns timestamptz
language sql stable as $function$
  -- From 1970 to 9999.
  select case when p_ms is not null then pg_catalog.to_timestamp(least(greatest(p_ms::float8, 0), 253370764800000) / 1000) end
$function$;
--> statement-breakpoint
-- Appends the record of a walk whose end is claimed. Called by orgtrail_commit_page_2 alone, with its settings, and with the row of the source locked,
-- so its numbers and its chain have no gap.
create or replace function orgtrail_note_reads(p_kind text, p_source_id text, p_filter_hash text, p_lane text, p_reads jsonb) returns void
language plpgsql as $function$
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
--> statement-breakpoint
-- As orgtrail_commit_source_page in 0032, which earlier versions call, with the record of the walk that ends with the page.
create or replace function orgtrail_commit_page_2(
  p_kind text, p_source_id text, p_organization_id text, p_epoch bigint, p_owner text, p_commit_seq bigint, p_lease_ms float8,
  p_lane text, p_filter_hash text, p_last_event_ms float8, p_event_rate float8, p_recent_event_rate float8,
  p_claim_passes integer[], p_claim_ranges text[], p_known_from timestamptz, p_known_to timestamptz,
  p_state jsonb, p_holes jsonb, p_reading jsonb, p_page_entries integer, p_reads jsonb,
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
--> statement-breakpoint
-- As in 0034, with what the statement says of the list of requests.
create or replace function orgtrail_note_statement() returns trigger
language plpgsql as $function$
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
--> statement-breakpoint
-- Deletes the rows that the last signed statement of their source no longer promises. The last one before these stays, for its hash.
create or replace function orgtrail_thin_reads() returns bigint
language plpgsql as $function$
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
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_commit_page_2', 'orgtrail_thin_reads', 'orgtrail_note_statement'] loop
    execute pg_catalog.format('alter function %s set search_path = %I, pg_temp', each::regproc::regprocedure, current_schema());
  end loop;
  foreach each in array array['orgtrail_commit_page_2', 'orgtrail_thin_reads', 'orgtrail_note_statement', 'orgtrail_note_reads',
    'orgtrail_read_text', 'orgtrail_instant_text', 'orgtrail_bounded_instant'] loop
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
  execute pg_catalog.format('alter function %s security definer', 'orgtrail_thin_reads'::regproc::regprocedure);
end
$do$;
--> statement-breakpoint
comment on table evidence_reads is 'The requests behind what is claimed as read, while there is evidence: one row for each walk that has come to its end, written with the claim.';
--> statement-breakpoint
comment on column evidence_reads.source_kind is 'As in audit_events.';
--> statement-breakpoint
comment on column evidence_reads.source_id is 'As in audit_events.';
--> statement-breakpoint
comment on column evidence_reads.number is 'From 1, for each source.';
--> statement-breakpoint
comment on column evidence_reads.read_at is 'When it was stored.';
--> statement-breakpoint
comment on column evidence_reads.lane is 'As in lanes.';
--> statement-breakpoint
comment on column evidence_reads.filter_hash is 'Names the filter set.';
--> statement-breakpoint
comment on column evidence_reads.since is 'Of the window, as it was asked for: more than is claimed.';
--> statement-breakpoint
comment on column evidence_reads.before is 'Its end.';
--> statement-breakpoint
comment on column evidence_reads.pages is 'Pages of the walk.';
--> statement-breakpoint
comment on column evidence_reads.entries is 'Entries on these.';
--> statement-breakpoint
comment on column evidence_reads.answers is 'So many answers are hashed: those pages, and those to questions that proved the end.';
--> statement-breakpoint
comment on column evidence_reads.first_date is 'The header Date of the first one; null: it had none.';
--> statement-breakpoint
comment on column evidence_reads.first_cf_ray is 'The header CF-Ray of the first one, by which Cloudflare knows the request.';
--> statement-breakpoint
comment on column evidence_reads.last_date is 'The header Date of the last one.';
--> statement-breakpoint
comment on column evidence_reads.last_cf_ray is 'The header CF-Ray of the last one.';
--> statement-breakpoint
comment on column evidence_reads.bodies_sha256 is 'SHA-256 of the one before and the SHA-256 of the body, over these answers, from 32 zero bytes on.';
--> statement-breakpoint
comment on column evidence_reads.sha256 is 'SHA-256 of that of the row before and the SHA-256 of this row as orgtrail_read_text has it.';
--> statement-breakpoint
comment on column evidence_coverage.reads_count is 'How many rows of evidence_reads it counts.';
--> statement-breakpoint
comment on column evidence_coverage.reads_after is 'Rows up to this number are no longer promised.';
