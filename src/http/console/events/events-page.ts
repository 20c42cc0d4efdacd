import type { FoundEvent, IncompleteReason, SearchAnswer, SearchPage } from '../../../search/answer.ts';
import { instantOfBound, printLine, printSearch, type Search } from '../../../search/query/search.ts';
import type { SearchSummary } from '../../../search/summary/summary.ts';
import { actorOf, effectMark, filterLink, resourceOf, resultMark, timeOf } from '../event-links.ts';
import { type Html, html } from '../html.ts';
import { chipsOf, countFilters, countLine, exactLinkOf, facetsPanel, histogramOf } from '../summary.ts';
import { countOf, instantOf, shortened, zonedText, zoneLabel } from '../words.ts';
import { copyAs, type EventsView, searchForm } from './events-form.ts';
import { extraCells, extraHeads, liveBar, tableClasses, viewChoice } from './result-view.ts';
import { saveThis, searchesMenu } from './saved.routes.ts';
import { eventHref } from './search-steps.ts';
import { batchNote, coverageOf, emptyState, explanationOf } from './search-verdict.ts';

export const eventsBody = (view: EventsView): Html => html`<div class="explorer">
${searchesMenu('/events', view.reading.search)}
<h1 class="unseen">Events</h1>
${searchForm(view)}
${view.unknown.map((words) => html`<p class="fault" role="alert">${words}</p>`)}
${view.failure === undefined ? null : html`<p class="fault" role="alert">${view.failure.reason}.</p>`}
${view.result === undefined ? null : resultOf(view, view.result)}
</div>`;

type Result = NonNullable<EventsView['result']>;

/** The facets stand after the list, so that the Tab key comes to the list first. */
const resultOf = (view: EventsView, result: Result): Html => {
  const { events } = result.page;
  const { reading, resultView, nowMs } = view;
  const { search } = reading;
  const { coverage, summary, live } = result;
  const summaryView = summary && { ...view, search, summary, gaps: coverage.gaps };
  const filters = countFilters(search);
  return html`${printHead({ search, answer: result, summary, isPart: result.next !== null || result.previous !== null, nowMs })}
<div class="desk"><section class="result" aria-label="Result">
<div class="line">${summaryView === undefined ? html`<p class="muted" role="status">Not counted: other searches are using the database. Reload to count.</p>` : countLine(summaryView)}
${coverageOf(coverage, search, nowMs)}
<a class="quiet-button to-facets" href="#filters">Filters${filters === 0 ? null : ` (${filters})`}</a>
${liveBar(search, resultView, live)}
${viewChoice(resultView, view.address)}
${useResult(view)}</div>
${result.isFirst ? batchNote(search, result.batchDeletions) : null}
${summaryView && histogramOf({ search, count: summaryView.summary.count, gaps: coverage.gaps })}
<div id="result" tabindex="-1">
${events.length === 0 ? nothingFound(view, result) : tableOf(view, result)}
${view.marks?.isKnown === false ? html`<p class="hint" role="status">Marks of detections are missing here: looking them up took too long.</p>` : null}
${reachedOf(view, result.page)}
${pagerOf(view, result)}
</div></section>
<aside class="filters" id="filters" aria-label="Filters"><a class="quiet-button to-result" href="#result">To the events</a>
${chipsOf(search)}
${summaryView && facetsPanel({ ...summaryView, facets: summaryView.summary.facets, exactLink: exactLinkOf(search) })}</aside></div>`;
};

const useResult = (view: EventsView): Html => {
  const { search } = view.reading;
  const link = (format: string): string => {
    const parameters = printSearch(search);
    parameters.set('format', format);
    return `/events/export?${parameters.toString()}`;
  };
  return html`<details class="drop use-result" name="drop"><summary class="quiet-button">Use result</summary><div class="pop stack">
<p class="row exports"><span class="muted">Export all matches:</span>
<a class="quiet-button" href="${link('csv')}" download title="The columns, without limit; a download that breaks off is not whole">CSV</a>
<a class="quiet-button" href="${link('ndjson')}" download title="The exact originals, without limit; a download that breaks off is not whole">NDJSON</a>
<a class="quiet-button" href="/events/bundle?${printSearch(search).toString()}" download title="The exact originals with question, proofs and what is not collected, as a zip that verifies offline; the newest 10,000 events at most">Evidence bundle</a>
${fixedLink(search)}</p>
${
  view.copies === undefined
    ? null
    : html`${copyAs(view.copies)}
${saveThis(view.copies.search)}`
}</div></details>`;
};

