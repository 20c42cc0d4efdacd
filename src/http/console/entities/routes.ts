import type { FastifyInstance } from 'fastify';
import type { StreamLimits } from '../../../limits/stream-limits.ts';
import { entityKinds, entitySearch } from '../../../search/entity/entity.ts';
import type { SearchSource } from '../../../search/ports.ts';
import { fixTimes, readSearch } from '../../../search/search.ts';
import { goneSignal, inPlace } from '../../gone-signal.ts';
import { hidden } from '../hidden.ts';
import { type Frame, sendPage } from '../page.ts';
import { entityBody, entityNames } from './entity-page.ts';

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
          if (fault !== undefined) throw mistake(400, `since ${fault.reason}.`);
          if (value === '' || value.length > MAX_VALUE) throw mistake(404, `${entityNames[kind]} not found.`);
          const search = { ...entitySearch(kind, value), ...(time.since && { since: time.since }) };
          const view = await readView(source, search, goneSignal(reply));
          const body = entityBody({ kind, value, search, nowMs, ...view });
          const title = `${value.slice(0, 60).toWellFormed()} (${entityNames[kind].toLowerCase()})`;
          return sendPage(request, reply, frame, { title, current: '/events', body });
        }),
    );
  }
};

const mistake = (statusCode: number, reason: string): Error => Object.assign(new Error(reason), { statusCode });

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
