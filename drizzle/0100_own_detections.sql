-- Detections of the operator: the views of the schema orgtrail_detections.
comment on table own_detections is 'The views of the schema orgtrail_detections, which are asked as our own detections are (docs/detections.md). Written '
  'by functions alone.';
comment on column own_detections.name is 'The view, and the detection that its findings have.';
comment on column own_detections.position is 'It has been asked up to here.';
comment on column own_detections.asked_at is 'When it was last asked without a failure.';
comment on column own_detections.failed_at is 'When it last failed.';
comment on column own_detections.error is 'Why it failed; null: it did not, the last time.';
--> statement-breakpoint
create or replace function orgtrail_own_detections() returns table (detection text)
language plpgsql as $function$
begin
  delete from own_detections o where not exists (
    select from pg_class c where c.relnamespace = pg_catalog.to_regnamespace('orgtrail_detections'::text)::oid and c.relkind = 'v' and c.relname::text = o.name);
  return query select c.relname::text
  from pg_class c join pg_class h on h.oid = 'finding_head'::regclass::oid and h.relowner = c.relowner
  where c.relnamespace = pg_catalog.to_regnamespace('orgtrail_detections'::text)::oid and c.relkind = 'v' and c.relname::text ~ '^[a-z0-9_]{1,63}$'::text
    and not exists (select from pg_class b where b.relnamespace = h.relnamespace and b.relname::text = 'detection_'::text || c.relname::text)
  order by 1;
end
$function$;
--> statement-breakpoint
create or replace function orgtrail_ask_own_detection(p_detection text, p_most bigint) returns table (asked_to bigint, feed_end bigint)
language plpgsql as $function$
declare
  head bigint;
  was bigint;
  since timestamptz;
begin
  if not exists (select from orgtrail_own_detections() o where o.detection = p_detection) then return; end if;
  select h.position into head from finding_head h for update skip locked;
  if not found then return; end if;
  was := coalesce((select o.position from own_detections o where o.name = p_detection), head);
  feed_end := (select f.position from feed_head f);
  asked_to := was;
  if was < feed_end then
    asked_to := coalesce((select min(e.position) from audit_events e where e.position > was) - 1 + greatest(p_most, 1), feed_end);
    asked_to := least(feed_end, asked_to);
    select min(e.action_time) into since from audit_events e
    where e.position > was and e.position <= asked_to and e.action_time > '-infinity';
    perform pg_catalog.set_config('orgtrail.bursts_since', greatest(since, now() - interval '31 days')::text, true);
    execute pg_catalog.format('insert into findings (detection, source_kind, source_id, id, position, event_position, severity, action_time, received_at,'
      '   organization_id, organization_name, account_id, account_name, zone_id, zone_name, actor, actor_ip_address,'
      '   action_type, action_result, resource_type, resource_id, events, first_time, summary)'
      ' select %L, d.source_kind, d.source_id, d.id, greatest(d.position, $3), coalesce(e.position, d.position),'
      '   case when d.severity in (''low'', ''medium'', ''high'', ''critical'') then d.severity end, d.action_time, coalesce(e.received_at, now()),'
      '   e.organization_id, d.organization_name, e.account_id, e.account_name, e.zone_id, e.zone_name, coalesce(d.actor, ''unknown''),'
      '   d.actor_ip_address, d.action_type, d.action_result, d.resource_type, d.resource_id, coalesce((pg_catalog.to_jsonb(d) ->> ''events'')::integer, 1),'
      '   coalesce((pg_catalog.to_jsonb(d) ->> ''first_time'')::timestamptz, d.action_time), coalesce(left(d.summary, 1000), '''')'
      ' from orgtrail_detections.%I d left join lateral ('
      '   select a.position, a.received_at, a.organization_id, a.account_id, a.account_name, a.zone_id, a.zone_name from audit_events a'
      '   where a.source_kind = d.source_kind and a.source_id = d.source_id and a.id = d.id and a.action_time = d.action_time) e on true'
      ' where d.position > $1 and d.position <= $2 on conflict do nothing', p_detection, p_detection)
    using was, asked_to, head + 1;
  end if;
  insert into own_detections as o (name, position, asked_at) values (p_detection, asked_to, clock_timestamp())
  on conflict (name) do update set position = excluded.position, asked_at = excluded.asked_at, error = null;
  return next;
end
$function$;
--> statement-breakpoint
create or replace function orgtrail_note_own_failure(p_detection text, p_error text) returns void
language plpgsql as $function$
begin
  insert into own_detections as o (name, position, failed_at, error)
  select d.detection, h.position, clock_timestamp(), left(p_error, 1000)
  from orgtrail_own_detections() d cross join finding_head h where d.detection = p_detection
  on conflict (name) do update set failed_at = excluded.failed_at, error = excluded.error;
end
$function$;
--> statement-breakpoint
do $do$
begin
  execute pg_catalog.format('alter function orgtrail_own_detections security definer set search_path = %I, pg_temp', current_schema());
  execute pg_catalog.format('alter function orgtrail_ask_own_detection security definer set search_path = %I, pg_temp', current_schema());
  execute pg_catalog.format('alter function orgtrail_note_own_failure security definer set search_path = %I, pg_temp', current_schema());
  execute 'revoke execute on function orgtrail_own_detections from public';
  execute 'revoke execute on function orgtrail_ask_own_detection from public';
  execute 'revoke execute on function orgtrail_note_own_failure from public';
end
$do$;
