import { type Html, html } from '../html.ts';
import { countOf } from '../words.ts';

const days = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const;
const LEVELS = 4;

/** When in the week the events happen: darker cells have more. The numbers are the titles of the cells, and text for readers. */
export const hoursTable = (hours: readonly (readonly number[])[]): Html => {
  const most = Math.max(1, ...hours.flat());
  const level = (events: number): number => (events === 0 ? 0 : Math.ceil((events / most) * LEVELS));
  return html`<section class="panel" aria-label="Usual hours"><h2>Usual hours</h2><p class="hint">UTC; darker: more events.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Table of usual hours"><table class="hours"><thead><tr><th scope="col"><span class="unseen">Day</span></th>${Array.from({ length: 24 }, (_, hour) => html`<th scope="col">${hour % 6 === 0 ? hour : html`<span class="unseen">${hour}</span>`}</th>`)}</tr></thead>
<tbody>${days.map(
    (day, index) =>
      html`<tr><th scope="row">${day}</th>${(hours[index] ?? []).map(
        (events, hour) =>
          html`<td class="level-${level(events)}" title="${day} ${hour}:00, ${countOf(events, 'event')}"><span class="unseen">${events}</span></td>`,
      )}</tr>`,
  )}</tbody></table></div></section>`;
};
