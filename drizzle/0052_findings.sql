-- own transaction
-- What the detections find, noted once under a key, so that sinks can follow it by position: docs/decisions/0056. A finding holds what a message
-- says of it, and is forgotten with its month.
create table if not exists findings (
  detection text not null,
  source_kind text not null,
  source_id text not null,
  id text not null,
  position bigint not null,
  event_position bigint not null,
  severity text not null,
  action_time timestamptz not null,
  received_at timestamptz not null,
  organization_id text,
  organization_name text,
  account_id text,
  account_name text,
  zone_id text,
  zone_name text,
  actor text not null,
  actor_ip_address text,
  action_type text,
  action_result text,
  resource_type text,
  resource_id text,
  events integer not null,
  first_time timestamptz not null,
  summary text not null,
  noted_at timestamptz not null default clock_timestamp(),
  primary key (detection, source_kind, source_id, id)
);
--> statement-breakpoint
create index if not exists findings_position on findings (position);
--> statement-breakpoint
create index if not exists findings_time on findings (action_time);
--> statement-breakpoint
create table if not exists finding_head (
  only_row boolean primary key default true check (only_row),
  position bigint not null check (position >= 0),
  began_at bigint not null,
  noted_at timestamptz not null default clock_timestamp()
);
--> statement-breakpoint
comment on table findings is 'What the detections found, noted once each for the sinks of detections, from when the first such sink was known. The view detections has all of it, also of before.';
--> statement-breakpoint
comment on column findings.position is 'Up to which position of the feed the events must be known for it: a sink follows it.';
--> statement-breakpoint
comment on column findings.event_position is 'Of the event that names it: source_kind, source_id, id.';
--> statement-breakpoint
comment on table finding_head is 'Up to which position of the feed the detections have been asked. No row: no sink has wanted them yet.';
--> statement-breakpoint
comment on column finding_head.began_at is 'The position after which findings were noted first.';
--> statement-breakpoint
comment on column findings.noted_at is 'When it was noted.';
--> statement-breakpoint
comment on column finding_head.only_row is 'True: there is one row.';
--> statement-breakpoint
comment on column finding_head.position is 'All findings up to this position of the feed are noted.';
--> statement-breakpoint
comment on column finding_head.noted_at is 'When the detections were last asked about new events.';
--> statement-breakpoint
-- The others mean what they mean in the detections, or in the event.
do $$
declare
  said record;
begin
  for said in
    select a.attname, coalesce(col_description(d.attrelid, d.attnum), col_description(e.attrelid, e.attnum)) as words
    from pg_attribute a
      left join pg_attribute d on d.attrelid = 'detections'::regclass and d.attname = a.attname
      left join pg_attribute e on e.attrelid = 'audit_events'::regclass and e.attname = a.attname
    where a.attrelid = 'findings'::regclass and a.attnum > 0 and not a.attisdropped and col_description(a.attrelid, a.attnum) is null
  loop
    execute format('comment on column findings.%I is %L', said.attname, said.words);
  end loop;
end
$$;
--> statement-breakpoint
-- At every start of a daemon that has a sink of detections. The first one says where they begin; later ones change nothing.
create or replace function orgtrail_want_detections(p_from_beginning boolean) returns void
language sql as $function$
  insert into finding_head (position, began_at)
  select b.position, b.position from (select case when p_from_beginning then 0 else h.position end as position from feed_head h) b
  on conflict do nothing
$function$;
--> statement-breakpoint
-- Asks the detections about the next positions of the feed, and notes what they find there. No row: another replica is doing that, or nothing
-- wants them. The burst and sign-in views are asked no further back than the oldest of the new events, and 31 days at most: the last event of
-- what they find is at least as late as any event that it takes.
create or replace function orgtrail_note_detections(p_most bigint)
returns table (noted_to bigint, feed_end bigint, noted bigint)
language plpgsql as $function$
declare
  was bigint;
  until bigint;
  since timestamptz;
