-- A finding in the log of each account that has a copy of its entry, so that a sink for one account is told of it; null: where it was found.
alter table findings add column copies_of_position bigint;
--> statement-breakpoint
comment on column findings.copies_of_position is 'Of a copy of the finding in the log of another account that the user may use: the event_position of the finding. Null: it was found here. A sink is told of one of them.';
--> statement-breakpoint
create or replace function orgtrail_note_detections(p_most bigint) returns table (noted_to bigint, feed_end bigint, noted bigint)
language plpgsql as $function$
declare
  was bigint;
  until bigint;
  since timestamptz;
begin
  select h.position into was from finding_head h for update skip locked;
  if not found then return; end if;
  feed_end := (select f.position from feed_head f);
  noted_to := was;
  noted := 0;
  if was < feed_end then
    -- A jump of positions is passed at once.
    until := least(feed_end, (select min(e.position) from audit_events e where e.position > was) - 1 + greatest(p_most, 1));
    until := coalesce(until, feed_end);
    select min(e.action_time) into since from audit_events e
    where e.position > was and e.position <= until and e.action_time > '-infinity';
    perform pg_catalog.set_config('orgtrail.bursts_since', greatest(since, now() - interval '31 days')::text, true);
    -- Planned anew each time: how many positions there are decides about the indexes.
    execute 'insert into findings (detection, source_kind, source_id, id, position, event_position, severity, action_time, received_at,'
      '   organization_id, organization_name, account_id, account_name, zone_id, zone_name, actor, actor_ip_address,'
      '   action_type, action_result, resource_type, resource_id, events, first_time, summary)'
      ' select d.detection, d.source_kind, d.source_id, d.id, d.position, coalesce(e.position, d.position), d.severity, d.action_time, d.received_at,'
      '   d.organization_id, d.organization_name, e.account_id, e.account_name, e.zone_id, e.zone_name, d.actor, d.actor_ip_address,'
      '   d.action_type, d.action_result, d.resource_type, d.resource_id, d.events, d.first_time, d.summary'
      ' from detections d left join lateral ('
      '   select a.position, a.account_id, a.account_name, a.zone_id, a.zone_name from audit_events a'
      '   where a.source_kind = d.source_kind and a.source_id = d.source_id and a.id = d.id and a.action_time = d.action_time) e on true'
      ' where d.position > $1 and d.position <= $2'
      ' on conflict do nothing' using was, until;
    get diagnostics noted = row_count;
    -- The same of each copy of an entry about a user, which may come long after the first: of findings since, and of entries since.
    execute 'insert into findings (detection, source_kind, source_id, id, position, event_position, severity, action_time, received_at,'
      '   organization_id, organization_name, account_id, account_name, zone_id, zone_name, actor, actor_ip_address,'
      '   action_type, action_result, resource_type, resource_id, events, first_time, summary, copies_of_position)'
      ' select f.detection, c.source_kind, c.source_id, c.id, greatest(f.position, c.position), c.position, f.severity, f.action_time, c.received_at,'
      '   c.organization_id, o.name, c.account_id, c.account_name, c.zone_id, c.zone_name, f.actor, f.actor_ip_address,'
      '   f.action_type, f.action_result, f.resource_type, f.resource_id, f.events, f.first_time, f.summary, f.event_position'
      ' from ('
      '   select f.detection, f.source_id as of_source, c.* from findings f join audit_events c on c.id = f.id and c.action_time = f.action_time'
      '   where f.position > $1 and f.position <= $2 and f.copies_of_position is null and f.source_kind = ''account'' and f.action_time > ''-infinity'''
      '     and c.source_kind = ''account'' and c.resource_scope in (''user'', ''memberships'') and c.position <= $2'
      '   union all'
      '   select f.detection, f.source_id, c.* from audit_events c join findings f on f.id = c.id and f.action_time = c.action_time'
      '   where c.position > $1 and c.position <= $2 and c.source_kind = ''account'' and c.resource_scope in (''user'', ''memberships'')'
      '     and c.action_time > ''-infinity'' and f.position <= $1 and f.copies_of_position is null and f.source_kind = ''account'') c'
      ' join findings f on f.detection = c.detection and f.source_kind = ''account'' and f.source_id = c.of_source and f.id = c.id'
      ' left join organizations o on o.id = c.organization_id'
      ' where c.source_id <> c.of_source'
      ' on conflict do nothing' using was, until;
    update finding_head set position = until, noted_at = clock_timestamp();
    noted_to := until;
  end if;
  return next;
end
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_note_detections'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
