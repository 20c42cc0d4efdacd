-- own transaction
-- Writers wait while it reads what is stored, of which nothing goes into it. By itself: the locks of 0020 are gone by then.
create index if not exists audit_events_account on audit_events (account_id, action_time, position) where account_id is not null;
