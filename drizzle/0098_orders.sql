alter table access_tokens drop constraint if exists access_tokens_scopes_check,
  add constraint access_tokens_scopes_check check (cardinality(scopes) > 0 and scopes <@ array['feed', 'search', 'metrics', 'manage']);
alter table access_tokens add column if not exists made_by bigint references access_tokens (id);
comment on column access_tokens.made_by is 'The token with which it was made, and with which it is revoked; null: by an account.';
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
-- lasts itself. Null: there is nothing of that name, or there was nothing to do. Every type is exact or the name has its schema, so that nothing
-- outside pg_catalog is called. It waits for 30 seconds: who is told that an order failed must not find it done later.
create or replace function orgtrail_order(p_order text, p_given jsonb, p_proof bytea, p_address text, p_route text) returns jsonb
language plpgsql as $function$
declare
  manager access_tokens;
  giver text;
  giver_as text;
  needed constant text[] := case p_order when 'hold add'::text then array['holds', 'insert'] when 'hold release'::text then array['holds', 'update']
    when 'hold confirm'::text then array['retention_waits', 'update'] when 'token create'::text then array['access_tokens', 'insert']
    when 'token revoke'::text then array['access_tokens', 'update'] when 'sink replay'::text then array['sinks', 'update'] end;
  sayer constant text := left(p_given ->> 'by'::text, 200);
  wanted constant text[] := array(select w from pg_catalog.jsonb_array_elements_text(p_given -> 'scopes'::text) as w);
  token_ends_at constant timestamptz := (p_given ->> 'expiresAt'::text)::timestamptz;
  token_name constant text := p_given ->> 'name'::text;
  to_position constant bigint := (p_given ->> 'after'::text)::bigint;
  was bigint;
  done jsonb;
begin
  -- The lock lets no one revoke it meanwhile, nor is it read as it was before.
  select t.* into manager from access_tokens t where t.access_log_proof = sha256(p_proof) and 'manage'::text = any (t.scopes) and t.revoked_at is null
    and coalesce(t.expires_at, 'infinity'::timestamptz) > clock_timestamp() for share;
  giver := coalesce(manager.name, case p_order when 'sink replay'::text then orgtrail_session_replays(p_proof) end);
  if needed is null or giver is null and (p_proof is not null
    or not pg_catalog.has_table_privilege(session_user, needed[1]::regclass::oid, needed[2])) then
    raise exception 'this % may not do that: %', case when p_proof is null then 'account' else 'token or session' end, p_order
      using errcode = 'insufficient_privilege';
  end if;
  giver_as := session_user::text || coalesce(' for the token '::text || giver, ''::text);
  case p_order
  when 'hold add'::text then
    insert into holds (organization_id, account_id, since, before, reason, created_by, created_as)
    values (p_given ->> 'organizationId'::text, p_given ->> 'accountId'::text,
      coalesce((p_given ->> 'since'::text)::timestamptz, '-infinity'::timestamptz),
      coalesce((p_given ->> 'before'::text)::timestamptz, 'infinity'::timestamptz), p_given ->> 'reason'::text, sayer, giver_as)
    returning pg_catalog.jsonb_build_object('id', id) into done;
  when 'hold release'::text then
    update holds set released_at = clock_timestamp(), released_as = giver_as, released_by = sayer
    where id = (p_given ->> 'id'::text)::bigint and released_at is null returning pg_catalog.jsonb_build_object('id', id) into done;
  when 'hold confirm'::text then
    -- This connection may be the first one on the server.
    perform orgtrail_check_timeline();
    with ended as (
      update retention_waits set confirmed_at = clock_timestamp(), confirmed_as = giver_as, confirmed_by = sayer
      where confirmed_at is null and ends_at > clock_timestamp() returning reason)
    select pg_catalog.jsonb_build_object('reasons', pg_catalog.jsonb_agg(reason)) into done from ended having count(*) > 0;
  when 'token create'::text then
    if giver is not null and (not wanted operator(pg_catalog.<@) manager.scopes or (p_given ? 'accessLog'::text and not manager.sees_access_log)
      or coalesce(token_ends_at, 'infinity'::timestamptz) > coalesce(manager.expires_at, 'infinity'::timestamptz)) then
      raise exception 'a token gives no right that it lacks, and none for longer than it lasts' using errcode = 'insufficient_privilege';
    end if;
    if token_name = 'ORGTRAIL_FEED_TOKEN'::text or token_name !~ '^[A-Za-z0-9_.@-]{1,64}$'::text then
      raise exception 'this is no name of a token' using errcode = 'check_violation';
    end if;
    insert into access_tokens (name, scopes, hash, expires_at, created_as, access_log_proof, sees_access_log, replays_sinks, made_by)
    values (token_name, wanted, decode(p_given ->> 'hash'::text, 'hex'::text), token_ends_at, giver_as, decode(p_given ->> 'proof'::text, 'hex'::text),
      p_given ? 'accessLog'::text, p_given ? 'replay'::text, manager.id)
    returning pg_catalog.jsonb_build_object('id', id) into done;
  when 'token revoke'::text then
    -- With those that were made with it.
    with recursive revoked as (
      select t.id, 0 as depth from access_tokens t where t.name = token_name and t.revoked_at is null
      union all select t.id, r.depth + 1 from access_tokens t join revoked r on t.made_by = r.id),
    ended as (
      update access_tokens t set revoked_at = clock_timestamp(), revoked_as = giver_as from revoked r
      where t.id = r.id and t.revoked_at is null returning t.id, r.depth)
    select pg_catalog.jsonb_build_object('id', e.id) into done from ended e where e.depth = 0;
  when 'sink replay'::text then
    -- All after the position goes out again. The new epoch keeps a delivery under way from undoing that. A session sets a sink only back.
    select s.position into was from sinks s where s.name = p_given ->> 'sink'::text for update;
    update sinks s set position = to_position, batch_until = null, lease_epoch = s.lease_epoch + 1, lease_until = null,
      failures = 0, refused_in_row = 0, next_attempt_at = null, last_error = null
    where s.name = p_given ->> 'sink'::text and to_position between 0 and (select h.position from feed_head h)
      and (to_position <= s.position or p_given ? 'skip'::text and (giver is null or manager.id is not null))
    returning pg_catalog.jsonb_build_object('from', was) into done;
  end case;
  if done is null then return null; end if;
  insert into access_log (kind, outcome, who, address, route, status, what, requests)
  values (case p_order when 'sink replay'::text then 'replay' else split_part(p_order, ' '::text, 1) end, 'ok', coalesce(giver, sayer),
    left(p_address, 100), left(p_route, 200), case when manager.id is not null then 200 when giver is not null then 303 end,
    case when giver is null then p_given - 'by'::text else p_given end - 'hash'::text - 'proof'::text || done, 1);
  return done;
end
$function$;
--> statement-breakpoint
do $do$
begin
  execute pg_catalog.format('alter function orgtrail_order security definer set search_path = %I, pg_temp', current_schema());
  execute 'alter function orgtrail_order set lock_timeout = ''30s''';
  execute 'revoke execute on function orgtrail_order from public';
end
$do$;
