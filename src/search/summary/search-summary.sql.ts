import type { Pool, PoolClient } from 'pg';
import { readOnly } from '../../postgres/queries.ts';
import { withSpellings } from '../conditions/search-conditions.sql.ts';
import type { EventQuery } from '../query/event-query.ts';
import { explained } from '../search-events.sql.ts';
import { barTimesOf, type CountLimits, countEvents, countOfRows, isInIndexes } from './count.sql.ts';
import { type FacetLimits, readAllFacets, readFacets } from './facets.sql.ts';
import type { SearchSummary, SummaryCount, SummaryDepth, SummaryFacets } from './summary.ts';

/** For people who wait for a page: what cannot be counted in time is "at least". */
interface PageLimits {
  readonly count: CountLimits;
  readonly facets: FacetLimits;
}

const ofPage: PageLimits = {
  count: { firstMs: 400, totalMs: 800 },
  facets: { maxEvents: 20_000, timeoutMs: 800, valuesPerField: 10 },
};
/** Its page is to be there in 0.3 s. */
const ofOrganization: PageLimits = { ...ofPage, count: { firstMs: 100, totalMs: 230 } };
/** Its page is to be there in 0.5 s. */
const ofEntity: PageLimits = {
  count: { firstMs: 150, totalMs: 300 },
  facets: { maxEvents: 10_000, timeoutMs: 300, valuesPerField: 10 },
};
const SPELLINGS_MS = 10_000;

const limitsOf = (query: EventQuery, depth: 'page' | 'entity'): PageLimits => {
  if (depth === 'entity') return ofEntity;
  return isOfOneOrganization(query) ? ofOrganization : ofPage;
};

const isOfOneOrganization = ({ organization, terms = [] }: EventQuery): boolean =>
  organization !== undefined ||
  terms.some(({ field, isNegated, values }) => field === 'organization' && !isNegated && values.length === 1);

/** Rejects as the search itself does. */
export const summarize = async (
  pool: Pool,
  query: EventQuery,
  depth: SummaryDepth,
  nowMs: number,
  signal?: AbortSignal,
): Promise<SearchSummary> => {
  try {
    const spelled = await withSpellings(pool, query, depth === 'exact' ? SPELLINGS_MS : ofPage.count.totalMs);
    if (depth === 'exact') return await summarizeExactly(pool, spelled, nowMs, signal);
    const limits = limitsOf(query, depth);
    const [count, facets] = await Promise.all([
      countEvents(pool, spelled, limits.count, nowMs, { signal }),
      readFacets(pool, spelled, limits.facets, nowMs, signal),
    ]);
    return { count, facets: facets && withoutDoubt(facets, count) };
  } catch (error) {
    return explained(error);
  }
};

/** Values of a part of the time are those of all events if there are no others. */
const withoutDoubt = (facets: SummaryFacets, { events, isAtLeast }: SummaryCount): SummaryFacets =>
  !isAtLeast && events <= facets.looked ? { ...facets, isSample: false } : facets;

const TIMEOUT_MS = 10_000;
const VALUES_PER_FIELD = 100;
/** If all events cannot be looked at in time, what indexes count is still exact, and a count says "at least" of the rest. */
const INDEXES_MS = 5_000;
const PART_MS = 800;

const summarizeExactly = async (
  pool: Pool,
  query: EventQuery,
  nowMs: number,
  signal?: AbortSignal,
): Promise<SearchSummary> => {
  const deadlineMs = performance.now() + TIMEOUT_MS;
  const leftMs = () => Math.max(1, Math.round(deadlineMs - performance.now()));
  // Statements at different moments must be about the same events.
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
