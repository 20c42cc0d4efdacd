-- The Merkle log of what is stored: docs/evidence.md. Empty and unused until ORGTRAIL_EVIDENCE_ORIGIN is set.

-- anchors and statements_every are what its builder is set to, so that every replica and every command can tell what is overdue
-- (docs/decisions/29).
create table evidence_log (
  only_row boolean primary key default true check (only_row),
  base text not null,
  feed_id uuid not null,
  number integer not null default 1 check (number >= 1),
  size bigint not null default 0 check (size >= 0),
  root bytea not null check (octet_length(root) = 32),
  position bigint not null default 0,
  adopted_position bigint not null default 0,
  adopted_at timestamptz not null default clock_timestamp(),
  lease_owner text,
  lease_epoch bigint not null default 0,
  lease_until timestamptz,
  state text not null default 'building' check (state in ('building', 'ok', 'behind', 'halted', 'no key')),
  state_reason text,
  timeline text,
  signed_size bigint,
  signed_position bigint,
  signed_at timestamptz,
  schema_version text,
  ended_at timestamptz,
  ended_by text,
  ended_reason text,
  anchors text[],
  statements_every interval,
  key_ordered text,
  old_key_until timestamptz,
  held_back integer not null default 0
);
comment on table evidence_log is 'The Merkle log, one row: its leaves are events and statements about them. Written by functions alone, as all '
  'tables evidence_*.';
comment on column evidence_log.only_row is 'There is one row or none.';
comment on column evidence_log.base is 'What its name begins with, as the operator set it.';
comment on column evidence_log.feed_id is 'As in feed_head when it began: the rest of its name, with the number.';
comment on column evidence_log.number is 'From 1. The next one begins if a log cannot go on, after a restore; the tree stays.';
comment on column evidence_log.size is 'How many leaves it has.';
comment on column evidence_log.root is 'The root of these leaves, as of RFC 6962.';
comment on column evidence_log.position is 'Each event up to this position has its leaf.';
comment on column evidence_log.adopted_position is 'Positions up to this one were there before the log: integrity holds for them from then on.';
comment on column evidence_log.adopted_at is 'When the log began.';
comment on column evidence_log.lease_owner is 'The process that builds.';
comment on column evidence_log.lease_epoch is 'Counts the takings of the lease; a statement of an earlier one changes nothing.';
comment on column evidence_log.lease_until is 'When another process may take it.';
comment on column evidence_log.state is 'building, ok, halted (what is stored contradicts itself), behind (the database went back), no key (no '
  'process has the key): nothing is signed in the last three.';
comment on column evidence_log.state_reason is 'Why it is halted, behind or without a key.';
comment on column evidence_log.timeline is 'What feed_head.timeline was when the log was last compared with all anchors and written. On another '
  'one a signed checkpoint may be lost.';
comment on column evidence_log.signed_size is 'Of the last signed checkpoint.';
comment on column evidence_log.signed_position is 'Each event up to this position is under that checkpoint.';
comment on column evidence_log.signed_at is 'When that was signed.';
comment on column evidence_log.schema_version is 'The migration that the log speaks of last. At first that of the first statement.';
comment on column evidence_log.ended_at is 'When an operator ended the log: no leaf follows, and retention does not wait for it. Null: it goes on.';
comment on column evidence_log.ended_by is 'Who is said to have ended it.';
comment on column evidence_log.ended_reason is 'Why.';
comment on column evidence_log.anchors is 'The anchors that the process that built last is set to have, by name; null: none has said.';
comment on column evidence_log.statements_every is 'How often it states the coverage of a source; null: none has said.';
comment on column evidence_log.key_ordered is 'Why another key is ordered that is not stated yet; null: none is.';
comment on column evidence_log.old_key_until is 'Until when the key before may sign as well, by the last statement about keys.';
comment on column evidence_log.held_back is 'Sources of which some time is covered and not stated, since no request is recorded for it, or it shrank.';

