import type { QueriedHistory } from '../../archive/query/query-history.ts';
import { coverageBody } from '../../http/search/routes.ts';
import type { SearchCoverage } from '../../search/found-event.ts';
import type { Search } from '../../search/search.ts';
import { counted } from '../output/counted.ts';
import { verdict } from '../output/search-report.ts';

const number = (value: number): string => value.toLocaleString('en');

/** What a query is over, in one line. */
export const readLine = ({ months, objects, bytes, archivedEvents, storedEvents, upTo }: QueriedHistory): string => {
  const [first, last] = [months[0], months.at(-1)];
  const span = first === last ? first : `${first} to ${last}`;
  const archived =
    objects === 0
      ? 'no archived month'
      : `${counted(months.length, 'archived month')} (${span}: ${counted(objects, 'object')}, ${number(archivedEvents)} events, ${number(bytes)} bytes)`;
  return `read: ${archived}, ${counted(storedEvents, 'row')} of PostgreSQL, up to position ${upTo}`;
};

/** Whether that is all of the time, in one sentence or two. `sinceMs`: when the time begins. */
export const completeness = (
  sinceMs: number | undefined,
  coverage: SearchCoverage,
  { gone, months }: QueriedHistory,
): string => {
  const [first] = gone;
  if (first !== undefined) {
    const events = gone.reduce((sum, each) => sum + each.events, 0);
    const names = gone.length === 1 ? first.month : `${first.month} to ${gone.at(-1)?.month}`;
    return `This is incomplete: ${number(events)} events of ${names} were dropped without an archive.`;
  }
  const isCollected = coverage.incomplete === 0 && coverage.organizations + coverage.accounts > 0;
  const isArchivedToo = coverage.beginsEarlier && months.length > 0 && isCollected;
  // What is not collected any more may be in the archive nevertheless.
  if (isArchivedToo)
    return `${verdict(searchOf(undefined), coverage, true)} Of the time before, this is what was archived, complete or not.`;
  return verdict(searchOf(sinceMs), coverage, true);
};

/** Months that are in the archive alone were read, or the query would not have run. */
const searchOf = (sinceMs: number | undefined): Search => ({
  defects: false,
  changed: false,
  archive: true,
  ...(sinceMs !== undefined && { since: { kind: 'at', text: new Date(sinceMs).toISOString(), ms: sinceMs } }),
});

/** The same for programs. */
export const factsOf = (history: QueriedHistory, coverage: SearchCoverage) => ({
  read: {
    archived_months: history.months,
    objects: history.objects,
    bytes: history.bytes,
    archived_events: history.archivedEvents,
    stored_events: history.storedEvents,
    up_to: history.upTo,
    dropped_without_archive: history.gone,
  },
  coverage: { ...coverageBody(coverage), begins_earlier: coverage.beginsEarlier },
});
