-- Sinks, their positions and what they refused; alarms, which sinks are sent as well.

-- Each sink has a position of its own in the feed. Events that are too old for it are skipped and counted: docs/decisions/15.
create table sinks (
  name text collate "C" primary key,
  kind text not null,
  target text not null,
  position bigint not null check (position >= 0),
  batch_until bigint,
  lease_owner text,
  lease_epoch bigint not null default 0,
  lease_until timestamptz,
  failures integer not null default 0,
  refused_in_row integer not null default 0,
  next_attempt_at timestamptz,
  delivered bigint not null default 0,
  last_attempt_at timestamptz,
  last_success_at timestamptz,
  last_error text,
  created_at timestamptz not null default clock_timestamp(),
  skipped bigint not null default 0,
  max_age_seconds bigint
);
comment on table sinks is 'Where events are pushed to, one row per sink of ORGTRAIL_SINKS, and how far each is.';
comment on column sinks.name is 'As in ORGTRAIL_SINKS.';
comment on column sinks.kind is 'The type, as in ORGTRAIL_SINKS.';
comment on column sinks.target is 'Where it delivers to, without any credential.';
comment on column sinks.position is 'All events up to here are delivered or in sink_dead_letters. May be set back: orgtrail sink replay.';
comment on column sinks.batch_until is 'The last position of the delivery under way: after a restart the same events go out under the same key.';
comment on column sinks.lease_owner is 'The replica that delivers, while lease_until is to come; lease_epoch counts such leases.';
comment on column sinks.lease_epoch is 'Counts leases: a later one ends all earlier ones.';
comment on column sinks.lease_until is 'When the lease ends, unless it is renewed.';
comment on column sinks.failures is 'Failed attempts in a row.';
comment on column sinks.refused_in_row is 'Dead letters since something was last accepted: too many of them mean a wrong setting, not wrong events.';
comment on column sinks.next_attempt_at is 'It rests until then.';
comment on column sinks.delivered is 'Events accepted so far, repeats included.';
comment on column sinks.last_attempt_at is 'When something was last tried.';
comment on column sinks.last_success_at is 'When it last succeeded.';
comment on column sinks.last_error is 'What went wrong last, in words; null since the last success.';
comment on column sinks.created_at is 'When it was first served.';
comment on column sinks.skipped is 'Events skipped so far since they were older than max_age, those of replays included.';
comment on column sinks.max_age_seconds is 'Events whose action is older than this are skipped; null: none is.';

create table sink_dead_letters (
  sink text collate "C" not null references sinks (name) on delete cascade,
  position bigint not null,
  reason text not null,
  refused_at timestamptz not null default clock_timestamp(),
  primary key (sink, position)
);
comment on table sink_dead_letters is 'Events that a sink refuses for good, and why. The event itself is in audit_events, by its position.';
comment on column sink_dead_letters.sink is 'The name of the sink.';
comment on column sink_dead_letters.position is 'The event that is refused.';
comment on column sink_dead_letters.reason is 'What the receiver said.';
comment on column sink_dead_letters.refused_at is 'When it was last refused.';

-- What is wrong with orgtrail itself. An alarm is opened once its condition has lasted, and resolved when it is over; sinks are sent these changes.
create table alarms (
  alarm text collate "C" primary key,
  severity text not null,
  summary text not null,
  seen_since timestamptz not null default clock_timestamp(),
  opened bigint
);
comment on table alarms is 'What is wrong with orgtrail itself at this moment, as the daemons see it for sinks of alarms.';
comment on column alarms.alarm is 'Its name, with that of a sink if it is about one.';
comment on column alarms.severity is 'medium, high or critical.';
comment on column alarms.summary is 'For people.';
comment on column alarms.seen_since is 'Since when its condition has been met without a break.';
comment on column alarms.opened is 'The number of the change by which it was opened; null: its condition has not lasted long enough.';

create table alarm_changes (
  number bigint generated always as identity primary key,
  alarm text not null,
  opened bigint,
  state text not null check (state in ('open', 'resolved')),
  severity text not null,
  summary text not null,
  changed_at timestamptz not null default clock_timestamp()
);
comment on table alarm_changes is 'Alarms opened and resolved, in order.';
comment on column alarm_changes.number is 'Numbers the changes; in the order of their commits, with gaps.';
comment on column alarm_changes.alarm is 'As in alarms.';
comment on column alarm_changes.opened is 'The number by which the alarm was opened that this resolves; null: this opens it.';
comment on column alarm_changes.state is 'open or resolved.';
comment on column alarm_changes.severity is 'As in alarms.';
comment on column alarm_changes.summary is 'For people; of a resolved alarm, what it was last.';
comment on column alarm_changes.changed_at is 'When it was opened or resolved.';

