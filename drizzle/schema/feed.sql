-- Positions, which order the feed, and what keeps them true over a failover: docs/decisions/10.

-- The row is locked by every commit that stores events. alive_at bounds how many positions a failover can have lost, without counting the time
-- in which nothing happened: docs/decisions/10.
create table feed_head (
  only_row boolean default true primary key check (only_row),
  feed_id uuid not null default gen_random_uuid(),
  position bigint not null default 0,
  timeline text,
  timeline_since timestamptz,
  alive_at timestamptz,
  paced_until timestamptz,
  database_oid bigint
);
comment on table feed_head is 'The last position given out, and which feed it belongs to. Locked by each page commit that adds rows.';
comment on column feed_head.only_row is 'There is one row.';
comment on column feed_head.feed_id is 'Names this numbering of positions: made once, with the schema.';
comment on column feed_head.position is 'The last one given out.';
comment on column feed_head.timeline is 'The timeline of the server (the first part of the names of its WAL files), the oid of this table and '
  'the identifier of the server (pg_control_system), as of the last position given out. When one of them changes, positions jump: '
  'position_jumps.';
comment on column feed_head.timeline_since is 'When timeline was last set.';
comment on column feed_head.alive_at is 'When this row was last written under its lock, by a commit that stored events or by a daemon every few '
  'seconds. What a failover loses was given out later.';
comment on column feed_head.paced_until is 'When all positions that were given out would have been at 20,000 in a second. It may be 25 seconds '
  'ago at the most: so many more may be given out at once.';
comment on column feed_head.database_oid is 'The oid of the database that this row was last compared in: a copy of the database has another '
  'one. Null: nothing was stored yet.';

create table position_jumps (
  id bigint primary key,
  from_position bigint not null,
  to_position bigint not null,
  old_timeline text not null,
  new_timeline text not null,
  found_at timestamptz not null default clock_timestamp(),
  check (to_position > from_position)
);
comment on table position_jumps is 'Where positions were left out after a failover or a restore, which may have lost commits: a lost position '
  'is never given to another event. A reader whose position lies between from_position and to_position has read events that were lost; they '
  'come again, behind to_position.';
comment on column position_jumps.id is 'A number of its own, from the same series as retention_drops.id. Readers acknowledge it with dropped=.';
comment on column position_jumps.from_position is 'The last position before the jump.';
comment on column position_jumps.to_position is 'The last position that is left out: the next event has the one behind it.';
comment on column position_jumps.old_timeline is 'What feed_head.timeline was before.';
comment on column position_jumps.new_timeline is 'What feed_head.timeline became.';
comment on column position_jumps.found_at is 'When the first position was asked for on the new timeline.';

-- Which history of the write-ahead log this server writes, which table it is asked about, and the identifier that initdb gave the server; null
-- where the server does not tell. A promotion (also the end of a recovery to an earlier time) begins a new timeline, a restored dump makes a new
-- table, or one with the oid that it had on another server. A server that cannot tell must not stop commits, whatever its error is.
create function orgtrail_timeline(head oid) returns text
language plpgsql stable as $function$
declare
  known text;
begin
  if pg_is_in_recovery() then return null; end if;
  known := substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || ' ' || head;
  begin
    return known || ' ' || (select c.system_identifier from pg_control_system() c);
  exception when insufficient_privilege or undefined_function or feature_not_supported then
    return known;
  end;
exception when others then
  return null;
end
$function$;

-- Runs within the statement that gives out positions, under its lock, when the timeline is not the stored one. So no statement, of
-- whichever version of orgtrail, on whichever connection, gives out a position that the lost end of another timeline had given out.
--
-- How far: what was lost was given out after `alive_at`, at 20,000 in a second, beside what was left of the 500,000. 5,000 in a second more, and
-- 250,000, are for clocks that differ and for jumps that were lost themselves. Nothing is dropped for a day after a jump.
create function orgtrail_jump_positions() returns trigger
language plpgsql security definer set search_path from current as $function$
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

-- Runs within every statement that gives out positions, of whichever version, under the lock of the row: 20,000 in a second, after a quiet
-- time 500,000 more at once. `paced_until` is when all that was given out would have been, at that pace; a commit waits for that time. The
-- commit that waits holds the row, so this holds for all replicas together. An owner who sets the position by hand does not wait.
create function orgtrail_pace_positions() returns trigger
language plpgsql security definer set search_path from current as $function$
declare
  begun constant timestamptz := clock_timestamp();
  given constant bigint := new.position - old.position;
