import type { FaultPlan, Occasion } from '../faults/fault-plan.ts';
import { brokenPage, visibleListing } from '../faults/listing-faults.ts';
import type { Organization, OrganizationRegistry } from '../organizations/organization-registry.ts';
import { decodeToken, encodeToken } from './opaque-token.ts';
import { BadRequest, type Reply, successReply } from './reply.ts';

const defaultPageSize = 10;
const largestPageSize = 1000;

type Filter = (organization: Organization, value: string) => boolean;

function byName(test: (name: string, part: string) => boolean): Filter {
  return ({ name }, value) => test(name.toLowerCase(), value.toLowerCase());
}

/** The filters of the listing that take one value, by wire name. */
function filtersOf(registry: OrganizationRegistry): Record<string, Filter> {
  return {
    name: byName((name, whole) => name === whole),
    'name.startsWith': byName((name, part) => name.startsWith(part)),
    'name.endsWith': byName((name, part) => name.endsWith(part)),
    'name.contains': byName((name, part) => name.includes(part)),
    'containing.account': ({ accountIds }, value) => accountIds.includes(value),
    'containing.user': ({ userIds }, value) => userIds.includes(value),
    'containing.organization': (organization, value) => {
      const inner = registry.get(value);
      return inner !== undefined && inner !== organization && registry.chain(inner).includes(organization);
    },
    'parent.id': ({ parentId }, value) => (value === 'null' ? parentId === undefined : parentId === value),
  };
}

function pageSizeOf(query: URLSearchParams): number {
  const text = query.get('page_size');
  if (text === null) return defaultPageSize;
  if (!/^\d{1,4}$/.test(text) || Number(text) > largestPageSize) {
    throw new BadRequest(`page_size must be between 0 and ${largestPageSize}`);
  }
  // What Cloudflare does with the permitted 0 is not documented; a page that can never grow would be of no use.
  return Number(text) === 0 ? defaultPageSize : Number(text);
}

/** One request for the listing. */
export interface ListingRequest {
  readonly registry: OrganizationRegistry;
  /** Whether the caller reaches an organization. */
  readonly sees: (organization: Organization) => boolean;
  readonly query: URLSearchParams;
  /** False: organizations below others are shown only when a filter asks for them. */
  readonly listsSubOrganizations: boolean;
  readonly faults: FaultPlan;
  readonly occasion: Occasion;
}

/**
 * `GET /organizations`: filters, pages in the order of creation, and the faults of the listing. Throws BadRequest, saying
 * what is wrong, if Cloudflare answers 400.
 */
export function listOrganizations(request: ListingRequest): Reply {
  const { registry, sees, query, listsSubOrganizations, faults, occasion } = request;
  const conditions: ((organization: Organization) => boolean)[] = [];
  const signature: unknown[] = [];
  const ids = query.getAll('id');
  if (ids.length > 0) {
    conditions.push(({ id }) => ids.includes(id));
    signature.push(['id', [...ids].sort()]);
  }
  for (const [name, filter] of Object.entries(filtersOf(registry))) {
    const value = query.get(name);
    if (value === null) continue;
    conditions.push((organization) => filter(organization, value));
    signature.push([name, value]);
  }
  if (conditions.length === 0 && !listsSubOrganizations) conditions.push(({ parentId }) => parentId === undefined);
  const size = pageSizeOf(query);
  const filters = JSON.stringify(signature);
  const token = query.get('page_token') || undefined;
  const from = token === undefined ? 0 : readToken(token, filters);
  const wanted = registry
    .all()
    .filter(sees)
    .filter((organization) => conditions.every((holds) => holds(organization)));
  const { organizations: all, totalSize } = visibleListing(faults, occasion, wanted);
  return listingPage(request, { all, size, totalSize, filters, from });
}

interface Slice {
  readonly all: readonly Organization[];
  readonly size: number;
  readonly totalSize: number;
  readonly filters: string;
  /** Place in the order of creation at which the page begins. */
  readonly from: number;
}

function listingPage({ registry, faults, occasion }: ListingRequest, slice: Slice): Reply {
  const { all, size, totalSize, filters, from } = slice;
  const rest = all.filter(({ seq }) => seq >= from);
  const start = all.length - rest.length;
  const broken = brokenPage(faults, occasion, Math.floor(start / size) + 1);
  if (broken !== undefined) return broken;
  const page = rest.slice(0, size);
  let next = rest[size]?.seq;
  if (next !== undefined && faults.fires('repeated_page_token', occasion) !== undefined) next = from;
  const shift = next === undefined ? undefined : faults.meets('shifting_listing', occasion);
  if (shift !== undefined) next = all[Math.max(0, start + size + shift.by)]?.seq;
  const missing = page.length > 0 ? faults.fires('missing_organization', occasion) : undefined;
  if (missing !== undefined) page.splice(missing % page.length, 1);
  return successReply(
    page.map((organization) => registry.view(organization)),
    {
      ...(next === undefined ? {} : { next_page_token: encodeToken({ f: filters, n: next }) }),
      total_size: missing === undefined ? totalSize : totalSize - 1,
    },
  );
}

function readToken(token: string, filters: string): number {
  const content = decodeToken(token);
  if (typeof content?.['n'] !== 'number') throw new BadRequest('invalid page_token');
  if (content['f'] !== filters) throw new BadRequest('page_token does not belong to these filters');
  return content['n'];
}
