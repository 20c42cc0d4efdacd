import type { ShownDeadLetter } from '../../../sinks/dead-letter-page.sql.ts';
import { type Html, html } from '../html.ts';
import { countOf, countText, timeOf, zoneLabel } from '../words.ts';
import type { SinkView } from './sink-view.ts';
import { sinkHref } from './sinks-page.ts';

/** What the receiver rejected permanently, with each reason whole. */
export const deadLettersPanel = (
  view: SinkView,
): Html => html`<section class="panel" aria-labelledby="dead-letters"><h2 id="dead-letters">Dead letters</h2>
${view.page.letters.length === 0 ? html`<p class="muted">${view.before === undefined ? 'None: its receiver has rejected nothing permanently.' : 'There are no earlier ones.'}</p>` : table(view.page.letters)}
${pager(view)}</section>`;

const table = (
  letters: readonly ShownDeadLetter[],
): Html => html`<div class="scroll" tabindex="0" role="region" aria-label="Table of dead letters"><table>
<thead><tr><th scope="col">Position</th><th scope="col">Rejected (${zoneLabel()})</th><th scope="col">Event</th><th scope="col">Reason</th></tr></thead>
<tbody>${letters.map(
  (letter) =>
    html`<tr><th scope="row">${letter.isStored ? html`<a href="/events/${letter.position}">${countText(letter.position)}</a>` : countText(letter.position)}</th>
<td>${timeOf(letter.refusedAt)}</td><td>${eventOf(letter)}</td><td class="error-text">${letter.reason}</td></tr>`,
)}</tbody></table></div>`;

const eventOf = ({ isStored, actionType, resourceType, organizationName }: ShownDeadLetter): Html =>
  isStored
    ? html`${[actionType, resourceType].filter((text) => text !== null).join(' ')}<p class="sub">${organizationName}</p>`
    : html`<span class="muted">dropped by retention</span>`;

const pager = ({ sink, page, before }: SinkView): Html | null =>
  before === undefined && page.nextBefore === undefined
    ? null
    : html`<nav class="row pager" aria-label="Pages of dead letters">
${before === undefined ? null : html`<a class="button" rel="prev" href="${sinkHref(sink.name)}#dead-letters">Newest</a>`}
<span class="muted">${countOf(sink.deadLetters, 'dead letter')}, newest first</span>
${page.nextBefore === undefined ? null : html`<a class="button" rel="next" href="${sinkHref(sink.name)}?before=${page.nextBefore}#dead-letters">Older</a>`}</nav>`;
