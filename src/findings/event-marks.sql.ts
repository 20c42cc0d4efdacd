import type { Pool } from 'pg';
import { isTimeout, readOnly } from '../postgres/read-only.ts';

/** A page is not held up by its marks. */
const TIMEOUT_MS = 1_500;

/** What a detection says of one event. */
export interface EventMark {
  readonly position: number;
  readonly detection: string;
  readonly severity: string;
}

/** The views that look at each event by itself. The others look through weeks, which no page of results has time for. */
const ofOneEvent = [
  'api_token_changed',
  'member_added',
  'super_administrator_added',
  'sso_or_mfa_changed',
  'api_token_wide_scope',
  'protection_removed',
  'dns_records_deleted',
  'worker_secret_or_route_changed',
  'cloudflare_staff',
  'collector_token',
] as const;

/** Which of the events a detection names, by their positions. Undefined: it could not be looked up in time. */
export const readEventMarks = async (
  pool: Pool,
  events: readonly { readonly position: number; readonly sortTime: string }[],
): Promise<readonly EventMark[] | undefined> => {
  if (events.length === 0) return [];
  try {
    return await readOnly(pool, TIMEOUT_MS, async (client) => {
      const { rows: times } = await client.query<{ first: string; last: string }>(
        'select min(t)::text as first, max(t)::text as last from unnest($1::timestamptz[]) t',
        [events.map(({ sortTime }) => sortTime)],
      );
      const positions = events.map(({ position }) => position);
      const { rows } = await client.query<EventMark>(marksStatement, [positions, times[0]?.first, times[0]?.last]);
      return rows;
    });
  } catch (error) {
    if (isTimeout(error)) return undefined;
    throw error;
  }
};

/** Positions $1, times from $2 to $3, which choose the months: as values, so that no more than these are planned, in each of ten views. */
export const marksStatement = `
  ${ofOneEvent
    .map(
      (name) => `select d.position::float8 as position, d.detection, d.severity from detection_${name} d
  where d.position = any ($1::bigint[]) and d.action_time >= $2::timestamptz and d.action_time <= $3::timestamptz`,
    )
    .join('\n  union all ')}
  order by 1, 2`;
