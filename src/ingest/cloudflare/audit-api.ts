import { hash } from 'node:crypto';
import { z } from 'zod';
import { ApiError } from '../../base/errors.ts';
import { type Page, UnreadablePageError } from '../entries/page.ts';
import type { FoundAccount, FoundOrganization, SourceKey } from '../planning/source.ts';
import { type Filter, requestWindow } from '../planning/walk.ts';
import { kindOf } from '../sources/registry.ts';
import type { PageQuery } from '../sources/source-kind.ts';
import { PartialListingError } from '../sync/discovery/discover.ts';
import type { AccountsPage, AuditApi, ListingFilter } from '../sync/ports.ts';
import {
  type CloudflareClient,
  type CloudflareClientDeps,
  createCloudflareClient,
  getEnvelope,
  getItems,
  isUsableId,
  type Listing,
  MAX_PAGES,
  MAX_STALE_PAGES,
  type Parameter,
  walkByToken,
} from './client.ts';
import { type ApiRequest, type ApiText, pathSegment } from './wire/request.ts';

export interface AuditApiOptions extends Omit<CloudflareClientDeps, 'userAgent'> {
  readonly filtersOf: (source: SourceKey) => readonly Filter[];
  /** Called for each listed organization or account without a usable id. */
  readonly onUnreadable: () => void;
  /** Called for each organization or account that a listing names. */
  readonly onListed?: ((owner: 'organization' | 'account', id: string, name: string) => void) | undefined;
  readonly version: string;
  readonly fastPath?: boolean | undefined;
}

/** What is in it does not matter, only whether it is answered. */
const PROBE_WINDOW_MS = 60_000;

export const connectAuditApi = ({
  filtersOf,
  onUnreadable,
  onListed = () => {},
  version,
  fastPath = true,
  ...options
}: AuditApiOptions): { api: AuditApi; close: () => Promise<void> } => {
  const { clock } = options;
  const client = createCloudflareClient({ ...options, userAgent: `orgtrail/${version}` });
  const organizations = createOrganizationsApi(client, onUnreadable);
  const accounts = createAccountsApi(client, onUnreadable);
  const read = (source: SourceKey) => (answer: ApiText) => readOrThrow(source, answer, fastPath);
  const noted = async function* <P>(
    pages: AsyncIterable<P>,
    owner: 'organization' | 'account',
    itemsOf: (page: P) => readonly Pick<FoundOrganization, 'id' | 'name'>[],
  ): AsyncIterable<P> {
    for await (const page of pages) {
      for (const { id, name } of itemsOf(page)) if (name !== undefined) onListed(owner, id, name);
      yield page;
    }
  };
  const api: AuditApi = {
    fetchPage: async (source, walk, signal, attemptMs) => {
      const { fromMs, toMs } = requestWindow(walk);
      const page = {
        source,
        since: fromMs,
        before: toMs,
        cursor: walk.cursor,
        limit: walk.pageLimit,
        direction: walk.direction,
        filters: [...filtersOf(source), ...walk.filters],
        signal,
        attemptMs,
        decode: read(source),
      };
      const mayBeTooWide = walk.cursor === undefined && toMs - fromMs > PROBE_WINDOW_MS;
      try {
        return await fetchAuditPage(client, { ...page, mayBeTooWide });
      } catch (error) {
        const isThrottled = error instanceof ApiError && error.failure === 'throttled';
        if (!mayBeTooWide || !isThrottled || error.retryAfterMs !== undefined) throw error;
        // A block refuses a narrow window as well.
        const narrow = { ...page, since: toMs - PROBE_WINDOW_MS, once: true };
        const isBlock = await fetchAuditPage(client, narrow).then(
          () => false,
          () => true,
        );
        if (isBlock) return await fetchAuditPage(client, page);
        throw new ApiError('bad_request', error.message, { status: 429 });
      }
    },
    probeAuditLog: async (source, signal) => {
      const before = clock.nowMs();
      if (before === undefined) throw new ApiError('unreadable', 'no response of the API carries a Date header');
      const window = { since: before - PROBE_WINDOW_MS, before, limit: 1, filters: [], direction: 'asc' as const };
      try {
        await fetchAuditPage(client, { source, ...window, signal, decode: read(source) });
        return 'open';
      } catch (error) {
        if (error instanceof ApiError && ['refused', 'not_found'].includes(error.failure)) return 'refused';
        throw error;
      }
    },
    listOrganizations: (filter, signal) =>
      noted(organizations.list({ ...filter, signal }), 'organization', (page) => page),
    listAccounts: (signal, _, from) => noted(accounts.list(signal, from), 'account', (page) => page.accounts),
    listAccountsOf: (id, signal, from) => noted(accounts.listOf(id, signal, from), 'account', (page) => page.accounts),
    getOrganization: async (id, signal) => (await organizations.get(id, signal)) ?? { id },
    getProfile: (id, signal) => organizations.getProfile(id, signal),
    nowMs: () => clock.nowMs(),
  };
  return { api, close: () => client.close() };
};

