-- What a detection cannot know by itself: with which API token the collector reads (docs/decisions/0012).
create table if not exists collector_tokens (
  token_id text primary key,
  note text,
  added_at timestamptz not null default clock_timestamp()
);
comment on table collector_tokens is 'The ids (no secrets) of the API tokens that the collector reads with: GET /user/tokens/verify tells them. Written by the owner alone; detection_collector_token watches them.';
--> statement-breakpoint
-- Entries are text of others, and Cloudflare publishes no list of words: names are looked for as words in type, product and
-- description, and paths in the URI up to its query. docs/detections.md says what of it is documented.
-- Nothing here fails because of one row: columns are nullable text, and raw becomes jsonb only where jsonb takes it.
create or replace view audit_event_traits as
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
  k.names ~* 'member|invite' or k.path ~* '/members(/|$)' as about_member,
  k.path ~* '/members(/|$)' and k.path ~* '/organizations/' as about_organization_member,
  concat_ws(' ', p.request, p.response) ~* 'super[ _-]?admin' as names_super_administrator,
  coalesce(p.request, '') ~* 'role' as requests_role,
  k.names ~* '(^|[; _-])(sso|mfa|2fa)|two[ _-]?factor|single[ _-]sign|identity[ _-]?provider'
    or k.path ~* '/sso_connectors|/identity_providers|/two_factor'
    -- The first only spares most rows the cast.
    or e.raw::text ~* 'factor|mfa_'
      and coalesce(p.request, '') ~* 'two_?factor|mfa_' as about_sso_or_mfa,
  coalesce(lower(e.actor_type) in ('cloudflare_admin', 'cloudflare-admin', 'cloudflare admin'), false) as by_cloudflare_staff,
  coalesce(e.actor_token_id = any (c.tokens), false) or coalesce(e.resource_id = any (c.tokens), false)
    or coalesce(substring(k.path from '/tokens/([^/]+)') = any (c.tokens), false) as touches_collector_token
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
cross join lateral (select array(select token_id from collector_tokens) as tokens) c;
comment on view audit_event_traits is 'What the detections look at, one row per event: build your own on it. Select only the traits that you need; each costs time.';
comment on column audit_event_traits.actor is 'E-mail address, else name of the token, else id, else type.';
comment on column audit_event_traits.summary is 'For people: texts of the entry, shortened, without control characters. Still text of others: do not trust it.';
comment on column audit_event_traits.failed is 'The result is failure, or the HTTP status 400 to 599. A result that no document has counts as success.';
comment on column audit_event_traits.done is 'Did not fail, and is no view.';
comment on column audit_event_traits.requests_role is 'The request names a role in any way.';
comment on column audit_event_traits.about_sso_or_mfa is 'Single sign-on, identity providers or two factors by name, by path, or in the request (enforce_twofactor of account settings).';
--> statement-breakpoint
create or replace view detection_api_token_changed as
select 'api_token_changed'::text as detection, 'medium'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_api_token;
comment on view detection_api_token_changed is 'An API token (or key) was created, changed, rolled or deleted, for a user, an account or an organization.';
--> statement-breakpoint
create or replace view detection_member_added as
select 'member_added'::text as detection, 'medium'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and creates and about_member;
comment on view detection_member_added is 'Somebody was added to an organization, an account or a group, or invited.';
--> statement-breakpoint
create or replace view detection_super_administrator_added as
select 'super_administrator_added'::text as detection, 'high'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_member and not deletes
  and (names_super_administrator or creates and about_organization_member and not requests_role);
