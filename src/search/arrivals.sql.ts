import type { Pool, PoolClient } from 'pg';
import { readFeedHead } from '../feed/head/feed-head.sql.ts';
import { readOnly } from '../postgres/read-only.ts';
import type { EventQuery } from './conditions/event-query.ts';
import { conditionsOf } from './conditions/search-conditions.sql.ts';
import { withSpellings } from './conditions/spellings.sql.ts';
import { type FoundRow, foundColumns, toFoundEvent } from './found-event.sql.ts';
import type { Arrivals, ArrivalsPage } from './found-event.ts';
import { explained } from './search-events.sql.ts';

/** One statement looks through no more positions than this. */
const MAX_POSITIONS = 20_000;
const TIMEOUT_MS = 10_000;

/** The events of a search that were stored behind a position, in the order in which they were stored. Rejects as a search does. */
export const readArrivals = async (pool: Pool, query: EventQuery, page: ArrivalsPage): Promise<Arrivals> => {
  const { feedId, position: head } = await readFeedHead(pool);
  const { after = head, limit, signal } = page;
  const until = Math.min(head, after + MAX_POSITIONS);
  if (until <= after) return { feedId, head, until: after, events: [] };
  try {
    const spelled = await withSpellings(pool, { ...query, untilPosition: until }, TIMEOUT_MS);
    const { sql, values } = conditionsOf(spelled, undefined, { low: undefined, high: undefined });
    const statement = `select ${foundColumns}
      from (select * from audit_events where ${sql} and position > $${values.length + 1}::bigint
        order by position limit $${values.length + 2}) as e
      left join organizations o on o.id = e.organization_id order by e.position`;
    const read = (client: PoolClient) => client.query<FoundRow>(statement, [...values, after, limit]);
    const { rows } = await readOnly(pool, TIMEOUT_MS, read, signal);
    const events = rows.map(toFoundEvent);
    const last = events.at(-1);
    return { feedId, head, until: last !== undefined && events.length >= limit ? last.position : until, events };
  } catch (error) {
    return explained(error);
  }
};
