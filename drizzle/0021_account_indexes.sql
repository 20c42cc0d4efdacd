-- Of events of accounts and zones alone: on what is stored already they are empty, and cost a scan.
create index audit_events_account on audit_events (account_id, action_time, position) where account_id is not null;
--> statement-breakpoint
create index audit_events_zone on audit_events (zone_id) where zone_id is not null;
--> statement-breakpoint
create index audit_events_user_copies on audit_events (id, action_time) where resource_scope in ('user', 'memberships');
