-- The Merkle log of what is stored: src/evidence/README.md, docs/decisions/0040. Empty and unused until ORGTRAIL_EVIDENCE_ORIGIN is set.
create table if not exists evidence_logs (
  name text collate "C" not null check (name in ('events', 'journal')),
  generation integer not null check (generation >= 1),
  origin text not null,
  size bigint not null default 0 check (size >= 0),
  root bytea not null check (octet_length(root) = 32),
  lease_owner text,
  lease_epoch bigint not null default 0,
  lease_until timestamptz,
  state text not null default 'building' check (state in ('building', 'ok', 'behind', 'forked', 'halted')),
  state_reason text,
  adopted_size bigint not null default 0,
  timeline text,
  signed_size bigint,
  signed_at timestamptz,
  primary key (name, generation)
);
--> statement-breakpoint
create table if not exists evidence_tiles (
  log text collate "C" not null,
  generation integer not null,
  level smallint not null,
  n bigint not null,
  hashes bytea not null check (octet_length(hashes) between 32 and 8192 and octet_length(hashes) % 32 = 0),
  sources bytea,
  primary key (log, generation, level, n)
);
--> statement-breakpoint
-- Hashes do not compress.
alter table evidence_tiles alter column hashes set storage external;
--> statement-breakpoint
create table if not exists evidence_checkpoints (
  log text collate "C" not null,
  generation integer not null,
  size bigint not null,
  root bytea not null,
  note text not null,
  made_at timestamptz not null default clock_timestamp(),
  primary key (log, generation, size)
);
--> statement-breakpoint
create table if not exists evidence_journal (
  generation integer not null,
  index bigint not null,
  kind text collate "C" not null,
  ref text collate "C" not null,
  text text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (generation, index),
  unique (generation, kind, ref)
);
--> statement-breakpoint
create table if not exists evidence_month_keys (
  month text collate "C" primary key,
  key bytea not null check (octet_length(key) = 32)
);
--> statement-breakpoint
create table if not exists evidence_sources (
  generation integer not null,
  number integer not null check (number between 1 and 65535),
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  events bigint not null,
  chain bytea not null check (octet_length(chain) = 32),
  primary key (generation, number),
  unique (generation, source_kind, source_id)
);
--> statement-breakpoint
alter table retention_drops add column if not exists positions int8multirange;
--> statement-breakpoint
create or replace function orgtrail_open_evidence(p_events_origin text, p_journal_origin text) returns void
language plpgsql as $function$
declare
  head bigint := (select h.position from feed_head h);
  line text := orgtrail_timeline('feed_head'::regclass);
  -- Of a tree without leaves.
  empty bytea := sha256(''::bytea);
begin
  insert into evidence_logs (name, generation, origin, root, adopted_size, timeline)
  values ('events', 1, p_events_origin, empty, head, line), ('journal', 1, p_journal_origin, empty, 0, line)
  on conflict (name, generation) do nothing;
end
$function$;
--> statement-breakpoint
-- The lease is in the row of the events, and is for both logs of a generation.
create or replace function orgtrail_claim_evidence(p_generation integer, p_owner text, p_lease_ms float8)
returns table (epoch bigint, held_by text)
language plpgsql as $function$
begin
  return query
    update evidence_logs l set lease_owner = p_owner, lease_epoch = l.lease_epoch + 1,
      lease_until = clock_timestamp() + orgtrail_span(p_lease_ms)
    where l.name = 'events' and l.generation = p_generation
      and (l.lease_until is null or l.lease_until <= clock_timestamp() or l.lease_owner = p_owner)
    returning l.lease_epoch, null::text;
  if not found then
    return query select null::bigint, l.lease_owner from evidence_logs l where l.name = 'events' and l.generation = p_generation;
  end if;
end
$function$;
--> statement-breakpoint
create or replace function orgtrail_renew_evidence(p_generation integer, p_epoch bigint, p_lease_ms float8) returns boolean
language plpgsql as $function$
begin
  update evidence_logs l set lease_until = clock_timestamp() + orgtrail_span(p_lease_ms)
  where l.name = 'events' and l.generation = p_generation and l.lease_epoch = p_epoch;
  return found;
end
$function$;
--> statement-breakpoint
create or replace function orgtrail_release_evidence(p_generation integer, p_epoch bigint) returns void
language sql as $function$
  update evidence_logs l set lease_until = null
  where l.name = 'events' and l.generation = p_generation and l.lease_epoch = p_epoch
