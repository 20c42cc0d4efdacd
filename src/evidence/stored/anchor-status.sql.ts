import type { Pool } from 'pg';

/** What one anchor has of the newest generation. */
export interface AnchorStatus {
  readonly anchor: string;
  /** Events of the newest checkpoint that it keeps; null: none yet. */
  readonly size: number | null;
  /** It has one of events; or, if it keeps the journal alone, one of the journal, whose statements name the tree of the events. */
  readonly isOfEvents: boolean;
  /** Since it was last seen to have the newest checkpoints of both logs; null: never. */
  readonly secondsAgo: number | null;
  /** Why the last attempt failed; null: it did not. */
  readonly error: string | null;
  /** False: the process that builds had it in its settings once, and has it no longer. */
  readonly isConfigured: boolean;
}

/** Of all anchors that have kept something, or were tried, by name. */
export const readAnchorStatus = async (pool: Pool, generation: number): Promise<readonly AnchorStatus[]> => {
  const { rows } = await pool.query<AnchorStatus>(anchors, [generation]);
  return rows;
};

/** There is a row for each checkpoint that was ever kept, so only the newest of each log at each anchor are looked up. */
const anchors = `
with recursive tried (log, anchor) as (
  select l.log, (select min(a.anchor) from evidence_anchors a where a.log = l.log and a.generation = $1)
  from (values ('events'), ('journal')) as l (log)
  union all
  select t.log, (select min(a.anchor) from evidence_anchors a where a.log = t.log and a.generation = $1 and a.anchor > t.anchor)
  from tried t where t.anchor is not null)
select t.anchor, max(kept.size) filter (where t.log = 'events')::float8 as size,
  coalesce(max(kept.size) filter (where t.log = 'events'), max(kept.size), 0) > 0 as "isOfEvents",
  extract(epoch from clock_timestamp() - min(kept.at))::float8 as "secondsAgo", max(newest.error) as error,
  coalesce(t.anchor = any ((select l.anchors from evidence_logs l where l.name = 'events' and l.generation = $1)::text[]), true) as "isConfigured"
from tried t
  cross join lateral (select a.error from evidence_anchors a
    where a.log = t.log and a.generation = $1 and a.anchor = t.anchor order by a.size desc limit 1) newest
  left join lateral (select a.size, a.at from evidence_anchors a
    where a.log = t.log and a.generation = $1 and a.anchor = t.anchor and a.at is not null order by a.size desc limit 1) kept on true
where t.anchor is not null group by t.anchor order by t.anchor`;
