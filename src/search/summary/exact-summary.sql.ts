import type { Pool, PoolClient } from 'pg';
import { readOnly } from '../../postgres/read-only.ts';
import type { EventQuery } from '../conditions/event-query.ts';
import { barTimesOf, countEvents, countOfRows } from './count.sql.ts';
import { isInIndexes } from './count-statement.ts';
import { readAllFacets } from './facets.sql.ts';
import type { SearchSummary } from './summary.ts';

const TIMEOUT_MS = 10_000;
const VALUES_PER_FIELD = 100;
/** When all events could not be looked at in time: what indexes count is still exact, and of the rest a count says "at least". */
const INDEXES_MS = 5_000;
const PART_MS = 800;

/** Of all events that match, within about ten seconds. `query` has its spellings. */
export const summarizeExactly = async (
  pool: Pool,
  query: EventQuery,
  nowMs: number,
  signal?: AbortSignal,
): Promise<SearchSummary> => {
  const deadlineMs = performance.now() + TIMEOUT_MS;
  const leftMs = () => Math.max(1, Math.round(deadlineMs - performance.now()));
  // Statements at different moments are about the same events.
  const fixed = { ...query, untilPosition: query.untilPosition ?? (await readLastPosition(pool, signal)) };
  const limits = { timeoutMs: leftMs(), valuesPerField: VALUES_PER_FIELD };
  const found = await readAllFacets(pool, fixed, limits, barTimesOf(query, nowMs), signal);
  if (found !== undefined) {
    const count = await countOfRows(pool, fixed, found.bars, { nowMs, timeoutMs: leftMs(), signal });
    return { count, facets: found.facets };
  }
  const firstMs = isInIndexes(query) ? INDEXES_MS : 0;
  const count = await countEvents(pool, query, { firstMs, totalMs: firstMs + PART_MS }, nowMs, { signal });
  return { count, facets: undefined };
};

const readLastPosition = async (pool: Pool, signal: AbortSignal | undefined): Promise<number> => {
  const read = (client: PoolClient) =>
    client.query<{ position: number }>('select position::float8 as position from feed_head');
  const { rows } = await readOnly(pool, TIMEOUT_MS, read, signal);
  return rows[0]?.position ?? 0;
};
