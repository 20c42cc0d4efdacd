create or replace function orgtrail_effects(p_action_type text, p_uri text, p_raw json) returns text[]
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
