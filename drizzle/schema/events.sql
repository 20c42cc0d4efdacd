-- Entries, by month of action_time, and what their later contents were.

-- Immutable, so that it can be indexed (orgtrail migrate --search-index), and null instead of an error where jsonb cannot hold the entry.
create function orgtrail_payload(raw json, defects text[]) returns jsonb
language sql immutable parallel safe as $function$
  select case when defects && array['nul_character', 'lone_surrogate', 'number_out_of_range', 'nested_too_deeply', 'refused_by_database']
    then null else raw::jsonb end
$function$;

create table audit_events (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  organization_id text collate "C",
  id text collate "C" not null,
  position bigint not null,
  action_time timestamptz not null,
  received_at timestamptz not null default clock_timestamp(),
  action_type text,
  action_result text,
  action_description text,
  actor_id text,
  actor_type text,
  actor_context text,
  actor_email text,
  actor_ip_address text,
  actor_token_id text,
  actor_token_name text,
  raw_cf_ray_id text,
  raw_method text,
  raw_status_code integer,
  raw_uri text,
  raw_user_agent text,
  resource_id text,
  resource_product text,
  resource_type text,
  resource_scope text,
  raw json not null,
  defects text[],
  account_id text collate "C",
  account_name text,
  zone_id text collate "C",
  zone_name text
) partition by range (action_time);
create table audit_events_default partition of audit_events default;
create unique index audit_events_once on audit_events (source_kind, source_id, id, action_time);
create index audit_events_position on audit_events (position);
-- Not validated: that would read every event. `orgtrail evidence verify` counts those that were there before.
alter table audit_events
  add constraint audit_events_position_from_1 check (position > 0) not valid;
comment on table audit_events is 'Every audit-log entry, once per source and id, first seen wins. Never updated. Follow it by position: '
  'gapless, in commit order.';
comment on column audit_events.source_kind is 'organization: the audit log of one.';
comment on column audit_events.source_id is 'Within the kind: the organization''s id.';
comment on column audit_events.organization_id is 'Cloudflare''s id of the organization.';
comment on column audit_events.id is 'Cloudflare''s id of the entry; sha256:… where it has none or one that is too long.';
comment on column audit_events.position is 'Orders the feed: who has seen p never later meets a row below p.';
comment on column audit_events.action_time is '-infinity where the entry has no time that can be read (see defects).';
comment on column audit_events.received_at is 'When it was stored.';
comment on column audit_events.action_type is 'action.type: create, update, delete, view; others may come.';
comment on column audit_events.action_result is 'action.result: success or failure; others may come.';
comment on column audit_events.action_description is 'action.description: what was done, in words.';
comment on column audit_events.actor_id is 'actor.id: who did it.';
comment on column audit_events.actor_type is 'actor.type: user, account, cloudflare_admin, …';
comment on column audit_events.actor_context is 'actor.context: dash, api_token, api_key, …';
comment on column audit_events.actor_email is 'actor.email, where the actor has one.';
comment on column audit_events.actor_ip_address is 'actor.ip_address: from where.';
comment on column audit_events.actor_token_id is 'actor.token_id: with which API token (no secret).';
comment on column audit_events.actor_token_name is 'actor.token_name.';
comment on column audit_events.raw_cf_ray_id is 'raw.cf_ray_id (or cf_rayid) of the request.';
comment on column audit_events.raw_method is 'raw.method: the HTTP method.';
comment on column audit_events.raw_status_code is 'raw.status_code: the HTTP status.';
comment on column audit_events.raw_uri is 'raw.uri: the path that was called.';
comment on column audit_events.raw_user_agent is 'raw.user_agent.';
comment on column audit_events.resource_id is 'resource.id: what it was done to.';
comment on column audit_events.resource_product is 'resource.product.';
comment on column audit_events.resource_type is 'resource.type.';
comment on column audit_events.resource_scope is 'resource.scope; as JSON text where it is no string.';
comment on column audit_events.raw is 'What Cloudflare sent, to the byte of the element. With defect nested_too_deeply or refused_by_database: '
  'a JSON string that holds that text.';
comment on column audit_events.defects is 'Null where the entry could be read in full; else what could not.';
comment on column audit_events.account_id is 'The account that the entry is about; of an accounts log always set.';
comment on column audit_events.account_name is 'Its name, as the entry says.';
comment on column audit_events.zone_id is 'The zone that the entry is about.';
comment on column audit_events.zone_name is 'Its name, as the entry says.';

-- A month takes its rows out of the default partition: PostgreSQL refuses that where a publication publishes deletes (one for all tables
-- does) of a table whose rows it cannot name.
alter table audit_events_default replica identity using index audit_events_default_source_kind_source_id_id_action_time_idx;

create table audit_event_changes (
  id bigint generated always as identity primary key,
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  event_id text collate "C" not null,
  position bigint not null,
  raw json not null,
  raw_sha256 text not null,
  seen_at timestamptz not null default clock_timestamp(),
  constraint audit_event_changes_source_kind_source_id_event_id_raw_sha2_key unique (source_kind, source_id, event_id, raw_sha256)
);
comment on table audit_event_changes is 'Later content of an id that was already stored with other content; position is that of the stored event.';
comment on column audit_event_changes.id is 'A number of its own, in the order in which changes were seen.';
comment on column audit_event_changes.source_kind is 'organization: the audit log of one.';
comment on column audit_event_changes.source_id is 'Within the kind: the organization''s id.';
comment on column audit_event_changes.event_id is 'The id of the entry.';
comment on column audit_event_changes.position is 'Of the event in the feed.';
comment on column audit_event_changes.raw is 'The later content, as Cloudflare sent it.';
comment on column audit_event_changes.raw_sha256 is 'Of raw: the same content is recorded once.';
comment on column audit_event_changes.seen_at is 'When it was read.';

