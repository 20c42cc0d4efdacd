import type { FastifyError, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { BusyError, OrgtrailError, SearchError } from '../errors.ts';
import { databaseTrouble } from '../postgres/database-trouble.ts';

/** What a request that failed is answered with, in the API and in the console. */
export interface Failure {
  /** 4xx: a mistake of the client. 503: not now. 500: an internal error. */
  readonly code: number;
  readonly status: 'bad request' | 'not found' | 'unavailable' | 'busy' | 'slow' | 'archive' | 'error';
  /** For the client: says nothing about internals. */
  readonly reason: string;
  /** When it makes sense to try again. */
  readonly retryAfterSeconds?: number;
}

const RETRY_AFTER_SECONDS = 5;
const ARCHIVE_RETRY_AFTER_SECONDS = 60;

const troubles = {
  unreachable: { status: 'unavailable', reason: 'the database does not answer' },
  busy: { status: 'busy', reason: 'all connections to the database are in use: try again in a few seconds' },
  slow: { status: 'slow', reason: 'the database took too long to answer: it is busy, or a lock is held' },
} as const;

/** Describes the failure to the client, and logs the details with the id of the request. */
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
  return {
    code: 503,
    status,
    reason: known,
    ...(trouble !== 'unreachable' && { retryAfterSeconds: RETRY_AFTER_SECONDS }),
  };
};

/** It is for the operator: each request says it until the object or the storage is as it must be. */
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
