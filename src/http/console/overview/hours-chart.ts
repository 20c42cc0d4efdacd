import type { Activity } from '../../../status/overview/overview.ts';
import { type Html, html } from '../html.ts';
import { countOf, countText, timeText, zonedText, zoneLabel } from '../words.ts';

const BAR = 10;
const GAP = 2;
const HEIGHT = 100;
const HOUR_MS = 3_600_000;

/** Events per hour as bars that lead to their events, with the same numbers in a table for readers who cannot see the bars. */
export const hoursChart = ({ hours }: Activity): Html => {
  const most = Math.max(1, ...hours.map(({ events }) => events));
  const total = hours.reduce((sum, { events }) => sum + events, 0);
  const [first, last] = [hours[0], hours.at(-1)];
  if (first === undefined || last === undefined) return html`<p class="muted">No hours yet.</p>`;
  return html`<figure class="chart"><div class="chart-area"><span class="chart-most" aria-hidden="true">${countText(most)}</span>
<svg class="bars" viewBox="0 0 ${hours.length * BAR} ${HEIGHT}" preserveAspectRatio="none" role="group"
 aria-label="Events per hour since ${zonedText(first.startMs)}: ${countText(total)} in all, ${countText(most)} in the busiest hour. The table below has each hour.">
<rect class="bars-half" x="0" y="${HEIGHT / 2}" width="${hours.length * BAR}" height="0.5"></rect>
${hours.map(({ startMs, events }, index) => hourBar(startMs, events, index, most, index === hours.length - 1))}
</svg></div>
<div class="chart-axis" aria-hidden="true"><span>${hourText(first.startMs)}</span><span>${hourText(
    hours[Math.floor(hours.length / 2)]?.startMs ?? first.startMs,
  )}</span><span>this hour</span></div>
<figcaption>${countOf(total, 'event')} in ${hours.length} hours, by the time of the action</figcaption>
<details id="hours-table"><summary>As a table</summary><div class="scroll tall" tabindex="0" role="region" aria-label="Table of events per hour"><table>
<thead><tr><th scope="col">Hour (${zoneLabel()})</th><th scope="col" class="number">Events</th></tr></thead>
<tbody>${[...hours].reverse().map(({ startMs, events }) => html`<tr><td><a href="${hourHref(startMs)}">${hourText(startMs)}</a></td><td class="number">${countText(events)}</td></tr>`)}</tbody>
</table></div></details></figure>`;
};

const hourBar = (startMs: number, events: number, index: number, most: number, isLast: boolean): Html => {
  const height = events === 0 ? 0 : Math.max(1.5, (events / most) * HEIGHT);
  const words = `${hourText(startMs)} ${zoneLabel()}: ${countOf(events, 'event')}`;
  return html`<a href="${hourHref(startMs)}" tabindex="-1" aria-label="${words}"><title>${words}</title><rect class="bar-whole" x="${index * BAR}" y="0" width="${BAR}" height="${HEIGHT}"></rect><rect class="${isLast ? 'hour hour-now' : 'hour'}" x="${index * BAR + GAP / 2}" y="${round(HEIGHT - height)}" width="${BAR - GAP}" height="${round(height)}"></rect></a>`;
};

/** The events of this hour. */
const hourHref = (startMs: number): string =>
  `/events?since=${new Date(startMs).toISOString()}&before=${new Date(startMs + HOUR_MS).toISOString()}`;

const round = (value: number): number => Math.round(value * 100) / 100;

const hourText = (startMs: number): string => timeText(startMs).slice(5, 16);
