-- Tokens with a name, sessions of the console, and the trail of who was given what (docs/access.md).
create table if not exists access_tokens (
  id bigint generated always as identity primary key,
  name text collate "C" not null,
  hash bytea not null unique check (octet_length(hash) = 32),
  scopes text[] not null check (cardinality(scopes) > 0 and scopes <@ array['feed', 'search', 'metrics']),
  expires_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  created_as text not null default session_user,
  revoked_at timestamptz,
  revoked_as text
);
--> statement-breakpoint
create unique index if not exists access_tokens_name on access_tokens (name) where revoked_at is null;
--> statement-breakpoint
comment on table access_tokens is 'Tokens of the HTTP API and the console, made by `orgtrail token create`. Revoked ones stay, as evidence.';
--> statement-breakpoint
comment on column access_tokens.id is 'Its number.';
--> statement-breakpoint
comment on column access_tokens.name is 'Whose it is. Unique among those that are not revoked.';
--> statement-breakpoint
comment on column access_tokens.hash is 'SHA-256 of the token, which has 256 random bits. The token itself is stored nowhere.';
--> statement-breakpoint
comment on column access_tokens.scopes is 'What it opens: feed, search (the console included), metrics.';
--> statement-breakpoint
comment on column access_tokens.expires_at is 'From then on it opens nothing; null: it does not expire.';
--> statement-breakpoint
comment on column access_tokens.created_at is 'When it was made.';
--> statement-breakpoint
comment on column access_tokens.created_as is 'The database account that made it.';
--> statement-breakpoint
comment on column access_tokens.revoked_at is 'When it was revoked; null: it was not.';
--> statement-breakpoint
comment on column access_tokens.revoked_as is 'The database account that revoked it.';
--> statement-breakpoint
create table if not exists console_sessions (
  key bytea primary key check (octet_length(key) = 32),
  token_id bigint references access_tokens (id),
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null
);
--> statement-breakpoint
comment on table console_sessions is 'Who is signed in to the console. Signing out deletes the row, which ends the session on every replica.';
--> statement-breakpoint
comment on column console_sessions.key is 'A hash of what the cookie holds: nobody can sign in with it. Keyed with ORGTRAIL_FEED_TOKEN for its sessions, so that another token ends them.';
--> statement-breakpoint
comment on column console_sessions.token_id is 'The token that it was begun with; null: ORGTRAIL_FEED_TOKEN.';
--> statement-breakpoint
comment on column console_sessions.created_at is 'When it began.';
--> statement-breakpoint
comment on column console_sessions.expires_at is 'When it ends at the latest. It ends with its token, too.';
--> statement-breakpoint
create table if not exists access_log (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  kind text not null,
  outcome text not null,
  who text,
  account text not null default session_user,
  address text,
  route text,
  status integer,
  what jsonb not null,
  events bigint,
  requests bigint not null
);
--> statement-breakpoint
create index if not exists access_log_at on access_log (at);
--> statement-breakpoint
comment on table access_log is 'Who was given what, and who was refused: written by orgtrail_note_access alone, which keeps a row for 400 days. The sums of events and requests over rows are what was given in total (docs/access.md).';
--> statement-breakpoint
comment on column access_log.id is 'Its number.';
--> statement-breakpoint
comment on column access_log.at is 'When the row was written, by the clock of the database.';
--> statement-breakpoint
comment on column access_log.kind is 'sign-in, sign-out, refusal, search, export, event, feed; by a command: hold, replay, token.';
--> statement-breakpoint
comment on column access_log.outcome is 'begun (the end is another row), ok, refused, failed, cut off (the connection ended before the answer did).';
--> statement-breakpoint
comment on column access_log.who is 'The name of the token, or ORGTRAIL_FEED_TOKEN; of a command what --by says; null: open on loopback, or not known.';
--> statement-breakpoint
comment on column access_log.account is 'The database account that wrote the row: that of the daemon, or of who ran the command. Nobody can choose it.';
--> statement-breakpoint
comment on column access_log.address is 'Where the request came from; null for a command, and where very many addresses were refused within an hour.';
--> statement-breakpoint
comment on column access_log.route is 'The route of the request, or the command.';
--> statement-breakpoint
comment on column access_log.status is 'The HTTP status of the answer; null for a command.';
--> statement-breakpoint
comment on column access_log.what is 'The parameters of the search, the filter of the feed, the position of the event, or the arguments of the command. Never a secret.';
--> statement-breakpoint
comment on column access_log.events is 'How many events were given; null where that is not known or makes no sense.';
--> statement-breakpoint
comment on column access_log.requests is 'How many requests the row stands for: the same one repeated within an hour is one row at the end of it; 0: one that has only begun.';
--> statement-breakpoint
-- Appends to the trail; who may call it cannot change or remove a row younger than 400 days. Every type is exact, so that nothing outside pg_catalog is called.
create or replace function orgtrail_note_access(p_notes jsonb) returns void
language plpgsql as $function$
begin
  insert into access_log (kind, outcome, who, address, route, status, what, events, requests)
  select coalesce(left(note ->> 'kind', 40), 'unknown'), coalesce(left(note ->> 'outcome', 40), 'unknown'),
    left(note ->> 'who', 200), left(note ->> 'address', 100), left(note ->> 'route', 200), (note ->> 'status')::integer,
    case when length(note ->> 'what') <= 8000 then note -> 'what' else '{}'::jsonb end,
    (note ->> 'events')::bigint, coalesce((note ->> 'requests')::bigint, 1::bigint)
  from jsonb_array_elements(p_notes) as notes (note) limit 1000;
  delete from access_log where id in (
    select id from access_log where at < clock_timestamp() - interval '400 days' order by at limit 1000);
end
$function$;
--> statement-breakpoint
do $$
begin
  execute format('alter function orgtrail_note_access(jsonb) security definer set search_path = %I, pg_temp', current_schema());
end
$$;
--> statement-breakpoint
revoke execute on function orgtrail_note_access(jsonb) from public;
