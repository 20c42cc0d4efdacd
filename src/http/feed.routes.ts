import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { StreamLimits, StreamPlace } from '../base/limits.ts';
import type { NewestCheckpoint } from '../evidence/builder/ports.ts';
import type { ShownEvidence } from '../evidence/shown-evidence.sql.ts';
import {
  conflictOf,
  type FeedHead,
  type FeedPiece,
  type FeedRange,
  type FeedSource,
  goneBehind,
  isFiltered,
  lastLine,
  type MissedEvents,
  type Presented,
  placeOf,
  printFeedCursor,
} from '../feed/feed.ts';
import { formats } from '../formats/registry.ts';
import { counted, startStreaming } from './access-trail.ts';
import { goneSignal } from './failure.ts';
import { asked, type FeedQuery, feedQuery, feedResponses, withToken } from './openapi.ts';
import { encodingFor, streamFeed } from './stream.ts';

const DEFAULT_LIMIT = 10_000;

type FeedRequest = FastifyRequest<{ Querystring: FeedQuery }>;

type Answer = Awaited<ReturnType<typeof answerTo>>;

/** `GET /v1/events`. `evidence` gives the last signed checkpoint. */
export const feedRoutes = (
  server: FastifyInstance,
  source: FeedSource,
  streams: StreamLimits,
  authorized: (request: FastifyRequest, reply: FastifyReply) => Promise<void>,
  evidence: () => Promise<SignedCheckpoint | undefined>,
): void => {
  const { schema, validatorCompiler } = asked({ querystring: feedQuery });
  const summary = 'Stored events after a position, in order';
  server.get<{ Querystring: FeedQuery }>(
    '/v1/events',
    {
      onRequest: authorized,
      config: { trail: 'feed' },
      schema: { ...withToken, tags: ['feed'], summary, ...schema, response: feedResponses },
      validatorCompiler,
    },
    async (request, reply) => {
      const { query } = request;
      const presented = presentedBy(query);
      if (typeof presented === 'string') return reply.code(400).send({ status: 'bad request', reason: presented });
      const gone = goneSignal(reply);
      const head = await source.head(presented.after);
      const reason = await conflictOf(source, head, presented);
      if (reason !== undefined) {
        return reply.code(409).send({ status: 'conflict', reason, feed_id: head.feedId, position: head.position });
      }
      const missed = await goneBehind(source, head, presented);
      if (missed !== undefined) return reply.code(410).send(goneBody(head, presented, missed));
      const answer = await answerTo(source, query, presented, head, gone);
      const signed = await evidence();
      const place = await streams.enter('feed', gone);
      try {
        await using pieces = await begin(piecesOf(request, source, answer, gone)).catch((error: unknown) => {
          if (gone.aborted) return undefined;
          throw error;
        });
        if (pieces === undefined) return reply.hijack();
        await send(request, reply, pieces, { answer, signed, place });
      } finally {
        // Not before all memory is given back: the next reader has that of this one.
        place.leave();
      }
    },
  );
};

const presentedBy = (query: FeedQuery): Presented | string => {
  const { cursor, after, check, dropped, feed_id: feedId } = query;
  const parts = Object.entries({ after, check, dropped, feed_id: feedId }).filter(([, value]) => value !== undefined);
  if (cursor !== undefined && parts.length > 0) {
    return `cursor holds ${parts.map(([name]) => name).join(', ')} already: give one or the other`;
  }
  return placeOf({ cursor, after: after ?? 0, feedId, check, dropped }) ?? 'cursor is not a cursor of the feed';
};

const goneBody = (head: FeedHead, presented: Presented, missed: MissedEvents & { readonly reason: string }) => ({
  status: 'gone',
  reason: `${missed.reason}. To continue anyway, use next_cursor, or add dropped=${head.lastDrop}`,
  missed: missed.reason,
  months: missed.months,
  next_cursor: printFeedCursor({
    position: presented.after,
    feedId: head.feedId,
    check: presented.check,
    dropped: head.lastDrop,
  }),
  feed_id: head.feedId,
  first_position: missed.firstPosition,
  dropped_until: missed.until,
  dropped: head.lastDrop,
});

