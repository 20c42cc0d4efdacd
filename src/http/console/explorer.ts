import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { exactText } from '../../domain/entry.ts';
import { printSearch, readSearch, type SearchReading, searchFields } from '../../domain/search.ts';
import { readCursor, type SearchCursor } from '../../domain/search-cursor.ts';
import { SearchError } from '../../errors.ts';
import { beginsGiving } from '../access-trail.ts';
import { cursorsOf, type ExportFormat, type SearchSource, sendExport } from '../search.ts';
import { MAX_LIMIT } from '../search-schema.ts';
import { eventBody } from './event-page.ts';
import { type EventsView, eventsBody } from './events-page.ts';
import { type Frame, hidden, sendPage } from './page.ts';

const DEFAULT_LIMIT = 50;
const exportFormats: readonly ExportFormat[] = ['csv', 'ndjson'];

type Query = Readonly<Record<string, unknown>>;

const mistake = (statusCode: number, reason: string): Error => Object.assign(new Error(reason), { statusCode });

/** The explorer: `/events`, a search whose link reproduces it, and `/events/:position`, one event with all that is kept of it. */
export const explorerRoutes = (pages: FastifyInstance, frame: Frame, source: SearchSource): void => {
  pages.get<{ Querystring: Query }>('/events', { schema: hidden, config: { trail: 'search' } }, (request, reply) =>
    sendEvents(request, reply, frame, source),
  );
  pages.get<{ Querystring: Query }>(
    '/events/export',
    { schema: hidden, config: { trail: 'export' } },
    async (request, reply) => {
      const format = exportFormats.find((name) => name === request.query['format']);
      if (format === undefined) throw mistake(400, 'An export is either csv or ndjson.');
      const { search, faults } = readSearch(request.query, Date.now());
      if (faults.length > 0) throw mistake(400, faultsInWords(faults));
      await sendExport(request, reply, source, search, format).catch(explained);
    },
  );
  pages.get<{ Querystring: Query }>('/events/entry', { schema: hidden }, async (request, reply) => {
    const { kind, source: sourceId, id } = request.query;
    if (![kind, sourceId, id].every((part) => typeof part === 'string' && !part.includes('\0'))) throw notKept();
    const key = { sourceKind: String(kind), sourceId: String(sourceId), id: String(id) };
    const found = await source.event(key);
    if (found === undefined) throw notKept();
    return reply.redirect(`/events/${found.event.position}`, 303);
  });
  pages.get<{ Params: Position; Querystring: Query }>(
    '/events/:position',
    { schema: hidden, config: { trail: 'event' } },
    async (request, reply) => {
      const detail = await readDetail(source, request.params);
      beginsGiving(request, 1);
      const whole = request.query['whole'] === 'true';
      const { position } = detail.event;
      const body = eventBody(detail, { whole, nowMs: Date.now() });
      return sendPage(request, reply, frame, { title: `Event ${position}`, current: '/events', body });
    },
  );
  pages.get<{ Params: Position }>(
    '/events/:position/original',
    { schema: hidden, config: { trail: 'event' } },
    async (request, reply) => {
      const { event, rawText } = await readDetail(source, request.params);
      beginsGiving(request, 1);
      return reply
        .header('content-type', 'text/plain; charset=utf-8')
        .header('content-disposition', `attachment; filename="event-${event.position}.json"`)
        .header('cache-control', 'no-store')
        .send(exactText(rawText, event.defects));
    },
  );
};

interface Position {
  readonly position: string;
}

const notKept = (): Error => mistake(404, 'There is no such event. It may be of another database, or no longer kept.');

const readDetail = async (source: SearchSource, { position }: Position) => {
  const number = /^[1-9]\d{0,15}$/.test(position) ? Number(position) : Number.NaN;
  const detail = Number.isSafeInteger(number) ? await source.event({ position: number }) : undefined;
  if (detail === undefined) throw notKept();
  return detail;
};

