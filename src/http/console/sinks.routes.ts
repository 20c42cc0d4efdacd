import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { OrgtrailError } from '../../base/errors.ts';
import { isOwnStream } from '../../sinks/ports.ts';
import { type NoReplay, planReplay, type ReplayPlan, readReplayer, replaySink } from '../../sinks/replay.sql.ts';
import { type DeadLetterPage, readDeadLetterPage, type ShownDeadLetter } from '../../sinks/sink-status.sql.ts';
import { sinkState } from '../../status/source-state.ts';
import { changeNote } from '../access-trail.ts';
import { httpError } from '../failure.ts';
import { commandBlock, type Html, html } from './html.ts';
import {
  OPERATIONS_PATH,
  type Operations,
  operationsHead,
  operationsMenu,
  type ShownSink,
  shownSinks,
} from './operations.ts';
import { type Frame, hidden, rowNumberOf, sendPage } from './page.ts';
import { sessionProofOf } from './sign-in.routes.ts';
import { stateMark } from './source-states.ts';
import { agoOf, countOf, countText, shellWord, spanText, timeOf, zoneLabel } from './words.ts';

const REFRESH_SECONDS = 10;
const LETTERS = 50;

export const sinkPages = (pages: FastifyInstance, frame: Frame, operations: Operations): void => {
  const current = OPERATIONS_PATH;
  pages.get('/sinks', { schema: hidden }, async (request, reply) => {
    const body = sinksBody(await shownSinks(operations), Date.now());
    return sendPage(request, reply, frame, { title: 'Sinks', current, refreshSeconds: REFRESH_SECONDS, body });
  });
  pages.get<{ Params: { readonly name: string }; Querystring: { readonly before?: unknown } }>(
    '/sinks/:name',
    { schema: hidden },
    async (request, reply) => {
      const { name } = request.params;
      const sink = (await shownSinks(operations)).find((each) => each.name === name);
      if (sink === undefined) throw httpError(404, 'There is no such sink.');
      const before = rowNumberOf(request.query.before);
      const page = await readDeadLetterPage(operations.pool, name, { before, limit: LETTERS });
      const body = sinkBody({ sink, page, before, nowMs: Date.now() });
      return sendPage(request, reply, frame, {
        title: `${name} (sink)`,
        current,
        refreshSeconds: REFRESH_SECONDS,
        body,
      });
    },
  );
};

interface Asked {
  readonly Params: { readonly name: string };
  readonly Querystring: { readonly after?: unknown };
}

/** The database decides who may, and keeps the row (docs/decisions/12). */
export const replayPages = (
  pages: FastifyInstance,
  frame: Frame,
  { operations, logger }: { readonly operations: Operations; readonly logger: Logger },
): void => {
  pages.get<Asked>('/sinks/:name/replay', { schema: hidden }, async (request, reply) => {
    const sink = await requireSink(operations, request.params.name);
    const plan = await planReplay(operations.pool, sink.name, {
      after: replayPositionOf(request.query.after),
      hasArchive: operations.config.archive !== undefined,
    });
    const proof = sessionProofOf(request);
    const who = proof && (await readReplayer(operations.pool, proof));
    if ('kind' in plan) reply.code(400);
    const body = replayBody({ sink, plan, who });
    return sendPage(request, reply, frame, { title: `Replay ${sink.name}`, current: OPERATIONS_PATH, body });
  });
  pages.post<Asked>('/sinks/:name/replay', { schema: hidden }, async (request, reply) => {
    const sink = await requireSink(operations, request.params.name);
    const after = replayPositionOf(request.query.after);
    const proof = sessionProofOf(request);
    if (proof === undefined) throw httpError(403, 'Only a session that has signed in with a token for it may replay.');
    if (after === undefined) throw httpError(400, 'The position must be a number.');
    const giver = { proof, address: request.ip, route: 'POST /sinks/:name/replay' };
    if (!(await replayed({ pool: operations.pool, giver }, sink, after))) {
      throw httpError(409, 'The sink has moved, or there is no such position: nothing was changed.');
    }
    const what = { sink: sink.name, after, from: sink.position };
    logger.info({ access: changeNote(request, 'replay', what) }, 'access: replay ok');
    return reply.redirect(sinkHref(sink.name), 303);
  });
};

