-- own transaction
-- No other session compares the old text with the new function: each one takes these locks first, and then sees both.
lock table evidence_logs, feed_head in access exclusive mode;
--> statement-breakpoint
-- As in 0012, and the identifier that initdb gives a server: a dump may get the oids that it had, on another server.
create or replace function orgtrail_timeline(head oid) returns text
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
--> statement-breakpoint
-- As in 0012, but not for a server that does not tell this time: what it tells a moment later would be taken for a change.
create or replace trigger timeline_is_watched before update of position on feed_head for each row
  when (old.timeline is null or old.timeline <> orgtrail_timeline(old.tableoid)) execute function orgtrail_jump_positions();
--> statement-breakpoint
-- An upgrade is no failover. Neither is it known here what was restored by a dump of an earlier version, and has not been at work since: the
-- server is younger than all that. The upper half of its identifier is the second in which initdb made it.
do $do$
declare
  current constant text := orgtrail_timeline('feed_head'::regclass);
  before constant text := substring(current from '^\S+ \S+');
  made constant timestamptz := to_timestamp((nullif(split_part(current, ' ', 3), '')::bigint >> 32)::double precision);
  at_work constant timestamptz := (select greatest(h.timeline_since,
    (select e.received_at from audit_events e order by e.position desc limit 1)) from feed_head h);
begin
  if made between at_work and clock_timestamp() then return; end if;
  update feed_head set timeline = current where timeline = before;
  update evidence_logs set timeline = current where timeline = before;
end
$do$;
--> statement-breakpoint
comment on column feed_head.timeline is 'The timeline of the server (the first part of the names of its WAL files), the oid of this table and the identifier of the server (pg_control_system), as of the last position given out. When one of them changes, positions jump: position_jumps.';
