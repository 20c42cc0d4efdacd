import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { StreamLimits } from '../../../limits/stream-limits.ts';
import type { SearchSource } from '../../../search/ports.ts';
import { fixTimes, readSearch, type Search } from '../../../search/search.ts';
import { beginsGiving } from '../../access-trail.ts';
import { goneSignal, inPlace } from '../../gone-signal.ts';
import { withIds } from '../../search/answer.ts';
import { faultsInWords } from '../../search/routes.ts';
import { eventsTable } from '../events/events-page.ts';
import { hidden } from '../hidden.ts';
import { html } from '../html.ts';
import type { LiveStart } from './live-bar.ts';
import { readView } from './result-view.ts';
import { keepView } from './view-links.ts';

const LIMIT = 100;

const mistake = (reason: string): Error => Object.assign(new Error(reason), { statusCode: 400 });

/**
 * `/events/arrivals`, for the script of the live list: a table of what a search finds of the events that were stored behind a position,
 * the last stored first, and where to go on.
 */
export const arrivalsRoute = (pages: FastifyInstance, source: SearchSource, streams: StreamLimits): void => {
  pages.get<{ Querystring: Readonly<Record<string, unknown>> }>(
    '/events/arrivals',
    { schema: hidden, config: { trail: 'search' } },
    (request, reply) =>
      inPlace(streams, reply, async () => {
        const nowMs = Date.now();
        const reading = readSearch(request.query, nowMs);
        const named = await withIds(source, reading);
        const { view: resultView, faults } = readView(request.query);
        if (named.faults.length + faults.length > 0) throw mistake(faultsInWords(named.faults) || faults.join('; '));
        const page = { after: positionOf(request), limit: LIMIT, signal: goneSignal(reply) };
        const found = await source.arrivals(fixTimes(named.search, nowMs), page);
        const [organizations, accounts] = [await source.organizations(), await source.accounts()];
        const view = { organizations, accounts, reading, nowMs, resultView };
        beginsGiving(request, found.events.length);
        const table = eventsTable(view, [...found.events].reverse(), null);
        const answer = html`<section data-next="${found.until}" data-head="${found.head}" data-feed="${found.feedId}">${found.events.length === 0 ? null : keepView(table, resultView)}</section>`;
        return reply.type('text/html; charset=utf-8').header('cache-control', 'no-store').send(String(answer));
      }),
  );
};

const positionOf = ({ query }: FastifyRequest<{ Querystring: Readonly<Record<string, unknown>> }>): number => {
  const text = query['after'];
  const position = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(position)) throw mistake('after must be a position.');
  return position;
};

/** Where a live list goes on from: read before the search itself, so that no event is between the two. Undefined for a search that ends. */
export const startOfLive = async (
  source: SearchSource,
  search: Search,
  isFirst: boolean,
): Promise<LiveStart | undefined> => {
  if (!isFirst || endsBeforeNow(search)) return undefined;
  const { head, feedId } = await source.arrivals(search, { limit: 1 });
  return { after: head, feedId };
};

/** `before=now` is no end. */
const endsBeforeNow = ({ before }: Search): boolean =>
  before !== undefined && !(before.kind === 'ago' && before.ms === 0);