$function$;
--> statement-breakpoint
create or replace function orgtrail_release_evidence_of(p_owner text) returns void
language sql as $function$
  update evidence_logs l set lease_until = null where l.name = 'events' and l.lease_owner = p_owner
$function$;
--> statement-breakpoint
-- What was signed must not be lost by a crash of the server: the transaction waits for its disk, whatever the account is set to. A standby
-- that is waited for stays waited for.
create or replace function orgtrail_wait_for_disk() returns void
language plpgsql as $function$
begin
  if current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then
    perform set_config('synchronous_commit', 'on', true);
  end if;
end
$function$;
--> statement-breakpoint
-- Whether the server is the one that the log was last written on, as far as it can tell.
create or replace function orgtrail_is_evidence_here(p_timeline text) returns boolean
language sql stable as $function$
  select coalesce(p_timeline = orgtrail_timeline('feed_head'::regclass), true)
$function$;
--> statement-breakpoint
-- Appends to both logs of a generation, all of it or nothing, if they are as large as the caller believes and it has the lease. What it
-- answers: `grown`; `stale`, if another one was faster; `stopped`, if nothing may be signed; `moved`, if the server is another one.
create or replace function orgtrail_grow_evidence(p_generation integer, p_epoch bigint, p_from bigint[], p_to bigint[], p_roots bytea[],
  p_tile_logs text[], p_tile_levels integer[], p_tile_ns bigint[], p_tile_hashes bytea[], p_tile_sources bytea[],
  p_months text[], p_keys bytea[], p_are_new boolean[],
  p_numbers integer[], p_source_kinds text[], p_source_ids text[], p_events bigint[], p_chains bytea[],
  p_kinds text[], p_refs text[], p_texts text[]) returns text
language plpgsql as $function$
declare
  events evidence_logs;
  journal evidence_logs;
  changed bigint;
begin
  select * into events from evidence_logs l where l.name = 'events' and l.generation = p_generation for update;
  select * into journal from evidence_logs l where l.name = 'journal' and l.generation = p_generation for update;
  if events.size is distinct from p_from[1] or journal.size is distinct from p_from[2] or events.lease_epoch <> p_epoch
    or exists (select from evidence_logs l where l.generation > p_generation) then
    return 'stale';
  end if;
  if events.state in ('behind', 'forked') then return 'stopped'; end if;
  if not orgtrail_is_evidence_here(events.timeline) then return 'moved'; end if;
  if p_to[1] < p_from[1] or p_to[2] <> p_from[2] + cardinality(p_texts) or p_to[1] > (select h.position from feed_head h) then
    raise exception 'evidence: the logs may not go from % to %', p_from, p_to using errcode = 'check_violation';
  end if;
  perform orgtrail_wait_for_disk();
  insert into evidence_month_keys (month, key)
  select u.month, u.key from unnest(p_months, p_keys, p_are_new) as u (month, key, is_new) where u.is_new
  on conflict (month) do nothing;
  -- A key that is in use must still be there: that of a month that was dropped never comes back.
  perform from evidence_month_keys k where k.month = any(p_months) for share;
  if exists (select from unnest(p_months, p_keys) as u (month, key)
      where not exists (select from evidence_month_keys k where k.month = u.month and k.key = u.key)) then
    raise exception 'evidence: the key of a month is another one by now' using errcode = 'serialization_failure';
  end if;
  insert into evidence_tiles as t (log, generation, level, n, hashes, sources)
  select u.log, p_generation, u.level, u.n, u.hashes, u.sources
  from unnest(p_tile_logs, p_tile_levels, p_tile_ns, p_tile_hashes, p_tile_sources) as u (log, level, n, hashes, sources)
  on conflict (log, generation, level, n) do update set hashes = excluded.hashes, sources = excluded.sources
  where substring(excluded.hashes from 1 for octet_length(t.hashes)) = t.hashes
    and (t.sources is null or substring(excluded.sources from 1 for octet_length(t.sources)) = t.sources);
  get diagnostics changed = row_count;
  if changed <> cardinality(p_tile_ns) then
    raise exception 'evidence: a tile only grows' using errcode = 'check_violation';
  end if;
  insert into evidence_sources as s (generation, number, source_kind, source_id, events, chain)
  select p_generation, u.number, u.kind, u.id, u.events, u.chain
  from unnest(p_numbers, p_source_kinds, p_source_ids, p_events, p_chains) as u (number, kind, id, events, chain)
  on conflict (generation, number) do update set events = excluded.events, chain = excluded.chain
  where s.source_kind = excluded.source_kind and s.source_id = excluded.source_id and s.events < excluded.events;
  get diagnostics changed = row_count;
  if changed <> cardinality(p_numbers) then
    raise exception 'evidence: the leaves of a source only grow' using errcode = 'check_violation';
  end if;
  insert into evidence_journal (generation, index, kind, ref, text)
  select p_generation, p_from[2] + u.place - 1, u.kind, u.ref, u.text
  from unnest(p_kinds, p_refs, p_texts) with ordinality as u (kind, ref, text, place);
  update evidence_logs l set size = p_to[1], root = p_roots[1], timeline = coalesce(l.timeline, orgtrail_timeline('feed_head'::regclass))
  where l.name = 'events' and l.generation = p_generation;
  update evidence_logs l set size = p_to[2], root = p_roots[2] where l.name = 'journal' and l.generation = p_generation;
  return 'grown';
