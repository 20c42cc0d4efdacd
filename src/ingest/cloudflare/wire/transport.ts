import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import { Agent, type Dispatcher, errors } from 'undici';
import { ApiError, type ApiFailure } from '../../../base/errors.ts';
import { BufferPool } from '../../../base/memory.ts';
import {
  type Credential,
  type CredentialSource,
  createRedact,
  credentialHeaders,
  type Redact,
  sourceOfCredential,
} from '../credentials.ts';
import type { ApiRequest, ApiText, Outcome, Send } from './request.ts';
import { parseHttpDate, parseRateLimits, parseRetryAfter, type ServerClock } from './request.ts';

interface TransportDeps {
  /** `https://host/prefix`; user and query of a URL are not sent. */
  readonly baseUrl: string;
  readonly credential: Credential | CredentialSource;
  readonly userAgent: string;
  readonly timeouts: Timeouts;
  readonly maxResponseBytes: number;
  readonly clock: ServerClock;
  /** Of all credentials of a process; closed by its maker. Default: one of its own. */
  readonly connections?: Connections | undefined;
}

export type Connections = ReturnType<typeof openConnections>;

/** Every worker (ORGTRAIL_CONCURRENCY) and the listing have one: none waits for one that hangs. */
const MAX_CONNECTIONS = 72;

/** Longer than the default schedule's 30 s, so that a quiet daemon does not need a new handshake for every tick. */
const KEEP_ALIVE_MS = 60_000;

/** Cloudflare's error bodies have a few hundred bytes; longer ones are ignored. */
const MAX_ERROR_BYTES = 64 * 1024;

type Headers = Dispatcher.ResponseData['headers'];

/** One attempt over the network, without budget or retries. Follows no redirect. */
export function createTransport(deps: TransportDeps): { readonly send: Send; close(): Promise<void> } {
  const { timeouts } = deps;
  const base = new URL(deps.baseUrl);
  const prefix = base.pathname.replace(/\/+$/, '');
  const credential = sourceOfCredential(deps.credential);
  const headersNow = () => ({
    ...credentialHeaders(credential.current()),
    accept: 'application/json',
    'user-agent': deps.userAgent,
  });
  // Throws at once if no header can carry it.
  headersNow();
  const connections = deps.connections ?? openConnections(timeouts);
  const { agent } = connections;

  async function exchange<T>(request: ApiRequest<T>, signal: AbortSignal, redact: Redact): Promise<Outcome<T>> {
    const query = request.query.toString();
    const path = `${prefix}${request.path}${query === '' ? '' : `?${query}`}`;
    const headers = headersNow();
    const response = await agent.request({ origin: base.origin, path, method: 'GET', headers, signal });
    // No other success has all of an answer in it (204: nothing, 206: a part).
    return response.statusCode === 200
      ? await readAnswer(request, response, deps)
      : await readFailure(request, response, deps, redact);
  }

  async function send<T>(request: ApiRequest<T>): Promise<Outcome<T>> {
    const { attemptMs = timeouts.attemptMs } = request;
    const attempt = startAttempt(request.signal, attemptMs);
    const redact = createRedact(credential.current());
    try {
      return await exchange(request, attempt.signal, redact);
    } catch (error) {
      request.signal.throwIfAborted();
      const failure = attempt.signal.aborted
        ? new ApiError('timeout', `GET ${request.path}: the whole attempt was not done within ${attemptMs} ms`)
        : connectionFailure(error, request.path, timeouts, redact);
      if (failure === undefined) throw error;
      return { ok: false, error: failure, rateLimits: [] };
    } finally {
      attempt.end();
    }
  }

  // What is still under way fails with `connection`.
  return { send, close: async () => (deps.connections === undefined ? await connections.close() : undefined) };
}

export function openConnections(timeouts: Timeouts) {
  const agent = new Agent({
    connections: MAX_CONNECTIONS,
    connectTimeout: timeouts.connectMs,
    headersTimeout: timeouts.headersMs,
    bodyTimeout: timeouts.bodyIdleMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // The timeouts of all phases are tested on HTTP/1.1; with 16 connections there is nothing to win by HTTP/2.
    allowH2: false,
    // Said although it is the default, since NODE_TLS_REJECT_UNAUTHORIZED=0 would change the default.
    connect: { rejectUnauthorized: true },
  });
  return { agent, close: () => agent.destroy() };
}

