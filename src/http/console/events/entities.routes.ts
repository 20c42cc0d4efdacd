import type { FastifyInstance } from 'fastify';
import type { StreamLimits } from '../../../base/limits.ts';
import { formatDuration } from '../../../base/time.ts';
import type { SearchCoverage } from '../../../search/answer.ts';
import {
  type EntityKind,
  type EntityReport,
  entityKinds,
  entitySearch,
  type NewsField,
} from '../../../search/entities.ts';
import { faultsInWords, fixTimes, readSearch, type Search, searchFields } from '../../../search/query/search.ts';
import type { TermField } from '../../../search/query/terms.ts';
import { resolveNames } from '../../../search/run-search.ts';
import type { SearchSource } from '../../../search/search-source.ts';
import type { SearchSummary } from '../../../search/summary/summary.ts';
import { startStreaming } from '../../access-trail.ts';
import { goneSignal, httpError, inPlace } from '../../failure.ts';
import { entityHref, linkOf, withinTime, withTerm } from '../event-links.ts';
import { type Html, html } from '../html.ts';
import { type Frame, hidden, sendPage } from '../page.ts';
import { chipsOf, facetsPanel, histogramOf } from '../summary.ts';
import { countOf, countText, instantOf, shortened, zoneLabel } from '../words.ts';
import { searchesMenu } from './saved.routes.ts';
import { coverageOf } from './search-verdict.ts';

const DEFAULT_SINCE = '90d';
const MAX_GAPS = 100;
const MAX_VALUE = 2_000;

/** `/actors/…`, `/addresses/…`, `/tokens/…` and `/resources/…`: one of them across all organizations. */
export const entityRoutes = (
  pages: FastifyInstance,
  frame: Frame,
  { search: source, streams }: { readonly search: SearchSource; readonly streams: StreamLimits },
): void => {
  for (const kind of entityKinds) {
    pages.get<{ Params: { '*': string }; Querystring: { since?: unknown } }>(
      `/${kind}/*`,
      { schema: hidden, config: { trail: 'search' } },
      (request, reply) =>
        inPlace(streams, reply, async () => {
          const value = request.params['*'];
          const { since = DEFAULT_SINCE } = request.query;
          const nowMs = Date.now();
          const { search: time, faults } = readSearch({ since }, nowMs);
          const [fault] = faults;
          if (fault !== undefined) throw httpError(400, `since ${fault.reason}.`);
          if (value === '' || value.length > MAX_VALUE) throw httpError(404, `${entityNames[kind]} not found.`);
          const search = { ...entitySearch(kind, value), ...(time.since && { since: time.since }) };
          const view = await readView(source, search, goneSignal(reply));
          const body = entityBody({ kind, value, search, nowMs, ...view });
          const title = `${value.slice(0, 60).toWellFormed()} (${entityNames[kind].toLowerCase()})`;
          return sendPage(request, reply, frame, { title, current: '/events', body });
        }),
    );
  }
};

const readView = async (source: SearchSource, asked: ReturnType<typeof entitySearch>, signal: AbortSignal) => {
  const search = fixTimes(asked, Date.now());
  // Before the events: what it calls collected must be stored by then.
  const coverage = await source.coverage(search, MAX_GAPS);
  const [report, summary] = await Promise.all([
    source.entity(search, signal),
    source.summary(search, 'entity', signal),
  ]);
  return { coverage, report, summary };
};

/** What the last week is compared with, and the week itself. */
const since = { kind: 'ago', text: '90d', ms: 90 * 86_400_000 } as const;
const week = { kind: 'ago', text: '7d', ms: 7 * 86_400_000 } as const;

/** `/events/news`: what the last seven days of a search have and the time before has not, whatever the times of the search. */
export const newsRoute = (
  pages: FastifyInstance,
  frame: Frame,
  { search: source, streams }: { readonly search: SearchSource; readonly streams: StreamLimits },
): void => {
  pages.get<{ Querystring: Readonly<Record<string, unknown>> }>(
    '/events/news',
    { schema: hidden, config: { trail: 'search' } },
    (request, reply) =>
      inPlace(streams, reply, async () => {
        const nowMs = Date.now();
        const query = Object.fromEntries(searchFields.map((field) => [field, request.query[field]]));
        const reading = readSearch({ ...query, since: undefined, before: undefined }, nowMs);
        const named = await resolveNames(source, reading);
        if (named.faults.length > 0) throw httpError(400, `${faultsInWords(named.faults)}.`);
        const { since: _since, before: _before, ...search } = reading.search;
        const asked = fixTimes({ ...named.search, since }, nowMs);
        // Before the events: what it calls collected must be stored by then.
        const coverage = await source.coverage(asked, MAX_GAPS);
        const report = await source.entity(asked, goneSignal(reply));
        startStreaming(request);
        const body = newsBody({ search, report, coverage, nowMs });
        return sendPage(request, reply, frame, { title: 'New in the last 7 days', current: '/events', body });
      }),
  );
};

interface NewsView {
  readonly search: Search;
  readonly report: EntityReport;
  readonly coverage: SearchCoverage;
  readonly nowMs: number;
}

const newsBody = ({ search, report, coverage, nowMs }: NewsView): Html => html`<div class="stack entity">
${searchesMenu('/events/news', search)}
<h1>What is new</h1>
<p class="hint">Addresses, user agents, tokens, actors, organizations, accounts, actions and types of resources that occur in the last 7 days of this search and not in the 90 days before, as far as it is stored.</p>
${chipsOf(search)}
${coverageOf(coverage, { ...search, since }, nowMs)}
${report.isSample && !report.canTellNews ? html`<p class="fault" role="status">The newest 20,000 events of this search are less than a week. Narrow the search to an organization, an account or an action.</p>` : sampleNote(report)}
${newsPanel({ search: { ...search, since: week }, report })}
</div>`;

interface EntityView {
  readonly kind: EntityKind;
  readonly value: string;
  readonly search: Search;
  readonly report: EntityReport;
  readonly summary: SearchSummary;
  readonly coverage: SearchCoverage;
  readonly nowMs: number;
}

const entityNames: Readonly<Record<EntityKind, string>> = {
  actors: 'Actor',
  addresses: 'Address',
  tokens: 'Token',
  resources: 'Resource',
};

const spans = ['7d', '30d', '90d', '365d'] as const;

const entityBody = (view: EntityView): Html => {
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

const sampleNote = ({ isSample, looked, lookedSince }: EntityReport): Html | null =>
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
const newsPanel = ({
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