end
$function$;
--> statement-breakpoint
-- Keeps a signed checkpoint, before which it is given to no reader. False: it must not be given out, for what it says is not what is here.
create or replace function orgtrail_note_checkpoint(p_generation integer, p_epoch bigint, p_log text, p_size bigint, p_root bytea, p_note text)
returns boolean
language plpgsql as $function$
declare
  events evidence_logs;
  signed evidence_logs;
begin
  select * into events from evidence_logs l where l.name = 'events' and l.generation = p_generation for update;
  select * into signed from evidence_logs l where l.name = p_log and l.generation = p_generation for update;
  if events.lease_epoch is distinct from p_epoch or signed.size is distinct from p_size or signed.root <> p_root
    or events.state in ('behind', 'forked', 'halted') or not orgtrail_is_evidence_here(events.timeline) then
    return false;
  end if;
  perform orgtrail_wait_for_disk();
  insert into evidence_checkpoints (log, generation, size, root, note) values (p_log, p_generation, p_size, p_root, p_note)
  on conflict (log, generation, size) do update set note = excluded.note where evidence_checkpoints.root = excluded.root;
  if not found then
    raise exception 'evidence: another root of % was signed at size %', p_log, p_size using errcode = 'check_violation';
  end if;
  update evidence_logs l set signed_size = p_size, signed_at = clock_timestamp() where l.name = p_log and l.generation = p_generation;
  return true;
end
$function$;
--> statement-breakpoint
-- What is behind or forked stays so: the next generation goes on.
create or replace function orgtrail_note_evidence(p_generation integer, p_epoch bigint, p_state text, p_reason text) returns boolean
language plpgsql as $function$
begin
  -- In the order of all others.
  perform from evidence_logs l where l.generation = p_generation order by l.name for update;
  update evidence_logs l set state = p_state, state_reason = p_reason
  where l.generation = p_generation and l.state not in ('behind', 'forked')
    and p_epoch = (select e.lease_epoch from evidence_logs e where e.name = 'events' and e.generation = p_generation);
  return found;
end
$function$;
--> statement-breakpoint
-- The holder of the lease knows every checkpoint that was signed, for it never lost the lease, and they hold on this server as well.
create or replace function orgtrail_continue_evidence(p_generation integer, p_epoch bigint) returns boolean
language plpgsql as $function$
begin
  update evidence_logs l set timeline = orgtrail_timeline('feed_head'::regclass)
  where l.name = 'events' and l.generation = p_generation and l.lease_epoch = p_epoch and l.state not in ('behind', 'forked');
  return found;
end
$function$;
--> statement-breakpoint
-- Of checkpoints that are older than a week, the last one of each hour is enough.
create or replace function orgtrail_thin_checkpoints() returns bigint
language plpgsql as $function$
declare
  thinned bigint;
begin
  delete from evidence_checkpoints c
  where c.made_at < clock_timestamp() - interval '7 days' and exists (
    select from evidence_checkpoints later
    where later.log = c.log and later.generation = c.generation and later.size > c.size
      and later.made_at < date_trunc('hour', c.made_at) + interval '1 hour');
  get diagnostics thinned = row_count;
  return thinned;
