import type { FastifyInstance } from 'fastify';
import {
  type CheckFinding,
  type CheckPage,
  readScrubRounds,
  readScrubTotals,
  readVerifyRuns,
  type ScrubRoundResult,
  type ScrubTotals,
  type VerifyRun,
} from '../../status/checks.sql.ts';
import { httpError, unknownIn } from '../failure.ts';
import { type Html, html } from './html.ts';
import { OPERATIONS_PATH, type Operations, operationsHead } from './operations.ts';
import { type Frame, hidden, rowNumberOf, sendPage } from './page.ts';
import { stateMark } from './source-states.ts';
import { countOf, countText, shellWord, spanText, timeOf } from './words.ts';

const PAGE_SIZE = 25;
const parameters = ['runs_before', 'rounds_before', 'found'];

type Query = Readonly<Record<string, unknown>>;

/** `/checks`: what was read a second time, and with what result. */
export const checkPages = (pages: FastifyInstance, frame: Frame, operations: Operations): void => {
  pages.get<{ Querystring: Query }>('/checks', { schema: hidden }, async (request, reply) => {
    const { query } = request;
    const [unknown] = unknownIn(query, parameters);
    if (unknown !== undefined) throw httpError(400, unknown);
    const asked = { runsBefore: rowNumberOf(query['runs_before']), roundsBefore: rowNumberOf(query['rounds_before']) };
    const found = query['found'] === 'true';
    const { pool } = operations;
    const [runs, rounds, totals] = await Promise.all([
      readVerifyRuns(pool, { before: asked.runsBefore, limit: PAGE_SIZE, found }),
      readScrubRounds(pool, { before: asked.roundsBefore, limit: PAGE_SIZE, found }),
      readScrubTotals(pool),
    ]);
    const body = checksBody({ runs, rounds, totals, found, ...asked });
    return sendPage(request, reply, frame, { title: 'Checks', current: OPERATIONS_PATH, body });
  });
};

interface ChecksView {
  readonly runs: CheckPage<VerifyRun>;
  readonly rounds: CheckPage<ScrubRoundResult>;
  readonly totals: ScrubTotals;
  readonly found: boolean;
  readonly runsBefore: number | undefined;
  readonly roundsBefore: number | undefined;
}

const checksBody = (view: ChecksView): Html => html`<div class="stack">
${operationsHead('/checks', 'Checks')}
<p class="hint">History that was read from Cloudflare a second time and compared with what is stored, entry by entry. ${
  view.found
    ? html`Only checks that found something. <a href="/checks">Show all</a>`
    : html`<a href="/checks?found=true">Show only what found something</a>`
}</p>
<section class="panel" aria-labelledby="runs"><h2 id="runs">Runs of <code>orgtrail verify</code></h2>
${view.runs.rows.length === 0 ? noRuns(view) : runsTable(view.runs.rows)}${pager(view, 'runs', 'Pages of runs')}</section>
<section class="panel" aria-labelledby="rounds"><h2 id="rounds">Rounds of the daemon (scrub)</h2>
<p class="hint">${totalsText(view.totals)}</p>
${view.rounds.rows.length === 0 ? noRounds(view) : roundsTable(view.rounds.rows)}${pager(view, 'rounds', 'Pages of rounds')}</section>
${meaningsPanel}
</div>`;

const noRuns = ({ found, runsBefore }: ChecksView): Html =>
  found || runsBefore !== undefined
    ? html`<p class="empty">None that found something.</p>`
    : html`<p class="empty">None yet. <code>orgtrail verify --since 30d --before now</code> compares the last 30 days; its result stands here.</p>`;

const noRounds = ({ found, roundsBefore }: ChecksView): Html =>
  found || roundsBefore !== undefined
    ? html`<p class="empty">None that found something.</p>`
    : html`<p class="empty">None yet. The daemon begins one when the first reading is through and the budget has requests to spare, unless <code>ORGTRAIL_SCRUB_SHARE</code> is 0.</p>`;

const totalsText = ({ sources, underWay, withFindings, missing, changed }: ScrubTotals): string => {
  if (sources === 0)
    return 'The daemon reads all of history again and again, in rounds, with requests that nothing else needs.';
  const findings =
    withFindings === 0
      ? 'None of the rounds that are kept found anything.'
      : `${countOf(withFindings, 'round')} of those kept found ${countText(missing)} missing and ${countText(changed)} changed entries, and stored them.`;
  return `Of ${countOf(sources, 'log')}; the newest round of ${countText(underWay)} is not through. ${findings}`;
};