/** A body that cannot be read is worth a retry. */
const readOrThrow = (source: SourceKey, answer: ApiText, fastPath: boolean): Page => {
  try {
    const page = kindOf(source).readPage(answer, { fastPath });
    page.servedAtMs = answer.dateMs;
    page.answer = { dateMs: answer.dateMs, cfRay: answer.cfRay, bodySha256: hash('sha256', answer.bytes) };
    return page;
  } catch (error) {
    if (error instanceof UnreadablePageError) throw new ApiError('unreadable', error.message);
    throw error;
  }
};

interface ListOptions extends ListingFilter {
  readonly signal: AbortSignal;
  /** 1 to 1,000; Cloudflare's own default is 10. */
  readonly pageSize?: number | undefined;
}

const MAX_PAGE_SIZE = 1000;
/** Ids in one query: 100 of them make a URL of 4 kB, and servers refuse URLs above 8 kB. */
const MAX_IDS = 100;

const text = z.string().min(1).optional().catch(undefined);
const organizationItem = z.object({
  id: z.string().refine(isUsableId),
  name: text,
  create_time: z.string().optional().catch(undefined),
  parent: z.object({ id: text }).optional().catch(undefined),
  managed_by: text,
  meta: z.unknown().optional(),
  profile: z.unknown().optional(),
});
const managed = z.object({ managed_by: text }).catch({ managed_by: undefined });

/** `onUnreadable` is called for each listed item that is skipped, since it has no id that it could be known by. */
export function createOrganizationsApi(client: CloudflareClient, onUnreadable: (item: unknown) => void = () => {}) {
  /** One array per page, each organization once. Rejects with ApiError `unreadable` when the pages do not end. */
  async function* list({
    signal,
    ids = [],
    parentId,
    pageSize = MAX_PAGE_SIZE,
    mustBeWhole = false,
  }: ListOptions): AsyncGenerator<FoundOrganization[], void, void> {
    const asked = new Set(ids);
    const seenIds = new Set<string>();
    let counted = 0;
    for (const idFilter of chunks(ids, MAX_IDS)) {
      const filters: Parameter[] = [['page_size', String(pageSize)]];
      for (const id of idFilter) filters.push(['id', id]);
      if (parentId !== undefined) filters.push(['parent.id', parentId]);
      for await (const { items, total = 0 } of walkByToken(client, {
        endpoint: 'organizations',
        path: '/organizations',
        filters,
        signal,
      })) {
        yield readNew(items, seenIds, onUnreadable).filter(({ id }) => asked.size === 0 || asked.has(id));
        counted = total;
      }
    }
    if (mustBeWhole && counted > seenIds.size) {
      const short = `GET /organizations: the listing named ${seenIds.size} of ${counted} that it counts`;
      throw new PartialListingError(new ApiError('unreadable', short));
    }
  }

  async function get(id: string, signal: AbortSignal): Promise<FoundOrganization | undefined> {
    const path = `/organizations/${pathSegment(id)}`;
    const request = { endpoint: 'organization', path, query: new URLSearchParams(), signal } as const;
    return await foundOrUndefined(
      getEnvelope(client, request, ({ result }) => {
        const organization = readOrganization(result);
        if (organization === undefined) throw new ApiError('unreadable', `GET ${path}: the organization has no id`);
        return organization;
      }),
    );
  }

  async function getProfile(id: string, signal: AbortSignal): Promise<unknown> {
    const path = `/organizations/${pathSegment(id)}/profile`;
    const request = { endpoint: 'organization_profile', path, query: new URLSearchParams(), signal } as const;
    return await foundOrUndefined(getEnvelope(client, request, ({ result }) => result ?? undefined));
  }

  return { list, get, getProfile };
}