create table evidence_tiles (
  level smallint not null,
  n bigint not null,
  hashes bytea not null check (octet_length(hashes) between 32 and 8192 and octet_length(hashes) % 32 = 0),
  positions bytea,
  sources bytea,
  first_position bigint,
  primary key (level, n),
  check (level > 0 or octet_length(positions) * 4 = octet_length(hashes) and octet_length(sources) * 8 = octet_length(hashes))
);
create index evidence_tiles_first_position on evidence_tiles (first_position) where level = 0;
comment on table evidence_tiles is 'Hash tiles of c2sp.org/tlog-tiles. The last one of a level grows.';
comment on column evidence_tiles.level is '0 are the leaves.';
comment on column evidence_tiles.n is 'The tile has the hashes from number 256 n on.';
comment on column evidence_tiles.hashes is 'Up to 256 hashes of 32 bytes.';
comment on column evidence_tiles.positions is 'At level 0 the position of each leaf, eight bytes each; 0 for a statement.';
comment on column evidence_tiles.sources is 'At level 0 the number of each leaf, four bytes each.';
comment on column evidence_tiles.first_position is 'At level 0 the position of its first event; null: it has statements alone.';

-- Hashes do not compress.
alter table evidence_tiles alter column hashes set storage external;

create table evidence_statements (
  index bigint primary key,
  type text collate "C" not null,
  source bigint not null,
  ref text collate "C" not null,
  text text not null,
  at timestamptz not null default clock_timestamp(),
  unique (type, ref)
);
create index evidence_statements_source on evidence_statements (source, index);
comment on table evidence_statements is 'The statements.';
comment on column evidence_statements.index is 'Which leaf it is, from 0.';
comment on column evidence_statements.type is 'begin, source, coverage, change, drop, hold, key, end or note.';
comment on column evidence_statements.source is 'The number whose leaf it is; 0: of the log itself.';
comment on column evidence_statements.ref is 'What it is about; a thing is stated once.';
comment on column evidence_statements.text is 'JSON, byte for byte as it is hashed.';
comment on column evidence_statements.at is 'When it was stored.';

create table evidence_sources (
  number bigint primary key check (number between 0 and 4294967295),
  kind text collate "C" not null,
  id text collate "C" not null,
  leaves bigint not null,
  events bigint not null,
  chain bytea not null check (octet_length(chain) = 32),
  unique (kind, id)
);
comment on table evidence_sources is 'The numbers of sources, and for each the count and the chain of its leaves. 0 is the log itself.';
comment on column evidence_sources.number is 'In evidence_tiles.sources.';
comment on column evidence_sources.kind is 'As source_kind in audit_events; log for number 0.';
comment on column evidence_sources.id is 'As source_id in audit_events.';
comment on column evidence_sources.leaves is 'How many leaves of it there are.';
comment on column evidence_sources.events is 'How many of these are events.';
comment on column evidence_sources.chain is 'SHA-256 of the chain before and the hash of the leaf, over these leaves.';

create table evidence_checkpoints (
  size bigint primary key,
  number integer not null,
  root bytea not null,
  note text not null,
  made_at timestamptz not null default clock_timestamp()
);
comment on table evidence_checkpoints is 'Signed checkpoints: all of a week, and before that the last of each hour.';
comment on column evidence_checkpoints.size is 'Leaves.';
comment on column evidence_checkpoints.number is 'Of the log that signed it.';
comment on column evidence_checkpoints.root is 'Their root.';
comment on column evidence_checkpoints.note is 'The signed note of c2sp.org/tlog-checkpoint.';
comment on column evidence_checkpoints.made_at is 'When it was stored.';

create table evidence_month_keys (
  month text collate "C" primary key,
  key bytea not null check (octet_length(key) = 32)
);
comment on table evidence_month_keys is 'What salts the leaves of the events of a month: dropped with the month, unless that is in an archive.';
comment on column evidence_month_keys.month is 'By action_time in UTC, as 2026-01; none for events without a time.';
comment on column evidence_month_keys.key is '32 random bytes.';