begin
  -- Else an event that comes back would be stored twice.
  if exists (select from archive_restores r where r.ended_at is null) then
    raise exception 'the database is being restored from the archive' using errcode = 'lock_not_available',
      hint = '`orgtrail archive restore --into` goes on with it';
  end if;
  if given > 250000 and pg_has_role(session_user, (select c.relowner from pg_class c where c.oid = tg_relid), 'usage') then
    new.paced_until := begun;
  else
    -- What lies in the future is of another clock.
    new.paced_until := least(begun, greatest(old.paced_until, begun - interval '25 s')) + make_interval(secs => given / 20000.0);
    if new.paced_until > begun then perform pg_sleep(extract(epoch from new.paced_until - begun)); end if;
  end if;
  new.alive_at := clock_timestamp();
  return new;
end
$function$;

-- A copy of the database and an older state of its disk keep the timeline. The copy has another oid. An older state is of a server that started
-- long after orgtrail was last at work on it; so is a server that was down for as long, which is not told from it.
create function orgtrail_compare_server() returns void
language plpgsql security definer set search_path from current as $function$
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

-- Compares without giving out anything: readers hear of a jump before there are new events. Called for each new connection, which does not
-- wait: who holds the row gives out positions, and compares as well.
create function orgtrail_check_timeline() returns void
language plpgsql security definer set search_path from current as $function$
begin
  if pg_is_in_recovery() or current_setting('transaction_read_only')::boolean then return; end if;
  update feed_head set position = position
  where only_row in (select only_row from feed_head where timeline <> orgtrail_timeline(tableoid) for update skip locked);
  perform orgtrail_compare_server();
end
$function$;

-- Notes that the server is at work, also if nothing is stored: a commit that a failover loses has come after the last such note that it
-- leaves. So the time is taken under the lock of the row, which every commit takes, and never on a server that has not compared timelines;
-- the comparison is made here as well, since a connection behind a pooler may not have made it.
create function orgtrail_note_alive() returns void
language plpgsql security definer set search_path from current as $function$
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

insert into feed_head default values;
update feed_head set timeline = orgtrail_timeline(tableoid), timeline_since = clock_timestamp(),
  alive_at = case when orgtrail_timeline(tableoid) is not null then clock_timestamp() end;

-- For readers that tail by position through JDBC and the like: scalar types only, and no value that a driver cannot hold. Position
-- comes first, which Splunk DB Connect wants. Names and the feed are looked up for each row that is given out, not joined: the plan
-- of "where position > $1 order by position" stays the walk along the indexes on position that it is on audit_events.
create view audit_feed as
select e.position,
  (select h.feed_id::text from feed_head h) as feed_id,
  e.source_kind, e.source_id, e.organization_id,
  (select o.name from organizations o where o.id = e.organization_id) as organization_name,
  e.id,
  case when isfinite(e.action_time) then e.action_time end as action_time,
  e.received_at,
  e.action_type, e.action_result, e.action_description,
  e.actor_id, e.actor_type, e.actor_context, e.actor_email, e.actor_ip_address, e.actor_token_id, e.actor_token_name,
  e.raw_cf_ray_id, e.raw_method, e.raw_status_code, e.raw_uri, e.raw_user_agent,
  e.resource_id, e.resource_product, e.resource_type, e.resource_scope,
  e.raw::text as raw, array_to_string(e.defects, ',') as defects,
  e.account_id, e.account_name, e.zone_id, e.zone_name
from audit_events e;
comment on view audit_feed is 'audit_events for tools that follow it by position: plain types, organization names, and the feed that a position '
  'belongs to. Null action_time where the entry has none that can be read.';
comment on column audit_feed.position is 'Follow it: gapless, in commit order, unique.';
comment on column audit_feed.feed_id is 'Which numbering the position belongs to.';
comment on column audit_feed.action_time is 'Null where the entry has no time that can be read.';
comment on column audit_feed.raw is 'What Cloudflare sent, to the byte, as text.';
comment on column audit_feed.defects is 'Null where the entry could be read in full; else names with commas between.';

create trigger timeline_is_watched before update of position on feed_head for each row
  when (old.timeline is null or old.timeline <> orgtrail_timeline(old.tableoid)) execute function orgtrail_jump_positions();
create trigger positions_are_paced before update of position on feed_head for each row
  when (new.position > old.position) execute function orgtrail_pace_positions();
