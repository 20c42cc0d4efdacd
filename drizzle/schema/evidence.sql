-- The Merkle log of what is stored: docs/evidence.md. Empty and unused until ORGTRAIL_EVIDENCE_ORIGIN is set.

-- A row for each log of each generation; anchors and statements_every are what its builder is set to, so that every replica and every command can
-- tell what is overdue (docs/decisions/29).
create table evidence_logs (
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
  schema_version text,
  ended_at timestamptz,
  ended_by text,
  ended_reason text,
  anchors text[],
  statements_every interval,
  key_ordered text,
  old_key_until timestamptz,
  primary key (name, generation)
);
comment on table evidence_logs is 'The two Merkle logs, one row for each generation: leaf i of events is position i + 1, leaves of journal are '
  'signed statements. Written by functions alone, as all tables evidence_*.';
comment on column evidence_logs.name is 'events or journal.';
comment on column evidence_logs.generation is 'From 1. The next one begins if a log cannot go on, after a restore.';
comment on column evidence_logs.origin is 'What names the log in its checkpoints: its address without the scheme.';
comment on column evidence_logs.size is 'How many leaves it has.';
comment on column evidence_logs.root is 'The root of these leaves, as of RFC 6962.';
comment on column evidence_logs.lease_owner is 'The process that builds; in the row of the events, for both logs.';
comment on column evidence_logs.lease_epoch is 'Counts the takings of the lease; a statement of an earlier one changes nothing.';
comment on column evidence_logs.lease_until is 'When another process may take it.';
comment on column evidence_logs.state is 'building, ok, halted (a hole that nothing explains), behind or forked (the database went back): '
  'nothing is signed in the last three.';
comment on column evidence_logs.state_reason is 'Why it is halted, behind or forked.';
comment on column evidence_logs.adopted_size is 'Positions up to this one were there before the log: integrity holds for them from adoption on.';
comment on column evidence_logs.timeline is 'What feed_head.timeline was when the log was last written. On another one a signed checkpoint may '
  'be lost.';
comment on column evidence_logs.signed_size is 'Of the last signed checkpoint.';
comment on column evidence_logs.signed_at is 'When that was signed.';
comment on column evidence_logs.schema_version is 'The migration that the journal speaks of last; in the row of the events. At first that of '
  'the first statement.';
comment on column evidence_logs.ended_at is 'When an operator ended the log: no leaf follows, and retention does not wait for it. Null: it goes on.';
comment on column evidence_logs.ended_by is 'Who is said to have ended it.';
comment on column evidence_logs.ended_reason is 'Why.';
comment on column evidence_logs.anchors is 'The anchors that the process that built last is set to have, by name; null: none has said.';
comment on column evidence_logs.statements_every is 'How often it states the coverage of a source; null: none has said.';
comment on column evidence_logs.key_ordered is 'Why another key is ordered that is not stated yet; null: none is.';
comment on column evidence_logs.old_key_until is 'Until when the key before signs as well, by the last statement about keys.';

create table evidence_tiles (
  log text collate "C" not null,
  generation integer not null,
  level smallint not null,
  n bigint not null,
  hashes bytea not null check (octet_length(hashes) between 32 and 8192 and octet_length(hashes) % 32 = 0),
  sources bytea,
  primary key (log, generation, level, n)
);
comment on table evidence_tiles is 'Hash tiles of c2sp.org/tlog-tiles. The last one of a level grows.';
comment on column evidence_tiles.log is 'events or journal.';
comment on column evidence_tiles.generation is 'As in evidence_logs.';
comment on column evidence_tiles.level is '0 are the leaves.';
comment on column evidence_tiles.n is 'The tile has the hashes from number 256 n on.';
comment on column evidence_tiles.hashes is 'Up to 256 hashes of 32 bytes.';
comment on column evidence_tiles.sources is 'At level 0 of events the number of the source of each leaf, two bytes each; 0 for a hole.';

-- Hashes do not compress.
alter table evidence_tiles alter column hashes set storage external;

create table evidence_checkpoints (
  log text collate "C" not null,
  generation integer not null,
  size bigint not null,
  root bytea not null,
  note text not null,
  made_at timestamptz not null default clock_timestamp(),
  primary key (log, generation, size)
);
comment on table evidence_checkpoints is 'Signed checkpoints: all of a week, and before that the last of each hour.';
comment on column evidence_checkpoints.log is 'events or journal.';
comment on column evidence_checkpoints.generation is 'As in evidence_logs.';
comment on column evidence_checkpoints.size is 'Leaves.';
comment on column evidence_checkpoints.root is 'Their root.';
comment on column evidence_checkpoints.note is 'The signed note of c2sp.org/tlog-checkpoint.';
comment on column evidence_checkpoints.made_at is 'When it was stored.';

