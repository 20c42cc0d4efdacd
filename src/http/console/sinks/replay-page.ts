import type { NoReplay, ReplayPlan } from '../../../sinks/replay/plan-replay.ts';
import { type Html, html } from '../html.ts';
import { commandBlock } from '../operations/commands.ts';
import type { ShownSink } from '../operations/operations-source.ts';
import { countOf, countText, spanText } from '../words.ts';
import { sinkHref } from './sinks-page.ts';

const replayHref = (name: string, after?: number): string =>
  `${sinkHref(name)}/replay${after === undefined ? '' : `?after=${after}`}`;

/** Names have letters, digits, `_` and `-` alone, but a table may hold any text. */
const quoted = (name: string): string => (/^[\w-]+$/.test(name) ? name : `'${name.replaceAll("'", String.raw`'\''`)}'`);

/** On the page of a sink: where to go on from, and the commands that do the same. */
export const replayPanel = (sink: ShownSink, oldest: number | undefined): Html => {
  const name = quoted(sink.name);
  const isReplayed = canReplay(sink);
  const retry =
    oldest === undefined || sink.sends === 'alarms'
      ? ''
      : `\norgtrail sink replay ${name} --after ${oldest - 1}   # all from the oldest dead letter on, which are retried with it`;
  return html`<section class="panel" aria-labelledby="replay"><h2 id="replay">Send again</h2><div class="stack">
<p>A replay sets the sink back: all events after a position go out once more, under the same keys. The next page says what it would send, and asks.</p>
${isReplayed ? positionForm(sink, oldest) : null}
<p class="hint">Repair what the reasons name first, or the same events are rejected again. A dead letter that is accepted is removed from the list.</p>
<p>The same in a terminal, with an account that owns the schema; there <code>--skip</code> also goes forward. Each replay is a row <code>replay</code> in the trail of access.</p>
<pre class="text" tabindex="0" role="region" aria-label="Commands">orgtrail sink dead-letters ${name} --json | jq -r .reason
orgtrail sink replay ${name} --after POSITION   # events after it; 0: everything${retry}</pre></div></section>`;
};

/** Whether anything delivers to it by positions of the feed. */
export const canReplay = ({ sends }: ShownSink): boolean => sends !== undefined && sends !== 'alarms';

const positionForm = (sink: ShownSink, oldest: number | undefined): Html =>
  html`<form class="row" method="get" action="${sinkHref(sink.name)}/replay" aria-label="Replay" data-keep>
<div class="field"><label for="after">After the position</label><input id="after" name="after" type="text" inputmode="numeric" pattern="[0-9]{1,15}" required value="${oldest === undefined ? '' : String(oldest - 1)}" autocomplete="off" aria-describedby="after-hint"></div>
<button class="button" type="submit">Replay …</button></form>
<p class="hint" id="after-hint">${oldest === undefined ? html`0 sends everything; the sink is at ${countText(sink.position)}.` : html`${countText(oldest - 1)} is before the oldest dead letter; 0 sends everything; the sink is at ${countText(sink.position)}.`}</p>`;

interface ReplayView {
  readonly sink: ShownSink;
  readonly plan: ReplayPlan | NoReplay;
  /** The name of the token by which this session may replay; undefined: it may not. */
  readonly who: string | undefined;
}

/** What a replay would do, and the button that does it. */
export const replayBody = ({ sink, plan, who }: ReplayView): Html =>
  html`<div class="stack"><p class="crumbs"><a href="/sinks">All sinks</a> / <a href="${sinkHref(sink.name)}">${sink.name}</a></p><h1>Replay ${sink.name}</h1>
${'kind' in plan ? noPosition(sink, plan) : html`${consequences(plan)}${ask(sink, plan, who)}`}</div>`;

const noPosition = (sink: ShownSink, plan: NoReplay): Html =>
  html`<p class="fault" role="alert">${plan.kind === 'no position' ? `The position must be a number from 0 to ${countText(plan.head)}, the end of the feed.` : 'The sink is not in the database any more.'} <a href="${sinkHref(sink.name)}#replay">Back to the sink</a></p>`;

const consequences = ({ sink, after, toSend, again, gone }: ReplayPlan): Html =>
  html`<section class="panel" aria-labelledby="what"><h2 id="what">What it does</h2><ul class="points">
<li>The sink, now at ${countText(sink.position)}, continues after ${countText(after)}: <strong>${countOf(again, 'position')} again</strong>, ${countText(toSend)} to send in all.</li>
<li>Events keep their keys: a receiver that compares them stores none twice. One that does not gets these twice.</li>
<li>Dead letters after ${countText(after)} are retried; one that is accepted is removed from the list.</li>
<li>A delivery under way does not undo it. A rest after failures ends.</li>
${gone === 0 ? null : html`<li>Retention has dropped up to ${countOf(gone, 'event')} of them: these are not sent.</li>`}
${sink.maxAgeSeconds === null ? null : html`<li>What is older than ${spanText(sink.maxAgeSeconds)}, its <code>max_age</code>, is skipped.</li>`}</ul></section>`;

const ask = (sink: ShownSink, { after, left }: ReplayPlan, who: string | undefined): Html => {
  if (left > 0) {
    return html`<p class="fault" role="alert">This would go forward, and ${countOf(left, 'position')} would never be sent. Only the command does that, with <code>--skip</code>. <a href="${sinkHref(sink.name)}#replay">Back to the sink</a></p>`;
  }
  if (who === undefined) {
    return html`<section class="panel" aria-labelledby="right"><h2 id="right">This session may not replay</h2><div class="stack">
<p>It takes a token that was made for it, and a sign-in with that. The account of the daemon may not set a sink back by itself: the database does it for a session that has proven such a token.</p>
${commandBlock('command-token', 'the command that makes a token that replays', 'orgtrail token create NAME --scope search --replay')}</div></section>`;
  }
  return html`<form class="panel" method="post" action="${replayHref(sink.name, after)}" aria-label="Replay"><div class="row"><button class="primary" type="submit">Replay as ${who}</button><a class="button" href="${sinkHref(sink.name)}">Cancel</a></div></form>`;
};
