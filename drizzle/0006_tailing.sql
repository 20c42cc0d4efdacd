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
  e.raw::text as raw, array_to_string(e.defects, ',') as defects
from audit_events e;
--> statement-breakpoint
comment on view audit_feed is 'audit_events for tools that follow it by position: plain types, organization names, and the feed that a position belongs to. Null action_time where the entry has none that can be read.';
