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
-- schema/evidence.sql
