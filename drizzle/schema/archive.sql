-- Legal holds, retention, and the archive that a month must be in before it is dropped.

create table holds (
  id bigint generated always as identity primary key,
  organization_id text collate "C",
  since timestamptz not null default '-infinity',
  before timestamptz not null default 'infinity',
  reason text not null check (reason <> ''),
  created_by text,
  created_as text not null default session_user,
  created_at timestamptz not null default clock_timestamp(),
  released_by text,
  released_as text,
  released_at timestamptz,
  account_id text collate "C",
  check (since < before)
);
comment on table holds is 'Legal holds: while one is in force, no partition that has events of its organization and time is dropped. Released '
  'ones stay, as evidence.';
comment on column holds.id is 'Its number: orgtrail hold release takes it.';
comment on column holds.organization_id is 'Whose events are held; null: those of every organization.';
comment on column holds.since is 'From this action_time on; -infinity: from the beginning.';
comment on column holds.before is 'Before this action_time; infinity: those to come, too.';
comment on column holds.reason is 'Why, in the words of who added it.';
comment on column holds.created_by is 'Who wanted it, by his own account.';
comment on column holds.created_as is 'The account of the database that added it, and the token for which it did.';
comment on column holds.created_at is 'When it was added.';
comment on column holds.released_by is 'Who released it, by his own account.';
comment on column holds.released_as is 'The account of the database that released it, and the token for which it did.';
comment on column holds.released_at is 'When it was released; null: it is in force.';
comment on column holds.account_id is 'Only events of this account; null: of all.';

create table retention_policy (
  only_row boolean default true primary key check (only_row),
  shortest interval not null check (shortest >= '1 day'),
  set_at timestamptz not null default clock_timestamp()
);
comment on table retention_policy is 'The shortest retention that accounts other than the owner may drop by; without a row they may drop '
  'nothing. Written by migrate --roles, from ORGTRAIL_RETENTION.';
comment on column retention_policy.only_row is 'There is one row or none.';
comment on column retention_policy.shortest is 'Nothing younger may be dropped.';
comment on column retention_policy.set_at is 'When it was set.';

create table retention_drops (
  id bigint generated always as identity primary key,
  partition text not null,
  month date not null,
  events bigint not null,
  changes bigint not null,
  first_position bigint,
  last_position bigint,
  bytes bigint not null,
  ids_sha256 text,
  retention interval not null,
  dropped_at timestamptz not null default clock_timestamp(),
  dropped_as text not null default session_user,
  positions int8multirange
);
create index retention_drops_last_position on retention_drops (last_position);
comment on table retention_drops is 'What ORGTRAIL_RETENTION has dropped, one row per month that had events. A reader of the feed that is '
  'behind last_position has missed some of them.';
comment on column retention_drops.id is 'Its number: a reader of the feed that knows of it says dropped=….';
comment on column retention_drops.partition is 'The table that held the month.';
comment on column retention_drops.month is 'Its first day, UTC.';
comment on column retention_drops.events is 'How many events were dropped.';
comment on column retention_drops.changes is 'Rows of audit_event_changes about them, which went with them.';
comment on column retention_drops.first_position is 'The lowest position among them. Others between it and last_position may be kept.';
comment on column retention_drops.last_position is 'The highest position among them.';
comment on column retention_drops.bytes is 'Size of the table and its indexes.';
comment on column retention_drops.ids_sha256 is 'SHA-256 of the lines ''source_kind source_id id'' in order of position: a backup can be '
  'compared. Null above 2,000,000 events.';
comment on column retention_drops.retention is 'The retention that was in force.';
comment on column retention_drops.dropped_at is 'When.';
comment on column retention_drops.dropped_as is 'The account of the database that did it.';
comment on column retention_drops.positions is 'Which positions the month had, if there was evidence of them: what the drop statement says. '
  'Null: there was none.';

-- Behind a failover or a restore a hold may be lost. So nothing is dropped for a day, unless an operator confirms that the holds are all there, and
-- nothing before the evidence, if there is some, was compared and signed on this server.
create table retention_waits (
  id bigint generated always as identity primary key,
  reason text not null,
  since timestamptz not null default clock_timestamp(),
  ends_at timestamptz not null default (clock_timestamp() + '1 day'::interval),
  confirmed_at timestamptz,
  confirmed_by text,
  confirmed_as text
);
comment on table retention_waits is 'Times from which retention drops nothing, because the database may be an older state. Written by functions '
  'alone, and confirmed by the owner: orgtrail hold confirm.';
comment on column retention_waits.id is 'A number of its own.';
comment on column retention_waits.reason is 'What was found.';
comment on column retention_waits.since is 'When it was found.';
comment on column retention_waits.ends_at is 'From then on months are dropped again.';
comment on column retention_waits.confirmed_at is 'When an operator ended the wait; null: it ended by itself, or has not ended.';
comment on column retention_waits.confirmed_by is 'Who is said to have confirmed.';
comment on column retention_waits.confirmed_as is 'The account of the database that did, and the token for which it did.';

-- A month is dropped only once it is proven to be in the archive: docs/decisions/22.
create table archive_policy (
  only_row boolean default true primary key check (only_row),
  archive text not null check (archive <> ''),
  set_at timestamptz not null default clock_timestamp(),
  set_as text not null default session_user
);
comment on table archive_policy is 'One row, or none: the archive in which a month must be before it is dropped. Written by '
  'orgtrail_use_archive; the owner alone can delete the row.';
comment on column archive_policy.only_row is 'Always true: there is one row.';
comment on column archive_policy.archive is 'Bucket, prefix and endpoint, or the directory.';
comment on column archive_policy.set_at is 'When.';
comment on column archive_policy.set_as is 'The account of the database that did it.';

