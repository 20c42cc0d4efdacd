-- own transaction
-- Detections of what happens in accounts. Cloudflare publishes no list of words for account logs either: docs/detections.md says what is known.
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
      and (coalesce(lower(e.resource_type) in ('zone', 'zones'), false) or lower(coalesce(e.action_description, '')) in ('delete zone', 'delete_zone', 'zone delete', 'zone_delete'))) as deletes_many_dns_records,
  (k.names ~* 'worker' or k.path ~* '/workers/')
    and (k.names ~* 'secret|route' or k.path ~* '/(secrets|secrets-bulk|routes|domains)(/|$)') as about_worker_secret_or_route,
  u.about_user and not k.failed and k.verb = 'login' as signs_in,
  concat_ws(';', k.names, k.path) ~* '(^|[;/ _-])sso|single[ _-]?sign' as names_sso,
  case
    when e.actor_ip_address ~ '^\d{1,3}(\.\d{1,3}){3}$' then substring(e.actor_ip_address from '^\d+\.\d+\.\d+')
    when e.actor_ip_address ~* '^[0-9a-f]{1,4}(:[0-9a-f]{0,4}){2,7}$'
      then regexp_replace(substring(lower(e.actor_ip_address) from '^[0-9a-f]*:[0-9a-f]*:[0-9a-f]*'), ':$', ':0')
    else nullif(left(e.actor_ip_address, 100), '') end as actor_network,
  left(lower(substring(e.actor_email from '@([^@]+)$')), 300) as actor_domain
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
comment on column audit_event_traits.grants_widely is 'The request or the answer names all accounts, all zones, or the right to make API tokens.';
--> statement-breakpoint
comment on column audit_event_traits.about_protection is 'Firewall, WAF, rulesets, rate limits, Access applications and policies, Gateway rules: by name or by path.';
--> statement-breakpoint
comment on column audit_event_traits.deletes_many_dns_records is 'A batch of changes of DNS records with deletes, or the deletion of a whole zone. Did not fail.';
--> statement-breakpoint
comment on column audit_event_traits.about_worker_secret_or_route is 'Secrets, routes and domains of Workers, by name or by path.';
--> statement-breakpoint
comment on column audit_event_traits.signs_in is 'A sign-in that did not fail: action type login, about a user.';
--> statement-breakpoint
comment on column audit_event_traits.names_sso is 'Names single sign-on in type, product, description or path.';
--> statement-breakpoint
comment on column audit_event_traits.actor_network is 'The first three bytes of an IPv4 address, the first three groups of an IPv6 address as it is written; any other text as it is.';
--> statement-breakpoint
comment on column audit_event_traits.actor_domain is 'What follows the @ in the e-mail address of the actor, in small letters.';
--> statement-breakpoint
create or replace view detection_api_token_wide_scope as
select 'api_token_wide_scope'::text as detection, 'high'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_api_token and not deletes and grants_widely
  and copies_of_position is null;
--> statement-breakpoint
comment on view detection_api_token_wide_scope is 'An API token was created or changed that is for all accounts, for all zones, or that may make further tokens.';
--> statement-breakpoint
create or replace view detection_protection_removed as
select 'protection_removed'::text as detection, 'high'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where deletes and about_protection
  and copies_of_position is null;
--> statement-breakpoint
comment on view detection_protection_removed is 'A firewall or WAF rule, a ruleset, a rate limit, a Gateway rule, or an Access application, policy or group was deleted.';
--> statement-breakpoint
create or replace view detection_dns_records_deleted as
select 'dns_records_deleted'::text as detection, 'high'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where deletes_many_dns_records
  and copies_of_position is null;
--> statement-breakpoint
comment on view detection_dns_records_deleted is 'A batch of changes deleted DNS records, or a whole zone was deleted. Ten records that are deleted one by one are a delete_burst.';
--> statement-breakpoint
create or replace view detection_worker_secret_or_route_changed as
select 'worker_secret_or_route_changed'::text as detection, 'medium'::text as severity,
  position, action_time, received_at, organization_id, organization_name,
  actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
  resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
from audit_event_traits
where done and about_worker_secret_or_route
  and copies_of_position is null;
--> statement-breakpoint
comment on view detection_worker_secret_or_route_changed is 'A secret, a route or a domain of a Worker was set, changed or removed.';
--> statement-breakpoint
-- What is known of the time before may be stored later than the sign-in: it is found at the position at which it is known.
create or replace view detection_sign_in_without_sso as
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
--> statement-breakpoint
comment on view detection_sign_in_without_sso is 'A user signed in without single sign-on, though one with an e-mail address of the same domain signed in with it in the 31 days before. Looks at the last 31 days, or since orgtrail.bursts_since.';
--> statement-breakpoint
comment on column detection_sign_in_without_sso.position is 'Of the sign-in, or of the first known one by SSO if that was stored later: whoever follows it meets the detection, in whatever order events arrive.';
--> statement-breakpoint
create or replace view detection_sign_in_from_new_network as
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
  where signs_in and copies_of_position is null and nullif(actor_id, '') is not null and actor_network is not null and action_time >= s.since - interval '31 days') a
where known_position is not null and (last_time >= action_time - interval '31 days') is not true
  and action_time >= since;
--> statement-breakpoint
comment on view detection_sign_in_from_new_network is 'A user who had signed in within the 31 days before did so from a network (actor_network) that none of these sign-ins was from. Looks at the last 31 days, or since orgtrail.bursts_since.';
--> statement-breakpoint
comment on column detection_sign_in_from_new_network.position is 'Of the sign-in, or of the first known one before it if that was stored later: whoever follows it meets the detection, in whatever order events arrive.';
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
select * from detection_sign_in_from_new_network;
--> statement-breakpoint
-- The columns mean what they mean in the other detections.
do $$
declare
  said record;
begin
  for said in
    select v.name as relation, a.attname, col_description(a.attrelid, a.attnum) as words
    from unnest(array['detection_api_token_wide_scope', 'detection_protection_removed', 'detection_dns_records_deleted', 'detection_worker_secret_or_route_changed', 'detection_sign_in_without_sso', 'detection_sign_in_from_new_network']) as v (name)
    join pg_attribute a on a.attrelid = 'detection_cloudflare_staff'::regclass and a.attnum > 0 and not a.attisdropped
    join pg_attribute b on b.attrelid = v.name::regclass and b.attname = a.attname
    where col_description(b.attrelid, b.attnum) is null
  loop
    execute format('comment on column %s.%I is %L', said.relation, said.attname, said.words);
  end loop;
end
$$;
