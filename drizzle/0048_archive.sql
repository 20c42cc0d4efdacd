-- own transaction
-- A month is dropped only once it is proven to be in the archive: docs/decisions/0055.
create table if not exists archive_policy (
  only_row boolean primary key default true check (only_row),
  archive text not null check (archive <> ''),
  set_at timestamptz not null default clock_timestamp(),
  set_as text not null default session_user
);
--> statement-breakpoint
create table if not exists archive_objects (
  id bigint primary key generated always as identity,
  archive text not null,
  key text not null,
  kind text not null check (kind in ('events', 'changes')),
  month date not null,
  feed_id uuid not null,
  first_position bigint not null,
  last_position bigint not null check (last_position >= first_position),
  events bigint not null check (events > 0),
  bytes bigint not null check (bytes > 0),
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  ids_sha256 text not null,
  raw_sha256 text not null,
  columns_sha256 text not null,
  organizations jsonb not null,
  version_id text,
  locked_until timestamptz,
  written_at timestamptz not null default clock_timestamp(),
  written_as text not null default session_user,
  verified_at timestamptz not null default clock_timestamp(),
  fault text,
  superseded_at timestamptz,
  dropped_at timestamptz
);
--> statement-breakpoint
create index if not exists archive_objects_month on archive_objects (month, kind, first_position);
--> statement-breakpoint
create index if not exists archive_objects_last_position on archive_objects (last_position) where dropped_at is not null;
--> statement-breakpoint
-- What a stretch of a month holds, as the database has it. The reader of an object computes the same of what it read.
create or replace function orgtrail_archive_facts(p_kind text, p_month date, p_first bigint, p_last bigint,
  out events bigint, out first_position bigint, out last_position bigint, out ids_sha256 text, out raw_sha256 text,
  out columns_sha256 text, out organizations jsonb)
language plpgsql stable as $function$
declare
  since timestamptz := pg_catalog.date_trunc('month', p_month::timestamp) at time zone 'UTC';
  until timestamptz := (pg_catalog.date_trunc('month', p_month::timestamp) + interval '1 month') at time zone 'UTC';
