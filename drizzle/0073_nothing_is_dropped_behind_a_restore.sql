-- own transaction
-- Behind a failover or a restore a hold may be lost. So nothing is dropped for a day, unless an operator confirms that the holds are all there, and
-- nothing before the evidence, if there is some, was compared and signed on this server.
create table if not exists retention_waits (
  id bigint generated always as identity primary key,
  reason text not null,
  since timestamptz not null default clock_timestamp(),
  ends_at timestamptz not null default clock_timestamp() + interval '1 day',
  confirmed_at timestamptz,
  confirmed_by text,
  confirmed_as text
);
--> statement-breakpoint
comment on table retention_waits is 'Times from which retention drops nothing, because the database may be an older state. Written by functions alone, and confirmed by the owner: orgtrail hold confirm.';
--> statement-breakpoint
comment on column retention_waits.id is 'A number of its own.';
--> statement-breakpoint
comment on column retention_waits.reason is 'What was found.';
--> statement-breakpoint
comment on column retention_waits.since is 'When it was found.';
--> statement-breakpoint
comment on column retention_waits.ends_at is 'From then on months are dropped again.';
--> statement-breakpoint
comment on column retention_waits.confirmed_at is 'When an operator ended the wait; null: it ended by itself, or has not ended.';
--> statement-breakpoint
comment on column retention_waits.confirmed_by is 'Who is said to have confirmed.';
--> statement-breakpoint
comment on column retention_waits.confirmed_as is 'The account of the database that did.';
--> statement-breakpoint
insert into retention_waits (reason, since, ends_at)
select 'the database failed over or was restored', j.found_at, j.found_at + interval '1 day'
from position_jumps j where j.found_at > clock_timestamp() - interval '1 day';
--> statement-breakpoint
alter table feed_head add column if not exists database_oid bigint;
--> statement-breakpoint
comment on column feed_head.database_oid is 'The oid of the database that this row was last compared in: a copy of the database has another one. Null: nothing was stored yet.';
--> statement-breakpoint
update feed_head set database_oid = (select d.oid from pg_database d where d.datname = current_database()) where position > 0;
--> statement-breakpoint
-- A copy of the database and an older state of its disk keep the timeline. The copy has another oid. An older state is of a server that started
-- long after orgtrail was last at work on it; so is a server that was down for as long, which is not told from it.
create or replace function orgtrail_compare_server() returns void
language plpgsql as $function$
declare
  here constant bigint := (select d.oid::bigint from pg_database d where d.datname = current_database());
  started constant timestamptz := pg_postmaster_start_time();
  head feed_head;
begin
  select h.* into head from feed_head h
  where h.position > 0 and h.timeline is not distinct from coalesce(orgtrail_timeline(h.tableoid), h.timeline)
    and (h.database_oid is distinct from here or h.alive_at < started - interval '15 minutes')
  for update skip locked;
  if not found then return; end if;
  if head.database_oid <> here then
    insert into retention_waits (reason) values ('the database is a copy of another one');
  elsif head.alive_at < started - interval '15 minutes' then
    insert into retention_waits (reason) values (pg_catalog.format(
      'the server was started %s after orgtrail was last at work, and may have an older state', date_trunc('second', started - head.alive_at)));
  end if;
  update feed_head h set database_oid = here, alive_at = clock_timestamp() where h.only_row = head.only_row;
end
$function$;
--> statement-breakpoint
create or replace function orgtrail_check_timeline() returns void
language plpgsql as $function$
begin
  if pg_is_in_recovery() or current_setting('transaction_read_only')::boolean then return; end if;
  update feed_head set position = position
  where only_row in (select only_row from feed_head where timeline <> orgtrail_timeline(tableoid) for update skip locked);
  perform orgtrail_compare_server();
end
$function$;
--> statement-breakpoint
-- As in 0043, beside the comparison, which a connection behind a pooler may not have made.
create or replace function orgtrail_note_alive() returns void
language plpgsql as $function$
begin
  if pg_is_in_recovery() or current_setting('transaction_read_only')::boolean then return; end if;
  -- While it waits for a standby, nothing could be committed. What follows it in the log is lost with it.
  perform set_config('synchronous_commit', 'off', true);
  perform orgtrail_compare_server();
  update feed_head h set alive_at = clock_timestamp() where h.only_row in (
    select f.only_row from feed_head f
    where f.timeline = orgtrail_timeline(f.tableoid) and f.alive_at not between clock_timestamp() - interval '4 s' and clock_timestamp()
    for update skip locked);
