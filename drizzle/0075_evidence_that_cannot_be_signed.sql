-- own transaction
-- A process that has not the keys of the log says so beside it, if no other has held the lease or signed for a minute: that one has them.
create or replace function orgtrail_refuse_evidence(p_generation integer, p_reason text) returns boolean
language plpgsql as $function$
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
--> statement-breakpoint
do $do$
begin
  execute pg_catalog.format('alter function orgtrail_refuse_evidence(integer, text) security definer set search_path = %I, pg_temp', current_schema());
  revoke execute on function orgtrail_refuse_evidence(integer, text) from public;
end
$do$;
