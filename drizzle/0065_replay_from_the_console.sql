-- own transaction
-- A sink is set back from the console: docs/decisions/0081. The account of the daemon can do so only for a session that has proven its token
-- (0061), and only with a token that was made for it. Forward goes the owner alone, since that leaves out events.
alter table access_tokens add column if not exists replays_sinks boolean not null default false;
--> statement-breakpoint
comment on column access_tokens.replays_sinks is 'Its sessions of the console may set a sink back.';
--> statement-breakpoint
comment on column access_tokens.access_log_proof is 'SHA-256 of what a daemon makes of the token itself at a sign-in, to read access_log and to set sinks back for it; null: made before migration 0061, and does neither.';
--> statement-breakpoint
comment on table console_session_proofs is 'Sessions of the console that have proven their token, and so read access_log, or set sinks back. Written by orgtrail_prove_session alone.';
--> statement-breakpoint
comment on column console_session_proofs.proof is 'SHA-256 of what a daemon makes of the cookie of the session, to read access_log and to set sinks back for it.';
--> statement-breakpoint
comment on column access_log.kind is 'sign-in, sign-out, refusal, search, export, event, feed, access-log; saved-search, mute, replay; by a command: evidence, hold, replay, token.';
--> statement-breakpoint
-- The name of the token by which this session may set sinks back; null: it may not.
create or replace function orgtrail_session_replays(p_session_proof bytea) returns text
language sql stable as $function$
  select t.name from console_session_proofs p join console_sessions s on s.key = p.key join access_tokens t on t.id = p.token_id
  where p.proof = sha256(p_session_proof) and s.expires_at > clock_timestamp() and s.token_id = t.id and t.replays_sinks and 'search' = any (t.scopes)
    and t.revoked_at is null and coalesce(t.expires_at, 'infinity'::timestamptz) > clock_timestamp()
$function$;
--> statement-breakpoint
-- Sets a sink to a position: all after it goes out again. The new epoch keeps a delivery under way from undoing that. Without a session, for an
-- account that may change the table anyway. With one, only back, and with a row of access_log in the same transaction. False: there is no such
-- sink, no such position yet, or it would go forward.
create or replace function orgtrail_replay_sink(p_session_proof bytea, p_name text, p_after bigint, p_address text) returns boolean
language plpgsql as $function$
declare
  replayer constant text := orgtrail_session_replays(p_session_proof);
  was bigint;
begin
  if replayer is null and (p_session_proof is not null or not has_table_privilege(session_user, 'sinks'::regclass, 'update'::text)) then
    raise exception 'this account or session may not set a sink to another position' using errcode = 'insufficient_privilege';
  end if;
  select s.position into was from sinks s where s.name = p_name for update;
  update sinks s set position = p_after, batch_until = null, lease_epoch = s.lease_epoch + 1, lease_until = null, failures = 0, refused_in_row = 0,
    next_attempt_at = null, last_error = null
  where s.name = p_name and p_after between 0 and (select h.position from feed_head h) and (replayer is null or p_after <= s.position);
  if not found then return false; end if;
  if replayer is not null then
    insert into access_log (kind, outcome, who, address, route, status, what, requests)
    values ('replay', 'ok', replayer, left(p_address, 100), 'POST /sinks/:name/replay', 303,
      jsonb_build_object('sink', p_name, 'after', p_after, 'from', was), 1);
  end if;
  return true;
end
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_session_replays', 'orgtrail_replay_sink'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
