import { BusyError } from '../../../base/errors.ts';
import type { OrganizationName } from '../../../search/names/names.ts';
import type { SearchFault } from '../../../search/query/search.ts';
import { detectionTitle, severities } from '../../../sinks/findings/finding.ts';
import {
  type EventMark,
  type FindingCount,
  type FindingGroup,
  type FindingList,
  type ListedFinding,
  readEventMarks,
} from '../../../sinks/findings/list-findings.sql.ts';
import { canBeMuted, type DetectionMute } from '../../../sinks/findings/mutes.sql.ts';
import type { OwnDetection } from '../../../sinks/findings/own-detections.sql.ts';
import { type DetectionRule, detectionRules, ruleNamed } from '../../../sinks/findings/rules.ts';
import { type Html, html } from '../html.ts';
import type { Operations } from '../operations.ts';
import { countOf, countText, instantOf, timeOf, zoneLabel } from '../words.ts';

export const detectionsBody = (view: DetectionsView): Html => html`<div class="stack">
<div class="row between"><h1>Detections</h1><p class="muted">What to look at first among all that is stored. <a href="#rules">What each rule means</a></p></div>
${filterForm(view)}
${view.failure === undefined ? null : html`<p class="fault" role="alert">${view.failure}.</p>`}
${view.list === undefined ? null : html`${severityTiles(view.given, view.list)}${listPanel(view, view.list)}`}
${mutesPanel(view.mutes)}
${rulesPanel(view, view.list?.counts)}
</div>`;

