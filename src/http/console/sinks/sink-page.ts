import { sinkState } from '../../../status/sources/source-state.ts';
import { type Html, html } from '../html.ts';
import { operationsMenu } from '../operations/operations-menu.ts';
import type { ShownSink } from '../operations/operations-source.ts';
import { agoOf, countOf, countText, spanText, timeOf } from '../words.ts';
import { deadLettersPanel } from './dead-letters-panel.ts';
import { replayPanel } from './replay-page.ts';
import type { SinkView } from './sink-view.ts';
import { streamNames } from './sinks-page.ts';

/** One sink: how it stands, its last error whole, what its receiver rejected, and how to send it again. */
export const sinkBody = (view: SinkView): Html => {
  const { sink } = view;
  return html`<div class="stack">
${operationsMenu('/sinks')}
<p class="crumbs"><a href="/sinks">All sinks</a></p>
<div class="row between"><h1>${sink.name}</h1><p class="muted live" data-connection-note role="status"></p></div>
${verdict(sink)}
${sink.lastError === null ? null : html`<section class="panel" aria-labelledby="error"><h2 id="error">Last error</h2><pre class="text" tabindex="0" role="region" aria-label="Text of the last error">${sink.lastError}</pre></section>`}
${facts(view)}
${deadLettersPanel(view)}
${replayPanel(sink, view.page.oldest)}
</div>`;
};

const verdict = (sink: ShownSink): Html => {
  if (sink.sends === undefined) {
    return html`<section class="verdict verdict-quiet" aria-label="State of the sink"><span class="state state-quiet">not configured</span><p>Nothing delivers to it. It goes on from its position if it is configured again under its name.</p></section>`;
  }
  const state = sinkState(sink);
  const words =
    state === 'failing'
      ? `${countOf(sink.failures, 'failure')} in a row. Nothing is lost: what is not delivered is retried.`
      : sink.lagEvents === 0
        ? 'All is delivered.'
        : `${countOf(sink.lagEvents, 'position')} behind the newest event, the oldest stored ${spanText(sink.lagSeconds)} ago.`;
  return html`<section class="verdict verdict-${state}" aria-label="State of the sink"><span class="state state-${state}">${state}</span><p>${words}</p></section>`;
};

const facts = ({
  sink,
  nowMs,
}: SinkView): Html => html`<section class="panel facts" aria-labelledby="facts"><h2 id="facts">How it stands</h2><dl>
${fact('Receiver', html`${sink.type} to <span class="mono">${sink.target}</span>`)}
${sink.sends === undefined ? null : fact('Sent', streamNames[sink.sends])}
${fact('Position', html`${countText(sink.position)}, ${countOf(sink.lagEvents, 'position')} behind`)}
${fact('Delay', sink.lagSeconds === 0 ? 'none' : `${spanText(sink.lagSeconds)}, since the oldest event that is not delivered was stored`)}
${fact('Last success', sink.lastSuccessAt === null ? 'never' : html`${timeOf(sink.lastSuccessAt)}, ${agoOf(sink.lastSuccessAt, nowMs)}`)}
${fact('Delivered', countText(sink.delivered))}
${fact('Dead letters', countText(sink.deadLetters))}
${sink.skipped === 0 && sink.maxAgeSeconds === null ? null : fact('Skipped', html`${countText(sink.skipped)}${sink.maxAgeSeconds === null ? null : html`, older than ${spanText(sink.maxAgeSeconds)} (max_age)`}`)}
${sink.nextAttemptAt === null || sink.nextAttemptAt.getTime() <= nowMs ? null : fact('Next attempt', timeOf(sink.nextAttemptAt))}
${fact('Delivering', sink.heldBy === null ? 'no process at this moment' : html`<span class="mono">${sink.heldBy}</span>`)}
</dl></section>`;

const fact = (name: string, value: Html | string): Html => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
