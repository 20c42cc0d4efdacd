import { z } from 'zod';
import { ApiError, type ApiFailure } from '../../base/errors.ts';
import { MAX_ID_LENGTH } from '../entries/entry.ts';
import { faultIn } from '../entries/page.ts';
import { type Credential, type CredentialSource, isBroken, sourceOfCredential } from './credentials.ts';
import {
  type ApiEndpoint,
  type ApiRequest,
  isBlind,
  nextRetry,
  type Outcome,
  pacing,
  type RequestBudget,
  resetOf,
  type Send,
  type ServerClock,
  sleep,
  throttlePauseMs,
} from './wire/request.ts';
import { type Connections, createTransport, defaultTimeouts, type Timeouts } from './wire/transport.ts';

/** Eighty times a full page of ordinary entries; one page is held in memory a few times over. */
const DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

export interface CloudflareClientDeps {
  /** Where the API is, path prefix included: `https://api.cloudflare.com/client/v4`. */
  readonly baseUrl: string;
  readonly credential: Credential | CredentialSource;
  readonly budget: RequestBudget;
  /** Asks whose the credential is before the first request (principal.ts). */
  readonly principal?:
    | { identify(client: Pick<CloudflareClient, 'get'>, signal: AbortSignal): Promise<void> }
    | undefined;
  readonly clock: ServerClock;
  readonly userAgent: string;
  readonly observer?: RequestObserver | undefined;
  readonly timeouts?: Partial<Timeouts> | undefined;
  readonly connections?: Connections | undefined;
  readonly maxResponseBytes?: number | undefined;
  /** In [0, 1); spreads the retries. */
  readonly random?: (() => number) | undefined;
  /** Rejects with the signal's reason. Tests give one that does not wait. */
  readonly sleep?: typeof sleep | undefined;
}

/** Hooks for metrics and logs. They must not throw. None of them sees a header, a path or a body. */
export interface RequestObserver {
  /** After every attempt that was not aborted, timed from the free budget to the end of the body. */
  onAttempt?(attempt: { endpoint: ApiEndpoint; status: number | ApiFailure; durationMs: number }): void;
  /** On every 429: for how long it stopped all requests. Those of concurrent 429s overlap. */
  onThrottled?(throttle: { waitMs: number }): void;
  /** Before another attempt: `attempt` have failed so far. */
  onRetry?(retry: { endpoint: ApiEndpoint; failure: ApiFailure; attempt: number; waitMs: number }): void;
}

export interface CloudflareClient {
  /** Rejects with ApiError once retries cannot help, with the signal's reason, or with whatever the budget rejects
   * with. */
  get<T>(request: ApiRequest<T>): Promise<T>;
  close(): Promise<void>;
}

/**
 * Speaks to one Cloudflare with one credential. Throws OrgtrailError `configuration` if no header can carry it.
 *
 * The way of a request, from the outside in: by-credential.ts chooses the credential, audit-api.ts makes the request of a page, and here
 * the principal is known first, what fails is retried, a renewed credential is tried once more, and each attempt waits for the budget and
 * is counted; transport.ts sends it.
 */
export function createCloudflareClient(deps: CloudflareClientDeps): CloudflareClient {
  const { budget, principal, observer = {} } = deps;
  const credential = sourceOfCredential(deps.credential);
  const transport = createTransport({
    baseUrl: deps.baseUrl,
    credential,
    userAgent: deps.userAgent,
    clock: deps.clock,
    timeouts: { ...defaultTimeouts, ...deps.timeouts },
    connections: deps.connections,
    maxResponseBytes: deps.maxResponseBytes ?? DEFAULT_MAX_RESPONSE_BYTES,
  });
  const attempt = withBudget(transport.send, budget, observer);
  const send = withRetry(withFreshCredential(attempt, credential), {
    budget,
    observer,
    random: deps.random ?? Math.random,
    sleep: deps.sleep ?? sleep,
  });
  const get = async <T>(request: ApiRequest<T>): Promise<T> => {
    const outcome = await send(request);
    if (outcome.ok) return outcome.value;
    throw outcome.error;
  };
  return {
    get: async (request) => {
      await principal?.identify({ get }, request.signal);
      return await get(request);
    },
    close: transport.close,
  };
}