/** Follows the caller's signal, and aborts when the time is up. `end` leaves no timer or listener behind. */
function startAttempt(caller: AbortSignal, attemptMs: number): { signal: AbortSignal; end(): void } {
  caller.throwIfAborted();
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, attemptMs);
  caller.addEventListener('abort', abort);
  return {
    signal: controller.signal,
    end() {
      clearTimeout(timer);
      caller.removeEventListener('abort', abort);
    },
  };
}

async function readAnswer<T>(
  request: ApiRequest<T>,
  response: Dispatcher.ResponseData,
  { clock, maxResponseBytes }: TransportDeps,
): Promise<Outcome<T>> {
  clock.observe(header(response.headers, 'date'));
  const rateLimits = rateLimitsOf(response.headers);
  const body = await readBody(response.body, maxResponseBytes, header(response.headers, 'content-length'));
  if (body === undefined) {
    const message = `GET ${request.path}: the response is larger than ${maxResponseBytes} bytes`;
    return { ok: false, error: new ApiError('too_large', message, { status: response.statusCode }), rateLimits };
  }
  const dateMs = parseHttpDate(header(response.headers, 'date'));
  const cfRay = parseRay(header(response.headers, 'cf-ray'));
  try {
    return { ok: true, value: request.decode(apiText({ rateLimits, dateMs, cfRay }, body)), rateLimits };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { ok: false, error, rateLimits };
  }
}

/** Most bodies are read from their bytes: as text, one accent makes a page two bytes a character. */
const apiText = (head: Pick<ApiText, 'rateLimits' | 'dateMs' | 'cfRay'>, { bytes, release }: Body): ApiText => {
  let text: string | undefined;
  return {
    ...head,
    bytes,
    release,
    get text() {
      text ??= new TextDecoder().decode(bytes);
      return text;
    },
    get validUtf8() {
      return isUtf8(bytes);
    },
  };
};

async function readFailure(
  request: ApiRequest<unknown>,
  { statusCode, headers, body: stream }: Dispatcher.ResponseData,
  { clock }: TransportDeps,
  redact: Redact,
): Promise<Outcome<never>> {
  // The status says enough: a body that breaks off must not turn a 403 into a connection that is worth a retry.
  const body = await readBody(stream, MAX_ERROR_BYTES, header(headers, 'content-length')).catch(() => undefined);
  request.signal.throwIfAborted();
  // A refusal is Cloudflare's own answer, and the only one if nothing may be listed; the page of a gateway that could
  // not reach it has a clock of its own.
  if (statusCode >= 400 && statusCode < 500) clock.observe(header(headers, 'date'));
  const sentAtMs = parseHttpDate(header(headers, 'date')) ?? clock.nowMs();
  const error = responseFailure(
    {
      path: request.path,
      status: statusCode,
      text: body?.bytes.toString('utf8'),
      location: header(headers, 'location'),
      retryAfterMs: parseRetryAfter(header(headers, 'retry-after'), sentAtMs),
    },
    redact,
  );
  return { ok: false, error, rateLimits: rateLimitsOf(headers) };
}

function parseRay(value: string | undefined): string | undefined {
  return value !== undefined && /^[\w.-]{1,64}$/.test(value) ? value : undefined;
}

function rateLimitsOf(headers: Headers) {
  const all = (name: string) => [headers[name] ?? []].flat().join(',');
  return parseRateLimits(all('ratelimit'), all('ratelimit-policy'));
}

function header(headers: Headers, name: string): string | undefined {
  return [headers[name]].flat()[0];
}

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