/** At once if there are events, else as soon as there are, or when the time is over. */
const answerTo = async (
  source: FeedSource,
  query: FeedQuery,
  presented: Presented,
  head: FeedHead,
  signal: AbortSignal,
) => {
  const { limit = DEFAULT_LIMIT, organization: organizationIds, account: accountIds, copies } = query;
  const deadlineMs = performance.now() + (query.wait ?? 0) * 1_000;
  // Snapshot taken when the reader was told of all drops and jumps that concern it.
  const { lastDrop } = head;
  let { feedId, position } = head;
  const { dropped = 0 } = presented;
  let { after } = presented;
  for (;;) {
    const range = { after, until: position, organizationIds, accountIds, copies };
    const remainingMs = deadlineMs - performance.now();
    if (remainingMs <= 0 || signal.aborted || (await hasEvents(source, range))) {
      const until = await source.endOf(range, limit);
      const cursor = { position: until, feedId, check: await source.checkOf(until), dropped };
      return { range: { ...range, after: presented.after, until }, cursor, head: position, lastDrop };
    }
    await source.waitBeyond(position, remainingMs, signal);
    const now = await source.head(presented.after);
    // What was dropped or lost meanwhile is for the next request to hear, before anything behind it.
    if (now.lastDrop !== lastDrop || now.position < presented.after) {
      const cursor = { position: presented.after, feedId: now.feedId, check: presented.check, dropped };
      const nothing = { ...range, after: presented.after, until: presented.after };
      return { range: nothing, cursor, head: now.position, lastDrop };
    }
    after = position;
    ({ feedId, position } = now);
  }
};

/** With a filter, only a look at the events says whether any is there. */
const hasEvents = async (source: FeedSource, range: FeedRange): Promise<boolean> =>
  range.until > range.after && (!isFiltered(range) || (await source.hasEvents(range)));

const piecesOf = (
  { query }: FeedRequest,
  source: FeedSource,
  { range, cursor: { feedId }, lastDrop }: Answer,
  gone: AbortSignal,
): AsyncIterator<FeedPiece> =>
  source.pieces({ feedId, lastDrop }, range, query.format ?? 'native', gone)[Symbol.asyncIterator]();

/** With its first piece read: what cannot be read is an answer of its own then, and not a body that is cut off. */
const begin = async (pieces: AsyncIterator<FeedPiece>): Promise<AsyncIterable<FeedPiece> & AsyncDisposable> => {
  const first = await pieces.next();
  return {
    async *[Symbol.asyncIterator]() {
      for (let next = first; next.done !== true; next = await pieces.next()) yield next.value;
    },
    [Symbol.asyncDispose]: async () => {
      await pieces.return?.();
    },
  };
};

const send = async (
  request: FeedRequest,
  reply: FastifyReply,
  pieces: AsyncIterable<FeedPiece>,
  {
    answer: { cursor, head },
    signed,
    place,
  }: { readonly answer: Answer; readonly signed: SignedCheckpoint | undefined; readonly place: StreamPlace },
): Promise<void> => {
  const { query } = request;
  const encoding = encodingFor(request.headers['accept-encoding']);
  startStreaming(request);
  reply.hijack();
  reply.raw.writeHead(200, {
    'content-type': formats[query.format ?? 'native'].contentType,
    'cache-control': 'no-store',
    vary: 'accept-encoding',
    'orgtrail-feed-id': cursor.feedId,
    'orgtrail-next-cursor': printFeedCursor(cursor),
    'orgtrail-next-position': cursor.position,
    'orgtrail-head-position': head,
    ...signedHeader(signed),
    ...(cursor.check !== undefined && { 'orgtrail-next-check': cursor.check }),
    ...(encoding !== undefined && { 'content-encoding': encoding }),
  });
  const last = query.last_line === true ? lastLine(cursor, signed) : '';
  await streamFeed(reply.raw, encoding, counted(request, pieces), last, place);
};

type SignedCheckpoint = Pick<NewestCheckpoint, 'size' | 'root'>;

/** Readers that poll do not each ask the database. */
const FRESH_MS = 1_000;

/** Undefined if there is none or it cannot be read. */
export const recentlySigned = (
  evidence: Pick<ShownEvidence, 'checkpoint'> | undefined,
  nowMs: () => number = () => performance.now(),
): (() => Promise<SignedCheckpoint | undefined>) => {
  let untilMs = Number.NEGATIVE_INFINITY;
  let signed: Promise<SignedCheckpoint | undefined> = Promise.resolve(undefined);
  return () => {
    if (evidence === undefined) return signed;
    if (nowMs() >= untilMs) {
      untilMs = nowMs() + FRESH_MS;
      signed = evidence.checkpoint().catch(() => undefined);
    }
    return signed;
  };
};

const signedHeader = (signed: SignedCheckpoint | undefined): Readonly<Record<string, string>> =>
  signed === undefined ? {} : { 'orgtrail-evidence': `${signed.size} ${signed.root.toString('base64')}` };
