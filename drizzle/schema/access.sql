-- Tokens with a name, sessions of the console, and the trail of who was given what (docs/access.md). The account of the daemon reads the trail and
-- sets a sink back only for a session that has proven its token (docs/decisions/12): neither the hashes of tokens nor a session that the account
-- itself makes are enough.
create table access_tokens (
  id bigint generated always as identity primary key,
  name text collate "C" not null,
  hash bytea not null unique check (octet_length(hash) = 32),
  scopes text[] not null check (cardinality(scopes) > 0 and scopes <@ array['feed', 'search', 'metrics', 'manage']),
  expires_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  created_as text not null default session_user,
  revoked_at timestamptz,
  revoked_as text,
  access_log_proof bytea check (octet_length(access_log_proof) = 32),
  sees_access_log boolean not null default false,
  replays_sinks boolean not null default false,
  made_by bigint references access_tokens (id)
);
create unique index access_tokens_name on access_tokens (name) where revoked_at is null;
comment on table access_tokens is 'Tokens of the HTTP API and the console, made by `orgtrail token create`. Revoked ones stay, as evidence.';
comment on column access_tokens.id is 'Its number.';
comment on column access_tokens.name is 'Whose it is. Unique among those that are not revoked.';
comment on column access_tokens.hash is 'SHA-256 of the token, which has 256 random bits. The token itself is stored nowhere.';
comment on column access_tokens.scopes is 'What it opens: feed, search (the console included), metrics; manage: it may give orders.';
comment on column access_tokens.expires_at is 'From then on it opens nothing; null: it does not expire.';
comment on column access_tokens.created_at is 'When it was made.';
comment on column access_tokens.created_as is 'The database account that made it, and the token for which it did.';
comment on column access_tokens.revoked_at is 'When it was revoked; null: it was not.';
comment on column access_tokens.revoked_as is 'The database account that revoked it, and the token for which it did.';
comment on column access_tokens.access_log_proof is 'SHA-256 of what a daemon makes of the token itself at a sign-in, to read access_log and to '
  'set sinks back for it, and of an order; null: made before migration 0061, and does none of these.';
comment on column access_tokens.sees_access_log is 'Its sessions of the console read all of access_log; else the rows of the token alone.';
comment on column access_tokens.replays_sinks is 'Its sessions of the console may set a sink back.';
comment on column access_tokens.made_by is 'The token with which it was made, and with which it is revoked; null: by an account.';

create table console_sessions (
  key bytea primary key check (octet_length(key) = 32),
  token_id bigint references access_tokens (id),
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null
);
comment on table console_sessions is 'Who is signed in to the console. Signing out deletes the row, which ends the session on every replica.';
comment on column console_sessions.key is 'A hash of what the cookie holds: nobody can sign in with it. Keyed with ORGTRAIL_FEED_TOKEN for its '
  'sessions, so that another token ends them.';
comment on column console_sessions.token_id is 'The token that it was begun with; null: ORGTRAIL_FEED_TOKEN.';
comment on column console_sessions.created_at is 'When it began.';
comment on column console_sessions.expires_at is 'When it ends at the latest. It ends with its token, too.';

create table console_session_proofs (
  key bytea primary key references console_sessions (key) on delete cascade,
  token_id bigint not null references access_tokens (id),
  proof bytea not null unique check (octet_length(proof) = 32)
);
comment on table console_session_proofs is 'Sessions of the console that have proven their token, and so read access_log, or set sinks back. '
  'Written by orgtrail_prove_session alone.';
comment on column console_session_proofs.key is 'That of the session.';
comment on column console_session_proofs.token_id is 'The token that was proven.';
comment on column console_session_proofs.proof is 'SHA-256 of what a daemon makes of the cookie of the session, to read access_log and to set '
  'sinks back for it.';

