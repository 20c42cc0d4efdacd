-- What is known of how often events happen in a source: by it the budget is shared out among the live tails (docs/decisions/0022).
alter table sources add column if not exists event_rate double precision;
--> statement-breakpoint
alter table sources add column if not exists recent_event_rate double precision;
--> statement-breakpoint
comment on column sources.event_rate is 'Events per hour over the last days, as the live lane saw them; null before its first page. How often the source is asked depends on it.';
--> statement-breakpoint
comment on column sources.recent_event_rate is 'Events per hour over about the last hour that was read.';
