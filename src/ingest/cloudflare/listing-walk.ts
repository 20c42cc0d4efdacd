import { ApiError } from '../../errors.ts';
import { MAX_ID_LENGTH } from '../entries/entry.ts';
import type { CloudflareClient } from './client.ts';
import { type Envelope, getEnvelope } from './envelope.ts';
import type { ApiEndpoint } from './wire/request.ts';

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
