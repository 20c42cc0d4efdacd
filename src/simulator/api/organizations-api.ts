import { draw, hex8, keyOf, timeText } from '../entries/entry-text.ts';
import type { FaultPlan, Occasion } from '../faults/fault-plan.ts';
import {
  type Organization,
  type OrganizationProfile,
  type OrganizationRegistry,
  organizationId,
  profileMembers,
  tenantFlags,
} from '../world/organizations.ts';
import type { World } from '../world/world.ts';
import type { Access } from './access.ts';
import type { ApiCall } from './credentials.ts';
import {
  BadRequest,
  emptyReply,
  encodeToken,
  errorReply,
  faultReply,
  nameFilters,
  orBadRequest,
  placeIn,
  type Reply,
  refusal,
  successReply,
} from './reply.ts';

/** Cloudflare documents none of these codes; clients go by the status. */
const errorCode = { badRequest: 1001, notFound: 1002, notEmpty: 1003, noProfile: 1004, method: 10405 } as const;

/** List, create, get, change, delete, and the profile. Changes leave audit entries. */
export class OrganizationsApi {
  readonly #world: World;
  readonly #access: Access;
  readonly #listsSubOrganizations: boolean;
  #created = 0;

  constructor(world: World, access: Access, listsSubOrganizations: boolean) {
    this.#world = world;
    this.#access = access;
    this.#listsSubOrganizations = listsSubOrganizations;
  }

  /** Never throws on what a client sends. */
  handle(call: OrganizationCall): Reply {
    return orBadRequest(
      () => this.#answer(call),
      (message) => errorReply(400, errorCode.badRequest, message),
    );
  }

  #answer(call: OrganizationCall): Reply {
    if (call.source === undefined) return this.#collection(call);
    const organization = this.#world.organizations.get(call.source.id);
    if (organization === undefined) return errorReply(404, errorCode.notFound, 'Organization not found');
    return call.operation === 'profile' ? this.#profile(call, organization) : this.#one(call, organization);
  }

  #collection(call: OrganizationCall): Reply {
    if (call.method === 'POST') return this.#create(call);
    if (call.method !== 'GET') return methodNotAllowed();
    const { faults, organizations } = this.#world;
    const { query, occasion, caller } = call;
    const listsSubOrganizations = this.#listsSubOrganizations;
    const sees = (organization: Organization): boolean => this.#access.seesOrganization(caller, organization);
    return (
      listingInterruption(faults, occasion) ??
      listOrganizations({ registry: organizations, sees, query, listsSubOrganizations, faults, occasion })
    );
  }

  #one(call: OrganizationCall, organization: Organization): Reply {
    if (call.method === 'GET') return successReply(this.#world.organizations.view(organization));
    if (call.method === 'PUT') return this.#update(call, organization);
    return call.method === 'DELETE' ? this.#delete(call, organization) : methodNotAllowed();
  }

  #profile(call: OrganizationCall, organization: Organization): Reply {
    if (call.method === 'GET') {
      return organization.profile === undefined
        ? errorReply(404, errorCode.noProfile, 'The organization has no profile')
        : successReply(organization.profile);
    }
    if (call.method !== 'PUT') return methodNotAllowed();
    organization.profile = profileOf(jsonBody(call.body), 'the body');
    this.#leaveTrace(call, organization, 'Update Organization Profile', 'update', null);
    return emptyReply;
  }

  #create(call: OrganizationCall): Reply {
    const { organizations, seed } = this.#world;
    const body = jsonBody(call.body);
    const name = nameOf(body);
    const parentId = parentOf(body);
    const problem = parentId === undefined ? undefined : organizations.whyNotBelow(parentId);
    if (problem !== undefined) throw new BadRequest(problem);
    const profile = body['profile'] === undefined ? undefined : profileOf(body['profile'], 'profile');
    const createTimeMs = Math.floor(this.#world.nowMs());
    const key = keyOf(`created ${this.#created++}`, seed);
    const organization = organizations.add({
      id: organizationId(key, createTimeMs),
      createTimeMs,
      managedBy: undefined,
      flags: tenantFlags(draw(key, 10)),
      hasOldFlags: draw(key, 10) % 3 === 1,
      accountIds: [],
      userIds: [],
      name,
      parentId,
      profile,
      refused: false,
    });
    this.#world.openLog(organization);
    return this.#changed(call, organization, 'Create Organization', 'create');
  }

  // `parent` and `profile` of the body are ignored.
  #update(call: OrganizationCall, organization: Organization): Reply {
    organization.name = nameOf(jsonBody(call.body));
    return this.#changed(call, organization, 'Update Organization', 'update');
  }

  #delete(call: OrganizationCall, organization: Organization): Reply {
    const { id, accountIds, userIds, parentId } = organization;
    if (this.#world.organizations.hasChildren(id) || accountIds.length > 0 || userIds.length > 0) {
      const what = 'The organization must not contain sub-organizations, accounts or members';
      return errorReply(409, errorCode.notEmpty, what);
    }
    this.#world.remove({ kind: 'organization', id });
    const parent = parentId === undefined ? undefined : this.#world.organizations.get(parentId);
    if (parent !== undefined) this.#leaveTrace(call, parent, 'Delete Organization', 'delete', { id });
    return successReply({ id });
  }

  #changed(call: OrganizationCall, organization: Organization, what: string, type: 'create' | 'update'): Reply {
    const view = this.#world.organizations.view(organization);
    this.#leaveTrace(call, organization, what, type, view);
    return successReply(view);
  }

  #leaveTrace(call: OrganizationCall, log: Organization, what: string, type: string, result: unknown): void {
    const timeMs = Math.floor(this.#world.nowMs());
    const { seed } = this.#world;
    const key = keyOf(log.id, seed) + call.occasion.number;
    const status = result === null ? 204 : 200;
    const text = activityText({ call, key, logOf: log.id, what, type, timeMs, status, result });
    this.#world.append({ kind: 'organization', id: log.id }, { timeMs, text });
  }
}