create table alarm_cursors (
  sink text collate "C" primary key references sinks (name) on delete cascade,
  number bigint not null,
  noted_at timestamptz
);
comment on table alarm_cursors is 'How far each sink of alarms is.';
comment on column alarm_cursors.sink is 'Its name, as in sinks.';
comment on column alarm_cursors.number is 'All changes up to this one are delivered.';
comment on column alarm_cursors.noted_at is 'When the daemon noted alarms for this sink last; null: the sink is sent something else now, or was '
  'registered by an earlier version.';

-- A span from an account that may mean harm: from nothing to an hour. Leases are ten minutes at most, rests an hour.
create function orgtrail_span(p_ms float8) returns interval
language sql immutable parallel safe as $function$
  select make_interval(secs => least(greatest(p_ms, 0), 3600000) / 1000)
$function$;

-- The account of the collector writes by functions alone (docs/decisions/11): they belong to the owner of the schema, run with its rights and
-- refuse what cannot be. migrate gives orgtrail_ingest the functions and no right to write the tables (src/postgres/schema/roles.ts).
--
-- A sink goes forward, and no further than the feed. Back goes only the owner: orgtrail sink replay.
create function orgtrail_require_position(p_name text, p_from bigint, p_to bigint) returns void
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

create function orgtrail_require_skipped(p_name text, p_skipped bigint, p_from bigint, p_to bigint) returns void
language plpgsql as $function$
begin
  if (p_skipped >= 0 and p_skipped <= p_to - p_from) is not true then
    raise exception 'the sink % cannot skip % events between % and %', p_name, p_skipped, p_from, p_to using errcode = 'check_violation';
  end if;
end
$function$;

-- At every start of a daemon. One that is known keeps its position; what it rests is over.
create function orgtrail_register_sinks(p_names text[], p_kinds text[], p_targets text[], p_starts text[]) returns void
language sql security definer set search_path from current as $function$
  insert into sinks (name, kind, target, position)
  select s.name, s.kind, s.target, case when s.start = 'now' then feed_head.position else 0 end
  from unnest(p_names, p_kinds, p_targets, p_starts) as s (name, kind, target, start), feed_head
  on conflict (name) do update set kind = excluded.kind, target = excluded.target, next_attempt_at = null
$function$;

-- As orgtrail_register_sinks, with the age beyond which each sink skips events; null: it skips none.
create function orgtrail_register_sinks_with_ages(p_names text[], p_kinds text[], p_targets text[], p_starts text[], p_max_ages_seconds bigint[])
returns void
language plpgsql security definer set search_path from current as $function$
begin
  perform orgtrail_register_sinks(p_names, p_kinds, p_targets, p_starts);
  update sinks s set max_age_seconds = given.max_age_seconds
  from unnest(p_names, p_max_ages_seconds) as given (name, max_age_seconds)
  where s.name = given.name and s.max_age_seconds is distinct from given.max_age_seconds;
end
$function$;

-- Takes the turn of a sink; no row where there is none to be had. Every taking is a new epoch. Skips a row that is locked: its writer has
-- the turn.
create function orgtrail_claim_sink(p_name text, p_owner text, p_lease_ms float8)
returns table (epoch bigint, at_position bigint, batch_until bigint, failures integer, refused_in_row integer)
language sql security definer set search_path from current as $function$
  with free as (
    select name from sinks
    where name = p_name and (lease_until is null or lease_until <= clock_timestamp() or lease_owner = p_owner)
      and (next_attempt_at is null or next_attempt_at <= clock_timestamp())
    for update skip locked)
  update sinks s set lease_owner = p_owner, lease_epoch = lease_epoch + 1, lease_until = clock_timestamp() + orgtrail_span(p_lease_ms)
  from free where s.name = free.name
  returning s.lease_epoch, s.position, s.batch_until, s.failures, s.refused_in_row
$function$;

-- These answer whether the turn still is the caller's: a later epoch means that another one has the sink, or that it was set back.
create function orgtrail_renew_sink(p_name text, p_epoch bigint, p_lease_ms float8) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  update sinks set lease_until = clock_timestamp() + orgtrail_span(p_lease_ms) where name = p_name and lease_epoch = p_epoch;
  return found;
end
$function$;

create function orgtrail_begin_delivery(p_name text, p_epoch bigint, p_until bigint, p_lease_ms float8) returns boolean
language plpgsql security definer set search_path from current as $function$
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

-- Position, count and dead letters together. Dead letters of the same stretch, from before a replay, are gone where they were accepted now.
create function orgtrail_finish_delivery(p_name text, p_epoch bigint, p_until bigint, p_accepted bigint, p_refused_in_row integer,
  p_refused bigint[], p_reasons text[], p_lease_ms float8) returns boolean
language plpgsql security definer set search_path from current as $function$
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

