import { archivedMonthsSentence, droppedMonthsSentence } from '../../search/archived/months-in-words.ts';
import type { SearchCoverage } from '../../search/found-event.ts';
import type { Search } from '../../search/search.ts';
import { incompleteReasons } from '../../search/search-answer.ts';
import type { ShownAnswer } from '../search/shown-event.ts';
import { counted } from './counted.ts';
import { eventLines } from './event-table.ts';
import { printable } from './terminal-table.ts';

/** Whether the time searched is collected, in one sentence, what is in the archive alone, and what is gone. `looked`: all of it was looked at. */
export const verdict = (search: Search, coverage: SearchCoverage, looked: boolean): string => {
  const { archivedMonths, droppedMonths } = coverage;
  return [
    collectedInWords(search, coverage, looked),
    ...(archivedMonths.length === 0
      ? []
      : [archivedMonthsSentence(archivedMonths, search.archive ? 'searched as well' : 'not searched')]),
    ...(droppedMonths.length === 0 ? [] : [droppedMonthsSentence(droppedMonths)]),
  ].join('\n');
};

const collectedInWords = (search: Search, coverage: SearchCoverage, looked: boolean): string => {
  const { organizations, accounts, incomplete, collectedSince, beginsEarlier, gaps } = coverage;
  if (organizations + accounts === 0) return 'This result proves nothing: no organization is collected.';
  if (!looked) return 'This is incomplete: the search timed out; continue with --cursor.';
  if (incomplete > 0) {
    const names = gaps.map((gap) => printable(logName(gap), 40));
    const which = names.length === 0 ? '' : `: ${[...new Set(names)].join(', ')}`;
    return `This may be incomplete: part of this time range has not been collected yet (${incomplete} of ${logsInWords(coverage)}${which}).`;
  }
  if (search.since !== undefined && beginsEarlier) {
    return `This may be incomplete: nothing before ${collectedSince} is collected.`;
  }
  const range = beginsEarlier ? `since ${collectedSince}` : 'for this time range';
  const one = organizations + accounts === 1;
  const subject = one ? `The ${accounts === 1 ? 'account' : 'organization'} is` : `All ${logsInWords(coverage)} are`;
  const but = coverage.droppedMonths.length === 0 ? '' : ', but for months that were dropped';
  const once = coverage.readOnceSeconds === 0 ? '' : ', part of it read once so far';
  return `${subject} fully collected ${range}${but}${once}.`;
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

/** A table of the events, how to go on, and whether that is complete. `width`: of the terminal. */
export const searchText = (answer: ShownAnswer, width: number | undefined): string => {
  const { search, events, coverage, next, incomplete } = answer;
  const lines = events.length === 0 ? ['No events match.', ...emptyLines(answer)] : eventLines(events, width);
  const more = next === null ? [] : [`older events: --cursor ${next}`];
  return `${[...lines, '', ...more, verdict(search, coverage, !incomplete.includes('search_unfinished'))].join('\n')}\n`;
};

/** Of each value that was searched for and never occurs, what is near; and which filter alone leaves nothing of the time searched. */
const emptyLines = ({ empty, incomplete }: ShownAnswer): readonly string[] => {
  const filters = (empty?.filters ?? []).flatMap(({ field, value, occurs, occursInRange, near }) => {
    const named = `${field} ${printable(value, 60)}`;
    const nearest = near.map((one) => `${printable(one.value, 60)} (${one.atLeast ? 'at least ' : ''}${one.events})`);
    if (occurs === false)
      return [
        `${named} occurs in no event that is in PostgreSQL${nearest.length === 0 ? '' : `; near: ${nearest.join(', ')}`}`,
      ];
    return occursInRange === false ? [`${named} occurs, but not in the time and organizations searched`] : [];
  });
  return incomplete.includes('value_not_checked') ? [...filters, incompleteReasons.value_not_checked] : filters;
};
