import { printLine, type Search } from '../../../search/search.ts';
import { incompleteReasons } from '../../../search/search-answer.ts';
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
    ? html`<strong>Complete</strong>: all of the time searched is collected.`
    : html`<strong>Incomplete.</strong> ${incomplete.map((reason) => html`${incompleteReasons[reason]} `)}`;