-- Parts of an object are believed by their own hashes (blocks_sha256), so that the feed need not read objects whole: docs/decisions/23.
create table archive_objects (
  id bigint generated always as identity primary key,
  archive text not null,
  key text not null,
  kind text not null check (kind in ('events', 'changes')),
  month date not null,
  feed_id uuid not null,
  first_position bigint not null,
  last_position bigint not null,
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
  dropped_at timestamptz,
  blocks_sha256 bytea,
  bounds jsonb,
  footer_bytes bigint,
  added_in bigint,
  removed_in bigint,
  check (last_position >= first_position)
);
create index archive_objects_month on archive_objects (month, kind, first_position);
create index archive_objects_last_position on archive_objects (last_position) where dropped_at is not null;
comment on table archive_objects is 'The catalogue of the archive: what was written, read back and compared. Written by functions alone. What '
  'an object holds is decided by its hashes, never by its name.';
comment on column archive_objects.id is 'Its number.';
comment on column archive_objects.archive is 'Where it is: as archive_policy.archive.';
comment on column archive_objects.key is 'Its name below the prefix.';
comment on column archive_objects.kind is 'events, or changes: rows of audit_event_changes.';
comment on column archive_objects.month is 'The first day of the month, UTC.';
comment on column archive_objects.feed_id is 'Which numbering the positions belong to.';
comment on column archive_objects.first_position is 'The lowest position in it.';
comment on column archive_objects.last_position is 'The highest position in it. It has all of its month between the two.';
comment on column archive_objects.events is 'How many rows it has.';
comment on column archive_objects.bytes is 'Its size.';
comment on column archive_objects.sha256 is 'SHA-256 of its bytes.';
comment on column archive_objects.ids_sha256 is 'SHA-256 of the lines ''source_kind source_id id'' in order of position, as '
  'retention_drops.ids_sha256; of changes with raw_sha256 as well.';
comment on column archive_objects.raw_sha256 is 'SHA-256 of lines, each the SHA-256 of the raw text of one row, in order of position.';
comment on column archive_objects.columns_sha256 is 'The same of all other columns: docs/archive.md says how they are joined.';
comment on column archive_objects.organizations is 'By organization, or the empty text for none: how many events, and the times of the first '
  'and the last action.';
comment on column archive_objects.version_id is 'What the bucket called this version of it, if it has versions.';
comment on column archive_objects.locked_until is 'Until when the bucket lets it be neither changed nor deleted, as was asked for. Null: it was '
  'not asked for.';
comment on column archive_objects.written_at is 'When it was noted here, after it had been read back.';
comment on column archive_objects.written_as is 'The account of the database that did it.';
comment on column archive_objects.verified_at is 'When it was last read whole, with the bytes that it must have; -infinity: a round has begun '
  'that is to read it again.';
comment on column archive_objects.fault is 'What was wrong when it was last read. Null: nothing.';
comment on column archive_objects.superseded_at is 'When an object took its place; it counts no more.';
comment on column archive_objects.dropped_at is 'When the events in it were dropped from this database. Null: they are here as well.';
comment on column archive_objects.blocks_sha256 is 'The SHA-256 of each 262,144 bytes of it, one after the other. Null: it was written by an '
  'earlier version, and was not read whole since.';
comment on column archive_objects.bounds is 'By the number of a column (docs/archive.md): rows with null, and the lowest and the highest value, of '
  'times in microseconds since 1970. A text is cut after 64 characters, and max raised. Null: it was not read back since an earlier version wrote it.';
comment on column archive_objects.footer_bytes is 'How many bytes at its end describe it, without the last eight.';
comment on column archive_objects.added_in is 'The number of the snapshot of the Iceberg table that it came with (archive_snapshots). Null: none yet.';
comment on column archive_objects.removed_in is 'The number of the snapshot that it left with, after another object took its place. Null: it has not left.';

create table archive_snapshots (
  archive text not null,
  kind text not null check (kind in ('events', 'changes')),
  number bigint not null,
  at timestamptz not null,
  operation text not null check (operation in ('append', 'replace', 'overwrite')),
  base text not null,
  entry json,
  manifests json,
  written_at timestamptz,
  primary key (archive, kind, number)
);
comment on table archive_snapshots is 'The snapshots of the Iceberg tables over the objects (docs/lake.md). The database gives the numbers, so that all writers write the same '
  'bytes. Written by functions alone.';
comment on column archive_snapshots.archive is 'As archive_policy.archive.';
comment on column archive_snapshots.kind is 'Which table: events, or changes.';
comment on column archive_snapshots.number is 'Its number and its sequence number. Numbers that another database has used in the bucket are left out.';
comment on column archive_snapshots.at is 'Its time, in milliseconds; later than that of the number before.';
comment on column archive_snapshots.operation is 'append: objects were added; replace: objects with the same rows took the place of others; overwrite: objects with other rows did.';
comment on column archive_snapshots.base is 'How other engines name the address of the archive.';
comment on column archive_snapshots.entry is 'What the metadata says of it; null: it is not written yet.';
comment on column archive_snapshots.manifests is 'What its manifest list has; null: it is not written yet.';
comment on column archive_snapshots.written_at is 'When its metadata was in the bucket; null: it is not yet.';

-- A month comes back for a while: docs/archive.md#thaw. Rows are written by functions alone.
create table archive_thaws (
  id bigint generated always as identity primary key,
  month date not null,
  ends_at timestamptz not null,
  reason text,
  asked_by text,
  asked_as text not null default session_user,
  asked_at timestamptz not null default clock_timestamp(),
  state text not null default 'asked' check (state in ('asked', 'thawed', 'ended', 'failed')),
  events bigint not null,
  copied bigint not null default 0,
  checked_table bigint,
  last_position bigint,
  found_to bigint,
  lease_owner text,
  lease_until timestamptz,
  error text,
  thawed_at timestamptz,
  ended_at timestamptz
);
create unique index archive_thaws_open on archive_thaws (month) where state in ('asked', 'thawed');
comment on table archive_thaws is 'Months that came back from the archive, or are to. Written by functions alone: orgtrail archive thaw.';
comment on column archive_thaws.id is 'Its number.';
comment on column archive_thaws.month is 'Its first day, UTC.';
comment on column archive_thaws.ends_at is 'From then on it leaves the database again.';
comment on column archive_thaws.reason is 'Why, in the words of who asked for it.';
comment on column archive_thaws.asked_by is 'Who is said to have asked.';
comment on column archive_thaws.asked_as is 'The account of the database that asked, and the token for which it did.';
comment on column archive_thaws.asked_at is 'When.';
comment on column archive_thaws.state is 'asked; thawed: it is in the database; ended; failed: it is in the archive alone as before.';
comment on column archive_thaws.events is 'How many events its objects have.';
comment on column archive_thaws.copied is 'How many of them are in the database.';
comment on column archive_thaws.checked_table is 'The number of the table that was compared with the catalogue.';
comment on column archive_thaws.last_position is 'The highest position among them: what is behind it came later.';
comment on column archive_thaws.found_to is 'Up to here the findings of the month are noted again.';
comment on column archive_thaws.lease_owner is 'The replica that works on it.';
comment on column archive_thaws.lease_until is 'Until then no other one does.';
comment on column archive_thaws.error is 'Why it failed, or why it is still there behind its end.';
comment on column archive_thaws.thawed_at is 'When it was back.';
comment on column archive_thaws.ended_at is 'When it was gone again, or had failed.';

