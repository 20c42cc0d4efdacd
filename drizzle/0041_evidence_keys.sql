-- Another key for the log of evidence: docs/decisions/0050. An operator orders it, and the process that has the new key states it.
create table if not exists evidence_key_orders (
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
--> statement-breakpoint
alter table evidence_logs add column if not exists key_ordered text;
--> statement-breakpoint
alter table evidence_logs add column if not exists old_key_until timestamptz;
--> statement-breakpoint
-- Orders another key for the newest generation, in place of one that was ordered before and is not stated yet. Null: there is none, or it has
-- ended. For the owner of the schema alone: a stolen account of a daemon must not name a key.
create or replace function orgtrail_order_evidence_key(p_generation integer, p_reason text, p_new_vkeys text[], p_both_for_ms float8, p_by text)
returns bigint
language plpgsql as $function$
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
--> statement-breakpoint
-- A statement about a key is one that was ordered, with the keys that were ordered, and is made once.
create or replace function orgtrail_note_evidence_key() returns trigger
language plpgsql as $function$
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
--> statement-breakpoint
create or replace trigger evidence_journal_key after insert on evidence_journal for each row
when (new.kind = 'key') execute function orgtrail_note_evidence_key();
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_order_evidence_key', 'orgtrail_note_evidence_key'] loop
    execute pg_catalog.format('alter function %s set search_path = %I, pg_temp', each::regproc::regprocedure, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
--> statement-breakpoint
comment on table evidence_key_orders is 'Keys of the log of evidence that an operator has ordered. Written by functions alone.';
--> statement-breakpoint
comment on column evidence_key_orders.id is 'The reference of its statement.';
--> statement-breakpoint
comment on column evidence_key_orders.generation is 'As in evidence_logs.';
--> statement-breakpoint
comment on column evidence_key_orders.reason is 'rotation, lost or compromised.';
--> statement-breakpoint
comment on column evidence_key_orders.new_vkeys is 'The public keys of both logs.';
--> statement-breakpoint
comment on column evidence_key_orders.both_for is 'So long the old key signs as well.';
--> statement-breakpoint
comment on column evidence_key_orders.ordered_by is 'Who is said to have ordered it.';
--> statement-breakpoint
comment on column evidence_key_orders.ordered_as is 'The account of the database.';
--> statement-breakpoint
comment on column evidence_key_orders.ordered_at is 'When it was ordered.';
--> statement-breakpoint
comment on column evidence_key_orders.stated_at is 'When the statement was made; null: the process that builds has not made it yet.';
--> statement-breakpoint
comment on column evidence_logs.key_ordered is 'Why another key is ordered that is not stated yet; null: none is.';
--> statement-breakpoint
comment on column evidence_logs.old_key_until is 'Until when the key before signs as well, by the last statement about keys.';
