-- own transaction
-- The evidence of format 2: one log of events and statements in place of two. A log of before ends with its tables: its bundles have their verifier
-- with them. The next process that builds begins a new one, which adopts what is stored.
set local check_function_bodies = off;
--> statement-breakpoint
select set_config('search_path', format('%I, pg_temp', current_schema()), true);
--> statement-breakpoint
do $do$
declare
  each regprocedure;
begin
  if to_regclass('evidence_logs') is null then return; end if;
  drop table evidence_logs, evidence_tiles, evidence_checkpoints, evidence_journal, evidence_sources, evidence_month_keys, evidence_coverage,
    evidence_asked, evidence_anchors, evidence_key_orders;
  for each in select p.oid from pg_proc p where p.pronamespace = current_schema()::regnamespace and p.proname in ('orgtrail_open_evidence',
    'orgtrail_claim_evidence', 'orgtrail_renew_evidence', 'orgtrail_release_evidence', 'orgtrail_grow_evidence', 'orgtrail_note_statement',
    'orgtrail_note_checkpoint', 'orgtrail_note_evidence', 'orgtrail_note_evidence_settings', 'orgtrail_refuse_evidence',
    'orgtrail_continue_evidence', 'orgtrail_require_stopped_evidence', 'orgtrail_end_evidence', 'orgtrail_copy_evidence',
    'orgtrail_fork_evidence', 'orgtrail_keep_evidence_ended', 'orgtrail_note_anchor', 'orgtrail_order_evidence_key',
    'orgtrail_note_evidence_key', 'orgtrail_read_text')
  loop
    execute format('drop function %s', each);
  end loop;
  -- Numbered from 1 in the new log.
  drop table evidence_reads;
end
$do$;
--> statement-breakpoint
create table if not exists evidence_log (
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
create table if not exists evidence_tiles (
  level smallint not null,
  n bigint not null,
  hashes bytea not null check (octet_length(hashes) between 32 and 8192 and octet_length(hashes) % 32 = 0),
  positions bytea,
  sources bytea,
  first_position bigint,
  primary key (level, n),
  check (level > 0 or octet_length(positions) * 4 = octet_length(hashes) and octet_length(sources) * 8 = octet_length(hashes))
);
create index if not exists evidence_tiles_first_position on evidence_tiles (first_position) where level = 0;
comment on table evidence_tiles is 'Hash tiles of c2sp.org/tlog-tiles. The last one of a level grows.';
comment on column evidence_tiles.level is '0 are the leaves.';
comment on column evidence_tiles.n is 'The tile has the hashes from number 256 n on.';
comment on column evidence_tiles.hashes is 'Up to 256 hashes of 32 bytes.';
comment on column evidence_tiles.positions is 'At level 0 the position of each leaf, eight bytes each; 0 for a statement.';
comment on column evidence_tiles.sources is 'At level 0 the number of each leaf, four bytes each.';
comment on column evidence_tiles.first_position is 'At level 0 the position of its first event; null: it has statements alone.';
alter table evidence_tiles alter column hashes set storage external;
create table if not exists evidence_statements (
  index bigint primary key,
  type text collate "C" not null,
  source bigint not null,
  ref text collate "C" not null,
  text text not null,
  at timestamptz not null default clock_timestamp(),
  unique (type, ref)
);
create index if not exists evidence_statements_source on evidence_statements (source, index);
comment on table evidence_statements is 'The statements.';
comment on column evidence_statements.index is 'Which leaf it is, from 0.';
comment on column evidence_statements.type is 'begin, source, coverage, change, drop, hold, key, end or note.';
comment on column evidence_statements.source is 'The number whose leaf it is; 0: of the log itself.';
comment on column evidence_statements.ref is 'What it is about; a thing is stated once.';
comment on column evidence_statements.text is 'JSON, byte for byte as it is hashed.';
comment on column evidence_statements.at is 'When it was stored.';
create table if not exists evidence_sources (
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
create table if not exists evidence_checkpoints (
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
create table if not exists evidence_month_keys (
  month text collate "C" primary key,
  key bytea not null check (octet_length(key) = 32)
);
comment on table evidence_month_keys is 'What salts the leaves of the events of a month: dropped with the month, unless that is in an archive.';
comment on column evidence_month_keys.month is 'By action_time in UTC, as 2026-01; none for events without a time.';
comment on column evidence_month_keys.key is '32 random bytes.';
create table if not exists evidence_coverage (
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
create table if not exists evidence_asked (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  asked_at timestamptz not null,
  primary key (source_kind, source_id)
);
comment on table evidence_asked is 'When a coverage statement of a source was last asked for, beside those that are made anyway.';
comment on column evidence_asked.source_kind is 'As in audit_events.';
comment on column evidence_asked.source_id is 'As in audit_events.';
comment on column evidence_asked.asked_at is 'A later statement answers it.';
create table if not exists evidence_anchors (
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
create table if not exists evidence_key_orders (
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
create table if not exists evidence_reads (
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
create table if not exists evidence_verified (
  block bigint primary key,
  at timestamptz not null default clock_timestamp(),
  faults text[] not null default '{}'
);
comment on table evidence_verified is 'When each block of 16,384 leaves was last compared with what is stored, and what was found.';
comment on column evidence_verified.block is 'Leaves from 16,384 times this number on; -1: the tree and what is outside of it.';
comment on column evidence_verified.at is 'When.';
comment on column evidence_verified.faults is 'What was wrong. Empty: nothing.';
--> statement-breakpoint
create or replace function orgtrail_note_statement() returns trigger
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
--> statement-breakpoint
create or replace function orgtrail_keep_evidence_ended() returns trigger
language plpgsql set search_path from current as $function$
begin
  raise exception 'evidence: the log was ended' using errcode = 'object_not_in_prerequisite_state';
end
$function$;
--> statement-breakpoint
create or replace function orgtrail_note_evidence_key() returns trigger
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
--> statement-breakpoint
create or replace trigger evidence_log_ended before update on evidence_log for each row
when (old.ended_at is not null and new.ended_at is not null
  and (new.size <> old.size or new.root <> old.root or new.ended_at is distinct from old.ended_at))
execute function orgtrail_keep_evidence_ended();
--> statement-breakpoint
create or replace trigger statement_is_noted after insert on evidence_statements
for each row when (new.type in ('coverage', 'note', 'begin')) execute function orgtrail_note_statement();
--> statement-breakpoint
create or replace trigger evidence_statements_key after insert on evidence_statements for each row
when (new.type = 'key') execute function orgtrail_note_evidence_key();