-- As orgtrail_finish_delivery, for a stretch in which events were too old.
create function orgtrail_finish_delivery_and_skip(p_name text, p_epoch bigint, p_until bigint, p_accepted bigint, p_refused_in_row integer,
  p_refused bigint[], p_reasons text[], p_skipped bigint, p_lease_ms float8) returns boolean
language plpgsql security definer set search_path from current as $function$
declare
  was bigint := (select s.position from sinks s where s.name = p_name and s.lease_epoch = p_epoch for update);
begin
  if was is null then return false; end if;
  perform orgtrail_require_skipped(p_name, p_skipped, was, p_until);
  if not orgtrail_finish_delivery(p_name, p_epoch, p_until, p_accepted, p_refused_in_row, p_refused, p_reasons, p_lease_ms) then
    return false;
  end if;
  update sinks set skipped = skipped + p_skipped where name = p_name;
  return true;
end
$function$;

-- Moves on over events that are not for this sink, or stays: nothing waits, so what failed before is over.
create function orgtrail_skip_events(p_name text, p_epoch bigint, p_until bigint, p_lease_ms float8) returns boolean
language plpgsql security definer set search_path from current as $function$
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

-- As orgtrail_skip_events, over events that are too old. Their dead letters are gone as well: nothing of them is to be sent any more.
create function orgtrail_skip_old_events(p_name text, p_epoch bigint, p_until bigint, p_skipped bigint, p_lease_ms float8) returns boolean
language plpgsql security definer set search_path from current as $function$
declare
  was bigint := (select s.position from sinks s where s.name = p_name and s.lease_epoch = p_epoch for update);
begin
  if was is null then return false; end if;
  perform orgtrail_require_skipped(p_name, p_skipped, was, p_until);
  if not orgtrail_skip_events(p_name, p_epoch, p_until, p_lease_ms) then return false; end if;
  update sinks set skipped = skipped + p_skipped where name = p_name;
  delete from sink_dead_letters d where d.sink = p_name and d.position > was and d.position <= p_until;
  return true;
end
$function$;

-- Notes a failure, lets the sink rest and gives the turn back: another replica may have the better way to it.
create function orgtrail_fail_delivery(p_name text, p_epoch bigint, p_reason text, p_rest_ms float8) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  update sinks set failures = least(failures, 2000000000) + 1, last_error = left(p_reason, 2000), lease_until = null,
    next_attempt_at = clock_timestamp() + orgtrail_span(p_rest_ms)
  where name = p_name and lease_epoch = p_epoch;
  return found;
end
$function$;

-- What failed before there was a turn: the database refused to give one. Nothing while a replica delivers.
create function orgtrail_note_sink_failure(p_name text, p_reason text, p_rest_ms float8) returns void
language sql security definer set search_path from current as $function$
  update sinks set failures = least(failures, 2000000000) + 1, last_error = left(p_reason, 2000),
    next_attempt_at = clock_timestamp() + orgtrail_span(p_rest_ms)
  where name = p_name and (lease_until is null or lease_until <= clock_timestamp())
$function$;

create function orgtrail_release_sink(p_name text, p_epoch bigint) returns void
language sql security definer set search_path from current as $function$
  update sinks set lease_until = null where name = p_name and lease_epoch = p_epoch
$function$;

create function orgtrail_release_sinks_of(p_owner text) returns void
language sql security definer set search_path from current as $function$
  update sinks set lease_until = null where lease_owner = p_owner
$function$;

-- Of these names, and of no others, alarms are noted from now on.
create function orgtrail_register_alarm_sinks(p_names text[], p_starts text[]) returns void
language sql security definer set search_path from current as $function$
  insert into alarm_cursors (sink, number)
  select s.name, case when s.start = 'now' then coalesce((select max(c.number) from alarm_changes c), 0) else 0 end
  from unnest(p_names, p_starts) as s (name, start)
  on conflict do nothing;
  update alarm_cursors set noted_at = case when sink = any(p_names) then clock_timestamp() end
  where sink = any(p_names) or noted_at is not null;
$function$;

-- All that is wrong at this moment. What has lasted so long is opened; what is not among it any more is resolved. False: another replica is
-- doing it. Changes of more than a year ago are gone.
create function orgtrail_note_alarms(p_alarms text[], p_severities text[], p_summaries text[], p_after_ms float8) returns boolean
language plpgsql security definer set search_path from current set lock_timeout = '10s' as $function$
declare
  each record;
  made bigint;
begin
  -- Until the commit, so that numbers follow the order of commits.
  lock table alarms in share row exclusive mode;
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
  update alarm_cursors set noted_at = clock_timestamp() where noted_at is not null;
  return true;
end
$function$;

-- As orgtrail_finish_delivery, of alarms. The position follows the feed: such a sink needs nothing of it.
create function orgtrail_finish_alarms(p_name text, p_epoch bigint, p_number bigint, p_accepted bigint, p_lease_ms float8) returns boolean
language plpgsql security definer set search_path from current as $function$
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
