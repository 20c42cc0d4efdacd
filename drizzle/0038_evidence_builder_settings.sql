-- What the process that builds the evidence is set to, so that every replica and every command can tell what is overdue: docs/decisions/0047.
alter table evidence_logs add column if not exists anchors text[];
--> statement-breakpoint
alter table evidence_logs add column if not exists statements_every interval;
--> statement-breakpoint
-- Notes the settings of the process that holds the lease. False: it does not hold it.
create or replace function orgtrail_note_evidence_settings(p_generation integer, p_epoch bigint, p_anchors text[], p_statements_ms double precision)
returns boolean
language plpgsql as $function$
begin
  update evidence_logs l set anchors = p_anchors, statements_every = make_interval(secs => p_statements_ms / 1000)
  where l.name = 'events' and l.generation = p_generation and l.lease_epoch = p_epoch;
  return found;
end
$function$;
--> statement-breakpoint
do $do$
begin
  execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
    'orgtrail_note_evidence_settings'::regproc::regprocedure, current_schema());
  execute pg_catalog.format('revoke execute on function %s from public', 'orgtrail_note_evidence_settings'::regproc::regprocedure);
end
$do$;
--> statement-breakpoint
comment on column evidence_logs.anchors is 'The anchors that the process that built last is set to have, by name; null: none has said.';
--> statement-breakpoint
comment on column evidence_logs.statements_every is 'How often it states the coverage of a source; null: none has said.';