end
$function$;
--> statement-breakpoint
-- As in 0015; with evidence, the positions are kept as well, and the key that salts the leaves of the month is deleted.
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
  execute pg_catalog.format('delete from audit_event_changes c using %s e where e.position = c.position', partition);
  get diagnostics gone.changes = row_count;
  lock table only audit_events in access exclusive mode;
  execute pg_catalog.format('lock table %s in access exclusive mode', partition);
  lock table holds, sinks, sink_dead_letters in share mode;
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  if highest is distinct from gone.last_position then
    raise exception 'events were added to it at this moment' using errcode = 'lock_not_available';
  end if;
  obstacle := orgtrail_retention_obstacle(partition, month, until);
  if obstacle is not null then raise exception '%', obstacle using errcode = 'lock_not_available'; end if;
  execute pg_catalog.format('drop table %s', partition);
  delete from evidence_month_keys k where k.month = pg_catalog.to_char(of_month::timestamp, 'YYYY-MM'::text);
  if gone.events > 0 then
    insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, ids_sha256, retention, positions)
    values (name, of_month, gone.events, gone.changes, gone.first_position, gone.last_position, gone.bytes,
      gone.ids_sha256, orgtrail_drop_month.retention, gone.positions);
  end if;
  return null;
end
$function$;
--> statement-breakpoint
-- As in 0023, and evidence must have passed the month.
create or replace function orgtrail_retention_obstacle(partition regclass, month timestamptz, until timestamptz) returns text
language plpgsql stable as $function$
declare
  highest bigint;
  obstacle text;
