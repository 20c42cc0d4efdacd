import { z } from 'zod';
import type { FoundAccount } from '../planning/source.ts';
import type { AccountsPage } from '../sync/ports.ts';
import type { CloudflareClient } from './client.ts';
import { getItems, isUsableId, type Listing, MAX_PAGES, walkByToken } from './listing-walk.ts';
import { pathSegment } from './wire/request.ts';

export interface AccountsApi {
  /**
   * GET /accounts: what the credential reaches, each account once. The listing is by page numbers, which shift when an account comes or goes
   * meanwhile: it is complete only if the total that every page says is the same, and as many came.
   */
  list(signal: AbortSignal): AsyncGenerator<AccountsPage, void, void>;
  /** The accounts of an organization, by page token. */
  listOf(organizationId: string, signal: AbortSignal): AsyncGenerator<AccountsPage, void, void>;
}

/** The largest page that GET /accounts takes. */
const PAGE_SIZE = 50;
const ORGANIZATION_PAGE_SIZE = 1_000;
/** So many pages in a row that name no new account are a walk in a circle. */
const MAX_STALE_PAGES = 3;

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
    async *listOf(organizationId, signal) {
      const path = `/organizations/${pathSegment(organizationId)}/accounts`;
      const listing: Listing = {
        endpoint: 'organization_accounts',
        path,
        filters: [['page_size', String(ORGANIZATION_PAGE_SIZE)]],
        signal,
      };
      const seen = new Set<string>();
      for await (const { items, isLast } of walkByToken(client, listing)) {
        yield { accounts: readNew(items, seen, organizationId), complete: isLast };
      }
    },
    async *list(signal) {
      const listing: Listing = { endpoint: 'accounts', path: '/accounts', filters: [], signal };
      const seen = new Set<string>();
      const totals = new Set<number | undefined>();
      let stale = 0;
      // The size of a page is only asked for: how many have come tells where the end is.
      let received = 0;
      for (let page = 1; page <= MAX_PAGES; page += 1) {
        const { result, totalCount } = await getItems(client, listing, [
          ['page', String(page)],
          ['per_page', String(PAGE_SIZE)],
          ['direction', 'asc'],
        ]);
        const accounts = readNew(result, seen);
        totals.add(totalCount);
        stale = accounts.length === 0 ? stale + 1 : 0;
        received += result.length;
        const isLast = result.length === 0 || (totalCount !== undefined && received >= totalCount);
        const named = totalCount === undefined ? result.length === 0 : seen.size === totalCount;
        yield { accounts, complete: isLast && named && totals.size === 1 };
        if (isLast || stale === MAX_STALE_PAGES) return;
      }
    },
  };
};
