-- For readers that tail by position through JDBC and the like: scalar types only, and no value that a driver cannot hold. Position
-- comes first, which Splunk DB Connect wants. Names and the feed are looked up for each row that is given out, not joined: the plan
-- of "where position > $1 order by position" stays the walk along the indexes on position that it is on audit_events.
create or replace view audit_feed as
select e.position,
  (select h.feed_id::text from feed_head h) as feed_id,
  e.source_kind, e.source_id, e.organization_id,
  (select o.name from organizations o where o.id = e.organization_id) as organization_name,
  e.id,
  case when isfinite(e.action_time) then e.action_time end as action_time,
  e.received_at,
  e.action_type, e.action_result, e.action_description,
  e.actor_id, e.actor_type, e.actor_context, e.actor_email, e.actor_ip_address, e.actor_token_id, e.actor_token_name,
  e.raw_cf_ray_id, e.raw_method, e.raw_status_code, e.raw_uri, e.raw_user_agent,
  e.resource_id, e.resource_product, e.resource_type, e.resource_scope,
  e.raw::text as raw, array_to_string(e.defects, ',') as defects
from audit_events e;
--> statement-breakpoint
comment on view audit_feed is 'audit_events for tools that follow it by position: plain types, organization names, and the feed that a position belongs to. Null action_time where the entry has none that can be read.';
--> statement-breakpoint
-- A reader that came while a month was being made had looked up the partitions before it waited, for the default one: it missed the
-- rows that were moved, went on behind them, and invariant 6 was broken. Now it waits before it looks. Since everybody waits behind
-- this function, it gives up where somebody reads for long (a dump, a cursor): the default partition takes the rows meanwhile.
create or replace function orgtrail_create_partitions(since timestamptz, until timestamptz) returns integer
language plpgsql as $function$
declare
  month timestamp := date_trunc('month', since at time zone 'UTC');
  lower_bound timestamptz;
  upper_bound timestamptz;
  partition text;
  created integer := 0;
begin
  perform pg_advisory_xact_lock(hashtext('orgtrail_create_partitions'));
  while month <= until at time zone 'UTC' loop
    partition := format('audit_events_%s', to_char(month, 'YYYY_MM'));
    if to_regclass(partition) is null then
      lower_bound := month at time zone 'UTC';
      upper_bound := (month + interval '1 month') at time zone 'UTC';
      -- Page commits and readers wait here, before they look up the partitions: what they add is moved, what was moved they find.
      lock table only audit_events in access exclusive mode;
      lock table audit_events_default in access exclusive mode;
      execute format('create table %I (like audit_events including defaults including constraints)', partition);
      execute format('with moved as (delete from audit_events_default where action_time >= %L and action_time < %L returning *)'
        ' insert into %I select * from moved', lower_bound, upper_bound, partition);
      execute format('alter table audit_events attach partition %I for values from (%L) to (%L)',
        partition, lower_bound, upper_bound);
      created := created + 1;
    end if;
    month := month + interval '1 month';
  end loop;
  return created;
end
$function$;
--> statement-breakpoint
do $$
begin
  execute format('alter function orgtrail_create_partitions(timestamptz, timestamptz)'
    ' security definer set search_path = %I, pg_temp set lock_timeout = ''10s''', current_schema());
end
$$;
--> statement-breakpoint
-- A month takes its rows out of the default partition: PostgreSQL refuses that where a publication publishes deletes (one for all tables
-- does) of a table whose rows it cannot name.
alter table audit_events_default replica identity using index audit_events_default_source_kind_source_id_id_action_time_idx;