/** Ends since `nextRetry` gives up after a bounded number of failures of either kind. */
function withRetry(
  send: Send,
  deps: { budget: RequestBudget; observer: RequestObserver; random: () => number; sleep: typeof sleep },
): Send {
  const { budget, observer, random } = deps;
  return async <T>(request: ApiRequest<T>) => {
    // Counted apart: a call that sat out a long block still has its retries against a 502.
    const failures = { throttled: 0, other: 0 };
    for (;;) {
      const outcome = await send(request);
      if (outcome.ok) return outcome;
      const { failure, status, retryAfterMs } = outcome.error;
      const facts = { failure, status, retryAfterMs, rateLimitResetMs: resetOf(outcome.rateLimits) };
      const kind = failure === 'throttled' ? 'throttled' : 'other';
      if (kind === 'throttled' && request.mayBeTooWide === true && isBlind(facts)) return outcome;
      failures[kind] += 1;
      const decision = request.once === true ? 'give_up' : nextRetry(facts, failures[kind], random);
      if (kind === 'throttled') {
        // Also when giving up: the block holds for all that share the credential.
        const waitMs = decision === 'give_up' ? throttlePauseMs(facts, failures.throttled, random) : decision.retryInMs;
        observer.onThrottled?.({ waitMs });
        await budget.pause(waitMs, 'retry_after');
      }
      if (decision === 'give_up') return outcome;
      const waitMs = decision.retryInMs;
      observer.onRetry?.({ endpoint: request.endpoint, failure, attempt: failures.throttled + failures.other, waitMs });
      // After a 429 the budget itself makes the next attempt wait, as it does all others.
      if (kind === 'other') await deps.sleep(waitMs, request.signal);
    }
  };
}

/** Cloudflare answers a token that was revoked with 401, 403 or 400: a newer one is tried once. */
function withFreshCredential(send: Send, source: CredentialSource): Send {
  return async <T>(request: ApiRequest<T>) => {
    const used = source.current();
    const outcome = await send(request);
    if (outcome.ok || !(isBroken(outcome.error) || outcome.error.failure === 'refused')) return outcome;
    // Another request may have found it meanwhile.
    const isRenewed = source.current() !== used || source.refresh();
    return isRenewed ? await send(request) : outcome;
  };
}

const listings: ReadonlySet<ApiEndpoint> = new Set(['organizations', 'accounts', 'organization_accounts', 'user']);

/** An attempt waits for the right to send, and is counted; all slow down while Cloudflare says that little is left. */
function withBudget(send: Send, budget: RequestBudget, observer: RequestObserver): Send {
  return async <T>(request: ApiRequest<T>) => {
    const { endpoint, signal } = request;
    signal.throwIfAborted();
    try {
      await budget.acquire(signal, listings.has(endpoint));
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
    const startMs = performance.now();
    const outcome = await send(request);
    observer.onAttempt?.({ endpoint, status: statusOf(outcome), durationMs: performance.now() - startMs });
    // The pause of a 429 depends on how many there were: the retry knows.
    const throttled = !outcome.ok && outcome.error.failure === 'throttled';
    const pauseMs = throttled ? 0 : pacing(outcome.rateLimits);
    if (pauseMs > 0) await budget.pause(pauseMs, 'ratelimit');
    return outcome;
  };
}

function statusOf(outcome: Outcome<unknown>): number | ApiFailure {
  if (outcome.ok) return 200;
  const { failure, status } = outcome.error;
  // These failed in spite of their status 200.
  return failure === 'too_large' || failure === 'unreadable' ? failure : (status ?? failure);
}

interface Envelope {
  readonly result: unknown;
  /** The token of the next page; undefined at the end, which is spelled in three ways. */
  readonly nextPageToken: string | undefined;
  readonly totalCount: number | undefined;
}

const count = z.number().optional().catch(undefined);
const schema = z.object({
  success: z.unknown().optional(),
  errors: z.unknown().optional(),
  error: z.unknown().optional(),
  result: z.unknown().optional(),
  result_info: z
    .object({
      errors: z.unknown().optional(),
      next_page_token: z.string().nullish(),
      total_count: count,
      total_size: count,
    })
    .nullish(),
});

/** `read` runs inside the attempt: a page of HTML is asked for again. It throws ApiError `unreadable` when it cannot
 * read. */
export async function getEnvelope<T>(
  client: Pick<CloudflareClient, 'get'>,
  request: Omit<ApiRequest<T>, 'decode'>,
  read: (envelope: Envelope) => T,
): Promise<T> {
  return await client.get({ ...request, decode: ({ text }) => read(readEnvelope(text, request.path)) });
}

function readEnvelope(text: string, path: string): Envelope {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // JSON.parse quotes the text in its message; the body stays out of ours.
    throw new ApiError('unreadable', `GET ${path}: the response is not JSON`);
  }
  const envelope = schema.safeParse(json);
  if (!envelope.success) throw new ApiError('unreadable', `GET ${path}: the response has no envelope of Cloudflare's`);
  const fault = faultIn(envelope.data);
  if (fault !== undefined) throw new ApiError('unreadable', `GET ${path}: the response ${fault}`);
  const { next_page_token, total_count, total_size } = envelope.data.result_info ?? {};
  return {
    result: envelope.data.result,
    nextPageToken: next_page_token || undefined,
    totalCount: total_count ?? total_size,
  };
}

