/** Exit codes: a contract with scripts and supervisors. */
export const exitCodes = {
  done: 0,
  sourceFailed: 1,
  usage: 2,
  databaseTooNew: 3,
  unreachable: 4,
  evidenceFails: 5,
} as const;

/** Faults that an operator can act on: stable, since they are the `code` of log lines. */
const exitCodeOf = {
  configuration: exitCodes.usage,
  usage: exitCodes.usage,
  database_too_new: exitCodes.databaseTooNew,
  database_outdated: exitCodes.unreachable,
  database_unreachable: exitCodes.unreachable,
  api_unreachable: exitCodes.unreachable,
  daemon_unreachable: exitCodes.unreachable,
  api_unauthorized: exitCodes.usage,
  source_failed: exitCodes.sourceFailed,
  verification_failed: exitCodes.sourceFailed,
  evidence_fails: exitCodes.evidenceFails,
  archive_unreadable: exitCodes.unreachable,
} as const;
export type ErrorCode = keyof typeof exitCodeOf;

/** A fault for the operator: `message` says what is wrong, `hint` what to do. Shows no stack; holds no credential. */
export class OrgtrailError extends Error {
  override readonly name = 'OrgtrailError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }

  get exitCode(): number {
    return exitCodeOf[this.code];
  }
}

/** Decides about retries; also a log field and a bounded label. */
export type ApiFailure =
  | 'bad_request' // 400, 422: with a cursor, the cursor was refused
  | 'unauthorized' // 401
  | 'refused' // 403: this credential may not, here
  | 'not_found' // 404, 410
  | 'throttled' // 429
  | 'server' // 408, 409, 5xx
  | 'timeout' // no bytes within the time of a phase, or of the whole call
  | 'connection' // DNS, TCP, TLS, reset, body cut off
  | 'too_large' // the body passed the size limit
  | 'unreadable' // not JSON, or not the envelope
  | 'redirected' // 3xx: never followed, the credential goes to one host
  // Any other status.
  | 'unexpected';

/** A call to Cloudflare failed after its retries. An abort throws the signal's reason; an entry never fails its page. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly failure: ApiFailure;
  readonly status: number | undefined;
  /** Cloudflare's own error codes (10000 and the like). */
  readonly apiCodes: readonly number[];
  readonly retryAfterMs: number | undefined;

  constructor(
    failure: ApiFailure,
    message: string,
    facts: { status?: number; apiCodes?: readonly number[]; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.failure = failure;
    this.status = facts.status;
    this.apiCodes = facts.apiCodes ?? [];
    this.retryAfterMs = facts.retryAfterMs;
  }
}

/** In the words of the driver or the server. A refused connection to several addresses has only a code. */
export const reasonOf = (error: unknown): string => {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map((inner: unknown) => reasonOf(inner)).join('; ');
  }
  const words = error instanceof Error ? error.message || error.name : String(error);
  // pg's own words say little to a reader of the log.
  return words === 'Query read timeout' ? 'PostgreSQL did not answer a statement in time' : words;
};

const untrusted = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

/** Of the system, TLS or undici; undefined if it has none. */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

/** Whether a `ca_file` would mend this error of TLS. */
export const isUntrustedCertificate = (code: string | undefined): boolean => code !== undefined && untrusted.has(code);

/** A search that timed out or was refused for its values. The message is for the user. */
export class SearchError extends Error {
  override readonly name = 'SearchError';
  readonly reason: 'timeout' | 'refused';

  constructor(reason: SearchError['reason'], message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.reason = reason;
  }
}

/** Too much at once: the same request will be served later. The message, for the one who asks, names what is busy. */
export class BusyError extends Error {
  override readonly name = 'BusyError';
  /** For an error handler of HTTP. */
  readonly statusCode = 503;
  readonly retryAfterSeconds: number;

  constructor(message: string, retryAfterSeconds: number) {
    super(message);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
