import type { CheckPage, ScrubRoundResult, ScrubTotals, VerifyRun } from '../../../status/checks/checks.sql.ts';
import { type Html, html } from '../html.ts';
import { operationsHead } from '../operations/operations-menu.ts';
import { stateMark } from '../overview/first-reading.ts';
import { countOf, countText, spanText, timeOf } from '../words.ts';
import { meaningsPanel } from './meanings-panel.ts';
import { runsTable, sourceHref } from './runs-table.ts';

export interface ChecksView {
  readonly runs: CheckPage<VerifyRun>;
  readonly rounds: CheckPage<ScrubRoundResult>;
  readonly totals: ScrubTotals;
  /** Only those that found something. */
  readonly found: boolean;
  readonly runsBefore: number | undefined;
  readonly roundsBefore: number | undefined;
}

/** All of it: runs of `verify`, rounds of the scrub lane, and what a finding means. */
export const checksBody = (view: ChecksView): Html => html`<div class="stack">
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