-- What the log says last of each source, and which sources were asked about: docs/decisions/27.
create table evidence_coverage (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  adopted tstzmultirange not null default '{}',
  index bigint,
  wanted_since timestamptz,
  stated_at timestamptz,
  windows tstzmultirange not null default '{}',
  rows_last bigint,
  primary key (source_kind, source_id, filter_hash)
);
comment on table evidence_coverage is 'What the last coverage statement of each source and filter set says, written with the statement.';
comment on column evidence_coverage.source_kind is 'As in audit_events.';
comment on column evidence_coverage.source_id is 'As in audit_events.';
comment on column evidence_coverage.filter_hash is 'Names the filter set that the statement is about.';
comment on column evidence_coverage.adopted is 'What had been read when the log began, before requests were recorded.';
comment on column evidence_coverage.index is 'Which statement of evidence_statements it is; null: nothing was stated yet.';
comment on column evidence_coverage.wanted_since is 'What it says of the horizon.';
comment on column evidence_coverage.stated_at is 'As of when it states what is covered.';
comment on column evidence_coverage.windows is 'What was asked, by the statements so far.';
comment on column evidence_coverage.rows_last is 'The number of the last row of evidence_reads that it counts.';

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
  anchor text collate "C" not null,
  size bigint not null,
  number integer not null,
  at timestamptz,
  receipt bytea,
  tiles_size bigint not null default 0,
  error text,
  failed_at timestamptz,
  primary key (anchor, size)
);
comment on table evidence_anchors is 'Which signed checkpoints are kept outside of this database, and where.';
comment on column evidence_anchors.anchor is 'As ORGTRAIL_EVIDENCE_ANCHORS names it.';
comment on column evidence_anchors.size is 'Of the checkpoint.';
comment on column evidence_anchors.number is 'Of the log that signed it.';
comment on column evidence_anchors.at is 'When it was last seen to be there; null: never.';
comment on column evidence_anchors.receipt is 'What the anchor answered: the signature line of a witness, the version of an object.';
comment on column evidence_anchors.tiles_size is 'The full tiles and the statements of so many leaves are kept there as well.';
comment on column evidence_anchors.error is 'Why the last attempt failed; null: it did not.';
comment on column evidence_anchors.failed_at is 'When it failed.';

-- Another key for the log of evidence: docs/decisions/28. An operator orders it, and the process that has the new key states it.
create table evidence_key_orders (
  id bigint generated always as identity primary key,
  reason text collate "C" not null check (reason in ('rotation', 'lost', 'compromised')),
  new_key bytea not null check (octet_length(new_key) = 32),
  both_for interval not null,
  ordered_by text not null,
  ordered_as text not null default session_user,
  ordered_at timestamptz not null default clock_timestamp(),
  stated_at timestamptz
);
comment on table evidence_key_orders is 'Keys of the log of evidence that an operator has ordered. Written by functions alone.';
comment on column evidence_key_orders.id is 'Its number.';
comment on column evidence_key_orders.reason is 'rotation, lost or compromised.';
comment on column evidence_key_orders.new_key is 'The public key.';
comment on column evidence_key_orders.both_for is 'So long the old key may sign as well.';
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

-- The log verifies itself, block by block: docs/evidence.md. A row with a fault stays until it is found to be gone.
create table evidence_verified (
  block bigint primary key,
  at timestamptz not null default clock_timestamp(),
  faults text[] not null default '{}'
);
comment on table evidence_verified is 'When each block of 16,384 leaves was last compared with what is stored, and what was found.';
comment on column evidence_verified.block is 'Leaves from 16,384 times this number on; -1: the tree and what is outside of it.';
comment on column evidence_verified.at is 'When.';
comment on column evidence_verified.faults is 'What was wrong. Empty: nothing.';

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

-- Unless there is a log. What was read before is adopted: no request is recorded for it.
create function orgtrail_open_evidence(p_base text) returns void
language plpgsql security definer set search_path from current as $function$
begin
  insert into evidence_log (base, feed_id, root, adopted_position, timeline)
  select p_base, h.feed_id, sha256(''::bytea), h.position, orgtrail_timeline('feed_head'::regclass) from feed_head h
  on conflict (only_row) do nothing;
  if not found then return; end if;
  insert into evidence_coverage (source_kind, source_id, filter_hash, adopted)
  select c.source_kind, c.source_id, c.filter_hash,
    range_agg(c.proven) * tstzmultirange(tstzrange('1970-01-01 00:00:00+00', l.adopted_at))
  from coverage c, evidence_log l where l.adopted_position > 0
  group by c.source_kind, c.source_id, c.filter_hash, l.adopted_at
  on conflict (source_kind, source_id, filter_hash) do nothing;
