-- The next generation of the log of evidence, and its end: docs/decisions/0043.
alter table evidence_logs add column if not exists ended_at timestamptz;
--> statement-breakpoint
alter table evidence_logs add column if not exists ended_by text;
--> statement-breakpoint
alter table evidence_logs add column if not exists ended_reason text;
--> statement-breakpoint
-- Whether the newest generation may be followed by another one. Its row stays locked until the end of the transaction: so no two processes
-- make the next generation, and none writes to a generation that goes on.
create or replace function orgtrail_require_stopped_evidence(p_generation integer, p_next integer) returns void
language plpgsql as $function$
begin
  perform from evidence_logs l where l.name = 'events' and l.generation = p_generation
    and (l.state in ('behind', 'forked') or l.ended_at is not null) for share;
  if not found or p_next <= p_generation or exists (select from evidence_logs l where l.generation > p_generation) then
    raise exception 'evidence: generation % goes on, or another one follows it already', p_generation
      using errcode = 'object_not_in_prerequisite_state';
  end if;
end
$function$;
--> statement-breakpoint
-- Copies tiles of events after the given one, in order, to the generation that is to follow. One call is one short transaction. What an
-- earlier attempt has copied is compared. No row: all are there.
create or replace function orgtrail_copy_evidence(p_generation integer, p_next integer, p_level integer, p_n bigint, p_limit integer)
returns table (level integer, n bigint, tiles bigint)
language plpgsql as $function$
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
--> statement-breakpoint
-- Begins another generation with the tree of this one, whose tiles are copied, and with the first statements of a journal: all of it or
-- nothing. False: the tree is not the one that the caller has read, or not all tiles are copied.
create or replace function orgtrail_fork_evidence(p_generation integer, p_next integer, p_size bigint, p_root bytea,
  p_events_origin text, p_journal_origin text, p_journal_root bytea,
  p_tile_levels integer[], p_tile_ns bigint[], p_tile_hashes bytea[], p_kinds text[], p_refs text[], p_texts text[]) returns boolean
language plpgsql as $function$
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
--> statement-breakpoint
-- Ends the newest generation: no leaf follows, and retention does not wait for it. With a text, which is the last statement; what is
-- answered then is that of orgtrail_grow_evidence, and only `grown` ends it.
create or replace function orgtrail_end_evidence(p_generation integer, p_by text, p_reason text, p_size bigint, p_root bytea,
  p_journal_size bigint, p_journal_root bytea, p_tile_levels integer[], p_tile_ns bigint[], p_tile_hashes bytea[], p_text text) returns text
language plpgsql as $function$
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
--> statement-breakpoint
-- What has ended is only signed: a builder of an earlier version, which knows no end, is refused.
create or replace function orgtrail_keep_evidence_ended() returns trigger
language plpgsql as $function$
begin
  raise exception 'evidence: the log was ended' using errcode = 'object_not_in_prerequisite_state';
end
$function$;
--> statement-breakpoint
create or replace trigger evidence_logs_ended before update on evidence_logs for each row
when (old.ended_at is not null and (new.size <> old.size or new.root <> old.root or new.ended_at is distinct from old.ended_at))
execute function orgtrail_keep_evidence_ended();
--> statement-breakpoint
-- As in 0033, and a log that was ended is not waited for.
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
  where l.name = 'events' and l.generation = (select max(generation) from evidence_logs) and l.ended_at is null
    and (l.size < highest or l.state in ('behind', 'forked', 'halted'));
  return obstacle;
end
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  -- What replaces a function takes its settings away. All but the last one are for the owner of the schema alone: an operator forks and ends.
  foreach each in array array['orgtrail_require_stopped_evidence', 'orgtrail_copy_evidence', 'orgtrail_fork_evidence', 'orgtrail_end_evidence',
    'orgtrail_keep_evidence_ended', 'orgtrail_retention_obstacle'] loop
    execute pg_catalog.format('alter function %s set search_path = %I, pg_temp', each::regproc::regprocedure, current_schema());
  end loop;
  foreach each in array array['orgtrail_require_stopped_evidence', 'orgtrail_copy_evidence', 'orgtrail_fork_evidence',
    'orgtrail_end_evidence', 'orgtrail_keep_evidence_ended'] loop
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
--> statement-breakpoint
comment on column evidence_logs.ended_at is 'When an operator ended the log: no leaf follows, and retention does not wait for it. Null: it goes on.';
--> statement-breakpoint
comment on column evidence_logs.ended_by is 'Who is said to have ended it.';
--> statement-breakpoint
comment on column evidence_logs.ended_reason is 'Why.';
--> statement-breakpoint
comment on column access_log.kind is 'sign-in, sign-out, refusal, search, export, event, feed; by a command: evidence, hold, replay, token.';