create table evidence_journal (
  generation integer not null,
  index bigint not null,
  kind text collate "C" not null,
  ref text collate "C" not null,
  text text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (generation, index),
  unique (generation, kind, ref)
);
comment on table evidence_journal is 'The statements.';
comment on column evidence_journal.generation is 'As in evidence_logs.';
comment on column evidence_journal.index is 'Which leaf of the journal it is, from 0.';
comment on column evidence_journal.kind is 'Its type: genesis, source, drop, jump, hold, change and so on.';
comment on column evidence_journal.ref is 'What it is about; a thing is stated once.';
comment on column evidence_journal.text is 'JSON, byte for byte as it is hashed.';
comment on column evidence_journal.at is 'When it was stored.';

create table evidence_sources (
  generation integer not null,
  number integer not null check (number between 1 and 65535),
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  events bigint not null,
  chain bytea not null check (octet_length(chain) = 32),
  primary key (generation, number),
  unique (generation, source_kind, source_id)
);
comment on table evidence_sources is 'The numbers of sources, and for each the count and the chain of its leaves.';
comment on column evidence_sources.generation is 'As in evidence_logs.';
comment on column evidence_sources.number is 'In evidence_tiles.sources.';
comment on column evidence_sources.source_kind is 'As in audit_events.';
comment on column evidence_sources.source_id is 'As in audit_events.';
comment on column evidence_sources.events is 'How many leaves of it there are.';
comment on column evidence_sources.chain is 'SHA-256 of the chain before and the hash of the leaf, over these leaves.';

create table evidence_month_keys (
  month text collate "C" primary key,
  key bytea not null check (octet_length(key) = 32)
);
comment on table evidence_month_keys is 'What salts the leaves of the events of a month: dropped with the month, unless that is in an archive.';
comment on column evidence_month_keys.month is 'By action_time in UTC, as 2026-01; -infinity for events without a time.';
comment on column evidence_month_keys.key is '32 random bytes.';

-- What the journal of the evidence says last of each source, and which sources were asked about: docs/decisions/27.
create table evidence_coverage (
  generation integer not null,
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  index bigint not null,
  wanted_since timestamptz,
  stated_at timestamptz not null,
  reads_count bigint,
  reads_after bigint,
  primary key (generation, source_kind, source_id, filter_hash)
);
comment on table evidence_coverage is 'The last coverage statement of each source and filter set, written with the statement.';
comment on column evidence_coverage.generation is 'As in evidence_logs.';
comment on column evidence_coverage.source_kind is 'As in audit_events.';
comment on column evidence_coverage.source_id is 'As in audit_events.';
comment on column evidence_coverage.filter_hash is 'Names the filter set that the statement is about.';
comment on column evidence_coverage.index is 'Which statement of evidence_journal it is.';
comment on column evidence_coverage.wanted_since is 'What it says of the horizon.';
comment on column evidence_coverage.stated_at is 'As of when it states what is covered.';
comment on column evidence_coverage.reads_count is 'How many rows of evidence_reads it counts.';
comment on column evidence_coverage.reads_after is 'Rows up to this number are no longer promised.';

create table evidence_asked (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  asked_at timestamptz not null,
  primary key (source_kind, source_id)
);
comment on table evidence_asked is 'When a coverage statement of a source was last asked for, beside those that are made anyway.';
comment on column evidence_asked.source_kind is 'As in audit_events.';
comment on column evidence_asked.source_id is 'As in audit_events.';
comment on column evidence_asked.asked_at is 'A later statement answers it.';

-- Where signed checkpoints were kept outside of this database: docs/decisions/29.
create table evidence_anchors (
  log text collate "C" not null check (log in ('events', 'journal')),
  generation integer not null,
  anchor text collate "C" not null,
  size bigint not null,
  at timestamptz,
  receipt bytea,
  tiles_size bigint not null default 0,
  error text,
  failed_at timestamptz,
  primary key (log, generation, anchor, size)
);
comment on table evidence_anchors is 'Which signed checkpoints are kept outside of this database, and where.';
comment on column evidence_anchors.log is 'events or journal.';
comment on column evidence_anchors.generation is 'As in evidence_logs.';
comment on column evidence_anchors.anchor is 'As ORGTRAIL_EVIDENCE_ANCHORS names it.';
comment on column evidence_anchors.size is 'Of the checkpoint.';
comment on column evidence_anchors.at is 'When it was last seen to be there; null: never.';
comment on column evidence_anchors.receipt is 'What the anchor answered: the signature line of a witness, a time-stamp token, the version of an '
  'object.';