end
$function$;

create function orgtrail_claim_evidence(p_owner text, p_lease_ms float8) returns table (epoch bigint, held_by text)
language plpgsql security definer set search_path from current as $function$
begin
  return query
    update evidence_log l set lease_owner = p_owner, lease_epoch = l.lease_epoch + 1,
      lease_until = clock_timestamp() + orgtrail_span(p_lease_ms)
    where l.lease_until is null or l.lease_until <= clock_timestamp() or l.lease_owner = p_owner
    returning l.lease_epoch, null::text;
  if not found then
    return query select null::bigint, l.lease_owner from evidence_log l;
  end if;
end
$function$;

create function orgtrail_renew_evidence(p_epoch bigint, p_lease_ms float8) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  update evidence_log l set lease_until = clock_timestamp() + orgtrail_span(p_lease_ms) where l.lease_epoch = p_epoch;
  return found;
end
$function$;

create function orgtrail_release_evidence(p_epoch bigint) returns void
language sql security definer set search_path from current as $function$
  update evidence_log l set lease_until = null where l.lease_epoch = p_epoch
$function$;

create function orgtrail_release_evidence_of(p_owner text) returns void
language sql security definer set search_path from current as $function$
  update evidence_log l set lease_until = null where l.lease_owner = p_owner
$function$;

-- Appends leaves, all of it or nothing, if the log is as large as the caller believes and it has the lease. What it answers: `grown`; `stale`, if
-- another one was faster; `stopped`, if nothing may be signed; `moved`, if the server is another one.
create function orgtrail_grow_evidence(p_epoch bigint, p_from bigint, p_to bigint, p_root bytea, p_position bigint, p_tile_levels integer[],
  p_tile_ns bigint[], p_tile_hashes bytea[], p_tile_positions bytea[], p_tile_sources bytea[], p_tile_firsts bigint[], p_months text[], p_keys bytea[],
  p_are_new boolean[], p_numbers bigint[], p_kinds text[], p_ids text[], p_leaves bigint[], p_events bigint[], p_chains bytea[],
  p_indexes bigint[], p_types text[], p_sources bigint[], p_refs text[], p_texts text[]) returns text
language plpgsql security definer set search_path from current as $function$
declare
  log evidence_log;
  changed bigint;
begin
  select * into log from evidence_log l for update;
  if log.size is distinct from p_from or log.lease_epoch is distinct from p_epoch then return 'stale'; end if;
  if log.state = 'behind' then return 'stopped'; end if;
  if not orgtrail_is_evidence_here(log.timeline) then return 'moved'; end if;
  if p_to < p_from or p_position < log.position or p_position > (select h.position from feed_head h) then
    raise exception 'evidence: the log may not go from % to %', p_from, p_to using errcode = 'check_violation';
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
  insert into evidence_tiles as t (level, n, hashes, positions, sources, first_position)
  select u.level, u.n, u.hashes, u.positions, u.sources, u.first_position
  from unnest(p_tile_levels, p_tile_ns, p_tile_hashes, p_tile_positions, p_tile_sources, p_tile_firsts)
    as u (level, n, hashes, positions, sources, first_position)
  on conflict (level, n) do update set hashes = excluded.hashes, positions = excluded.positions, sources = excluded.sources,
    first_position = excluded.first_position
  where substring(excluded.hashes from 1 for octet_length(t.hashes)) = t.hashes
    and (t.positions is null or substring(excluded.positions from 1 for octet_length(t.positions)) = t.positions)
    and (t.sources is null or substring(excluded.sources from 1 for octet_length(t.sources)) = t.sources);
  get diagnostics changed = row_count;
  if changed <> cardinality(p_tile_ns) then
    raise exception 'evidence: a tile only grows' using errcode = 'check_violation';
  end if;
  insert into evidence_sources as s (number, kind, id, leaves, events, chain)
  select u.number, u.kind, u.id, u.leaves, u.events, u.chain
  from unnest(p_numbers, p_kinds, p_ids, p_leaves, p_events, p_chains) as u (number, kind, id, leaves, events, chain)
  on conflict (number) do update set leaves = excluded.leaves, events = excluded.events, chain = excluded.chain
  where s.kind = excluded.kind and s.id = excluded.id and s.leaves < excluded.leaves and s.events <= excluded.events;
  get diagnostics changed = row_count;
  if changed <> cardinality(p_numbers) then
    raise exception 'evidence: the leaves of a source only grow' using errcode = 'check_violation';
  end if;
  insert into evidence_statements (index, type, source, ref, text)
  select u.index, u.type, u.source, u.ref, u.text from unnest(p_indexes, p_types, p_sources, p_refs, p_texts) as u (index, type, source, ref, text);
  update evidence_log l set size = p_to, root = p_root, position = p_position,
    timeline = coalesce(l.timeline, orgtrail_timeline('feed_head'::regclass));
  return 'grown';
