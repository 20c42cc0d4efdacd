import type { Pool } from 'pg';
import { longStatement } from '../../postgres/pool.ts';
import { sqlState } from '../../postgres/sql-state.ts';
import type { KindPolicy } from '../planning/source.ts';
import { type SourceScope, scopeParameters, wantedSources } from './stored-sources/load-sources.sql.ts';
import { REFUSED } from './stored-sources/source-row.sql.ts';

const LOCK_NOT_AVAILABLE = '55P03';
/** Before that there was no Cloudflare, and the database makes no month. */
const FIRST_MONTH_MS = Date.UTC(2009, 0, 1);

/**
 * Creates the monthly partitions of audit_events from `sinceMs` to two months from now, or to `untilMs`, if they are missing.
 * Called hourly by discovery. Returns how many it made: none if a long transaction reads the table, or another replica makes them, too;
 * the default partition takes the rows, and the next call moves them.
 */
export const createPartitions = async (pool: Pool, sinceMs: number, untilMs?: number): Promise<number> => {
  // It may have to move rows.
  const statement = longStatement(
    `select orgtrail_create_partitions(to_timestamp($1::float8 / 1000),
       coalesce(to_timestamp($2::float8 / 1000), clock_timestamp() + interval '2 months')) as created`,
    [Math.max(sinceMs, FIRST_MONTH_MS), untilMs ?? null],
  );
  try {
    const { rows } = await pool.query<{ created: number }>(statement);
    return rows[0]?.created ?? 0;
  } catch (error) {
    if (sqlState(error) === LOCK_NOT_AVAILABLE) return 0;
    throw error;
  }
};

/** What is asked of each walk beyond its claim, and more: a month is read when this much beside it is, too. */
const BESIDE_MONTH_MS = 86_400_000;

export interface UnreadOptions {
  readonly nowMs: number;
  /** Nothing younger is looked at. */
  readonly untilMs: number;
  /** A month counts as unread with time beside it that is. */
  readonly besideMs?: number;
}

/**
 * The months (`2024-01`) before a time that are wanted and not read in full, oldest first, each with one of its sources. One that Cloudflare
 * refuses counts only where a part of it has been read.
 */
export const readUnreadMonths = async (
  pool: Pool,
  kinds: readonly KindPolicy[],
  scope: SourceScope,
  { nowMs, untilMs, besideMs = BESIDE_MONTH_MS }: UnreadOptions,
): Promise<ReadonlyMap<string, string>> => {
  const { rows } = await pool.query<{ month: string; source: string }>(
    `select to_char(month, 'YYYY-MM') as month, min(concat_ws(' ', s.kind, s.id)) as source
     from ${wantedSources(`join unnest($2::text[], $7::float8[]) as h (kind, horizon_ms) on h.kind = s.kind
       left join coverage c on c.source_kind = s.kind and c.source_id = s.id and c.filter_hash = k.filter_hash and c.pass = 0
       cross join lateral unnest(tstzmultirange(tstzrange(to_timestamp(least(h.horizon_ms, $8) / 1000), to_timestamp($8::float8 / 1000)))
         - coalesce(c.ranges, '{}')) as gap
       cross join lateral generate_series(date_trunc('month', (lower(gap) - $9::interval) at time zone 'UTC'),
         (upper(gap) + $9::interval - interval '1 microsecond') at time zone 'UTC', interval '1 month') as month`)}
       and $1::text is not null and (not ${REFUSED} or c.ranges && tstzrange((month - $9::interval) at time zone 'UTC',
         (month + interval '1 month' + $9::interval) at time zone 'UTC'))
     group by month order by month`,
    [
      ...scopeParameters('', kinds, scope),
      kinds.map(({ horizonMs }) => horizonMs(nowMs)),
      untilMs,
      `${besideMs} milliseconds`,
    ],
  );
  return new Map(rows.map(({ month, source }) => [month, source]));
};
