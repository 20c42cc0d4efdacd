-- own transaction
-- What was read once, and what was read again at least a day later: docs/decisions/0086.
alter table coverage add column read_before tstzmultirange not null default '{}', add column noted tstzmultirange not null default '{}',
  add column noted_at timestamptz, add column read_again tstzmultirange not null default '{}';
--> statement-breakpoint
comment on column coverage.read_before is 'Of pass 0: the part of ranges that had been read a day ago, or earlier. A reading of it counts as a second one.';
--> statement-breakpoint
comment on column coverage.noted is 'Of pass 0: ranges as of noted_at; becomes read_before a day later.';
--> statement-breakpoint
comment on column coverage.noted_at is 'When noted was taken; null before the first reading.';
--> statement-breakpoint
comment on column coverage.read_again is 'Of pass 0: the part of ranges that has been read again at least a day after it was first read. The rest was read once.';
--> statement-breakpoint
CREATE OR REPLACE FUNCTION orgtrail_note_reading(p_kind text, p_source_id text, p_filter_hash text, p_lane text, p_reading jsonb)
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
--> statement-breakpoint
CREATE OR REPLACE FUNCTION orgtrail_claim_source(p_kind text, p_source_id text, p_owner text, p_lease_ms double precision, p_filter_hash text)
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
--> statement-breakpoint
CREATE OR REPLACE FUNCTION orgtrail_trim_coverage(p_delays_ms double precision[])
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
--> statement-breakpoint
create or replace view sync_status as
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
     LEFT JOIN LATERAL ( SELECT (SELECT sum(EXTRACT(epoch FROM upper(part.part) - lower(part.part)))::double precision
             FROM unnest((c.ranges - c.proven) * tstzmultirange(tstzrange(horizon.since, now()))) part(part)) AS unproven_seconds,
           (SELECT sum(EXTRACT(epoch FROM upper(part.part) - lower(part.part)))::double precision
             FROM unnest((c.ranges - c.read_again) * tstzmultirange(tstzrange(horizon.since, now()))) part(part)) AS read_once_seconds) u ON true;
--> statement-breakpoint
comment on column sync_status.read_once_seconds is 'Time that has been read, and not a second time at least a day later.';
--> statement-breakpoint
-- For readers, who do not see whose budgets these are.
create view requests_blocked as
select max(blocked_until) as blocked_until, (array_agg(blocked_because order by blocked_until desc))[1] as because
from api_budget where blocked_until > now();
--> statement-breakpoint
comment on view requests_blocked is 'Until when requests to Cloudflare wait, of the credential that waits longest, and why; null if none does.';
--> statement-breakpoint
comment on column requests_blocked.blocked_until is 'No request is sent before this.';
--> statement-breakpoint
comment on column requests_blocked.because is 'retry_after: Cloudflare has answered 429; ratelimit: it has said that little is left.';
