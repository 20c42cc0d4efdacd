import type { SinkStatus } from '../../../sinks/sink-status.sql.ts';
import type { OrganizationChange, ProcessFigures } from '../../../status/overview/overview.ts';
import { sinkState } from '../../../status/sources/source-state.ts';
import { type Html, html } from '../html.ts';
import { sinkHref } from '../sinks/sinks-page.ts';
import { agoOf, countOf, countText, spanText } from '../words.ts';
import { stateMark } from './first-reading.ts';
import { nameOf, organizationHref } from './organizations.ts';

/** The steps that are shown: seconds, and how people say them. */
const steps = [
  { seconds: 5, name: '5 s' },
  { seconds: 30, name: '30 s' },
  { seconds: 60, name: '1 min' },
  { seconds: 300, name: '5 min' },
  { seconds: 3_600, name: '1 h' },
  { seconds: Number.POSITIVE_INFINITY, name: 'later' },
] as const;

/** How late events were seen. */
export const latenessPanel = ({ lateness }: ProcessFigures): Html => {
  const within = (seconds: number) => lateness.find((step) => step.seconds === seconds)?.events ?? 0;
  const total = within(Number.POSITIVE_INFINITY);
  const shares = steps.map(({ seconds, name }, index) => {
    const before = index === 0 ? 0 : within(steps[index - 1]?.seconds ?? 0);
    return { name, share: total === 0 ? 0 : (within(seconds) - before) / total };
  });
  return html`<section class="panel" aria-labelledby="lateness"><h2 id="lateness">Delay of events</h2>
${
  total === 0
    ? html`<p class="muted">No new event yet since this process started.</p>`
    : html`<table class="lateness"><caption>How long after the action events arrived: ${countOf(total, 'event')} since this process started, without history</caption>
<thead class="unseen"><tr><th scope="col">Within</th><th scope="col">Share, drawn</th><th scope="col">Share</th></tr></thead>
<tbody>${shares.map(({ name, share }) => shareRow(name, share))}</tbody></table>`
}</section>`;
};

const shareRow = (name: string, share: number): Html => {
  const width = Math.round(share * 1_000) / 10;
  return html`<tr><th scope="row">${name}</th><td><svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="tl-ground" width="100" height="8"></rect><rect class="hour" width="${width}" height="8"></rect></svg></td><td class="number">${width.toFixed(1)} %</td></tr>`;
};

/** Where events are pushed to. */
export const sinksPanel = (
  sinks: readonly SinkStatus[],
  nowMs: number,
): Html => html`<section class="panel" aria-labelledby="sinks"><h2 id="sinks"><a href="/sinks">Sinks</a></h2>
${
  sinks.length === 0
    ? html`<p class="muted">No sinks configured. Events can also be read from the feed and by SQL.</p>`
    : html`<div class="scroll" tabindex="0" role="region" aria-label="Table of sinks"><table class="sinks">
<thead><tr><th scope="col">Sink</th><th scope="col">State</th><th scope="col" class="number">Behind</th><th scope="col" class="number">Dead letters</th><th scope="col" class="number">Last success</th></tr></thead>
<tbody>${sinks.map((sink) => sinkRow(sink, nowMs))}</tbody></table></div>`
}</section>`;

const sinkRow = (
  sink: SinkStatus,
  nowMs: number,
): Html => html`<tr><th scope="row"><a href="${sinkHref(sink.name)}">${sink.name}</a><p class="sub">${sink.type} to ${sink.target}</p>
${sink.lastError === null ? null : html`<p class="error-text">${countOf(sink.failures, 'failure')} in a row: ${sink.lastError}</p>`}</th>
<td>${stateMark(sinkState(sink))}</td><td class="number">${countOf(sink.lagEvents, 'event')}<p class="sub">${spanText(sink.lagSeconds)}</p></td>
<td class="number">${countText(sink.deadLetters)}${sink.skipped === 0 ? null : html`<p class="sub">${countOf(sink.skipped, 'event')} skipped as too old</p>`}</td><td class="number">${agoOf(sink.lastSuccessAt, nowMs)}</td></tr>`;

/** Changes of organizations. */
export const changesPanel = (
  changes: readonly OrganizationChange[],
  nowMs: number,
): Html => html`<section class="panel" aria-labelledby="changes"><h2 id="changes">Organization changes</h2>
${
  changes.length === 0
    ? html`<p class="muted">None yet.</p>`
    : html`<ol class="changes">${changes.map((change) => changeItem(change, nowMs))}</ol>`
}</section>`;

const changeItem = (change: OrganizationChange, nowMs: number): Html =>
  html`<li><span><a href="${organizationHref(change.organizationId)}">${nameOf(change)}</a> ${change.change}${
    change.change !== 'renamed' && change.change !== 'moved'
      ? null
      : html` <span class="sub">${change.oldValue ?? 'none'} → ${change.newValue ?? 'none'}</span>`
  }</span> <span class="sub">${agoOf(change.changedAt, nowMs)}</span></li>`;
