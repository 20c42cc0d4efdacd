import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type FormatName, formats } from '../domain/formats/formats.ts';
import { type FeedQuery, feedQuerySchema, feedResponses } from './feed-schema.ts';
import { withToken } from './openapi.ts';
import { encodingFor, streamFeed } from './stream-feed.ts';

const DEFAULT_LIMIT = 10_000;

/** A part of the feed. Declared here: edges do not import each other (store/feed.ts has the same). */
interface FeedRange {
  readonly after: number;
  readonly until: number;
  readonly organizationIds: readonly string[] | undefined;
}

/** What the feed is served from, also to the verb `feed`. All reject where the database does not answer. */
export interface FeedSource {
  head(): Promise<{ readonly feedId: string; readonly position: number }>;
  /** A short hash of the event at a position; undefined where none is kept there. */
  checkOf(position: number): Promise<string | undefined>;
  /** The position of the `limit`th event of the range, or its end. */
  endOf(range: FeedRange, limit: number): Promise<number>;
  /** Whether the range has any; for ranges with a filter. */
  hasEvents(range: FeedRange): Promise<boolean>;
  /** Resolves when there may be something behind `position`, after `timeoutMs`, or on abort. */
  waitBeyond(position: number, timeoutMs: number, signal: AbortSignal): Promise<void>;
  /** The whole range in pieces of a few megabytes at most (a single larger event is one). */
  pieces(feedId: string, range: FeedRange, format: FormatName): AsyncIterable<FeedPiece>;
}

export interface FeedPiece {
  /** All of the range up to here has been given. */
  readonly until: number;
  readonly events: number;
  /** Each line has its newline. Valid until the next piece is asked for: then its memory is used again. */
  readonly lines: Buffer;
}

/** Where a reader goes on. */
export interface FeedCursor {
  readonly nextPosition: number;
  readonly feedId: string;
  readonly check: string | undefined;
}

/** The last line on request: in any format it is this JSON object. */
export const lastLine = ({ nextPosition, feedId, check }: FeedCursor): string =>
  `${JSON.stringify({ next_position: nextPosition, feed_id: feedId, check: check ?? null })}\n`;

/** Why a position cannot be gone on from here; undefined where it can. Used over HTTP and by the verb `feed`. */
export const conflictOf = async (
  source: FeedSource,
  head: { readonly feedId: string; readonly position: number },
  presented: { readonly after: number; readonly feedId?: string | undefined; readonly check?: string | undefined },
): Promise<string | undefined> => {
  const { after, feedId, check } = presented;
  if (feedId !== undefined && feedId.toLowerCase() !== head.feedId) {
    return `position ${after} is of feed ${feedId}, and this is feed ${head.feedId}: another database. Positions of one say nothing about the other`;
  }
  if (after > head.position) {
    return `position ${after} has not been given out, the last one is ${head.position}: the database is another one, or was restored to an earlier state`;
  }
  if (check === undefined) return undefined;
  const actual = await source.checkOf(after);
  if (actual === undefined || actual === check) return undefined;
  return `position ${after} is now another event than the one you read: the database was restored to an earlier state and went on from there`;
};

interface Answer {
  readonly range: FeedRange;
  readonly cursor: FeedCursor;
  readonly head: number;
}

/** `GET /v1/events`. `authorized` is the hook that checks the token. */
export const feedRoutes = (
  server: FastifyInstance,
  source: FeedSource,
  authorized: (request: FastifyRequest, reply: FastifyReply) => Promise<void>,
): void => {
  server.get<{ Querystring: FeedQuery }>(
    '/v1/events',
    {
      onRequest: authorized,
      schema: {
        ...withToken,
        tags: ['feed'],
        summary: 'The events behind a position, in order',
        querystring: feedQuerySchema,
        response: feedResponses,
      },
    },
    async (request, reply) => {
      const { query } = request;
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      const head = await source.head();
      const presented = { after: query.after, feedId: query.feed_id, check: query.check };
      const reason = await conflictOf(source, head, presented);
      if (reason !== undefined) {
        return reply.code(409).send({ status: 'conflict', reason, feed_id: head.feedId, position: head.position });
      }
      await send(request, reply, source, query, await answerTo(source, query, head, gone.signal));
    },
  );
};

/** What to send: at once where there is something, else as soon as there is, or when the time is over. */
const answerTo = async (
  source: FeedSource,
  query: FeedQuery,
  head: { readonly feedId: string; readonly position: number },
  signal: AbortSignal,
): Promise<Answer> => {
  const { limit = DEFAULT_LIMIT, organization: organizationIds } = query;
  const deadlineMs = performance.now() + (query.wait ?? 0) * 1_000;
  let { feedId, position } = head;
  let { after } = query;
  for (;;) {
    const range = { after, until: position, organizationIds };
    const until = await source.endOf(range, limit);
    const remainingMs = deadlineMs - performance.now();
    if (remainingMs <= 0 || signal.aborted || (await hasEvents(source, range))) {
      const cursor = { nextPosition: until, feedId, check: await source.checkOf(until) };
      return { range: { ...range, after: query.after, until }, cursor, head: position };
    }
    await source.waitBeyond(position, remainingMs, signal);
    after = position;
    ({ feedId, position } = await source.head());
  }
};

/** With a filter, only a look at the events says whether any is there. */
const hasEvents = async (source: FeedSource, range: FeedRange): Promise<boolean> =>
  range.until > range.after && (range.organizationIds === undefined || (await source.hasEvents(range)));

const send = (request: FastifyRequest, reply: FastifyReply, source: FeedSource, query: FeedQuery, answer: Answer) => {
  const { range, cursor, head } = answer;
  const format = query.format ?? 'native';
  const encoding = encodingFor(request.headers['accept-encoding']);
  // From here on the answer is a stream of our own.
  reply.hijack();
  reply.raw.writeHead(200, {
    'content-type': formats[format].contentType,
    'cache-control': 'no-store',
    vary: 'accept-encoding',
    'orgtrail-feed-id': cursor.feedId,
    'orgtrail-next-position': cursor.nextPosition,
    'orgtrail-head-position': head,
    ...(cursor.check !== undefined && { 'orgtrail-next-check': cursor.check }),
    ...(encoding !== undefined && { 'content-encoding': encoding }),
  });
  const pieces = source.pieces(cursor.feedId, range, format);
  return streamFeed(reply.raw, encoding, pieces, query.last_line === true ? lastLine(cursor) : '');
};
