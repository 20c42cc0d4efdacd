alter table access_tokens drop constraint if exists access_tokens_scopes_check,
  add constraint access_tokens_scopes_check check (cardinality(scopes) > 0 and scopes <@ array['feed', 'search', 'metrics', 'manage']);
comment on column access_tokens.scopes is 'What it opens: feed, search (the console included), metrics; manage: it may give orders.';
comment on column access_tokens.created_as is 'The database account that made it, and the token for which it did.';
comment on column access_tokens.revoked_as is 'The database account that revoked it, and the token for which it did.';
comment on column access_tokens.access_log_proof is 'SHA-256 of what a daemon makes of the token itself at a sign-in, to read access_log and to '
  'set sinks back for it, and of an order; null: made before migration 0061, and does none of these.';
comment on column holds.created_as is 'The account of the database that added it, and the token for which it did.';
comment on column holds.released_as is 'The account of the database that released it, and the token for which it did.';
comment on column retention_waits.confirmed_as is 'The account of the database that did, and the token for which it did.';
--> statement-breakpoint
drop function if exists orgtrail_replay_sink(bytea, text, bigint, text);
--> statement-breakpoint
-- An order, with its row of access_log in the same transaction. It is given by an account that may change the table anyway, by the proof of a token that
-- has the scope manage, or, to set a sink back, by the proof of a session that may. A token gives no right that it lacks, and none for longer than it
-- lasts itself. Null: there is nothing of that name, or there was nothing to do.
create or replace function orgtrail_order(p_order text, p_given jsonb, p_proof bytea, p_address text, p_route text) returns jsonb
language plpgsql as $function$
declare
  manager access_tokens;
  giver text;
  giver_as text;
  about constant text := split_part(p_order, ' ', 1);
  wanted constant text[] := array(select jsonb_array_elements_text(p_given -> 'scopes'));
  was bigint;
  done jsonb;
begin
  select t.* into manager from access_tokens t where t.access_log_proof = sha256(p_proof) and 'manage' = any (t.scopes) and t.revoked_at is null
    and coalesce(t.expires_at, 'infinity'::timestamptz) > clock_timestamp();
  giver := coalesce(manager.name, case when about = 'sink' then orgtrail_session_replays(p_proof) end);
  if giver is null and (p_proof is not null or not has_table_privilege(session_user,
    (case about when 'hold' then 'holds' when 'token' then 'access_tokens' else 'sinks' end)::regclass, 'update'::text)) then
    raise exception 'this % may not do that: %', case when p_proof is null then 'account' else 'token or session' end, p_order using errcode = 'insufficient_privilege';
  end if;
  giver_as := session_user || coalesce(' for the token ' || giver, '');
  case p_order
  when 'hold add' then
    insert into holds (organization_id, account_id, since, before, reason, created_by, created_as)
    values (p_given ->> 'organizationId', p_given ->> 'accountId', coalesce((p_given ->> 'since')::timestamptz, '-infinity'::timestamptz),
      coalesce((p_given ->> 'before')::timestamptz, 'infinity'::timestamptz), p_given ->> 'reason', p_given ->> 'by', giver_as)
    returning jsonb_build_object('id', id) into done;
  when 'hold release' then
    update holds set released_at = clock_timestamp(), released_as = giver_as, released_by = p_given ->> 'by'
    where id = (p_given ->> 'id')::bigint and released_at is null returning jsonb_build_object('id', id) into done;
  when 'hold confirm' then
    -- This connection may be the first one on the server.
    perform orgtrail_check_timeline();
    with ended as (
      update retention_waits set confirmed_at = clock_timestamp(), confirmed_as = giver_as, confirmed_by = p_given ->> 'by'
      where confirmed_at is null and ends_at > clock_timestamp() returning reason)
    select jsonb_build_object('reasons', jsonb_agg(reason)) into done from ended having count(*) > 0;
  when 'token create' then
    if giver is not null and (not wanted <@ manager.scopes or (p_given ? 'accessLog'::text and not manager.sees_access_log)
      or coalesce((p_given ->> 'expiresAt')::timestamptz, 'infinity'::timestamptz) > coalesce(manager.expires_at, 'infinity'::timestamptz)) then
      raise exception 'a token gives no right that it lacks, and none for longer than it lasts' using errcode = 'insufficient_privilege';
    end if;
    insert into access_tokens (name, scopes, hash, expires_at, created_as, access_log_proof, sees_access_log, replays_sinks)
    values (p_given ->> 'name', wanted, decode(p_given ->> 'hash', 'hex'), (p_given ->> 'expiresAt')::timestamptz, giver_as,
      decode(p_given ->> 'proof', 'hex'), p_given ? 'accessLog'::text, p_given ? 'replay'::text)
    returning jsonb_build_object('id', id) into done;
  when 'token revoke' then
    update access_tokens set revoked_at = clock_timestamp(), revoked_as = giver_as
    where name = p_given ->> 'name' and revoked_at is null returning jsonb_build_object('id', id) into done;
  when 'sink replay' then
    -- All after the position goes out again. The new epoch keeps a delivery under way from undoing that. A session sets a sink only back.
    select s.position into was from sinks s where s.name = p_given ->> 'sink' for update;
    update sinks s set position = (p_given ->> 'after')::bigint, batch_until = null, lease_epoch = s.lease_epoch + 1, lease_until = null,
      failures = 0, refused_in_row = 0, next_attempt_at = null, last_error = null
    where s.name = p_given ->> 'sink' and (p_given ->> 'after')::bigint between 0 and (select h.position from feed_head h)
      and (giver is null or manager.id is not null or (p_given ->> 'after')::bigint <= s.position)
    returning jsonb_build_object('from', was) into done;
  end case;
  if done is null then return null; end if;
  insert into access_log (kind, outcome, who, address, route, status, what, requests)
  values (case about when 'sink' then 'replay' else about end, 'ok', coalesce(giver, p_given ->> 'by'), left(p_address, 100), left(p_route, 200),
    case when manager.id is not null then 200 when giver is not null then 303 end,
    case when giver is null then p_given - 'by'::text else p_given end - 'hash'::text - 'proof'::text || done, 1);
  return done;
end
$function$;
--> statement-breakpoint
do $do$
begin
  execute pg_catalog.format('alter function orgtrail_order security definer set search_path = %I, pg_temp', current_schema());
  execute 'revoke execute on function orgtrail_order from public';
end
$do$;
