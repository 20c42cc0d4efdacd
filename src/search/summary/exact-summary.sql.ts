import type { Pool } from 'pg';
import type { EventQuery } from '../conditions/event-query.ts';
import { barTimesOf, countEvents, countOfRows } from './count.sql.ts';
import { isInIndexes } from './count-statement.ts';
import { readAllFacets } from './facets.sql.ts';
import type { SearchSummary } from './summary.ts';

const TIMEOUT_MS = 10_000;
const VALUES_PER_FIELD = 100;
/** Of a count that says "at least", when all events could not be looked at in time. */
const PART_MS = 800;

/** Of all events that match, within about ten seconds. `query` has its spellings. */
export const summarizeExactly = async (
  pool: Pool,
  query: EventQuery,
  nowMs: number,
  signal?: AbortSignal,
): Promise<SearchSummary> => {
  const limits = { timeoutMs: TIMEOUT_MS, valuesPerField: VALUES_PER_FIELD };
  if (isInIndexes(query)) {
    const whole = { firstMs: TIMEOUT_MS, totalMs: TIMEOUT_MS };
    const [count, found] = await Promise.all([
      countEvents(pool, query, whole, nowMs, { signal }),
      readAllFacets(pool, query, limits, undefined, signal),
    ]);
    return { count, facets: found?.facets };
  }
  const found = await readAllFacets(pool, query, limits, barTimesOf(query, nowMs), signal);
  if (found === undefined) {
    const part = { firstMs: 0, totalMs: PART_MS };
    return { count: await countEvents(pool, query, part, nowMs, { signal }), facets: undefined };
  }
  const count = await countOfRows(pool, query, found.bars, { nowMs, timeoutMs: TIMEOUT_MS, signal });
  return { count, facets: found.facets };
};
