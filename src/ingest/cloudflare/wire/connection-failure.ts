import { errors } from 'undici';
import { ApiError } from '../../../errors.ts';
import type { Redact } from '../credential.ts';

/** How long each phase of one attempt may take. */
export interface Timeouts {
  readonly connectMs: number;
  readonly headersMs: number;
  readonly bodyIdleMs: number;
  readonly attemptMs: number;
}

export const defaultTimeouts: Timeouts = {
  /** DNS, TCP and TLS to a nearby edge: a connection that takes longer will not come up. */
  connectMs: 10_000,
  /** Wide windows are slow to query; the first byte of a page is waited for longer than any page seen. */
  headersMs: 30_000,
  /** Between two pieces of one body. This is the only way to detect a half-open connection. */
  bodyIdleMs: 30_000,
  /** All phases together, more than all the above: a body that trickles would otherwise hold its walk indefinitely. */
  attemptMs: 120_000,
};

const TIMED_OUT: Record<string, (timeouts: Timeouts) => string> = {
  UND_ERR_CONNECT_TIMEOUT: ({ connectMs }) => `no connection within ${connectMs} ms`,
  UND_ERR_HEADERS_TIMEOUT: ({ headersMs }) => `no response headers within ${headersMs} ms`,
  UND_ERR_BODY_TIMEOUT: ({ bodyIdleMs }) => `no further data of the response body within ${bodyIdleMs} ms`,
};

/** The error of an attempt whose time as a whole was up. */
export function attemptTimeout(path: string, { attemptMs }: Timeouts): ApiError {
  return new ApiError('timeout', `GET ${path}: the whole attempt was not done within ${attemptMs} ms`);
}

/**
 * The error of an attempt that got no complete answer; undefined when `error` is no fault of the network but a bug.
 * undici's error is told, not kept as `cause`: some of its errors hold parts of the traffic.
 */
export function connectionFailure(
  error: unknown,
  path: string,
  timeouts: Timeouts,
  redact: Redact,
): ApiError | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = codeOf(error);
  if (code === undefined || code.includes('INVALID_ARG')) return undefined;
  const timedOut = TIMED_OUT[code];
  if (timedOut) return new ApiError('timeout', `GET ${path}: ${timedOut(timeouts)}`);
  // Happy Eyeballs fails with an AggregateError that has a code and no message.
  const message = redact(error.message === '' ? code : `${code} (${error.message})`);
  return new ApiError('connection', `GET ${path}: ${message}`);
}

function codeOf(error: Error): string | undefined {
  // The one error of undici's that comes without a code (8.13.1): an answer that is not HTTP.
  if (error instanceof errors.HTTPParserError) return 'HTTP_PARSER';
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
