-- Counted down is only what can still be had: of a gap that reaches behind the retention, the rest of it; of one that lies behind
-- it as a whole, nothing. (wanted_since follows the horizon by the hour, and would show an hour that nobody wants any more.)
create or replace view sync_status as
select s.kind as source_kind, s.id as source_id, s.organization_id, o.name as organization_name, o.state as organization_state,
  s.lease_owner, s.lease_epoch, s.lease_until, s.failures, s.next_attempt_at, s.last_attempt_at, s.last_success_at,
  s.last_event_at, s.last_failure, s.last_error, s.wanted_since,
  extract(epoch from now() - least(now(), greatest(g.read_until, s.wanted_since)))::float8 as lag_seconds,
  coalesce(g.gap_seconds, 0)::float8 as gap_seconds,
  extract(epoch from coalesce(g.oldest_gap, now()) - r.oldest_kept)::float8 as retention_slack_seconds,
  w.open_walks, w.walking_pages, w.walking_entries
from sources s
join organizations o on o.id = s.organization_id
-- 548 days in hours: a day of a session's time zone may have 23 or 25.
cross join lateral (select now() - interval '13152 hours' as oldest_kept) r
left join coverage c on c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = s.filter_hash and c.pass = 0
left join lateral (
  select upper(c.ranges) as read_until,
    min(greatest(lower(gap), r.oldest_kept)) filter (where upper(gap) > r.oldest_kept) as oldest_gap,
    sum(extract(epoch from upper(gap) - lower(gap))) as gap_seconds
  from unnest(tstzmultirange(tstzrange(least(s.wanted_since, now()), now())) - coalesce(c.ranges, '{}'::tstzmultirange)) gap
) g on true
left join lateral (
  select count(*)::integer as open_walks, sum(pages)::integer as walking_pages, sum(entries)::bigint as walking_entries
  from walks where source_kind = s.kind and source_id = s.id
) w on true;
