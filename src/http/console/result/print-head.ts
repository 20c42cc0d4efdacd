import { printLine, type Search } from '../../../search/search.ts';
import type { IncompleteReason } from '../../../search/search-answer.ts';
import type { SearchSummary } from '../../../search/summary/summary.ts';
import type { SearchAnswer } from '../../search/answer.ts';
import { type Html, html } from '../html.ts';
import { countOf, instantOf, zonedText } from '../words.ts';

export interface PrintHeadView {
  readonly search: Search;
  readonly answer: SearchAnswer;
  readonly summary: SearchSummary | undefined;
  /** Other pages of the result have more events. */
  readonly isPart: boolean;
  readonly nowMs: number;
}

/** What paper says first: what was searched for, whether that is all, and when. The screen has it elsewhere. */
export const printHead = (view: PrintHeadView): Html => {
  const { search, answer, summary, isPart, nowMs } = view;
  const { page, coverage } = answer;
  const { length } = page.events;
  return html`<section class="print-only print-head" aria-label="About this print">
<p class="print-title">Cloudflare audit log: events</p>
<dl><div><dt>Query</dt><dd>${queryOf(search)}</dd></div>
<div><dt>Answer</dt><dd>${completeness(answer)}</dd></div>
${coverage.collectedUntil === null ? null : html`<div><dt>Collected up to</dt><dd>${instantOf(coverage.collectedUntil)}</dd></div>`}
<div><dt>Events</dt><dd>${isPart ? html`<strong>A part of the result:</strong> ` : null}${countOf(length, 'event')} here${summary === undefined ? null : html`, ${summary.count.isAtLeast ? 'at least ' : ''}${countOf(summary.count.events, 'match', 'matches')}`}</dd></div>
<div><dt>Searched at</dt><dd>${zonedText(nowMs)}</dd></div></dl></section>`;
};

/** The same in one line, which paper repeats above each page of the table. */
export const printLineOf = (search: Search, answer: SearchAnswer, columns: number): Html =>
  html`<tr class="print-only"><td class="print-line" colspan="${columns}">${queryOf(search)} · ${answer.incomplete.length === 0 ? 'complete' : 'incomplete'}</td></tr>`;

const queryOf = (search: Search): string => printLine(search) || 'all events';

const completeness = ({ incomplete }: SearchAnswer): Html =>
  incomplete.length === 0
    ? html`<strong>Complete</strong>: no time searched is missing.`
    : html`<strong>Incomplete</strong>: ${incomplete.map((reason) => reasons[reason]).join('; ')}.`;

/** Shorter than on the screen, where they lead somewhere. */
const reasons: Readonly<Record<IncompleteReason, string>> = {
  search_unfinished: 'the search timed out before its end',
  archive_not_searched: 'months of the time searched are in the archive alone, and were not searched',
  months_dropped: 'months of the time searched were dropped without an archive',
  no_organization_collected: 'no log that was searched is collected',
  time_not_collected: 'some of the time searched is not collected yet',
  begins_before_collection: 'the search begins earlier than what is collected',
  value_never_occurs: 'one of the values is in no event that is in PostgreSQL: it may be misspelt',
  value_not_checked: 'one of the values could not be looked up in time',
};
