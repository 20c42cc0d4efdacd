-- own transaction
-- The trail of access in the console: docs/decisions/0074. The account of the daemon reads it only for a session that has proven its token: neither
-- the hashes of tokens nor a session that the account itself makes are enough. Writers of access_log wait while its index is built.
alter table access_tokens add column if not exists access_log_proof bytea check (octet_length(access_log_proof) = 32);
--> statement-breakpoint
alter table access_tokens add column if not exists sees_access_log boolean not null default false;
--> statement-breakpoint
comment on column access_tokens.access_log_proof is 'SHA-256 of what a daemon makes of the token itself at a sign-in, to read access_log for it; null: made before migration 0061, and reads nothing of it.';
--> statement-breakpoint
comment on column access_tokens.sees_access_log is 'Its sessions of the console read all of access_log; else the rows of the token alone.';
--> statement-breakpoint
create table if not exists console_session_proofs (
  key bytea primary key references console_sessions (key) on delete cascade,
  token_id bigint not null references access_tokens (id),
  proof bytea not null unique check (octet_length(proof) = 32)
);
--> statement-breakpoint
comment on table console_session_proofs is 'Sessions of the console that have proven their token, and so read access_log. Written by orgtrail_prove_session alone.';
--> statement-breakpoint
comment on column console_session_proofs.key is 'That of the session.';
--> statement-breakpoint
comment on column console_session_proofs.token_id is 'The token that was proven.';
--> statement-breakpoint
comment on column console_session_proofs.proof is 'SHA-256 of what a daemon makes of the cookie of the session, to read access_log for it.';
--> statement-breakpoint
create index if not exists access_log_who on access_log (who, at, id);
--> statement-breakpoint
comment on column access_log.kind is 'sign-in, sign-out, refusal, search, export, event, feed, access-log; saved-search, mute; by a command: evidence, hold, replay, token.';
--> statement-breakpoint
-- Proves that a session of the console began with the token that it names. False: the proof is not that of a token in force, or there is no such session.
create or replace function orgtrail_prove_session(p_key bytea, p_token_proof bytea, p_session_proof bytea) returns boolean
language plpgsql as $function$
declare
  proven bigint;
begin
  select t.id into proven from access_tokens t join console_sessions s on s.token_id = t.id
  where t.access_log_proof = sha256(p_token_proof) and t.revoked_at is null and coalesce(t.expires_at, 'infinity'::timestamptz) > clock_timestamp()
    and s.key = p_key and s.expires_at > clock_timestamp();
  if proven is null then return false; end if;
  insert into console_session_proofs (key, token_id, proof) values (p_key, proven, sha256(p_session_proof)) on conflict do nothing;
  return true;
end
$function$;
--> statement-breakpoint
-- What of access_log is shown: all, own (the rows of one token, from when it was made) or none. A session that is proven has what its token has. Else
-- it is what the account itself may read: then the caller says for whom (null: the shared token, or a local request).
create or replace function orgtrail_access_log_shown(p_session_proof bytea, p_token text, out shown text, out token text, out since timestamptz)
language plpgsql stable as $function$
begin
  select case when t.sees_access_log then 'all' else 'own' end, t.name, t.created_at into shown, token, since
  from console_session_proofs p join console_sessions s on s.key = p.key join access_tokens t on t.id = p.token_id
  where p.proof = sha256(p_session_proof) and s.expires_at > clock_timestamp() and s.token_id = t.id
    and t.revoked_at is null and coalesce(t.expires_at, 'infinity'::timestamptz) > clock_timestamp();
  if shown is not null then return; end if;
  shown := 'none';
  if not has_table_privilege(session_user, 'access_log'::regclass, 'select'::text) then return; end if;
  if p_token is null then
    shown := 'all';
    return;
  end if;
  select case when t.sees_access_log then 'all' else 'own' end, t.name, t.created_at into shown, token, since
  from access_tokens t where t.name = p_token and t.revoked_at is null;
  shown := coalesce(shown, 'none');
end
$function$;
--> statement-breakpoint
-- Rows of access_log, the newest first, as far as orgtrail_access_log_shown lets them be seen. Rows before (p_at, p_id), if given.
create or replace function orgtrail_read_access_log(p_session_proof bytea, p_token text, p_who text, p_kind text, p_since timestamptz, p_before timestamptz,
  p_at timestamptz, p_id bigint, p_limit integer) returns setof access_log
language plpgsql stable as $function$
declare
  may record;
  condition text := '';
begin
  select * into may from orgtrail_access_log_shown(p_session_proof, p_token);
  if may.shown = 'none' then return; end if;
  -- A plan for what is asked for: none of the values is in the text.
  if may.shown = 'own' then condition := condition || ' and l.who = $1 and l.at >= $2'; end if;
  if p_who is not null then condition := condition || ' and l.who = $3'; end if;
  if p_kind is not null then condition := condition || ' and l.kind = $4'; end if;
  if p_since is not null then condition := condition || ' and l.at >= $5'; end if;
  if p_before is not null then condition := condition || ' and l.at < $6'; end if;
  if p_at is not null and p_id is not null then condition := condition || ' and l.at <= $7 and (l.at < $7 or l.id < $8)'; end if;
  return query execute 'select l.* from access_log l where true' || condition || ' order by l.at desc, l.id desc limit $9'
    using may.token, may.since, p_who, p_kind, p_since, p_before, p_at, p_id, least(greatest(coalesce(p_limit, 1), 1), 201);
end
$function$;
--> statement-breakpoint
-- On which day, in UTC, each token was last used over HTTP; those without a row of their own are left out.
create or replace function orgtrail_token_use() returns table (token_id bigint, used_on date)
language sql stable as $function$
  select t.id, (used.at at time zone 'UTC')::date from access_tokens t cross join lateral (
    -- Bounds, an order and a collation that only access_log_who has: by the times alone, a token that is not used would be looked for in all rows.
    select l.at from access_log l where l.who >= t.name collate "default" and l.who <= t.name collate "default" and l.at >= t.created_at and l.at <= coalesce(t.revoked_at, 'infinity'::timestamptz)
      and l.address is not null and l.outcome <> 'refused' order by l.who desc, l.at desc limit 1) as used
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_prove_session', 'orgtrail_access_log_shown', 'orgtrail_read_access_log', 'orgtrail_token_use'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
