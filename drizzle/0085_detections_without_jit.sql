-- Turns jit off for the statement that is planned, and for the rest of its transaction. PostgreSQL compiles a question about fourteen views and every
-- month for half a minute, which then takes a second. Immutable, so that the planner calls it, and decides about jit after it; what is left of it in
-- the plan is true. A function with "set jit = off" would keep the planner from the conditions of a statement; a role setting holds for one role.
create or replace function orgtrail_without_jit() returns boolean
language plpgsql immutable as $function$
begin
  perform pg_catalog.set_config('jit', 'off', true);
  return true;
end
$function$;
--> statement-breakpoint
create or replace view audit_event_traits as
 SELECT e."position",
    e.action_time,
    e.received_at,
    e.organization_id,
    o.name AS organization_name,
    a.actor,
    e.actor_id,
    e.actor_type,
    e.actor_ip_address,
    e.actor_token_id,
    e.action_type,
    e.action_result,
    e.action_description,
    e.resource_type,
    e.resource_id,
    e.source_kind,
    e.source_id,
    e.id,
    regexp_replace(concat("left"(COALESCE(NULLIF(e.action_description, ''::text), concat_ws(' '::text, e.action_type, e.resource_type)), 200), (' ('::text || "left"(NULLIF(concat_ws(' '::text, e.resource_type, e.resource_id), ''::text), 200)) || ')'::text, ' by ', "left"(a.actor, 200), ' from '::text || "left"(NULLIF(e.actor_ip_address, ''::text), 60),
        CASE
            WHEN k.failed THEN ', failed'::text
            ELSE NULL::text
        END), '[\u0001-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]'::text, ' '::text, 'g'::text) AS summary,
    k.failed,
    NOT k.failed AND k.verb <> 'view'::text AS done,
    NOT k.failed AND (k.verb = 'delete'::text OR k.method = 'DELETE'::text) AS deletes,
    k.verb <> 'delete'::text AND k.method <> 'DELETE'::text AND (k.verb = 'create'::text OR k.method = 'POST'::text) AS creates,
    k.names ~* 'api[ _-]?(token|key)'::text OR k.path ~* '/tokens(/|$)'::text OR COALESCE((lower(e.resource_type) = ANY (ARRAY['token'::text, 'tokens'::text])) OR (lower(e.resource_product) = ANY (ARRAY['token'::text, 'tokens'::text])), false) AS about_api_token,
    k.names ~* 'member|invite'::text OR k.path ~* '/members(/|$)'::text AS about_member,
    k.path ~* '/members(/|$)'::text AND k.path ~* '/organizations/'::text AS about_organization_member,
    concat_ws(' '::text, p.request, p.response) ~* 'super[ _-]?admin'::text AS names_super_administrator,
    COALESCE(p.request, ''::text) ~* 'role'::text AS requests_role,
    k.names ~* '(^|[; _-])(sso|mfa|2fa)|two[ _-]?factor|single[ _-]sign|identity[ _-]?provider'::text OR k.path ~* '/sso_connectors|/identity_providers|/two_factor'::text OR e.raw::text ~* 'factor|mfa_'::text AND COALESCE(p.request, ''::text) ~* 'two_?factor|mfa_'::text AS about_sso_or_mfa,
    COALESCE(lower(e.actor_type) = ANY (ARRAY['cloudflare_admin'::text, 'cloudflare-admin'::text, 'cloudflare admin'::text]), false) AS by_cloudflare_staff,
    COALESCE(e.actor_token_id = ANY (c.tokens), false) OR COALESCE(e.resource_id = ANY (c.tokens), false) OR COALESCE("substring"(k.path, '/tokens/([^/]+)'::text) = ANY (c.tokens), false) AS touches_collector_token,
    u.about_user,
        CASE
            WHEN u.about_user THEN ( SELECT min(f."position") AS min
               FROM audit_events f
              WHERE f.source_kind = 'account'::text AND (f.resource_scope = ANY (ARRAY['user'::text, 'memberships'::text])) AND f.id = e.id AND f.action_time = e.action_time AND f."position" < e."position")
            ELSE NULL::bigint
        END AS copies_of_position,
    concat_ws(' '::text, p.request, p.response) ~* 'com\.cloudflare\.api\.account\.(zone\.)?\*|api tokens (write|edit)'::text AS grants_widely,
    k.names ~* 'firewall|ruleset|(^|[; _-])waf|access[ _-]?(app|polic|group|rule)|gateway[ _-]?rule|rate[ _-]?limit'::text OR k.path ~* '/firewall/|/rulesets/|/access/(apps|policies|groups)/|/gateway/rules/|/rate_limits/'::text OR COALESCE(lower(e.resource_product) = 'access'::text AND (lower(e.resource_type) = ANY (ARRAY['app'::text, 'policy'::text, 'group'::text])), false) OR COALESCE(lower(e.resource_product) = 'gateway'::text AND lower(e.resource_type) = 'rule'::text, false) AS about_protection,
    NOT k.failed AND k.verb <> 'view'::text AND (k.path ~* '/dns_records/batch$'::text AND COALESCE(p.request, ''::text) ~* '"deletes"\s*:\s*\[\s*\{'::text OR (k.verb = 'delete'::text OR k.method = 'DELETE'::text) AND (COALESCE(lower(e.resource_type) = ANY (ARRAY['zone'::text, 'zones'::text]), false) OR (lower(COALESCE(e.action_description, ''::text)) = ANY (ARRAY['delete zone'::text, 'delete_zone'::text, 'zone delete'::text, 'zone_delete'::text])))) AS deletes_many_dns_records,
    (k.names ~* 'worker'::text OR k.path ~* '/workers/'::text) AND (k.names ~* 'secret|route'::text OR k.path ~* '/(secrets|secrets-bulk|routes|domains)(/|$)'::text) AS about_worker_secret_or_route,
    u.about_user AND NOT k.failed AND k.verb = 'login'::text AS signs_in,
    concat_ws(';'::text, k.names, k.path) ~* '(^|[;/ _-])sso|single[ _-]?sign'::text AS names_sso,
        CASE
            WHEN e.actor_ip_address ~ '^\d{1,3}(\.\d{1,3}){3}$'::text THEN "substring"(e.actor_ip_address, '^\d+\.\d+\.\d+'::text)
            WHEN e.actor_ip_address ~* '^[0-9a-f]{1,4}(:[0-9a-f]{0,4}){2,7}$'::text THEN regexp_replace("substring"(lower(e.actor_ip_address), '^[0-9a-f]*:[0-9a-f]*:[0-9a-f]*'::text), ':$'::text, ':0'::text)
            ELSE NULLIF("left"(e.actor_ip_address, 100), ''::text)
        END AS actor_network,
    "left"(lower("substring"(e.actor_email, '@([^@]+)$'::text)), 300) AS actor_domain
   FROM audit_events e
     LEFT JOIN organizations o ON o.id = e.organization_id
     CROSS JOIN LATERAL ( SELECT COALESCE(NULLIF(e.actor_email, ''::text), NULLIF(e.actor_token_name, ''::text), NULLIF(e.actor_id, ''::text), NULLIF(e.actor_type, ''::text), 'unknown'::text) AS actor) a
     CROSS JOIN LATERAL ( SELECT COALESCE(lower(e.action_result) = 'failure'::text, false) OR COALESCE(e.raw_status_code >= 400 AND e.raw_status_code <= 599, false) AS failed,
            COALESCE(lower(e.action_type), ''::text) AS verb,
            COALESCE(upper(e.raw_method), ''::text) AS method,
            COALESCE("substring"(e.raw_uri, '^[^?#]*'::text), ''::text) AS path,
            concat_ws(';'::text, e.resource_type, e.resource_product, e.action_description) AS names) k
     CROSS JOIN LATERAL ( SELECT
                CASE
                    WHEN e.defects && ARRAY['nul_character'::text, 'lone_surrogate'::text, 'number_out_of_range'::text, 'nested_too_deeply'::text, 'refused_by_database'::text] THEN e.raw::text
                    ELSE e.raw::jsonb #>> '{resource,request}'::text[]
                END AS request,
                CASE
                    WHEN e.defects && ARRAY['nul_character'::text, 'lone_surrogate'::text, 'number_out_of_range'::text, 'nested_too_deeply'::text, 'refused_by_database'::text] THEN NULL::text
                    ELSE e.raw::jsonb #>> '{resource,response}'::text[]
                END AS response) p
     CROSS JOIN LATERAL ( SELECT e.source_kind = 'account'::text AND COALESCE(e.resource_scope = ANY (ARRAY['user'::text, 'memberships'::text]), false) AND e.action_time > '-infinity'::timestamp with time zone AS about_user) u
     CROSS JOIN LATERAL ( SELECT ARRAY( SELECT collector_tokens.token_id
                   FROM collector_tokens) AS tokens) c
  WHERE orgtrail_without_jit();
