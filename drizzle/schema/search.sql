-- Indexes for the questions people ask (docs/decisions/20 has what each costs), the history of one resource, and saved searches.

-- Null for what is no address, never an error: an entry is stored whatever it holds.
create function orgtrail_ip(p_text text) returns inet
language sql immutable parallel safe as $function$
  select case
    when p_text ~* '^(?:::(?:ffff:)?)?(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$' then p_text::inet
    when length(p_text) <= 40 and p_text ~* '^(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}:){1,7}:|(?:[0-9a-f]{1,4}:){1,6}:[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}:){1,5}(?::[0-9a-f]{1,4}){1,2}|(?:[0-9a-f]{1,4}:){1,4}(?::[0-9a-f]{1,4}){1,3}|(?:[0-9a-f]{1,4}:){1,3}(?::[0-9a-f]{1,4}){1,4}|(?:[0-9a-f]{1,4}:){1,2}(?::[0-9a-f]{1,4}){1,5}|[0-9a-f]{1,4}:(?::[0-9a-f]{1,4}){1,6}|:(?:(?::[0-9a-f]{1,4}){1,7}|:))$' then p_text::inet
  end
$function$;

-- What an event says of a zone, of a token by name, and of an e-mail address that is not in small letters: many values in one index. Zones are
-- hashes, as no beginning is asked of them. Words of PostgreSQL have at most 2,046 bytes.
create function orgtrail_names(p_zone_id text, p_zone_name text, p_token_name text, p_email text) returns tsvector
language sql immutable parallel safe as $function$
  select array_to_tsvector(array_remove(array['z' || left(md5(lower(p_zone_id collate "default")), 10),
    'z' || left(md5(lower(p_zone_name collate "default")), 10), 't' || left(lower(p_token_name collate "default"), 400),
    case when p_email <> lower(p_email collate "default") then 'e' || left(lower(p_email collate "default"), 400) end], null))
$function$;
create function orgtrail_zone(p_zone text) returns tsquery
language sql immutable parallel safe as $function$
  select ('z' || left(md5(lower(p_zone)), 10))::tsquery
$function$;
-- p_kind: t or e, as above.
create function orgtrail_name(p_kind text, p_name text, p_is_beginning boolean) returns tsquery
language sql immutable parallel safe as $function$
  select (E'\'' || p_kind || replace(replace(left(lower(p_name), 400), E'\\', E'\\\\'), E'\'', E'\'\'')
    || case when p_is_beginning then E'\':*' else E'\'' end)::tsquery
$function$;

-- What an entry does to what it is about: `create`, `update` or `delete`, from its action. A batch is one entry with one action, whatever it does: there,
-- from the lists that it has, and `mixed` in front of several. The one place that says it: search, top values and pages ask it. Inlined, so that only
-- a batch is looked into; a quote inside a text of JSON has a backslash, and so cannot pretend to be a list.
create function orgtrail_effects(p_action_type text, p_uri text, p_raw json) returns text[]
language sql immutable parallel safe as $function$
  select case
    when p_uri like '%/batch%' and p_raw::text ~ '"(posts|patches|puts|deletes)"\s*:\s*\[\s*[{"]' then array_remove(array[
      case when (p_raw::text ~ '"posts"\s*:\s*\[\s*[{"]')::integer + (p_raw::text ~ '"(patches|puts)"\s*:\s*\[\s*[{"]')::integer
        + (p_raw::text ~ '"deletes"\s*:\s*\[\s*[{"]')::integer > 1 then 'mixed' end,
      case when p_raw::text ~ '"posts"\s*:\s*\[\s*[{"]' then 'create' end,
      case when p_raw::text ~ '"(patches|puts)"\s*:\s*\[\s*[{"]' then 'update' end,
      case when p_raw::text ~ '"deletes"\s*:\s*\[\s*[{"]' then 'delete' end], null)
    when lower(p_action_type) in ('create', 'update', 'delete') then array[lower(p_action_type)] end
$function$;