/** Undefined for a bug of our own. undici's error is told, not kept as `cause`: some hold parts of the traffic. */
function connectionFailure(error: unknown, path: string, timeouts: Timeouts, redact: Redact): ApiError | undefined {
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

interface FailedResponse {
  readonly path: string;
  readonly status: number;
  readonly text: string | undefined;
  readonly location: string | undefined;
  readonly retryAfterMs: number | undefined;
}

/** Enough for Cloudflare's own sentences, too little for a page of HTML in a log line. */
const MAX_QUOTED_CHARACTERS = 200;
const MAX_QUOTED_ERRORS = 3;

function responseFailure(response: FailedResponse, redact: Redact): ApiError {
  const errors = readErrors(response.text);
  const said = errors.map(({ code, message }) => [code, message].filter((part) => part !== undefined).join(' '));
  const page = errors.flatMap(({ documentation }) => documentation ?? [])[0];
  const failure = failureOf(response.status, errors);
  const details =
    failure === 'redirected'
      ? redirection(redact(response.location ?? ''))
      : `${quotable(said.join('; '), redact)}${page === undefined ? '' : ` (${redact(page)})`}`;
  return new ApiError(failure, `GET ${response.path} was answered with ${response.status}${details}`, {
    status: response.status,
    apiCodes: errors.flatMap(({ code }) => code ?? []),
    ...(response.retryAfterMs === undefined ? {} : { retryAfterMs: response.retryAfterMs }),
  });
}

/** Cloudflare's router says with a 400 that there is nothing under this path: the id in it is none. */
const NO_SUCH_ID = [7_000, 7_003];

/** Decided by the status, but for the router's own codes: those of services for one and the same fault differ. */
function failureOf(status: number, errors: readonly SaidError[]): ApiFailure {
  if (status === 400 && errors.some(({ code }) => code !== undefined && NO_SUCH_ID.includes(code))) return 'not_found';
  if (status === 400 || status === 422) return 'bad_request';
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'refused';
  if (status === 404 || status === 410) return 'not_found';
  if (status === 429) return 'throttled';
  if (status === 408 || status === 409 || status >= 500) return 'server';
  if (status >= 300 && status < 400) return 'redirected';
  return 'unexpected';
}

interface SaidError {
  readonly code: number | undefined;
  readonly message: string | undefined;
  /** Where Cloudflare explains it, of its own documentation alone. */
  readonly documentation: string | undefined;
}

const DOCUMENTATION = /^https:\/\/developers\.cloudflare\.com\/[\w./#-]{1,150}$/;

/** The useful sentence is in `error_chain`; entries have `code` and `message`, either, or neither. A 5xx may be a problem of RFC 9457. */
function readErrors(text: string | undefined): SaidError[] {
  const body = parseJson(text ?? '');
  if (!isObject(body)) return [];
  const errors = Array.isArray(body['errors']) ? body['errors'] : [{ message: body['title'] }];
  return errors
    .filter(isObject)
    .flatMap((error) => [error, ...(Array.isArray(error['error_chain']) ? error['error_chain'].filter(isObject) : [])])
    .slice(0, MAX_QUOTED_ERRORS)
    .map(({ code, message, documentation_url: page }) => ({
      code: typeof code === 'number' && Number.isSafeInteger(code) ? code : undefined,
      message: typeof message === 'string' ? message : undefined,
      documentation: typeof page === 'string' && DOCUMENTATION.test(page) ? page : undefined,
    }));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function quotable(said: string, redact: Redact): string {
  // Redacted before it is cut: half a secret would no longer be recognised.
  const text = redact(said)
    .replaceAll(/\p{C}+/gu, ' ')
    .trim();
  return text === '' ? '' : `: ${text.slice(0, MAX_QUOTED_CHARACTERS)}`;
}

function redirection(location: string): string {
  const target = URL.canParse(location) ? ` to ${new URL(location).origin}` : '';
  return `${target}; redirects are not followed, the credential is for the configured host only`;
}

const POOLED_BYTES = 65_536;
const buffers = new BufferPool();

interface Body {
  readonly bytes: Buffer;
  /** Returns the memory for another body. Call it once at most, and only when `bytes` is no longer read. */
  release(): void;
}

/**
 * Undefined when it is longer than `maxBytes`: then it takes its connection with it. Rejects when the body is cut off.
 */
async function readBody(
  body: Readable,
  maxBytes: number,
  contentLength: string | undefined,
): Promise<Body | undefined> {
  if (Number(contentLength) > maxBytes) {
    body.on('error', () => {}).destroy();
    return undefined;
  }
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    // Leaving the loop destroys the stream, and with it the connection.
    if (sizeBytes > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return joined(chunks, sizeBytes);
}

const joined = (chunks: readonly Buffer[], sizeBytes: number): Body => {
  if (sizeBytes < POOLED_BYTES) return { bytes: Buffer.concat(chunks, sizeBytes), release: () => {} };
  const buffer = buffers.take(sizeBytes);
  let at = 0;
  for (const chunk of chunks) at += chunk.copy(buffer, at);
  return { bytes: buffer.subarray(0, sizeBytes), release: () => buffers.giveBack(buffer) };
};
