-- own transaction
-- As in 0015; a hold of an account covers the events of that account, and one of an organization also those of its accounts.
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
    ' and (h.account_id is null or e.account_id = h.account_id) and e.action_time >= h.since and e.action_time < h.before)'
    ' order by h.id limit 1', until, month, partition) into obstacle;
  if obstacle is not null then return obstacle; end if;
  select pg_catalog.format('the sink %s is at position %s, and still needs events up to %s', s.name, s.position, highest) into obstacle
  from sinks s where s.position < highest order by s.position limit 1;
  if obstacle is not null then return obstacle; end if;
  execute pg_catalog.format('select pg_catalog.format(''position %%s is a dead letter of the sink %%s'', d.position, d.sink)'
    ' from sink_dead_letters d where exists (select from %s e where e.position = d.position) order by 1 limit 1', partition)
    into obstacle;
  return obstacle;
end
$function$;
--> statement-breakpoint
do $do$
begin
  -- What replaces a function takes its settings away.
  execute pg_catalog.format('alter function orgtrail_retention_obstacle(regclass, timestamptz, timestamptz)'
    ' set search_path = %I, pg_temp', current_schema());
end
$do$;
--> statement-breakpoint
-- Searches take a zone by its name, whatever the case of its letters. Empty on what is stored already.
create index if not exists audit_events_zone_name on audit_events ((left(lower(zone_name), 400) collate "C")) where zone_name is not null;
