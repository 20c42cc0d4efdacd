import type { FastifyInstance } from 'fastify';
import type { StreamLimits } from '../../../base/limits.ts';
import type { SearchCoverage } from '../../../search/answer.ts';
import { type EntityReport, entityKinds, entitySearch } from '../../../search/entities.ts';
import { faultsInWords, fixTimes, readSearch, type Search, searchFields } from '../../../search/query/search.ts';
import { resolveNames } from '../../../search/run-search.ts';
import type { SearchSource } from '../../../search/search-source.ts';
import { startStreaming } from '../../access-trail.ts';
import { goneSignal, httpError, inPlace } from '../../failure.ts';
import { coverageOf } from '../events/search-verdict.ts';
import { type Html, html } from '../html.ts';
import { type Frame, hidden, sendPage } from '../page.ts';
import { searchesMenu } from '../saved/page.ts';
import { chipsOf } from '../summary.ts';
import { entityBody, entityNames, newsPanel, sampleNote } from './page.ts';

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