const roundsTable = (
  rounds: readonly ScrubRoundResult[],
): Html => html`<div class="scroll" tabindex="0" role="region" aria-label="Table of rounds"><table class="sinks">
<thead><tr><th scope="col">Log</th><th scope="col">Result</th><th scope="col">Compared</th><th scope="col" class="number">Entries</th><th scope="col" class="number">Missing</th><th scope="col" class="number">Changed</th><th scope="col">Last read</th></tr></thead>
<tbody>${rounds.map(roundRow)}</tbody></table></div>`;

const roundRow = (
  round: ScrubRoundResult,
): Html => html`<tr><th scope="row"><a href="${sourceHref(round.sourceKind, round.sourceId)}">${round.name ?? round.sourceId}</a>
<p class="sub">${round.sourceKind}, round ${round.round}</p></th><td>${roundState(round)}</td>
<td>${timeOf(round.since)}<p class="sub">to ${timeOf(round.before)}</p></td><td class="number">${countText(round.compared)}</td>
<td class="number">${countText(round.missing)}</td><td class="number">${countText(round.changed)}</td>
<td>${timeOf(round.lastReadAt)}<p class="sub">${round.endedAt === null ? null : `took ${spanText((round.endedAt.getTime() - round.beganAt.getTime()) / 1_000)}, `}by ${round.doneBy ?? round.doneAs}</p></td></tr>`;

const roundState = ({ endedAt, share, missing, changed }: ScrubRoundResult): Html => {
  const state =
    missing + changed > 0 ? html`<span class="state state-incomplete">found, stored</span>` : stateMark('ok');
  return endedAt === null
    ? html`${state}<p class="sub">${Math.min(99, Math.floor(share * 100))} % of its time read</p>`
    : state;
};

const pager = (view: ChecksView, which: 'runs' | 'rounds', name: string): Html | null => {
  const { nextBefore } = view[which];
  const isFirst = view[which === 'runs' ? 'runsBefore' : 'roundsBefore'] === undefined;
  if (nextBefore === undefined && isFirst) return null;
  const href = (before: number | undefined): string => {
    const query = new URLSearchParams(view.found ? { found: 'true' } : {});
    if (before !== undefined) query.set(`${which}_before`, String(before));
    return `/checks?${query}#${which}`;
  };
  return html`<nav class="row pager" aria-label="${name}">${isFirst ? null : html`<a class="button" href="${href(undefined)}">Newest</a>`}
${nextBefore === undefined ? null : html`<a class="button" rel="next" href="${href(nextBefore)}">Older</a>`}</nav>`;
};

/** Logs whose differences are listed; the command repairs all. */
const SHOWN = 5;

const sourceHref = (kind: string, id: string): string =>
  `/${kind === 'organization' ? 'organizations' : 'accounts'}/${encodeURIComponent(id)}`;

const runsTable = (
  runs: readonly VerifyRun[],
): Html => html`<div class="scroll" tabindex="0" role="region" aria-label="Table of runs"><table class="sinks">
<thead><tr><th scope="col">Ended</th><th scope="col">Result</th><th scope="col">Compared</th><th scope="col" class="number">Entries</th><th scope="col" class="number">Missing</th>
<th scope="col" class="number">Changed</th><th scope="col" class="number">Extra</th><th scope="col" class="number">Fixed</th></tr></thead>
<tbody>${runs.map(runRows)}</tbody></table></div>`;

const fixedOf = ({ fixedMissing, fixedChanged }: VerifyRun): number => fixedMissing + fixedChanged;
const leftOf = (run: VerifyRun): number => run.missing + run.changed - fixedOf(run);

const runRows = (
  run: VerifyRun,
): Html => html`<tr><th scope="row">${timeOf(run.endedAt ?? run.beganAt)}<p class="sub">by ${run.doneBy ?? run.doneAs}${run.doneBy === null ? null : html`, database account ${run.doneAs}`}</p></th>
<td>${runState(run)}</td><td>${timeOf(run.since)}<p class="sub">to ${timeOf(run.before)}, ${countOf(run.sources, 'log')}</p></td>
<td class="number">${countText(run.compared)}</td><td class="number">${countText(run.missing)}</td><td class="number">${countText(run.changed)}</td>
<td class="number">${countText(run.extra)}</td><td class="number">${countText(fixedOf(run))}</td></tr>
${run.findings.length === 0 ? null : html`<tr><td colspan="8">${findingsOf(run)}</td></tr>`}`;

