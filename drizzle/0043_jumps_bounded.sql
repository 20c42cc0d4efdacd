-- How many positions a failover can have lost, without counting the time in which nothing happened: docs/decisions/0051.
alter table feed_head add column if not exists alive_at timestamptz;
--> statement-breakpoint
alter table feed_head add column if not exists paced_until timestamptz;
--> statement-breakpoint
-- Runs within every statement that gives out positions, of whichever version, under the lock of the row: 20,000 in a second, after a quiet
-- time 500,000 more at once. `paced_until` is when all that was given out would have been, at that pace; a commit waits for that time. The
-- commit that waits holds the row, so this holds for all replicas together. An owner who sets the position by hand does not wait.
create or replace function orgtrail_pace_positions() returns trigger
language plpgsql as $function$
declare
  begun constant timestamptz := clock_timestamp();
  given constant bigint := new.position - old.position;
begin
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
--> statement-breakpoint
-- Notes that the server is at work, also if nothing is stored: a commit that a failover loses has come after the last such note that it
-- leaves. So the time is taken under the lock of the row, which every commit takes, and never on a server that has not compared timelines.
create or replace function orgtrail_note_alive() returns void
language plpgsql as $function$
begin
  if pg_is_in_recovery() or current_setting('transaction_read_only')::boolean then return; end if;
  -- While it waits for a standby, nothing could be committed. What follows it in the log is lost with it.
  perform set_config('synchronous_commit', 'off', true);
  update feed_head h set alive_at = clock_timestamp() where h.only_row in (
    select f.only_row from feed_head f
    where f.timeline = orgtrail_timeline(f.tableoid) and f.alive_at not between clock_timestamp() - interval '4 s' and clock_timestamp()
    for update skip locked);
end
$function$;
--> statement-breakpoint
-- As in 0015, but for how far. What was lost was given out after `alive_at`, at 20,000 in a second, beside what was left of the 500,000.
-- 5,000 in a second more, and 250,000, are for clocks that differ and for jumps that were lost themselves.
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
    raise warning 'positions go on after % instead of %: the timeline changed from % to %, and commits may have been lost',
      old.position + jump, old.position, old.timeline, current using errcode = 'OT001';
    -- Nothing is given out at once behind a jump: another standby may not know of it.
    new.paced_until := clock_timestamp();
  end if;
  new.alive_at := clock_timestamp();
  new.timeline := current;
  new.timeline_since := clock_timestamp();
  return new;
end
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_pace_positions', 'orgtrail_note_alive', 'orgtrail_jump_positions'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
--> statement-breakpoint
create or replace trigger positions_are_paced before update of position on feed_head for each row
  when (new.position > old.position) execute function orgtrail_pace_positions();
--> statement-breakpoint
-- From here on: the trigger is there for all that is committed later.
update feed_head set alive_at = clock_timestamp() where alive_at is null and timeline = orgtrail_timeline(tableoid);
--> statement-breakpoint
comment on column feed_head.alive_at is 'When this row was last written under its lock, by a commit that stored events or by a daemon every few seconds. What a failover loses was given out later.';
--> statement-breakpoint
comment on column feed_head.paced_until is 'When all positions that were given out would have been at 20,000 in a second. It may be 25 seconds ago at the most: so many more may be given out at once.';