begin
  if p_kind = 'changes' then
    select count(*), min(e.position), max(e.position),
      encode(sha256(convert_to(string_agg(c.source_kind || ' ' || c.source_id || ' ' || c.event_id || ' ' || c.raw_sha256, E'\n'
        order by c.position, c.id), 'UTF8')), 'hex'),
      encode(sha256(convert_to(string_agg(encode(sha256(convert_to(c.raw::text, 'UTF8')), 'hex'), E'\n' order by c.position, c.id), 'UTF8')), 'hex'),
      encode(sha256(convert_to(string_agg(encode(sha256(convert_to(concat_ws(E'\x1f',
        c.position, c.id, pg_catalog.floor(extract(epoch from c.seen_at) * 1000000)::bigint), 'UTF8')), 'hex'), E'\n'
        order by c.position, c.id), 'UTF8')), 'hex'), '{}'::jsonb
    into events, first_position, last_position, ids_sha256, raw_sha256, columns_sha256, organizations
    from audit_event_changes c join audit_events e on e.position = c.position
    where e.action_time >= since and e.action_time < until and c.position between p_first and p_last;
    return;
  end if;
  select count(*), min(e.position), max(e.position),
    encode(sha256(convert_to(string_agg(e.source_kind || ' ' || e.source_id || ' ' || e.id, E'\n' order by e.position), 'UTF8')), 'hex'),
    encode(sha256(convert_to(string_agg(encode(sha256(convert_to(e.raw::text, 'UTF8')), 'hex'), E'\n' order by e.position), 'UTF8')), 'hex'),
    encode(sha256(convert_to(string_agg(encode(sha256(convert_to(concat_ws(E'\x1f',
      e.position, coalesce(e.source_kind, E'\x1e'), coalesce(e.source_id, E'\x1e'), coalesce(e.organization_id, E'\x1e'), coalesce(e.id, E'\x1e'),
      pg_catalog.floor(extract(epoch from e.action_time) * 1000000)::bigint, pg_catalog.floor(extract(epoch from e.received_at) * 1000000)::bigint,
      coalesce(e.action_type, E'\x1e'), coalesce(e.action_result, E'\x1e'), coalesce(e.action_description, E'\x1e'), coalesce(e.actor_id, E'\x1e'),
      coalesce(e.actor_type, E'\x1e'), coalesce(e.actor_context, E'\x1e'), coalesce(e.actor_email, E'\x1e'), coalesce(e.actor_ip_address, E'\x1e'),
      coalesce(e.actor_token_id, E'\x1e'), coalesce(e.actor_token_name, E'\x1e'), coalesce(e.raw_cf_ray_id, E'\x1e'), coalesce(e.raw_method, E'\x1e'),
      coalesce(e.raw_status_code::text, E'\x1e'), coalesce(e.raw_uri, E'\x1e'), coalesce(e.raw_user_agent, E'\x1e'), coalesce(e.resource_id, E'\x1e'),
      coalesce(e.resource_product, E'\x1e'), coalesce(e.resource_type, E'\x1e'), coalesce(e.resource_scope, E'\x1e'), coalesce(e.account_id, E'\x1e'),
      coalesce(e.account_name, E'\x1e'), coalesce(e.zone_id, E'\x1e'), coalesce(e.zone_name, E'\x1e'),
      coalesce(pg_catalog.array_to_string(e.defects, ','), E'\x1e')), 'UTF8')), 'hex'), E'\n'
      order by e.position), 'UTF8')), 'hex')
  into events, first_position, last_position, ids_sha256, raw_sha256, columns_sha256
  from audit_events e
  where e.action_time >= since and e.action_time < until and e.position between p_first and p_last;
  select coalesce(jsonb_object_agg(o.organization, jsonb_build_object('events', o.events, 'from', o.earliest, 'to', o.latest)), '{}'::jsonb)
  into organizations
  from (select coalesce(e.organization_id, '') as organization, count(*) as events, min(e.action_time) as earliest, max(e.action_time) as latest
    from audit_events e
    where e.action_time >= since and e.action_time < until and e.position between p_first and p_last group by 1) as o;
end
$function$;
--> statement-breakpoint
-- From now on no month is dropped that is not in this archive, by replicas of earlier versions neither. The owner alone can take that back.
create or replace function orgtrail_use_archive(p_archive text) returns void
language plpgsql as $function$
begin
  if exists (select from archive_policy p where p.archive = p_archive) then return; end if;
  insert into archive_policy (archive) values (p_archive)
  on conflict (only_row) do update set archive = excluded.archive, set_at = clock_timestamp(), set_as = session_user;
end
$function$;
--> statement-breakpoint
-- Notes an object that was written and read back. Its caller says what it read; the database compares that with what it holds itself.
create or replace function orgtrail_note_archived(p_archive text, p_key text, p_kind text, p_month date, p_first bigint, p_last bigint,
  p_events bigint, p_bytes bigint, p_sha256 text, p_ids_sha256 text, p_raw_sha256 text, p_columns_sha256 text, p_version_id text,
  p_locked_until timestamptz) returns bigint
language plpgsql as $function$
declare
  facts record;
  noted bigint;
