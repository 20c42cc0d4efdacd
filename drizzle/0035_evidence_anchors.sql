-- Where signed checkpoints were kept outside of this database: docs/decisions/0044.
create table if not exists evidence_anchors (
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
--> statement-breakpoint
-- Notes that an anchor has a checkpoint (again), or why it does not have it. What has never been kept has one row for each anchor.
create or replace function orgtrail_note_anchor(p_generation integer, p_log text, p_size bigint, p_anchor text, p_receipt bytea,
  p_tiles_size bigint, p_error text) returns void
language plpgsql as $function$
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
--> statement-breakpoint
-- As in 0033; checkpoints that are kept elsewhere stay.
create or replace function orgtrail_thin_checkpoints() returns bigint
language plpgsql as $function$
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
--> statement-breakpoint
do $do$
declare
  each text;
begin
  -- What replaces a function takes its settings away.
  foreach each in array array['orgtrail_note_anchor', 'orgtrail_thin_checkpoints'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
--> statement-breakpoint
comment on table evidence_anchors is 'Which signed checkpoints are kept outside of this database, and where.';
--> statement-breakpoint
comment on column evidence_anchors.log is 'events or journal.';
--> statement-breakpoint
comment on column evidence_anchors.generation is 'As in evidence_logs.';
--> statement-breakpoint
comment on column evidence_anchors.anchor is 'As ORGTRAIL_EVIDENCE_ANCHORS names it.';
--> statement-breakpoint
comment on column evidence_anchors.size is 'Of the checkpoint.';
--> statement-breakpoint
comment on column evidence_anchors.at is 'When it was last seen to be there; null: never.';
--> statement-breakpoint
comment on column evidence_anchors.receipt is 'What the anchor answered: the signature line of a witness, a time-stamp token, the version of an object.';
--> statement-breakpoint
comment on column evidence_anchors.tiles_size is 'The full tiles of so many leaves are kept there as well.';
--> statement-breakpoint
comment on column evidence_anchors.error is 'Why the last attempt failed; null: it did not.';
--> statement-breakpoint
comment on column evidence_anchors.failed_at is 'When it failed.';
