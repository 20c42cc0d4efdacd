import { z } from 'zod';
import { ApiError } from '../../errors.ts';
import { PartialListingError } from '../sync/discovery/partial-listing.ts';
import type { CloudflareClient } from './client.ts';
import { getEnvelope } from './envelope.ts';
import { isUsableId, type Parameter, walkByToken } from './listing-walk.ts';
import { pathSegment } from './wire/request.ts';

/** What Cloudflare says about one organization. Only `id` is sure. */
export interface Organization {
  readonly id: string;
  readonly name?: string;
  readonly parentId?: string;
  readonly managedBy?: string;
  /** Absent when it was not sent, or was no date. */
  readonly createTime?: Date;
  /** Any JSON value: an open map that has changed its keys before. Nothing may depend on what is in it. */
  readonly meta: unknown;
  readonly profile?: unknown;
}

export interface OrganizationsApi {
  /**
   * Walks the list, one array per page (an empty one, if a page brought nothing new), each organization once.
   * Rejects with ApiError `unreadable` when a page token repeats or the pages do not end.
   */
  list(options: ListOptions): AsyncGenerator<Organization[], void, void>;
  /** undefined when there is no such organization. */
  get(id: string, signal: AbortSignal): Promise<Organization | undefined>;
  /** The profile as any JSON value; undefined when there is none. */
  getProfile(id: string, signal: AbortSignal): Promise<unknown>;
}

export interface ListOptions {
  readonly signal: AbortSignal;
  /** Only these, whatever else the answer names. None, or an empty list, is no filter. */
  readonly ids?: readonly string[] | undefined;
  /** Only those directly below this one. */
  readonly parentId?: string | undefined;
  /** It ends with PartialListingError if it counts more than it has named. */
  readonly mustBeWhole?: boolean | undefined;
  /** 1 to 1,000; Cloudflare's own default is 10. */
  readonly pageSize?: number | undefined;
}

export interface OrganizationsHooks {
  /** Called for each listed item that is skipped, since it has no id that it could be known by. */
  readonly onUnreadable?: ((item: unknown) => void) | undefined;
}

const MAX_PAGE_SIZE = 1000;
/** Ids in one query: 100 of them make a URL of 4 kB, and servers refuse URLs above 8 kB. */
const MAX_IDS = 100;

const text = z.string().min(1).optional().catch(undefined);
const item = z.object({
  id: z.string().refine(isUsableId),
  name: text,
  create_time: z.string().optional().catch(undefined),
  parent: z.object({ id: text }).optional().catch(undefined),
  managed_by: text,
  meta: z.unknown().optional(),
  profile: z.unknown().optional(),
});
const managed = z.object({ managed_by: text }).catch({ managed_by: undefined });

export function createOrganizationsApi(
  client: CloudflareClient,
  { onUnreadable = () => {} }: OrganizationsHooks = {},
): OrganizationsApi {
  async function* list({ signal, ids = [], parentId, pageSize = MAX_PAGE_SIZE, mustBeWhole = false }: ListOptions) {
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

  async function get(id: string, signal: AbortSignal): Promise<Organization | undefined> {
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

/** The organizations of a page that are not in `seenIds`, which gets them. */
function readNew(result: readonly unknown[], seenIds: Set<string>, onUnreadable: (item: unknown) => void) {
  return result.flatMap((listed) => {
    const organization = readOrganization(listed);
    if (organization === undefined) onUnreadable(listed);
    if (organization === undefined || seenIds.has(organization.id)) return [];
    seenIds.add(organization.id);
    return [organization];
  });
}

/** undefined when it is nothing that has a usable id. */
function readOrganization(value: unknown): Organization | undefined {
  const { data } = item.safeParse(value);
  if (data === undefined) return undefined;
  const createTime = new Date(data.create_time ?? Number.NaN);
  const managedBy = managed.parse(data.meta).managed_by ?? data.managed_by;
  return {
    id: data.id,
    ...(data.name === undefined ? {} : { name: data.name }),
    ...(data.parent?.id === undefined ? {} : { parentId: data.parent.id }),
    ...(managedBy === undefined ? {} : { managedBy }),
    ...(Number.isNaN(createTime.getTime()) ? {} : { createTime }),
    meta: data.meta,
    ...(data.profile === undefined ? {} : { profile: data.profile }),
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
