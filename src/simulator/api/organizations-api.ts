import { listingInterruption } from '../faults/listing-faults.ts';
import { activityText } from '../organizations/organization-activity.ts';
import { organizationId, tenantFlags } from '../organizations/organization-population.ts';
import { type Organization, type OrganizationProfile, profileMembers } from '../organizations/organization-registry.ts';
import { draw, keyOf } from '../world/random.ts';
import type { World } from '../world/world.ts';
import type { Access } from './access.ts';
import type { OrganizationCall } from './organization-call.ts';
import { listOrganizations } from './organization-listing.ts';
import { BadRequest, emptyReply, errorReply, type Reply, successReply } from './reply.ts';

/** Codes of the organizations service. Cloudflare documents none of them; clients go by the status. */
const errorCode = { badRequest: 1001, notFound: 1002, notEmpty: 1003, noProfile: 1004, method: 10405 } as const;

/** The organizations service: list, create, get, change, delete, and the profile. Changes leave audit entries. */
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

  /** Answers one call. Never throws on what a client sends. */
  handle(call: OrganizationCall): Reply {
    try {
      if (call.organizationId === undefined) return this.#collection(call);
      const organization = this.#world.organizations.get(call.organizationId);
      if (organization === undefined) return errorReply(404, errorCode.notFound, 'Organization not found');
      return call.isProfile ? this.#profile(call, organization) : this.#one(call, organization);
    } catch (error) {
      if (error instanceof BadRequest) return errorReply(400, errorCode.badRequest, error.message);
      throw error;
    }
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

  // Only the name: `parent` and `profile` of the body are ignored.
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

function methodNotAllowed(): Reply {
  return errorReply(405, errorCode.method, 'Method not allowed');
}

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

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

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
