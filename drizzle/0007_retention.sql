create table if not exists holds (
  id bigint primary key generated always as identity,
  organization_id text collate "C",
  since timestamptz not null default '-infinity',
  before timestamptz not null default 'infinity',
  reason text not null check (reason <> ''),
  created_by text,
  created_as text not null default session_user,
  created_at timestamptz not null default clock_timestamp(),
  released_by text,
  released_as text,
  released_at timestamptz,
  check (since < before)
);
--> statement-breakpoint
create table if not exists retention_drops (
  id bigint primary key generated always as identity,
  partition text not null,
  month date not null,
  events bigint not null,
  changes bigint not null,
  first_position bigint,
  last_position bigint,
  bytes bigint not null,
  ids_sha256 text,
  retention interval not null,
  dropped_at timestamptz not null default clock_timestamp(),
  dropped_as text not null default session_user
);
--> statement-breakpoint
create index if not exists retention_drops_last_position on retention_drops (last_position);
--> statement-breakpoint
create table if not exists retention_policy (
  only_row boolean primary key default true check (only_row),
  shortest interval not null check (shortest >= interval '1 day'),
  set_at timestamptz not null default clock_timestamp()
);
--> statement-breakpoint
-- Why a month may not be dropped; null where it may. The same question is asked before the locks and under them.
create or replace function orgtrail_retention_obstacle(partition regclass, month timestamptz, until timestamptz) returns text
language plpgsql stable as $function$
declare
  highest bigint;
  obstacle text;
begin
  execute format('select max(position) from %s', partition) into highest;
  if highest is null then return null; end if;
  execute format('select format(''hold %%s covers events in it: %%s'', h.id, left(h.reason, 200)) from holds h'
    ' where h.released_at is null and h.since < %L and h.before > %L and exists (select from %s e'
    ' where (h.organization_id is null or e.organization_id = h.organization_id) and e.action_time >= h.since and e.action_time < h.before)'
    ' order by h.id limit 1', until, month, partition) into obstacle;
  if obstacle is not null then return obstacle; end if;
  select format('the sink %s is at position %s, and still needs events up to %s', s.name, s.position, highest) into obstacle
  from sinks s where s.position < highest order by s.position limit 1;
  if obstacle is not null then return obstacle; end if;
  execute format('select format(''position %%s is a dead letter of the sink %%s'', d.position, d.sink)'
    ' from sink_dead_letters d where exists (select from %s e where e.position = d.position) order by 1 limit 1', partition)
    into obstacle;
  return obstacle;
end
$function$;
--> statement-breakpoint
-- Drops the partition of a month and records what it was, or says why not (null: dropped). What passes by itself is an error,
-- lock_not_available, as is somebody who reads the table for long: try again later. The account that only inserts events
-- calls it with its owner's rights, and can shorten no retention below that of retention_policy, which it cannot write.
create or replace function orgtrail_drop_month(of_month date, retention interval) returns text
language plpgsql as $function$
declare
  name text := 'audit_events_' || to_char(of_month, 'YYYY_MM');
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
      return format('%s may not drop anything: the owner of the schema has not set a retention_policy', session_user);
    elsif retention < shortest then
      return format('%s may not drop what is younger than %s, as retention_policy says', session_user, shortest);
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
  execute format('select count(*), min(position), max(position), pg_total_relation_size(%L) from %s', name, partition)
    into gone.events, gone.first_position, gone.last_position, gone.bytes;
  -- All ids are one text in memory meanwhile.
  if gone.events <= 2000000 then
    execute format('select encode(sha256(convert_to(string_agg('
      'source_kind || '' '' || source_id || '' '' || id, E''\n'' order by position), ''UTF8'')), ''hex'') from %s', partition)
      into gone.ids_sha256;
  end if;
  execute format('delete from audit_event_changes c using %s e where e.position = c.position', partition);
  get diagnostics gone.changes = row_count;
  lock table only audit_events in access exclusive mode;
  execute format('lock table %s in access exclusive mode', partition);
  lock table holds, sinks, sink_dead_letters in share mode;
  execute format('select max(position) from %s', partition) into highest;
  if highest is distinct from gone.last_position then
    raise exception 'events were added to it at this moment' using errcode = 'lock_not_available';
  end if;
  obstacle := orgtrail_retention_obstacle(partition, month, until);
  if obstacle is not null then raise exception '%', obstacle using errcode = 'lock_not_available'; end if;
  execute format('drop table %s', partition);
  if gone.events > 0 then
    insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, ids_sha256, retention)
    values (name, of_month, gone.events, gone.changes, gone.first_position, gone.last_position, gone.bytes,
      gone.ids_sha256, orgtrail_drop_month.retention);
  end if;
  return null;
end
$function$;
--> statement-breakpoint
do $$
begin
  execute format('alter function orgtrail_drop_month(date, interval)'
    ' security definer set search_path = %I, pg_temp set lock_timeout = ''2s''', current_schema());
  execute format('alter function orgtrail_retention_obstacle(regclass, timestamptz, timestamptz)'
    ' set search_path = %I, pg_temp', current_schema());
end
$$;
--> statement-breakpoint
revoke execute on function orgtrail_drop_month(date, interval) from public;
--> statement-breakpoint
revoke execute on function orgtrail_retention_obstacle(regclass, timestamptz, timestamptz) from public;
--> statement-breakpoint
comment on table holds is 'Legal holds: while one is in force, no partition that has events of its organization and time is dropped. Released ones stay, as evidence.';
--> statement-breakpoint
comment on table retention_drops is 'What ORGTRAIL_RETENTION has dropped, one row per month that had events. A reader of the feed that is behind last_position has missed some of them.';
--> statement-breakpoint
comment on table retention_policy is 'The shortest retention that accounts other than the owner may drop by; without a row they may drop nothing. Written by migrate --roles, from ORGTRAIL_RETENTION.';
