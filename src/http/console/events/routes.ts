import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { BusyError, SearchError } from '../../../base/errors.ts';
import type { StreamLimits } from '../../../base/limits.ts';
import type { ShownEvidence } from '../../../evidence/shown-evidence.sql.ts';
import { exactText } from '../../../ingest/entries/entry.ts';
import { cursorsOf, DEFAULT_LIMIT, MAX_LIMIT } from '../../../search/contract.ts';
import { MAX_STATE_BYTES } from '../../../search/entities.sql.ts';
import { logOf } from '../../../search/entities.ts';
import {
  faultsInWords,
  fixTimes,
  printSearch,
  readCursor,
  readSearch,
  type Search,
  type SearchCursor,
  type SearchReading,
  searchFields,
} from '../../../search/query/search.ts';
import { answerSearch, resolveNames } from '../../../search/run-search.ts';
import type { ExportFormat, SearchSource } from '../../../search/search-source.ts';
import type { SearchSummary } from '../../../search/summary/summary.ts';
import { startStreaming } from '../../access-trail.ts';
import { goneSignal, httpError, inPlace, type Lend, unknownIn } from '../../failure.ts';
import { sendExport } from '../../search.routes.ts';
import { readMarks } from '../detections/page.ts';
import { html } from '../html.ts';
import type { Operations } from '../operations.ts';
import { type Frame, hidden, sendPage } from '../page.ts';
import { eventBody } from './event-page.ts';
import { type EventsView, originOf } from './events-form.ts';
import { eventsBody, eventsTable } from './events-page.ts';
import { type HistoryView, historyBody } from './history-page.ts';
import { keepView, type LiveStart, printView, readView, rememberedView, viewFields } from './result-view.ts';
import { readSteps } from './search-steps.ts';

const HISTORY_LIMIT = 200;
/** Of the request and the response of an event. */
const MAX_STATES_BYTES = 2 * MAX_STATE_BYTES;
const parameters: readonly string[] = [...searchFields, 'limit', 'cursor', 'exact', ...viewFields];
const MAX_GAPS = 100;
const exportFormats: readonly ExportFormat[] = ['csv', 'ndjson'];

type Query = Readonly<Record<string, unknown>>;

export interface ExplorerOptions {
  readonly search: SearchSource;
  readonly streams: StreamLimits;
  readonly operations: Operations;
  readonly shownEvidence?: ShownEvidence | undefined;
}

/** `/events`, a search whose link reproduces it, and `/events/:position`, one event with all that is kept of it. */
export const explorerRoutes = (
  pages: FastifyInstance,
  frame: Frame,
  { search: source, streams, shownEvidence, operations }: ExplorerOptions,
): void => {
  pages.get<{ Querystring: Query }>('/events', { schema: hidden, config: { trail: 'search' } }, (request, reply) =>
    inPlace(streams, reply, () => sendEvents(request, reply, frame, { source, operations })),
  );
  pages.get<{ Querystring: Query }>(
    '/events/export',
    { schema: hidden, config: { trail: 'export' } },
    async (request, reply) => {
      const format = exportFormats.find((name) => name === request.query['format']);
      if (format === undefined) throw httpError(400, 'An export is either csv or ndjson.');
      const unknown = unknownIn(request.query, [...searchFields, 'format']);
      if (unknown.length > 0) throw httpError(400, unknown.join('; '));
      const { search, faults } = await resolveNames(source, readSearch(request.query, Date.now()));
      if (faults.length > 0) throw httpError(400, faultsInWords(faults));
      await sendExport(request, reply, source, streams, { search, format });
    },
  );
  arrivalsRoute(pages, source, streams);
  pages.get<{ Querystring: Query }>('/events/entry', { schema: hidden }, async (request, reply) => {
    const { kind, source: sourceId, id } = request.query;
    if (![kind, sourceId, id].every((part) => typeof part === 'string' && !part.includes('\0'))) throw notFound();
    const key = { sourceKind: String(kind), sourceId: String(sourceId), id: String(id) };
    return await inPlace(streams, reply, async (lend) => {
      await lend(await source.bytesOf(key));
      const found = await source.event(key);
      if (found === undefined) throw notFound();
      return reply.redirect(`/events/${found.event.position}`, 303);
    });
  });
  pages.get<{ Params: { position: string }; Querystring: Query }>(
    '/events/:position',
    { schema: hidden, config: { trail: 'event' } },
    async (request, reply) => {
      const { whole: wholeText, search } = request.query;
      const { detail, steps } = await inPlace(streams, reply, async (lend) => {
        const found = await readDetail(source, request.params, lend);
        return { detail: found, steps: await readSteps(source, found.event, search, goneSignal(reply)) };
      });
      startStreaming(request, 1);
      const whole = wholeText === 'true';
      const { position } = detail.event;
      const evidence = await shownEvidence?.status();
      const marks = await readMarks(operations, [detail.event]);
      const body = eventBody(detail, { whole, nowMs: Date.now(), evidence, marks, steps });
      return sendPage(request, reply, frame, { title: `Event ${position}`, current: '/events', body });
    },
  );
  pages.get<{ Params: { position: string } }>(
    '/events/:position/history',
    { schema: hidden, config: { trail: 'event' } },
    async (request, reply) => {
      const view = await inPlace(streams, reply, (lend) =>
        readHistory(source, request.params, goneSignal(reply), lend),
      );
      startStreaming(request, view.history.events.length);
      const title = `History of event ${view.history.subject.position}`;
      return sendPage(request, reply, frame, { title, current: '/events', body: historyBody(view) });
    },
  );
  pages.get<{ Params: { position: string } }>(
    '/events/:position/original',
    { schema: hidden, config: { trail: 'event' } },
    async (request, reply) => {
      const { event, rawText } = await inPlace(streams, reply, (lend) => readDetail(source, request.params, lend));
      startStreaming(request, 1);
      return reply
        .header('content-type', 'text/plain; charset=utf-8')
        .header('content-disposition', `attachment; filename="event-${event.position}.json"`)
        .header('cache-control', 'no-store')
        .send(exactText(rawText, event.defects));
    },
  );
};

