import { OrgtrailError } from '../base/errors.ts';
import { bytesOf, onePiece } from '../base/text.ts';
import { incompleteBecause, type SearchAnswer, withArchivedValues } from './answer.ts';
import { type Coverage, coverageBody, type Summary, summaryBody } from './contract.ts';
import { historyStatus, logOf, type ResourceHistory } from './entities.ts';
import { organizationFault } from './names/names.ts';
import { fixTimes, type Search, type SearchFault, type SearchReading } from './query/search.ts';
import type { Term } from './query/terms.ts';
import type { ExportPiece, SearchSource } from './search-source.ts';
import type { SummaryDepth } from './summary/summary.ts';

type NameSource = Pick<SearchSource, 'organization' | 'account'>;

/** The reading with ids of organizations and accounts, or with faults that say which ones may have been meant. */
export const resolveNames = async (source: NameSource, reading: SearchReading): Promise<SearchReading> =>
  withTermIds(source, await withOwner(source, 'account', await withOwner(source, 'organization', reading)));

const withTermIds = async (source: NameSource, reading: SearchReading): Promise<SearchReading> => {
  const { search, faults } = reading;
  if (search.terms === undefined) return reading;
  const found: SearchFault[] = [];
  const terms: Term[] = [];
  for (const term of search.terms) {
    const { field } = term;
    if (field !== 'organization' && field !== 'account') {
      terms.push(term);
      continue;
    }
    const values: string[] = [];
    for (const value of term.values) {
      const lookup = await source[field](value);
      const fault = organizationFault(value, lookup, `${field}s`);
      if (lookup.kind === 'found') values.push(lookup.id);
      else if (fault !== undefined)
        found.push({ field: 'q', reason: `has an ${field} that is wrong: ${fault.reason}` });
    }
    terms.push({ ...term, values });
  }
  return { ...reading, search: { ...search, terms }, faults: [...faults, ...found] };
};

const withOwner = async (
  source: NameSource,
  field: 'organization' | 'account',
  reading: SearchReading,
): Promise<SearchReading> => {
  const { search, faults } = reading;
  const given = search[field];
  if (given === undefined) return reading;
  const lookup = await source[field](given);
  const fault = organizationFault(given, lookup, `${field}s`);
  if (lookup.kind === 'found') return { ...reading, search: { ...search, [field]: lookup.id } };
  return fault === undefined ? reading : { ...reading, faults: [...faults, { field, ...fault }] };
};

/** A page of a search without faults, whose organization and account are ids; `gaps`: how many are named. Rejects as the source does. */
export const answerSearch = async (
  source: SearchSource,
  { search: asked, given }: SearchReading,
  page: Parameters<SearchSource['search']>[1],
  gaps?: number,
): Promise<SearchAnswer> => {
  // All of the answer is about the same moments.
  const search = fixTimes(asked, Date.now());
  const collected = await source.coverage(search, gaps);
  const derived = await source.underived(search);
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
  const batches = isFirst ? batchDeletionsOf(search) : undefined;
  const batchDeletions = batches && (await source.countFew(batches));
  const hasSince = search.since !== undefined;
  const incomplete = incompleteBecause(coverage, { hasSince, page: found, empty, derived });
  return { page: found, coverage, empty, incomplete, batchDeletions };
};

/** For a search for the action delete: what it leaves out, since a batch is one entry with another action. */
export const batchDeletionsOf = ({ action, terms = [], ...rest }: Search): Search | undefined => {
  const isDelete = (text: string) => text.toLowerCase() === 'delete';
  const isOfAction = ({ field, isNegated }: Term) => field === 'action' && !isNegated;
  const asked = action === undefined ? terms.filter(isOfAction).flatMap(({ values }) => values) : [action];
  if (!asked.some(isDelete)) return undefined;
  const others = terms.filter((term) => !isOfAction(term));
  const term = (field: 'effect' | 'action', isNegated: boolean): Term => ({ field, isNegated, values: ['delete'] });
  return { ...rest, terms: [...others, term('effect', false), term('action', true)] };
};

/** Counts and top values of a search without faults. Rejects as the source does. */
export const answerSummary = async (
  source: SearchSource,
  asked: Search,
  depth: SummaryDepth,
  signal: AbortSignal,
): Promise<Summary> => {
  // All of the answer is about the same moments.
  const search = fixTimes(asked, Date.now());
  // Before the events: what it calls collected must be stored by then.
  const coverage = await source.coverage(search);
  return summaryBody(await source.summary(search, depth, signal), coverage);
};

/** JSON in pieces, as `historyPage`: the newest events about the resource of an event. Throws OrgtrailError `usage` if no event has this position. */
export const answerHistory = async (
  source: SearchSource,
  position: number,
  page: { readonly limit: number; readonly signal: AbortSignal },
): Promise<AsyncIterable<ExportPiece>> => {
  const detail = await source.event({ position });
  // Before the events: what it calls collected must be stored by then.
  const coverage = detail && (await source.coverage(logOf(detail.event)));
  const history = await source.history(position, page);
  if (history === undefined || coverage === undefined) {
    throw new OrgtrailError('usage', `no event has the position ${position}`, {
      hint: 'it may be of another database, or retention may have dropped it',
    });
  }
  return historyPieces(source, history, coverageBody(coverage), page.signal);
};

async function* historyPieces(
  source: SearchSource,
  history: ResourceHistory,
  coverage: Coverage,
  signal: AbortSignal,
): AsyncGenerator<ExportPiece, void, void> {
  const { subject, events, more } = history;
  const { resourceProduct: product, resourceType: type, resourceId: id } = subject;
  const head = {
    history_of: subject.position,
    history_status: historyStatus(history),
    resource: { product, type, id },
  };
  yield { lines: Buffer.from(`${JSON.stringify(head).slice(0, -1)},"events":[`) };
  let done = 0;
  for await (const texts of source.native(events, signal)) {
    const parts = texts.flatMap((text, at) => {
      const before = done + at === 0 ? '\n' : ',\n';
      return [`${before}{"matched_by":"${events[done + at]?.matchedBy}","event":`, text, '}'];
    });
    yield* onePiece(bytesOf(parts), texts.length);
    done += texts.length;
  }
  yield { lines: Buffer.from(`\n],"more":${more},"coverage":${JSON.stringify(coverage)}}\n`) };
}