end
$function$;
--> statement-breakpoint
-- As in 0043, and nothing is dropped for a day.
create or replace function orgtrail_jump_positions() returns trigger
language plpgsql as $function$
declare
  current constant text := orgtrail_timeline(tg_relid);
  numbers constant regclass := pg_catalog.pg_get_serial_sequence('retention_drops', 'id');
  last_kept timestamptz;
  jump bigint;
begin
  if current is null then return new; end if;
  if old.timeline is not null then
    if old.alive_at is not null then
      jump := 250000
        + ceil(20000 * greatest(0, least(25, coalesce(extract(epoch from old.alive_at - old.paced_until), 25))))::bigint
        + 25000 * ceil(greatest(0, extract(epoch from clock_timestamp() - old.alive_at)))::bigint;
    else
      -- Of before this migration, when nothing was paced.
      select e.received_at into last_kept from audit_events e where e.position <= old.position order by e.position desc limit 1;
      jump := 1000000 + 100000 * ceil(greatest(0,
        extract(epoch from clock_timestamp() - greatest(last_kept, old.timeline_since))))::bigint;
    end if;
    new.position := new.position + jump;
    -- Numbered with the drops, so that readers acknowledge both alike; beyond the number of any drop that was lost.
    insert into position_jumps (id, from_position, to_position, old_timeline, new_timeline)
    values (pg_catalog.setval(numbers, pg_catalog.nextval(numbers) + 1000), old.position, old.position + jump, old.timeline, current);
    insert into retention_waits (reason) values ('the database failed over or was restored');
    raise warning 'positions go on after % instead of %: the timeline changed from % to %, and commits may have been lost',
      old.position + jump, old.position, old.timeline, current using errcode = 'OT001';
    -- Nothing is given out at once behind a jump: another standby may not know of it.
    new.paced_until := clock_timestamp();
  end if;
  new.database_oid := (select d.oid from pg_database d where d.datname = current_database());
  new.alive_at := clock_timestamp();
  new.timeline := current;
  new.timeline_since := clock_timestamp();
  return new;
