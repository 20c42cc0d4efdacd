import type { Pool } from 'pg';
import type { EventQuery } from '../conditions/event-query.ts';
import { withSpellings } from '../conditions/spellings.sql.ts';
import { explained } from '../search-events.sql.ts';
import { type CountLimits, countEvents } from './count.sql.ts';
import { type FacetLimits, readFacets } from './facets.sql.ts';
import type { SearchSummary, SummaryDepth } from './summary.ts';

const limits: Readonly<Record<SummaryDepth, { readonly count: CountLimits; readonly facets: FacetLimits }>> = {
  page: {
    count: { firstMs: 400, totalMs: 800 },
    facets: { maxEvents: 20_000, timeoutMs: 800, valuesPerField: 10 },
  },
  exact: {
    count: { firstMs: 10_000, totalMs: 10_000 },
    facets: { maxEvents: undefined, timeoutMs: 10_000, valuesPerField: 100 },
  },
};

/** The page of one organization is to be there in 0.3 s: what cannot be counted by then is "at least". */
const countOfOrganization: CountLimits = { firstMs: 100, totalMs: 230 };

const isOfOneOrganization = ({ organization, terms = [] }: EventQuery): boolean =>
  organization !== undefined ||
  terms.some(({ field, isNegated, values }) => field === 'organization' && !isNegated && values.length === 1);

/** Count, histogram and facets of a search. Rejects as the search itself does. */
export const summarize = async (
  pool: Pool,
  query: EventQuery,
  depth: SummaryDepth,
  nowMs: number,
  signal?: AbortSignal,
): Promise<SearchSummary> => {
  const { count, facets } = limits[depth];
  try {
    const spelled = await withSpellings(pool, query, count.totalMs);
    const counting = depth === 'page' && isOfOneOrganization(query) ? countOfOrganization : count;
    const [counted, found] = await Promise.all([
      countEvents(pool, spelled, counting, nowMs, { signal }),
      readFacets(pool, spelled, facets, signal),
    ]);
    return { count: counted, facets: found };
  } catch (error) {
    return explained(error);
  }
};