end
$function$;

-- Notes what a statement says in the commit that appends it.
create function orgtrail_note_statement() returns trigger
language plpgsql set search_path from current as $function$
declare
  said jsonb := new.text::jsonb;
begin
  if new.type = 'coverage' then
    insert into evidence_coverage as c (source_kind, source_id, filter_hash, index, wanted_since, stated_at, windows, rows_last)
    select s.kind, s.id, said #>> '{filter,hash}', new.index, (said ->> 'wanted_since')::timestamptz, (said ->> 'as_of')::timestamptz,
      orgtrail_ranges_of(said #> '{rows,windows}'), (said #>> '{rows,last}')::bigint
    from evidence_sources s where s.number = new.source
    on conflict (source_kind, source_id, filter_hash) do update
      set index = excluded.index, wanted_since = excluded.wanted_since, stated_at = excluded.stated_at,
        windows = c.windows + excluded.windows, rows_last = excluded.rows_last;
  else
    update evidence_log l set schema_version = case when new.type = 'note' then said #>> '{facts,to_version}' else orgtrail_schema_version() end
    where new.type = 'begin' or said ->> 'about' = 'schema';
  end if;
  return null;
end
$function$;

-- Of a list of ranges in a statement.
create function orgtrail_ranges_of(p_ranges jsonb) returns tstzmultirange
language sql stable set search_path from current as $function$
  select coalesce(range_agg(tstzrange((r ->> 0)::timestamptz, (r ->> 1)::timestamptz)), '{}') from jsonb_array_elements(p_ranges) r
$function$;

-- Keeps a signed checkpoint, before which it is given to no reader. False: it must not be given out, for what it says is not what is here.
create function orgtrail_note_checkpoint(p_epoch bigint, p_size bigint, p_root bytea, p_note text) returns boolean
language plpgsql security definer set search_path from current as $function$
declare
  log evidence_log;
begin
  select * into log from evidence_log l for update;
  if log.lease_epoch is distinct from p_epoch or log.size is distinct from p_size or log.root <> p_root
    or log.state in ('behind', 'halted') or not orgtrail_is_evidence_here(log.timeline) then
    return false;
  end if;
  perform orgtrail_wait_for_disk();
  insert into evidence_checkpoints (size, number, root, note) values (p_size, log.number, p_root, p_note)
  on conflict (size) do update set note = excluded.note where evidence_checkpoints.root = excluded.root;
  if not found then
    raise exception 'evidence: another root was signed at size %', p_size using errcode = 'check_violation';
  end if;
  update evidence_log l set signed_size = p_size, signed_position = l.position, signed_at = clock_timestamp();
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
    where later.size > c.size and later.made_at < date_trunc('hour', c.made_at) + interval '1 hour')
    and not exists (select from evidence_anchors a where a.size = c.size and a.at is not null);
  get diagnostics thinned = row_count;
  return thinned;
end
$function$;

-- What is behind stays so: the next log goes on.
create function orgtrail_note_evidence(p_epoch bigint, p_state text, p_reason text) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  update evidence_log l set state = p_state, state_reason = left(p_reason, 1000) where l.state <> 'behind' and l.lease_epoch = p_epoch;
  return found;
end
$function$;

-- How many sources have time that is covered and is not stated.
create function orgtrail_note_held_back(p_epoch bigint, p_sources integer) returns void
language sql security definer set search_path from current as $function$
  update evidence_log l set held_back = p_sources where l.lease_epoch = p_epoch and l.held_back <> p_sources
$function$;

