-- own transaction
-- Events that are too old for a sink are skipped and counted: docs/decisions/0053.
alter table sinks add column if not exists skipped bigint not null default 0;
--> statement-breakpoint
alter table sinks add column if not exists max_age_seconds bigint;
--> statement-breakpoint
-- As orgtrail_register_sinks, with the age beyond which each sink skips events; null: it skips none.
create or replace function orgtrail_register_sinks_with_ages(p_names text[], p_kinds text[], p_targets text[], p_starts text[],
  p_max_ages_seconds bigint[]) returns void
language plpgsql as $function$
begin
  perform orgtrail_register_sinks(p_names, p_kinds, p_targets, p_starts);
  update sinks s set max_age_seconds = given.max_age_seconds
  from unnest(p_names, p_max_ages_seconds) as given (name, max_age_seconds)
  where s.name = given.name and s.max_age_seconds is distinct from given.max_age_seconds;
end
$function$;
--> statement-breakpoint
create or replace function orgtrail_require_skipped(p_name text, p_skipped bigint, p_from bigint, p_to bigint) returns void
language plpgsql as $function$
begin
  if (p_skipped >= 0 and p_skipped <= p_to - p_from) is not true then
    raise exception 'the sink % cannot skip % events between % and %', p_name, p_skipped, p_from, p_to using errcode = 'check_violation';
  end if;
end
$function$;
--> statement-breakpoint
-- As orgtrail_skip_events, over events that are too old. Their dead letters are gone as well: nothing of them is to be sent any more.
create or replace function orgtrail_skip_old_events(p_name text, p_epoch bigint, p_until bigint, p_skipped bigint, p_lease_ms float8)
returns boolean
language plpgsql as $function$
declare
  was bigint := (select s.position from sinks s where s.name = p_name and s.lease_epoch = p_epoch for update);
begin
  if was is null then return false; end if;
  perform orgtrail_require_skipped(p_name, p_skipped, was, p_until);
  if not orgtrail_skip_events(p_name, p_epoch, p_until, p_lease_ms) then return false; end if;
  update sinks set skipped = skipped + p_skipped where name = p_name;
  delete from sink_dead_letters d where d.sink = p_name and d.position > was and d.position <= p_until;
  return true;
end
$function$;
--> statement-breakpoint
-- As orgtrail_finish_delivery, for a stretch in which events were too old.
create or replace function orgtrail_finish_delivery_and_skip(p_name text, p_epoch bigint, p_until bigint, p_accepted bigint,
  p_refused_in_row integer, p_refused bigint[], p_reasons text[], p_skipped bigint, p_lease_ms float8) returns boolean
language plpgsql as $function$
declare
  was bigint := (select s.position from sinks s where s.name = p_name and s.lease_epoch = p_epoch for update);
begin
  if was is null then return false; end if;
  perform orgtrail_require_skipped(p_name, p_skipped, was, p_until);
  if not orgtrail_finish_delivery(p_name, p_epoch, p_until, p_accepted, p_refused_in_row, p_refused, p_reasons, p_lease_ms) then
    return false;
  end if;
  update sinks set skipped = skipped + p_skipped where name = p_name;
  return true;
end
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_register_sinks_with_ages', 'orgtrail_skip_old_events', 'orgtrail_finish_delivery_and_skip'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
  end loop;
  foreach each in array array['orgtrail_register_sinks_with_ages', 'orgtrail_skip_old_events', 'orgtrail_finish_delivery_and_skip',
    'orgtrail_require_skipped'] loop
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
--> statement-breakpoint
comment on column sinks.kind is 'The type, as in ORGTRAIL_SINKS.';
--> statement-breakpoint
comment on column sinks.skipped is 'Events skipped so far since they were older than max_age, those of replays included.';
--> statement-breakpoint
comment on column sinks.max_age_seconds is 'Events whose action is older than this are skipped; null: none is.';