begin
  if not exists (select from archive_policy p where p.archive = p_archive) then
    raise exception 'the database has another archive in use, or none' using errcode = 'check_violation';
  end if;
  select * into facts from orgtrail_archive_facts(p_kind, p_month, p_first, p_last);
  if (facts.events, facts.first_position, facts.last_position, facts.ids_sha256, facts.raw_sha256, facts.columns_sha256)
    is distinct from (p_events, p_first, p_last, p_ids_sha256, p_raw_sha256, p_columns_sha256) then
    raise exception 'the object % does not hold what the database holds', p_key using errcode = 'check_violation';
  end if;
  perform pg_advisory_xact_lock(hashtext('orgtrail_note_archived'));
  update archive_objects o set verified_at = clock_timestamp(), fault = null, version_id = p_version_id
  where o.archive = p_archive and o.key = p_key and o.sha256 = p_sha256 and o.kind = p_kind and o.month = p_month
    and o.first_position = p_first and o.last_position = p_last and o.superseded_at is null and o.dropped_at is null
    and o.ids_sha256 = p_ids_sha256 and o.raw_sha256 = p_raw_sha256 and o.columns_sha256 = p_columns_sha256
  returning o.id into noted;
  if noted is not null then return noted; end if;
  update archive_objects o set superseded_at = clock_timestamp()
  where o.archive = p_archive and o.kind = p_kind and o.month = p_month and o.superseded_at is null and o.dropped_at is null
    and o.first_position <= p_last and o.last_position >= p_first;
  insert into archive_objects (archive, key, kind, month, feed_id, first_position, last_position, events, bytes, sha256, ids_sha256,
    raw_sha256, columns_sha256, organizations, version_id, locked_until)
  values (p_archive, p_key, p_kind, p_month, (select h.feed_id from feed_head h), p_first, p_last, p_events, p_bytes, p_sha256, p_ids_sha256,
    p_raw_sha256, p_columns_sha256, facts.organizations, p_version_id, p_locked_until)
  returning id into noted;
  return noted;
end
$function$;
--> statement-breakpoint
-- An object was read again. What it has then is what it had, or it has a fault, with which its month is not dropped.
create or replace function orgtrail_note_archive_read(p_id bigint, p_sha256 text, p_fault text) returns boolean
language plpgsql as $function$
begin
  update archive_objects o
  set verified_at = case when p_fault is null then clock_timestamp() else o.verified_at end, fault = p_fault
  where o.id = p_id and (p_fault is not null or o.sha256 = p_sha256);
  return found;
end
$function$;
--> statement-breakpoint
-- Begins a round: what was read before it does not let a month go, since the objects may have been changed meanwhile.
create or replace function orgtrail_forget_archive_reads(p_month date) returns void
language sql as $function$
  update archive_objects o set verified_at = '-infinity'
  where o.month = p_month and o.superseded_at is null and o.dropped_at is null
$function$;
--> statement-breakpoint
-- The rows of a month that are in objects that count.
create or replace function orgtrail_archived(p_month date, p_kind text) returns bigint
language sql stable as $function$
  select coalesce(sum(o.events), 0)::bigint from archive_objects o
  where o.month = p_month and o.kind = p_kind and o.superseded_at is null and o.dropped_at is null
    and o.archive = (select p.archive from archive_policy p)
$function$;
--> statement-breakpoint
-- Why the archive does not allow to drop a month; null: it does, or there is none. Cheap: asked again under the locks.
-- `the archive` begins each reason: that is how the caller knows that archiving helps.
create or replace function orgtrail_archive_obstacle(p_month date, p_highest bigint, p_events bigint) returns text
language plpgsql stable as $function$
declare
  found_up_to bigint;
  bad record;
begin
  if p_highest is null or not exists (select from archive_policy) then return null; end if;
  select max(o.last_position) into found_up_to from archive_objects o
  where o.month = p_month and o.kind = 'events' and o.superseded_at is null and o.dropped_at is null
    and o.archive = (select p.archive from archive_policy p);
  if found_up_to is distinct from p_highest then
    return pg_catalog.format('the archive has its events up to position %s, and still needs those up to %s',
      coalesce(found_up_to, 0), p_highest);
  end if;
  select o.key, o.fault, o.verified_at into bad from archive_objects o
  where o.month = p_month and o.superseded_at is null and o.dropped_at is null
    and o.archive = (select p.archive from archive_policy p)
    and (o.fault is not null or o.verified_at < clock_timestamp() - interval '1 hour')
  order by o.fault is null, o.first_position limit 1;
  if bad.fault is not null then return pg_catalog.format('the archive has a fault: %s: %s', bad.key, left(bad.fault, 200)); end if;
  if bad.key is not null then
    return pg_catalog.format('the archive was not read back within the last hour: %s', bad.key);
  end if;
  if p_events is not null and orgtrail_archived(p_month, 'events') <> p_events then
    return pg_catalog.format('the archive has %s of its %s events', orgtrail_archived(p_month, 'events'), p_events);
  end if;
  return null;