-- Notes the settings of the process that holds the lease. False: it does not hold it.
create function orgtrail_note_evidence_settings(p_epoch bigint, p_anchors text[], p_statements_ms float8) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  update evidence_log l set anchors = p_anchors, statements_every = make_interval(secs => p_statements_ms / 1000) where l.lease_epoch = p_epoch;
  return found;
end
$function$;

-- A process that has not the key of the log says so, if no other has held the lease or signed for a minute: that one has it.
create function orgtrail_refuse_evidence(p_reason text) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  update evidence_log l set state = 'no key', state_reason = left(p_reason, 1000)
  where l.ended_at is null and l.state in ('ok', 'building', 'no key')
    and greatest(l.lease_until, l.signed_at, '-infinity') <= clock_timestamp() - interval '1 minute';
  return found;
end
$function$;

-- The holder of the lease has compared the log with everything that is known of it, and it holds on this server as well.
create function orgtrail_continue_evidence(p_epoch bigint) returns boolean
language plpgsql security definer set search_path from current as $function$
begin
  update evidence_log l set timeline = orgtrail_timeline('feed_head'::regclass) where l.lease_epoch = p_epoch and l.state <> 'behind';
  return found;
end
$function$;

-- The next log goes on with the tree of one that is behind or has ended: its first leaf is the given statement. False: the log is not what the
-- caller has read.
create function orgtrail_next_evidence(p_number integer, p_from bigint, p_root bytea, p_tile_levels integer[], p_tile_ns bigint[], p_tile_hashes bytea[],
  p_tile_positions bytea[], p_tile_sources bytea[], p_tile_firsts bigint[], p_leaves bigint, p_chain bytea, p_text text) returns boolean
language plpgsql set search_path from current as $function$
declare
  log evidence_log;
begin
  select * into log from evidence_log l for update;
  if log.size is distinct from p_from or p_number <= log.number or log.state <> 'behind' and log.ended_at is null then return false; end if;
  update evidence_log l set number = p_number, state = 'building', state_reason = null, ended_at = null, ended_by = null, ended_reason = null,
    timeline = orgtrail_timeline('feed_head'::regclass), signed_size = null, signed_position = null, signed_at = null, lease_until = null, lease_epoch = l.lease_epoch + 1,
    key_ordered = null, old_key_until = null;
  delete from evidence_key_orders o where o.stated_at is null;
  -- What was signed of leaves that are not here counts no more.
  delete from evidence_checkpoints c where c.size > p_from;
  return orgtrail_grow_evidence(log.lease_epoch + 1, p_from, p_from + 1, p_root, log.position, p_tile_levels, p_tile_ns, p_tile_hashes,
    p_tile_positions, p_tile_sources, p_tile_firsts, '{}', '{}', '{}', array[0], array['log'], array[''], array[p_leaves], array[0], array[p_chain],
    array[p_from], array['begin'], array[0], array[p_number::text], array[p_text]) = 'grown';
end
$function$;

-- Ends the log: no leaf follows, and retention does not wait for it. With a text, which is the last statement; what is answered then is that of
-- orgtrail_grow_evidence, and only `grown` ends it.
create function orgtrail_end_evidence(p_by text, p_reason text, p_from bigint, p_root bytea, p_tile_levels integer[], p_tile_ns bigint[],
  p_tile_hashes bytea[], p_tile_positions bytea[], p_tile_sources bytea[], p_tile_firsts bigint[], p_leaves bigint, p_chain bytea, p_text text)
returns text
language plpgsql set search_path from current as $function$
declare
  log evidence_log;
  result text := 'grown';
begin
  select * into log from evidence_log l for update;
  if log.size is null or log.ended_at is not null then return 'stale'; end if;
  if p_text is not null then
    result := orgtrail_grow_evidence(log.lease_epoch, p_from, p_from + 1, p_root, log.position, p_tile_levels, p_tile_ns, p_tile_hashes,
      p_tile_positions, p_tile_sources, p_tile_firsts, '{}', '{}', '{}', array[0], array['log'], array[''], array[p_leaves], array[0], array[p_chain],
      array[p_from], array['end'], array[0], array[p_from::text], array[p_text]);
  end if;
  if result = 'grown' then
    update evidence_log l set ended_at = clock_timestamp(), ended_by = p_by, ended_reason = p_reason;
  end if;
  return result;
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
create function orgtrail_note_anchor(p_size bigint, p_anchor text, p_receipt bytea, p_tiles_size bigint, p_error text) returns void
language plpgsql security definer set search_path from current as $function$
declare
  signed_by integer := (select c.number from evidence_checkpoints c where c.size = p_size);
