import { detectionTitle, severities } from '../../../findings/finding.ts';
import type { FindingCount, FindingList, ListedFinding } from '../../../findings/list-findings.sql.ts';
import { canBeMuted } from '../../../findings/mutes.sql.ts';
import { detectionRules } from '../../../findings/rules.ts';
import { type Html, html } from '../html.ts';
import { countOf, countText, instantOf, zoneLabel } from '../words.ts';
import { ruleLink, severityMark } from './detection-words.ts';
import { type DetectionsGiven, type DetectionsView, detectionsHref, MAX_PAGE, PAGE_SIZE } from './detections-view.ts';
import { muteHref, mutesPanel } from './mute-pages.ts';
import { rulesPanel } from './rules-panel.ts';

/** What the detections find: by severity, as a list, and by rule with what each means. */
export const detectionsBody = (view: DetectionsView): Html => html`<div class="stack">
<div class="row between"><h1>Detections</h1><p class="muted">What to look at first among all that is stored. <a href="#rules">What each rule means</a></p></div>
${form(view)}
${view.failure === undefined ? null : html`<p class="fault" role="alert">${view.failure}.</p>`}
${view.list === undefined ? null : html`${severityTiles(view.given, view.list)}${listPanel(view, view.list)}`}
${mutesPanel(view.mutes)}
${rulesPanel(view.given, view.list?.counts)}
</div>`;

const form = (
  view: DetectionsView,
): Html => html`<form class="search panel" method="get" action="/detections" role="search" aria-label="Detections">
<div class="search-more">
${field(view, 'since', 'Since', '24h, 7d, 2026-01-31')}
${field(view, 'before', 'Before', 'now')}
${field(view, 'organization', 'Organization', 'name or id', 'organizations')}
${choice(view.given.severity, 'severity', 'Severity', [...severities].reverse())}
${choice(
  view.given.detection,
  'detection',
  'Rule',
  detectionRules.map(({ name }) => name),
  detectionTitle,
)}
</div>
<div class="row"><button class="primary" type="submit">Show</button><a class="button" href="/detections">Clear</a>
<p class="quick-times"><span class="muted">Last</span>${(['24h', '7d', '31d'] as const).map((since) => html` <a href="${detectionsHref(view.given, { since, before: '' })}">${since}</a>`)}</p></div>
<datalist id="organizations">${view.organizations.map(({ id, name }) => html`<option value="${name ?? id}">${name === null ? '' : id}</option>`)}</datalist>
</form>`;

const field = (
  { given, faults }: DetectionsView,
  name: 'since' | 'before' | 'organization',
  label: string,
  hint: string,
  list?: string,
): Html => {
  const fault = faults.find((each) => each.field === name);
  return html`<div class="field"><label for="d-${name}">${label}</label>
<input id="d-${name}" name="${name}" type="text" value="${given[name]}" placeholder="${hint}" autocomplete="off" spellcheck="false"${list === undefined ? null : html` list="${list}"`}${fault === undefined ? null : html` aria-invalid="true" aria-describedby="d-${name}-fault"`}>
${fault === undefined ? null : html`<p class="fault" id="d-${name}-fault">${label} ${fault.reason}</p>`}</div>`;
};

const choice = (
  chosen: string,
  name: string,
  label: string,
  values: readonly string[],
  titleOf = (value: string): string => value,
): Html => html`<div class="field"><label for="d-${name}">${label}</label>
<select id="d-${name}" name="${name}"><option value="">All</option>${values.map((value) => html`<option value="${value}"${value === chosen ? html` selected` : null}>${titleOf(value)}</option>`)}</select></div>`;

const severityTiles = (given: DetectionsGiven, { counts, lookedSince }: FindingList): Html =>
  html`<dl class="tiles">${[...severities].reverse().map((severity) => {
    const found = shownOf(
      given,
      counts.filter((count) => count.severity === severity),
    );
    const isChosen = given.severity === severity;
    return html`<div class="tile"><dt>${severity}</dt><dd class="tile-value">${countText(found)}</dd><dd class="tile-note">${found === 0 && !isChosen ? (lookedSince === null ? 'none in this time' : 'none so far') : html`<a href="${detectionsHref(given, { severity: isChosen ? '' : severity })}">${isChosen ? 'show all' : 'show these'}<span class="unseen"> of severity ${severity}</span></a>`}</dd></div>`;
  })}</dl>`;

const listPanel = (view: DetectionsView, { findings, counts, lookedSince }: FindingList): Html => {
  const { given } = view;
  const asked = counts
    .filter(({ severity }) => given.severity === '' || given.severity === severity)
    .filter(({ detection }) => given.detection === '' || given.detection === detection);
  const all = shownOf(given, asked);
  return html`<section class="panel" aria-labelledby="findings"><h2 id="findings">${lookedSince === null || all === 0 ? null : 'At least '}${countOf(all, 'finding')}</h2>
${lookedNote(given, lookedSince)}
${mutedNote(given, asked)}
${findings.length === 0 ? empty(view, all, asked) : table(findings)}
${pager(view, all)}</section>`;
};

