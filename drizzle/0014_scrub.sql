-- When and how each stretch of time was last proven (docs/decisions/0028). Written by orgtrail_commit_walk_page with the claim of the same walk.
create table if not exists coverage_readings (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  since timestamptz not null,
  before timestamptz not null check (before > since),
  method text not null check (method in ('first reading', 'pass', 'scrub')),
  number integer not null check (number >= 0),
  direction text not null check (direction in ('asc', 'desc')),
  found bigint not null,
  read_from timestamptz not null,
  read_to timestamptz not null,
  primary key (source_kind, source_id, filter_hash, since),
  foreign key (source_kind, source_id) references sources (kind, id)
);
--> statement-breakpoint
comment on table coverage_readings is 'The last reading of each stretch of time to a credible end, without overlaps. Stretches are whole days as far as possible; coverage_proof expands them to days.';
--> statement-breakpoint
comment on column coverage_readings.source_kind is 'The kind of log: organization.';
--> statement-breakpoint
comment on column coverage_readings.source_id is 'Which one.';
--> statement-breakpoint
comment on column coverage_readings.filter_hash is 'The filter set that it was read under.';
--> statement-breakpoint
comment on column coverage_readings.since is 'The stretch begins here.';
--> statement-breakpoint
comment on column coverage_readings.before is 'And ends before this.';
--> statement-breakpoint
comment on column coverage_readings.method is 'first reading; pass (again after a delay, for late entries); scrub (all of history again, as a check).';
--> statement-breakpoint
comment on column coverage_readings.number is 'Of the pass or of the round of the scrub lane; 0 for the first reading.';
--> statement-breakpoint
comment on column coverage_readings.direction is 'The order that was asked for: asc or desc.';
--> statement-breakpoint
comment on column coverage_readings.found is 'Entries that it was the first to find. Other than 0 only within one UTC day.';
--> statement-breakpoint
comment on column coverage_readings.read_from is 'When the first part of it was read: nothing of it was read before this.';
--> statement-breakpoint
comment on column coverage_readings.read_to is 'When its last part was read.';
--> statement-breakpoint
-- Two objects of counts become one.
create or replace function orgtrail_add_counts(a jsonb, b jsonb) returns jsonb
language sql immutable parallel safe as $function$
  select coalesce(jsonb_object_agg(key, entries), '{}')
  from (select key, sum(value::bigint) as entries
    from (select key, value from jsonb_each_text(a) union all select key, value from jsonb_each_text(b)) both_of_them group by key) summed
$function$;
--> statement-breakpoint
-- Puts a reading in place of what it reads again. It is kept in pieces: the day it begins in, the day it ends in, each day for which the lane
-- has found something (lanes.found), and the days between as one. A piece within one day joins a neighbour of that day that was read in the same way: the live
-- tail of a day is one row. Called by orgtrail_commit_walk_page alone, which holds the row of the source: no two at once for one source.
create or replace function orgtrail_note_reading(p_kind text, p_source_id text, p_filter_hash text, p_lane text, p_reading jsonb) returns void
language plpgsql as $function$
#variable_conflict use_column
declare
  p_method constant text := p_reading ->> 'method';
  p_number constant integer := (p_reading ->> 'number')::integer;
  p_direction constant text := p_reading ->> 'direction';
  read_now constant timestamptz := clock_timestamp();
  first_time timestamptz := to_timestamp((p_reading ->> 'fromMs')::float8 / 1000);
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
revoke execute on function orgtrail_add_counts(jsonb, jsonb), orgtrail_note_reading(text, text, text, text, jsonb) from public;
--> statement-breakpoint
create or replace view coverage_proof as
select s.kind as source_kind, s.id as source_id, s.organization_id, o.name as organization_name,
  (days.day at time zone 'UTC')::date as day,
  p.proven_at, p.method, p.number, p.direction, coalesce(p.found, 0)::bigint as found, p.last_read_at,
  (extract(epoch from least(now(), days.day + interval '24 hours') - days.day) - coalesce(p.seconds, 0))::float8 as unproven_seconds
from sources s
join organizations o on o.id = s.organization_id
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
comment on view coverage_proof is 'For each source and UTC day, from the oldest time that is wanted to today: when and how it was last proven that every entry which Cloudflare serves for it is stored. Ask for one source or a few days: it has a row for every day of every source.';
--> statement-breakpoint
comment on column coverage_proof.source_kind is 'The kind of log: organization.';
--> statement-breakpoint
comment on column coverage_proof.source_id is 'Which one.';
--> statement-breakpoint
comment on column coverage_proof.organization_id is 'The organization that the log belongs to.';
--> statement-breakpoint
comment on column coverage_proof.organization_name is 'Its name, as last listed.';
--> statement-breakpoint
comment on column coverage_proof.day is 'The day, in UTC.';
--> statement-breakpoint
comment on column coverage_proof.proven_at is 'Every proven part of the day was last read to a credible end at this time or later; null if no part of it has been proven.';
--> statement-breakpoint
comment on column coverage_proof.method is 'How the part that was read longest ago was read: first reading, pass (again after a delay, for late entries) or scrub (all of history again, from the other side).';
--> statement-breakpoint
comment on column coverage_proof.number is 'The number of that pass, or of that round of the scrub lane; 0 for the first reading.';
--> statement-breakpoint
comment on column coverage_proof.direction is 'The order in which that reading asked for entries: asc or desc.';
--> statement-breakpoint
comment on column coverage_proof.found is 'Entries of the day that its last readings were the first to find. Those of a pass were late, those of the scrub lane were missing.';
--> statement-breakpoint
comment on column coverage_proof.last_read_at is 'When the part that was read last was read.';
--> statement-breakpoint
comment on column coverage_proof.unproven_seconds is 'How much of the day, up to now, has not been proven: not read yet, a hole, older than what is wanted, or claimed by version 0.1 without proof.';
