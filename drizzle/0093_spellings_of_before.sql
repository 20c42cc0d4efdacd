-- own transaction
-- Beside everything else: the indexes that serve as two or more of before, and the spellings of events of before.
create index if not exists audit_events_names on audit_events
  using gin (orgtrail_names(zone_id, zone_name, actor_token_name, actor_email)) with (gin_pending_list_limit = 128);
--> statement-breakpoint
create index if not exists audit_events_exceptions on audit_events (action_time, position, defects)
  include (organization_id, action_result, actor_email, actor_ip_address) where action_result <> 'success' or action_result is null or defects is not null;
--> statement-breakpoint
create index if not exists audit_events_resource_action on audit_events (resource_type, action_type);
--> statement-breakpoint
-- The names that PostgreSQL gives them with a partition.
alter index if exists audit_events_default_names rename to audit_events_default_orgtrail_names_idx;
--> statement-breakpoint
alter index if exists audit_events_default_resource_action rename to audit_events_default_resource_type_action_type_idx;
--> statement-breakpoint
alter index if exists audit_events_default_exceptions rename to audit_events_default_action_time_position_defects_organizat_idx;
--> statement-breakpoint
insert into event_spellings (column_name, folded, value) select distinct 'action_type', left(lower(action_type), 400), action_type from audit_events where action_type <> lower(action_type)
union all select distinct 'action_result', left(lower(action_result), 400), action_result from audit_events where action_result <> lower(action_result)
union all select distinct 'resource_product', left(lower(resource_product), 400), resource_product from audit_events where resource_product <> lower(resource_product)
union all select distinct 'resource_type', left(lower(resource_type), 400), resource_type from audit_events where resource_type <> lower(resource_type)
on conflict do nothing;
