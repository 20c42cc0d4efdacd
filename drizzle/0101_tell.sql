-- Saved searches tell a sink what newly matches.
create table if not exists search_tells (
  search_id bigint primary key references saved_searches (id) on delete cascade,
  sink text collate "C" not null,
  every_seconds integer not null check (every_seconds between 60 and 604800),
  told_by text,
  told_since timestamptz not null default clock_timestamp(),
  position bigint not null,
  asked_at timestamptz,
  matched bigint not null default 0,
  last_match_at timestamptz,
  failed_at timestamptz,
  error text
);
--> statement-breakpoint
create table if not exists search_matches (
  number bigint generated always as identity primary key,
  search_id bigint not null references saved_searches (id) on delete cascade,
  sink text collate "C" not null,
  name text not null,
  events integer not null,
  position bigint not null,
  first_time timestamptz,
  last_time timestamptz,
  actor text,
  actor_ip_address text,
  link text not null,
  summary text not null,
  noted_at timestamptz not null default clock_timestamp(),
  delivered_at timestamptz
);
--> statement-breakpoint
create index if not exists search_matches_sink on search_matches (sink, number);
--> statement-breakpoint
create index if not exists search_matches_search on search_matches (search_id);
--> statement-breakpoint
comment on table search_tells is 'Saved searches that tell a sink what newly matches (docs/console.md). Written by functions alone.';
comment on column search_tells.search_id is 'As in saved_searches.';
comment on column search_tells.sink is 'As in sinks: one whose events are searches.';
comment on column search_tells.every_seconds is 'Two messages are at least so far apart.';
comment on column search_tells.told_by is 'Who asked for it, as saved_by in saved_searches.';
comment on column search_tells.told_since is 'Of what happened since then.';
comment on column search_tells.position is 'It has been asked up to here.';
comment on column search_tells.asked_at is 'When it was last asked without a failure.';
comment on column search_tells.matched is 'How many events have matched.';
comment on column search_tells.last_match_at is 'When a match was last noted.';
comment on column search_tells.failed_at is 'When it last failed.';
comment on column search_tells.error is 'Why it failed; null: it did not, the last time.';
comment on table search_matches is 'What newly matched searches that tell a sink: a message each. Gone a month after it was delivered.';
comment on column search_matches.number is 'Numbers them; in the order of their commits, with gaps.';
comment on column search_matches.search_id is 'As in saved_searches.';
comment on column search_matches.sink is 'The sink that is told.';
comment on column search_matches.name is 'Of the search, when it matched.';
comment on column search_matches.events is 'How many events matched.';
comment on column search_matches.position is 'Of the newest of these events.';
comment on column search_matches.first_time is 'Of their actions, the first.';
comment on column search_matches.last_time is 'Of their actions, the last.';
comment on column search_matches.actor is 'Of the newest of these events.';
comment on column search_matches.actor_ip_address is 'Of the newest of these events.';
comment on column search_matches.link is 'The parameters of the search and of this time, as they stand behind /events?.';
comment on column search_matches.summary is 'For people.';
comment on column search_matches.noted_at is 'When it was noted.';
comment on column search_matches.delivered_at is 'When the sink took it; null: not yet.';
