import type { CheckFinding, VerifyRun } from '../../../status/checks/checks.sql.ts';
import { type Html, html } from '../html.ts';
import { stateMark } from '../overview/first-reading.ts';
import { countOf, countText, timeOf } from '../words.ts';

/** Of so many logs what differs is listed; the command repairs all of them. */
const SHOWN = 5;

/** The page of an organization or account. */
export const sourceHref = (kind: string, id: string): string =>
  `/${kind === 'organization' ? 'organizations' : 'accounts'}/${encodeURIComponent(id)}`;

/** Runs of `verify`, each with what it found and the command that repairs it. */
export const runsTable = (
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
    return of.length === 0 ? '' : ` --${kind} ${of.map(({ id }) => quoted(id)).join(' ')}`;
  };
  const named = run.findings.length < 20 ? `${ids('organization')}${ids('account')}` : '';
  return `orgtrail verify --since ${instant(run.since)} --before ${instant(run.before)}${named} --fix`;
};

const instant = (time: Date): string => time.toISOString().replace('.000Z', 'Z');

/** An id that a shell would not take for itself is quoted. */
const quoted = (id: string): string => (/^[\w-]+$/.test(id) ? id : `'${id.replaceAll("'", "'\\''")}'`);