const notFound = (): Error =>
  httpError(
    404,
    'Event not found. It may belong to another database, or its month has left the database: the page Archive has months that can come back.',
  );

const readDetail = async (source: SearchSource, { position: text }: { readonly position: string }, lend: Lend) => {
  const position = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(position)) throw notFound();
  await lend(await source.bytesOf({ position }));
  const detail = await source.event({ position });
  if (detail === undefined) throw notFound();
  return detail;
};

const readHistory = async (
  source: SearchSource,
  params: { readonly position: string },
  signal: AbortSignal,
  lend: Lend,
): Promise<HistoryView> => {
  const { event } = await readDetail(source, params, lend);
  const search = logOf(event);
  // Before the events: what it calls collected must be stored by then.
  const coverage = await source.coverage(search);
  const giveBack = await lend(HISTORY_LIMIT * MAX_STATES_BYTES);
  const history = await source.history(event.position, { limit: HISTORY_LIMIT, signal });
  if (history === undefined) throw notFound();
  const characters = history.events.reduce(
    (sum, { request, response }) => sum + (request?.length ?? 0) + (response?.length ?? 0),
    0,
  );
  if (characters < MAX_STATES_BYTES) giveBack();
  return { history, coverage, search, nowMs: Date.now() };
};

const sendEvents = async (
  request: FastifyRequest<{ Querystring: Query }>,
  reply: FastifyReply,
  frame: Frame,
  { source, operations }: { readonly source: SearchSource; readonly operations: Operations },
): Promise<FastifyReply> => {
  const { around, ...given } = request.query;
  // Of the time picker alone: a link has the two times.
  const query = around ? { ...given, since: `around-${around}`, before: '' } : given;
  const remembered = rememberedView(request);
  if (remembered !== undefined) return reply.redirect(remembered, 303);
  const nowMs = Date.now();
  const reading = readSearch(query, nowMs);
  const { view: resultView, faults: faultsOfView } = readView(query);
  const cursor = readPage(query['cursor']);
  const limit = readLimit(query['limit']);
  // A form sends every field, empty ones included: what stands in the address bar should be the search and nothing else.
  const isClean = reading.faults.length === 0 && Object.keys(query).every((name) => parameters.includes(name));
  const link = printSearch(reading.search);
  const line = typeof query['q'] === 'string' ? query['q'] : undefined;
  const isOther =
    around !== undefined ||
    searchFields.some((field) => query[field] === '') ||
    (line !== undefined && link.get('q') !== line);
  if (isClean && isOther) {
    if (limit !== DEFAULT_LIMIT) link.set('limit', String(limit));
    for (const [name, value] of printView(resultView)) link.set(name, value);
    const text = link.toString();
    return reply.redirect(text === '' ? '/events' : `/events?${text}`, 303);
  }
  const unknown = [...unknownIn(query, parameters), ...faultsOfView];
  const named = await resolveNames(source, reading);
  const isExact = query['exact'] === 'true';
  const page = { cursor, limit, signal: goneSignal(reply), isExact };
  const view = await lookUp({ source, operations }, named, unknown, page);
  startStreaming(request, view.result?.page.events.length);
  // The links of the page go on with organization and account as they were written.
  const origin = originOf(request.protocol, request.host);
  const copies = { search: reading.search, withIds: named.search, limit, origin };
  const shown: EventsView = {
    ...view,
    reading: { ...reading, faults: named.faults },
    unknown,
    resultView,
    address: request.url,
    limit,
    nowMs,
    isExact,
    isPutAway: request.cookies['orgtrail_facets'] === 'closed',
    copies,
  };
  if (view.failure !== undefined) reply.code(view.failure.code);
  else if (view.result === undefined) reply.code(400);
  return sendPage(request, reply, frame, {
    title: 'Events',
    current: '/events',
    hasResult: view.result !== undefined,
    body: keepView(eventsBody(shown), resultView),
  });
};

