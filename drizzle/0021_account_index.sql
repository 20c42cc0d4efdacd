-- own transaction
-- Built before, while entries are stored (src/postgres/schema/online-index.ts). By itself: the locks of 0020 are gone by then.
create index if not exists audit_events_account on audit_events (account_id, action_time, position) where account_id is not null;
