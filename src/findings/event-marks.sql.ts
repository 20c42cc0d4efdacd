import type { Pool } from 'pg';
import { copiesOf } from '../feed/copies.ts';
import { isTimeout, readOnly } from '../postgres/read-only.ts';
import { ruleRows, severityOfRule } from './single-event-rules.sql.ts';

/** A page is not held up by its marks. */
const TIMEOUT_MS = 1_500;

/** What a detection says of one event. */
export interface EventMark {
  readonly position: number;
  readonly detection: string;
  readonly severity: string;
}

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

/**
 * Positions $1, times from $2 to $3, which choose the months: as values, so that no more than these are planned. A copy has the time of its
 * original, so that this is looked for in the same months.
 */
export const marksStatement = `
  select t.position::float8 as position, rule.detection, ${severityOfRule} as severity
  from audit_event_traits t cross join lateral ${ruleRows}
  where t.position = any ($1::bigint[]) and t.action_time >= $2::timestamptz and t.action_time <= $3::timestamptz
    and not (t.about_user and exists (select from audit_events f where ${copiesOf('t', 'f')} and f.position < t.position
      and f.action_time >= $2::timestamptz and f.action_time <= $3::timestamptz))
  order by 1, 2`;
