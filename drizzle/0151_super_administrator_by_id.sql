-- A member may be given the role by its id alone, as the documentation of Cloudflare does.
do $do$
declare
  definition text := replace(pg_get_viewdef('audit_event_traits'::regclass), 'super[ _-]?admin''', 'super[ _-]?admin|33666b9c79b9a5273fc7344ff42f953d''');
begin
  if definition !~ '33666b9c79b9a5273fc7344ff42f953d' then
    raise exception 'audit_event_traits is not the view of 0.3.0';
  end if;
  execute 'create or replace view audit_event_traits as ' || definition;
  comment on column audit_event_traits.names_super_administrator is 'The request or the response names that role, or its id at Cloudflare.';
end
$do$;
