import { isUtf8 } from 'node:buffer';
import { Agent, type Dispatcher } from 'undici';
import { ApiError } from '../../../errors.ts';
import {
  type Credential,
  type CredentialSource,
  createRedact,
  credentialHeaders,
  type Redact,
  sourceOfCredential,
} from '../credential.ts';
import { attemptTimeout, connectionFailure, type Timeouts } from './connection-failure.ts';
import { parseHttpDate, parseRateLimits, parseRetryAfter } from './rate-limit-headers.ts';
import { type Body, readBody } from './read-body.ts';
import type { ApiRequest, ApiText, Outcome, Send } from './request.ts';
import { responseFailure } from './response-failure.ts';
import type { ServerClock } from './server-clock.ts';

export interface TransportDeps {
  /** `https://host/prefix`; what else a URL can have (user, query) is not sent. */
  readonly baseUrl: string;
  readonly credential: Credential | CredentialSource;
  readonly userAgent: string;
  readonly timeouts: Timeouts;
  readonly maxResponseBytes: number;
  readonly clock: ServerClock;
}

export interface Transport {
  readonly send: Send;
  /** Closes all connections; what is still under way fails with `connection`. */
  close(): Promise<void>;
}

/** As many workers as there may be (ORGTRAIL_CONCURRENCY), and the listing beside them: none waits for one that hangs. */
const MAX_CONNECTIONS = 72;

/** Longer than the default schedule's 30 s, so that a quiet daemon does not need a new handshake for every tick. */
const KEEP_ALIVE_MS = 60_000;

/** Cloudflare's error bodies have a few hundred bytes; of a longer one nothing is wanted. */
const MAX_ERROR_BYTES = 64 * 1024;

type Headers = Dispatcher.ResponseData['headers'];

/** One attempt over the network, without budget or retries. Follows no redirect. */
export function createTransport(deps: TransportDeps): Transport {
  const { timeouts } = deps;
  const base = new URL(deps.baseUrl);
  const prefix = base.pathname.replace(/\/+$/, '');
  const credential = sourceOfCredential(deps.credential);
  const headersNow = () => ({
    ...credentialHeaders(credential.current()),
    accept: 'application/json',
    'user-agent': deps.userAgent,
  });
  // One that no header can carry is said at once.
  headersNow();
  const agent = createAgent(timeouts);

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
        ? attemptTimeout(request.path, { ...timeouts, attemptMs })
        : connectionFailure(error, request.path, timeouts, redact);
      if (failure === undefined) throw error;
      return { ok: false, error: failure, rateLimits: [] };
    } finally {
      attempt.end();
    }
  }

  return { send, close: () => agent.destroy() };
}

function createAgent(timeouts: Timeouts): Agent {
  return new Agent({
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
}

/** A signal that follows the caller's and also aborts when the time is up. `end` leaves no timer or listener behind. */
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

/** Most bodies are read from their bytes: a page as text would be two bytes a character, for one accent in a name. */
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

/** What is kept of a header is bounded, and no more than a name. */
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
