-- own transaction
-- The three indexes of 0017 that had an entry for each event cost a quarter of the rate of a first load. What they were for is found by
-- indexes that were there before, in another operator class, and by small ones. 0019 drops them.
-- text_pattern_ops serves equality, as before, and what a text begins with, in every locale.
create index if not exists audit_events_actor_email_pattern on audit_events (actor_email text_pattern_ops);
--> statement-breakpoint
create index if not exists audit_events_actor_ip_address_pattern on audit_events (actor_ip_address text_pattern_ops);
--> statement-breakpoint
create index if not exists audit_events_actor_token_id_pattern on audit_events (actor_token_id text_pattern_ops)
  where actor_token_id is not null;
--> statement-breakpoint
-- Not of names that are too long for an index: entries with such names are stored already.
create index if not exists audit_events_actor_token_name on audit_events (actor_token_name text_pattern_ops)
  where octet_length(actor_token_name) <= 600;
--> statement-breakpoint
-- As those of the enumerations: only what is not in small letters, in all its spellings, and names that are too long.
create index if not exists audit_events_actor_email_case on audit_events ((left(lower(actor_email), 400) collate "C"), md5(actor_email))
  where actor_email <> lower(actor_email);
--> statement-breakpoint
create index if not exists audit_events_actor_token_name_case on audit_events ((left(lower(actor_token_name), 400) collate "C"), md5(actor_token_name))
  where actor_token_name <> lower(actor_token_name) or octet_length(actor_token_name) > 600;
