-- The events of one resource, for people who ask what became of it. Reads only: nothing that is stored changes.
create or replace function orgtrail_history_of(p_position bigint)
returns table ("position" bigint, action_time timestamptz, matched_by text)
language plpgsql stable parallel safe rows 50
-- The values of one event say how many others there are: a plan for any event would be wrong for most.
set plan_cache_mode = force_custom_plan
as $function$
declare
  subject record;
  of_user boolean;
begin
  select e.position, e.action_time, nullif(e.resource_id, '') as resource_id, e.resource_product as product, e.resource_type as type,
    e.resource_scope as scope, nullif(split_part(e.raw_uri, '?', 1), '') as path, upper(e.raw_method) as method,
    e.organization_id, e.account_id, e.zone_id
  into subject from audit_events e where e.position = p_position limit 1;
  if not found then return; end if;
  of_user := coalesce(subject.scope in ('user', 'memberships'), false);
  return query
  with matched as (
    select e.position, e.action_time, 'id' as matched_by, e.id, e.source_kind, e.organization_id, e.account_id, e.zone_id
    from audit_events e
    where subject.resource_id is not null and e.resource_id = subject.resource_id
      and e.resource_product is not distinct from subject.product and e.resource_type is not distinct from subject.type
    union all
    -- A POST goes to the collection, which many resources share.
    select e.position, e.action_time, 'uri', e.id, e.source_kind, e.organization_id, e.account_id, e.zone_id
    from audit_events e
    where subject.resource_id is null and subject.path is not null and subject.method is distinct from 'POST'
      and e.resource_type is not distinct from subject.type and split_part(e.raw_uri, '?', 1) = subject.path
    union all
    select e.position, e.action_time, 'type', e.id, e.source_kind, e.organization_id, e.account_id, e.zone_id
    from audit_events e
    where subject.resource_id is null and (subject.path is null or subject.method = 'POST')
      and subject.type is not null and e.resource_type = subject.type
      and e.resource_product is not distinct from subject.product
    union all
    select subject.position, subject.action_time, 'itself', null, null, subject.organization_id, subject.account_id, subject.zone_id
    where subject.resource_id is null and (subject.path is null or subject.method = 'POST') and subject.type is null
  ), owned as (
    -- Short ids such as the name of a setting exist in every zone and account. What an entry does not say, does not tell them apart.
    select m.* from matched m
    where of_user or (
      coalesce(m.zone_id = subject.zone_id, true)
      and case
        when m.account_id is not null and subject.account_id is not null then m.account_id = subject.account_id
        else coalesce(m.organization_id = subject.organization_id, true) end)
  )
  select o.position, o.action_time, o.matched_by from (
    select m.*, row_number() over (partition by m.source_kind, m.id, m.action_time order by m.position) as copy from owned m
  ) o
  -- An entry of a user is in the log of each of his accounts: the history has it once. What counts as a copy is as in audit_history.
  where o.position = subject.position
    or not (of_user and o.source_kind = 'account' and o.action_time > '-infinity')
    or o.copy = 1 and not exists (select from owned own where own.position = subject.position
      and own.source_kind = 'account' and own.id = o.id and own.action_time = o.action_time);
end
$function$;
--> statement-breakpoint
comment on function orgtrail_history_of(bigint) is 'The events about the resource of the event at a position, itself included. matched_by: id (the same id, product and type), uri (the same path of the request; exact as well), type (no more than the same product and type: other resources, too), itself (the entry does not say what it is about). Within one zone and account, or organization; of a user''s profile each entry once.';
