-- own transaction
-- Findings that people do not want to see for a while: docs/decisions/0070. The console alone leaves them out. Rows are added and ended by the
-- functions below, and never changed otherwise.
create table if not exists detection_mutes (
  id bigint generated always as identity primary key,
  detection text not null,
  actor text,
  reason text not null,
  muted_until timestamptz,
  created_by text not null,
  created_as text not null default session_user,
  created_at timestamptz not null default clock_timestamp(),
  ended_by text,
  ended_as text,
  ended_at timestamptz
);
--> statement-breakpoint
create index if not exists detection_mutes_in_force on detection_mutes (detection) where ended_at is null;
--> statement-breakpoint
comment on table detection_mutes is 'Findings that the console leaves out of its list, by whom and why. The views, the feed, sinks and Sigma know nothing of it (docs/detections.md).';
--> statement-breakpoint
comment on column detection_mutes.id is 'Its number.';
--> statement-breakpoint
comment on column detection_mutes.detection is 'The detection, as in detections.';
--> statement-breakpoint
comment on column detection_mutes.actor is 'Only findings of this actor, as in detections; null: of all.';
--> statement-breakpoint
comment on column detection_mutes.reason is 'Why, in the words of who did it.';
--> statement-breakpoint
comment on column detection_mutes.muted_until is 'Until when; null: until it is ended.';
--> statement-breakpoint
comment on column detection_mutes.created_by is 'The name of the token of the session that muted it.';
--> statement-breakpoint
comment on column detection_mutes.created_as is 'The database account that did it: that of the daemon.';
--> statement-breakpoint
comment on column detection_mutes.created_at is 'When, by the clock of the database.';
--> statement-breakpoint
comment on column detection_mutes.ended_by is 'The name of the token of the session that ended it.';
--> statement-breakpoint
comment on column detection_mutes.ended_as is 'The database account that ended it.';
--> statement-breakpoint
comment on column detection_mutes.ended_at is 'When it was ended; null: it is in force, or its time is over.';
--> statement-breakpoint
-- Mutes findings from now on. Null: the same ones are muted already. The misuse of the collector's own token cannot be muted: a stolen account
-- of the collector may call this.
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
  perform pg_advisory_xact_lock(hashtext('orgtrail_mute_detection'));
  if exists (select from detection_mutes m where m.detection = p_detection and m.actor is not distinct from p_actor
    and m.ended_at is null and coalesce(m.muted_until, 'infinity') > clock_timestamp()) then
    return null;
  end if;
  if (select count(*) from detection_mutes m where m.ended_at is null and coalesce(m.muted_until, 'infinity') > clock_timestamp()) >= 1000 then
    raise exception 'a thousand mutes are in force: end some of them first' using errcode = 'check_violation';
  end if;
  insert into detection_mutes (detection, actor, reason, muted_until, created_by)
  values (p_detection, p_actor, p_reason, p_muted_until, p_by) returning id into made;
  return made;
end
$function$;
--> statement-breakpoint
-- Ends a mute; its row stays. False: there is none of this number that is in force.
create or replace function orgtrail_unmute_detection(p_id bigint, p_by text) returns boolean
language plpgsql as $function$
begin
  if coalesce(p_by, '') !~ '\S' or length(p_by) > 200 then
    raise exception 'the person who ends a mute must be named' using errcode = 'check_violation';
  end if;
  update detection_mutes m set ended_by = p_by, ended_as = session_user, ended_at = clock_timestamp()
  where m.id = p_id and m.ended_at is null and coalesce(m.muted_until, 'infinity') > clock_timestamp();
  return found;
end
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_mute_detection', 'orgtrail_unmute_detection'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
