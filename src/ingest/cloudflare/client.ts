import { z } from 'zod';
import { ApiError } from '../../base/errors.ts';
import { MAX_ID_LENGTH } from '../entries/entry.ts';
import { faultIn } from '../entries/page.ts';
import { type Credential, type CredentialSource, sourceOfCredential } from './credentials.ts';
import {
  type RequestObserver,
  sleep,
  withBudget,
  withFreshCredential,
  withObserver,
  withRetry,
} from './wire/middleware.ts';
import type { ServerClock } from './wire/rate-limit-headers.ts';
import type { ApiEndpoint, ApiRequest, RequestBudget } from './wire/request.ts';
import { createTransport, defaultTimeouts, type Timeouts } from './wire/transport.ts';

/** Eighty times a full page of ordinary entries; one page is held in memory a few times over. */
const DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

export interface CloudflareClientDeps {
  /** Where the API is, path prefix included: `https://api.cloudflare.com/client/v4`. */
  readonly baseUrl: string;
  readonly credential: Credential | CredentialSource;
  readonly budget: RequestBudget;
  /** Learns Cloudflare's time from the answers. */
  readonly clock: ServerClock;
  readonly userAgent: string;
  readonly observer?: RequestObserver | undefined;
  readonly timeouts?: Partial<Timeouts> | undefined;
  readonly maxResponseBytes?: number | undefined;
  /** In [0, 1); spreads the retries. */
  readonly random?: (() => number) | undefined;
  /** How retries wait. Rejects with the signal's reason. Tests give one that does not. */
  readonly sleep?: ((durationMs: number, signal: AbortSignal) => Promise<void>) | undefined;
}

export interface CloudflareClient {
  /**
   * What the request decodes from the answer. Rejects with ApiError once retries cannot help; with the signal's reason when that
   * aborts; with whatever the budget rejects with.
   */
  get<T>(request: ApiRequest<T>): Promise<T>;
  /** Closes all connections, those in use too. */
  close(): Promise<void>;
}

/** Speaks to one Cloudflare with one credential. Throws OrgtrailError `configuration` if no header can carry it. */
export function createCloudflareClient(deps: CloudflareClientDeps): CloudflareClient {
  const { budget, observer = {} } = deps;
  const credential = sourceOfCredential(deps.credential);
  const transport = createTransport({
    baseUrl: deps.baseUrl,
    credential,
    userAgent: deps.userAgent,
    clock: deps.clock,
    timeouts: { ...defaultTimeouts, ...deps.timeouts },
    maxResponseBytes: deps.maxResponseBytes ?? DEFAULT_MAX_RESPONSE_BYTES,
  });

  // Read from the inside out: an attempt is sent and its answer decoded, then counted; it waited for the budget; a newer credential is
  // looked for; it may be repeated.
  const attempt = withObserver(transport.send, observer);
  const send = withRetry(withFreshCredential(withBudget(attempt, budget), credential), {
    budget,
    observer,
    random: deps.random ?? Math.random,
    sleep: deps.sleep ?? sleep,
  });

  return {
    async get<T>(request: ApiRequest<T>) {
      const outcome = await send(request);
      if (outcome.ok) return outcome.value;
      throw outcome.error;
    },
    close: transport.close,
  };
}

/** Cloudflare's envelope, of a success that names no error. */
interface Envelope {
  readonly result: unknown;
  /** The token of the next page; undefined at the end, which is spelled in three ways. */
  readonly nextPageToken: string | undefined;
  /** How many items a listing has in all; undefined if it does not say. */
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

/**
 * GETs and decodes. The body is read inside the attempt, so that a page of HTML is asked for again.
 *
 * @param read makes `T` from the envelope; throws ApiError `unreadable` when it cannot
 */
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

/** A listing, with the parameters that each of its pages is asked for with. */
export interface Listing {
  readonly endpoint: ApiEndpoint;
  readonly path: string;
  readonly filters: readonly Parameter[];
  readonly signal: AbortSignal;
}

/** Ten million items: no list is that long, a walk that goes on is a walk in a circle. */
export const MAX_PAGES = 10_000;
/** So many pages in a row that bring nothing new are a walk in a circle. */
export const MAX_STALE_PAGES = 3;

/** The items of all pages, or of those from a token on; `next` is the token of the page that follows, `total` how many items the listing counts. A token that
 * comes twice, and pages that come again under others, end the walk with ApiError `unreadable`. */
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

/** One page of a listing. Throws ApiError `unreadable` if its result is no list. */
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

/** One that a table, an index and a URL can hold as it is: Cloudflare's own have 32 or 36 characters. */
export const isUsableId = (id: string): boolean =>
  id !== '' && id.length <= MAX_ID_LENGTH && !id.includes('\0') && id.isWellFormed();