const faultsInWords = (faults: SearchReading['faults']): string =>
  faults.map(({ field, reason }) => `${field} ${reason}`).join('; ');

const explained = (error: unknown): never => {
  if (error instanceof SearchError && error.reason === 'refused') throw mistake(400, error.message);
  throw error;
};

const sendEvents = async (
  request: FastifyRequest<{ Querystring: Query }>,
  reply: FastifyReply,
  frame: Frame,
  source: SearchSource,
): Promise<FastifyReply> => {
  const { query } = request;
  const nowMs = Date.now();
  const reading = readSearch(query, nowMs);
  const cursor = readPage(query['cursor']);
  const limit = readLimit(query['limit']);
  // A form sends every field, empty ones included: what stands in the address bar should be the search and nothing else.
  if (reading.faults.length === 0 && searchFields.some((field) => query[field] === '')) {
    const parameters = printSearch(reading.search);
    if (limit !== DEFAULT_LIMIT) parameters.set('limit', String(limit));
    const text = parameters.toString();
    return reply.redirect(text === '' ? '/events' : `/events?${text}`, 303);
  }
  const named = await organizationByName(source, reading);
  if (named !== undefined) {
    return reply.redirect(`/events?${printSearch({ ...reading.search, organization: named }).toString()}`, 303);
  }
  const view = await lookUp(source, reading, cursor, limit);
  beginsGiving(request, view.result?.page.events.length);
  const shown: EventsView = { ...view, reading, limit, nowMs };
  if (view.failure !== undefined) reply.code(view.failure.code);
  else if (reading.faults.length > 0) reply.code(400);
  return sendPage(request, reply, frame, { title: 'Events', current: '/events', body: eventsBody(shown) });
};

const readPage = (text: unknown): SearchCursor | undefined => {
  if (text === undefined || text === '') return undefined;
  const cursor = typeof text === 'string' ? readCursor(text) : undefined;
  if (cursor === undefined)
    throw mistake(400, 'The link names a page that no search has given. Search again from the first page.');
  return cursor;
};

const readLimit = (text: unknown): number => {
  if (text === undefined || text === '') return DEFAULT_LIMIT;
  const limit = typeof text === 'string' && /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MAX_LIMIT) throw mistake(400, `A page has 1 to ${MAX_LIMIT} events.`);
  return limit;
};

/** People know names: the id of the only organization that is called so. Undefined for ids, and for names of none or several. */
const organizationByName = async (
  source: SearchSource,
  { search: { organization }, faults }: SearchReading,
): Promise<string | undefined> => {
  if (organization === undefined || faults.length > 0 || /^[0-9a-f]{32}$/.test(organization)) return undefined;
  const organizations = await source.organizations();
  if (organizations.some(({ id }) => id === organization)) return undefined;
  const named = organizations.filter(({ name }) => name?.toLowerCase() === organization.toLowerCase());
  return named.length === 1 ? named[0]?.id : undefined;
};

type LookedUp = Pick<EventsView, 'organizations' | 'result' | 'failure'>;

const lookUp = async (
  source: SearchSource,
  { search, faults }: SearchReading,
  cursor: SearchCursor | undefined,
  limit: number,
): Promise<LookedUp> => {
  // Another search than the one that was asked for would only mislead.
  if (faults.length > 0) return { organizations: await source.organizations() };
  const [organizations, coverage, found] = await Promise.all([
    source.organizations(),
    source.coverage(search),
    source.search(search, { cursor, limit }).catch((error: unknown) => {
      if (error instanceof SearchError) return error;
      throw error;
    }),
  ]);
  if (found instanceof SearchError) {
    return { organizations, failure: { code: found.reason === 'refused' ? 400 : 503, reason: found.message } };
  }
  return {
    organizations,
    result: { page: found, coverage, ...cursorsOf(found, cursor), isFirst: cursor === undefined },
  };
};