end
$function$;
--> statement-breakpoint
-- As above, with every hash of every object compared with what the database holds: that takes long, and comes before the locks.
create or replace function orgtrail_archive_difference(p_month date, p_events bigint) returns text
language plpgsql stable as $function$
declare
  object archive_objects;
  facts record;
  changes bigint;
begin
  if coalesce(p_events, 0) = 0 or not exists (select from archive_policy) then return null; end if;
  if orgtrail_archived(p_month, 'events') <> p_events then
    return pg_catalog.format('the archive has %s of its %s events', orgtrail_archived(p_month, 'events'), p_events);
  end if;
  for object in select o.* from archive_objects o
    where o.month = p_month and o.superseded_at is null and o.dropped_at is null
      and o.archive = (select p.archive from archive_policy p) order by o.kind, o.first_position
  loop
    select * into facts from orgtrail_archive_facts(object.kind, p_month, object.first_position, object.last_position);
    if (facts.events, facts.ids_sha256, facts.raw_sha256, facts.columns_sha256)
      is distinct from (object.events, object.ids_sha256, object.raw_sha256, object.columns_sha256) then
      return pg_catalog.format('the archive has other contents in %s', object.key);
    end if;
  end loop;
  select facts_of.events into changes
  from orgtrail_archive_facts('changes', p_month, 0, 9223372036854775807) as facts_of;
  if changes <> orgtrail_archived(p_month, 'changes') then
    return pg_catalog.format('the archive has %s of its %s later contents', orgtrail_archived(p_month, 'changes'), changes);
  end if;
  return null;
end
$function$;
--> statement-breakpoint
-- As in 0033, and with an archive only what is proven to be in it. The key that salts the leaves of the month stays then: what was hashed is still there.
create or replace function orgtrail_drop_month(of_month date, retention interval) returns text
language plpgsql as $function$
declare
  name text := 'audit_events_' || pg_catalog.to_char(of_month::timestamp, 'YYYY_MM'::text);
  partition regclass := to_regclass(name);
  month timestamptz := date_trunc('month', of_month::timestamp) at time zone 'UTC';
  until timestamptz := (date_trunc('month', of_month::timestamp) + interval '1 month') at time zone 'UTC';
  -- A clock that is ahead must not drop: Cloudflare's own time, as of the last listing, counts as well.
  now_at_most timestamptz := (select case when server_time is not null
    then least(clock_timestamp(), server_time + interval '2 days') end from discovery);
  shortest interval;
  gone retention_drops;
  highest bigint;
  changes_archived bigint;
  obstacle text;
