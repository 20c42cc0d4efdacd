-- What of the time has been read, what could not be, and when it was last proven.

-- Coverage by proof (docs/decisions/03), and what was read again at least a day later (docs/decisions/04).
create table coverage (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  pass integer not null check (pass >= 0),
  ranges tstzmultirange not null default '{}',
  proven tstzmultirange not null default '{}',
  read_before tstzmultirange not null default '{}',
  noted tstzmultirange not null default '{}',
  noted_at timestamptz,
  read_again tstzmultirange not null default '{}',
  primary key (source_kind, source_id, filter_hash, pass),
  foreign key (source_kind, source_id) references sources (kind, id)
);
comment on table coverage is 'The time ranges of a source that are proven read: pass 0 once, pass k again at least its settle delay later.';
comment on column coverage.source_kind is 'organization: the audit log of one.';
comment on column coverage.source_id is 'Within the kind: the organization''s id.';
comment on column coverage.filter_hash is 'Names the filter set that it was read under.';
comment on column coverage.pass is '0: read for the first time; 1, 2, …: read again after that settle delay.';
comment on column coverage.ranges is 'What has been read, as ranges [since, before).';
comment on column coverage.proven is 'The part of ranges that was read to a credible end. The rest was claimed by version 0.1, which trusted '
  'order and caps; the scrub lane proves it first.';
comment on column coverage.read_before is 'Of pass 0: the part of ranges that had been read a day ago, or earlier. A reading of it counts as a '
  'second one.';
comment on column coverage.noted is 'Of pass 0: ranges as of noted_at; becomes read_before a day later.';
comment on column coverage.noted_at is 'When noted was taken; null before the first reading.';
comment on column coverage.read_again is 'Of pass 0: the part of ranges that a reading at least a day after the first one found to be complete. '
  'The rest was read once.';

create table lanes (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  lane text not null check (lane in ('live', 'settle', 'backfill', 'scrub')),
  state jsonb not null,
  failures integer not null default 0,
  next_attempt_at timestamptz,
  last_attempt_at timestamptz not null default clock_timestamp(),
  last_success_at timestamptz,
  last_failure text,
  last_error text,
  found jsonb not null default '{}',
  primary key (source_kind, source_id, filter_hash, lane),
  foreign key (source_kind, source_id) references sources (kind, id)
)
-- A cursor makes a row longer for some pages of a walk: room for it keeps the update in its page (HOT).
with (fillfactor = 85);
comment on table lanes is 'What each lane of a source does under a filter set: its open walk, how wide its windows may be, its failures and its '
  'rest. A lane''s trouble is its own.';
comment on column lanes.source_kind is 'The kind of log: organization.';
comment on column lanes.source_id is 'Which one.';
comment on column lanes.filter_hash is 'The filter set that the process reads under.';
comment on column lanes.lane is 'Why it reads: live (the newest time), settle (late entries), backfill (history), scrub (all of it again, as a '
  'check).';
comment on column lanes.state is 'What a restart goes on from: walk (window in milliseconds since 1970, cursor, pages, entries), widthMs, '
  'trouble, entriesPerDay, pageLimit.';
comment on column lanes.failures is 'In a row; ended by a page that brought something new or a window that was read to its end.';
comment on column lanes.next_attempt_at is 'It rests until then after a failure.';
comment on column lanes.last_attempt_at is 'When a page of it was last committed, or failed.';
comment on column lanes.last_success_at is 'When it last made progress: stored something new, or read a window to its end.';
comment on column lanes.last_failure is 'The kind of the last failure, while it is failing.';
comment on column lanes.last_error is 'The same in words.';
comment on column lanes.found is 'By UTC day: the entries that it has stored and whose time it has not read to its end yet. With that they go '
  'to coverage_readings.found.';

create table coverage_holes (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  pass integer not null check (pass >= 0),
  since timestamptz not null,
  before timestamptz not null,
  reason text not null,
  message text not null,
  attempts integer not null default 1,
  found_at timestamptz not null default clock_timestamp(),
  last_attempt_at timestamptz not null default clock_timestamp(),
  next_attempt_at timestamptz not null,
  primary key (source_kind, source_id, filter_hash, pass, since),
  foreign key (source_kind, source_id) references sources (kind, id)
);
comment on table coverage_holes is 'What cannot be had: time that the API serves neither by itself nor in parts, or always counts wrong. Never '
  'claimed; tried again after an hour, two, four, at last once a week. A row goes when its time has been read.';
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

-- When and how each stretch of time was last proven (docs/decisions/04). Written by orgtrail_note_reading alone, in the transaction of a page, which
-- holds the row of its source: so it has no foreign key, which would look that up for each day of a first reading.
create table coverage_readings (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  since timestamptz not null,
  before timestamptz not null,
  method text not null check (method in ('first reading', 'pass', 'scrub')),
  number integer not null check (number >= 0),
  direction text not null check (direction in ('asc', 'desc')),
  found bigint not null,
  read_from timestamptz not null,
  read_to timestamptz not null,
  primary key (source_kind, source_id, filter_hash, since),
  check (before > since)
);
comment on table coverage_readings is 'The last reading of each stretch of time to a credible end, without overlaps. Stretches are whole days '
  'as far as possible; coverage_proof expands them to days.';
