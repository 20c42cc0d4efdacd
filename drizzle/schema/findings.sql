-- What the detections look at, the detections, and what they found: docs/decisions/14.

-- What a detection cannot know by itself: with which API token the collector reads (docs/decisions/14).
create table collector_tokens (
  token_id text primary key,
  note text,
  added_at timestamptz not null default clock_timestamp()
);
comment on table collector_tokens is 'The ids (no secrets) of the API tokens that the collector reads with: GET /user/tokens/verify tells them. '
  'Written by the owner alone; detection_collector_token watches them.';
comment on column collector_tokens.token_id is 'The id of the API token, which is no secret.';
comment on column collector_tokens.note is 'For people.';
comment on column collector_tokens.added_at is 'When it was added.';

-- What the detections find, noted once under a key, so that sinks can follow it by position: docs/decisions/14. A finding holds what a message
-- says of it, and is forgotten with its month. It stands in the log of each account that has a copy of its entry, so that a sink for one account
-- is told of it.
create table findings (
  detection text not null,
  source_kind text not null,
  source_id text not null,
  id text not null,
  position bigint not null,
  event_position bigint not null,
  severity text not null,
  action_time timestamptz not null,
  received_at timestamptz not null,
  organization_id text,
  organization_name text,
  account_id text,
  account_name text,
  zone_id text,
  zone_name text,
  actor text not null,
  actor_ip_address text,
  action_type text,
  action_result text,
  resource_type text,
  resource_id text,
  events integer not null,
  first_time timestamptz not null,
  summary text not null,
  noted_at timestamptz not null default clock_timestamp(),
  copies_of_position bigint,
  primary key (detection, source_kind, source_id, id)
);
create index findings_position on findings (position);
create index findings_time on findings (action_time);
create index findings_event on findings (event_position);
comment on table findings is 'What the detections found, noted once each by a daemon, for searches and sinks, from finding_head.began_at on. '
  'The view detections has all of it, also of before.';
comment on column findings.position is 'Up to which position of the feed the events must be known for it: a sink follows it.';
comment on column findings.event_position is 'Of the event that names it: source_kind, source_id, id.';
comment on column findings.severity is 'low, medium, high or critical, as the level of the Sigma rule.';
comment on column findings.account_id is 'The account that the entry is about; of an accounts log always set.';
comment on column findings.events is 'How many events it takes: 1, or for a burst its threshold.';
comment on column findings.noted_at is 'When it was noted.';
comment on column findings.copies_of_position is 'Of a copy of the finding in the log of another account that the user may use: the '
  'event_position of the finding. Null: it was found here. A sink is told of one of them.';

create table finding_head (
  only_row boolean default true primary key check (only_row),
  position bigint not null check (position >= 0),
  began_at bigint not null,
  noted_at timestamptz not null default clock_timestamp()
);
comment on table finding_head is 'Up to which position of the feed the detections have been asked. No row: no daemon has run yet.';
comment on column finding_head.only_row is 'True: there is one row.';
comment on column finding_head.position is 'All findings up to this position of the feed are noted.';
comment on column finding_head.began_at is 'The position after which findings were noted first.';
comment on column finding_head.noted_at is 'When the detections were last asked about new events.';

-- Findings that people do not want to see for a while: docs/decisions/14. The console alone leaves them out. Rows are added and ended by the
-- functions below, and never changed otherwise.
create table detection_mutes (
  id bigint generated always as identity primary key,
  detection text not null,
  actor text,
  reason text not null,
  muted_until timestamptz,
  created_by text not null,
  created_as text not null default session_user,
  created_at timestamptz not null default clock_timestamp(),
  ended_by text,
  ended_as text,
  ended_at timestamptz,
  up_to_position bigint
);
create index detection_mutes_in_force on detection_mutes (detection) where ended_at is null;
comment on table detection_mutes is 'Findings that the console leaves out of its list, muted or acknowledged, by whom and why. The views, the feed, sinks and Sigma '
  'know nothing of it (docs/detections.md).';
comment on column detection_mutes.id is 'Its number.';
comment on column detection_mutes.detection is 'The detection, as in detections.';
comment on column detection_mutes.actor is 'Only findings of this actor, as in detections; null: of all.';
comment on column detection_mutes.reason is 'Why, in the words of who did it.';
comment on column detection_mutes.muted_until is 'Until when; null: until it is ended.';
comment on column detection_mutes.up_to_position is 'Of an acknowledgement: only findings at positions up to this one. Null: of a mute.';
comment on column detection_mutes.created_by is 'The name of the token of the session that muted it.';
comment on column detection_mutes.created_as is 'The database account that did it: that of the daemon.';
comment on column detection_mutes.created_at is 'When, by the clock of the database.';
comment on column detection_mutes.ended_by is 'The name of the token of the session that ended it.';
comment on column detection_mutes.ended_as is 'The database account that ended it.';
comment on column detection_mutes.ended_at is 'When it was ended; null: it is in force, or its time is over.';

-- Turns jit off for the statement that is planned, and for the rest of its transaction. PostgreSQL compiles a question about fifteen views and every
-- month for half a minute, which then takes a second. Immutable, so that the planner calls it, and decides about jit after it; what is left of it in
-- the plan is true. A function with "set jit = off" would keep the planner from the conditions of a statement; a role setting holds for one role.
create function orgtrail_without_jit() returns boolean
language plpgsql immutable as $function$
begin
  perform pg_catalog.set_config('jit', 'off', true);
  return true;
end
$function$;

