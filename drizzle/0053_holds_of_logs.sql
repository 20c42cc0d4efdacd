-- own transaction
-- A hold of an account keeps every event of that account's log, also one whose entry names another account. So the signed statements, which
-- name the log of an event and not its account, show that nothing was dropped against it.
create or replace function orgtrail_retention_obstacle(partition regclass, month timestamptz, until timestamptz) returns text
language plpgsql stable as $function$
declare
  highest bigint;
  obstacle text;
begin
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  if highest is null then return null; end if;
  execute pg_catalog.format('select pg_catalog.format(''hold %%s covers events in it: %%s'', h.id, left(h.reason, 200)) from holds h'
    ' where h.released_at is null and h.since < %L and h.before > %L and exists (select from %s e'
    ' where (h.organization_id is null or e.organization_id = h.organization_id)'
    ' and (h.account_id is null or e.account_id = h.account_id or e.source_kind = ''account'' and e.source_id = h.account_id)'
    ' and e.action_time >= h.since and e.action_time < h.before)'
    ' order by h.id limit 1', until, month, partition) into obstacle;
  if obstacle is not null then return obstacle; end if;
  select pg_catalog.format('the sink %s is at position %s, and still needs events up to %s', s.name, s.position, highest) into obstacle
  from sinks s where s.position < highest order by s.position limit 1;
  if obstacle is not null then return obstacle; end if;
  execute pg_catalog.format('select pg_catalog.format(''position %%s is a dead letter of the sink %%s'', d.position, d.sink)'
    ' from sink_dead_letters d where exists (select from %s e where e.position = d.position) order by 1 limit 1', partition)
    into obstacle;
  if obstacle is not null then return obstacle; end if;
  -- A leaf that was not made could never be made again, and a drop that is not stated looks like a theft.
  select case when l.size < highest
      then pg_catalog.format('the evidence is at position %s, and still needs events up to %s', l.size, highest)
      else pg_catalog.format('the evidence is %s, and cannot state what is dropped', l.state) end into obstacle
  from evidence_logs l
  where l.name = 'events' and l.generation = (select max(generation) from evidence_logs) and l.ended_at is null
    and (l.size < highest or l.state in ('behind', 'forked', 'halted'));
  return obstacle;
end
$function$;
--> statement-breakpoint
do $do$
begin
  -- What replaces a function takes its settings away.
  execute pg_catalog.format('alter function %s set search_path = %I, pg_temp',
    'orgtrail_retention_obstacle'::regproc::regprocedure, current_schema());
end
$do$;
