import { Readable } from 'node:stream';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { BusyError, OrgtrailError, SearchError } from '../base/errors.ts';
import type { StreamLimits } from '../base/limits.ts';
import { MAX_WAIT_MS } from '../base/memory.ts';
import { unknownParameter } from '../base/text.ts';
import { databaseCause, databaseTrouble } from '../postgres/sql-state.ts';

interface Failure {
  /** 4xx: a mistake of the client. 503: not now. 500: an internal error. */
  readonly code: number;
  readonly status: 'bad request' | 'not found' | 'unavailable' | 'busy' | 'slow' | 'archive' | 'error';
  readonly reason: string;
  readonly retryAfterSeconds?: number;
}

const RETRY_AFTER_SECONDS = 5;
const ARCHIVE_RETRY_AFTER_SECONDS = 60;

const troubles = {
  unreachable: { status: 'unavailable', reason: 'the database does not answer' },
  busy: { status: 'busy', reason: 'all connections to the database are in use: try again in a few seconds' },
  full: { status: 'unavailable', reason: 'the disk of the database is full' },
  slow: { status: 'slow', reason: 'the database took too long to answer: it is busy, or a lock is held' },
} as const;

/** Logs the details with the id of the request. */
export const failureOf = (error: FastifyError, request: FastifyRequest, logger: Logger): Failure => {
  const { statusCode } = error;
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return { code: statusCode, status: statusCode === 404 ? 'not found' : 'bad request', reason: error.message };
  }
  if ((error as Error) instanceof BusyError) {
    const { message: reason, retryAfterSeconds } = error as unknown as BusyError;
    return { code: 503, status: 'busy', reason, retryAfterSeconds };
  }
  if ((error as Error) instanceof SearchError) return searchFailure(error as unknown as SearchError);
  if (error instanceof OrgtrailError && error.code === 'archive_unreadable') {
    return archiveFailure(error, request, logger);
  }
  const facts = { requestId: request.id, method: request.method, path: request.url.split('?')[0] };
  const trouble = databaseTrouble(error);
  if (trouble === undefined) {
    logger.error({ ...facts, err: error }, 'HTTP request failed');
    return {
      code: 500,
      status: 'error',
      reason: `internal error (request id ${request.id}); the log has the details`,
    };
  }
  if (trouble !== 'unreachable')
    logger.warn({ ...facts, reason: error.message }, `a request failed: the database is ${trouble}`);
  const { status, reason } = troubles[trouble];
  const known = error instanceof OrgtrailError ? error.message : reason;
  const hasAction = trouble === 'unreachable' || trouble === 'full';
  return {
    code: 503,
    status,
    reason: hasAction ? `${known}. Try: ${databaseCause(error).action}` : known,
    ...(trouble !== 'unreachable' && { retryAfterSeconds: RETRY_AFTER_SECONDS }),
  };
};

/** Logged for each request until the object or the storage is mended. */
const archiveFailure = (
  { message, hint }: OrgtrailError,
  { id: requestId }: FastifyRequest,
  logger: Logger,
): Failure => {
  logger.error({ requestId, reason: message, hint }, 'a request failed: the archive cannot be read');
  return { code: 503, status: 'archive', reason: message, retryAfterSeconds: ARCHIVE_RETRY_AFTER_SECONDS };
};

const searchFailure = ({ reason, message }: SearchError): Failure =>
  reason === 'refused'
    ? { code: 400, status: 'bad request', reason: message }
    : { code: 503, status: 'slow', reason: message, retryAfterSeconds: RETRY_AFTER_SECONDS };

/** An error that `failureOf` answers with this code and reason. */
export const httpError = (statusCode: number, reason: string): Error =>
  Object.assign(new Error(reason), { statusCode });

/** In words: a misspelt parameter would mean all of them. */
export const unknownIn = (query: Readonly<Record<string, unknown>>, known: readonly string[]): readonly string[] =>
  Object.keys(query)
    .filter((name) => !known.includes(name))
    .map((name) => unknownParameter(name, known));

export const wantsPage = ({ url, headers }: FastifyRequest): boolean =>
  !url.startsWith('/v1/') && (headers.accept ?? '').includes('text/html');

export const sendNotFound = (request: FastifyRequest, reply: FastifyReply): FastifyReply =>
  reply.code(404).send({ status: 'not found', reason: `there is no ${request.method} ${request.url.split('?')[0]}` });

/** Aborts when the connection closes, also after an answer that was sent in full. */
export const goneSignal = (reply: FastifyReply): AbortSignal => {
  const gone = new AbortController();
  if (reply.raw.destroyed) gone.abort();
  else reply.raw.once('close', () => gone.abort());
  return gone.signal;
};

/** For answers that are no stream, in a place kept until the reader has all. Exports stand back meanwhile. Rejects with BusyError. */
export const inPlace = async <T>(
  streams: StreamLimits,
  reply: FastifyReply,
  work: (lend: Lend) => Promise<T>,
): Promise<T> => {
  const gone = goneSignal(reply);
  const place = await streams.enter('page', gone);
  reply.raw.once('close', place.leave);
  if (gone.aborted) place.leave();
  let giveBack = () => {};
  return await work(async (bytes) => {
    giveBack();
    giveBack = await streams.memory.acquire(bytes, gone, MAX_WAIT_MS);
    if (gone.aborted) giveBack();
    else reply.raw.once('close', giveBack);
    return giveBack;
  });
};

/** Replaces what was lent before: who waits holds nothing. Given back when the answer is sent, or by the returned function. */
export type Lend = (bytes: number) => Promise<() => void>;

/** A reader that takes this much within the time-out is not cut. */
const SLICE_BYTES = 65_536;

export const cutStalled = (
  server: FastifyInstance,
  { stallTimeoutMs, stalled }: Pick<StreamLimits, 'stallTimeoutMs' | 'stalled'>,
): void => {
  server.addHook('onSend', async (_request, reply, payload) => {
    if (typeof payload !== 'string' && !Buffer.isBuffer(payload)) return payload;
    const timer = setTimeout(() => {
      stalled();
      reply.raw.destroy();
    }, stallTimeoutMs);
    reply.raw.once('close', () => clearTimeout(timer));
    if (payload.length <= SLICE_BYTES) return payload;
    const bytes = Buffer.from(payload);
    reply.header('content-length', bytes.length);
    return Readable.from(slices(bytes, timer), { highWaterMark: 1 });
  });
};

function* slices(bytes: Buffer, timer: NodeJS.Timeout): Generator<Buffer, void, void> {
  for (let from = 0; from < bytes.length; from += SLICE_BYTES) {
    timer.refresh();
    yield bytes.subarray(from, from + SLICE_BYTES);
  }
}
