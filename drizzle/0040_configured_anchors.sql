-- Which anchors the process that builds has in its settings: docs/decisions/0049.
alter table evidence_logs add column if not exists anchors text[];
--> statement-breakpoint
comment on column evidence_logs.anchors is 'The anchors that the process that builds has configured; null: not known.';
--> statement-breakpoint
-- In the row of the log of events. Nothing is written if they are those that are noted already.
create or replace function orgtrail_note_anchors(p_generation integer, p_anchors text[]) returns void
language plpgsql as $function$
begin
  update evidence_logs l set anchors = p_anchors
  where l.name = 'events' and l.generation = p_generation and l.anchors is distinct from p_anchors;
end
$function$;
--> statement-breakpoint
do $do$
declare
  each text;
begin
  foreach each in array array['orgtrail_note_anchors'] loop
    execute pg_catalog.format('alter function %s security definer set search_path = %I, pg_temp',
      each::regproc::regprocedure, current_schema());
    execute pg_catalog.format('revoke execute on function %s from public', each::regproc::regprocedure);
  end loop;
end
$do$;
