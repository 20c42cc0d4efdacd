import type { Pool } from 'pg';
import type { EventQuery } from '../conditions/event-query.ts';
import { withSpellings } from '../conditions/spellings.sql.ts';
import { explained } from '../search-events.sql.ts';
import { type CountLimits, countEvents } from './count.sql.ts';
import { summarizeExactly } from './exact-summary.sql.ts';
import { type FacetLimits, readFacets } from './facets.sql.ts';
import type { SearchSummary, SummaryCount, SummaryDepth, SummaryFacets } from './summary.ts';

/** What a page waits for: what cannot be counted in time is "at least". */
interface PageLimits {
  readonly count: CountLimits;
  readonly facets: FacetLimits;
}

const ofPage: PageLimits = {
  count: { firstMs: 400, totalMs: 800 },
  facets: { maxEvents: 20_000, timeoutMs: 800, valuesPerField: 10 },
};
/** The page of one organization is to be there in 0.3 s. */
const ofOrganization: PageLimits = { ...ofPage, count: { firstMs: 100, totalMs: 230 } };
/** That of an entity in 0.5 s. */
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

/** Count, histogram and facets of a search. Rejects as the search itself does. */
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

/** Values of a part of the time are of all events if there are no others. */
const withoutDoubt = (facets: SummaryFacets, { events, isAtLeast }: SummaryCount): SummaryFacets =>
  !isAtLeast && events <= facets.looked ? { ...facets, isSample: false } : facets;
