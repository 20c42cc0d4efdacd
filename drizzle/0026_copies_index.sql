-- own transaction
-- Writers wait while it reads what is stored. Only entries about users go into it.
create index if not exists audit_events_user_copies on audit_events (id, action_time, position)
  where source_kind = 'account' and resource_scope in ('user', 'memberships');