-- Entries are text of others, and Cloudflare publishes no list of words, for account logs neither: names are looked for as words in type,
-- product and description, and paths in the URI up to its query. docs/detections.md says what of it is documented.
-- Nothing here fails because of one row: columns are nullable text, and raw becomes jsonb only where jsonb takes it.
create view audit_event_traits as
select e.position, e.action_time, e.received_at, e.organization_id, o.name as organization_name,
  a.actor, e.actor_id, e.actor_type, e.actor_ip_address, e.actor_token_id,
  e.action_type, e.action_result, e.action_description, e.resource_type, e.resource_id, e.source_kind, e.source_id, e.id,
  regexp_replace(concat(
    left(coalesce(nullif(e.action_description, ''), concat_ws(' ', e.action_type, e.resource_type)), 200),
    ' (' || left(nullif(concat_ws(' ', e.resource_type, e.resource_id), ''), 200) || ')',
    ' by ', left(a.actor, 200), ' from ' || left(nullif(e.actor_ip_address, ''), 60), case when k.failed then ', failed' end),
    '[\u0001-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]', ' ', 'g') as summary,
  k.failed,
  not k.failed and k.verb <> 'view' as done,
  not k.failed and (k.verb = 'delete' or k.method = 'DELETE') as deletes,
  k.verb <> 'delete' and k.method <> 'DELETE' and (k.verb = 'create' or k.method = 'POST') as creates,
  k.names ~* 'api[ _-]?(token|key)' or k.path ~* '/tokens(/|$)'
    or coalesce(lower(e.resource_type) in ('token', 'tokens') or lower(e.resource_product) in ('token', 'tokens'), false)
    as about_api_token,
  k.names ~* 'member|invite|scim[ _-]?user' or k.path ~* '/members(/|$)|/scim/v2/users(/|$)' as about_member,
  k.path ~* '/members(/|$)' and k.path ~* '/organizations/' as about_organization_member,
  concat_ws(' ', p.request, p.response) ~* 'super[ _-]?admin|33666b9c79b9a5273fc7344ff42f953d' as names_super_administrator,
  coalesce(p.request, '') ~* 'role' as requests_role,
  k.names ~* '(^|[; _-])(sso|mfa|2fa)|two[ _-]?factor|single[ _-]sign|identity[ _-]?provider'
    or k.path ~* '/sso_connectors|/identity_providers|/two_factor'
    -- The first only spares most rows the cast.
    or e.raw::text ~* 'factor|mfa_'
      and coalesce(p.request, '') ~* 'two_?factor|mfa_' as about_sso_or_mfa,
  coalesce(lower(e.actor_type) in ('cloudflare_admin', 'cloudflare-admin', 'cloudflare admin'), false) as by_cloudflare_staff,
  coalesce(e.actor_token_id = any (c.tokens), false) or coalesce(e.resource_id = any (c.tokens), false)
    or coalesce(substring(k.path from '/tokens/([^/]+)') = any (c.tokens), false) as touches_collector_token,
  u.about_user,
  case when u.about_user
    then (select min(f.position) from audit_events f where f.source_kind = 'account' and f.resource_scope in ('user', 'memberships')
      and f.id = e.id and f.action_time = e.action_time and f.position < e.position) end as copies_of_position,
  concat_ws(' ', p.request, p.response) ~* 'com\.cloudflare\.api\.account\.(zone\.)?\*|api tokens (write|edit)' as grants_widely,
  k.names ~* 'firewall|ruleset|(^|[; _-])waf|access[ _-]?(app|polic|group|rule)|gateway[ _-]?rule|rate[ _-]?limit'
    or k.path ~* '/firewall/|/rulesets/|/access/(apps|policies|groups)/|/gateway/rules/|/rate_limits/'
    or coalesce(lower(e.resource_product) = 'access' and lower(e.resource_type) in ('app', 'policy', 'group'), false)
    or coalesce(lower(e.resource_product) = 'gateway' and lower(e.resource_type) = 'rule', false) as about_protection,
  -- A request for a batch is a POST, whatever it deletes.
  not k.failed and k.verb <> 'view' and (
    k.path ~* '/dns_records/batch$' and coalesce(p.request, '') ~* '"deletes"\s*:\s*\[\s*\{'
    or (k.verb = 'delete' or k.method = 'DELETE')
      and (coalesce(lower(e.resource_type) in ('zone', 'zones'), false)
        or lower(coalesce(e.action_description, '')) in ('delete zone', 'delete_zone', 'zone delete', 'zone_delete')))
    as deletes_many_dns_records,
  (k.names ~* 'worker' or k.path ~* '/workers/')
    and (k.names ~* 'secret|route' or k.path ~* '/(secrets|secrets-bulk|routes|domains)(/|$)') as about_worker_secret_or_route,
  u.about_user and not k.failed and k.verb = 'login' as signs_in,
  concat_ws(';', k.names, k.path) ~* '(^|[;/ _-])sso|single[ _-]?sign' as names_sso,
  case
    when e.actor_ip_address ~ '^\d{1,3}(\.\d{1,3}){3}$' then substring(e.actor_ip_address from '^\d+\.\d+\.\d+')
    when e.actor_ip_address ~* '^[0-9a-f]{1,4}(:[0-9a-f]{0,4}){2,7}$'
      then regexp_replace(substring(lower(e.actor_ip_address) from '^[0-9a-f]*:[0-9a-f]*:[0-9a-f]*'), ':$', ':0')
    else nullif(left(e.actor_ip_address, 100), '') end as actor_network,
  left(lower(substring(e.actor_email from '@([^@]+)$')), 300) as actor_domain,
  k.names ~* 'scim' or k.path ~* '/scim/' as about_scim
from audit_events e
left join organizations o on o.id = e.organization_id
cross join lateral (select coalesce(nullif(e.actor_email, ''), nullif(e.actor_token_name, ''), nullif(e.actor_id, ''),
  nullif(e.actor_type, ''), 'unknown') as actor) a
