-- own transaction
-- Writers wait for a moment. From here on the spellings of new events are noted.
create or replace function orgtrail_names(p_zone_id text, p_zone_name text, p_token_name text, p_email text) returns tsvector
language sql immutable parallel safe as $function$
  select array_to_tsvector(array_remove(array['z' || left(md5(lower(p_zone_id collate "default")), 10),
    'z' || left(md5(lower(p_zone_name collate "default")), 10), 't' || left(lower(p_token_name collate "default"), 400),
    case when p_email <> lower(p_email collate "default") then 'e' || left(lower(p_email collate "default"), 400) end], null))
$function$;
create or replace function orgtrail_zone(p_zone text) returns tsquery
language sql immutable parallel safe as $function$
  select ('z' || left(md5(lower(p_zone)), 10))::tsquery
$function$;
create or replace function orgtrail_name(p_kind text, p_name text, p_is_beginning boolean) returns tsquery
language sql immutable parallel safe as $function$
  select (E'\'' || p_kind || replace(replace(left(lower(p_name), 400), E'\\', E'\\\\'), E'\'', E'\'\'')
    || case when p_is_beginning then E'\':*' else E'\'' end)::tsquery
$function$;
create table if not exists event_spellings (column_name text collate "C" not null, folded text collate "C" not null, value text not null);
create unique index if not exists event_spellings_once on event_spellings (column_name, folded, md5(value));
comment on table event_spellings is 'What audit_events has in action_type, action_result, resource_product and resource_type that is not in small letters.';
comment on column event_spellings.column_name is 'Of audit_events.';
comment on column event_spellings.folded is 'The value in small letters, cut.';
comment on column event_spellings.value is 'As events have it.';
create or replace function orgtrail_note_spellings() returns trigger
language plpgsql security definer as $function$
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
create or replace trigger spellings_are_noted after insert or update on audit_events for each row
  when (new.action_type <> lower(new.action_type) or new.action_result <> lower(new.action_result)
    or new.resource_product <> lower(new.resource_product) or new.resource_type <> lower(new.resource_type))
  execute function orgtrail_note_spellings();
