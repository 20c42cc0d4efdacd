-- What the journal of the evidence says last of each source, and which sources were asked about: docs/decisions/0042.
create table if not exists evidence_coverage (
  generation integer not null,
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  filter_hash text not null,
  index bigint not null,
  wanted_since timestamptz,
  stated_at timestamptz not null,
  primary key (generation, source_kind, source_id, filter_hash)
);
--> statement-breakpoint
create table if not exists evidence_asked (
  source_kind text collate "C" not null,
  source_id text collate "C" not null,
  asked_at timestamptz not null,
  primary key (source_kind, source_id)
);
--> statement-breakpoint
alter table evidence_logs add column if not exists schema_version text;
--> statement-breakpoint
-- A log that was begun before this migration was begun under 0033.
update evidence_logs set schema_version = '0033' where schema_version is null and name = 'events';
--> statement-breakpoint
-- The number of the newest migration, as the names of their files begin.
create or replace function orgtrail_schema_version() returns text
language sql stable as $function$
  select to_char(max(m.created_at) - 1795550000000, 'FM0000') from drizzle.__drizzle_migrations m
$function$;
--> statement-breakpoint
-- Notes what a statement says in the commit that appends it, whichever version of orgtrail appends it.
create or replace function orgtrail_note_statement() returns trigger
language plpgsql as $function$
declare
  said jsonb := new.text::jsonb;
begin
  if new.kind = 'coverage' then
    insert into evidence_coverage as c (generation, source_kind, source_id, filter_hash, index, wanted_since, stated_at)
    values (new.generation, said ->> 'source_kind', said ->> 'source_id', said #>> '{filter,hash}', new.index,
      (said ->> 'wanted_since')::timestamptz, coalesce(said ->> 'as_of', said ->> 'at')::timestamptz)
    on conflict (generation, source_kind, source_id, filter_hash) do update
      set index = excluded.index, wanted_since = excluded.wanted_since, stated_at = excluded.stated_at;
  else
    update evidence_logs l set schema_version = case when new.kind = 'schema' then said ->> 'to_version' else orgtrail_schema_version() end
    where l.name = 'events' and l.generation = new.generation;
  end if;
  return null;
end
$function$;
--> statement-breakpoint
create or replace trigger statement_is_noted after insert on evidence_journal
for each row when (new.kind in ('coverage', 'schema', 'genesis', 'fork')) execute function orgtrail_note_statement();
--> statement-breakpoint
-- Asks for a statement of what is covered now: of these sources, or of all. Returns how many there are.
create or replace function orgtrail_ask_coverage(p_kinds text[], p_ids text[]) returns bigint
language plpgsql as $function$
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
--> statement-breakpoint
do $do$
declare
  each text;
begin
  execute pg_catalog.format('alter function orgtrail_ask_coverage(text[], text[]) security definer set search_path = %I, pg_temp', current_schema());
  foreach each in array array['orgtrail_note_statement', 'orgtrail_schema_version'] loop
    execute pg_catalog.format('alter function %s set search_path = %I, pg_temp', each::regproc::regprocedure, current_schema());
  end loop;
  foreach each in array array['orgtrail_ask_coverage', 'orgtrail_note_statement', 'orgtrail_schema_version'] loop
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
--> statement-breakpoint
comment on table evidence_coverage is 'The last coverage statement of each source and filter set, written with the statement.';
--> statement-breakpoint
comment on column evidence_coverage.generation is 'As in evidence_logs.';
--> statement-breakpoint
comment on column evidence_coverage.source_kind is 'As in audit_events.';
--> statement-breakpoint
comment on column evidence_coverage.source_id is 'As in audit_events.';
--> statement-breakpoint
comment on column evidence_coverage.filter_hash is 'Names the filter set that the statement is about.';
--> statement-breakpoint
comment on column evidence_coverage.index is 'Which statement of evidence_journal it is.';
--> statement-breakpoint
comment on column evidence_coverage.wanted_since is 'What it says of the horizon.';
--> statement-breakpoint
comment on column evidence_coverage.stated_at is 'As of when it states what is covered.';
--> statement-breakpoint
comment on table evidence_asked is 'When a coverage statement of a source was last asked for, beside those that are made anyway.';
--> statement-breakpoint
comment on column evidence_asked.source_kind is 'As in audit_events.';
--> statement-breakpoint
comment on column evidence_asked.source_id is 'As in audit_events.';
--> statement-breakpoint
comment on column evidence_asked.asked_at is 'A later statement answers it.';
--> statement-breakpoint
comment on column evidence_logs.schema_version is 'The migration that the journal speaks of last; in the row of the events. At first that of the first statement.';