/** `since=24h` is another day tomorrow. */
const fixedLink = (search: Search): Html | null => {
  const moves = ({ since, before }: Search) => [since, before].some((one) => one && (one.kind === 'ago' || one.word));
  if (!moves(search)) return null;
  const nowMs = Date.now();
  const parameters = printSearch(search);
  if (search.since !== undefined) parameters.set('since', instantOfBound(search.since, nowMs));
  parameters.set(
    'before',
    search.before === undefined ? new Date(nowMs).toISOString() : instantOfBound(search.before, nowMs),
  );
  return html`<a class="quiet-button" href="/events?${parameters.toString()}" title="The same search with these times, whenever it is opened">Pin time range</a>`;
};

const nothingFound = ({ reading: { search } }: EventsView, result: Result): Html => {
  if (!result.isFirst) return html`<p class="empty">No more events on this side.</p>`;
  if (result.page.reached === undefined) return emptyState({ search, answer: result });
  return html`<p class="empty">Nothing found so far.</p>${result.empty === undefined ? null : explanationOf(search, result.empty)}`;
};

const tableOf = (view: EventsView, result: Result): Html =>
  eventsTable(view, result.page.events, printLineOf(view.reading.search, result, view.resultView.columns.length + 1));

type RowsView = Pick<EventsView, 'reading' | 'organizations' | 'accounts' | 'nowMs' | 'resultView' | 'marks'>;

/** `above`: a row of the head for paper alone. */
export const eventsTable = (
  view: RowsView,
  events: readonly FoundEvent[],
  above: Html | null,
): Html => html`<div class="scroll"><table class="${tableClasses(view.resultView)}">
<caption class="unseen">Events, newest first</caption>
<thead>${above}
<tr><th scope="col">Time (${zoneLabel()})</th><th scope="col" class="cell-organization">Organization</th><th scope="col" class="cell-actor">Actor</th><th scope="col" class="cell-action">Action</th><th scope="col" class="cell-resource">Resource</th><th scope="col" class="cell-result">Result</th>${extraHeads(view.resultView)}</tr></thead>
<tbody>${events.map((event) => rowOf(view, event))}</tbody>
</table></div>`;

/** By its name, which people know, if no other has it. */
const filterBy = (known: EventsView['organizations'], id: string, name: string | null): string =>
  name !== null && known.filter((one) => one.name === name).length === 1 ? name : id;

const ownersOf = ({ organizations, accounts, reading: { search } }: RowsView, event: FoundEvent): Html => {
  const { organizationId, organizationName, accountId } = event;
  const accountName = event.accountName ?? event.listedAccountName ?? null;
  const organization =
    organizationId === null
      ? none
      : filterLink(
          search,
          { organization: filterBy(organizations, organizationId, organizationName) },
          organizationName ?? organizationId,
        );
  if (accountId === null) return organization;
  const account = filterLink(search, { account: filterBy(accounts, accountId, accountName) }, accountName ?? accountId);
  return html`${organization}<span class="second">${account}</span>`;
};

const rowOf = (view: RowsView, event: FoundEvent): Html => {
  const { search } = view.reading;
  const { nowMs } = view;
  const actor = actorOf(event);
  const resource = resourceOf(event);
  return html`<tr>
<th scope="row" class="cell-time"><a href="${eventHref(event.position, search)}" data-row>${timeOf(event, nowMs)}</a></th>
<td class="cell-organization" data-label="Organization">${ownersOf(view, event)}</td>
<td class="cell-actor" data-label="Actor"><div class="pair">${actor === undefined ? none : filterLink(search, { actor: actor.filter }, actor.text)}${actor?.more === undefined ? null : html`<span class="second">${shortened(actor.more, 120)}</span>`}</div></td>
<td class="cell-action" data-label="Action">${event.actionType === null ? none : filterLink(search, { action: event.actionType }, event.actionType)}${event.actionDescription === null ? null : html`<span class="second">${shortened(event.actionDescription, 120)}</span>`}</td>
<td class="cell-resource" data-label="Resource">${resource === undefined ? none : filterLink(search, resource.filter, resource.text)}${event.resourceId === null ? null : html`<span class="second mono">${filterLink(search, { resource: event.resourceId }, event.resourceId)}</span>`}</td>
<td class="cell-result" data-label="Result">${event.actionResult === null ? none : resultMark(event)}${event.changed ? html` <span class="mark mark-changed" title="Cloudflare later sent this entry with other content">changed</span>` : null}${event.defects === null ? null : html` <span class="mark mark-defect" title="${event.defects.join(', ')}">defect</span>`}${effectMark(event)}${view.marks?.of(event.position).map((mark) => html` ${mark}`)}</td>
${extraCells(view.resultView, search, event)}</tr>`;
};

const none = html`<span class="muted" title="the entry does not say">–</span>`;