begin
  if signed_by is null then
    raise exception 'evidence: no checkpoint was signed at size %', p_size using errcode = 'check_violation';
  end if;
  delete from evidence_anchors a where a.anchor = p_anchor and a.at is null and a.size <> p_size;
  if p_error is null then
    update evidence_anchors a set error = null, failed_at = null where a.anchor = p_anchor and a.error is not null;
  end if;
  insert into evidence_anchors as a (anchor, size, number, at, receipt, tiles_size, error, failed_at)
  values (p_anchor, p_size, signed_by, case when p_error is null then clock_timestamp() end, p_receipt, p_tiles_size,
    left(p_error, 1000), case when p_error is not null then clock_timestamp() end)
  on conflict (anchor, size) do update set number = excluded.number,
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

-- Orders another key, in place of one that was ordered before and is not stated yet. Null: there is no log, or it has ended. For the owner of the
-- schema alone: a stolen account of a daemon must not name a key.
create function orgtrail_order_evidence_key(p_reason text, p_new_key bytea, p_both_for_ms float8, p_by text) returns bigint
language plpgsql set search_path from current as $function$
declare
  ordered bigint;
begin
  perform from evidence_log l where l.ended_at is null for update;
  if not found then return null; end if;
  delete from evidence_key_orders o where o.stated_at is null;
  insert into evidence_key_orders (reason, new_key, both_for, ordered_by)
  values (p_reason, p_new_key, orgtrail_span(p_both_for_ms), p_by) returning id into ordered;
  update evidence_log l set key_ordered = p_reason;
  return ordered;
end
$function$;

-- A statement about a key is one that was ordered, with the key that was ordered, and is made once.
create function orgtrail_note_evidence_key() returns trigger
language plpgsql set search_path from current as $function$
begin
  update evidence_key_orders o set stated_at = clock_timestamp()
  where o.id::text = new.ref and o.stated_at is null
    and o.reason = new.text::jsonb ->> 'reason' and encode(o.new_key, 'hex') = new.text::jsonb ->> 'new';
  if not found then
    raise exception 'evidence: no such key was ordered' using errcode = 'serialization_failure';
  end if;
  update evidence_log l set key_ordered = null, old_key_until = (new.text::jsonb ->> 'old_signs_until')::timestamptz;
  return null;
end
$function$;

-- A time that a collector gives, within what a verifier reads: it must not be able to make a row that no verifier takes.
create function orgtrail_bounded_instant(p_ms text) returns timestamptz
language sql stable as $function$
  -- From 1970 to 9999.
  select case when p_ms is not null then pg_catalog.to_timestamp(least(greatest(p_ms::float8, 0), 253370764800000) / 1000) end
$function$;