comment on column evidence_anchors.tiles_size is 'The full tiles of so many leaves are kept there as well.';
comment on column evidence_anchors.error is 'Why the last attempt failed; null: it did not.';
comment on column evidence_anchors.failed_at is 'When it failed.';

-- Another key for the log of evidence: docs/decisions/28. An operator orders it, and the process that has the new key states it.
create table evidence_key_orders (
  id bigint generated always as identity primary key,
  generation integer not null,
  reason text collate "C" not null check (reason in ('rotation', 'lost', 'compromised')),
  new_vkeys text[] not null,
  both_for interval not null,
  ordered_by text not null,
  ordered_as text not null default session_user,
  ordered_at timestamptz not null default clock_timestamp(),
  stated_at timestamptz
);
comment on table evidence_key_orders is 'Keys of the log of evidence that an operator has ordered. Written by functions alone.';
comment on column evidence_key_orders.id is 'The reference of its statement.';
comment on column evidence_key_orders.generation is 'As in evidence_logs.';
comment on column evidence_key_orders.reason is 'rotation, lost or compromised.';
comment on column evidence_key_orders.new_vkeys is 'The public keys of both logs.';
comment on column evidence_key_orders.both_for is 'So long the old key signs as well.';
comment on column evidence_key_orders.ordered_by is 'Who is said to have ordered it.';
comment on column evidence_key_orders.ordered_as is 'The account of the database.';
comment on column evidence_key_orders.ordered_at is 'When it was ordered.';
comment on column evidence_key_orders.stated_at is 'When the statement was made; null: the process that builds has not made it yet.';

-- The requests behind what is claimed, for the evidence: docs/decisions/27.
create table evidence_reads (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  number bigint not null check (number >= 1),
  read_at timestamptz not null,
  lane text not null,
  filter_hash text not null,
  since timestamptz not null,
  before timestamptz not null,
  pages integer not null,
  entries bigint not null,
  answers integer not null,
  first_date timestamptz,
  first_cf_ray text,
  last_date timestamptz,
  last_cf_ray text,
  bodies_sha256 bytea not null check (octet_length(bodies_sha256) = 32),
  sha256 bytea not null check (octet_length(sha256) = 32),
  primary key (source_kind, source_id, number)
);
comment on table evidence_reads is 'The requests behind what is claimed as read, while there is evidence: one row for each walk that has come '
  'to its end, written with the claim.';
comment on column evidence_reads.source_kind is 'As in audit_events.';
comment on column evidence_reads.source_id is 'As in audit_events.';
comment on column evidence_reads.number is 'From 1, for each source.';
comment on column evidence_reads.read_at is 'When it was stored.';
comment on column evidence_reads.lane is 'As in lanes.';
comment on column evidence_reads.filter_hash is 'Names the filter set.';
comment on column evidence_reads.since is 'Of the window, as it was asked for: more than is claimed.';
comment on column evidence_reads.before is 'Its end.';
comment on column evidence_reads.pages is 'Pages of the walk.';
comment on column evidence_reads.entries is 'Entries on these.';
comment on column evidence_reads.answers is 'So many answers are hashed: those pages, and those to questions that proved the end.';
comment on column evidence_reads.first_date is 'The header Date of the first one; null: it had none.';
comment on column evidence_reads.first_cf_ray is 'The header CF-Ray of the first one, by which Cloudflare knows the request.';
comment on column evidence_reads.last_date is 'The header Date of the last one.';
comment on column evidence_reads.last_cf_ray is 'The header CF-Ray of the last one.';
comment on column evidence_reads.bodies_sha256 is 'SHA-256 of the one before and the SHA-256 of the body, over these answers, from 32 zero bytes on.';
comment on column evidence_reads.sha256 is 'SHA-256 of that of the row before and the SHA-256 of this row as orgtrail_read_text has it.';

-- The number of the newest migration, as the names of their files begin.
create function orgtrail_schema_version() returns text
language sql stable set search_path from current as $function$
  select to_char(max(m.created_at) - 1795550000000, 'FM0000') from drizzle.__drizzle_migrations m
$function$;

