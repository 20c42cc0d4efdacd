-- As in 0070, but not for days in which this reading has found entries: more may still be on its way. They stay read once until a reading
-- finds nothing.
create or replace function orgtrail_note_read_again(p_kind text, p_source_id text, p_filter_hash text, p_lane text, p_since timestamptz,
  p_before timestamptz, p_after_ms double precision) returns void
language plpgsql as $function$
declare
  held coverage;
  is_noted boolean := false;
  again tstzmultirange;
begin
  select * into held from coverage c
  where c.source_kind = p_kind and c.source_id = p_source_id and c.filter_hash = p_filter_hash and c.pass = 0;
  if not found then return; end if;
  if held.noted_at is null or isempty(held.read_before) and p_lane = 'backfill' then
    is_noted := true;
  elsif held.noted_at <= clock_timestamp() - make_interval(secs => p_after_ms / 1000) then
    held.read_before := held.noted;
    is_noted := true;
  end if;
  again := tstzmultirange(tstzrange(p_since, p_before)) * held.read_before * held.ranges - held.read_again;
  if not isempty(again) then
    again := again - coalesce((
      select range_agg(tstzrange(day, day + interval '24 hours'))
      from lanes l, jsonb_object_keys(l.found) key, lateral (select key::timestamp at time zone 'UTC') as of (day)
      where l.source_kind = p_kind and l.source_id = p_source_id and l.filter_hash = p_filter_hash and l.lane = p_lane
        and length(key) = 10), '{}');
  end if;
  if not is_noted and isempty(again) then return; end if;
  update coverage c set read_before = held.read_before, read_again = held.read_again + again,
    noted = case when is_noted then held.ranges else held.noted end,
    noted_at = case when is_noted then clock_timestamp() else held.noted_at end
  where c.source_kind = p_kind and c.source_id = p_source_id and c.filter_hash = p_filter_hash and c.pass = 0;
end
$function$;
--> statement-breakpoint
comment on column coverage.read_again is 'Of pass 0: the part of ranges that a reading at least a day after the first one found to be complete. The rest was read once.';