-- Searches take these columns whatever the case of their letters. Nearly all values are in small letters: the others are kept here, once each, and
-- an index is asked for all spellings. They are words of Cloudflare, which stay when events are dropped.
create table event_spellings (
  column_name text collate "C" not null,
  folded text collate "C" not null,
  value text not null
);
create unique index event_spellings_once on event_spellings (column_name, folded, md5(value));
comment on table event_spellings is 'What audit_events has in action_type, action_result, resource_product and resource_type that is not in small letters.';
comment on column event_spellings.column_name is 'Of audit_events.';
comment on column event_spellings.folded is 'The value in small letters, cut.';
comment on column event_spellings.value is 'As events have it.';

create function orgtrail_note_spellings() returns trigger
language plpgsql security definer set search_path from current as $function$
begin
  insert into event_spellings (column_name, folded, value)
  select s.column_name, left(lower(s.value), 400), s.value
  from (values ('action_type', new.action_type), ('action_result', new.action_result), ('resource_product', new.resource_product),
    ('resource_type', new.resource_type)) s (column_name, value)
  where s.value <> lower(s.value)
  on conflict do nothing;
  return null;
end
$function$;
create trigger spellings_are_noted after insert or update on audit_events for each row
  when (new.action_type <> lower(new.action_type) or new.action_result <> lower(new.action_result)
    or new.resource_product <> lower(new.resource_product) or new.resource_type <> lower(new.resource_type))
  execute function orgtrail_note_spellings();

-- On the parent: every partition has them, and every new one. A statement locks each: test/long/postgres/locks.test.ts counts them.
create index audit_events_time on audit_events (action_time, position);
create index audit_events_organization on audit_events (organization_id, action_time, position);
create index audit_events_account on audit_events (account_id, action_time, position) where account_id is not null;
-- Values that come often are one entry with a list of rows: without the time these stay small, and a month holds few rows of each.
create index audit_events_actor_id on audit_events (actor_id);
create index audit_events_resource_id on audit_events (resource_id);
create index audit_events_resource_action on audit_events (resource_type, action_type);
-- text_pattern_ops serves equality, and what a text begins with, in every locale.
create index audit_events_actor_email on audit_events (actor_email text_pattern_ops);
create index audit_events_actor_ip_address on audit_events (actor_ip_address text_pattern_ops);
create index audit_events_actor_token_id on audit_events (actor_token_id text_pattern_ops) where actor_token_id is not null;
create index audit_events_names on audit_events
  using gin (orgtrail_names(zone_id, zone_name, actor_token_name, actor_email)) with (gin_pending_list_limit = 128);
-- What is no plain success. With it the results of an organization, or of all, are counted without reading rows (docs/decisions/25), and entries
-- with defects, of which there are hardly any, are found among its own.
create index audit_events_exceptions on audit_events (action_time, position, defects)
  include (organization_id, action_result, actor_email, actor_ip_address)
  where action_result <> 'success' or action_result is null or defects is not null;
-- A Bloom filter for each MB: nothing is written to it with an event, but when a MB is full.
create index audit_events_ray on audit_events
  using brin (raw_cf_ray_id text_bloom_ops (n_distinct_per_range = 2000, false_positive_rate = 0.01))
  with (pages_per_range = 128, autosummarize = on);

-- The events of one resource, for people who ask what became of it. Reads only: nothing that is stored changes.
create function orgtrail_history_of(p_position bigint) returns table ("position" bigint, action_time timestamptz, matched_by text)
language plpgsql stable rows 50 parallel safe set plan_cache_mode = force_custom_plan as $function$
declare
  subject record;
  of_user boolean;