begin
  execute pg_catalog.format('select max(position) from %s', partition) into highest;
  if highest is null then return null; end if;
  execute pg_catalog.format('select pg_catalog.format(''hold %%s covers events in it: %%s'', h.id, left(h.reason, 200)) from holds h'
    ' where h.released_at is null and h.since < %L and h.before > %L and exists (select from %s e'
    ' where (h.organization_id is null or e.organization_id = h.organization_id)'
    ' and (h.account_id is null or e.account_id = h.account_id) and e.action_time >= h.since and e.action_time < h.before)'
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
  select case when l.size < highest
      then pg_catalog.format('the evidence is at position %s, and still needs events up to %s', l.size, highest)
      else pg_catalog.format('the evidence is %s, and cannot state what is dropped', l.state) end into obstacle
  from evidence_logs l
  where l.name = 'events' and l.generation = (select max(generation) from evidence_logs)
    and (l.size < highest or l.state in ('behind', 'forked', 'halted'));
  return obstacle;
end
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  -- What replaces a function takes its settings away.
  foreach each in array array['orgtrail_open_evidence', 'orgtrail_claim_evidence', 'orgtrail_renew_evidence', 'orgtrail_release_evidence',
    'orgtrail_release_evidence_of', 'orgtrail_grow_evidence', 'orgtrail_note_checkpoint', 'orgtrail_note_evidence',
    'orgtrail_continue_evidence', 'orgtrail_thin_checkpoints', 'orgtrail_is_evidence_here', 'orgtrail_drop_month'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
  end loop;
  foreach each in array array['orgtrail_retention_obstacle', 'orgtrail_wait_for_disk'] loop
    execute pg_catalog.format('alter function %s set search_path = %I, pg_temp', each::regproc::regprocedure, current_schema());
  end loop;
  foreach each in array array['orgtrail_open_evidence', 'orgtrail_claim_evidence', 'orgtrail_renew_evidence', 'orgtrail_release_evidence',
    'orgtrail_release_evidence_of', 'orgtrail_grow_evidence', 'orgtrail_note_checkpoint', 'orgtrail_note_evidence',
    'orgtrail_continue_evidence', 'orgtrail_thin_checkpoints', 'orgtrail_is_evidence_here', 'orgtrail_wait_for_disk'] loop
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
--> statement-breakpoint
alter function orgtrail_drop_month(date, interval) set lock_timeout = '2s';
--> statement-breakpoint
comment on table evidence_logs is 'The two Merkle logs, one row for each generation: leaf i of events is position i + 1, leaves of journal are signed statements. Written by functions alone, as all tables evidence_*.';
--> statement-breakpoint
comment on column evidence_logs.name is 'events or journal.';
--> statement-breakpoint
comment on column evidence_logs.generation is 'From 1. The next one begins if a log cannot go on, after a restore.';
--> statement-breakpoint
comment on column evidence_logs.origin is 'What names the log in its checkpoints: its address without the scheme.';
--> statement-breakpoint
comment on column evidence_logs.size is 'How many leaves it has.';
--> statement-breakpoint
comment on column evidence_logs.root is 'The root of these leaves, as of RFC 6962.';
--> statement-breakpoint
comment on column evidence_logs.lease_owner is 'The process that builds; in the row of the events, for both logs.';
--> statement-breakpoint
comment on column evidence_logs.lease_epoch is 'Counts the takings of the lease; a statement of an earlier one changes nothing.';
--> statement-breakpoint
comment on column evidence_logs.lease_until is 'When another process may take it.';
--> statement-breakpoint
comment on column evidence_logs.state is 'building, ok, halted (a hole that nothing explains), behind or forked (the database went back): nothing is signed in the last three.';
--> statement-breakpoint
comment on column evidence_logs.state_reason is 'Why it is halted, behind or forked.';
--> statement-breakpoint
comment on column evidence_logs.adopted_size is 'Positions up to this one were there before the log: integrity holds for them from adoption on.';
--> statement-breakpoint
comment on column evidence_logs.timeline is 'What feed_head.timeline was when the log was last written. On another one a signed checkpoint may be lost.';
--> statement-breakpoint
comment on column evidence_logs.signed_size is 'Of the last signed checkpoint.';
--> statement-breakpoint
comment on column evidence_logs.signed_at is 'When that was signed.';
--> statement-breakpoint
comment on table evidence_tiles is 'Hash tiles of c2sp.org/tlog-tiles. The last one of a level grows.';
--> statement-breakpoint
comment on column evidence_tiles.log is 'events or journal.';
--> statement-breakpoint
comment on column evidence_tiles.generation is 'As in evidence_logs.';
--> statement-breakpoint
comment on column evidence_tiles.level is '0 are the leaves.';
--> statement-breakpoint
comment on column evidence_tiles.n is 'The tile has the hashes from number 256 n on.';
--> statement-breakpoint
comment on column evidence_tiles.hashes is 'Up to 256 hashes of 32 bytes.';
--> statement-breakpoint
comment on column evidence_tiles.sources is 'At level 0 of events the number of the source of each leaf, two bytes each; 0 for a hole.';
--> statement-breakpoint
comment on table evidence_checkpoints is 'Signed checkpoints: all of a week, and before that the last of each hour.';
--> statement-breakpoint
comment on column evidence_checkpoints.log is 'events or journal.';
--> statement-breakpoint
comment on column evidence_checkpoints.generation is 'As in evidence_logs.';
--> statement-breakpoint
comment on column evidence_checkpoints.size is 'Leaves.';
--> statement-breakpoint
comment on column evidence_checkpoints.root is 'Their root.';
--> statement-breakpoint
comment on column evidence_checkpoints.note is 'The signed note of c2sp.org/tlog-checkpoint.';
--> statement-breakpoint
comment on column evidence_checkpoints.made_at is 'When it was stored.';
--> statement-breakpoint
comment on table evidence_journal is 'The statements.';
--> statement-breakpoint
comment on column evidence_journal.generation is 'As in evidence_logs.';
--> statement-breakpoint
comment on column evidence_journal.index is 'Which leaf of the journal it is, from 0.';
--> statement-breakpoint
comment on column evidence_journal.kind is 'Its type: genesis, source, drop, jump, hold, change and so on.';
--> statement-breakpoint
comment on column evidence_journal.ref is 'What it is about; a thing is stated once.';
--> statement-breakpoint
comment on column evidence_journal.text is 'JSON, byte for byte as it is hashed.';
--> statement-breakpoint
comment on column evidence_journal.at is 'When it was stored.';
--> statement-breakpoint
comment on table evidence_month_keys is 'What salts the leaves of the events of a month: dropped with the month.';
--> statement-breakpoint
comment on column evidence_month_keys.month is 'By action_time in UTC, as 2026-01; -infinity for events without a time.';
--> statement-breakpoint
comment on column evidence_month_keys.key is '32 random bytes.';
--> statement-breakpoint
comment on table evidence_sources is 'The numbers of sources, and for each the count and the chain of its leaves.';
--> statement-breakpoint
comment on column evidence_sources.generation is 'As in evidence_logs.';
--> statement-breakpoint
comment on column evidence_sources.number is 'In evidence_tiles.sources.';
--> statement-breakpoint
comment on column evidence_sources.source_kind is 'As in audit_events.';
--> statement-breakpoint
comment on column evidence_sources.source_id is 'As in audit_events.';
--> statement-breakpoint
comment on column evidence_sources.events is 'How many leaves of it there are.';
--> statement-breakpoint
comment on column evidence_sources.chain is 'SHA-256 of the chain before and the hash of the leaf, over these leaves.';
--> statement-breakpoint
comment on column retention_drops.positions is 'Which positions the month had, if there was evidence of them: what the drop statement says. Null: there was none.';
