-- own transaction
-- Any account may take an advisory lock: docs/decisions/0029. What follows locks rows or tables instead, which only an account that may write
-- them can lock. A reader can lock a table in ACCESS SHARE mode at most, with which SHARE ROW EXCLUSIVE does not conflict.
alter table alarm_cursors add column if not exists noted_at timestamptz;
--> statement-breakpoint
comment on column alarm_cursors.noted_at is 'When the daemon noted alarms for this sink last; null: the sink is sent something else now, or was registered by an earlier version.';
--> statement-breakpoint
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
  while month <= until at time zone 'UTC' loop
    partition := pg_catalog.format('audit_events_%s', pg_catalog.to_char(month, 'YYYY_MM'::text));
    if to_regclass(partition) is null then
      -- Page commits and readers wait here, before they look up the partitions: what they add is moved, what was moved they find.
      lock table only audit_events in access exclusive mode;
      lock table audit_events_default in access exclusive mode;
    end if;
    -- Another replica may have made it meanwhile.
    if to_regclass(partition) is null then
      lower_bound := month at time zone 'UTC';
      upper_bound := (month + interval '1 month') at time zone 'UTC';
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
create or replace function orgtrail_mute_detection(p_detection text, p_actor text, p_reason text, p_muted_until timestamptz, p_by text) returns bigint
language plpgsql as $function$
declare
  made bigint;
begin
  if p_detection is null or p_detection !~ '^[a-z0-9_]{1,100}$' or p_detection = 'collector_token' then
    raise exception 'the detection % cannot be muted', left(p_detection, 100) using errcode = 'check_violation';
  end if;
  if coalesce(p_reason, '') !~ '\S' or coalesce(p_by, '') !~ '\S' or length(p_reason) > 1000 or length(p_by) > 200 or length(p_actor) > 1000
    or p_muted_until <= clock_timestamp() then
    raise exception 'a mute needs a reason, a person, and an end in the future' using errcode = 'check_violation';
  end if;
  -- One at a time, so that the limit holds.
  lock table detection_mutes in share row exclusive mode;
  if exists (select from detection_mutes m where m.detection = p_detection and m.actor is not distinct from p_actor
    and m.ended_at is null and coalesce(m.muted_until, 'infinity') > clock_timestamp()) then
    return null;
  end if;
  if (select count(*) from detection_mutes m where m.ended_at is null and coalesce(m.muted_until, 'infinity') > clock_timestamp()) >= 1000 then
    raise exception 'a thousand mutes are in force: end some of them first' using errcode = 'check_violation';
  end if;
  insert into detection_mutes (detection, actor, reason, muted_until, created_by)
  values (p_detection, p_actor, p_reason, p_muted_until, p_by) returning id into made;
  return made;
end
$function$;
--> statement-breakpoint
-- Of these names, and of no others, alarms are noted from now on.
create or replace function orgtrail_register_alarm_sinks(p_names text[], p_starts text[]) returns void
language sql as $function$
  insert into alarm_cursors (sink, number)
  select s.name, case when s.start = 'now' then coalesce((select max(c.number) from alarm_changes c), 0) else 0 end
  from unnest(p_names, p_starts) as s (name, start)
  on conflict do nothing;
  update alarm_cursors set noted_at = case when sink = any(p_names) then clock_timestamp() end
  where sink = any(p_names) or noted_at is not null;
$function$;
--> statement-breakpoint
create or replace function orgtrail_note_alarms(p_alarms text[], p_severities text[], p_summaries text[], p_after_ms double precision) returns boolean
language plpgsql as $function$
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
--> statement-breakpoint
create or replace function orgtrail_note_archived(p_archive text, p_key text, p_kind text, p_month date, p_first bigint, p_last bigint, p_events bigint, p_bytes bigint, p_sha256 text, p_ids_sha256 text, p_raw_sha256 text, p_columns_sha256 text, p_version_id text, p_locked_until timestamptz) returns bigint
language plpgsql as $function$
declare
  facts record;
  noted bigint;
begin
  if not exists (select from archive_policy p where p.archive = p_archive) then
    raise exception 'the database has another archive in use, or none' using errcode = 'check_violation';
  end if;
  select * into facts from orgtrail_archive_facts(p_kind, p_month, p_first, p_last);
  if (facts.events, facts.first_position, facts.last_position, facts.ids_sha256, facts.raw_sha256, facts.columns_sha256)
    is distinct from (p_events, p_first, p_last, p_ids_sha256, p_raw_sha256, p_columns_sha256) then
    raise exception 'the object % does not hold what the database holds', p_key using errcode = 'check_violation';
  end if;
  -- One at a time, under the archive that is in use now.
  perform from archive_policy p where p.archive = p_archive for update;
  update archive_objects o set verified_at = clock_timestamp(), fault = null, version_id = p_version_id
  where o.archive = p_archive and o.key = p_key and o.sha256 = p_sha256 and o.kind = p_kind and o.month = p_month
    and o.first_position = p_first and o.last_position = p_last and o.superseded_at is null and o.dropped_at is null
    and o.ids_sha256 = p_ids_sha256 and o.raw_sha256 = p_raw_sha256 and o.columns_sha256 = p_columns_sha256
  returning o.id into noted;
  if noted is not null then return noted; end if;
  update archive_objects o set superseded_at = clock_timestamp()
  where o.archive = p_archive and o.kind = p_kind and o.month = p_month and o.superseded_at is null and o.dropped_at is null
    and o.first_position <= p_last and o.last_position >= p_first;
  insert into archive_objects (archive, key, kind, month, feed_id, first_position, last_position, events, bytes, sha256, ids_sha256,
    raw_sha256, columns_sha256, organizations, version_id, locked_until)
  values (p_archive, p_key, p_kind, p_month, (select h.feed_id from feed_head h), p_first, p_last, p_events, p_bytes, p_sha256, p_ids_sha256,
    p_raw_sha256, p_columns_sha256, facts.organizations, p_version_id, p_locked_until)
  returning id into noted;
  return noted;
end
$function$;
--> statement-breakpoint
create or replace function orgtrail_note_verification(p_run jsonb) returns bigint
language plpgsql as $function$
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
--> statement-breakpoint
-- Of parameters that are too long, the beginning.
create or replace function orgtrail_note_access(p_notes jsonb) returns void
language plpgsql as $function$
begin
  insert into access_log (kind, outcome, who, address, route, status, what, events, requests)
  select coalesce(left(note ->> 'kind', 40), 'unknown'), coalesce(left(note ->> 'outcome', 40), 'unknown'),
    left(note ->> 'who', 200), left(note ->> 'address', 100), left(note ->> 'route', 200), (note ->> 'status')::integer,
    case when length(note ->> 'what') <= 8000 then note -> 'what' else jsonb_build_object('cut', left(note ->> 'what', 8000)) end,
    (note ->> 'events')::bigint, coalesce((note ->> 'requests')::bigint, 1::bigint)
  from jsonb_array_elements(p_notes) as notes (note) limit 1000;
  delete from access_log where id in (
    select id from access_log where at < clock_timestamp() - interval '400 days' order by at limit 1000);
end
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_create_partitions', 'orgtrail_mute_detection', 'orgtrail_register_alarm_sinks', 'orgtrail_note_alarms',
    'orgtrail_note_archived', 'orgtrail_note_verification', 'orgtrail_note_access'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
--> statement-breakpoint
alter function orgtrail_create_partitions(timestamptz, timestamptz) set lock_timeout = '10s';
--> statement-breakpoint
alter function orgtrail_note_alarms(text[], text[], text[], double precision) set lock_timeout = '10s';