end
$function$;
--> statement-breakpoint
-- Why nothing is dropped; null: it may be. A new holder of the lease compares before it signs, and the one that goes on knows what it signed.
create or replace function orgtrail_retention_wait() returns text
language sql stable as $function$
  select pg_catalog.format('nothing is dropped before %s: %s; `orgtrail hold confirm` ends that, once all holds are there',
    pg_catalog.to_char(w.ends_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'::text), w.reason)
  from (select x.reason, x.ends_at from retention_waits x where x.confirmed_at is null and x.ends_at > clock_timestamp()
    order by x.ends_at desc limit 1) w
  union all
  select 'nothing is dropped: the evidence has not been compared with its anchors on this server; a process that has its key does that'
  from evidence_logs l
  where l.name = 'events' and l.generation = (select max(g.generation) from evidence_logs g) and l.ended_at is null
    and l.state not in ('behind', 'forked')
    and (not orgtrail_is_evidence_here(l.timeline) or (select max(w.since) from retention_waits w)
      > (select coalesce(max(s.signed_at), '-infinity') from evidence_logs s where s.generation = l.generation))
  limit 1
$function$;
--> statement-breakpoint
-- As in 0048, but for who drops at the moment: a lock of the table that only its owner can take, for as long as the transaction lasts.
create or replace function orgtrail_drop_month(of_month date, retention interval) returns text
language plpgsql as $function$
declare
  name text := 'audit_events_' || pg_catalog.to_char(of_month::timestamp, 'YYYY_MM'::text);
  partition regclass := to_regclass(name);
  month timestamptz := date_trunc('month', of_month::timestamp) at time zone 'UTC';
  until timestamptz := (date_trunc('month', of_month::timestamp) + interval '1 month') at time zone 'UTC';
  -- A clock that is ahead must not drop: Cloudflare's own time, as of the last listing, counts as well.
  now_at_most timestamptz := (select case when server_time is not null
    then least(clock_timestamp(), server_time + interval '2 days') end from discovery);
  shortest interval;
  gone retention_drops;
  highest bigint;
  changes_archived bigint;
  obstacle text;
begin
  if retention < interval '1 day' then return 'a retention of less than a day'; end if;
  if not pg_has_role(session_user, (select relowner from pg_class where oid = 'audit_events'::regclass), 'usage') then
    select p.shortest into shortest from retention_policy p;
    if shortest is null then
      return pg_catalog.format('%s may not drop anything: the owner of the schema has not set a retention_policy', session_user);
    elsif retention < shortest then
      return pg_catalog.format('%s may not drop what is younger than %s, as retention_policy says', session_user, shortest);
    end if;
  end if;
  begin
    lock table retention_drops in share row exclusive mode nowait;
  exception when lock_not_available then
    raise exception 'another replica is dropping one' using errcode = 'lock_not_available';
  end;
  perform orgtrail_check_timeline();
  if exists (select from feed_head h where h.timeline <> orgtrail_timeline(h.tableoid)) then
    raise exception 'whether the database failed over is being found out' using errcode = 'lock_not_available';
  end if;
  obstacle := orgtrail_retention_wait();
  if obstacle is not null then return obstacle; end if;
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
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  obstacle := orgtrail_archive_obstacle(of_month, highest, null);
  if obstacle is not null then return obstacle; end if;
  -- All that takes long comes before the locks. Events are only ever added, at the end: one look there shows whether it still holds;
  -- if not, an error undoes what was done so far.
  execute pg_catalog.format('select count(*), min(position), max(position), pg_total_relation_size(%L) from %s', name, partition)
    into gone.events, gone.first_position, gone.last_position, gone.bytes;
  -- All ids are one text in memory meanwhile.
  if gone.events <= 2000000 then
    execute pg_catalog.format('select encode(sha256(convert_to(string_agg('
      'source_kind || '' '' || source_id || '' '' || id, E''\n'' order by position), ''UTF8'')), ''hex'') from %s', partition)
      into gone.ids_sha256;
  end if;
  if exists (select from evidence_logs) then
    execute pg_catalog.format('select range_agg(int8range(first, last + 1)) from (select min(position) as first, max(position) as last'
      ' from (select position, position - row_number() over (order by position) as run from %s) as numbered group by run) as runs',
      partition) into gone.positions;
  end if;
  obstacle := orgtrail_archive_difference(of_month, gone.events);
  if obstacle is not null then return obstacle; end if;
  changes_archived := orgtrail_archived(of_month, 'changes');
  execute pg_catalog.format('delete from audit_event_changes c using %s e where e.position = c.position', partition);
  get diagnostics gone.changes = row_count;
  lock table only audit_events in access exclusive mode;
  execute pg_catalog.format('lock table %s in access exclusive mode', partition);
  lock table holds, sinks, sink_dead_letters, archive_policy in share mode;
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  if highest is distinct from gone.last_position then
    raise exception 'events were added to it at this moment' using errcode = 'lock_not_available';
  end if;
  obstacle := orgtrail_retention_obstacle(partition, month, until);
  if obstacle is null then obstacle := orgtrail_archive_obstacle(of_month, highest, gone.events); end if;
  if obstacle is not null then raise exception '%', obstacle using errcode = 'lock_not_available'; end if;
  if exists (select from archive_policy) then
    if gone.changes is distinct from changes_archived then
      raise exception 'later contents were added to it at this moment' using errcode = 'lock_not_available';
    end if;
    update archive_objects o set dropped_at = clock_timestamp()
    where o.month = of_month and o.superseded_at is null and o.dropped_at is null
      and o.archive = (select p.archive from archive_policy p);
  else
    delete from evidence_month_keys k where k.month = pg_catalog.to_char(of_month::timestamp, 'YYYY-MM'::text);
  end if;
  execute pg_catalog.format('drop table %s', partition);
  if gone.events > 0 then
    insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, ids_sha256, retention, positions)
    values (name, of_month, gone.events, gone.changes, gone.first_position, gone.last_position, gone.bytes,
      gone.ids_sha256, orgtrail_drop_month.retention, gone.positions);
  end if;
  return null;
end
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_compare_server', 'orgtrail_check_timeline', 'orgtrail_note_alive', 'orgtrail_jump_positions',
    'orgtrail_retention_wait', 'orgtrail_drop_month'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
--> statement-breakpoint
alter function orgtrail_drop_month(date, interval) set lock_timeout = '2s';
