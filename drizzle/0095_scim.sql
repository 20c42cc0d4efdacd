do $do$
declare
  definition text;
  said record;
  of_sign_ins text;
begin
  definition := pg_get_viewdef('audit_event_traits'::regclass, true);
  if definition !~ 'member\|invite''' or definition !~ 'AS actor_domain\s+FROM' then
    raise exception 'audit_event_traits is not the view of 0.3.0';
  end if;
  definition := replace(definition, 'member|invite''', 'member|invite|scim[ _-]?user''');
  definition := replace(definition, 'k.path ~* ''/members(/|$)''::text AS about_member', 'k.path ~* ''/members(/|$)|/scim/v2/users(/|$)''::text AS about_member');
  definition := regexp_replace(definition, 'AS actor_domain\s+FROM', 'AS actor_domain, k.names ~* ''scim''::text OR k.path ~* ''/scim/''::text AS about_scim FROM');
  execute 'create or replace view audit_event_traits as ' || definition;
  comment on column audit_event_traits.about_member is 'Members, invitations or users of SCIM, by name or by path.';
  comment on column audit_event_traits.about_scim is 'Users and groups that an identity provider keeps (SCIM), by name or by path.';
  -- A new database has their t.* of all columns.
  foreach of_sign_ins in array array['detection_sign_in_without_sso', 'detection_sign_in_from_new_network'] loop
    execute format('create or replace view %I as %s', of_sign_ins,
      regexp_replace(pg_get_viewdef(of_sign_ins::regclass), 't.actor_domain,(\s+s.since)', 't.actor_domain, t.about_scim,\1'));
  end loop;
  create or replace view detection_scim_changed as
  select 'scim_changed'::text as detection, 'medium'::text as severity,
    position, action_time, received_at, organization_id, organization_name,
    actor, actor_id, actor_type, actor_ip_address, actor_token_id, action_type, action_result, action_description,
    resource_type, resource_id, 1 as events, action_time as first_time, summary, source_kind, source_id, id
  from audit_event_traits
  where done and about_scim
    and copies_of_position is null;
  comment on view detection_scim_changed is 'A user or a group was created, changed or deleted through SCIM, by the identity provider or with its token.';
  execute 'create or replace view detections as ' || rtrim(pg_get_viewdef('detections'::regclass), ';') || ' union all select * from detection_scim_changed';
  for said in
    select a.attname, coalesce(case when a.attname = 'position' then 'Of the event in the feed.' end,
      col_description('detection_api_token_changed'::regclass, a.attnum)) as words
    from pg_attribute a where a.attrelid = 'detection_scim_changed'::regclass and a.attnum > 0
  loop
    execute format('comment on column detection_scim_changed.%I is %L', said.attname, said.words);
  end loop;
end
$do$;