const methodNotAllowed = (): Reply => errorReply(405, errorCode.method, 'Method not allowed');

function jsonBody(text: string): Record<string, unknown> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new BadRequest('The body is not JSON.');
  }
  if (!isRecord(body)) throw new BadRequest('The body must be a JSON object.');
  return body;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function nameOf(body: Record<string, unknown>): string {
  const name = body['name'];
  if (typeof name !== 'string' || name.trim() === '') throw new BadRequest('name must be a string that is not empty');
  return name;
}

function parentOf(body: Record<string, unknown>): string | undefined {
  const parent = body['parent'];
  if (parent === undefined) return undefined;
  if (!isRecord(parent) || typeof parent['id'] !== 'string') throw new BadRequest('parent.id must be a string');
  return parent['id'];
}

function profileOf(value: unknown, where: string): OrganizationProfile {
  if (!isRecord(value)) throw new BadRequest(`${where} must be an object`);
  const entries = profileMembers.map((name) => {
    const text = value[name];
    if (typeof text !== 'string') throw new BadRequest(`${name} in ${where} must be a string`);
    return [name, text] as const;
  });
  return Object.fromEntries(entries) as unknown as OrganizationProfile;
}

const defaultPageSize = 10;
const largestPageSize = 1000;

type Filter = (organization: Organization, value: string) => boolean;

/** Filters with one value, by wire name. */
const filtersOf = (registry: OrganizationRegistry): Record<string, Filter> => ({
  ...Object.fromEntries(
    Object.entries(nameFilters).map(([wireName, test]): [string, Filter] => [
      wireName,
      ({ name }, value) => test(name.toLowerCase(), value.toLowerCase()),
    ]),
  ),
  'containing.account': ({ accountIds }, value) => accountIds.includes(value),
  'containing.user': ({ userIds }, value) => userIds.includes(value),
  'containing.organization': (organization, value) => {
    const inner = registry.get(value);
    return inner !== undefined && inner !== organization && registry.chain(inner).includes(organization);
  },
  'parent.id': ({ parentId }, value) => (value === 'null' ? parentId === undefined : parentId === value),
});

function pageSizeOf(query: URLSearchParams): number {
  const text = query.get('page_size');
  if (text === null) return defaultPageSize;
  if (!/^\d{1,4}$/.test(text) || Number(text) > largestPageSize) {
    throw new BadRequest(`page_size must be between 0 and ${largestPageSize}`);
  }
  // Cloudflare's meaning of 0 is undocumented; a page that never grows would be useless.
  return Number(text) === 0 ? defaultPageSize : Number(text);
}

