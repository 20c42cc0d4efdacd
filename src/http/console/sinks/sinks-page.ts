import { sinkState } from '../../../status/sources/source-state.ts';
import { type Html, html } from '../html.ts';
import { operationsHead } from '../operations/operations-menu.ts';
import type { ShownSink } from '../operations/operations-source.ts';
import { stateMark } from '../overview/first-reading.ts';
import { agoOf, countOf, countText, spanText } from '../words.ts';

export const sinkHref = (name: string): string => `/sinks/${encodeURIComponent(name)}`;

/** `entries of audit logs`. */
export const streamNames = {
  entries: 'entries of audit logs',
  detections: 'findings of the detections',
  alarms: "orgtrail's own alarms",
} as const;

/** All sinks, trouble first. */
export const sinksBody = (sinks: readonly ShownSink[], nowMs: number): Html => {
  const configured = sinks.filter(({ sends }) => sends !== undefined).sort(byTrouble);
  const former = sinks.filter(({ sends }) => sends === undefined);
  return html`<div class="stack">
${operationsHead('/sinks', 'Sinks')}
${configured.length === 0 ? noSinks : html`${verdictOf(configured)}<section class="panel" aria-labelledby="configured"><h2 id="configured">Sinks</h2>${table(configured, nowMs, 'Table of sinks')}</section>`}
${former.length === 0 ? null : formerPanel(former, nowMs)}
</div>`;
};

const urgency: readonly string[] = ['failing', 'behind', 'ok'];

const byTrouble = (a: ShownSink, b: ShownSink): number =>
  urgency.indexOf(sinkState(a)) - urgency.indexOf(sinkState(b)) ||
  b.deadLetters - a.deadLetters ||
  (a.name < b.name ? -1 : 1);

const noSinks = html`<section class="panel" aria-labelledby="none"><h2 id="none">No sinks configured</h2>
<div class="stack"><p>A sink pushes events, findings or alarms to a receiver: a SIEM, a webhook, a chat, a bucket. <code>ORGTRAIL_SINKS</code> names them; docs/sinks.md has all of it.</p>
<p class="muted">Events can also be read from the feed and by SQL.</p></div></section>`;

const verdictOf = (sinks: readonly ShownSink[]): Html => {
  const counts = urgency.map((state) => ({ state, count: sinks.filter((sink) => sinkState(sink) === state).length }));
  const worst = counts.find(({ count }) => count > 0)?.state ?? 'ok';
  const letters = sinks.reduce((sum, { deadLetters }) => sum + deadLetters, 0);
  const troubles = counts
    .filter(({ state, count }) => state !== 'ok' && count > 0)
    .map(({ state, count }) => `${countOf(count, 'sink')} ${state}`);
  const words = troubles.length > 0 ? troubles.join(' · ') : 'Every sink delivers.';
  return html`<section class="verdict verdict-${worst}" aria-label="State of the sinks"><span class="state state-${worst}">${worst}</span>
<p>${words}${letters === 0 ? null : html` ${countOf(letters, 'event')} rejected permanently by receivers.`}</p></section>`;
};

const table = (
  sinks: readonly ShownSink[],
  nowMs: number,
  name: string,
): Html => html`<div class="scroll" tabindex="0" role="region" aria-label="${name}"><table class="sinks">
<thead><tr><th scope="col">Sink</th><th scope="col">State</th><th scope="col" class="number">Behind</th><th scope="col" class="number">Last success</th>
<th scope="col" class="number">Delivered</th><th scope="col" class="number">Dead letters</th></tr></thead>
<tbody>${sinks.map((sink) => row(sink, nowMs))}</tbody></table></div>`;

const row = (
  sink: ShownSink,
  nowMs: number,
): Html => html`<tr><th scope="row"><a href="${sinkHref(sink.name)}">${sink.name}</a>
<p class="sub">${sink.sends === undefined ? null : html`${streamNames[sink.sends]}, `}${sink.type} to ${sink.target}</p>
${sink.lastError === null ? null : html`<p class="error-text">${countOf(sink.failures, 'failure')} in a row: ${sink.lastError}</p>`}</th>
<td>${sink.sends === undefined ? html`<span class="muted">not configured</span>` : stateMark(sinkState(sink))}</td>
<td class="number">${countOf(sink.lagEvents, 'position')}<p class="sub">${spanText(sink.lagSeconds)}</p></td>
<td class="number">${agoOf(sink.lastSuccessAt, nowMs)}</td><td class="number">${countText(sink.delivered)}${sink.skipped === 0 ? null : html`<p class="sub">${countText(sink.skipped)} skipped</p>`}</td>
<td class="number">${sink.deadLetters === 0 ? '0' : html`<a href="${sinkHref(sink.name)}#dead-letters">${countText(sink.deadLetters)}</a>`}</td></tr>`;

const formerPanel = (sinks: readonly ShownSink[], nowMs: number): Html =>
  html`<section class="panel" aria-labelledby="former"><h2 id="former">Not configured any more</h2>
<p class="hint">Nothing delivers to them. Each goes on from its position if it is configured again under its name.</p>${table(sinks, nowMs, 'Table of former sinks')}</section>`;
