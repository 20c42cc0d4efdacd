-- own transaction
-- Counts requests for each of these rows of the budget (src/ingest/cloudflare/api-budget.sql.ts), as many of p_needed as all of them have room
-- for, and up to p_ahead more that leave half of the burst free. Returns how many. A row that is not there yet has room for the burst. With the
-- caller's own rights. Replicas of earlier versions call orgtrail_take_request, for one at a time.
create or replace function orgtrail_take_requests(p_credentials text[], p_spacing_ms float8, p_tolerance_ms float8,
  p_needed integer, p_ahead integer) returns integer
language plpgsql set plan_cache_mode = force_generic_plan as $function$
declare
  -- In whole microseconds, as the times in the rows are.
  tolerance_ms constant float8 := extract(epoch from make_interval(secs => p_tolerance_ms / 1000)) * 1000;
  ahead_ms float8;
  granted integer;
  taken bigint;
begin
  -- Infinity if a row is blocked. The rows stay locked to the end.
  with known as (
    select b.next_free_at, b.blocked_until
    from unnest(p_credentials) with ordinality as wanted (credential, place) join api_budget b using (credential)
    order by place for update of b)
  select coalesce(max(case when blocked_until > clock_timestamp() then 'infinity'
    else extract(epoch from greatest(next_free_at, clock_timestamp()) - clock_timestamp())::float8 * 1000 end), 0)
  into ahead_ms from known;
  if ahead_ms > tolerance_ms then
    -- No budget is used up for so long: the clock of the database went back. The burst counts as used, so that no more goes out than may.
    update api_budget b set next_free_at = clock_timestamp() + make_interval(secs => p_tolerance_ms / 1000)
    where b.credential = any(p_credentials) and b.next_free_at > clock_timestamp() + interval '10 minutes';
    return 0;
  end if;
  granted := least(p_needed, 1 + floor((tolerance_ms - ahead_ms) / p_spacing_ms)::integer);
  if granted = p_needed then
    granted := granted + greatest(0, least(p_ahead, floor((tolerance_ms / 2 - ahead_ms) / p_spacing_ms)::integer - granted));
  end if;
  insert into api_budget as b (credential, next_free_at)
  select credential, clock_timestamp() + make_interval(secs => granted * p_spacing_ms / 1000) from unnest(p_credentials) credential
  on conflict (credential) do update set
    next_free_at = greatest(b.next_free_at, clock_timestamp()) + make_interval(secs => granted * p_spacing_ms / 1000)
  -- Another process may have made a row that was not there.
  where b.blocked_until <= clock_timestamp()
    and b.next_free_at <= clock_timestamp() + make_interval(secs => (p_tolerance_ms - (granted - 1) * p_spacing_ms) / 1000);
  get diagnostics taken = row_count;
  return case when taken = cardinality(p_credentials) then granted else 0 end;
end
$function$;
--> statement-breakpoint
revoke execute on function orgtrail_take_requests(text[], float8, float8, integer, integer) from public;
--> statement-breakpoint
-- A first reading writes a row for each day that has entries, and each was looked up in sources. Only orgtrail_note_reading writes readings, in the
-- transaction of a page, which holds the row of its source.
alter table coverage_readings drop constraint if exists coverage_readings_source_kind_source_id_fkey;
