-- own transaction
create index if not exists audit_events_zone on audit_events (zone_id) where zone_id is not null;