begin
  select h.position into was from finding_head h for update skip locked;
  if not found then return; end if;
  feed_end := (select f.position from feed_head f);
  noted_to := was;
  noted := 0;
  if was < feed_end then
    -- A jump of positions is passed at once.
    until := least(feed_end, (select min(e.position) from audit_events e where e.position > was) - 1 + greatest(p_most, 1));
    until := coalesce(until, feed_end);
    select min(e.action_time) into since from audit_events e
    where e.position > was and e.position <= until and e.action_time > '-infinity';
    perform pg_catalog.set_config('orgtrail.bursts_since', greatest(since, now() - interval '31 days')::text, true);
    -- Planned anew each time: how many positions there are decides about the indexes.
    execute 'insert into findings (detection, source_kind, source_id, id, position, event_position, severity, action_time, received_at,'
      '   organization_id, organization_name, account_id, account_name, zone_id, zone_name, actor, actor_ip_address,'
      '   action_type, action_result, resource_type, resource_id, events, first_time, summary)'
      ' select d.detection, d.source_kind, d.source_id, d.id, d.position, coalesce(e.position, d.position), d.severity, d.action_time, d.received_at,'
      '   d.organization_id, d.organization_name, e.account_id, e.account_name, e.zone_id, e.zone_name, d.actor, d.actor_ip_address,'
      '   d.action_type, d.action_result, d.resource_type, d.resource_id, d.events, d.first_time, d.summary'
      ' from detections d left join lateral ('
      '   select a.position, a.account_id, a.account_name, a.zone_id, a.zone_name from audit_events a'
      '   where a.source_kind = d.source_kind and a.source_id = d.source_id and a.id = d.id and a.action_time = d.action_time) e on true'
      ' where d.position > $1 and d.position <= $2'
      ' on conflict do nothing' using was, until;
    get diagnostics noted = row_count;
    update finding_head set position = until, noted_at = clock_timestamp();
    noted_to := until;
  end if;
  return next;
end
$function$;
--> statement-breakpoint
-- A finding has texts of its entry: it goes with the month of the entry.
create or replace function orgtrail_forget_findings() returns trigger
language plpgsql as $function$
begin
  delete from findings f
  where f.action_time >= new.month::timestamp at time zone 'UTC'
    and f.action_time < (new.month::timestamp + interval '1 month') at time zone 'UTC';
  return null;
end
$function$;
--> statement-breakpoint
create or replace trigger forget_findings after insert on retention_drops for each row execute function orgtrail_forget_findings();
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_want_detections', 'orgtrail_note_detections', 'orgtrail_forget_findings'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
--> statement-breakpoint
-- What is wrong with orgtrail itself. An alarm is opened once its condition has lasted, and resolved when it is over; sinks are sent these changes.
create table if not exists alarms (
  alarm text collate "C" primary key,
  severity text not null,
  summary text not null,
  seen_since timestamptz not null default clock_timestamp(),
  opened bigint
);
--> statement-breakpoint
create table if not exists alarm_changes (
  number bigint generated always as identity primary key,
  alarm text not null,
  opened bigint,
  state text not null check (state in ('open', 'resolved')),
  severity text not null,
  summary text not null,
  changed_at timestamptz not null default clock_timestamp()
);
--> statement-breakpoint
create table if not exists alarm_cursors (
  sink text collate "C" primary key references sinks (name) on delete cascade,
  number bigint not null
);
--> statement-breakpoint
comment on table alarms is 'What is wrong with orgtrail itself at this moment, as the daemons see it for sinks of alarms.';
--> statement-breakpoint
comment on column alarms.alarm is 'Its name, with that of a sink if it is about one.';
--> statement-breakpoint
comment on column alarms.severity is 'medium, high or critical.';
--> statement-breakpoint
comment on column alarms.summary is 'For people.';
--> statement-breakpoint
comment on column alarms.seen_since is 'Since when its condition has been met without a break.';
--> statement-breakpoint
comment on column alarms.opened is 'The number of the change by which it was opened; null: its condition has not lasted long enough.';
--> statement-breakpoint
comment on table alarm_changes is 'Alarms opened and resolved, in order.';
--> statement-breakpoint
comment on column alarm_changes.number is 'Numbers the changes; in the order of their commits, with gaps.';
--> statement-breakpoint
comment on column alarm_changes.alarm is 'As in alarms.';
--> statement-breakpoint
comment on column alarm_changes.opened is 'The number by which the alarm was opened that this resolves; null: this opens it.';
--> statement-breakpoint
comment on column alarm_changes.state is 'open or resolved.';
--> statement-breakpoint
comment on column alarm_changes.severity is 'As in alarms.';
--> statement-breakpoint
comment on column alarm_changes.summary is 'For people; of a resolved alarm, what it was last.';
--> statement-breakpoint
comment on column alarm_changes.changed_at is 'When it was opened or resolved.';
--> statement-breakpoint
comment on table alarm_cursors is 'How far each sink of alarms is.';
--> statement-breakpoint
comment on column alarm_cursors.sink is 'Its name, as in sinks.';
--> statement-breakpoint
comment on column alarm_cursors.number is 'All changes up to this one are delivered.';
--> statement-breakpoint
-- At every start of a daemon: where new sinks of alarms begin.
create or replace function orgtrail_register_alarm_sinks(p_names text[], p_starts text[]) returns void
language sql as $function$
  insert into alarm_cursors (sink, number)
  select s.name, case when s.start = 'now' then coalesce((select max(c.number) from alarm_changes c), 0) else 0 end
  from unnest(p_names, p_starts) as s (name, start)
  on conflict do nothing