/** A script continues one that goes back in time until its page is full. */
const reachedOf = ({ reading: { search }, limit, nowMs }: EventsView, { reached, events }: SearchPage): Html | null => {
  if (reached === undefined) return null;
  const isBack = reached.direction === 'older';
  const words = html`Slow search (not indexed): ${events.length === 0 ? 'nothing found' : 'searched'} ${isBack ? 'back' : 'forward'} to <span class="mono" data-reached-text>${instantOf(reached.time)}</span>. Keep searching below.`;
  if (!isBack) return html`<p class="reached" role="status">${words}</p>`;
  const msOf = (bound: Search['since']) =>
    bound === undefined ? '' : String(Date.parse(instantOfBound(bound, nowMs)));
  return html`<div class="reached stack" data-go-on data-limit="${limit}" data-since-ms="${msOf(search.since)}" data-from-ms="${msOf(search.before) || nowMs}" data-reached-ms="${Date.parse(reached.time)}">
<p role="status">${words}</p>
<div data-go-on-tools hidden><p class="row"><progress max="1" aria-label="Part of the time that is searched"></progress> <button class="quiet-button" type="button">Stop</button></p></div></div>`;
};

const pagerOf = ({ reading, limit }: EventsView, { page, next, previous }: Result): Html => {
  const link = (cursor: string): string => {
    const parameters = printSearch(reading.search);
    if (limit !== 50) parameters.set('limit', String(limit));
    parameters.set('cursor', cursor);
    return `/events?${parameters.toString()}`;
  };
  const { length } = page.events;
  const older = page.reached?.direction === 'older' ? 'Keep searching' : 'Older';
  const newer = page.reached?.direction === 'newer' ? 'Keep searching' : 'Newer';
  return html`<nav class="row between result-pager" aria-label="Pages of the result">
${previous === null ? html`<span></span>` : html`<a class="button" rel="prev" href="${link(previous)}">← ${newer}</a>`}
<span class="muted">${length} ${length === 1 ? 'event' : 'events'} on this page</span>
${next === null ? html`<span class="muted">${previous === null ? 'End of results' : 'Oldest results'}</span>` : html`<a class="button" rel="next" href="${link(next)}">${older} →</a>`}
</nav>`;
};

interface PrintHeadView {
  readonly search: Search;
  readonly answer: SearchAnswer;
  readonly summary: SearchSummary | undefined;
  readonly isPart: boolean;
  readonly nowMs: number;
}

const printHead = (view: PrintHeadView): Html => {
  const { search, answer, summary, isPart, nowMs } = view;
  const { length } = answer.page.events;
  return html`<section class="print-only print-head" aria-label="About this print">
<p class="print-title">Cloudflare audit log: events</p>
<dl><div><dt>Query</dt><dd>${queryOf(search)}</dd></div>
<div><dt>Answer</dt><dd>${completeness(answer)}</dd></div>
<div><dt>Events</dt><dd>${isPart ? html`<strong>A part of the result:</strong> ` : null}${countOf(length, 'event')} here${summary === undefined ? null : html`, ${summary.count.isAtLeast ? 'at least ' : ''}${countOf(summary.count.events, 'match', 'matches')}`}</dd></div>
<div><dt>Searched at</dt><dd>${zonedText(nowMs)}</dd></div></dl></section>`;
};

const printLineOf = (search: Search, answer: SearchAnswer, columns: number): Html =>
  html`<tr class="print-only"><td class="print-line" colspan="${columns}">${queryOf(search)} · ${answer.incomplete.length === 0 ? 'complete' : 'incomplete'}</td></tr>`;

const queryOf = (search: Search): string => printLine(search) || 'all events';

const completeness = ({ incomplete, coverage }: SearchAnswer): Html =>
  incomplete.length === 0
    ? html`<strong>Complete${coverage.collectedUntil === null ? null : html` up to ${instantOf(coverage.collectedUntil)}`}</strong>: no time searched is missing.`
    : html`<strong>Incomplete</strong>: ${incomplete.map((reason) => reasons[reason]).join('; ')}.`;

/** Shorter than on the screen, where they lead somewhere. */
const reasons: Readonly<Record<IncompleteReason, string>> = {
  search_unfinished: 'the search timed out before its end',
  archive_not_searched: 'months of the time searched are in the archive alone, and were not searched',
  months_dropped: 'months of the time searched were dropped without an archive',
  no_organization_collected: 'no log that was searched is collected',
  time_not_collected: 'some of the time searched is not collected yet',
  begins_before_collection: 'the search begins earlier than what is collected',
  rules_not_asked: 'the rules of detections have not been asked about all events',
  places_not_looked_up: 'the addresses of all events have not been looked up',
  value_never_occurs: 'one of the values is in no event that is in PostgreSQL: it may be misspelt',
  value_not_checked: 'one of the values could not be looked up in time',
};
