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
      const { rows } = await client.query<EventMark>(statement, [
        events.map(({ position }) => position),
        events.map(({ sortTime }) => sortTime),
      ]);
      return rows;
    });
  } catch (error) {
    if (isTimeout(error)) return undefined;
    throw error;
  }
};

/** The times choose the months. */
const statement = `
  ${ofOneEvent
    .map(
      (name) => `select d.position::float8 as position, d.detection, d.severity from detection_${name} d
  where d.position = any ($1::bigint[]) and d.action_time >= (select min(t) from unnest($2::timestamptz[]) t)
    and d.action_time <= (select max(t) from unnest($2::timestamptz[]) t)`,
    )
    .join('\n  union all ')}
  order by 1, 2`;
