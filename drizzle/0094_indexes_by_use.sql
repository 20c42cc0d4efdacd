-- own transaction
-- Readers and writers wait for a moment. Each of these costs a page a month, and a lock for each statement about all of history.
drop index if exists audit_events_action_type_case, audit_events_action_result_case, audit_events_resource_product_case, audit_events_resource_type_case, audit_events_resource_type,
  audit_events_actor_email_case, audit_events_actor_token_name_case, audit_events_actor_token_name, audit_events_zone, audit_events_zone_name,
  audit_events_user_copies, audit_events_defects, audit_events_failures, audit_events_other_results;
