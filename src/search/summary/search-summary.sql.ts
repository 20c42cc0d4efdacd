import type { Pool } from 'pg';
import type { EventQuery } from '../conditions/event-query.ts';
import { withSpellings } from '../conditions/spellings.sql.ts';
import { explained } from '../search-events.sql.ts';
import { type CountLimits, countEvents } from './count.sql.ts';
import { summarizeExactly } from './exact-summary.sql.ts';
import { type FacetLimits, readFacets } from './facets.sql.ts';
import type { SearchSummary, SummaryDepth } from './summary.ts';

const countOfPage: CountLimits = { firstMs: 400, totalMs: 800 };
const facetsOfPage: FacetLimits = { maxEvents: 20_000, timeoutMs: 800, valuesPerField: 10 };
const SPELLINGS_MS = 10_000;

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
  try {
    const spelled = await withSpellings(pool, query, depth === 'page' ? countOfPage.totalMs : SPELLINGS_MS);
    if (depth === 'exact') return await summarizeExactly(pool, spelled, nowMs, signal);
    const limits = isOfOneOrganization(query) ? countOfOrganization : countOfPage;
    const [count, facets] = await Promise.all([
      countEvents(pool, spelled, limits, nowMs, { signal }),
      readFacets(pool, spelled, facetsOfPage, signal),
    ]);
    return { count, facets };
  } catch (error) {
    return explained(error);
  }
};