interface ListingRequest {
  readonly registry: OrganizationRegistry;
  readonly sees: (organization: Organization) => boolean;
  readonly query: URLSearchParams;
  /** False: organizations below others are shown only to a filter. */
  readonly listsSubOrganizations: boolean;
  readonly faults: FaultPlan;
  readonly occasion: Occasion;
}

/** Pages in the order of creation. Throws BadRequest for Cloudflare's 400. */
function listOrganizations(request: ListingRequest): Reply {
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
  const from = placeIn(query, filters);
  const wanted = registry
    .all()
    .filter(sees)
    .filter((organization) => conditions.every((holds) => holds(organization)));
  const { organizations: all, totalSize } = visibleListing(faults, occasion, wanted);
  return listingPage(request, { all, size, totalSize, filters, from });
}

/** `from`: place in the order of creation. */
type Slice = Readonly<Record<'size' | 'totalSize' | 'from', number>> &
  Readonly<{ all: readonly Organization[]; filters: string }>;

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

export const basePath = '/client/v4';

interface OrganizationCall extends ApiCall {
  /** Path and query as sent. */
  readonly url: string;
  readonly body: string;
  readonly userAgent: string;
}

/** For any page; undefined without the fault. */
function listingInterruption(faults: FaultPlan, occasion: Occasion): Reply | undefined {
  if (faults.fires('listing_403', occasion) !== undefined) return refusal(403);
  const away = faults.meets('listing_away', occasion);
  return away === undefined ? undefined : faultReply('listing_away', away.status);
}

/** For this page (from 1); undefined without the fault. */
function brokenPage(faults: FaultPlan, occasion: Occasion, number: number): Reply | undefined {
  const broken = faults.meets('broken_listing_page', occasion, ({ page }) => page === number);
  return broken === undefined ? undefined : faultReply('broken_listing_page', broken.status);
}

/** Without hidden organizations. A share of them is always the same ones. */
function visibleListing(faults: FaultPlan, occasion: Occasion, all: readonly Organization[]) {
  const empty = faults.meets('empty_listing', occasion);
  if (empty !== undefined) return { organizations: [], totalSize: empty.countsAll ? all.length : 0 };
  if (!faults.isOn('partial_listing')) return { organizations: all, totalSize: all.length };
  let hidesCount = true;
  const organizations = all.filter(({ id, seq }) => {
    const hidden = faults.meets('partial_listing', {
      operation: 'organizations',
      number: seq,
      source: { kind: 'organization', id },
    });
    if (hidden?.countsAll === true) hidesCount = false;
    return hidden === undefined;
  });
  return { organizations, totalSize: hidesCount ? organizations.length : all.length };
}

/** `key`: of the ids of this entry. `logOf`: organization whose log it is in. */
type Activity = Readonly<Record<'logOf' | 'what' | 'type', string> & Record<'key' | 'timeMs' | 'status', number>> &
  Readonly<{ call: OrganizationCall; result: unknown }>;

/** The request payload is the body byte for byte. */
function activityText({ call, key, logOf, what, type, timeMs, status, result }: Activity): string {
  const words = Array.from({ length: 6 }, (_, n) => hex8(draw(key, n)));
  const id = words.slice(0, 4).join('');
  const action = { description: what, result: 'success', time: timeText(timeMs), type };
  const raw = {
    cf_ray_id: words.slice(4).join(''),
    method: call.method,
    status_code: status,
    uri: call.url.replace(basePath, ''),
    user_agent: call.userAgent,
  };
  const response = { success: true, errors: [], messages: [], result };
  const resourceId = JSON.stringify(call.source?.id ?? logOf);
  const request = call.body === '' ? '{}' : call.body;
  return (
    `{"id":"${id}","action":${JSON.stringify(action)},"actor":${JSON.stringify(call.caller.actor)},` +
    `"organization":${JSON.stringify({ id: logOf })},"raw":${JSON.stringify(raw)},` +
    `"resource":{"id":${resourceId},"product":"organizations","request":${request},` +
    `"response":${JSON.stringify(response)},"scope":"organizations","type":"organization"}}`
  );
}