-- Creates the monthly partitions of [since, until]. Rows of such a month that already lie in the default partition move. With the rights of the
-- owner, whoever asks: an account that may only store events can ask, too; within reason, since every month is a table, and all of history is
-- locked while they are made.
--
-- A reader that came while a month was being made had looked up the partitions before it waited, for the default one: it missed the
-- rows that were moved, went on behind them, and invariant 6 was broken. Now it waits before it looks. Since everybody waits behind
-- this function, it gives up where somebody reads for long (a dump, a cursor): the default partition takes the rows meanwhile.
create function orgtrail_create_partitions(since timestamptz, until timestamptz) returns integer
language plpgsql security definer set search_path from current set lock_timeout = '10s' as $function$
declare
  month timestamp := date_trunc('month', since at time zone 'UTC');
  lower_bound timestamptz;
  upper_bound timestamptz;
  partition text;
  created integer := 0;
begin
  if (since >= timestamptz '2009-01-01 00:00:00+00' and until <= clock_timestamp() + interval '3 months') is not true then
    raise exception 'months are made from 2009 to three months from now, not from % to %', since, until using errcode = 'invalid_parameter_value';
  elsif until > since + interval '240 months' then
    raise exception 'no more than 240 months at once, not from % to %', since, until using errcode = 'invalid_parameter_value';
  end if;
  while month <= until at time zone 'UTC' loop
    partition := pg_catalog.format('audit_events_%s', pg_catalog.to_char(month, 'YYYY_MM'::text));
    if to_regclass(partition) is null then
      -- Page commits and readers wait here, before they look up the partitions: what they add is moved, what was moved they find.
      lock table only audit_events in access exclusive mode;
      lock table audit_events_default in access exclusive mode;
    end if;
    -- Another replica may have made it meanwhile.
    if to_regclass(partition) is null then
      lower_bound := month at time zone 'UTC';
      upper_bound := (month + interval '1 month') at time zone 'UTC';
      execute pg_catalog.format('create table %I (like audit_events including defaults including constraints)', partition);
      execute pg_catalog.format('with moved as (delete from audit_events_default where action_time >= %L and action_time < %L returning *)'
        ' insert into %I select * from moved', lower_bound, upper_bound, partition);
      execute pg_catalog.format('alter table audit_events attach partition %I for values from (%L) to (%L)',
        partition, lower_bound, upper_bound);
      created := created + 1;
    end if;
    month := month + interval '1 month';
  end loop;
  return created;
end
$function$;

-- raw::jsonb where jsonb takes it, else null: a view must not fail because one row in it is defective.
-- An entry about a user's own profile stands in the log of every account that the user may use, under one id and time. Each is stored;
-- the copy with the lowest position is the first. All copies have one time, and so are kept and dropped together.
create view audit_history as
select e.position, e.action_time, e.received_at, e.organization_id, o.name as organization_name,
  e.action_type, e.action_result, e.action_description,
  e.actor_id, e.actor_type, e.actor_context, e.actor_email, e.actor_ip_address, e.actor_token_id, e.actor_token_name,
  e.resource_id, e.resource_product, e.resource_type, e.resource_scope,
  orgtrail_payload(e.raw, e.defects) #> '{resource,request}' as request,
  orgtrail_payload(e.raw, e.defects) #> '{resource,response}' as response,
  e.raw_cf_ray_id, e.raw_method, e.raw_status_code, e.raw_uri, e.raw_user_agent,
  e.source_kind, e.source_id, e.id, orgtrail_payload(e.raw, e.defects) as payload, e.defects,
  e.account_id, e.account_name, e.zone_id, e.zone_name,
  case when e.source_kind = 'account' and e.resource_scope in ('user', 'memberships') and e.action_time > '-infinity'
    then (select min(f.position) from audit_events f where f.source_kind = 'account' and f.resource_scope in ('user', 'memberships')
      and f.id = e.id and f.action_time = e.action_time and f.position < e.position) end as copies_of_position
from audit_events e
left join organizations o on o.id = e.organization_id;
comment on view audit_history is 'Events with organization names and the payload as jsonb (null where jsonb cannot hold it; raw has it).';
comment on column audit_history.action_time is 'When it happened, as Cloudflare says. -infinity where the entry has no time that can be read.';
comment on column audit_history.received_at is 'When orgtrail stored it.';
comment on column audit_history.organization_name is 'As of the last listing.';
comment on column audit_history.request is 'resource.request of the entry: what was sent to the API.';
comment on column audit_history.response is 'resource.response of the entry: what the API answered.';
comment on column audit_history.id is 'The id of the entry; unique within its source.';
comment on column audit_history.payload is 'The whole entry. For containment: payload @> ''{"resource": {"request": {"name": "x"}}}''.';
comment on column audit_history.account_id is 'The account that the entry is about.';
comment on column audit_history.copies_of_position is 'Of an entry about a user''s own profile, which stands in the log of every account that '
  'the user may use: the position of the first of these copies. Null of the first, and of every other entry.';