const runState = (run: VerifyRun): Html => {
  if (leftOf(run) > 0) return html`<span class="state state-failing">found, not repaired</span>`;
  if (run.failed > 0) return html`<span class="state state-incomplete">not compared to the end</span>`;
  if (fixedOf(run) > 0) return html`<span class="state state-fresh">found, repaired</span>`;
  return run.extra > 0 ? html`<span class="state state-incomplete">extra entries</span>` : stateMark('ok');
};

const findingsOf = (run: VerifyRun): Html => {
  const more = run.findings.length - SHOWN;
  return html`<ul class="points">${run.findings.slice(0, SHOWN).map(findingItem)}</ul>
${more > 0 ? html`<p class="sub">and ${countOf(more, 'more log')}</p>` : null}
${leftOf(run) + run.failed === 0 ? null : html`<pre class="text" tabindex="0" role="region" aria-label="Command for the run of ${(run.endedAt ?? run.beganAt).toISOString()}">${commandOf(run)}</pre>`}`;
};

const findingItem = (finding: CheckFinding): Html => {
  const { kind, id, missing, changed, extra, fixed, ids, failure } = finding;
  const counts = [
    [missing, 'missing'],
    [changed, 'changed'],
    [extra, 'extra'],
    [fixed, 'repaired'],
  ] as const;
  const words = counts.flatMap(([count, word]) => (count > 0 ? [`${countText(count)} ${word}`] : []));
  return html`<li><a href="${sourceHref(kind, id)}">${id}</a> ${words.join(', ')}${ids.length === 0 ? null : html` <span class="sub mono">${ids.join(' ')}</span>`}
${failure === undefined ? null : html`<p class="error-text">${failure}</p>`}</li>`;
};

/** The same time again, of the logs that differ; of very many, of all. */
const commandOf = (run: VerifyRun): string => {
  const ids = (kind: 'organization' | 'account'): string => {
    const of = run.findings.filter((finding) => (finding.kind === 'organization') === (kind === 'organization'));
    return of.length === 0 ? '' : ` --${kind} ${of.map(({ id }) => shellWord(id)).join(' ')}`;
  };
  const named = run.findings.length < 20 ? `${ids('organization')}${ids('account')}` : '';
  return `orgtrail verify --since ${instant(run.since)} --before ${instant(run.before)}${named} --fix`;
};

const instant = (time: Date): string => time.toISOString().replace('.000Z', 'Z');

const meaningsPanel = html`<section class="panel" aria-labelledby="meanings"><h2 id="meanings">What a finding means</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of findings"><table>
<thead><tr><th scope="col">Finding</th><th scope="col">It means</th><th scope="col">What repairs it</th></tr></thead>
<tbody>
<tr><th scope="row">Missing</th><td>Cloudflare serves the entry, and it was not stored: removed from the database by hand, later than all passes of <code>ORGTRAIL_SETTLE</code>, or read wrongly. In a run over time that is not collected yet it is only that.</td><td>A round stores it at once. A run stores it with <code>--fix</code>.</td></tr>
<tr><th scope="row">Changed</th><td>Cloudflare serves the entry with other content than all that is stored of it. What was stored first stays as it is.</td><td>A round records the other content at once, a run with <code>--fix</code>; the event's page then shows the difference.</td></tr>
<tr><th scope="row">Extra</th><td>The entry is stored, and Cloudflare no longer serves it.</td><td>Nothing is to be repaired: what is stored is kept, and is now the only copy.</td></tr>
<tr><th scope="row">Not compared to the end</th><td>A log could not be read up to the end of the time, or the run was stopped; nothing is known of the rest.</td><td>The same run again, once the reason that it names is gone.</td></tr>
</tbody></table></div>
<p class="hint">A finding without an explanation is worth one: compare with the trail of the database, and with <a href="/evidence-log">the evidence</a>. These results are what the processes of orgtrail noted themselves; who holds the account of the daemon could note others. The newest are kept: 1,000 runs, and of each log 3 rounds and 20 that found something.</p></section>`;