-- A lost database comes back: docs/archive.md#a-lost-database. Written by the owner alone.
create table archive_restores (
  id bigint generated always as identity primary key,
  archive text not null,
  state_key text not null,
  state_sha256 text not null,
  begun_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz
);
comment on table archive_restores is 'The archive that this database was restored from. While one has not ended, nothing is stored.';
comment on column archive_restores.id is 'Its number.';
comment on column archive_restores.archive is 'As archive_policy.archive.';
comment on column archive_restores.state_key is 'The object with the state of the lost database.';
comment on column archive_restores.state_sha256 is 'SHA-256 of its bytes.';
comment on column archive_restores.begun_at is 'When it was begun.';
comment on column archive_restores.ended_at is 'When every month was back; null: orgtrail archive restore --into goes on.';

-- What was signed must not be lost by a crash of the server: the transaction waits for its disk, whatever the account is set to. A standby
-- that is waited for stays waited for.
create function orgtrail_wait_for_disk() returns void
language plpgsql set search_path from current as $function$
begin
  if current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then
    perform set_config('synchronous_commit', 'on', true);
  end if;
end
$function$;

-- Why nothing is dropped; null: it may be. A new holder of the lease compares before it signs, and the one that goes on knows what it signed.
create function orgtrail_retention_wait() returns text
language sql stable security definer set search_path from current as $function$
  select pg_catalog.format('nothing is dropped before %s: %s; `orgtrail hold confirm` ends that, once all holds are there',
    pg_catalog.to_char(w.ends_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'::text), w.reason)
  from (select x.reason, x.ends_at from retention_waits x where x.confirmed_at is null and x.ends_at > clock_timestamp()
    order by x.ends_at desc limit 1) w
  union all
  select 'nothing is dropped: the evidence has not been compared with its anchors on this server; a process that has its key does that'
  from evidence_log l
  where l.ended_at is null and l.state <> 'behind'
    and (not orgtrail_is_evidence_here(l.timeline) or (select max(w.since) from retention_waits w) > coalesce(l.signed_at, '-infinity'))
  limit 1
$function$;

-- Why a month may not be dropped; null where it may. The same question is asked before the locks and under them.
-- A hold of an organization also covers the events of its accounts. A hold of an account keeps every event of that account's log, also one whose
-- entry names another account: so the signed statements, which name the log of an event and not its account, show that nothing was dropped
-- against it. Evidence must have passed the month; a log that was ended is not waited for.
create function orgtrail_retention_obstacle(partition regclass, month timestamptz, until timestamptz) returns text
language plpgsql stable set search_path from current as $function$
declare
  highest bigint;
  obstacle text;
begin
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  if highest is null then return null; end if;
  execute pg_catalog.format('select pg_catalog.format(''hold %%s covers events in it: %%s'', h.id, left(h.reason, 200)) from holds h'
    ' where h.released_at is null and h.since < %L and h.before > %L and exists (select from %s e'
    ' where (h.organization_id is null or e.organization_id = h.organization_id)'
    ' and (h.account_id is null or e.account_id = h.account_id or e.source_kind = ''account'' and e.source_id = h.account_id)'
    ' and e.action_time >= h.since and e.action_time < h.before)'
    ' order by h.id limit 1', until, month, partition) into obstacle;
  if obstacle is not null then return obstacle; end if;
  select pg_catalog.format('the sink %s is at position %s, and still needs events up to %s', s.name, s.position, highest) into obstacle
  from sinks s where s.position < highest order by s.position limit 1;
  if obstacle is not null then return obstacle; end if;
  execute pg_catalog.format('select pg_catalog.format(''position %%s is a dead letter of the sink %%s'', d.position, d.sink)'
    ' from sink_dead_letters d where exists (select from %s e where e.position = d.position) order by 1 limit 1', partition)
    into obstacle;
  if obstacle is not null then return obstacle; end if;
  -- A leaf that was not made could never be made again, and a drop that is not stated looks like a theft.
  select case when l.position < highest
      then pg_catalog.format('the evidence is at position %s, and still needs events up to %s', l.position, highest)
      else pg_catalog.format('the evidence is %s, and cannot state what is dropped', l.state) end into obstacle
  from evidence_log l
  where l.ended_at is null and (l.position < highest or l.state not in ('building', 'ok'));
  return obstacle;
end
$function$;

-- Drops the partition of a month and records what it was, or says why not (null: dropped). What passes by itself is an error,
-- lock_not_available, as is somebody who reads the table for long: try again later. The account that only stores events
-- calls it with its owner's rights, and can shorten no retention below that of retention_policy, which it cannot write.
--
-- Every call in it has exact types: for others PostgreSQL would take a function of the same name from the schema, if an account may make one
-- there. Who drops at the moment has a lock of the table that only its owner can take, for as long as the transaction lasts. With evidence, the
-- positions are kept as well, and the key that salts the leaves of the month is deleted. With an archive, only what is proven to be in it is
-- dropped, and that key stays: what was hashed is still there.
--
-- A month that was thawed goes at the end of its time, however old it is. Its first drop was noted: only what came since is noted now.
create function orgtrail_drop_month(of_month date, retention interval) returns text
language plpgsql security definer set search_path from current set lock_timeout = '2s' as $function$
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
  thaw archive_thaws;
  stored bigint;
  highest_stored bigint;
  deleted bigint;
  highest bigint;
  changes_archived bigint;
  obstacle text;
begin
  select t.* into thaw from archive_thaws t where t.month = of_month and t.state = 'thawed';
  if thaw.ends_at > clock_timestamp() then
    return pg_catalog.format('it is thawed until %s', pg_catalog.to_char(thaw.ends_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'::text));
  end if;
  if thaw.id is null then
    if retention < interval '1 day' then return 'a retention of less than a day'; end if;
    if not pg_has_role(session_user, (select relowner from pg_class where oid = 'audit_events'::regclass), 'usage') then
      select p.shortest into shortest from retention_policy p;
      if shortest is null then
        return pg_catalog.format('%s may not drop anything: the owner of the schema has not set a retention_policy', session_user);
      elsif retention < shortest then
        return pg_catalog.format('%s may not drop what is younger than %s, as retention_policy says', session_user, shortest);
      end if;
    end if;
  end if;
  begin
    lock table retention_drops in share row exclusive mode nowait;
  exception when lock_not_available then
    raise exception 'another replica is dropping one' using errcode = 'lock_not_available';
  end;
  perform orgtrail_check_timeline();
  if exists (select from feed_head h where h.timeline <> orgtrail_timeline(h.tableoid)) then
    raise exception 'whether the database failed over is being found out' using errcode = 'lock_not_available';
  end if;
  obstacle := orgtrail_retention_wait();
  if obstacle is not null then return obstacle; end if;
  if partition is null or not exists (select from pg_inherits where inhrelid = partition and inhparent = 'audit_events'::regclass) then
    return 'there is no such partition';
  end if;
  -- A day more: what a walk reads again at the edge of the history must not come back as new.
  if thaw.id is null and now_at_most is null then
    raise exception 'the time is not known: no organization has been listed yet' using errcode = 'lock_not_available';
  end if;
  if thaw.id is null and until > now_at_most - retention - interval '1 day' then return 'it is not old enough'; end if;
  obstacle := orgtrail_retention_obstacle(partition, month, until);
  if obstacle is not null then return obstacle; end if;
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  obstacle := orgtrail_archive_obstacle(of_month, highest, null);
  if obstacle is not null then return obstacle; end if;
  -- All that takes long comes before the locks. Events are only ever added, at the end: one look there shows whether it still holds;
  -- if not, an error undoes what was done so far.
  execute pg_catalog.format('select count(*), max(position), count(*) filter (where position > $1), min(position) filter (where position > $1),'
    ' max(position) filter (where position > $1), pg_total_relation_size(%L) from %s', name, partition)
    using coalesce(thaw.last_position, 0)
    into stored, highest_stored, gone.events, gone.first_position, gone.last_position, gone.bytes;
  -- All ids are one text in memory meanwhile.
  if gone.events <= 2000000 then
    execute pg_catalog.format('select encode(sha256(convert_to(string_agg('
      'source_kind || '' '' || source_id || '' '' || id, E''\n'' order by position), ''UTF8'')), ''hex'') from %s where position > $1', partition)
      using coalesce(thaw.last_position, 0) into gone.ids_sha256;
  end if;
  if exists (select from evidence_log) then
    execute pg_catalog.format('select range_agg(int8range(first, last + 1)) from (select min(position) as first, max(position) as last'
      ' from (select position, position - row_number() over (order by position) as run from %s where position > $1) as numbered group by run) as runs',
      partition) using coalesce(thaw.last_position, 0) into gone.positions;
  end if;
  obstacle := orgtrail_archive_difference(of_month, stored);
  if obstacle is not null then return obstacle; end if;
  changes_archived := orgtrail_archived(of_month, 'changes');
  execute pg_catalog.format('with deleted as (delete from audit_event_changes c using %s e where e.position = c.position returning c.position)'
    ' select count(*), count(*) filter (where position > $1) from deleted', partition)
    using coalesce(thaw.last_position, 0) into deleted, gone.changes;
  lock table only audit_events in access exclusive mode;
  execute pg_catalog.format('lock table %s in access exclusive mode', partition);
  lock table holds, sinks, sink_dead_letters, archive_policy in share mode;
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  if highest is distinct from highest_stored then
    raise exception 'events were added to it at this moment' using errcode = 'lock_not_available';
  end if;
  obstacle := orgtrail_retention_obstacle(partition, month, until);
  if obstacle is null then obstacle := orgtrail_archive_obstacle(of_month, highest, stored); end if;
  if obstacle is not null then raise exception '%', obstacle using errcode = 'lock_not_available'; end if;
  if exists (select from archive_policy) then
    if deleted is distinct from changes_archived then
      raise exception 'later contents were added to it at this moment' using errcode = 'lock_not_available';
    end if;
    update archive_objects o set dropped_at = clock_timestamp()
    where o.month = of_month and o.superseded_at is null and o.dropped_at is null
      and o.archive = (select p.archive from archive_policy p);
  else
    delete from evidence_month_keys k where k.month = pg_catalog.to_char(of_month::timestamp, 'YYYY-MM'::text);
  end if;
  execute pg_catalog.format('drop table %s', partition);
  -- All addresses are looked up again, so that those of no event go.
  delete from place_head;
  if gone.events > 0 then
    insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, ids_sha256, retention, positions)
    values (name, of_month, gone.events, gone.changes, gone.first_position, gone.last_position, gone.bytes,
      gone.ids_sha256, orgtrail_drop_month.retention, gone.positions);
  end if;
  if thaw.id is not null then
    delete from findings f where f.action_time >= month and f.action_time < until;
    update archive_thaws t set state = 'ended', ended_at = clock_timestamp(), error = null where t.id = thaw.id;
  end if;
  return null;
end
$function$;

-- From now on no month is dropped that is not in this archive, by any replica. The owner alone can take that back.
create function orgtrail_use_archive(p_archive text) returns void
language plpgsql security definer set search_path from current as $function$
begin
  if exists (select from archive_policy p where p.archive = p_archive) then return; end if;
  insert into archive_policy (archive) values (p_archive)
  on conflict (only_row) do update set archive = excluded.archive, set_at = clock_timestamp(), set_as = session_user;
end
$function$;

-- What a stretch of a month holds, in these tables.
create function orgtrail_facts_of(p_events regclass, p_changes regclass, p_kind text, p_month date, p_first bigint, p_last bigint, out events bigint,
  out first_position bigint, out last_position bigint, out ids_sha256 text, out raw_sha256 text, out columns_sha256 text, out organizations jsonb)
language plpgsql stable set search_path from current as $function$
declare
  since timestamptz := pg_catalog.date_trunc('month', p_month::timestamp) at time zone 'UTC';
  until timestamptz := (pg_catalog.date_trunc('month', p_month::timestamp) + interval '1 month') at time zone 'UTC';
begin
  if p_kind = 'changes' then
    execute pg_catalog.format($sql$
    select count(*), min(e.position), max(e.position),
      encode(sha256(convert_to(string_agg(c.source_kind || ' ' || c.source_id || ' ' || c.event_id || ' ' || c.raw_sha256, E'\n'
        order by c.position, c.id), 'UTF8')), 'hex'),
      encode(sha256(convert_to(string_agg(encode(sha256(convert_to(c.raw::text, 'UTF8')), 'hex'), E'\n' order by c.position, c.id), 'UTF8')), 'hex'),
      encode(sha256(convert_to(string_agg(encode(sha256(convert_to(concat_ws(E'\x1f',
        c.position, c.id, pg_catalog.floor(extract(epoch from c.seen_at) * 1000000)::bigint), 'UTF8')), 'hex'), E'\n'
        order by c.position, c.id), 'UTF8')), 'hex'), '{}'::jsonb
    from %2$s c join %1$s e on e.position = c.position
    where e.action_time >= $3 and e.action_time < $4 and c.position between $1 and $2
    $sql$, p_events, p_changes) using p_first, p_last, since, until
    into events, first_position, last_position, ids_sha256, raw_sha256, columns_sha256, organizations;
    return;
  end if;
  execute pg_catalog.format($sql$
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
  from %1$s e
  where e.action_time >= $3 and e.action_time < $4 and e.position between $1 and $2
  $sql$, p_events) using p_first, p_last, since, until
  into events, first_position, last_position, ids_sha256, raw_sha256, columns_sha256;
  execute pg_catalog.format($sql$
  select coalesce(jsonb_object_agg(o.organization, jsonb_build_object('events', o.events, 'from', o.earliest, 'to', o.latest)), '{}'::jsonb)
  from (select coalesce(e.organization_id, '') as organization, count(*) as events, min(e.action_time) as earliest, max(e.action_time) as latest
    from %1$s e
    where e.action_time >= $3 and e.action_time < $4 and e.position between $1 and $2 group by 1) as o
  $sql$, p_events) using p_first, p_last, since, until into organizations;
end
$function$;

-- What a stretch of a month holds, as the database has it. The reader of an object computes the same of what it read.
create function orgtrail_archive_facts(p_kind text, p_month date, p_first bigint, p_last bigint, out events bigint, out first_position bigint,
  out last_position bigint, out ids_sha256 text, out raw_sha256 text, out columns_sha256 text, out organizations jsonb)
language sql stable set search_path from current as $function$
  select * from orgtrail_facts_of('audit_events'::regclass, 'audit_event_changes'::regclass, p_kind, p_month, p_first, p_last)
$function$;

-- The rows of a month that are in objects that count.
create function orgtrail_archived(p_month date, p_kind text) returns bigint
language sql stable set search_path from current as $function$
  select coalesce(sum(o.events), 0)::bigint from archive_objects o
  where o.month = p_month and o.kind = p_kind and o.superseded_at is null and o.dropped_at is null
    and o.archive = (select p.archive from archive_policy p)
$function$;

-- Why the archive does not allow to drop a month; null: it does, or there is none. Cheap: asked again under the locks.
-- `the archive` begins each reason: that is how the caller knows that archiving helps.
create function orgtrail_archive_obstacle(p_month date, p_highest bigint, p_events bigint) returns text
language plpgsql stable set search_path from current as $function$
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

-- As orgtrail_archive_obstacle, with every hash of every object compared with what the database holds: that takes long, and comes before the
-- locks.
create function orgtrail_archive_difference(p_month date, p_events bigint) returns text
language plpgsql stable set search_path from current as $function$
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

-- Notes an object that was written and read back. Its caller says what it read; the database compares that with what it holds itself.
create function orgtrail_note_archived(p_archive text, p_key text, p_kind text, p_month date, p_first bigint, p_last bigint, p_events bigint,
  p_bytes bigint, p_sha256 text, p_ids_sha256 text, p_raw_sha256 text, p_columns_sha256 text, p_version_id text, p_locked_until timestamptz)
returns bigint
language plpgsql security definer set search_path from current as $function$
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
  -- One at a time, under the archive that is in use now.
  perform from archive_policy p where p.archive = p_archive for update;
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

-- An object was read again. What it has then is what it had, or it has a fault, with which its month is not dropped.
create function orgtrail_note_archive_read(p_id bigint, p_sha256 text, p_fault text) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  update archive_objects o
  set verified_at = case when p_fault is null then clock_timestamp() else o.verified_at end, fault = p_fault
  where o.id = p_id and (p_fault is not null or o.sha256 = p_sha256);
  return found;
end
$function$;

-- Notes the hashes of the blocks of an object that was read whole and had the bytes of its SHA-256. What is noted is never changed.
create function orgtrail_note_archive_blocks(p_id bigint, p_sha256 text, p_blocks bytea) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  update archive_objects o set blocks_sha256 = p_blocks
  where o.id = p_id and o.sha256 = p_sha256 and o.blocks_sha256 is null and octet_length(p_blocks) = 32 * ((o.bytes + 262143) / 262144);
  return found;
end
$function$;

-- Notes what an object has at least and at most, as its rows were read back. What is noted, or what the table says without it, is never changed.
create function orgtrail_note_archive_bounds(p_id bigint, p_sha256 text, p_bounds jsonb, p_footer_bytes bigint) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  update archive_objects o set bounds = p_bounds, footer_bytes = p_footer_bytes
  where o.id = p_id and o.sha256 = p_sha256 and o.bounds is null and o.added_in is null;
  return found;
end
$function$;

-- Gives a number to what came to the catalogue, or left it, since the last one. Objects that have the same rows as those that leave come in a snapshot of
-- their own, before all others.
create function orgtrail_take_snapshot(p_archive text, p_kind text, p_base text) returns void
language plpgsql security definer set search_path from current as $function$
declare
  last archive_snapshots;
  n bigint;
  moment timestamptz;
  changed bigint;
  gone bigint;
begin
  -- The lock of orgtrail_note_archived: all that is committed is seen, and no number is given twice.
  perform from archive_policy p where p.archive = p_archive for update;
  if not found then
    raise exception 'the database has another archive in use, or none' using errcode = 'check_violation';
  end if;
  select s.* into last from archive_snapshots s where s.archive = p_archive and s.kind = p_kind order by s.number desc limit 1;
  n := coalesce(last.number, 0) + 1;
  moment := greatest(pg_catalog.date_trunc('milliseconds', clock_timestamp()), last.at + interval '1 millisecond');
  update archive_objects o set removed_in = n
  where o.archive = p_archive and o.kind = p_kind and o.superseded_at is not null and o.added_in is not null and o.removed_in is null
    and exists (select from archive_objects a where a.archive = o.archive and a.kind = o.kind and a.month = o.month and a.superseded_at is null
      and a.added_in is null and a.first_position = o.first_position and a.last_position = o.last_position
      and a.ids_sha256 = o.ids_sha256 and a.raw_sha256 = o.raw_sha256 and a.columns_sha256 = o.columns_sha256);
  update archive_objects a set added_in = n
  where a.archive = p_archive and a.kind = p_kind and a.superseded_at is null and a.added_in is null
    and exists (select from archive_objects o where o.archive = a.archive and o.kind = a.kind and o.month = a.month and o.removed_in = n
      and a.first_position = o.first_position and a.last_position = o.last_position);
  get diagnostics changed = row_count;
  if changed > 0 then
    insert into archive_snapshots (archive, kind, number, at, operation, base) values (p_archive, p_kind, n, moment, 'replace', p_base);
    n := n + 1;
    moment := moment + interval '1 millisecond';
  end if;
  update archive_objects o set removed_in = n
  where o.archive = p_archive and o.kind = p_kind and o.superseded_at is not null and o.added_in is not null and o.removed_in is null;
  get diagnostics gone = row_count;
  update archive_objects o set added_in = n
  where o.archive = p_archive and o.kind = p_kind and o.superseded_at is null and o.added_in is null;
  get diagnostics changed = row_count;
  if gone > 0 or changed > 0 or (n = last.number + 1 and last.base <> p_base) then
    insert into archive_snapshots (archive, kind, number, at, operation, base)
    values (p_archive, p_kind, n, moment, case when gone > 0 then 'overwrite' when changed > 0 then 'append' else 'replace' end, p_base);
  end if;
end
$function$;

-- The metadata of a snapshot is in the bucket.
create function orgtrail_note_snapshot(p_archive text, p_kind text, p_number bigint, p_entry json, p_manifests json) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  update archive_snapshots s set entry = p_entry, manifests = p_manifests, written_at = clock_timestamp()
  where s.archive = p_archive and s.kind = p_kind and s.number = p_number and s.written_at is null;
  return found;
end
$function$;

-- Another database has used these numbers in the same bucket: those that are not written yet are moved up. What is written stays.
create function orgtrail_renumber_snapshots(p_archive text, p_kind text, p_from bigint, p_to bigint) returns void
language plpgsql security definer set search_path from current as $function$
declare
  more bigint := p_to - p_from;
begin
  perform from archive_policy p where p.archive = p_archive for update;
  if more not between 1 and 1000000 or not exists (select from archive_snapshots s
    where s.archive = p_archive and s.kind = p_kind and s.number = p_from and s.written_at is null) then
    return;
  end if;
  -- By negative numbers, since one that is moved would meet the next one.
  update archive_snapshots s set number = - (s.number + more)
  where s.archive = p_archive and s.kind = p_kind and s.number >= p_from;
  update archive_snapshots s set number = - s.number where s.archive = p_archive and s.kind = p_kind and s.number < 0;
  update archive_objects o set added_in = o.added_in + more where o.archive = p_archive and o.kind = p_kind and o.added_in >= p_from;
  update archive_objects o set removed_in = o.removed_in + more where o.archive = p_archive and o.kind = p_kind and o.removed_in >= p_from;
end
$function$;

-- Begins a round: what was read before it does not let a month go, since the objects may have been changed meanwhile.
create function orgtrail_forget_archive_reads(p_month date) returns void
language sql security definer set search_path from current as $function$
  update archive_objects o set verified_at = '-infinity'
  where o.month = p_month and o.superseded_at is null and o.dropped_at is null
$function$;

-- Removes what was copied of a month that is not in the history.
create function orgtrail_forget_thaw(p_month date) returns void
language plpgsql set search_path from current as $function$
declare
  events_table text := 'thawing_' || pg_catalog.to_char(p_month::timestamp, 'YYYY_MM'::text);
begin
  execute pg_catalog.format('drop table if exists %I, %I', events_table, events_table || '_changes');
end
$function$;

-- Gives one thaw that there is something to do for: `copy`, `find` (note its findings again) or `end`. No row: there is none. A replica that
-- does not renew it within a minute loses it to another one.
create function orgtrail_claim_thaw(p_owner text) returns table (thaw bigint, of_month text, task text)
language plpgsql security definer set search_path from current as $function$
declare
  over archive_thaws;
begin
  for over in update archive_thaws t set state = 'ended', ended_at = clock_timestamp()
    where t.state = 'asked' and t.ends_at <= clock_timestamp() and coalesce(t.lease_until, '-infinity') < clock_timestamp() returning t.*
  loop
    perform orgtrail_forget_thaw(over.month);
  end loop;
  return query
  with claimed as (
    select t.id from archive_thaws t
    where coalesce(t.lease_until, '-infinity') < clock_timestamp() and (t.state = 'asked' or t.state = 'thawed'
      and (t.ends_at <= clock_timestamp() or t.found_to < t.last_position))
    order by t.state, t.id for update skip locked limit 1)
  update archive_thaws t set lease_owner = p_owner, lease_until = clock_timestamp() + interval '1 minute' from claimed c where t.id = c.id
  returning t.id, pg_catalog.to_char(t.month::timestamp, 'YYYY-MM'::text),
    case when t.state = 'asked' then 'copy' when t.ends_at <= clock_timestamp() then 'end' else 'find' end;
end
$function$;

-- The thaw, if this replica has it: for another minute, if it says how much it has copied.
create function orgtrail_hold_thaw(p_thaw bigint, p_owner text, p_copied bigint) returns archive_thaws
language plpgsql security definer set search_path from current as $function$
declare
  held archive_thaws;
begin
  if p_copied is not null then
    update archive_thaws t set lease_until = clock_timestamp() + interval '1 minute',
      copied = case when t.state = 'asked' then p_copied else t.copied end
    where t.id = p_thaw and t.lease_owner = p_owner and t.state in ('asked', 'thawed') and t.lease_until > clock_timestamp();
  end if;
  select t.* into held from archive_thaws t
  where t.id = p_thaw and t.lease_owner = p_owner and t.state in ('asked', 'thawed') and t.lease_until > clock_timestamp();
  if held.id is null then raise exception 'another replica has taken over' using errcode = 'lock_not_available'; end if;
  return held;
end
$function$;

-- Makes the tables that the month is copied into, empty, for who calls it. They have no index, and are in no history yet. COPY … FREEZE works in
-- the same transaction.
create function orgtrail_begin_thaw(p_thaw bigint, p_owner text, out events_table text, out changes_table text)
language plpgsql security definer set search_path from current set lock_timeout = '10s' as $function$
declare
  held archive_thaws := orgtrail_hold_thaw(p_thaw, p_owner, null);
begin
  events_table := 'thawing_' || pg_catalog.to_char(held.month::timestamp, 'YYYY_MM'::text);
  changes_table := events_table || '_changes';
  perform orgtrail_forget_thaw(held.month);
  execute pg_catalog.format('create table %I (like audit_events including defaults including constraints, constraint of_the_month'
    ' check (action_time >= %L and action_time < %L))', events_table, held.month::timestamp at time zone 'UTC',
    (held.month::timestamp + interval '1 month') at time zone 'UTC');
  execute pg_catalog.format('create table %I (like audit_event_changes)', changes_table);
  execute pg_catalog.format('grant insert on %I, %I to %I', events_table, changes_table, session_user);
end
$function$;

-- Every p_parts-th index of a month, so that several connections build them at once. Part 0 comes first, by itself: it has the index that
-- orgtrail_check_thaw reads by, and from then on the month cannot be written to.
create function orgtrail_index_thaw(p_thaw bigint, p_owner text, p_part integer, p_parts integer) returns void
language plpgsql security definer set search_path from current as $function$
declare
  held archive_thaws := orgtrail_hold_thaw(p_thaw, p_owner, null);
  events_table text := 'thawing_' || pg_catalog.to_char(held.month::timestamp, 'YYYY_MM'::text);
  made text;
begin
  if p_part = 0 then
    execute pg_catalog.format('revoke all on %I, %I from %I', events_table, events_table || '_changes', session_user);
    execute pg_catalog.format('grant all on %I, %I to current_user', events_table, events_table || '_changes');
  end if;
  for made in
    select pg_catalog.regexp_replace(d.definition, ' INDEX \S+ ON ONLY \S+ '::text, pg_catalog.format(' INDEX ON %I ', events_table))
    from (select pg_catalog.pg_get_indexdef(x.indexrelid) as definition,
        row_number() over (order by x.indexrelid <> 'audit_events_position'::regclass, x.indexrelid) - 1 as n
      from pg_index x where x.indrelid = 'audit_events'::regclass) as d
    where d.n % p_parts = p_part
  loop
    execute made;
  end loop;
end
$function$;

-- Compares all that was copied with the catalogue: why it is not the month, or null. It takes long; indexes are built meanwhile.
create function orgtrail_check_thaw(p_thaw bigint, p_owner text) returns text
language plpgsql security definer set search_path from current set lock_timeout = '10s' as $function$
declare
  held archive_thaws := orgtrail_hold_thaw(p_thaw, p_owner, null);
  events_table text := 'thawing_' || pg_catalog.to_char(held.month::timestamp, 'YYYY_MM'::text);
  changes_table text := events_table || '_changes';
  object archive_objects;
  facts record;
  rows_of jsonb := '{"events": 0, "changes": 0}';
  stored bigint;
begin
  execute pg_catalog.format('lock table %I, %I in share mode', events_table, changes_table);
  if exists (select from pg_class c, lateral pg_catalog.aclexplode(c.relacl) as a
    where c.oid in (events_table::regclass, changes_table::regclass) and a.grantee = session_user::regrole and a.grantee <> c.relowner) then
    raise exception 'the month can still be written to';
  end if;
  for object in select o.* from archive_objects o
    where o.month = held.month and o.superseded_at is null and o.dropped_at is not null order by o.kind, o.first_position
  loop
    select * into facts
    from orgtrail_facts_of(events_table::regclass, changes_table::regclass, object.kind, held.month, object.first_position, object.last_position);
    if (facts.events, facts.ids_sha256, facts.raw_sha256, facts.columns_sha256)
      is distinct from (object.events, object.ids_sha256, object.raw_sha256, object.columns_sha256) then
      return pg_catalog.format('what was copied is not what the catalogue says of %s', object.key);
    end if;
    rows_of := jsonb_set(rows_of, array[object.kind], pg_catalog.to_jsonb((rows_of ->> object.kind)::bigint + object.events));
  end loop;
  execute pg_catalog.format('select count(*) from %I', events_table) into stored;
  if stored <> (rows_of ->> 'events'::text)::bigint then return pg_catalog.format('%s events were copied, not %s', stored, rows_of ->> 'events'::text); end if;
  execute pg_catalog.format('select count(*) from %I', changes_table) into stored;
  if stored <> (rows_of ->> 'changes'::text)::bigint then
    return pg_catalog.format('%s later contents were copied, not %s', stored, rows_of ->> 'changes'::text);
  end if;
  update archive_thaws t set checked_table = events_table::regclass::oid::bigint, copied = t.events where t.id = held.id;
  return null;
end
$function$;

-- The month is in the history from its commit on, and not in the archive alone: in the same moment. Events of it that came since it was dropped
-- are taken in.
create function orgtrail_attach_thaw(p_thaw bigint, p_owner text) returns void
language plpgsql security definer set search_path from current set lock_timeout = '2s' as $function$
declare
  held archive_thaws := orgtrail_hold_thaw(p_thaw, p_owner, null);
  events_table text := 'thawing_' || pg_catalog.to_char(held.month::timestamp, 'YYYY_MM'::text);
  name text := 'audit_events_' || pg_catalog.to_char(held.month::timestamp, 'YYYY_MM'::text);
  lower_bound timestamptz := held.month::timestamp at time zone 'UTC';
  upper_bound timestamptz := (held.month::timestamp + interval '1 month') at time zone 'UTC';
  first bigint;
  last bigint;
  own_index text;
begin
  if held.checked_table is distinct from to_regclass(events_table)::oid::bigint then raise exception 'the month was not compared with the catalogue'; end if;
  execute pg_catalog.format('analyze %I', events_table);
  select min(o.first_position), max(o.last_position) into first, last from archive_objects o
  where o.month = held.month and o.kind = 'events' and o.superseded_at is null and o.dropped_at is not null;
  -- As in orgtrail_create_partitions: page commits and readers wait before they look up the partitions.
  lock table only audit_events in access exclusive mode;
  lock table audit_events_default in access exclusive mode;
  execute pg_catalog.format('with moved as (delete from audit_events_default where action_time >= %L and action_time < %L returning *)'
    ' insert into %I select * from moved', lower_bound, upper_bound, events_table);
  if to_regclass(name) is not null then
    execute pg_catalog.format('lock table %I in access exclusive mode', name);
    execute pg_catalog.format('insert into %I select * from %I', events_table, name);
    execute pg_catalog.format('drop table %I', name);
  end if;
  execute pg_catalog.format('alter table %I rename to %I', events_table, name);
  execute pg_catalog.format('alter table audit_events attach partition %I for values from (%L) to (%L)', name, lower_bound, upper_bound);
  execute pg_catalog.format('alter table %I drop constraint of_the_month', name);
  for own_index in
    select c.relname::text from pg_index x join pg_class c on c.oid = x.indexrelid where x.indrelid = name::regclass and c.relname like 'thawing\_%'
  loop
    execute pg_catalog.format('alter index %I rename to %I', own_index, 'audit_events_' || substr(own_index, 9));
  end loop;
  execute pg_catalog.format('insert into audit_event_changes (id, source_kind, source_id, event_id, position, raw, raw_sha256, seen_at)'
    ' overriding system value select id, source_kind, source_id, event_id, position, raw, raw_sha256, seen_at from %I order by id',
    events_table || '_changes');
  execute pg_catalog.format('drop table %I', events_table || '_changes');
  update archive_objects o set dropped_at = null
  where o.month = held.month and o.superseded_at is null and o.dropped_at is not null;
  update archive_thaws t set state = 'thawed', thawed_at = clock_timestamp(), last_position = last, lease_until = null,
    found_to = case when exists (select from finding_head) then first - 1 else last end where t.id = held.id;
  -- Its addresses are behind the head.
  delete from place_head;
end
$function$;

-- Notes findings of a thawed month again, of some positions more; they went with it. No sink gets them: each is behind them. Null: all are noted.
create function orgtrail_find_thawed(p_thaw bigint, p_owner text, p_most bigint) returns bigint
language plpgsql security definer set search_path from current as $function$
declare
  held archive_thaws := orgtrail_hold_thaw(p_thaw, p_owner, null);
  since timestamptz := held.month::timestamp at time zone 'UTC';
  until timestamptz := (held.month::timestamp + interval '1 month') at time zone 'UTC';
  upto bigint;
begin
  -- Those behind the head are noted in their turn.
  held.last_position := least(held.last_position, (select h.position from finding_head h));
  select e.position into upto from audit_events e
  where e.position > held.found_to and e.position <= held.last_position and e.action_time >= since and e.action_time < until
  order by e.position offset greatest(p_most, 1) - 1 limit 1;
  upto := coalesce(upto, held.last_position);
  perform orgtrail_note_findings(held.found_to, upto, since, since, until);
  update archive_thaws t set found_to = case when upto = held.last_position then t.last_position else upto end,
    lease_until = case when upto < held.last_position then t.lease_until end where t.id = held.id;
  return case when upto < held.last_position then upto end;
end
$function$;

-- It was not done: what is not in the history yet is removed, and what is stays there for now.
create function orgtrail_fail_thaw(p_thaw bigint, p_owner text, p_error text) returns void
language plpgsql security definer set search_path from current set lock_timeout = '10s' as $function$
declare
  held archive_thaws := orgtrail_hold_thaw(p_thaw, p_owner, null);
begin
  if held.state = 'asked' then perform orgtrail_forget_thaw(held.month); end if;
  update archive_thaws t set error = left(p_error, 1000), state = case when t.state = 'asked' then 'failed' else t.state end,
    ended_at = case when t.state = 'asked' then clock_timestamp() end,
    lease_until = case when t.state = 'asked' then null else clock_timestamp() + interval '5 minutes' end
  where t.id = held.id;
end
$function$;

create trigger forget_findings after insert on retention_drops for each row execute function orgtrail_forget_findings();
