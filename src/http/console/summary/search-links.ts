import type { EntityKind } from '../../../search/entity/entity.ts';
import { printSearch, type Search, type TimeBound } from '../../../search/search.ts';
import type { Term, TermField } from '../../../search/terms/terms.ts';

/** The page of a search. */
export const linkOf = (search: Search): string => {
  const text = printSearch(search).toString();
  return text === '' ? '/events' : `/events?${text}`;
};

/** The page of one actor, address, token or resource. */
export const entityHref = (kind: EntityKind, value: string): string => `/${kind}/${encodeURIComponent(value)}`;

/** The search with one more term. The page moves what a field can say into the field. */
export const withTerm = (search: Search, field: TermField, value: string, isNegated: boolean): Search => {
  const term: Term = { field, isNegated, values: [value] };
  return { ...search, terms: [...(search.terms ?? []), term] };
};

/** The search of a stretch of time, which ends with it. */
export const withinTime = (search: Search, sinceMs: number, beforeMs: number): Search => ({
  ...search,
  since: boundOf(sinceMs),
  before: boundOf(beforeMs),
});

const boundOf = (ms: number): TimeBound => ({ kind: 'at', text: new Date(ms).toISOString().replace('.000Z', 'Z'), ms });