-- An instant of a statement, as JSON. Without a search path of its own, as the next one: so they are part of the statement that calls them.
create function orgtrail_instant_text(p_at timestamptz) returns text
language sql stable as $function$
  select coalesce(pg_catalog.to_json(pg_catalog.to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text, 'null')
$function$;

-- The line of a row in `reads.ndjson`, which is hashed byte for byte: it never changes.
create function orgtrail_read_text(p_row evidence_reads, p_source bigint) returns text
language sql stable as $function$
  select pg_catalog.format('{"source":%s,"number":%s,"read_at":%s,"lane":%s,"filter_hash":%s,"since":%s,"before":%s,'
      '"pages":%s,"entries":%s,"answers":%s,"first_date":%s,"first_cf_ray":%s,"last_date":%s,"last_cf_ray":%s,"bodies_sha256":%s}',
    p_source, p_row.number, orgtrail_instant_text(p_row.read_at), pg_catalog.to_json(p_row.lane),
    pg_catalog.to_json(p_row.filter_hash), orgtrail_instant_text(p_row.since), orgtrail_instant_text(p_row.before), p_row.pages, p_row.entries, p_row.answers,
    orgtrail_instant_text(p_row.first_date), coalesce(pg_catalog.to_json(p_row.first_cf_ray)::text, 'null'),
    orgtrail_instant_text(p_row.last_date), coalesce(pg_catalog.to_json(p_row.last_cf_ray)::text, 'null'), pg_catalog.to_json(pg_catalog.encode(p_row.bodies_sha256, 'hex')))
$function$;

-- Appends the record of a walk whose end is claimed. Called by orgtrail_commit_page_2 alone, with its settings, and with the row of the source locked,
-- so its numbers have no gap.
create function orgtrail_note_reads(p_kind text, p_source_id text, p_filter_hash text, p_lane text, p_reads jsonb) returns void
language plpgsql as $function$
begin
  insert into evidence_reads (source_kind, source_id, number, read_at, lane, filter_hash, since, before, pages, entries, answers,
    first_date, first_cf_ray, last_date, last_cf_ray, bodies_sha256)
  values (p_kind, p_source_id,
    greatest((select max(r.number) from evidence_reads r where r.source_kind = p_kind and r.source_id = p_source_id),
      (select max(c.rows_last) from evidence_coverage c where c.source_kind = p_kind and c.source_id = p_source_id), 0) + 1,
    clock_timestamp(), left(p_lane, 64), left(p_filter_hash, 200),
    orgtrail_bounded_instant(p_reads ->> 'fromMs'), orgtrail_bounded_instant(p_reads ->> 'toMs'),
    greatest((p_reads ->> 'pages')::integer, 0), least(greatest((p_reads ->> 'entries')::bigint, 0), 9007199254740991),
    greatest((p_reads ->> 'count')::integer, 0), orgtrail_bounded_instant(p_reads ->> 'firstDateMs'), left(p_reads ->> 'firstCfRay', 64),
    orgtrail_bounded_instant(p_reads ->> 'lastDateMs'), left(p_reads ->> 'lastCfRay', 64), decode(p_reads ->> 'sha256', 'hex'));
end
$function$;

-- Deletes the rows of statements that are more than 31 days older than the newest one of their source, which is signed.
create function orgtrail_thin_reads() returns bigint
language plpgsql security definer set search_path from current as $function$
declare
  thinned bigint;
begin
  with newest as (
    select s.number, s.kind, s.id, max(c.stated_at) as stated_at
    from evidence_coverage c join evidence_sources s on s.kind = c.source_kind and s.id = c.source_id, evidence_log l
    where c.index < l.signed_size group by s.number, s.kind, s.id),
  stated as materialized (
    select n.kind, n.id, (select (t.text::jsonb #>> '{rows,last}')::bigint from evidence_statements t
      where t.source = n.number and t.type = 'coverage' and (t.text::jsonb ->> 'as_of')::timestamptz < n.stated_at - interval '32 days'
      order by t.index desc limit 1) as last
    from newest n)
  delete from evidence_reads r using stated s
  where r.source_kind = s.kind and r.source_id = s.id and r.number <= s.last;
  get diagnostics thinned = row_count;
  return thinned;
end
$function$;

-- What the log has found in a block of itself. A fault stops signing until the block is found to be in order again.
create function orgtrail_note_verified(p_epoch bigint, p_block bigint, p_faults text[]) returns void
language plpgsql security definer set search_path from current as $function$
begin
  perform from evidence_log l where l.lease_epoch = p_epoch;
  if not found then return; end if;
  insert into evidence_verified as v (block, at, faults) values (p_block, clock_timestamp(), p_faults[:20])
  on conflict (block) do update set at = excluded.at, faults = excluded.faults;
end
$function$;

create trigger evidence_log_ended before update on evidence_log for each row
when (old.ended_at is not null and new.ended_at is not null
  and (new.size <> old.size or new.root <> old.root or new.ended_at is distinct from old.ended_at))
execute function orgtrail_keep_evidence_ended();
create trigger statement_is_noted after insert on evidence_statements
for each row when (new.type in ('coverage', 'note', 'begin')) execute function orgtrail_note_statement();
create trigger evidence_statements_key after insert on evidence_statements for each row
when (new.type = 'key') execute function orgtrail_note_evidence_key();
