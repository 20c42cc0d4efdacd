import { formatDuration } from '../../../base/time.ts';
import type { SearchCoverage } from '../../../search/answer.ts';
import type { EntityKind, EntityReport, NewsField } from '../../../search/entities.ts';
import type { Search } from '../../../search/query/search.ts';
import type { TermField } from '../../../search/query/terms.ts';
import type { SearchSummary } from '../../../search/summary/summary.ts';
import { entityHref, linkOf, withinTime, withTerm } from '../event-links.ts';
import { coverageOf } from '../events/search-verdict.ts';
import { type Html, html } from '../html.ts';
import { facetsPanel, histogramOf } from '../summary.ts';
import { countOf, countText, instantOf, shortened, zoneLabel } from '../words.ts';

interface EntityView {
  readonly kind: EntityKind;
  readonly value: string;
  readonly search: Search;
  readonly report: EntityReport;
  readonly summary: SearchSummary;
  readonly coverage: SearchCoverage;
  readonly nowMs: number;
}

export const entityNames: Readonly<Record<EntityKind, string>> = {
  actors: 'Actor',
  addresses: 'Address',
  tokens: 'Token',
  resources: 'Resource',
};

const spans = ['7d', '30d', '90d', '365d'] as const;

export const entityBody = (view: EntityView): Html => {
  const { kind, value, search, summary, report, coverage, nowMs } = view;
  return html`<div class="stack entity">
<p class="crumbs"><a href="/events">Events</a></p>
<div class="row between"><h1>${value}</h1><p class="row"><span class="muted">Last</span> ${spans.map((span) => html`<a href="${entityHref(kind, value)}?since=${span}"${search.since?.text === span ? html` aria-current="true"` : null}>${span}</a> `)}<a class="quiet-button" href="${linkOf(search)}">All events</a></p></div>
<p><span class="muted">${entityNames[kind]}</span> ${seenLine(report)}</p>
${coverageOf(coverage, search, nowMs)}
<section class="panel summary" aria-label="Summary">
<p class="match-count"><strong>${summary.count.isAtLeast ? 'At least ' : ''}${countOf(summary.count.events, 'event')}</strong> in this time</p>
${histogramOf({ search, count: summary.count, gaps: coverage.gaps })}
${facetsPanel({ search, facets: summary.facets, organizations: [], accounts: [], exactLink: `${linkOf(search)}&exact=true`, isExact: false })}
</section>
${report.looked === 0 ? html`<p class="empty">No event of this time. Another time may have some.</p>` : rest(view)}
</div>`;
};

const rest = (view: EntityView): Html => html`${sampleNote(view.report)}
<div class="grid-main">${newsPanel(view)}${hoursTable(view.report.hours)}</div>
${sessionsPanel(view)}`;

const seenLine = ({ firstSeen, lastSeen }: EntityReport): Html =>
  firstSeen === null || lastSeen === null
    ? html``
    : html`first seen <span class="mono">${instantOf(firstSeen)}</span>, last seen <span class="mono">${instantOf(lastSeen)}</span>, of all that is stored`;

export const sampleNote = ({ isSample, looked, lookedSince }: EntityReport): Html | null =>
  isSample && lookedSince !== null
    ? html`<p class="muted">What follows is about the newest ${countText(looked)} events, back to ${instantOf(lookedSince)}.</p>`
    : null;

const NEWS_MS = 7 * 86_400_000;

const newsNames: Readonly<Record<NewsField, string>> = {
  ip: 'address',
  agent: 'user agent',
  token: 'token',
  actor: 'actor',
  organization: 'organization',
  account: 'account',
  action: 'action',
  resource_type: 'resource type',
  country: 'country',
  network: 'network owner',
};

/** `kind`: of the page of one entity, which is no news itself. */
export const newsPanel = ({
  kind,
  search,
  report,
  nowMs = 0,
}: Pick<EntityView, 'search' | 'report'> & Partial<Pick<EntityView, 'kind' | 'nowMs'>>): Html => {
  const own: readonly NewsField[] =
    kind === 'actors' ? ['actor'] : kind === 'addresses' ? ['ip'] : kind === 'tokens' ? ['token'] : [];
  const news = report.news.filter(({ field }) => !own.includes(field));
  const isNew = kind !== undefined && Date.parse(report.firstSeen ?? '') > nowMs - NEWS_MS;
  const empty = isNew
    ? html`<p class="muted">It was first seen less than a week ago itself, of all that is stored: all that it does is new.</p>`
    : report.canTellNews
      ? html`<p class="muted">Nothing: every address, agent, organization and kind of action of the last 7 days also occurs before them.</p>`
      : html`<p class="muted">What was looked at begins less than a week ago, so nothing can be told apart as new.</p>`;
  return html`<section class="panel" aria-label="New in the last 7 days"><h2>New in the last 7 days</h2>
${
  news.length === 0
    ? empty
    : html`<ul class="news">${news.map(
        ({ field, value, name, events, first }) =>
          html`<li><span class="muted">${newsNames[field]}</span> <a href="${linkOf(withTerm(search, field as TermField, value, false))}">${shortened(name ?? value, 100)}</a> <span class="muted">${countOf(events, 'event')}, first ${instantOf(first)}</span></li>`,
      )}</ul>`
}</section>`;
};

const sessionsPanel = ({ search, report }: EntityView): Html =>
  html`<section class="panel" aria-label="Sessions"><h2>Sessions</h2><p class="hint">Events without a pause of 30 minutes between them; the newest 20.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Table of sessions"><table><thead><tr><th scope="col">Begins (${zoneLabel()})</th><th scope="col">Lasts</th><th scope="col" class="number">Events</th><th scope="col" class="number">Failed</th><th scope="col">Addresses</th></tr></thead>
<tbody>${report.sessions.map(({ first, last, events, failures, addresses }) => {
    const [firstMs, lastMs] = [Date.parse(first), Date.parse(last)];
    return html`<tr><th scope="row"><a class="nowrap" href="${linkOf(withinTime(search, firstMs, lastMs + 1_000))}">${instantOf(first)}</a></th><td class="nowrap">${lastMs === firstMs ? 'a moment' : formatDuration(lastMs - firstMs)}</td><td class="number">${countText(events)}</td><td class="number">${failures === 0 ? '–' : countText(failures)}</td><td>${addresses.join(', ')}</td></tr>`;
  })}</tbody></table></div></section>`;

const days = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const;
const LEVELS = 4;

/** Darker cells have more; the numbers are titles, and text for screen readers. */
const hoursTable = (hours: readonly (readonly number[])[]): Html => {
  const most = Math.max(1, ...hours.flat());
  const level = (events: number): number => (events === 0 ? 0 : Math.ceil((events / most) * LEVELS));
  return html`<section class="panel" aria-label="Usual hours"><h2>Usual hours</h2><p class="hint">UTC; darker: more events.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Table of usual hours"><table class="hours"><thead><tr><th scope="col"><span class="unseen">Day</span></th>${Array.from({ length: 24 }, (_, hour) => html`<th scope="col">${hour % 6 === 0 ? hour : html`<span class="unseen">${hour}</span>`}</th>`)}</tr></thead>
<tbody>${days.map(
    (day, index) =>
      html`<tr><th scope="row">${day}</th>${(hours[index] ?? []).map(
        (events, hour) =>
          html`<td class="level-${level(events)}" title="${day} ${hour}:00, ${countOf(events, 'event')}"><span class="unseen">${events}</span></td>`,
      )}</tr>`,
  )}</tbody></table></div></section>`;
};