const filterForm = (
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
  [...detectionRules, ...view.own].map(({ name }) => name),
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

const listPanel = (view: DetectionsView, list: FindingList): Html => {
  const { given } = view;
  const { findings, counts, lookedSince } = list;
  const asked = counts
    .filter(({ severity }) => given.severity === '' || given.severity === severity)
    .filter(({ detection }) => given.detection === '' || given.detection === detection);
  const isOfActor = given.actor !== '';
  const all = isOfActor ? list.groups.reduce((sum, { found }) => sum + found, 0) : shownOf(given, asked);
  // Of one rule, each; of all, what a rule found of an actor in one row.
  const isGrouped = given.detection === '' && !isOfActor && findings.length > 0;
  return html`<section class="panel" aria-labelledby="findings"><h2 id="findings">${lookedSince === null || all === 0 ? null : 'At least '}${countOf(all, 'finding')}</h2>
${isOfActor ? html`<p class="hint">Of <strong>${given.actor}</strong>. <a href="${detectionsHref(given, { actor: '' })}">Of all actors</a></p>` : null}
${lookedNote(given, lookedSince)}
${isOfActor ? null : mutedNote(given, asked)}
${findings.length === 0 ? empty(view, all, asked) : isGrouped ? groupTable(given, list) : table(list)}
${isGrouped ? null : pager(view, all)}</section>`;
};

const MAX_GROUPS = 200;

const groupTable = (
  given: DetectionsGiven,
  { groups, seen }: FindingList,
): Html => html`<div class="scroll" tabindex="0" role="region" aria-label="Table of findings"><table class="sinks cards">
<thead><tr><th scope="col">Last (${zoneLabel()})</th><th scope="col">Severity</th><th scope="col">Finding</th><th scope="col" class="number">Found</th><th scope="col">Actor</th><th scope="col">Organization or account</th></tr></thead>
<tbody>${groups.slice(0, MAX_GROUPS).map((group) => groupRow(given, group, seen))}</tbody></table></div>
${groups.length > MAX_GROUPS ? html`<p class="hint">And ${countOf(groups.length - MAX_GROUPS, 'more row')}: choose a rule or a severity.</p>` : null}`;

const groupRow = (
  given: DetectionsGiven,
  { detection, severity, actor, found, first, last, summary, owners, muted }: FindingGroup,
  seen: number,
): Html => html`<tr><th scope="row">${instantOf(last)}${found > 1 ? html`<p class="sub">since ${instantOf(first)}</p>` : null}</th>
<td data-label="Severity">${severityMark(severity)}${muted || !canBeMuted(detection) ? null : hideLinks(detection, actor, seen)}</td>
<td class="finding" data-label="Finding">${ruleLink(detection)}${muted ? html` <span class="muted">(muted)</span>` : null}<p class="sub">${found > 1 ? 'last: ' : null}${summary}</p></td>
<td class="number" data-label="Found"><a href="${detectionsHref(given, { detection, actor: actor ?? '' })}" aria-label="${countOf(found, 'finding')}: ${detectionTitle(detection)} by ${actor ?? 'no actor'}">${countText(found)}</a></td>
<td class="actor" data-label="Actor">${actor === null ? null : html`<a href="/actors/${encodeURIComponent(actor)}">${actor}</a>`}</td>
<td data-label="In">${owners.slice(0, MAX_NAMED_OWNERS).join(', ')}${owners.length > MAX_NAMED_OWNERS ? ' and others' : null}</td></tr>`;

const MAX_NAMED_OWNERS = 3;

const hideLinks = (detection: string, actor: string | null, seen: number): Html =>
  html`<p class="sub hide-links"><a href="${hideHref('acknowledge', detection, actor ?? undefined, seen)}" aria-label="Acknowledge ${detectionTitle(detection)} by this actor">Acknowledge</a> · <a href="${hideHref('mute', detection, actor ?? undefined, seen)}" aria-label="Mute ${detectionTitle(detection)} by this actor">Mute</a></p>`;

const lookedNote = (given: DetectionsGiven, lookedSince: string | null): Html | null =>
  lookedSince === null
    ? null
    : html`<p class="hint" role="status">The rules were asked about the time since ${instantOf(lookedSince)} only: all of it would take longer. <a href="${detectionsHref(given, { before: lookedSince })}">Look at the time before</a></p>`;

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

const table = ({
  findings,
  seen,
}: FindingList): Html => html`<div class="scroll" tabindex="0" role="region" aria-label="Table of findings"><table class="sinks cards">
<thead><tr><th scope="col">Time (${zoneLabel()})</th><th scope="col">Severity</th><th scope="col">Finding</th><th scope="col">Actor</th><th scope="col">Organization or account</th></tr></thead>
<tbody>${findings.map((finding) => findingRow(finding, seen))}</tbody></table></div>`;

const findingRow = (
  finding: ListedFinding,
  seen: number,
): Html => html`<tr><th scope="row"><a href="${eventHref(finding)}">${instantOf(finding.actionTime)}</a></th>
<td data-label="Severity">${severityMark(finding.severity)}${finding.muted || !canBeMuted(finding.detection) ? null : hideLinks(finding.detection, finding.actor, seen)}</td>
<td class="finding" data-label="Finding">${ruleLink(finding.detection)}${finding.muted ? html` <span class="muted">(muted)</span>` : null}<p class="sub">${finding.summary}</p>${finding.events > 1 ? html`<p class="sub"><a href="${burstHref(finding)}">its events</a>, since ${instantOf(finding.firstTime)}</p>` : null}</td>
<td class="actor" data-label="Actor">${finding.actor === null ? null : html`<a href="/actors/${encodeURIComponent(finding.actor)}">${finding.actor}</a>`}${finding.actorIpAddress === null ? null : html`<p class="sub address">${finding.actorIpAddress}</p>`}</td>
<td data-label="In">${finding.organizationId === null ? finding.ownerName : html`<a href="/organizations/${encodeURIComponent(finding.organizationId)}">${finding.ownerName}</a>`}</td></tr>`;

/** By the entry, the same in any database: the position of a burst is that of another event. */
const eventHref = ({ sourceKind, sourceId, id }: ListedFinding): string =>
  `/events/entry?${new URLSearchParams({ kind: sourceKind, source: sourceId, id })}`;

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

const rulesPanel = ({ given, own }: DetectionsView, counts: readonly FindingCount[] | undefined): Html => {
  const isShown = ({ name }: { readonly name: string }) => given.detection === '' || given.detection === name;
  const shown = detectionRules.filter(isShown);
  return html`<section class="panel" aria-labelledby="rules"><h2 id="rules">What the rules mean</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of rules"><table class="sinks">
<thead><tr><th scope="col">Rule</th><th scope="col">Severity</th><th scope="col" class="number">Found</th><th scope="col">Means</th><th scope="col">Also finds</th></tr></thead>
<tbody>${own.filter(isShown).map((rule) => ownRow(rule, given, counts))}${shown.map((rule) => ruleRow(rule, given, counts))}</tbody></table></div>
<p class="hint">docs/detections.md has all of it: what is known of Cloudflare's words, other thresholds, rules of your own.</p></section>`;
};

const ownRow = (
  { name, says, faults }: OwnDetection,
  given: DetectionsGiven,
  counts: readonly FindingCount[] | undefined,
): Html => html`<tr id="rule-${name}"><th scope="row">${detectionTitle(name)}<p class="sub mono">orgtrail_detections.${name}</p><p class="sub"><a href="${hideHref('mute', name, undefined)}" aria-label="Mute ${detectionTitle(name)}">Mute</a></p></th><td>yours</td>
<td class="number">${foundCell(name, given, counts)}</td><td>${says}${faults.map((fault) => html`<p class="fault">${fault}</p>`)}</td><td></td></tr>`;

const foundCell = (
  name: string,
  given: DetectionsGiven,
  counts: readonly FindingCount[] | undefined,
): Html | string => {
  if (counts === undefined) return html`<span class="muted">–</span>`;
  const found = shownOf(
    given,
    counts.filter(({ detection }) => detection === name),
  );
  return found === 0 ? '0' : html`<a href="${detectionsHref(given, { detection: name })}">${countText(found)}</a>`;
};

const ruleRow = (
  { name, severity, what, alsoFinds, sigma }: DetectionRule,
  given: DetectionsGiven,
  counts: readonly FindingCount[] | undefined,
): Html => html`<tr id="rule-${name}"><th scope="row">${detectionTitle(name)}<p class="sub mono">detection_${name}</p>${canBeMuted(name) ? html`<p class="sub"><a href="${hideHref('mute', name, undefined)}" aria-label="Mute ${detectionTitle(name)}">Mute</a></p>` : null}</th><td>${severityMark(severity)}</td>
<td class="number">${foundCell(name, given, counts)}</td>
<td>${what}.<p class="sub">${sigma === undefined ? 'No Sigma rule: Sigma cannot ask for what was not there before.' : html`Sigma: <span class="mono">${sigma}</span>`}</p></td><td>${alsoFinds}</td></tr>`;

export const PAGE_SIZE = 50;
export const MAX_PAGE = 20;

export interface DetectionsGiven {
  readonly since: string;
  readonly before: string;
  readonly organization: string;
  readonly severity: string;
  readonly detection: string;
  readonly actor: string;
  /** `shown`: muted ones are listed and counted, too. */
  readonly muted: string;
}

export interface DetectionsView {
  readonly given: DetectionsGiven;
  readonly page: number;
  readonly faults: readonly SearchFault[];
  readonly organizations: readonly OrganizationName[];
  readonly list: FindingList | undefined;
  readonly mutes: readonly DetectionMute[];
  readonly own: readonly OwnDetection[];
  readonly failure: string | undefined;
  readonly nowMs: number;
}

const detectionsHref = (given: DetectionsGiven, change: Partial<DetectionsGiven>, page = 1): string => {
  const parameters = new URLSearchParams(Object.entries({ ...given, ...change }).filter(([, value]) => value !== ''));
  if (page > 1) parameters.set('page', String(page));
  const text = parameters.toString();
  return text === '' ? '/detections' : `/detections?${text}`;
};

export const muteSpans = [1, 7, 30, 90] as const;
export const MAX_REASON = 1_000;

/** `acknowledge`: what has been found up to now. `mute`: what will be found as well. */
export type Hiding = 'mute' | 'acknowledge';

const hidingTitles = { mute: 'Mute', acknowledge: 'Acknowledge' } as const;

/** In the address a name stays what it is; in a field, deceptive characters would be shown as escapes. */
const hideHref = (hiding: Hiding, detection: string, actor: string | undefined, seen?: number): string =>
  `/detections/${hiding}?${new URLSearchParams({ detection, ...(actor !== undefined && { actor }), ...(seen !== undefined && { seen: String(seen) }) })}`;

interface HideView {
  readonly hiding: Hiding;
  readonly detection: string;
  readonly actor: string | undefined;
  /** The head of the feed when the list was read. */
  readonly seen: number;
  /** Undefined: not signed in, and may not. */
  readonly who: string | undefined;
  readonly reason?: string;
  readonly fault?: string;
}

export const hideBody = (view: HideView): Html => {
  const title = detectionTitle(view.detection);
  return html`<div class="stack"><p class="crumbs"><a href="/detections">Detections</a></p><h1>${hidingTitles[view.hiding]} ${title}</h1>
<section class="panel" aria-labelledby="what"><h2 id="what">What it does</h2><div class="stack">
<p><strong>${title}</strong>: ${ruleNamed(view.detection)?.what ?? 'a detection of your own'}.</p>
<ul class="points"><li>The list of findings and its counts leave out ${view.hiding === 'mute' ? 'what is muted' : 'what has been found up to now; what is found later is shown'}, in every session of this console. It stays stored, and the list shows it on request.</li>
<li>Nothing else changes: sinks, the feed, SQL, Sigma and the marks of events know nothing of it.</li>
<li>Your name, ${view.hiding === 'mute' ? 'the reason' : 'the note'} and the time are kept, here and in the trail of access.</li></ul></div></section>
${view.who === undefined ? mustSignIn : hideForm(view, view.who)}</div>`;
};

const mustSignIn = html`<p class="fault">It needs a signed-in user, so that it is known who did it: set <code>ORGTRAIL_FEED_TOKEN</code>, or make a token with <code>orgtrail token create NAME --scope search</code>, and sign in.</p>`;

const hideForm = ({ hiding, detection, actor, seen, reason, fault }: HideView, who: string): Html =>
  html`<form class="panel stack" method="post" action="${hideHref(hiding, detection, actor, seen)}" aria-label="${hidingTitles[hiding]}">
${fault === undefined ? null : html`<p class="fault" role="alert" id="mute-fault">${fault}</p>`}
${actor === undefined ? html`<p>All findings of this rule.</p>` : html`<p>Findings of this rule by <strong>${actor}</strong> alone. <a href="${hideHref(hiding, detection, undefined, seen)}">Of all actors instead</a></p>`}
<div class="field"><label for="reason">${hiding === 'mute' ? 'Reason' : 'Note'}</label><input id="reason" name="reason" type="text" maxlength="${MAX_REASON}" required value="${reason ?? ''}" autocomplete="off"${fault === undefined ? null : html` aria-invalid="true" aria-describedby="mute-fault"`}></div>
${hiding === 'acknowledge' ? null : html`<div class="field"><label for="days">For</label><select id="days" name="days">${muteSpans.map((days) => html`<option value="${days}"${days === 7 ? html` selected` : null}>${days === 1 ? '1 day' : `${days} days`}</option>`)}<option value="">until it is unmuted</option></select></div>`}
<div class="row"><button class="primary" type="submit">${hidingTitles[hiding]} as ${who}</button><a class="button" href="/detections">Cancel</a></div></form>`;

export const unmuteBody = (mute: DetectionMute, who: string | undefined): Html =>
  html`<div class="stack"><p class="crumbs"><a href="/detections">Detections</a></p><h1>Unmute ${detectionTitle(mute.detection)}</h1>
<section class="panel" aria-labelledby="what"><h2 id="what">What is muted</h2><p>${scopeOf(mute)}. Reason: ${mute.reason}</p></section>
${
  who === undefined
    ? mustSignIn
    : html`<form class="panel" method="post" action="/detections/mutes/${mute.id}/end" aria-label="Unmute"><div class="row"><button class="primary" type="submit">Unmute as ${who}</button><a class="button" href="/detections">Cancel</a></div></form>`
}</div>`;

const scopeOf = ({ actor }: DetectionMute): Html =>
  actor === null ? html`All findings of the rule` : html`Findings by <strong>${actor}</strong>`;

const mutesPanel = (mutes: readonly DetectionMute[]): Html | null =>
  mutes.length === 0
    ? null
    : html`<section class="panel" aria-labelledby="mutes"><h2 id="mutes">Muted or acknowledged</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Table of mutes"><table class="sinks">
<thead><tr><th scope="col">Rule</th><th scope="col">What</th><th scope="col">Reason</th><th scope="col">By</th><th scope="col">Until</th><th scope="col">Action</th></tr></thead>
<tbody>${mutes.map(
        (mute) =>
          html`<tr><th scope="row">${detectionTitle(mute.detection)}</th><td>${scopeOf(mute)}</td><td>${mute.reason}</td>
<td>${mute.createdBy}<p class="sub">${timeOf(mute.createdAt)}</p></td><td>${mute.upToPosition !== null ? html`only what was found before <span class="muted">(acknowledged)</span>` : mute.mutedUntil === null ? 'it is unmuted' : timeOf(mute.mutedUntil)}</td>
<td><a href="/detections/mutes/${mute.id}/end" aria-label="Unmute ${detectionTitle(mute.detection)}">Unmute</a></td></tr>`,
      )}</tbody></table></div></section>`;

export interface EventMarks {
  readonly isKnown: boolean;
  of(position: number): readonly Html[];
}

/** A page without marks is worth more than an error: if they take too long, the page says so. */
export const readMarks = async (
  { slowPool }: Operations,
  events: Parameters<typeof readEventMarks>[1],
): Promise<EventMarks> => {
  const found = await readEventMarks(slowPool, events).catch((error: unknown) => {
    if (error instanceof BusyError) return undefined;
    throw error;
  });
  const byPosition = new Map<number, EventMark[]>();
  for (const mark of found ?? []) byPosition.set(mark.position, [...(byPosition.get(mark.position) ?? []), mark]);
  return { isKnown: found !== undefined, of: (position) => (byPosition.get(position) ?? []).map(eventMark) };
};

export const DETECTIONS_PATH = '/detections';

/** Colour only for what matters. */
const states: Readonly<Record<string, string>> = { critical: 'failing', high: 'behind' };

const severityMark = (severity: string): Html =>
  html`<span class="state state-${states[severity] ?? 'quiet'}">${severity}</span>`;

const ruleLink = (name: string): Html =>
  html`<a href="${DETECTIONS_PATH}?detection=${encodeURIComponent(name)}" title="${ruleNamed(name)?.what ?? ''}">${detectionTitle(name)}</a>`;

const eventMark = ({ detection, severity }: { readonly detection: string; readonly severity: string }): Html =>
  html`<a class="mark mark-${severity in states ? 'defect' : 'changed'}" href="${DETECTIONS_PATH}?detection=${encodeURIComponent(detection)}" title="${severity}: ${ruleNamed(detection)?.what ?? ''}">detection: ${detectionTitle(detection)}</a>`;