-- Whether the server is the one that the log was last written on, as far as it can tell.
create function orgtrail_is_evidence_here(p_timeline text) returns boolean
language sql stable security definer set search_path from current as $function$
  select coalesce(p_timeline = orgtrail_timeline('feed_head'::regclass), true)
$function$;

create function orgtrail_open_evidence(p_events_origin text, p_journal_origin text) returns void
language plpgsql security definer set search_path from current as $function$
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

-- The lease is in the row of the events, and is for both logs of a generation.
create function orgtrail_claim_evidence(p_generation integer, p_owner text, p_lease_ms float8) returns table (epoch bigint, held_by text)
language plpgsql security definer set search_path from current as $function$
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

create function orgtrail_renew_evidence(p_generation integer, p_epoch bigint, p_lease_ms float8) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  update evidence_logs l set lease_until = clock_timestamp() + orgtrail_span(p_lease_ms)
  where l.name = 'events' and l.generation = p_generation and l.lease_epoch = p_epoch;
  return found;
end
$function$;

create function orgtrail_release_evidence(p_generation integer, p_epoch bigint) returns void
language sql security definer set search_path from current as $function$
  update evidence_logs l set lease_until = null
  where l.name = 'events' and l.generation = p_generation and l.lease_epoch = p_epoch
$function$;

create function orgtrail_release_evidence_of(p_owner text) returns void
language sql security definer set search_path from current as $function$
  update evidence_logs l set lease_until = null where l.name = 'events' and l.lease_owner = p_owner
$function$;

-- Appends to both logs of a generation, all of it or nothing, if they are as large as the caller believes and it has the lease. What it
-- answers: `grown`; `stale`, if another one was faster; `stopped`, if nothing may be signed; `moved`, if the server is another one.
create function orgtrail_grow_evidence(p_generation integer, p_epoch bigint, p_from bigint[], p_to bigint[], p_roots bytea[], p_tile_logs text[],
  p_tile_levels integer[], p_tile_ns bigint[], p_tile_hashes bytea[], p_tile_sources bytea[], p_months text[], p_keys bytea[], p_are_new boolean[],
  p_numbers integer[], p_source_kinds text[], p_source_ids text[], p_events bigint[], p_chains bytea[], p_kinds text[], p_refs text[],
  p_texts text[]) returns text
language plpgsql security definer set search_path from current as $function$
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

-- Notes what a statement says of coverage and of the list of requests in the commit that appends it, whichever version of orgtrail appends it.
create function orgtrail_note_statement() returns trigger
language plpgsql set search_path from current as $function$
declare
  said jsonb := new.text::jsonb;