comment on column coverage_readings.source_kind is 'The kind of log: organization.';
comment on column coverage_readings.source_id is 'Which one.';
comment on column coverage_readings.filter_hash is 'The filter set that it was read under.';
comment on column coverage_readings.since is 'The stretch begins here.';
comment on column coverage_readings.before is 'And ends before this.';
comment on column coverage_readings.method is 'first reading; pass (again after a delay, for late entries); scrub (all of history again, as a '
  'check).';
comment on column coverage_readings.number is 'Of the pass or of the round of the scrub lane; 0 for the first reading.';
comment on column coverage_readings.direction is 'The order that was asked for: asc or desc.';
comment on column coverage_readings.found is 'Entries that it was the first to find. Other than 0 only within one UTC day.';
comment on column coverage_readings.read_from is 'When the first part of it was read: nothing of it was read before this.';
comment on column coverage_readings.read_to is 'When its last part was read.';

-- What was read a second time and compared with what is stored, and with what result: docs/decisions/04. Rows are written by the functions
-- below alone, which keep a bounded number of them.
create table checks (
  id bigint generated always as identity primary key,
  kind text not null,
  source_kind text,
  source_id text,
  filter_hash text,
  round integer,
  since timestamptz not null,
  before timestamptz not null,
  began_at timestamptz not null,
  last_read_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  read_seconds float8 not null default 0,
  sources integer not null default 1,
  compared bigint not null default 0,
  missing bigint not null default 0,
  extra bigint not null default 0,
  changed bigint not null default 0,
  fixed_missing bigint not null default 0,
  fixed_changed bigint not null default 0,
  failed integer not null default 0,
  fixes boolean not null,
  findings jsonb not null default '[]',
  done_by text,
  done_as text not null default session_user,
  constraint checks_kind check (kind in ('verify', 'scrub'))
);
create unique index checks_rounds on checks (source_kind, source_id, filter_hash, round, began_at) where kind = 'scrub';
comment on table checks is 'Runs of orgtrail verify, and rounds of the scrub lane with one row for each source and round: what was compared, '
  'when, by whom and with what result. The newest are kept: 1,000 runs; of each source 3 rounds, and 20 that found something.';
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
comment on column checks.compared is 'Entries that Cloudflare served and that were held against the store. A round counts those of each page: '
  'in pages that overlap or come again they count again.';
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

-- Two objects of counts become one.
create function orgtrail_add_counts(a jsonb, b jsonb) returns jsonb
language sql immutable parallel safe as $function$
  select coalesce(jsonb_object_agg(key, entries), '{}')
  from (select key, sum(value::bigint) as entries
    from (select key, value from jsonb_each_text(a) union all select key, value from jsonb_each_text(b)) both_of_them group by key) summed
$function$;

-- Puts a reading in place of what it reads again. It is kept in pieces: the day it begins in, the day it ends in, each day for which the lane
-- has found something (lanes.found), and the days between as one. A piece within one day joins a neighbour of that day that was read in the same
-- way: the live tail of a day is one row. Called by orgtrail_commit_page_2 alone, which holds the row of the source: no two at once for one
-- source. Of what a collector says, only what can be is taken.
create function orgtrail_note_reading(p_kind text, p_source_id text, p_filter_hash text, p_lane text, p_reading jsonb) returns void
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

-- Called with every walk that has been read to its end, after coverage has grown. Until something counts as read before, history is noted again with
-- each part of it, so that all of it is read again together. Not for days in which this reading has found entries: more may still be on its way.
-- They stay read once until a reading finds nothing.
create function orgtrail_note_read_again(p_kind text, p_source_id text, p_filter_hash text, p_lane text, p_since timestamptz, p_before timestamptz,
  p_after_ms float8) returns void
language plpgsql as $function$
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

-- A lane failed, and rests. Nothing where the lease of the source has gone to another process.
create function orgtrail_fail_lane(p_kind text, p_source_id text, p_epoch bigint, p_filter_hash text, p_lane text, p_state jsonb,
  p_failures integer, p_last_failure text, p_last_error text, p_rest_ms float8) returns void
language sql security definer set search_path from current as $function$
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

-- An outage is over: lanes that failed with it need not rest on. Locked in one order, so that replicas do not wait for each other in a circle.
create function orgtrail_end_rests(p_failures text[]) returns integer
language plpgsql security definer set search_path from current as $function$
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

