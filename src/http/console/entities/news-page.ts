import type { FastifyInstance } from 'fastify';
import type { StreamLimits } from '../../../limits/stream-limits.ts';
import type { EntityReport } from '../../../search/entity/entity.ts';
import type { SearchCoverage } from '../../../search/found-event.ts';
import type { SearchSource } from '../../../search/ports.ts';
import { fixTimes, readSearch, type Search, searchFields } from '../../../search/search.ts';
import { beginsGiving } from '../../access-trail.ts';
import { goneSignal, inPlace } from '../../gone-signal.ts';
import { withIds } from '../../search/answer.ts';
import { faultsInWords } from '../../search/routes.ts';
import { coverageOf } from '../events/search-verdict.ts';
import { hidden } from '../hidden.ts';
import { type Html, html } from '../html.ts';
import { type Frame, sendPage } from '../page.ts';
import { searchesMenu } from '../saved/searches-menu.ts';
import { chipsOf } from '../summary/chips.ts';
import { newsPanel, sampleNote } from './entity-page.ts';

/** What the last week is compared with, and the week itself. */
const since = { kind: 'ago', text: '90d', ms: 90 * 86_400_000 } as const;
const week = { kind: 'ago', text: '7d', ms: 7 * 86_400_000 } as const;
const MAX_GAPS = 100;

/** `/events/news`: what the last seven days of a search have that the time before them has not. Its times are not those of the search. */
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
        const named = await withIds(source, reading);
        if (named.faults.length > 0) {
          throw Object.assign(new Error(`${faultsInWords(named.faults)}.`), { statusCode: 400 });
        }
        const { since: _since, before: _before, ...search } = reading.search;
        const asked = fixTimes({ ...named.search, since }, nowMs);
        // Before the events: what it calls collected must be stored by then.
        const coverage = await source.coverage(asked, MAX_GAPS);
        const report = await source.entity(asked, goneSignal(reply));
        beginsGiving(request);
        const body = newsBody({ search, report, coverage, nowMs });
        return sendPage(request, reply, frame, { title: 'New in the last 7 days', current: '/events', body });
      }),
  );
};

interface NewsView {
  /** Without a time. */
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
