-- own transaction
-- What only version 0.1 and its first successors called, wrote and read. Replicas of 0.2.0 use none of it. Readers of sources are locked out for a
-- moment.
drop function if exists orgtrail_commit_page, orgtrail_commit_walk_page, orgtrail_commit_source_page, orgtrail_take_request;
--> statement-breakpoint
drop table if exists walks;
--> statement-breakpoint
alter table sources
  drop column if exists failures,
  drop column if exists next_attempt_at,
  drop column if exists last_success_at,
  drop column if exists last_failure,
  drop column if exists last_error;
--> statement-breakpoint
-- A migration of 0.2.0 replaced the indexes that had these names on the default partition.
alter index if exists audit_events_default_actor_email_idx1 rename to audit_events_default_actor_email_idx;
--> statement-breakpoint
alter index if exists audit_events_default_actor_ip_address_idx1 rename to audit_events_default_actor_ip_address_idx;
--> statement-breakpoint
alter index if exists audit_events_default_actor_token_id_idx1 rename to audit_events_default_actor_token_id_idx;