begin
  select e.position, e.action_time, nullif(e.resource_id, '') as resource_id, e.resource_product as product, e.resource_type as type,
    e.resource_scope as scope, nullif(split_part(e.raw_uri, '?', 1), '') as path, upper(e.raw_method) as method,
    e.organization_id, e.account_id, e.zone_id
  into subject from audit_events e where e.position = p_position limit 1;
  if not found then return; end if;
  of_user := coalesce(subject.scope in ('user', 'memberships'), false);
  return query
  with matched as (
    select e.position, e.action_time, 'id' as matched_by, e.id, e.source_kind, e.organization_id, e.account_id, e.zone_id
    from audit_events e
    where subject.resource_id is not null and e.resource_id = subject.resource_id
      and e.resource_product is not distinct from subject.product and e.resource_type is not distinct from subject.type
    union all
    -- A POST goes to the collection, which many resources share.
    select e.position, e.action_time, 'uri', e.id, e.source_kind, e.organization_id, e.account_id, e.zone_id
    from audit_events e
    where subject.resource_id is null and subject.path is not null and subject.method is distinct from 'POST'
      and e.resource_type is not distinct from subject.type and split_part(e.raw_uri, '?', 1) = subject.path
    union all
    select e.position, e.action_time, 'type', e.id, e.source_kind, e.organization_id, e.account_id, e.zone_id
    from audit_events e
    where subject.resource_id is null and (subject.path is null or subject.method = 'POST')
      and subject.type is not null and e.resource_type = subject.type
      and e.resource_product is not distinct from subject.product
    union all
    select subject.position, subject.action_time, 'itself', null, null, subject.organization_id, subject.account_id, subject.zone_id
    where subject.resource_id is null and (subject.path is null or subject.method = 'POST') and subject.type is null
  ), owned as (
    -- Short ids such as the name of a setting exist in every zone and account. What an entry does not say, does not tell them apart.
    select m.* from matched m
    where of_user or (
      coalesce(m.zone_id = subject.zone_id, true)
      and case
        when m.account_id is not null and subject.account_id is not null then m.account_id = subject.account_id
        else coalesce(m.organization_id = subject.organization_id, true) end)
  )
  select o.position, o.action_time, o.matched_by from (
    select m.*, row_number() over (partition by m.source_kind, m.id, m.action_time order by m.position) as copy from owned m
  ) o
  -- An entry of a user is in the log of each of his accounts: the history has it once. What counts as a copy is as in audit_history.
  where o.position = subject.position
    or not (of_user and o.source_kind = 'account' and o.action_time > '-infinity')
    or o.copy = 1 and not exists (select from owned own where own.position = subject.position
      and own.source_kind = 'account' and own.id = o.id and own.action_time = o.action_time);
end
$function$;

comment on function orgtrail_history_of(bigint) is 'The events about the resource of the event at a position, itself included. matched_by: id '
  '(the same id, product and type), uri (the same path of the request; exact as well), type (no more than the same product and type: other '
  'resources, too), itself (the entry does not say what it is about). Within one zone and account, or organization; of a user''s profile each '
  'entry once.';

-- Searches that people keep under a name, for all who may search (docs/console.md, docs/decisions/24).
create table saved_searches (
  id bigint generated always as identity primary key,
  name text collate "C" not null check (length(name) between 1 and 100 and name = btrim(name)),
  search text not null check (length(search) <= 8000),
  saved_by text,
  saved_as text not null default session_user,
  saved_at timestamptz not null default clock_timestamp(),
  renamed_by text,
  renamed_at timestamptz
);
create unique index saved_searches_name on saved_searches ((lower(name) collate "C"));
comment on table saved_searches is 'Searches that people keep under a name. Written by orgtrail_save_search, orgtrail_rename_search and '
  'orgtrail_delete_search alone.';
comment on column saved_searches.id is 'Its number.';
comment on column saved_searches.name is 'Unique, whatever the case of its letters.';
comment on column saved_searches.search is 'The parameters of its link, as they stand behind /events?. Relative times are kept as they were written.';
comment on column saved_searches.saved_by is 'The name of the token, or ORGTRAIL_FEED_TOKEN; null: open on loopback, or saved by a command.';
comment on column saved_searches.saved_as is 'The database account that saved it: that of the daemon, or of who ran the command.';
comment on column saved_searches.saved_at is 'When it was saved.';
comment on column saved_searches.renamed_by is 'Who renamed it last, as saved_by; null: not known, or it was not renamed.';
comment on column saved_searches.renamed_at is 'When it was renamed last; null: it was not.';

-- Keeps a search: `saved`, `name taken`, or `full` when 500 are kept.
create function orgtrail_save_search(p_name text, p_search text, p_by text, out outcome text, out saved_id bigint)
language plpgsql security definer set search_path from current as $function$
begin
  -- One at a time: else two could both be the last one that fits.
  lock table saved_searches in share row exclusive mode;
  if exists (select from saved_searches s where lower(s.name) collate "C" = lower(p_name) collate "C") then
    outcome := 'name taken';
  elsif (select count(*) from saved_searches) >= 500 then
    outcome := 'full';
  else
    insert into saved_searches (name, search, saved_by) values (p_name, p_search, left(p_by, 200)) returning id into saved_id;
    outcome := 'saved';
  end if;