export type Parameter = [name: string, value: string];

export interface Listing {
  readonly endpoint: ApiEndpoint;
  readonly path: string;
  readonly filters: readonly Parameter[];
  readonly signal: AbortSignal;
}

/** Ten million items: no list is that long, a walk that goes on is a walk in a circle. */
export const MAX_PAGES = 10_000;
/** This many pages in a row without anything new are a walk in a circle. */
export const MAX_STALE_PAGES = 3;

/** A token, or a page, that comes again and again ends the walk with ApiError `unreadable`. */
export async function* walkByToken(
  client: CloudflareClient,
  listing: Listing,
  from?: string,
): AsyncGenerator<
  { readonly items: readonly unknown[]; readonly next: string | undefined; readonly total: number | undefined },
  void,
  void
> {
  const { path, filters } = listing;
  const seenTokens = new Set<string>();
  let token = from;
  let last = '[]';
  let stale = 0;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    // A token does not carry the filters (so Cloudflare's documentation): they are sent again with each.
    const more: Parameter[] = token === undefined ? [] : [['page_token', token]];
    const { result, nextPageToken, totalCount } = await getItems(client, listing, [...filters, ...more]);
    yield { items: result, next: nextPageToken, total: totalCount };
    if (nextPageToken === undefined) return;
    const items = JSON.stringify(result);
    stale = items === last || result.length === 0 ? stale + 1 : 0;
    if (stale === MAX_STALE_PAGES) throw new ApiError('unreadable', `GET ${path}: the same page came again and again`);
    last = items;
    if (seenTokens.has(nextPageToken)) throw new ApiError('unreadable', `GET ${path}: a page token came twice`);
    seenTokens.add(nextPageToken);
    token = nextPageToken;
  }
  throw new ApiError('unreadable', `GET ${path}: no end after ${MAX_PAGES} pages`);
}

export const getItems = async (
  client: CloudflareClient,
  { endpoint, path, signal }: Listing,
  parameters: readonly Parameter[],
): Promise<Envelope & { readonly result: readonly unknown[] }> =>
  await getEnvelope(
    client,
    { endpoint, path, query: new URLSearchParams(parameters.map(([name, value]): Parameter => [name, value])), signal },
    (envelope) => {
      if (Array.isArray(envelope.result)) return { ...envelope, result: envelope.result };
      throw new ApiError('unreadable', `GET ${path}: the result is not a list`);
    },
  );

/** Whether a table, an index and a URL can hold it: Cloudflare's own have 32 or 36 characters. */
export const isUsableId = (id: string): boolean =>
  id !== '' && id.length <= MAX_ID_LENGTH && !id.includes('\0') && id.isWellFormed();
