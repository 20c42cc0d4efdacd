-- own transaction
-- Built before, while entries are stored (src/postgres/schema/online-index.ts). Only entries about users go into it.
create index if not exists audit_events_user_copies on audit_events (id, action_time, position)
  where source_kind = 'account' and resource_scope in ('user', 'memberships');