begin
  if retention < interval '1 day' then return 'a retention of less than a day'; end if;
  if not pg_has_role(session_user, (select relowner from pg_class where oid = 'audit_events'::regclass), 'usage') then
    select p.shortest into shortest from retention_policy p;
    if shortest is null then
      return pg_catalog.format('%s may not drop anything: the owner of the schema has not set a retention_policy', session_user);
    elsif retention < shortest then
      return pg_catalog.format('%s may not drop what is younger than %s, as retention_policy says', session_user, shortest);
    end if;
  end if;
  if not pg_try_advisory_xact_lock(hashtext('orgtrail_drop_month')) then
    raise exception 'another replica is dropping one' using errcode = 'lock_not_available';
  end if;
  if partition is null or not exists (select from pg_inherits where inhrelid = partition and inhparent = 'audit_events'::regclass) then
    return 'there is no such partition';
  end if;
  -- A day more: what a walk reads again at the edge of the history must not come back as new.
  if now_at_most is null then
    raise exception 'the time is not known: no organization has been listed yet' using errcode = 'lock_not_available';
  end if;
  if until > now_at_most - retention - interval '1 day' then return 'it is not old enough'; end if;
  obstacle := orgtrail_retention_obstacle(partition, month, until);
  if obstacle is not null then return obstacle; end if;
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  obstacle := orgtrail_archive_obstacle(of_month, highest, null);
  if obstacle is not null then return obstacle; end if;
  -- All that takes long comes before the locks. Events are only ever added, at the end: one look there shows whether it still holds;
  -- if not, an error undoes what was done so far.
  execute pg_catalog.format('select count(*), min(position), max(position), pg_total_relation_size(%L) from %s', name, partition)
    into gone.events, gone.first_position, gone.last_position, gone.bytes;
  -- All ids are one text in memory meanwhile.
  if gone.events <= 2000000 then
    execute pg_catalog.format('select encode(sha256(convert_to(string_agg('
      'source_kind || '' '' || source_id || '' '' || id, E''\n'' order by position), ''UTF8'')), ''hex'') from %s', partition)
      into gone.ids_sha256;
  end if;
  if exists (select from evidence_logs) then
    execute pg_catalog.format('select range_agg(int8range(first, last + 1)) from (select min(position) as first, max(position) as last'
      ' from (select position, position - row_number() over (order by position) as run from %s) as numbered group by run) as runs',
      partition) into gone.positions;
  end if;
  obstacle := orgtrail_archive_difference(of_month, gone.events);
  if obstacle is not null then return obstacle; end if;
  changes_archived := orgtrail_archived(of_month, 'changes');
  execute pg_catalog.format('delete from audit_event_changes c using %s e where e.position = c.position', partition);
  get diagnostics gone.changes = row_count;
  lock table only audit_events in access exclusive mode;
  execute pg_catalog.format('lock table %s in access exclusive mode', partition);
  lock table holds, sinks, sink_dead_letters, archive_policy in share mode;
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  if highest is distinct from gone.last_position then
    raise exception 'events were added to it at this moment' using errcode = 'lock_not_available';
  end if;
  obstacle := orgtrail_retention_obstacle(partition, month, until);
  if obstacle is null then obstacle := orgtrail_archive_obstacle(of_month, highest, gone.events); end if;
  if obstacle is not null then raise exception '%', obstacle using errcode = 'lock_not_available'; end if;
  if exists (select from archive_policy) then
    if gone.changes is distinct from changes_archived then
      raise exception 'later contents were added to it at this moment' using errcode = 'lock_not_available';
    end if;
    update archive_objects o set dropped_at = clock_timestamp()
    where o.month = of_month and o.superseded_at is null and o.dropped_at is null
      and o.archive = (select p.archive from archive_policy p);
  else
    delete from evidence_month_keys k where k.month = pg_catalog.to_char(of_month::timestamp, 'YYYY-MM'::text);
  end if;
  execute pg_catalog.format('drop table %s', partition);
  if gone.events > 0 then
    insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, ids_sha256, retention, positions)
    values (name, of_month, gone.events, gone.changes, gone.first_position, gone.last_position, gone.bytes,
      gone.ids_sha256, orgtrail_drop_month.retention, gone.positions);
  end if;
  return null;
