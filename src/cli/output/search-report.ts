import { type SearchAnswer as Answer, answerSearch as answer } from '../../http/search/answer.ts';
import { cursorsOf, pageEnd } from '../../http/search/routes.ts';
import type { FoundEvent, SearchCoverage, SearchPage } from '../../search/found-event.ts';
import type { SearchSource } from '../../search/ports.ts';
import type { Search, SearchReading } from '../../search/search.ts';
import { incompleteReasons } from '../../search/search-answer.ts';
import type { SearchCursor } from '../../search/search-cursor.ts';
import { counted } from './counted.ts';
import { alignColumns, printable } from './terminal-table.ts';

/** A page, and what is known of what it may lack. */
export interface SearchAnswer extends Answer {
  readonly search: Search;
  readonly cursor: SearchCursor | undefined;
}

export const answerSearch = async (
  source: SearchSource,
  reading: SearchReading,
  page: { readonly cursor: SearchCursor | undefined; readonly limit: number },
): Promise<SearchAnswer> => ({
  ...(await answer(source, reading, page)),
  search: reading.search,
  cursor: page.cursor,
});

/** Whether the time searched is collected, in one sentence. `looked`: all of it was looked at. */
export const verdict = (search: Search, coverage: SearchCoverage, looked: boolean): string => {
  const { organizations, accounts, incomplete, collectedSince, beginsEarlier, gaps } = coverage;
  if (organizations + accounts === 0) return 'This result proves nothing: no organization is collected.';
  if (!looked) return 'This is incomplete: the search timed out; continue with --cursor.';
  if (incomplete > 0) {
    const names = gaps.map((gap) => printable(logName(gap), 40));
    const which = [...new Set(names)].join(', ');
    return `This may be incomplete: part of this time range has not been collected yet (${incomplete} of ${logsInWords(coverage)}: ${which}).`;
  }
  if (search.since !== undefined && beginsEarlier) {
    return `This may be incomplete: nothing before ${collectedSince} is collected.`;
  }
  const range = beginsEarlier ? `since ${collectedSince}` : 'for this time range';
  const one = organizations + accounts === 1;
  const subject = one ? `The ${accounts === 1 ? 'account' : 'organization'} is` : `All ${logsInWords(coverage)} are`;
  return `${subject} fully collected ${range}.`;
};

const logName = ({
  accountId,
  accountName,
  organizationId,
  organizationName,
}: SearchCoverage['gaps'][number]): string => accountName ?? accountId ?? organizationName ?? organizationId ?? '-';

const logsInWords = ({ organizations, accounts }: SearchCoverage): string => {
  if (accounts === 0) return counted(organizations, 'organization');
  if (organizations === 0) return counted(accounts, 'account');
  return `${counted(organizations, 'organization')} and ${counted(accounts, 'account')}`;
};

/** A table of the events, how to go on, and whether that is complete. */
export const searchText = (answer: SearchAnswer): string => {
  const { search, page, coverage, cursor } = answer;
  const { next } = cursorsOf(page, cursor);
  const lines = page.events.length === 0 ? ['No events match.', ...emptyLines(answer)] : table(page);
  const more = next === null ? [] : [`older events: --cursor ${next}`];
  return `${[...lines, '', ...more, verdict(search, coverage, page.reached === undefined)].join('\n')}\n`;
};

/** Of each value that was searched for and never occurs, what is near; and which filter alone leaves nothing of the time searched. */
const emptyLines = ({ empty, incomplete }: SearchAnswer): readonly string[] => {
  const filters = (empty?.filters ?? []).flatMap(({ field, value, occurs, occursInRange, near }) => {
    const named = `${field} ${printable(value, 60)}`;
    const nearest = near.map((one) => `${printable(one.value, 60)} (${one.atLeast ? 'at least ' : ''}${one.events})`);
    if (occurs === false)
      return [`${named} occurs in no stored event${nearest.length === 0 ? '' : `; near: ${nearest.join(', ')}`}`];
    return occursInRange === false ? [`${named} occurs, but not in the time and organizations searched`] : [];
  });
  return incomplete.includes('value_not_checked') ? [...filters, incompleteReasons.value_not_checked] : filters;
};

/** With a column of accounts if an event of the page has one. */
const table = ({ events }: SearchPage): string[] => {
  const hasAccounts = events.some(({ accountId }) => accountId !== null);
  const account = ({ accountName, accountId }: FoundEvent): string[] =>
    hasAccounts ? [printable(accountName ?? accountId ?? '-', 28)] : [];
  return alignColumns([
    ['TIME', 'ORGANIZATION', ...(hasAccounts ? ['ACCOUNT'] : []), 'ACTOR', 'ACTION', 'RESULT', 'RESOURCE', 'POSITION'],
    ...events.map((event) => [
      timeOf(event),
      printable(event.organizationName ?? event.organizationId ?? '-', 28),
      ...account(event),
      printable(actorOf(event), 40),
      printable(event.actionType ?? '-', 20),
      printable(event.actionResult ?? '-', 12),
      printable(resourceOf(event), 60),
      String(event.position),
    ]),
  ]);
};

/** To the second. */
export const timeOf = ({ actionTime }: FoundEvent): string =>
  actionTime === null ? '-' : actionTime.replace(/\.\d+Z$/, 'Z');

export const actorOf = ({ actorEmail, actorTokenName, actorId, actorIpAddress, actorType }: FoundEvent): string =>
  actorEmail ?? actorTokenName ?? actorId ?? actorIpAddress ?? actorType ?? '-';

export const resourceOf = ({ resourceProduct, resourceType, resourceId }: FoundEvent): string =>
  [resourceProduct, resourceType, resourceId].filter((part) => part !== null).join(' ') || '-';

/** The page as GET /v1/search has it. Some events at a time: 500 entries may be large ones. */
export async function* searchJson(source: SearchSource, answer: SearchAnswer): AsyncGenerator<string, void, void> {
  const { page, cursor } = answer;
  yield '{"events":[';
  let separator = '\n';
  for await (const texts of source.native(page.events)) {
    yield `${separator}${texts.join(',\n')}`;
    separator = ',\n';
  }
  yield pageEnd(answer, cursor);
}