const replayed = async (
  source: Parameters<typeof replaySink>[0],
  { name }: ShownSink,
  after: number,
): Promise<boolean> => {
  try {
    return await replaySink(source, name, after);
  } catch (error) {
    if (error instanceof OrgtrailError && error.code === 'configuration') {
      throw httpError(403, 'The token of this session may not replay sinks.');
    }
    throw error;
  }
};

const requireSink = async (operations: Operations, name: string): Promise<ShownSink> => {
  const sink = (await shownSinks(operations)).find((each) => each.name === name);
  if (sink === undefined || !canReplay(sink)) throw httpError(404, 'There is no such sink that can be replayed.');
  return sink;
};

const replayPositionOf = (text: unknown): number | undefined =>
  typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined;

export const sinkHref = (name: string): string => `/sinks/${encodeURIComponent(name)}`;

const streamNames = {
  entries: 'entries of audit logs',
  detections: 'findings of the detections',
  alarms: "orgtrail's own alarms",
  searches: 'matches of saved searches',
} as const;

const sinksBody = (sinks: readonly ShownSink[], nowMs: number): Html => {
  const configured = sinks.filter(({ sends }) => sends !== undefined).sort(byTrouble);
  const former = sinks.filter(({ sends }) => sends === undefined);
  return html`<div class="stack">
${operationsHead('/sinks', 'Sinks')}
${configured.length === 0 ? noSinks : html`${verdictOf(configured)}<section class="panel" aria-labelledby="configured"><h2 id="configured">Sinks</h2>${sinkTable(configured, nowMs, 'Table of sinks')}</section>`}
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

const sinkTable = (
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
<p class="hint">Nothing delivers to them. Each goes on from its position if it is configured again under its name.</p>${sinkTable(sinks, nowMs, 'Table of former sinks')}</section>`;

const sinkBody = (view: SinkView): Html => {
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

const replayHref = (name: string, after?: number): string =>
  `${sinkHref(name)}/replay${after === undefined ? '' : `?after=${after}`}`;

const replayPanel = (sink: ShownSink, oldest: number | undefined): Html => {
  // Names have letters, digits, `_` and `-` alone, but a table may hold any text.
  const name = shellWord(sink.name);
  const isReplayed = canReplay(sink);
  const retry =
    oldest === undefined || isOwnStream(sink.sends)
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

const canReplay = ({ sends }: ShownSink): boolean => sends !== undefined && !isOwnStream(sends);

const positionForm = (sink: ShownSink, oldest: number | undefined): Html =>
  html`<form class="row" method="get" action="${sinkHref(sink.name)}/replay" aria-label="Replay" data-keep>
<div class="field"><label for="after">After the position</label><input id="after" name="after" type="text" inputmode="numeric" pattern="[0-9]{1,15}" required value="${oldest === undefined ? '' : String(oldest - 1)}" autocomplete="off" aria-describedby="after-hint"></div>
<button class="button" type="submit">Replay …</button></form>
<p class="hint" id="after-hint">${oldest === undefined ? html`0 sends everything; the sink is at ${countText(sink.position)}.` : html`${countText(oldest - 1)} is before the oldest dead letter; 0 sends everything; the sink is at ${countText(sink.position)}.`}</p>`;

interface ReplayView {
  readonly sink: ShownSink;
  readonly plan: ReplayPlan | NoReplay;
  /** Undefined: this session may not replay. */
  readonly who: string | undefined;
}

const replayBody = ({ sink, plan, who }: ReplayView): Html =>
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

const deadLettersPanel = (
  view: SinkView,
): Html => html`<section class="panel" aria-labelledby="dead-letters"><h2 id="dead-letters">Dead letters</h2>
${view.page.letters.length === 0 ? html`<p class="muted">${view.before === undefined ? 'None: its receiver has rejected nothing permanently.' : 'There are no earlier ones.'}</p>` : deadLetterTable(view.page.letters)}
${pager(view)}</section>`;

const deadLetterTable = (
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

interface SinkView {
  readonly sink: ShownSink;
  readonly page: DeadLetterPage;
  readonly before: number | undefined;
  readonly nowMs: number;
}