end
$function$;

-- `renamed`, `name taken`, or `unknown` if there is no such search.
create function orgtrail_rename_search(p_id bigint, p_name text, p_by text) returns text
language plpgsql security definer set search_path from current as $function$
begin
  update saved_searches s set name = p_name, renamed_by = left(p_by, 200), renamed_at = clock_timestamp() where s.id = p_id;
  return case when found then 'renamed' else 'unknown' end;
exception when unique_violation then
  return 'name taken';
end
$function$;

-- False if there is no such search.
create function orgtrail_delete_search(p_id bigint) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  delete from saved_searches s where s.id = p_id;
  return found;
end
$function$;

-- Tells a sink what newly matches a saved search.
create table search_tells (
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

create table search_matches (
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
create index search_matches_sink on search_matches (sink, number);
create index search_matches_search on search_matches (search_id);
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

-- `told`, `ended` (without a sink), `unknown` if there is no such search, `no sink` if there is no such sink. What is asked already goes on where it was.
create function orgtrail_tell_search(p_id bigint, p_sink text, p_every_seconds integer, p_by text) returns text
language plpgsql security definer set search_path from current as $function$
begin
  if not exists (select from saved_searches s where s.id = p_id) then
    return 'unknown';
  elsif p_sink is null then
    delete from search_tells t where t.search_id = p_id;
    return 'ended';
  elsif not exists (select from sinks s where s.name = p_sink) then
    return 'no sink';
  end if;
  insert into search_tells as t (search_id, sink, every_seconds, told_by, position)
  select p_id, p_sink, p_every_seconds, left(p_by, 200), h.position from feed_head h
  on conflict (search_id) do update set sink = excluded.sink, every_seconds = excluded.every_seconds, told_by = excluded.told_by,
    failed_at = null, error = null;
  return 'told';
end
$function$;

-- It has been asked from one position to another, and `p_match` is a row of search_matches, or null. False, with nothing written: another replica
-- has done it.
create function orgtrail_note_search_matches(p_id bigint, p_from bigint, p_to bigint, p_match jsonb) returns boolean
language plpgsql security definer set search_path from current as $function$
declare
  told search_tells;
begin
  update search_tells t set position = p_to, asked_at = clock_timestamp(), error = null
  where t.search_id = p_id and t.position = p_from and p_to between p_from and (select h.position from feed_head h)
  returning * into told;
  if not found then
    return false;
  elsif p_match is null then
    return true;
  end if;
  -- Until the commit, so that numbers follow the order of commits.
  lock table search_matches in share row exclusive mode;
  insert into search_matches (search_id, sink, name, events, position, first_time, last_time, actor, actor_ip_address, link, summary)
  select p_id, told.sink, s.name, m.events, m.position, m.first_time, m.last_time, left(m.actor, 1000), left(m.actor_ip_address, 100),
    left(m.link, 10000), left(m.summary, 2000)
  from saved_searches s, jsonb_populate_record(null::search_matches, p_match) m where s.id = p_id;
  update search_tells t set matched = t.matched + (p_match ->> 'events')::integer, last_match_at = clock_timestamp() where t.search_id = p_id;
  delete from search_matches m where m.delivered_at < clock_timestamp() - interval '30 days' or m.noted_at < clock_timestamp() - interval '1 year';
  return true;
end
$function$;

create function orgtrail_note_tell_failure(p_id bigint, p_error text) returns void
language plpgsql security definer set search_path from current as $function$
begin
  update search_tells t set failed_at = clock_timestamp(), error = left(p_error, 1000) where t.search_id = p_id;
end
$function$;

-- As orgtrail_finish_alarms, of what newly matched.
create function orgtrail_finish_search_matches(p_name text, p_epoch bigint, p_number bigint, p_accepted bigint, p_lease_ms float8) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  if not orgtrail_finish_delivery(p_name, p_epoch, (select h.position from feed_head h), p_accepted, 0, '{}', '{}', p_lease_ms) then
    return false;
  end if;
  update search_matches m set delivered_at = clock_timestamp() where m.sink = p_name and m.number <= p_number and m.delivered_at is null;
  return true;
end
$function$;