function readNew(result: readonly unknown[], seenIds: Set<string>, onUnreadable: (item: unknown) => void) {
  return result.flatMap((listed) => {
    const organization = readOrganization(listed);
    if (organization === undefined) onUnreadable(listed);
    if (organization === undefined || seenIds.has(organization.id)) return [];
    seenIds.add(organization.id);
    return [organization];
  });
}

function readOrganization(value: unknown): FoundOrganization | undefined {
  const { data } = organizationItem.safeParse(value);
  if (data === undefined) return undefined;
  const createTime = new Date(data.create_time ?? Number.NaN);
  return {
    id: data.id,
    name: data.name,
    parentId: data.parent?.id,
    managedBy: managed.parse(data.meta).managed_by ?? data.managed_by,
    createTime: Number.isNaN(createTime.getTime()) ? undefined : createTime.toISOString(),
    meta: data.meta,
    profile: data.profile,
  };
}

async function foundOrUndefined<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof ApiError && error.failure === 'not_found') return undefined;
    throw error;
  }
}

/** At least one chunk, even of nothing: that is the list without a filter. */
function chunks(ids: readonly string[], size: number): string[][] {
  const list: string[][] = [];
  for (let start = 0; start === 0 || start < ids.length; start += size) list.push(ids.slice(start, start + size));
  return list;
}

const PAGE_SIZE = 50;
const ORGANIZATION_PAGE_SIZE = 1_000;

const accountItem = z.object({
  id: z.string().refine(isUsableId),
  name: text,
  type: text,
  created_on: text,
  settings: z.record(z.string(), z.unknown()).optional().catch(undefined),
  managed_by: z.object({ parent_org_id: text }).optional().catch(undefined),
});

/** `onUnreadable` is called for each listed item that is skipped, since it has no id that it could be known by. */
export const createAccountsApi = (client: CloudflareClient, onUnreadable: () => void) => {
  const readNew = (items: readonly unknown[], seen: Set<string>, organizationId?: string): FoundAccount[] =>
    items.flatMap((value) => {
      const { data } = accountItem.safeParse(value);
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
    async *listOf(
      organizationId: string,
      signal: AbortSignal,
      from?: string,
    ): AsyncGenerator<AccountsPage, void, void> {
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
    /**
     * GET /accounts: what the credential reaches, each account once. The listing is by page numbers, which shift when an account goes
     * meanwhile: the total, which every page says, tells how far to go back. A page as full as was asked for, or as those before it, is not
     * the last one, whatever the total is; nor is one with a total that may be its own count.
     */
    async *list(signal: AbortSignal, from?: string): AsyncGenerator<AccountsPage, void, void> {
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

/** Pages may be smaller than asked for: `received` tells where the end is. */
const placeSchema = z.object({ page: z.int().positive(), received: z.int().nonnegative(), total: z.int().optional() });
type Place = z.infer<typeof placeSchema>;

const readPlace = (from: string | undefined): Place => {
  const { data } = placeSchema.safeParse(from === undefined ? undefined : JSON.parse(from));
  return data ?? { page: 1, received: 0 };
};

/** If accounts have gone since, others have moved to pages already read. Goes back once for each: only below the lowest
 * total. */
const placeBehind = ({ page, received, total }: Place, items: number, totalCount = total): Place => {
  const gone = total === undefined || totalCount === undefined ? 0 : total - totalCount;
  if (gone <= 0) return { page: page + 1, received: received + items, total: total ?? totalCount };
  const perPage = Math.max(1, Math.round(received / Math.max(1, page - 1)));
  const back = Math.min(page - 1, Math.ceil(gone / perPage));
  return { page: page - back, received: Math.max(0, received - back * perPage), total: totalCount };
};

export interface AuditPageRequest<T> extends PageQuery, Omit<ApiRequest<T>, 'endpoint' | 'path' | 'query'> {
  readonly source: SourceKey;
}

export const fetchAuditPage = async <T>(client: CloudflareClient, page: AuditPageRequest<T>): Promise<T> => {
  const kind = kindOf(page.source);
  return await client.get({
    ...page,
    endpoint: `${kind.name}_audit_logs`,
    path: kind.path(pathSegment(page.source.id)),
    query: new URLSearchParams(kind.query(page).map(([name, value]): [string, string] => [name, value])),
  });
};