cross join lateral (select
  coalesce(lower(e.action_result) = 'failure', false) or coalesce(e.raw_status_code between 400 and 599, false) as failed,
  coalesce(lower(e.action_type), '') as verb, coalesce(upper(e.raw_method), '') as method, coalesce(substring(e.raw_uri from '^[^?#]*'), '') as path,
  -- A semicolon, so that two names do not make one.
  concat_ws(';', e.resource_type, e.resource_product, e.action_description) as names) k
-- As in audit_history; what jsonb cannot hold is looked through as a whole.
cross join lateral (select
  case when e.defects && array['nul_character', 'lone_surrogate', 'number_out_of_range', 'nested_too_deeply', 'refused_by_database']
    then e.raw::text else e.raw::jsonb #>> '{resource,request}' end as request,
  case when e.defects && array['nul_character', 'lone_surrogate', 'number_out_of_range', 'nested_too_deeply', 'refused_by_database']
    then null else e.raw::jsonb #>> '{resource,response}' end as response) p
cross join lateral (select e.source_kind = 'account' and coalesce(e.resource_scope in ('user', 'memberships'), false)
  and e.action_time > '-infinity' as about_user) u
cross join lateral (select array(select token_id from collector_tokens) as tokens) c
where orgtrail_without_jit();
comment on view audit_event_traits is 'What the detections look at, one row per event: build your own on it. Select only the traits that you '
  'need; each costs time.';
comment on column audit_event_traits.position is 'Of the event in the feed.';
comment on column audit_event_traits.summary is 'For people: texts of the entry, shortened, without control characters. Still text of others: '
  'do not trust it.';
comment on column audit_event_traits.failed is 'The result is failure, or the HTTP status 400 to 599. A result that no document has counts as '
  'success.';
comment on column audit_event_traits.done is 'Did not fail, and is no view.';
comment on column audit_event_traits.deletes is 'Did not fail, and deletes something.';
comment on column audit_event_traits.creates is 'Creates something, whether it failed or not.';
comment on column audit_event_traits.about_api_token is 'API tokens or keys by type, product, description or path.';
comment on column audit_event_traits.about_member is 'Members, invitations or users of SCIM, by name or by path.';
comment on column audit_event_traits.about_organization_member is 'Members of an organization, by path.';
comment on column audit_event_traits.names_super_administrator is 'The request or the response names that role, or its id at Cloudflare.';
comment on column audit_event_traits.requests_role is 'The request names a role in any way.';
comment on column audit_event_traits.about_sso_or_mfa is 'Single sign-on, identity providers or two factors by name, by path, or in the request '
  '(enforce_twofactor of account settings).';
comment on column audit_event_traits.by_cloudflare_staff is 'Cloudflare''s own staff did it.';
comment on column audit_event_traits.touches_collector_token is 'By, or about, one of collector_tokens.';
comment on column audit_event_traits.about_user is 'The entry is about a user''s own profile: it stands in the log of every account that the '
  'user may use, under one id and time.';
comment on column audit_event_traits.copies_of_position is 'The first copy of an entry about a user; null of the first, and of every other '
  'entry. Detections look at the first alone.';
comment on column audit_event_traits.grants_widely is 'The request or the answer names all accounts, all zones, or the right to make API tokens.';
comment on column audit_event_traits.about_protection is 'Firewall, WAF, rulesets, rate limits, Access applications and policies, Gateway '
  'rules: by name or by path.';
comment on column audit_event_traits.deletes_many_dns_records is 'A batch of changes of DNS records with deletes, or the deletion of a whole '
  'zone. Did not fail.';
comment on column audit_event_traits.about_worker_secret_or_route is 'Secrets, routes and domains of Workers, by name or by path.';
comment on column audit_event_traits.signs_in is 'A sign-in that did not fail: action type login, about a user.';
comment on column audit_event_traits.names_sso is 'Names single sign-on in type, product, description or path.';
comment on column audit_event_traits.actor_network is 'The first three bytes of an IPv4 address, the first three groups of an IPv6 address as '
  'it is written; any other text as it is.';
comment on column audit_event_traits.actor_domain is 'What follows the @ in the e-mail address of the actor, in small letters.';
comment on column audit_event_traits.about_scim is 'Users and groups that an identity provider keeps (SCIM), by name or by path.';

create view detection_api_token_changed as
select 'api_token_changed'::text as detection, 'medium'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_api_token
  and copies_of_position is null;
comment on view detection_api_token_changed is 'An API token (or key) was created, changed, rolled or deleted, for a user, an account or an '
  'organization.';
comment on column detection_api_token_changed.detection is 'Its name; the view detection_… has only this one.';
comment on column detection_api_token_changed.severity is 'low, medium, high or critical.';
comment on column detection_api_token_changed.position is 'Of the event in the feed.';
comment on column detection_api_token_changed.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column detection_api_token_changed.events is 'How many events it takes.';
comment on column detection_api_token_changed.first_time is 'When the first of them happened.';
comment on column detection_api_token_changed.summary is 'For people: texts of the entry, shortened. Still text of others: do not trust it.';

create view detection_member_added as
select 'member_added'::text as detection, 'medium'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and creates and about_member
  and copies_of_position is null;
comment on view detection_member_added is 'Somebody was added to an organization, an account or a group, or invited.';
comment on column detection_member_added.position is 'Of the event in the feed.';

create view detection_super_administrator_added as
select 'super_administrator_added'::text as detection, 'high'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_member and not deletes
  and (names_super_administrator or creates and about_organization_member and not requests_role)
  and copies_of_position is null;
comment on view detection_super_administrator_added is 'A member whose role is named super administrator was added or changed, or one was added '
  'to an organization without a role: that is a super administrator, too.';
comment on column detection_super_administrator_added.position is 'Of the event in the feed.';

create view detection_sso_or_mfa_changed as
select 'sso_or_mfa_changed'::text as detection, 'high'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_sso_or_mfa
  -- A sign-in by it changes nothing.
  and lower(action_type) is distinct from 'login'
  and copies_of_position is null;
comment on view detection_sso_or_mfa_changed is 'Single sign-on, an identity provider or the demand for a second factor was set, changed or removed.';
comment on column detection_sso_or_mfa_changed.position is 'Of the event in the feed.';

-- A burst of entries about a user stands in many accounts: it is told of where it was stored first.
create view detection_delete_burst as
select 'delete_burst'::text as detection, 'high'::text as severity,
  last_position as position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 10 as events, first_time,
  concat('10 deletes or more within 5 minutes, the tenth: ', summary) as summary, source_kind, source_id, id
from (
  select distinct on (source_kind, case when about_user then '' else source_id end, id, action_time)
    last_position, action_time, received_at, organization_id, organization_name, actor, actor_id, actor_type, actor_ip_address,
    actor_token_id, action_type, action_result, action_description, resource_type, resource_id, first_time, summary,
    source_kind, source_id, id
  from (
    select t.position, t.action_time, t.received_at, t.organization_id, t.organization_name, t.actor, t.actor_id, t.actor_type,
      t.actor_ip_address, t.actor_token_id, t.action_type, t.action_result, t.action_description, t.resource_type, t.resource_id,
      t.source_kind, t.source_id, t.id, t.summary, t.failed, t.done, t.deletes, t.creates, t.about_api_token, t.about_member,
      t.about_organization_member, t.names_super_administrator, t.requests_role, t.about_sso_or_mfa, t.by_cloudflare_staff,
      t.touches_collector_token, t.about_user, t.copies_of_position,
      s.since, lag(action_time, 9) over actions as first_time,
      -- The burst before: that of the action before this one and the nine before that.
      lag(action_time, 1) over actions as previous_time, lag(action_time, 10) over actions as previous_first_time,
      max(position) over (actions rows 9 preceding) as last_position
    from (select coalesce(nullif(current_setting('orgtrail.bursts_since', true), '')::timestamptz, now() - interval '31 days') as since) s
    cross join audit_event_traits t
    where deletes and action_time > '-infinity' and action_time >= s.since - interval '10 minutes'
    window actions as (partition by source_kind, source_id, actor_id order by action_time, position)) a
  where first_time >= action_time - interval '5 minutes'
    and (previous_first_time >= previous_time - interval '5 minutes') is not true
    and action_time >= since
  order by source_kind, case when about_user then '' else source_id end, id, action_time, last_position) once;
comment on view detection_delete_burst is 'One actor deleted 10 things or more in an organization within 5 minutes. One row each time the tenth '
  'comes; looks at the last 31 days, or since orgtrail.bursts_since.';
comment on column detection_delete_burst.position is 'Of that one of the ten that was stored last: whoever follows it meets the burst, in '
  'whatever order its events arrive.';
comment on column detection_delete_burst.action_time is 'Of the action that made it a burst; first_time is that of the first of the ten.';

-- A burst of entries about a user stands in many accounts: it is told of where it was stored first.
create view detection_failure_burst as
select 'failure_burst'::text as detection, 'medium'::text as severity,
  last_position as position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 10 as events, first_time,
  concat('10 failed actions or more within 5 minutes, the tenth: ', summary) as summary, source_kind, source_id, id
from (
  select distinct on (source_kind, case when about_user then '' else source_id end, id, action_time)
    last_position, action_time, received_at, organization_id, organization_name, actor, actor_id, actor_type, actor_ip_address,
    actor_token_id, action_type, action_result, action_description, resource_type, resource_id, first_time, summary,
    source_kind, source_id, id
  from (
    select t.position, t.action_time, t.received_at, t.organization_id, t.organization_name, t.actor, t.actor_id, t.actor_type,
      t.actor_ip_address, t.actor_token_id, t.action_type, t.action_result, t.action_description, t.resource_type, t.resource_id,
      t.source_kind, t.source_id, t.id, t.summary, t.failed, t.done, t.deletes, t.creates, t.about_api_token, t.about_member,
      t.about_organization_member, t.names_super_administrator, t.requests_role, t.about_sso_or_mfa, t.by_cloudflare_staff,
      t.touches_collector_token, t.about_user, t.copies_of_position,
      s.since, lag(action_time, 9) over actions as first_time,
      -- The burst before: that of the action before this one and the nine before that.
      lag(action_time, 1) over actions as previous_time, lag(action_time, 10) over actions as previous_first_time,
      max(position) over (actions rows 9 preceding) as last_position
    from (select coalesce(nullif(current_setting('orgtrail.bursts_since', true), '')::timestamptz, now() - interval '31 days') as since) s
    cross join audit_event_traits t
    where failed and action_time > '-infinity' and action_time >= s.since - interval '10 minutes'
    window actions as (partition by source_kind, source_id, actor_id order by action_time, position)) a
  where first_time >= action_time - interval '5 minutes'
    and (previous_first_time >= previous_time - interval '5 minutes') is not true
    and action_time >= since
  order by source_kind, case when about_user then '' else source_id end, id, action_time, last_position) once;
comment on view detection_failure_burst is 'Of one actor in an organization, 10 actions or more failed within 5 minutes. One row each time the '
  'tenth comes; looks at the last 31 days, or since orgtrail.bursts_since.';
comment on column detection_failure_burst.position is 'Of that one of the ten that was stored last: whoever follows it meets the burst, in '
  'whatever order its events arrive.';
comment on column detection_failure_burst.action_time is 'Of the action that made it a burst; first_time is that of the first of the ten.';

create view detection_cloudflare_staff as
select 'cloudflare_staff'::text as detection, 'medium'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where by_cloudflare_staff
  and copies_of_position is null;
comment on view detection_cloudflare_staff is 'Cloudflare''s own staff did something (actor.type cloudflare_admin), whatever came of it.';
comment on column detection_cloudflare_staff.position is 'Of the event in the feed.';

create view detection_collector_token as
select 'collector_token'::text as detection, 'critical'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where touches_collector_token
  and copies_of_position is null;
comment on view detection_collector_token is 'One of collector_tokens was used for something that is logged (reading is not), or somebody tried '
  'to change it, failed attempts included.';
comment on column detection_collector_token.position is 'Of the event in the feed.';

create view detection_api_token_wide_scope as
select 'api_token_wide_scope'::text as detection, 'high'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_api_token and not deletes and grants_widely
  and copies_of_position is null;
comment on view detection_api_token_wide_scope is 'An API token was created or changed that is for all accounts, for all zones, or that may '
  'make further tokens.';
comment on column detection_api_token_wide_scope.position is 'Of the event in the feed.';

create view detection_protection_removed as
select 'protection_removed'::text as detection, 'high'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where deletes and about_protection
  and copies_of_position is null;
comment on view detection_protection_removed is 'A firewall or WAF rule, a ruleset, a rate limit, a Gateway rule, or an Access application, '
  'policy or group was deleted.';
comment on column detection_protection_removed.position is 'Of the event in the feed.';

create view detection_dns_records_deleted as
select 'dns_records_deleted'::text as detection, 'high'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where deletes_many_dns_records
  and copies_of_position is null;
comment on view detection_dns_records_deleted is 'A batch of changes deleted DNS records, or a whole zone was deleted. Ten records that are '
  'deleted one by one are a delete_burst.';
comment on column detection_dns_records_deleted.position is 'Of the event in the feed.';

create view detection_worker_secret_or_route_changed as
select 'worker_secret_or_route_changed'::text as detection, 'medium'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_worker_secret_or_route
  and copies_of_position is null;
comment on view detection_worker_secret_or_route_changed is 'A secret, a route or a domain of a Worker was set, changed or removed.';
comment on column detection_worker_secret_or_route_changed.position is 'Of the event in the feed.';

-- What is known of the time before may be stored later than the sign-in: it is found at the position at which it is known.
create view detection_sign_in_without_sso as
select 'sign_in_without_sso'::text as detection, 'high'::text as severity,
  greatest(position, known_position) as position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time,
  concat('Sign-in without SSO, which others of the domain use: ', summary) as summary, source_kind, source_id, id
from (
  select t.*, s.since,
    min(case when names_sso then position end) over before as known_position
  from (select coalesce(nullif(current_setting('orgtrail.bursts_since', true), '')::timestamptz, now() - interval '31 days') as since) s
  cross join audit_event_traits t
  where signs_in and copies_of_position is null and actor_domain is not null and action_time >= s.since - interval '31 days'
  window before as (partition by actor_domain order by action_time range between interval '31 days' preceding and current row)) a
where not names_sso and known_position is not null
  and action_time >= since;
comment on view detection_sign_in_without_sso is 'A user signed in without single sign-on, though one with an e-mail address of the same domain '
  'signed in with it in the 31 days before. Looks at the last 31 days, or since orgtrail.bursts_since.';
comment on column detection_sign_in_without_sso.position is 'Of the sign-in, or of the first known one by SSO if that was stored later: whoever '
  'follows it meets the detection, in whatever order events arrive.';

create view detection_sign_in_from_new_network as
select 'sign_in_from_new_network'::text as detection, 'medium'::text as severity,
  greatest(position, known_position) as position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time,
  concat('Sign-in from a new network: ', summary) as summary, source_kind, source_id, id
from (
  select t.*, s.since,
    min(position) over (partition by actor_id order by action_time
      range between interval '31 days' preceding and interval '1 microsecond' preceding) as known_position,
    lag(action_time) over (partition by actor_id, actor_network order by action_time, position) as last_time
  from (select coalesce(nullif(current_setting('orgtrail.bursts_since', true), '')::timestamptz, now() - interval '31 days') as since) s
  cross join audit_event_traits t
  where signs_in and copies_of_position is null and nullif(actor_id, '') is not null and actor_network is not null
    and action_time >= s.since - interval '31 days') a
where known_position is not null and (last_time >= action_time - interval '31 days') is not true
  and action_time >= since;
comment on view detection_sign_in_from_new_network is 'A user who had signed in within the 31 days before did so from a network (actor_network) '
  'that none of these sign-ins was from. Looks at the last 31 days, or since orgtrail.bursts_since.';
comment on column detection_sign_in_from_new_network.position is 'Of the sign-in, or of the first known one before it if that was stored later: '
  'whoever follows it meets the detection, in whatever order events arrive.';

create view detection_scim_changed as
select 'scim_changed'::text as detection, 'medium'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_scim
  and copies_of_position is null;
comment on view detection_scim_changed is 'A user or a group was created, changed or deleted through SCIM, by the identity provider or with its token.';
comment on column detection_scim_changed.position is 'Of the event in the feed.';

create view detections as
select * from detection_api_token_changed
union all
select * from detection_member_added
union all
select * from detection_super_administrator_added
union all
select * from detection_sso_or_mfa_changed
union all
select * from detection_delete_burst
union all
select * from detection_failure_burst
union all
select * from detection_cloudflare_staff
union all
select * from detection_collector_token
union all
select * from detection_api_token_wide_scope
union all
select * from detection_protection_removed
union all
select * from detection_dns_records_deleted
union all
select * from detection_worker_secret_or_route_changed
union all
select * from detection_sign_in_without_sso
union all
select * from detection_sign_in_from_new_network
union all
select * from detection_scim_changed;
comment on view detections is 'All detections. Follow it by position: an event stands in it once for each detection that it meets. An alert is '
  'named by (detection, source_kind, source_id, id).';
comment on column detections.severity is 'low, medium, high or critical, as the level of the Sigma rule.';
comment on column detections.position is 'Of the event in the feed.';
comment on column detections.events is 'How many events it takes: 1, or for a burst its threshold.';

-- At every start of a daemon that has a sink of detections. The first one says where they begin; later ones change nothing.
create function orgtrail_want_detections(p_from_beginning boolean) returns void
language sql security definer set search_path from current as $function$
  insert into finding_head (position, began_at)
  select b.position, b.position from (select case when p_from_beginning then 0 else h.position end as position from feed_head h) b
  on conflict do nothing
$function$;

-- Notes what the detections find at some positions, of a time. The burst and sign-in views are asked no further back than p_bursts_since: the last
-- event of what they find is at least as late as any event that it takes.
create function orgtrail_note_findings(p_after bigint, p_until bigint, p_bursts_since timestamptz, p_since timestamptz, p_before timestamptz) returns bigint
language plpgsql security definer set search_path from current as $function$
declare
  noted bigint;
begin
  perform pg_catalog.set_config('orgtrail.bursts_since', p_bursts_since::text, true);
  -- Planned anew each time: how many positions there are decides about the indexes.
  execute 'insert into findings (detection, source_kind, source_id, id, position, event_position, severity, action_time, received_at,'
    '   organization_id, organization_name, account_id, account_name, zone_id, zone_name, actor, actor_ip_address,'
    '   action_type, action_result, resource_type, resource_id, events, first_time, summary)'
    ' select d.detection, d.source_kind, d.source_id, d.id, d.position, coalesce(e.position, d.position), d.severity, d.action_time, d.received_at,'
    '   d.organization_id, d.organization_name, e.account_id, e.account_name, e.zone_id, e.zone_name, d.actor, d.actor_ip_address,'
    '   d.action_type, d.action_result, d.resource_type, d.resource_id, d.events, d.first_time, d.summary'
    ' from detections d left join lateral ('
    '   select a.position, a.account_id, a.account_name, a.zone_id, a.zone_name from audit_events a'
    '   where a.source_kind = d.source_kind and a.source_id = d.source_id and a.id = d.id and a.action_time = d.action_time) e on true'
    ' where d.position > $1 and d.position <= $2 and d.action_time >= $3 and d.action_time < $4'
    ' on conflict do nothing' using p_after, p_until, p_since, p_before;
  get diagnostics noted = row_count;
  -- The same of each copy of an entry about a user, which may come long after the first: of findings since, and of entries since.
  execute 'insert into findings (detection, source_kind, source_id, id, position, event_position, severity, action_time, received_at,'
    '   organization_id, organization_name, account_id, account_name, zone_id, zone_name, actor, actor_ip_address,'
    '   action_type, action_result, resource_type, resource_id, events, first_time, summary, copies_of_position)'
    ' select f.detection, c.source_kind, c.source_id, c.id, greatest(f.position, c.position), c.position, f.severity, f.action_time, c.received_at,'
    '   c.organization_id, o.name, c.account_id, c.account_name, c.zone_id, c.zone_name, f.actor, f.actor_ip_address,'
    '   f.action_type, f.action_result, f.resource_type, f.resource_id, f.events, f.first_time, f.summary, f.event_position'
    ' from ('
    '   select f.detection, f.source_id as of_source, c.* from findings f join audit_events c on c.id = f.id and c.action_time = f.action_time'
    '   where f.position > $1 and f.position <= $2 and f.copies_of_position is null and f.source_kind = ''account'' and f.action_time > ''-infinity'''
    '     and c.source_kind = ''account'' and c.resource_scope in (''user'', ''memberships'') and c.position <= $2'
    '   union all'
    '   select f.detection, f.source_id, c.* from audit_events c join findings f on f.id = c.id and f.action_time = c.action_time'
    '   where c.position > $1 and c.position <= $2 and c.source_kind = ''account'' and c.resource_scope in (''user'', ''memberships'')'
    '     and c.action_time > ''-infinity'' and f.position <= $1 and f.copies_of_position is null and f.source_kind = ''account'') c'
    ' join findings f on f.detection = c.detection and f.source_kind = ''account'' and f.source_id = c.of_source and f.id = c.id'
    ' left join organizations o on o.id = c.organization_id'
    ' where c.source_id <> c.of_source and c.action_time >= $3 and c.action_time < $4'
    ' on conflict do nothing' using p_after, p_until, p_since, p_before;
  return noted;
end
$function$;

-- Asks the detections about the next positions of the feed, and notes what they find there. No row: another replica is doing that, or nothing
-- wants them. The burst and sign-in views are asked no further back than the oldest of the new events, and 31 days at most.
create function orgtrail_note_detections(p_most bigint) returns table (noted_to bigint, feed_end bigint, noted bigint)
language plpgsql security definer set search_path from current as $function$
declare
  was bigint;
  until bigint;
  since timestamptz;
begin
  select h.position into was from finding_head h for update skip locked;
  if not found then return; end if;
  feed_end := (select f.position from feed_head f);
  noted_to := was;
  noted := 0;
  if was < feed_end then
    -- A jump of positions is passed at once.
    until := least(feed_end, (select min(e.position) from audit_events e where e.position > was) - 1 + greatest(p_most, 1));
    until := coalesce(until, feed_end);
    select min(e.action_time) into since from audit_events e
    where e.position > was and e.position <= until and e.action_time > '-infinity';
    noted := orgtrail_note_findings(was, until, greatest(since, now() - interval '31 days'), '-infinity', 'infinity');
    update finding_head set position = until, noted_at = clock_timestamp();
    noted_to := until;
  end if;
  return next;
end
$function$;

-- Detections of the operator: the views of the schema orgtrail_detections that the owner of this schema has made. Functions of others would run with
-- its rights.
create table own_detections (
  name text primary key,
  position bigint not null,
  asked_at timestamptz,
  failed_at timestamptz,
  error text
);
comment on table own_detections is 'The views of the schema orgtrail_detections, which are asked as our own detections are (docs/detections.md). Written '
  'by functions alone.';
comment on column own_detections.name is 'The view, and the detection that its findings have.';
comment on column own_detections.position is 'It has been asked up to here.';
comment on column own_detections.asked_at is 'When it was last asked without a failure.';
comment on column own_detections.failed_at is 'When it last failed.';
comment on column own_detections.error is 'Why it failed; null: it did not, the last time.';

-- Those that are asked; forgets those that are gone.
create function orgtrail_own_detections() returns table (detection text)
language plpgsql security definer set search_path from current as $function$
begin
  delete from own_detections o where not exists (
    select from pg_class c where c.relnamespace = pg_catalog.to_regnamespace('orgtrail_detections'::text)::oid and c.relkind = 'v' and c.relname::text = o.name);
  return query select c.relname::text
  from pg_class c join pg_class h on h.oid = 'finding_head'::regclass::oid and h.relowner = c.relowner
  where c.relnamespace = pg_catalog.to_regnamespace('orgtrail_detections'::text)::oid and c.relkind = 'v' and c.relname::text ~ '^[a-z0-9_]{1,63}$'::text
    and not exists (select from pg_class b where b.relnamespace = h.relnamespace and b.relname::text = 'detection_'::text || c.relname::text)
  order by 1;
end
$function$;

-- Asks one of them about the next positions of the feed. Its findings get positions that no sink has passed: the head of the findings stands still
-- meanwhile. No row: another replica is asking, or nothing wants findings.
create function orgtrail_ask_own_detection(p_detection text, p_most bigint) returns table (asked_to bigint, feed_end bigint)
language plpgsql security definer set search_path from current as $function$
declare
  head bigint;
  was bigint;
  since timestamptz;
begin
  if not exists (select from orgtrail_own_detections() o where o.detection = p_detection) then return; end if;
  select h.position into head from finding_head h for update skip locked;
  if not found then return; end if;
  was := coalesce((select o.position from own_detections o where o.name = p_detection), head);
  feed_end := (select f.position from feed_head f);
  asked_to := was;
  if was < feed_end then
    asked_to := coalesce((select min(e.position) from audit_events e where e.position > was) - 1 + greatest(p_most, 1), feed_end);
    asked_to := least(feed_end, asked_to);
    select min(e.action_time) into since from audit_events e
    where e.position > was and e.position <= asked_to and e.action_time > '-infinity';
    perform pg_catalog.set_config('orgtrail.bursts_since', greatest(since, now() - interval '31 days')::text, true);
    execute pg_catalog.format('insert into findings (detection, source_kind, source_id, id, position, event_position, severity, action_time, received_at,'
      '   organization_id, organization_name, account_id, account_name, zone_id, zone_name, actor, actor_ip_address,'
      '   action_type, action_result, resource_type, resource_id, events, first_time, summary)'
      ' select %L, d.source_kind, d.source_id, d.id, greatest(d.position, $3), coalesce(e.position, d.position),'
      '   case when d.severity in (''low'', ''medium'', ''high'', ''critical'') then d.severity end, d.action_time, coalesce(e.received_at, now()),'
      '   e.organization_id, d.organization_name, e.account_id, e.account_name, e.zone_id, e.zone_name, coalesce(d.actor, ''unknown''),'
      '   d.actor_ip_address, d.action_type, d.action_result, d.resource_type, d.resource_id, coalesce((pg_catalog.to_jsonb(d) ->> ''events'')::integer, 1),'
      '   coalesce((pg_catalog.to_jsonb(d) ->> ''first_time'')::timestamptz, d.action_time), coalesce(left(d.summary, 1000), '''')'
      ' from orgtrail_detections.%I d left join lateral ('
      '   select a.position, a.received_at, a.organization_id, a.account_id, a.account_name, a.zone_id, a.zone_name from audit_events a'
      '   where a.source_kind = d.source_kind and a.source_id = d.source_id and a.id = d.id and a.action_time = d.action_time) e on true'
      ' where d.position > $1 and d.position <= $2 on conflict do nothing', p_detection, p_detection)
    using was, asked_to, head + 1;
  end if;
  insert into own_detections as o (name, position, asked_at) values (p_detection, asked_to, clock_timestamp())
  on conflict (name) do update set position = excluded.position, asked_at = excluded.asked_at, error = null;
  return next;
end
$function$;

-- It stays where it stands.
create function orgtrail_note_own_failure(p_detection text, p_error text) returns void
language plpgsql security definer set search_path from current as $function$
begin
  insert into own_detections as o (name, position, failed_at, error)
  select d.detection, h.position, clock_timestamp(), left(p_error, 1000)
  from orgtrail_own_detections() d cross join finding_head h where d.detection = p_detection
  on conflict (name) do update set failed_at = excluded.failed_at, error = excluded.error;
end
$function$;

-- Mutes findings from now on. Null: the same ones are muted already. The misuse of the collector's own token cannot be muted: a stolen account
-- of the collector may call this.
create function orgtrail_mute_detection(p_detection text, p_actor text, p_reason text, p_muted_until timestamptz, p_by text) returns bigint
language plpgsql security definer set search_path from current as $function$
declare
  made bigint;
begin
  if p_detection is null or p_detection !~ '^[a-z0-9_]{1,100}$' or p_detection = 'collector_token' then
    raise exception 'the detection % cannot be muted', left(p_detection, 100) using errcode = 'check_violation';
  end if;
  if coalesce(p_reason, '') !~ '\S' or coalesce(p_by, '') !~ '\S' or length(p_reason) > 1000 or length(p_by) > 200 or length(p_actor) > 1000
    or p_muted_until <= clock_timestamp() then
    raise exception 'a mute needs a reason, a person, and an end in the future' using errcode = 'check_violation';
  end if;
  -- One at a time, so that the limit holds.
  lock table detection_mutes in share row exclusive mode;
  if exists (select from detection_mutes m where m.detection = p_detection and m.actor is not distinct from p_actor
    and m.up_to_position is null and m.ended_at is null and coalesce(m.muted_until, 'infinity') > clock_timestamp()) then
    return null;
  end if;
  if (select count(*) from detection_mutes m where m.up_to_position is null and m.ended_at is null
    and coalesce(m.muted_until, 'infinity') > clock_timestamp()) >= 1000 then
    raise exception 'a thousand mutes are in force: end some of them first' using errcode = 'check_violation';
  end if;
  insert into detection_mutes (detection, actor, reason, muted_until, created_by)
  values (p_detection, p_actor, p_reason, p_muted_until, p_by) returning id into made;
  return made;
end
$function$;

-- Acknowledges what has been found up to a position that was looked at; earlier acknowledgements that it covers end. What the operator's own
-- detections find of earlier positions is noted later, at positions behind the head of the findings. An orgtrail that does not know
-- acknowledgements sees a mute that is over.
create function orgtrail_acknowledge_detection(p_detection text, p_actor text, p_seen bigint, p_note text, p_by text) returns bigint
language plpgsql security definer set search_path from current as $function$
declare
  made bigint;
begin
  if p_detection is null or p_detection !~ '^[a-z0-9_]{1,100}$' or p_detection = 'collector_token' then
    raise exception 'the detection % cannot be acknowledged', left(p_detection, 100) using errcode = 'check_violation';
  end if;
  if coalesce(p_note, '') !~ '\S' or coalesce(p_by, '') !~ '\S' or length(p_note) > 1000 or length(p_by) > 200 or length(p_actor) > 1000 then
    raise exception 'an acknowledgement needs a note and a person' using errcode = 'check_violation';
  end if;
  lock table detection_mutes in share row exclusive mode;
  update detection_mutes m set ended_by = p_by, ended_as = session_user, ended_at = clock_timestamp()
  where m.detection = p_detection and (p_actor is null or m.actor = p_actor) and m.up_to_position is not null and m.ended_at is null;
  if (select count(*) from detection_mutes m where m.up_to_position is not null and m.ended_at is null) >= 10000 then
    raise exception 'ten thousand acknowledgements are in force: acknowledge all of a rule instead' using errcode = 'check_violation';
  end if;
  insert into detection_mutes (detection, actor, reason, muted_until, up_to_position, created_by)
  select p_detection, p_actor, p_note, clock_timestamp(), least(p_seen, f.position,
    (select h.position from finding_head h where exists (select from own_detections o where o.name = p_detection))), p_by
  from feed_head f returning id into made;
  return made;
end
$function$;

-- Ends a mute or an acknowledgement; its row stays. False: there is none of this number that is in force.
create function orgtrail_unmute_detection(p_id bigint, p_by text) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  if coalesce(p_by, '') !~ '\S' or length(p_by) > 200 then
    raise exception 'the person who ends a mute must be named' using errcode = 'check_violation';
  end if;
  update detection_mutes m set ended_by = p_by, ended_as = session_user, ended_at = clock_timestamp()
  where m.id = p_id and m.ended_at is null and (m.up_to_position is not null or coalesce(m.muted_until, 'infinity') > clock_timestamp());
  return found;
end
$function$;

-- A finding has texts of its entry: it goes with the month of the entry.
create function orgtrail_forget_findings() returns trigger
language plpgsql security definer set search_path from current as $function$
begin
  delete from findings f
  where f.action_time >= new.month::timestamp at time zone 'UTC'
    and f.action_time < (new.month::timestamp + interval '1 month') at time zone 'UTC';
  return null;
end
$function$;

-- A column without a comment of its own means what the column of that name means in the history, in the events or in the other detections.
do $$
declare
  said record;
begin
  for said in
    select c.oid::regclass as relation, a.attname, col_description(b.attrelid, b.attnum) as words
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and col_description(c.oid, a.attnum) is null
      cross join lateral (
        select m.attrelid, m.attnum
        from unnest(array['audit_history', 'audit_events', 'detection_api_token_changed']) with ordinality as of (relation, number)
          join pg_attribute m on m.attrelid = of.relation::regclass and m.attname = a.attname
        where col_description(m.attrelid, m.attnum) is not null order by of.number limit 1) b
    where c.relnamespace = current_schema()::regnamespace and (c.relkind = 'v' or c.relname = 'findings')
  loop
    execute format('comment on column %s.%I is %L', said.relation, said.attname, said.words);
  end loop;
end
$$;
