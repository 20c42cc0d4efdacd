import {
  type EmptyReport,
  type IncompleteReason,
  incompleteBecause,
  type SearchCoverage,
  type SearchPage,
  withArchivedValues,
} from './answer.ts';
import { organizationFault } from './names/names.ts';
import type { SearchSource } from './ports.ts';
import { fixTimes, type SearchFault, type SearchReading } from './query/search.ts';
import type { Term } from './query/terms.ts';

/** What a search gives, and what is known of what it may lack. */
export interface SearchAnswer {
  readonly page: SearchPage;
  readonly coverage: SearchCoverage;
  /** Why nothing was found; undefined if something was. */
  readonly empty: EmptyReport | undefined;
  /** Why events that match may be missing; empty if none can be. */
  readonly incomplete: readonly IncompleteReason[];
}

/** The reading with the ids of the organization and the account that are named, or with faults that say which ones may have been meant. */
export const withIds = async (source: SearchSource, reading: SearchReading): Promise<SearchReading> =>
  withTermIds(source, await withAccount(source, await withOrganization(source, reading)));

/** The same in the terms of the query line. */
const withTermIds = async (source: SearchSource, reading: SearchReading): Promise<SearchReading> => {
  const { search, faults } = reading;
  if (search.terms === undefined) return reading;
  const found: SearchFault[] = [];
  const terms: Term[] = [];
  for (const term of search.terms) {
    if (term.field !== 'organization' && term.field !== 'account') {
      terms.push(term);
      continue;
    }
    const values: string[] = [];
    for (const value of term.values) {
      const lookup = await source[term.field](value);
      const fault = organizationFault(value, lookup, `${term.field}s`);
      if (lookup.kind === 'found') values.push(lookup.id);
      else if (fault !== undefined)
        found.push({ field: 'q', reason: `has an ${term.field} that is wrong: ${fault.reason}` });
    }
    terms.push({ ...term, values });
  }
  return { ...reading, search: { ...search, terms }, faults: [...faults, ...found] };
};

const withAccount = async (source: SearchSource, reading: SearchReading): Promise<SearchReading> => {
  const { search, faults } = reading;
  if (search.account === undefined) return reading;
  const lookup = await source.account(search.account);
  const fault = organizationFault(search.account, lookup, 'accounts');
  if (lookup.kind === 'found') return { ...reading, search: { ...search, account: lookup.id } };
  return fault === undefined ? reading : { ...reading, faults: [...faults, { field: 'account', ...fault }] };
};

const withOrganization = async (source: SearchSource, reading: SearchReading): Promise<SearchReading> => {
  const { search, faults } = reading;
  if (search.organization === undefined) return reading;
  const lookup = await source.organization(search.organization);
  const fault = organizationFault(search.organization, lookup);
  if (lookup.kind === 'found') return { ...reading, search: { ...search, organization: lookup.id } };
  return fault === undefined ? reading : { ...reading, faults: [...faults, { field: 'organization', ...fault }] };
};

/** A page of a search without faults, whose organization and account are ids; so many gaps are named. Rejects as the source does. */
export const answerSearch = async (
  source: SearchSource,
  { search: asked, given }: SearchReading,
  page: Parameters<SearchSource['search']>[1],
  gaps?: number,
): Promise<SearchAnswer> => {
  // All of the answer is about the same moments.
  const search = fixTimes(asked, Date.now());
  const collected = await source.coverage(search, gaps);
  const found = await source.search(search, page);
  const coverage = {
    ...collected,
    archivedMonths: await source.archivedMonths(search),
    droppedMonths: await source.droppedMonths(search),
  };
  const isFirst = page.cursor === undefined;
  const isWhole = found.reached === undefined;
  const explained = found.events.length === 0 && (isFirst || isWhole);
  const stored = explained ? await source.explain(search, given, isFirst && isWhole) : undefined;
  const empty = stored && coverage.archivedMonths.length > 0 ? withArchivedValues(stored) : stored;
  return { page: found, coverage, empty, incomplete: incompleteBecause(search, found, coverage, empty) };
};