/** What is older was not looked at. */
const lookedNote = (given: DetectionsGiven, lookedSince: string | null): Html | null =>
  lookedSince === null
    ? null
    : html`<p class="hint" role="status">The rules were asked about the time since ${instantOf(lookedSince)} only: all of it would take longer. <a href="${detectionsHref(given, { before: lookedSince })}">Look at the time before</a></p>`;

/** How many of them are listed: all, or those that are not muted. */
const shownOf = (given: DetectionsGiven, counts: readonly FindingCount[]): number =>
  counts.reduce((sum, { found, muted }) => sum + found - (given.muted === 'shown' ? 0 : muted), 0);

const mutedNote = (given: DetectionsGiven, counts: readonly FindingCount[]): Html | null => {
  const muted = counts.reduce((sum, count) => sum + count.muted, 0);
  if (muted === 0) return null;
  return given.muted === 'shown'
    ? html`<p class="hint">Of these, ${countText(muted)} muted. <a href="${detectionsHref(given, { muted: '' })}">Leave muted ones out</a></p>`
    : html`<p class="hint">${countOf(muted, 'more finding')} muted. <a href="${detectionsHref(given, { muted: 'shown' })}">Show muted ones, too</a></p>`;
};

const empty = ({ given, list }: DetectionsView, all: number, counts: readonly FindingCount[]): Html => {
  if (all > 0)
    return html`<p class="muted">No more of them. <a href="${detectionsHref(given, {})}">To the newest</a></p>`;
  return counts.length > 0
    ? html`<p class="empty">All that the rules found in ${(list?.lookedSince ?? null) === null ? 'this time' : 'the time that was looked at'} is muted.</p>`
    : html`<p class="empty">The rules found nothing in what is stored of ${(list?.lookedSince ?? null) === null ? 'this time' : 'the time that was looked at'}. What is not collected cannot be found: the <a href="/">overview</a> says whether all of it is.</p>`;
};

const table = (
  findings: readonly ListedFinding[],
): Html => html`<div class="scroll" tabindex="0" role="region" aria-label="Table of findings"><table class="sinks">
<thead><tr><th scope="col">Time (${zoneLabel()})</th><th scope="col">Severity</th><th scope="col">Finding</th><th scope="col">Actor</th><th scope="col">Organization or account</th></tr></thead>
<tbody>${findings.map(row)}</tbody></table></div>`;

const row = (
  finding: ListedFinding,
): Html => html`<tr><th scope="row"><a href="${eventHref(finding)}">${instantOf(finding.actionTime)}</a></th>
<td>${severityMark(finding.severity)}${finding.muted || !canBeMuted(finding.detection) ? null : html`<p class="sub"><a href="${muteHref(finding.detection, finding.actor ?? undefined)}" aria-label="Mute ${detectionTitle(finding.detection)} by this actor">Mute</a></p>`}</td>
<td>${ruleLink(finding.detection)}${finding.muted ? html` <span class="muted">(muted)</span>` : null}<p class="sub">${finding.summary}</p>${finding.events > 1 ? html`<p class="sub"><a href="${burstHref(finding)}">its events</a>, since ${instantOf(finding.firstTime)}</p>` : null}</td>
<td class="actor">${finding.actor === null ? null : html`<a href="/actors/${encodeURIComponent(finding.actor)}">${finding.actor}</a>`}${finding.actorIpAddress === null ? null : html`<p class="sub address">${finding.actorIpAddress}</p>`}</td>
<td>${finding.organizationId === null ? finding.ownerName : html`<a href="/organizations/${encodeURIComponent(finding.organizationId)}">${finding.ownerName}</a>`}</td></tr>`;

/** By what names it in any database: the position of a burst is that of another event. */
const eventHref = ({ sourceKind, sourceId, id }: ListedFinding): string =>
  `/events/entry?${new URLSearchParams({ kind: sourceKind, source: sourceId, id })}`;

/** What the actor did from the first of its events to the last. */
const burstHref = ({ firstTime, actionTime, actor }: ListedFinding): string => {
  const before = new Date(Date.parse(actionTime) + 1_000).toISOString();
  return `/events?${new URLSearchParams({ since: firstTime, before, ...(actor !== null && { actor }) })}`;
};

const pager = ({ given, page }: DetectionsView, all: number): Html | null => {
  const pages = Math.min(MAX_PAGE, Math.ceil(all / PAGE_SIZE));
  if (pages < 2) return null;
  const limit = all > MAX_PAGE * PAGE_SIZE ? `; the newest ${countText(MAX_PAGE * PAGE_SIZE)} are listed` : '';
  return html`<nav class="row pager" aria-label="Pages of findings">
${page > 1 ? html`<a class="button" rel="prev" href="${detectionsHref(given, {}, page - 1)}">Newer</a>` : null}
<span class="muted">Page ${page} of ${pages}${limit}</span>
${page < pages ? html`<a class="button" rel="next" href="${detectionsHref(given, {}, page + 1)}">Older</a>` : null}</nav>`;
};