comment on view detection_super_administrator_added is 'A member whose role is named super administrator was added or changed, or one was added to an organization without a role: that is a super administrator, too.';
--> statement-breakpoint
create or replace view detection_sso_or_mfa_changed as
select 'sso_or_mfa_changed'::text as detection, 'high'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_sso_or_mfa;
comment on view detection_sso_or_mfa_changed is 'Single sign-on, an identity provider or the demand for a second factor was set, changed or removed.';
--> statement-breakpoint
create or replace view detection_cloudflare_staff as
select 'cloudflare_staff'::text as detection, 'medium'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where by_cloudflare_staff;
comment on view detection_cloudflare_staff is 'Cloudflare''s own staff did something (actor.type cloudflare_admin), whatever came of it.';
--> statement-breakpoint
create or replace view detection_collector_token as
select 'collector_token'::text as detection, 'critical'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where touches_collector_token;
comment on view detection_collector_token is 'One of collector_tokens was used for something that is logged (reading is not), or somebody tried to change it, failed attempts included.';
--> statement-breakpoint
create or replace view detection_delete_burst as
select 'delete_burst'::text as detection, 'high'::text as severity,
  last_position as position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 10 as events, first_time,
  concat('10 deletes or more within 5 minutes, the tenth: ', summary) as summary, source_kind, source_id, id
from (
  select t.*, s.since, lag(action_time, 9) over actions as first_time,
    -- The burst before: that of the action before this one and the nine before that.
    lag(action_time, 1) over actions as previous_time, lag(action_time, 10) over actions as previous_first_time,
    max(position) over (actions rows 9 preceding) as last_position
  from (select coalesce(nullif(current_setting('orgtrail.bursts_since', true), '')::timestamptz, now() - interval '31 days') as since) s
  cross join audit_event_traits t
  where deletes and action_time > '-infinity' and action_time >= s.since - interval '10 minutes'
  window actions as (partition by source_kind, source_id, actor_id order by action_time, position)) a
where first_time >= action_time - interval '5 minutes'
  and (previous_first_time >= previous_time - interval '5 minutes') is not true
  and action_time >= since;
comment on view detection_delete_burst is 'One actor deleted 10 things or more in an organization within 5 minutes. One row each time the tenth comes; looks at the last 31 days, or since orgtrail.bursts_since.';
comment on column detection_delete_burst.position is 'Of that one of the ten that was stored last: whoever follows it meets the burst, in whatever order its events arrive.';
comment on column detection_delete_burst.action_time is 'Of the action that made it a burst; first_time is that of the first of the ten.';
--> statement-breakpoint
create or replace view detection_failure_burst as
select 'failure_burst'::text as detection, 'medium'::text as severity,
  last_position as position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 10 as events, first_time,
  concat('10 failed actions or more within 5 minutes, the tenth: ', summary) as summary, source_kind, source_id, id
from (
  select t.*, s.since, lag(action_time, 9) over actions as first_time,
    -- The burst before: that of the action before this one and the nine before that.
    lag(action_time, 1) over actions as previous_time, lag(action_time, 10) over actions as previous_first_time,
    max(position) over (actions rows 9 preceding) as last_position
  from (select coalesce(nullif(current_setting('orgtrail.bursts_since', true), '')::timestamptz, now() - interval '31 days') as since) s
  cross join audit_event_traits t
  where failed and action_time > '-infinity' and action_time >= s.since - interval '10 minutes'
  window actions as (partition by source_kind, source_id, actor_id order by action_time, position)) a
where first_time >= action_time - interval '5 minutes'
  and (previous_first_time >= previous_time - interval '5 minutes') is not true
  and action_time >= since;
comment on view detection_failure_burst is 'Of one actor in an organization, 10 actions or more failed within 5 minutes. One row each time the tenth comes; looks at the last 31 days, or since orgtrail.bursts_since.';
comment on column detection_failure_burst.position is 'Of that one of the ten that was stored last: whoever follows it meets the burst, in whatever order its events arrive.';
comment on column detection_failure_burst.action_time is 'Of the action that made it a burst; first_time is that of the first of the ten.';
--> statement-breakpoint
create or replace view detections as
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
select * from detection_collector_token;
comment on view detections is 'All detections. Follow it by position: an event stands in it once for each detection that it meets. An alert is named by (detection, source_kind, source_id, id).';
comment on column detections.severity is 'low, medium, high or critical, as the level of the Sigma rule.';
comment on column detections.events is 'How many events it takes: 1, or for a burst its threshold.';
