import type { FoundEvent, SearchCoverage } from '../../../search/answer.ts';
import { type HistoryStep, historyStatus, historySteps, type ResourceHistory } from '../../../search/entities.ts';
import type { Search } from '../../../search/query/search.ts';
import { actorOf, resourceOf, resultMark, timeOf } from '../event-links.ts';
import { type Html, html } from '../html.ts';
import { countText } from '../words.ts';
import { sideBySide, stateText } from './changes.ts';
import { coverageOf } from './search-verdict.ts';

export interface HistoryView {
  readonly history: ResourceHistory;
  readonly coverage: SearchCoverage;
  readonly search: Search;
  readonly nowMs: number;
}

/** For all differences of a page: nothing else happens in the process meanwhile. */
const COMPARE_MS = 400;

/** Newest first, each with the state before and after it. */
export const historyBody = ({ history, coverage, search, nowMs }: HistoryView): Html => {
  const { subject, events, more } = history;
  const deadlineMs = performance.now() + COMPARE_MS;
  return html`<div class="stack event history">
<p class="trail"><a href="/events">Events</a> <span class="muted">/</span> <a href="/events/${subject.position}">${subject.position}</a> <span class="muted">/ history</span></p>
<header class="event-head"><h1>History of ${nameOf(subject)}</h1>
<p class="row"><span>${subject.accountName ?? subject.accountId ?? subject.organizationName ?? subject.organizationId}</span>${subject.zoneName === null ? null : html`<span>${subject.zoneName}</span>`}<span class="muted">${countText(events.length)}${more ? ' newest' : ''} ${events.length === 1 ? 'event' : 'events'}</span></p>
<p class="hint">${statusInWords(history)}</p></header>
${coverageOf(coverage, search, nowMs)}
<ol class="steps">${historySteps(history.events).map((step) => html`<li>${stepOf(step, { subject, nowMs, deadlineMs })}</li>`)}</ol>
${more ? html`<p class="muted">Older events of it are left out here: ${countText(events.length)} are shown. The SQL function <code>orgtrail_history_of(${subject.position})</code> has all of them.</p>` : null}
</div>`;
};

const nameOf = (event: FoundEvent): string => {
  const kind = resourceOf(event)?.text ?? 'this resource';
  return event.resourceId === null || event.resourceId === '' ? kind : `${kind} ${event.resourceId}`;
};

const statusInWords = (history: ResourceHistory): string => {
  switch (historyStatus(history)) {
    case 'exact':
      return history.events.some(({ matchedBy }) => matchedBy === 'uri')
        ? 'Exact: all events whose request went to the same path, from all that is stored.'
        : 'Exact: all events with the same resource id, product and type, from all that is stored.';
    case 'approximate':
      return 'Approximate: the entry does not name its resource. These are all events of the same product and type; other resources may be among them.';
    case 'unavailable':
      return 'Unavailable: the entry does not say what it is about.';
  }
};

interface StepView {
  readonly subject: FoundEvent;
  readonly nowMs: number;
  readonly deadlineMs: number;
}

const stepOf = ({ event, state, before }: HistoryStep, { subject, nowMs, deadlineMs }: StepView): Html => {
  const isSubject = event.position === subject.position;
  const actor = actorOf(event);
  return html`<section class="panel" id="position-${event.position}"><h2 class="row"><a class="mono" href="/events/${event.position}">${timeOf(event, nowMs)}</a>
<span>${event.actionDescription ?? event.actionType ?? 'unknown action'}</span>${event.actionResult === null ? null : resultMark(event)}${isSubject ? html`<span class="mark">this event</span>` : null}</h2>
<p class="row"><span>${actor?.text ?? 'unknown actor'}</span>${actor?.more === undefined ? null : html`<span class="muted">${actor.more}</span>`}</p>
${
  state === undefined
    ? html`<p class="muted">${event.stateTooLarge ? 'Its request and response are too large to compare here.' : 'The entry has no request or response: what changed is not known.'}</p>`
    : before === undefined
      ? html`<p class="muted">${state.from === 'response' ? 'The state that the API answered' : 'What was asked for'}; no earlier one is known:</p>${stateText(state.text)}`
      : sideBySide(before.text, state.text, { names: ['Before', 'After'], deadlineMs })
}</section>`;
};