$function$;
--> statement-breakpoint
-- All that is wrong at this moment. What has lasted so long is opened; what is not among it any more is resolved. False: another replica is
-- doing it. Changes of more than a year ago are gone.
create or replace function orgtrail_note_alarms(p_alarms text[], p_severities text[], p_summaries text[], p_after_ms float8) returns boolean
language plpgsql as $function$
declare
  each record;
  made bigint;
begin
  -- Until the commit, so that numbers follow the order of commits.
  if not pg_try_advisory_xact_lock(hashtext('orgtrail_note_alarms')) then return false; end if;
  insert into alarms as a (alarm, severity, summary)
  select left(u.alarm, 200), u.severity, left(u.summary, 2000) from unnest(p_alarms, p_severities, p_summaries) as u (alarm, severity, summary)
  on conflict (alarm) do update set severity = excluded.severity, summary = excluded.summary;
  for each in select * from alarms a where a.alarm <> all (p_alarms) loop
    if each.opened is not null then
      insert into alarm_changes (alarm, opened, state, severity, summary)
      values (each.alarm, each.opened, 'resolved', each.severity, each.summary);
    end if;
    delete from alarms a where a.alarm = each.alarm;
  end loop;
  for each in select * from alarms a where a.opened is null and a.seen_since <= clock_timestamp() - orgtrail_span(p_after_ms) order by a.alarm loop
    insert into alarm_changes (alarm, state, severity, summary) values (each.alarm, 'open', each.severity, each.summary)
    returning number into made;
    update alarms a set opened = made where a.alarm = each.alarm;
  end loop;
  delete from alarm_changes c where c.changed_at < clock_timestamp() - interval '1 year';
  return true;
end
$function$;
--> statement-breakpoint
-- As orgtrail_finish_delivery, of alarms. The position follows the feed: such a sink needs nothing of it.
create or replace function orgtrail_finish_alarms(p_name text, p_epoch bigint, p_number bigint, p_accepted bigint, p_lease_ms float8)
returns boolean
language plpgsql as $function$
begin
  if not orgtrail_finish_delivery(p_name, p_epoch, (select h.position from feed_head h), p_accepted, 0, '{}', '{}', p_lease_ms) then
    return false;
  end if;
  if p_number > (select coalesce(max(c.number), 0) from alarm_changes c) then
    raise exception 'the sink % may not go to alarm %: there is none', p_name, p_number using errcode = 'check_violation';
  end if;
  update alarm_cursors c set number = greatest(c.number, p_number) where c.sink = p_name;
  return true;
end
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_register_alarm_sinks', 'orgtrail_note_alarms', 'orgtrail_finish_alarms'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
