import { z } from 'zod';
import type { FoundAccount } from '../planning/source.ts';
import type { AccountsPage } from '../sync/ports.ts';
import type { CloudflareClient } from './client.ts';
import { getItems, isUsableId, type Listing, MAX_PAGES, MAX_STALE_PAGES, walkByToken } from './listing-walk.ts';
import { pathSegment } from './wire/request.ts';

export interface AccountsApi {
  /**
   * GET /accounts: what the credential reaches, each account once. The listing is by page numbers, which shift when an account goes meanwhile: the
   * total, which every page says, tells how far to go back. A page as full as was asked for, or as those before it, is not the last one, whatever the total is; nor is one
   * with a total that may be its own count.
   */
  list(signal: AbortSignal, from?: string): AsyncGenerator<AccountsPage, void, void>;
  /** The accounts of an organization, by page token. */
  listOf(organizationId: string, signal: AbortSignal, from?: string): AsyncGenerator<AccountsPage, void, void>;
}

/** The largest page that GET /accounts takes. */
const PAGE_SIZE = 50;
const ORGANIZATION_PAGE_SIZE = 1_000;

const text = z.string().min(1).optional().catch(undefined);
const item = z.object({
  id: z.string().refine(isUsableId),
  name: text,
  type: text,
  created_on: text,
  settings: z.record(z.string(), z.unknown()).optional().catch(undefined),
  managed_by: z.object({ parent_org_id: text }).optional().catch(undefined),
});

/** `onUnreadable` is called for each listed item that is skipped, since it has no id that it could be known by. */
export const createAccountsApi = (client: CloudflareClient, onUnreadable: () => void): AccountsApi => {
  const readNew = (items: readonly unknown[], seen: Set<string>, organizationId?: string): FoundAccount[] =>
    items.flatMap((value) => {
      const { data } = item.safeParse(value);
      if (data === undefined) onUnreadable();
      if (data === undefined || seen.has(data.id)) return [];
      seen.add(data.id);
      return [
        {
          id: data.id,
          name: data.name,
          type: data.type,
          createTime: data.created_on,
          settings: data.settings,
          organizationId: organizationId ?? data.managed_by?.parent_org_id,
        },
      ];
    });
  return {
    async *listOf(organizationId, signal, from) {
      const path = `/organizations/${pathSegment(organizationId)}/accounts`;
      const listing: Listing = {
        endpoint: 'organization_accounts',
        path,
        filters: [['page_size', String(ORGANIZATION_PAGE_SIZE)]],
        signal,
      };
      const seen = new Set<string>();
      for await (const { items, next, total } of walkByToken(client, listing, from)) {
        const accounts = readNew(items, seen, organizationId);
        yield { accounts, next, total, complete: next === undefined };
      }
    },
    async *list(signal, from) {
      const listing: Listing = { endpoint: 'accounts', path: '/accounts', filters: [], signal };
      const seen = new Set<string>();
      let stale = 0;
      let at = readPlace(from);
      for (let pages = 0; pages < MAX_PAGES; pages += 1) {
        const { result, totalCount } = await getItems(client, listing, [
          ['page', String(at.page)],
          ['per_page', String(PAGE_SIZE)],
          ['direction', 'asc'],
        ]);
        const accounts = readNew(result, seen);
        const before = at;
        at = placeBehind(at, result.length, totalCount);
        stale = accounts.length > 0 || at.page <= before.page ? 0 : stale + 1;
        const named = from === undefined ? seen.size : at.received;
        const isCounted = totalCount !== undefined && at.received >= totalCount;
        const fullSize = before.page === 1 ? PAGE_SIZE : Math.round(before.received / (before.page - 1));
        const isBelieved = isCounted && totalCount > result.length && result.length < fullSize;
        const isLast = isBelieved || result.length === 0 || stale === MAX_STALE_PAGES;
        const complete = isLast && (totalCount === undefined ? result.length === 0 : isCounted && named >= totalCount);
        yield { accounts, next: isLast ? undefined : JSON.stringify(at), total: totalCount, complete };
        if (isLast) return;
      }
    },
  };
};

/** Where a listing by page numbers goes on. The size of a page is only asked for: how many have come tells where the end is. */
const placeSchema = z.object({ page: z.int().positive(), received: z.int().nonnegative(), total: z.int().optional() });
type Place = z.infer<typeof placeSchema>;

const readPlace = (from: string | undefined): Place => {
  const { data } = placeSchema.safeParse(from === undefined ? undefined : JSON.parse(from));
  return data ?? { page: 1, received: 0 };
};

/**
 * If so many accounts have gone since the pages before, as many of those that follow have come to stand on pages that have been read. Each goes back
 * once: only below the lowest total so far.
 */
const placeBehind = ({ page, received, total }: Place, items: number, totalCount = total): Place => {
  const gone = total === undefined || totalCount === undefined ? 0 : total - totalCount;
  if (gone <= 0) return { page: page + 1, received: received + items, total: total ?? totalCount };
  const perPage = Math.max(1, Math.round(received / Math.max(1, page - 1)));
  const back = Math.min(page - 1, Math.ceil(gone / perPage));
  return { page: page - back, received: Math.max(0, received - back * perPage), total: totalCount };
};
