/** The clock of the database stands before a time that it has shown by more than this: it went back. */
const BACK = "interval '1 minute'";
/** As far from Cloudflare's clock as was stated last, but for this. */
const DRIFT_SECONDS = 600;

const utc = (time: string): string => `to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
const ofClock = (columns: string, more: string): string =>
  `select ${columns} from evidence_journal j where j.generation = events.generation and j.kind = 'clock' ${more}`;

/**
 * What is to be stated of the clock of the database, as JSON; null if nothing is. Within a query that has `events` and `journal`, the rows of
 * evidence_logs. A clock that went back is found by what the journal said last, and by when it was signed; one that is far from Cloudflare's by the
 * last listing, when both were noted.
 */
export const foundClock = `
(select json_build_object('ref', ref, 'before', case when is_back then ${utc('seen')} end, 'ahead_seconds', ahead, 'compared_at', ${utc('compared_at')})
from (
  select f.*, case when is_back then 'back/' || ${utc('seen')} else 'ahead/' || ${utc('compared_at')} end as ref
  from (
    select seen, seen > clock_timestamp() + ${BACK} as is_back, d.last_success_at as compared_at,
      extract(epoch from d.last_success_at - d.server_time)::bigint as ahead
    from (select greatest(events.signed_at, journal.signed_at, (select (j.text::jsonb ->> 'at')::timestamptz from evidence_journal j
        where j.generation = events.generation order by j.index desc limit 1)) as seen) last
      left join discovery d on d.server_time is not null) f
  where is_back or abs(ahead - coalesce((${ofClock("(j.text::jsonb ->> 'ahead_seconds')::bigint", 'order by j.index desc limit 1')}), 0)) > ${DRIFT_SECONDS}
) found where not exists (${ofClock('', 'and j.ref = found.ref')}))`;