begin
  if new.kind = 'coverage' then
    insert into evidence_coverage as c (generation, source_kind, source_id, filter_hash, index, wanted_since, stated_at, reads_count, reads_after)
    values (new.generation, said ->> 'source_kind', said ->> 'source_id', said #>> '{filter,hash}', new.index,
      (said ->> 'wanted_since')::timestamptz, coalesce(said ->> 'as_of', said ->> 'at')::timestamptz,
      (said #>> '{reads,count}')::bigint, (said #>> '{reads,after,count}')::bigint)
    on conflict (generation, source_kind, source_id, filter_hash) do update
      set index = excluded.index, wanted_since = excluded.wanted_since, stated_at = excluded.stated_at,
        reads_count = excluded.reads_count, reads_after = excluded.reads_after;
  else
    update evidence_logs l set schema_version = case when new.kind = 'schema' then said ->> 'to_version' else orgtrail_schema_version() end
    where l.name = 'events' and l.generation = new.generation;
  end if;
  return null;
end
$function$;

-- Keeps a signed checkpoint, before which it is given to no reader. False: it must not be given out, for what it says is not what is here.
create function orgtrail_note_checkpoint(p_generation integer, p_epoch bigint, p_log text, p_size bigint, p_root bytea, p_note text) returns boolean
language plpgsql security definer set search_path from current as $function$
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

-- Of checkpoints that are older than a week, the last one of each hour is enough. Those that are kept elsewhere stay.
create function orgtrail_thin_checkpoints() returns bigint
language plpgsql security definer set search_path from current as $function$
declare
  thinned bigint;
begin
  delete from evidence_checkpoints c
  where c.made_at < clock_timestamp() - interval '7 days' and exists (
    select from evidence_checkpoints later
    where later.log = c.log and later.generation = c.generation and later.size > c.size
      and later.made_at < date_trunc('hour', c.made_at) + interval '1 hour')
    and not exists (
      select from evidence_anchors a
      where a.log = c.log and a.generation = c.generation and a.size = c.size and a.at is not null);
  get diagnostics thinned = row_count;
  return thinned;
end
$function$;

-- What is behind or forked stays so: the next generation goes on.
create function orgtrail_note_evidence(p_generation integer, p_epoch bigint, p_state text, p_reason text) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  -- In the order of all others.
  perform from evidence_logs l where l.generation = p_generation order by l.name for update;
  update evidence_logs l set state = p_state, state_reason = p_reason
  where l.generation = p_generation and l.state not in ('behind', 'forked')
    and p_epoch = (select e.lease_epoch from evidence_logs e where e.name = 'events' and e.generation = p_generation);
  return found;
end
$function$;

-- Notes the settings of the process that holds the lease. False: it does not hold it.
create function orgtrail_note_evidence_settings(p_generation integer, p_epoch bigint, p_anchors text[], p_statements_ms float8) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  update evidence_logs l set anchors = p_anchors, statements_every = make_interval(secs => p_statements_ms / 1000)
  where l.name = 'events' and l.generation = p_generation and l.lease_epoch = p_epoch;
  return found;
end
$function$;

-- A process that has not the keys of the log says so beside it, if no other has held the lease or signed for a minute: that one has them.
create function orgtrail_refuse_evidence(p_generation integer, p_reason text) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  -- In the order of all others.
  perform from evidence_logs l where l.generation = p_generation order by l.name for update;
  update evidence_logs l set state = 'halted', state_reason = left(p_reason, 1000)
  where l.generation = p_generation and l.generation = (select max(g.generation) from evidence_logs g)
    and l.ended_at is null and l.state in ('ok', 'building') and not exists (select from evidence_logs s
      where s.generation = p_generation and greatest(s.lease_until, s.signed_at) > clock_timestamp() - interval '1 minute');
  return found;
end
$function$;

-- The holder of the lease knows every checkpoint that was signed, for it never lost the lease, and they hold on this server as well.
create function orgtrail_continue_evidence(p_generation integer, p_epoch bigint) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  update evidence_logs l set timeline = orgtrail_timeline('feed_head'::regclass)
  where l.name = 'events' and l.generation = p_generation and l.lease_epoch = p_epoch and l.state not in ('behind', 'forked');
  return found;
end
$function$;

-- Whether the newest generation may be followed by another one. Its row stays locked until the end of the transaction: so no two processes
-- make the next generation, and none writes to a generation that goes on.
create function orgtrail_require_stopped_evidence(p_generation integer, p_next integer) returns void
language plpgsql set search_path from current as $function$
begin
  perform from evidence_logs l where l.name = 'events' and l.generation = p_generation
    and (l.state in ('behind', 'forked') or l.ended_at is not null) for share;
  if not found or p_next <= p_generation or exists (select from evidence_logs l where l.generation > p_generation) then
    raise exception 'evidence: generation % goes on, or another one follows it already', p_generation
      using errcode = 'object_not_in_prerequisite_state';
  end if;
end
$function$;

-- Ends the newest generation: no leaf follows, and retention does not wait for it. With a text, which is the last statement; what is
-- answered then is that of orgtrail_grow_evidence, and only `grown` ends it.
create function orgtrail_end_evidence(p_generation integer, p_by text, p_reason text, p_size bigint, p_root bytea, p_journal_size bigint,
  p_journal_root bytea, p_tile_levels integer[], p_tile_ns bigint[], p_tile_hashes bytea[], p_text text) returns text
language plpgsql set search_path from current as $function$
declare
  result text := 'grown';
begin
  perform from evidence_logs l where l.generation = p_generation order by l.name for update;
  if not found or exists (select from evidence_logs l where l.generation > p_generation or l.generation = p_generation and l.ended_at is not null)
  then
    return 'stale';
  end if;
  if p_text is not null then
    result := orgtrail_grow_evidence(p_generation,
      (select l.lease_epoch from evidence_logs l where l.name = 'events' and l.generation = p_generation),
      array[p_size, p_journal_size], array[p_size, p_journal_size + 1], array[p_root, p_journal_root],
      array_fill('journal'::text, array[cardinality(p_tile_ns)]), p_tile_levels, p_tile_ns, p_tile_hashes,
      array_fill(null::bytea, array[cardinality(p_tile_ns)]), '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
      array['end'], array['1'], array[p_text]);
  end if;
  if result = 'grown' then
    update evidence_logs l set ended_at = clock_timestamp(), ended_by = p_by, ended_reason = p_reason where l.generation = p_generation;
  end if;
  return result;
end
$function$;

-- Copies tiles of events after the given one, in order, to the generation that is to follow. One call is one short transaction. What an
-- earlier attempt has copied is compared. No row: all are there.
create function orgtrail_copy_evidence(p_generation integer, p_next integer, p_level integer, p_n bigint, p_limit integer)
returns table (level integer, n bigint, tiles bigint)
language plpgsql set search_path from current as $function$
#variable_conflict use_column
begin
  perform orgtrail_require_stopped_evidence(p_generation, p_next);
  return query
    with chosen as materialized (
      select t.level, t.n, t.hashes, t.sources from evidence_tiles t
      where t.log = 'events' and t.generation = p_generation and (t.level, t.n) > (p_level, p_n)
      order by t.level, t.n limit p_limit
    ), copied as (
      insert into evidence_tiles as c (log, generation, level, n, hashes, sources)
      select 'events', p_next, s.level, s.n, s.hashes, s.sources from chosen s
      on conflict (log, generation, level, n) do update set hashes = excluded.hashes, sources = excluded.sources
      where c.hashes <> excluded.hashes or c.sources is distinct from excluded.sources
    )
    select s.level::integer, s.n, (select count(*) from chosen) from chosen s order by s.level desc, s.n desc limit 1;
end
$function$;

-- Begins another generation with the tree of this one, whose tiles are copied, and with the first statements of a journal: all of it or
-- nothing. False: the tree is not the one that the caller has read, or not all tiles are copied.
create function orgtrail_fork_evidence(p_generation integer, p_next integer, p_size bigint, p_root bytea, p_events_origin text,
  p_journal_origin text, p_journal_root bytea, p_tile_levels integer[], p_tile_ns bigint[], p_tile_hashes bytea[], p_kinds text[], p_refs text[],
  p_texts text[]) returns boolean
language plpgsql set search_path from current as $function$
declare
  head bigint := (select h.position from feed_head h);
  line text := orgtrail_timeline('feed_head'::regclass);
begin
  -- In the order of all others, and against those that copy.
  perform from evidence_logs l where l.generation = p_generation order by l.name for update;
  perform orgtrail_require_stopped_evidence(p_generation, p_next);
  if p_kinds[1] is distinct from 'fork' then
    raise exception 'evidence: a generation begins with a fork' using errcode = 'check_violation';
  end if;
  if not exists (select from evidence_logs l
      where l.name = 'events' and l.generation = p_generation and l.size = p_size and l.root = p_root)
    or (select count(*) from evidence_tiles t where t.log = 'events' and t.generation = p_generation)
      <> (select count(*) from evidence_tiles t where t.log = 'events' and t.generation = p_next) then
    return false;
  end if;
  perform orgtrail_wait_for_disk();
  insert into evidence_logs (name, generation, origin, size, root, adopted_size, timeline)
  values ('events', p_next, p_events_origin, p_size, p_root, head, line),
    ('journal', p_next, p_journal_origin, cardinality(p_texts), p_journal_root, 0, line);
  insert into evidence_sources (generation, number, source_kind, source_id, events, chain)
  select p_next, s.number, s.source_kind, s.source_id, s.events, s.chain
  from evidence_sources s where s.generation = p_generation;
  insert into evidence_tiles (log, generation, level, n, hashes)
  select 'journal', p_next, u.level, u.n, u.hashes
  from unnest(p_tile_levels, p_tile_ns, p_tile_hashes) as u (level, n, hashes);
  insert into evidence_journal (generation, index, kind, ref, text)
  select p_next, u.place - 1, u.kind, u.ref, u.text
  from unnest(p_kinds, p_refs, p_texts) with ordinality as u (kind, ref, text, place);
  return true;
end
$function$;

-- What has ended is only signed: a builder that has not heard of the end is refused.
create function orgtrail_keep_evidence_ended() returns trigger
language plpgsql set search_path from current as $function$
begin
  raise exception 'evidence: the log was ended' using errcode = 'object_not_in_prerequisite_state';
end
$function$;

-- Notes that an anchor has a checkpoint (again), or why it does not have it. What has never been kept has one row for each anchor.
create function orgtrail_note_anchor(p_generation integer, p_log text, p_size bigint, p_anchor text, p_receipt bytea, p_tiles_size bigint,
  p_error text) returns void
language plpgsql security definer set search_path from current as $function$
begin
  if not exists (select from evidence_checkpoints c where c.log = p_log and c.generation = p_generation and c.size = p_size) then
    raise exception 'evidence: no checkpoint of % was signed at size %', p_log, p_size using errcode = 'check_violation';
  end if;
  delete from evidence_anchors a
  where a.log = p_log and a.generation = p_generation and a.anchor = p_anchor and a.at is null and a.size <> p_size;
  if p_error is null then
    update evidence_anchors a set error = null, failed_at = null
    where a.log = p_log and a.generation = p_generation and a.anchor = p_anchor and a.error is not null;
  end if;
  insert into evidence_anchors as a (log, generation, anchor, size, at, receipt, tiles_size, error, failed_at)
  values (p_log, p_generation, p_anchor, p_size, case when p_error is null then clock_timestamp() end, p_receipt, p_tiles_size,
    left(p_error, 1000), case when p_error is not null then clock_timestamp() end)
  on conflict (log, generation, anchor, size) do update set
    at = coalesce(excluded.at, a.at), receipt = coalesce(excluded.receipt, a.receipt),
    tiles_size = greatest(excluded.tiles_size, a.tiles_size), error = excluded.error, failed_at = excluded.failed_at;
end
$function$;

-- Asks for a statement of what is covered now: of these sources, or of all. Returns how many there are.
create function orgtrail_ask_coverage(p_kinds text[], p_ids text[]) returns bigint
language plpgsql security definer set search_path from current as $function$
declare
  asked bigint;
begin
  insert into evidence_asked as a (source_kind, source_id, asked_at)
  select s.kind, s.id, clock_timestamp() from sources s
  where p_kinds is null or (s.kind, s.id) in (select u.kind, u.id from unnest(p_kinds, p_ids) as u (kind, id))
  order by s.kind, s.id
  on conflict (source_kind, source_id) do update set asked_at = excluded.asked_at;
  get diagnostics asked = row_count;
  return asked;
end
$function$;

-- Orders another key for the newest generation, in place of one that was ordered before and is not stated yet. Null: there is none, or it has
-- ended. For the owner of the schema alone: a stolen account of a daemon must not name a key.
create function orgtrail_order_evidence_key(p_generation integer, p_reason text, p_new_vkeys text[], p_both_for_ms float8, p_by text) returns bigint
language plpgsql set search_path from current as $function$
declare
  ordered bigint;
begin
  -- In the order of all others.
  perform from evidence_logs l where l.generation = p_generation and l.ended_at is null order by l.name for update;
  if not found or exists (select from evidence_logs l where l.generation > p_generation) then return null; end if;
  delete from evidence_key_orders o where o.generation = p_generation and o.stated_at is null;
  insert into evidence_key_orders (generation, reason, new_vkeys, both_for, ordered_by)
  values (p_generation, p_reason, p_new_vkeys, orgtrail_span(p_both_for_ms), p_by) returning id into ordered;
  update evidence_logs l set key_ordered = p_reason where l.generation = p_generation;
  return ordered;
end
$function$;

-- A statement about a key is one that was ordered, with the keys that were ordered, and is made once.
create function orgtrail_note_evidence_key() returns trigger
language plpgsql set search_path from current as $function$
begin
  update evidence_key_orders o set stated_at = clock_timestamp()
  where o.generation = new.generation and o.id::text = new.ref and o.stated_at is null
    and o.reason = new.text::jsonb ->> 'reason' and to_jsonb(o.new_vkeys) = new.text::jsonb -> 'new_vkeys';
  if not found then
    raise exception 'evidence: no such key was ordered' using errcode = 'serialization_failure';
  end if;
  update evidence_logs l set key_ordered = null, old_key_until = (new.text::jsonb ->> 'old_signs_until')::timestamptz
  where l.generation = new.generation;
  return null;
end
$function$;

-- A time that a collector gives, within what a verifier reads: it must not be able to make a row that no verifier takes.
create function orgtrail_bounded_instant(p_ms text) returns timestamptz
language sql stable as $function$
  -- From 1970 to 9999.
  select case when p_ms is not null then pg_catalog.to_timestamp(least(greatest(p_ms::float8, 0), 253370764800000) / 1000) end
$function$;

-- An instant of a statement, as JSON. Without a search path of its own, as the next two: so they are part of the statement that calls them.
create function orgtrail_instant_text(p_at timestamptz) returns text
language sql stable as $function$
  select coalesce(pg_catalog.to_json(pg_catalog.to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text, 'null')
$function$;

-- The line of a row in `journal/reads.ndjson`, which is hashed byte for byte: it never changes.
create function orgtrail_read_text(p_row evidence_reads) returns text
language sql stable as $function$
  select pg_catalog.format('{"number":%s,"source_kind":%s,"source_id":%s,"read_at":%s,"lane":%s,"filter_hash":%s,"since":%s,"before":%s,'
      '"pages":%s,"entries":%s,"answers":%s,"first_date":%s,"first_cf_ray":%s,"last_date":%s,"last_cf_ray":%s,"bodies_sha256":%s}',
    p_row.number, pg_catalog.to_json(p_row.source_kind), pg_catalog.to_json(p_row.source_id), orgtrail_instant_text(p_row.read_at), pg_catalog.to_json(p_row.lane),
    pg_catalog.to_json(p_row.filter_hash), orgtrail_instant_text(p_row.since), orgtrail_instant_text(p_row.before), p_row.pages, p_row.entries, p_row.answers,
    orgtrail_instant_text(p_row.first_date), coalesce(pg_catalog.to_json(p_row.first_cf_ray)::text, 'null'),
    orgtrail_instant_text(p_row.last_date), coalesce(pg_catalog.to_json(p_row.last_cf_ray)::text, 'null'), pg_catalog.to_json(pg_catalog.encode(p_row.bodies_sha256, 'hex')))
$function$;

-- Appends the record of a walk whose end is claimed. Called by orgtrail_commit_page_2 alone, with its settings, and with the row of the source locked,
-- so its numbers and its chain have no gap.
create function orgtrail_note_reads(p_kind text, p_source_id text, p_filter_hash text, p_lane text, p_reads jsonb) returns void
language plpgsql as $function$
declare
  added evidence_reads;
  was evidence_reads;
begin
  select * into was from evidence_reads r where r.source_kind = p_kind and r.source_id = p_source_id order by r.number desc limit 1;
  added.source_kind := p_kind;
  added.source_id := p_source_id;
  added.number := coalesce(was.number, 0) + 1;
  added.read_at := clock_timestamp();
  added.lane := left(p_lane, 64);
  added.filter_hash := left(p_filter_hash, 200);
  added.since := orgtrail_bounded_instant(p_reads ->> 'fromMs');
  added.before := orgtrail_bounded_instant(p_reads ->> 'toMs');
  added.pages := greatest((p_reads ->> 'pages')::integer, 0);
  added.entries := least(greatest((p_reads ->> 'entries')::bigint, 0), 9007199254740991);
  added.answers := greatest((p_reads ->> 'count')::integer, 0);
  added.first_date := orgtrail_bounded_instant(p_reads ->> 'firstDateMs');
  added.first_cf_ray := left(p_reads ->> 'firstCfRay', 64);
  added.last_date := orgtrail_bounded_instant(p_reads ->> 'lastDateMs');
  added.last_cf_ray := left(p_reads ->> 'lastCfRay', 64);
  added.bodies_sha256 := decode(p_reads ->> 'sha256', 'hex');
  added.sha256 := sha256(coalesce(was.sha256, decode(repeat('00', 32), 'hex')) || sha256(convert_to(orgtrail_read_text(added), 'UTF8')));
  insert into evidence_reads values (added.*);
end
$function$;

-- Deletes the rows that the last signed statement of their source no longer promises. The last one before these stays, for its hash.
create function orgtrail_thin_reads() returns bigint
language plpgsql security definer set search_path from current as $function$
declare
  thinned bigint;
begin
  with stated as materialized (
    select distinct on (c.source_kind, c.source_id) c.source_kind, c.source_id, c.reads_after
    from evidence_coverage c join evidence_logs l on l.name = 'journal' and l.generation = c.generation
    where c.generation = (select max(g.generation) from evidence_logs g) and c.index < l.signed_size and c.reads_after is not null
    order by c.source_kind, c.source_id, c.index desc)
  delete from evidence_reads r using stated s
  where s.reads_after > 0 and r.source_kind = s.source_kind and r.source_id = s.source_id and r.number < s.reads_after;
  get diagnostics thinned = row_count;
  return thinned;
end
$function$;

create trigger evidence_logs_ended before update on evidence_logs for each row
when (old.ended_at is not null and (new.size <> old.size or new.root <> old.root or new.ended_at is distinct from old.ended_at))
execute function orgtrail_keep_evidence_ended();
create trigger statement_is_noted after insert on evidence_journal
for each row when (new.kind in ('coverage', 'schema', 'genesis', 'fork')) execute function orgtrail_note_statement();
create trigger evidence_journal_key after insert on evidence_journal for each row
when (new.kind = 'key') execute function orgtrail_note_evidence_key();
