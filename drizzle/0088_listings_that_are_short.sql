alter table discovery add column if not exists short_since timestamptz;
--> statement-breakpoint
alter table account_listings add column if not exists short_since timestamptz;
--> statement-breakpoint
comment on column discovery.short_since is 'Since when the listing names fewer than it counts, or not every credential answers it: last_error says which. Null: the last one was complete, or failed.';
--> statement-breakpoint
comment on column account_listings.short_since is 'Since when the listing names fewer than it counts: last_error says how many. Null: the last one was complete, or failed otherwise.';