create table access_log (
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
create index access_log_at on access_log (at);
create index access_log_who on access_log (who, at, id);
comment on table access_log is 'Who was given what, and who was refused: written by orgtrail_note_access alone, which keeps a row for 400 days. '
  'The sums of events and requests over rows are what was given in total (docs/access.md).';
comment on column access_log.id is 'Its number.';
comment on column access_log.at is 'When the row was written, by the clock of the database.';
comment on column access_log.kind is 'sign-in, sign-out, refusal, search, export, event, feed, access-log; saved-search, mute, replay; by a '
  'command: archive, evidence, hold, replay, token.';
comment on column access_log.outcome is 'begun (the end is another row), ok, refused, failed, cut off (the connection ended before the answer did).';
comment on column access_log.who is 'The name of the token, or ORGTRAIL_FEED_TOKEN; of a command what --by says; null: open on loopback, or not '
  'known.';
comment on column access_log.account is 'The database account that wrote the row: that of the daemon, or of who ran the command. Nobody can '
  'choose it.';
comment on column access_log.address is 'Where the request came from; null for a command, and where very many addresses were refused within an hour.';
comment on column access_log.route is 'The route of the request, or the command.';
comment on column access_log.status is 'The HTTP status of the answer; null for a command.';
comment on column access_log.what is 'The parameters of the search, the filter of the feed, the position of the event, or the arguments of the '
  'command. Never a secret.';
comment on column access_log.events is 'How many events were given; null where that is not known or makes no sense.';
comment on column access_log.requests is 'How many requests the row stands for: the same one repeated within an hour is one row at the end of '
  'it; 0: one that has only begun.';

-- Appends to the trail; who may call it cannot change or remove a row younger than 400 days. Of parameters that are too long, the beginning.
-- Every type is exact, so that nothing outside pg_catalog is called.
create function orgtrail_note_access(p_notes jsonb) returns void
language plpgsql security definer set search_path from current as $function$
begin
  insert into access_log (kind, outcome, who, address, route, status, what, events, requests)
  select coalesce(left(note ->> 'kind', 40), 'unknown'), coalesce(left(note ->> 'outcome', 40), 'unknown'),
    left(note ->> 'who', 200), left(note ->> 'address', 100), left(note ->> 'route', 200), (note ->> 'status')::integer,
    case when length(note ->> 'what') <= 8000 then note -> 'what' else jsonb_build_object('cut', left(note ->> 'what', 8000)) end,
    (note ->> 'events')::bigint, coalesce((note ->> 'requests')::bigint, 1::bigint)
  from jsonb_array_elements(p_notes) as notes (note) limit 1000;
  delete from access_log where id in (
    select id from access_log where at < clock_timestamp() - interval '400 days' order by at limit 1000);
end
$function$;

-- On which day, in UTC, each token was last used over HTTP; those without a row of their own are left out.
create function orgtrail_token_use() returns table (token_id bigint, used_on date)
language sql stable security definer set search_path from current as $function$
  select t.id, (used.at at time zone 'UTC')::date from access_tokens t cross join lateral (
    -- Bounds, an order and a collation that only access_log_who has: by the times alone, a token that is not used would be looked for in all rows.
    select l.at from access_log l where l.who >= t.name collate "default" and l.who <= t.name collate "default" and l.at >= t.created_at and l.at <= coalesce(t.revoked_at, 'infinity'::timestamptz)
      and l.address is not null and l.outcome <> 'refused' order by l.who desc, l.at desc limit 1) as used
$function$;

-- Proves that a session of the console began with the token that it names. False: the proof is not that of a token in force, or there is no
-- such session.
create function orgtrail_prove_session(p_key bytea, p_token_proof bytea, p_session_proof bytea) returns boolean
language plpgsql security definer set search_path from current as $function$
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

-- What of access_log is shown: all, own (the rows of one token, from when it was made) or none. A session that is proven has what its token has. Else
-- it is what the account itself may read: then the caller says for whom (null: the shared token, or a local request).
create function orgtrail_access_log_shown(p_session_proof bytea, p_token text, out shown text, out token text, out since timestamptz)
language plpgsql stable security definer set search_path from current as $function$
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

-- Rows of access_log, the newest first, as far as orgtrail_access_log_shown lets them be seen. Rows before (p_at, p_id), if given.
create function orgtrail_read_access_log(p_session_proof bytea, p_token text, p_who text, p_kind text, p_since timestamptz, p_before timestamptz,
  p_at timestamptz, p_id bigint, p_limit integer) returns setof access_log
language plpgsql stable security definer set search_path from current as $function$
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

-- The name of the token by which this session may set sinks back; null: it may not.
create function orgtrail_session_replays(p_session_proof bytea) returns text
language sql stable security definer set search_path from current as $function$
  select t.name from console_session_proofs p join console_sessions s on s.key = p.key join access_tokens t on t.id = p.token_id
  where p.proof = sha256(p_session_proof) and s.expires_at > clock_timestamp() and s.token_id = t.id and t.replays_sinks and 'search' = any (t.scopes)
    and t.revoked_at is null and coalesce(t.expires_at, 'infinity'::timestamptz) > clock_timestamp()
$function$;

-- An order, with its row of access_log in the same transaction. It is given by an account that may change the table anyway, by the proof of a token that
-- has the scope manage, or, to set a sink back or thaw a month, by the proof of a session that may. A token gives no right that it lacks, and none for longer than it
-- lasts itself. Null: there is nothing of that name, or there was nothing to do. Every type is exact or the name has its schema, so that nothing
-- outside pg_catalog is called. It waits for 30 seconds: who is told that an order failed must not find it done later.
create function orgtrail_order(p_order text, p_given jsonb, p_proof bytea, p_address text, p_route text) returns jsonb
language plpgsql security definer set search_path from current set lock_timeout = '30s' as $function$
declare
  manager access_tokens;
  giver text;
  giver_as text;
  needed constant text[] := case p_order when 'hold add'::text then array['holds', 'insert'] when 'hold release'::text then array['holds', 'update']
    when 'hold confirm'::text then array['retention_waits', 'update'] when 'token create'::text then array['access_tokens', 'insert']
    when 'token revoke'::text then array['access_tokens', 'update'] when 'sink replay'::text then array['sinks', 'update']
    when 'archive thaw'::text then array['archive_thaws', 'insert'] end;
  sayer constant text := left(p_given ->> 'by'::text, 200);
  wanted constant text[] := array(select w from pg_catalog.jsonb_array_elements_text(p_given -> 'scopes'::text) as w);
  token_ends_at constant timestamptz := (p_given ->> 'expiresAt'::text)::timestamptz;
  token_name constant text := p_given ->> 'name'::text;
  thawed date;
  thaw_ends timestamptz;
  to_position constant bigint := (p_given ->> 'after'::text)::bigint;
  was bigint;
  done jsonb;
begin
  -- The lock lets no one revoke it meanwhile, nor is it read as it was before.
  select t.* into manager from access_tokens t where t.access_log_proof = sha256(p_proof) and 'manage'::text = any (t.scopes) and t.revoked_at is null
    and coalesce(t.expires_at, 'infinity'::timestamptz) > clock_timestamp() for share;
  giver := coalesce(manager.name, case p_order when 'sink replay'::text then orgtrail_session_replays(p_proof)
    when 'archive thaw'::text then (
      select t.name from console_session_proofs p join console_sessions s on s.key = p.key join access_tokens t on t.id = p.token_id
      where p.proof = sha256(p_proof) and s.expires_at > clock_timestamp() and s.token_id = t.id and 'manage'::text = any (t.scopes)
        and t.revoked_at is null and coalesce(t.expires_at, 'infinity'::timestamptz) > clock_timestamp()) end);
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
  when 'archive thaw'::text then
    -- One that there is lasts longer, or ends sooner.
    thawed := to_date(p_given ->> 'month'::text, 'YYYY-MM'::text);
    thaw_ends := clock_timestamp() + (p_given ->> 'for'::text)::interval;
    lock table archive_thaws in share row exclusive mode;
    update archive_thaws t set ends_at = thaw_ends where t.month = thawed and t.state in ('asked', 'thawed')
    returning pg_catalog.jsonb_build_object('id', t.id) into done;
    if done is null and thaw_ends > clock_timestamp() then
      insert into archive_thaws (month, ends_at, reason, asked_by, asked_as, events)
      select thawed, thaw_ends, p_given ->> 'reason'::text, sayer, giver_as, sum(o.events) from archive_objects o
      where o.month = thawed and o.kind = 'events' and o.superseded_at is null and o.dropped_at is not null having count(*) > 0
      returning pg_catalog.jsonb_build_object('id', id) into done;
    end if;
  end case;
  if done is null then return null; end if;
  insert into access_log (kind, outcome, who, address, route, status, what, requests)
  values (case p_order when 'sink replay'::text then 'replay' else split_part(p_order, ' '::text, 1) end, 'ok', coalesce(giver, sayer),
    left(p_address, 100), left(p_route, 200), case when manager.id is not null then 200 when giver is not null then 303 end,
    case when giver is null then p_given - 'by'::text else p_given end - 'hash'::text - 'proof'::text || done, 1);
  return done;
end
$function$;
