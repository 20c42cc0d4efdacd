-- Findings are acknowledged: what has been found up to now leaves the list, what is found later does not.
alter table detection_mutes add column if not exists up_to_position bigint;
comment on column detection_mutes.up_to_position is 'Of an acknowledgement: only findings at positions up to this one. Null: of a mute.';
comment on table detection_mutes is 'Findings that the console leaves out of its list, muted or acknowledged, by whom and why. The views, the feed, sinks and Sigma '
  'know nothing of it (docs/detections.md).';
--> statement-breakpoint
-- It asks which detections the operator has.
create table if not exists own_detections (
  name text primary key,
  position bigint not null,
  asked_at timestamptz,
  failed_at timestamptz,
  error text
);
--> statement-breakpoint
create or replace function orgtrail_mute_detection(p_detection text, p_actor text, p_reason text, p_muted_until timestamptz, p_by text) returns bigint
language plpgsql as $function$
declare
  made bigint;
begin
  if p_detection is null or p_detection !~ '^[a-z0-9_]{1,100}$' or p_detection = 'collector_token' then
    raise exception 'the detection % cannot be muted', left(p_detection, 100) using errcode = 'check_violation';
  end if;
  if coalesce(p_reason, '') !~ '\S' or coalesce(p_by, '') !~ '\S' or length(p_reason) > 1000 or length(p_by) > 200 or length(p_actor) > 1000
    or p_muted_until <= clock_timestamp() then
    raise exception 'a mute needs a reason, a person, and an end in the future' using errcode = 'check_violation';
  end if;
  -- One at a time, so that the limit holds.
  lock table detection_mutes in share row exclusive mode;
  if exists (select from detection_mutes m where m.detection = p_detection and m.actor is not distinct from p_actor
    and m.up_to_position is null and m.ended_at is null and coalesce(m.muted_until, 'infinity') > clock_timestamp()) then
    return null;
  end if;
  if (select count(*) from detection_mutes m where m.up_to_position is null and m.ended_at is null
    and coalesce(m.muted_until, 'infinity') > clock_timestamp()) >= 1000 then
    raise exception 'a thousand mutes are in force: end some of them first' using errcode = 'check_violation';
  end if;
  insert into detection_mutes (detection, actor, reason, muted_until, created_by)
  values (p_detection, p_actor, p_reason, p_muted_until, p_by) returning id into made;
  return made;
end
$function$;
--> statement-breakpoint
create or replace function orgtrail_acknowledge_detection(p_detection text, p_actor text, p_seen bigint, p_note text, p_by text) returns bigint
language plpgsql as $function$
declare
  made bigint;
begin
  if p_detection is null or p_detection !~ '^[a-z0-9_]{1,100}$' or p_detection = 'collector_token' then
    raise exception 'the detection % cannot be acknowledged', left(p_detection, 100) using errcode = 'check_violation';
  end if;
  if coalesce(p_note, '') !~ '\S' or coalesce(p_by, '') !~ '\S' or length(p_note) > 1000 or length(p_by) > 200 or length(p_actor) > 1000 then
    raise exception 'an acknowledgement needs a note and a person' using errcode = 'check_violation';
  end if;
  lock table detection_mutes in share row exclusive mode;
  update detection_mutes m set ended_by = p_by, ended_as = session_user, ended_at = clock_timestamp()
  where m.detection = p_detection and (p_actor is null or m.actor = p_actor) and m.up_to_position is not null and m.ended_at is null;
  if (select count(*) from detection_mutes m where m.up_to_position is not null and m.ended_at is null) >= 10000 then
    raise exception 'ten thousand acknowledgements are in force: acknowledge all of a rule instead' using errcode = 'check_violation';
  end if;
  insert into detection_mutes (detection, actor, reason, muted_until, up_to_position, created_by)
  select p_detection, p_actor, p_note, clock_timestamp(), least(p_seen, f.position,
    (select h.position from finding_head h where exists (select from own_detections o where o.name = p_detection))), p_by
  from feed_head f returning id into made;
  return made;
end
$function$;
--> statement-breakpoint
create or replace function orgtrail_unmute_detection(p_id bigint, p_by text) returns boolean
language plpgsql as $function$
begin
  if coalesce(p_by, '') !~ '\S' or length(p_by) > 200 then
    raise exception 'the person who ends a mute must be named' using errcode = 'check_violation';
  end if;
  update detection_mutes m set ended_by = p_by, ended_as = session_user, ended_at = clock_timestamp()
  where m.id = p_id and m.ended_at is null and (m.up_to_position is not null or coalesce(m.muted_until, 'infinity') > clock_timestamp());
  return found;
end
$function$;
--> statement-breakpoint
do $do$
begin
  execute pg_catalog.format('alter function orgtrail_mute_detection security definer set search_path = %I, pg_temp', current_schema());
  execute pg_catalog.format('alter function orgtrail_acknowledge_detection security definer set search_path = %I, pg_temp', current_schema());
  execute pg_catalog.format('alter function orgtrail_unmute_detection security definer set search_path = %I, pg_temp', current_schema());
  execute 'revoke execute on function orgtrail_acknowledge_detection from public';
end
$do$;
