-- Which history of the write-ahead log this server writes, and which table it is asked about; null where the server does not tell. A
-- promotion (also the end of a recovery to an earlier time) begins a new timeline, a restored dump makes a new table. A server that
-- cannot tell must not stop commits, whatever its error is.
create or replace function orgtrail_timeline(head oid) returns text
language plpgsql stable as $function$
begin
  if pg_is_in_recovery() then return null; end if;
  return substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || ' ' || head;
exception when others then
  return null;
end
$function$;
--> statement-breakpoint
alter table feed_head add column if not exists timeline text;
--> statement-breakpoint
alter table feed_head add column if not exists timeline_since timestamptz;
--> statement-breakpoint
create table if not exists position_jumps (
  id bigint primary key,
  from_position bigint not null,
  to_position bigint not null check (to_position > from_position),
  old_timeline text not null,
  new_timeline text not null,
  found_at timestamptz not null default clock_timestamp()
);
--> statement-breakpoint
-- Runs within the statement that gives out positions, under its lock, when the timeline is not the stored one. So no statement, of
-- whichever version of orgtrail, on whichever connection, gives out a position that the lost end of another timeline had given out.
--
-- How far: whatever was lost was committed after what is here, and before now. In a second fewer than 100,000 positions are given out: the
-- rows of all commits go in one after another, and each takes tens of microseconds. A million more is for the clocks of two servers, which
-- differ: at the 4,000 entries a second that one credential can read it makes up for four minutes.
create or replace function orgtrail_jump_positions() returns trigger
language plpgsql as $function$
declare
  current constant text := orgtrail_timeline(tg_relid);
  numbers constant text := pg_get_serial_sequence('retention_drops', 'id');
  last_kept timestamptz;
  jump bigint;
begin
  if current is null then return new; end if;
  if old.timeline is not null then
    select e.received_at into last_kept from audit_events e where e.position <= old.position order by e.position desc limit 1;
    jump := 1000000 + 100000 * ceil(greatest(0,
      extract(epoch from clock_timestamp() - greatest(last_kept, old.timeline_since))))::bigint;
    new.position := new.position + jump;
    -- Numbered with the drops, so that readers acknowledge both alike; beyond the number of any drop that was lost.
    insert into position_jumps (id, from_position, to_position, old_timeline, new_timeline)
    values (setval(numbers, nextval(numbers) + 1000), old.position, old.position + jump, old.timeline, current);
    raise warning 'positions go on after % instead of %: the timeline changed from % to %, and commits may have been lost',
      old.position + jump, old.position, old.timeline, current using errcode = 'OT001';
  end if;
  new.timeline := current;
  new.timeline_since := clock_timestamp();
  return new;
end
$function$;
--> statement-breakpoint
-- Compares without giving out anything: readers hear of a jump before there are new events. Called for each new connection, which does not
-- wait: who holds the row gives out positions, and compares as well.
create or replace function orgtrail_check_timeline() returns void
language plpgsql as $function$
begin
  if pg_is_in_recovery() or current_setting('transaction_read_only')::boolean then return; end if;
  update feed_head set position = position
  where only_row in (select only_row from feed_head where timeline <> orgtrail_timeline(tableoid) for update skip locked);
end
$function$;
--> statement-breakpoint
do $$
begin
  execute format('alter function orgtrail_jump_positions() security definer set search_path = %I, pg_temp', current_schema());
  execute format('alter function orgtrail_check_timeline() set search_path = %I, pg_temp', current_schema());
end
$$;
--> statement-breakpoint
revoke execute on function orgtrail_timeline(oid), orgtrail_jump_positions(), orgtrail_check_timeline() from public;
--> statement-breakpoint
-- What is here was committed on the timeline of today, as far as can be known.
update feed_head set timeline = orgtrail_timeline(tableoid), timeline_since = clock_timestamp() where timeline is null;
--> statement-breakpoint
create or replace trigger timeline_is_watched before update of position on feed_head for each row
  when (old.timeline is distinct from orgtrail_timeline(old.tableoid)) execute function orgtrail_jump_positions();
--> statement-breakpoint
comment on column feed_head.timeline is 'The timeline of the server (the first part of the names of its WAL files) and the oid of this table, as of the last position given out. When either changes, positions jump: position_jumps.';
--> statement-breakpoint
comment on column feed_head.timeline_since is 'When timeline was last set.';
--> statement-breakpoint
comment on table position_jumps is 'Where positions were left out after a failover or a restore, which may have lost commits: a lost position is never given to another event. A reader whose position lies between from_position and to_position has read events that were lost; they come again, behind to_position.';
--> statement-breakpoint
comment on column position_jumps.id is 'A number of its own, from the same series as retention_drops.id. Readers acknowledge it with dropped=.';
--> statement-breakpoint
comment on column position_jumps.from_position is 'The last position before the jump.';
--> statement-breakpoint
comment on column position_jumps.to_position is 'The last position that is left out: the next event has the one behind it.';
--> statement-breakpoint
comment on column position_jumps.old_timeline is 'What feed_head.timeline was before.';
--> statement-breakpoint
comment on column position_jumps.new_timeline is 'What feed_head.timeline became.';
--> statement-breakpoint
comment on column position_jumps.found_at is 'When the first position was asked for on the new timeline.';
