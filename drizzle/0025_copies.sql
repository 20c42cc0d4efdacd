-- own transaction
-- An entry about a user's own profile stands in the log of every account that the user may use, under one id and time. Each is stored;
-- the copy with the lowest position is the first. All copies have one time, and so are kept and dropped together.
create or replace view audit_history as
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
--> statement-breakpoint
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
    or coalesce(substring(k.path from '/tokens/([^/]+)') = any (c.tokens), false) as touches_collector_token,
  u.about_user,
  case when u.about_user
    then (select min(f.position) from audit_events f where f.source_kind = 'account' and f.resource_scope in ('user', 'memberships')
      and f.id = e.id and f.action_time = e.action_time and f.position < e.position) end as copies_of_position
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
cross join lateral (select array(select token_id from collector_tokens) as tokens) c;
--> statement-breakpoint
create or replace view detection_api_token_changed as
select 'api_token_changed'::text as detection, 'medium'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_api_token
  and copies_of_position is null;
--> statement-breakpoint
create or replace view detection_member_added as
select 'member_added'::text as detection, 'medium'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and creates and about_member
  and copies_of_position is null;
--> statement-breakpoint
create or replace view detection_super_administrator_added as
select 'super_administrator_added'::text as detection, 'high'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_member and not deletes
  and (names_super_administrator or creates and about_organization_member and not requests_role)
  and copies_of_position is null;
--> statement-breakpoint
create or replace view detection_cloudflare_staff as
select 'cloudflare_staff'::text as detection, 'medium'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where by_cloudflare_staff
  and copies_of_position is null;
--> statement-breakpoint
create or replace view detection_collector_token as
select 'collector_token'::text as detection, 'critical'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where touches_collector_token
  and copies_of_position is null;
--> statement-breakpoint
create or replace view detection_sso_or_mfa_changed as
select 'sso_or_mfa_changed'::text as detection, 'high'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_sso_or_mfa
  -- A sign-in by it changes nothing.
  and lower(action_type) is distinct from 'login'
  and copies_of_position is null;
--> statement-breakpoint
-- A burst of entries about a user stands in many accounts: it is told of where it was stored first.
create or replace view detection_delete_burst as
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
    and action_time >= since
  order by source_kind, case when about_user then '' else source_id end, id, action_time, last_position) once;
--> statement-breakpoint
-- A burst of entries about a user stands in many accounts: it is told of where it was stored first.
create or replace view detection_failure_burst as
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
    and action_time >= since
  order by source_kind, case when about_user then '' else source_id end, id, action_time, last_position) once;
--> statement-breakpoint
comment on column audit_history.copies_of_position is 'Of an entry about a user''s own profile, which stands in the log of every account that the user may use: the position of the first of these copies. Null of the first, and of every other entry.';
--> statement-breakpoint
comment on column audit_event_traits.about_user is 'The entry is about a user''s own profile: it stands in the log of every account that the user may use, under one id and time.';
--> statement-breakpoint
comment on column audit_event_traits.copies_of_position is 'The first copy of an entry about a user; null of the first, and of every other entry. Detections look at the first alone.';