-- Takes back what was claimed of the future. p_delays_ms: of pass 0, 1, …: each may claim up to its delay before now. How many rows had some.
create function orgtrail_trim_coverage(p_delays_ms float8[]) returns integer
language plpgsql security definer set search_path from current as $function$
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

-- Keeps the result of a run of orgtrail verify. What an account of a collector says of itself is no evidence: it bounds, and does not judge.
create function orgtrail_note_verification(p_run jsonb) returns bigint
language plpgsql security definer set search_path from current as $function$
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

-- Adds what a page of the scrub lane showed to the row of its round. The first page of a round drops what is too much of earlier ones.
create function orgtrail_note_scrub(p_kind text, p_source_id text, p_filter_hash text, p_owner text, p_part jsonb) returns void
language plpgsql security definer set search_path from current as $function$
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

create view coverage_gaps as
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
comment on view coverage_gaps is 'The time ranges, from the horizon to now, that have not been read. The last seconds before now are always one.';
comment on column coverage_gaps.since is 'The gap begins here.';
comment on column coverage_gaps.before is 'And ends before this.';
comment on column coverage_gaps.duration is 'How long it is.';
comment on column coverage_gaps.account_id is 'The account whose log it is; null for the log of an organization.';
comment on column coverage_gaps.account_name is 'Its name, as last listed.';

create view coverage_proof as
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
comment on view coverage_proof is 'For each source and UTC day, from the oldest time that is wanted to today: when and how it was last proven '
  'that every entry which Cloudflare serves for it is stored. Ask for one source or a few days: it has a row for every day of every source.';
comment on column coverage_proof.source_kind is 'The kind of log: organization.';
comment on column coverage_proof.source_id is 'Which one.';
comment on column coverage_proof.organization_id is 'The organization that the log belongs to.';
comment on column coverage_proof.organization_name is 'Its name, as last listed.';
comment on column coverage_proof.day is 'The day, in UTC.';
comment on column coverage_proof.proven_at is 'Every proven part of the day was last read to a credible end at this time or later; null if no '
  'part of it has been proven.';
comment on column coverage_proof.method is 'How the part that was read longest ago was read: first reading, pass (again after a delay, for late '
  'entries) or scrub (all of history again, from the other side).';
comment on column coverage_proof.number is 'The number of that pass, or of that round of the scrub lane; 0 for the first reading.';
comment on column coverage_proof.direction is 'The order in which that reading asked for entries: asc or desc.';
comment on column coverage_proof.found is 'Entries of the day that its last readings were the first to find. Those of a pass were late, those '
  'of the scrub lane were missing.';
comment on column coverage_proof.last_read_at is 'When the part that was read last was read.';
comment on column coverage_proof.unproven_seconds is 'How much of the day, up to now, has not been proven: not read yet, a hole, older than '
  'what is wanted, or claimed by version 0.1 without proof.';
comment on column coverage_proof.account_id is 'The account whose log it is; null for the log of an organization.';
comment on column coverage_proof.account_name is 'Its name, as last listed.';

-- Counted down is only what can still be had: of a gap that reaches behind the retention, the rest of it; of one that lies behind
-- it as a whole, nothing. (wanted_since follows the horizon by the hour, and would show an hour that nobody wants any more.)
create view sync_status as
select s.kind as source_kind, s.id as source_id, coalesce(s.organization_id, a.organization_id) as organization_id,
  o.name as organization_name, case when s.account_id is null then o.state end as organization_state,
  s.lease_owner, s.lease_epoch, s.lease_until, coalesce(l.failures, 0) as failures, l.next_attempt_at, s.last_attempt_at,
  l.last_success_at, s.last_event_at, l.last_failure, l.last_error, s.wanted_since,
  extract(epoch from now() - least(now(), greatest(g.read_until, horizon.since)))::float8 as lag_seconds,
  coalesce(g.gap_seconds, 0)::float8 as gap_seconds,
  extract(epoch from coalesce(g.oldest_gap, now()) - r.oldest_kept)::float8 as retention_slack_seconds,
  coalesce(l.open_walks, 0) as open_walks, l.walking_pages, l.walking_entries,
  l.failing_lanes, coalesce(h.holes, 0) as holes, coalesce(u.unproven_seconds, 0) as unproven_seconds,
  s.account_id, a.name as account_name, a.state as account_state, s.access, s.refused_since, s.credential,
  coalesce(u.read_once_seconds, 0) as read_once_seconds
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
  select (select sum(extract(epoch from upper(part) - lower(part)))::float8
      from unnest((c.ranges - c.proven) * tstzmultirange(tstzrange(horizon.since, now()))) part) as unproven_seconds,
    (select sum(extract(epoch from upper(part) - lower(part)))::float8
      from unnest((c.ranges - c.read_again) * tstzmultirange(tstzrange(horizon.since, now()))) part) as read_once_seconds
) u on true;
comment on view sync_status is 'One row per source: how far behind, what is missing, who holds it, what went wrong last.';
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