end
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  -- What replaces a function takes its settings away.
  foreach each in array array['orgtrail_use_archive', 'orgtrail_note_archived', 'orgtrail_note_archive_read', 'orgtrail_forget_archive_reads',
    'orgtrail_drop_month'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
  end loop;
  foreach each in array array['orgtrail_archive_facts', 'orgtrail_archived', 'orgtrail_archive_obstacle', 'orgtrail_archive_difference'] loop
    execute pg_catalog.format('alter function %s set search_path = %I, pg_temp', each::regproc::regprocedure, current_schema());
  end loop;
  foreach each in array array['orgtrail_use_archive', 'orgtrail_note_archived', 'orgtrail_note_archive_read', 'orgtrail_forget_archive_reads', 'orgtrail_archive_facts',
    'orgtrail_archived', 'orgtrail_archive_obstacle', 'orgtrail_archive_difference'] loop
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
--> statement-breakpoint
alter function orgtrail_drop_month(date, interval) set lock_timeout = '2s';
--> statement-breakpoint
comment on table archive_policy is 'One row, or none: the archive in which a month must be before it is dropped. Written by orgtrail_use_archive; the owner alone can delete the row.';
--> statement-breakpoint
comment on column archive_policy.only_row is 'Always true: there is one row.';
--> statement-breakpoint
comment on column archive_policy.archive is 'Bucket, prefix and endpoint, or the directory.';
--> statement-breakpoint
comment on column archive_policy.set_at is 'When.';
--> statement-breakpoint
comment on column archive_policy.set_as is 'The account of the database that did it.';
--> statement-breakpoint
comment on table archive_objects is 'The catalogue of the archive: what was written, read back and compared. Written by functions alone. What an object holds is decided by its hashes, never by its name.';
--> statement-breakpoint
comment on column archive_objects.id is 'Its number.';
--> statement-breakpoint
comment on column archive_objects.archive is 'Where it is: as archive_policy.archive.';
--> statement-breakpoint
comment on column archive_objects.key is 'Its name below the prefix.';
--> statement-breakpoint
comment on column archive_objects.kind is 'events, or changes: rows of audit_event_changes.';
--> statement-breakpoint
comment on column archive_objects.month is 'The first day of the month, UTC.';
--> statement-breakpoint
comment on column archive_objects.feed_id is 'Which numbering the positions belong to.';
--> statement-breakpoint
comment on column archive_objects.first_position is 'The lowest position in it.';
--> statement-breakpoint
comment on column archive_objects.last_position is 'The highest position in it. It has all of its month between the two.';
--> statement-breakpoint
comment on column archive_objects.events is 'How many rows it has.';
--> statement-breakpoint
comment on column archive_objects.bytes is 'Its size.';
--> statement-breakpoint
comment on column archive_objects.sha256 is 'SHA-256 of its bytes.';
--> statement-breakpoint
comment on column archive_objects.ids_sha256 is 'SHA-256 of the lines ''source_kind source_id id'' in order of position, as retention_drops.ids_sha256; of changes with raw_sha256 as well.';
--> statement-breakpoint
comment on column archive_objects.raw_sha256 is 'SHA-256 of lines, each the SHA-256 of the raw text of one row, in order of position.';
--> statement-breakpoint
comment on column archive_objects.columns_sha256 is 'The same of all other columns: docs/archive.md says how they are joined.';
--> statement-breakpoint
comment on column archive_objects.organizations is 'By organization, or the empty text for none: how many events, and the times of the first and the last action.';
--> statement-breakpoint
comment on column archive_objects.version_id is 'What the bucket called this version of it, if it has versions.';
--> statement-breakpoint
comment on column archive_objects.locked_until is 'Until when the bucket lets it be neither changed nor deleted, as was asked for. Null: it was not asked for.';
--> statement-breakpoint
comment on column archive_objects.written_at is 'When it was noted here, after it had been read back.';
--> statement-breakpoint
comment on column archive_objects.written_as is 'The account of the database that did it.';
--> statement-breakpoint
comment on column archive_objects.verified_at is 'When it was last read whole, with the bytes that it must have; -infinity: a round has begun that is to read it again.';
--> statement-breakpoint
comment on column archive_objects.fault is 'What was wrong when it was last read. Null: nothing.';
--> statement-breakpoint
comment on column archive_objects.superseded_at is 'When an object took its place; it counts no more.';
--> statement-breakpoint
comment on column archive_objects.dropped_at is 'When the events in it were dropped from this database. Null: they are here as well.';
--> statement-breakpoint
comment on table evidence_month_keys is 'What salts the leaves of the events of a month: dropped with the month, unless that is in an archive.';
