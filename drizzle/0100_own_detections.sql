-- Rules of the operator: the views of the schema orgtrail_detections.
create table if not exists own_detections (
  name text primary key,
  position bigint not null,
  asked_at timestamptz,
  failed_at timestamptz,
  error text
);
comment on table own_detections is 'The views of the schema orgtrail_detections, which are asked as our own detections are (docs/detections.md). Written '
  'with finding_head alone.';
comment on column own_detections.name is 'The view, and the detection that its findings have.';
comment on column own_detections.position is 'It has been asked up to here.';
comment on column own_detections.asked_at is 'When it was last asked without a failure.';
comment on column own_detections.failed_at is 'When it last failed.';
comment on column own_detections.error is 'Why it failed; null: it did not, the last time.';
--> statement-breakpoint
create or replace function orgtrail_ask_own_detections() returns trigger
language plpgsql as $function$
declare
  rule record;
  said text;
begin
  for rule in
    select c.relname::text as name, coalesce(o.position, old.position) as position
    from pg_class c left join own_detections o on o.name = c.relname::text
    where c.relnamespace = to_regnamespace('orgtrail_detections') and c.relkind = 'v' and c.relowner = current_user::regrole
      and c.relname::text ~ '^[a-z0-9_]{1,63}$'::text and to_regclass('detection_'::text || c.relname::text) is null
    order by 1
  loop
    said := null;
    begin
      execute format('insert into findings (detection, source_kind, source_id, id, position, event_position, severity, action_time, received_at,'
        '   organization_id, organization_name, account_id, account_name, zone_id, zone_name, actor, actor_ip_address,'
        '   action_type, action_result, resource_type, resource_id, events, first_time, summary)'
        ' select %L, e.source_kind, e.source_id, e.id, greatest(d.position, $3), d.position, d.severity, e.action_time, e.received_at,'
        '   e.organization_id, d.organization_name, e.account_id, e.account_name, e.zone_id, e.zone_name, coalesce(d.actor, ''unknown''),'
        '   d.actor_ip_address, d.action_type, d.action_result, d.resource_type, d.resource_id, coalesce((to_jsonb(d) ->> ''events'')::integer, 1),'
        '   coalesce((to_jsonb(d) ->> ''first_time'')::timestamptz, e.action_time), left(d.summary, 1000)'
        ' from orgtrail_detections.%I d join audit_events e on e.position = d.position and e.action_time = d.action_time'
        ' where d.position > $1 and d.position <= $2 on conflict do nothing', rule.name, rule.name)
      using rule.position, new.position, old.position + 1;
    exception when others or query_canceled then
      get stacked diagnostics said = message_text;
    end;
    insert into own_detections as o (name, position, asked_at, failed_at, error)
    values (rule.name, case when said is null then new.position else rule.position end, case when said is null then clock_timestamp() end,
      case when said is not null then clock_timestamp() end, left(said, 1000))
    on conflict (name) do update set position = excluded.position, asked_at = coalesce(excluded.asked_at, o.asked_at),
      failed_at = coalesce(excluded.failed_at, o.failed_at), error = excluded.error;
  end loop;
  return new;
end
$function$;
--> statement-breakpoint
do $do$
begin
  execute pg_catalog.format('alter function orgtrail_ask_own_detections security definer set search_path = %I, pg_temp', current_schema());
  execute 'revoke execute on function orgtrail_ask_own_detections from public';
end
$do$;
--> statement-breakpoint
create or replace trigger own_detections before update of position on finding_head
for each row when (new.position > old.position) execute function orgtrail_ask_own_detections();