const readPage = (text: unknown): SearchCursor | undefined => {
  if (text === undefined || text === '') return undefined;
  const cursor = typeof text === 'string' ? readCursor(text) : undefined;
  if (cursor === undefined) throw httpError(400, 'This page link is invalid. Start the search again.');
  return cursor;
};

const readLimit = (text: unknown): number => {
  if (text === undefined || text === '') return DEFAULT_LIMIT;
  const limit = typeof text === 'string' && /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MAX_LIMIT) throw httpError(400, `limit must be between 1 and ${MAX_LIMIT}.`);
  return limit;
};

/** Of the database alone. Undefined if others need the connections: the list alone is worth more than an error. */
const summaryUnlessBusy = async (
  source: SearchSource,
  { archive: _archive, ...search }: Search,
  isExact: boolean,
  signal: AbortSignal | undefined,
): Promise<SearchSummary | undefined> => {
  try {
    return await source.summary(search, isExact ? 'exact' : 'page', signal);
  } catch (error) {
    if ((error as Error) instanceof BusyError) return undefined;
    throw error;
  }
};

const lookUp = async (
  { source, operations }: { readonly source: SearchSource; readonly operations: Operations },
  reading: SearchReading,
  unknown: readonly string[],
  { isExact, ...page }: Parameters<SearchSource['search']>[1] & { readonly isExact: boolean },
): Promise<Pick<EventsView, 'organizations' | 'accounts' | 'result' | 'marks' | 'failure'>> => {
  const known = { organizations: await source.organizations(), accounts: await source.accounts() };
  // Another search than the one that was asked for would only mislead.
  if (reading.faults.length > 0 || unknown.length > 0) return known;
  try {
    const isFirst = page.cursor === undefined;
    const live = await startOfLive(source, reading.search, isFirst);
    const withMarks = async () => {
      const answer = await answerSearch(source, reading, page, MAX_GAPS);
      return { answer, marks: await readMarks(operations, answer.page.events) };
    };
    const [{ answer, marks }, summary] = await Promise.all([
      withMarks(),
      summaryUnlessBusy(source, reading.search, isExact, page.signal),
    ]);
    return { ...known, marks, result: { ...answer, ...cursorsOf(answer.page, page.cursor), isFirst, summary, live } };
  } catch (error) {
    if (!(error instanceof SearchError)) throw error;
    return { ...known, failure: { code: error.reason === 'refused' ? 400 : 503, reason: error.message } };
  }
};

const LIMIT = 100;

/** `/events/arrivals`, for the script of the live list: the last stored first, and where to go on. */
const arrivalsRoute = (pages: FastifyInstance, source: SearchSource, streams: StreamLimits): void => {
  pages.get<{ Querystring: Readonly<Record<string, unknown>> }>(
    '/events/arrivals',
    { schema: hidden, config: { trail: 'search' } },
    (request, reply) =>
      inPlace(streams, reply, async () => {
        const nowMs = Date.now();
        const reading = readSearch(request.query, nowMs);
        const named = await resolveNames(source, reading);
        const { view: resultView, faults } = readView(request.query);
        if (named.faults.length + faults.length > 0)
          throw httpError(400, faultsInWords(named.faults) || faults.join('; '));
        const page = { after: positionOf(request), limit: LIMIT, signal: goneSignal(reply) };
        const found = await source.arrivals(fixTimes(named.search, nowMs), page);
        const [organizations, accounts] = [await source.organizations(), await source.accounts()];
        const view = { organizations, accounts, reading, nowMs, resultView };
        startStreaming(request, found.events.length);
        const table = eventsTable(view, [...found.events].reverse(), null);
        const answer = html`<section data-next="${found.until}" data-head="${found.head}" data-feed="${found.feedId}">${found.events.length === 0 ? null : keepView(table, resultView)}</section>`;
        return reply.type('text/html; charset=utf-8').header('cache-control', 'no-store').send(String(answer));
      }),
  );
};

const positionOf = ({ query }: FastifyRequest<{ Querystring: Readonly<Record<string, unknown>> }>): number => {
  const text = query['after'];
  const position = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(position)) throw httpError(400, 'after must be a position.');
  return position;
};

/** Read before the search itself, so that no event is between the two. Undefined for a search that ends. */
const startOfLive = async (source: SearchSource, search: Search, isFirst: boolean): Promise<LiveStart | undefined> => {
  if (!isFirst || endsBeforeNow(search)) return undefined;
  const { head, feedId } = await source.arrivals(search, { limit: 1 });
  return { after: head, feedId };
};

/** `before=now` is no end. */
const endsBeforeNow = ({ before }: Search): boolean =>
  before !== undefined && !(before.kind === 'ago' && before.ms === 0);
