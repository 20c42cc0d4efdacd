import { answerText, draw, hex8, keyOf, type Story, type Voice } from '../entries/entry-text.ts';
import { companyNames, people, type StoryTemplate, storyTemplates, strangePeople, userAgents } from './vocabulary.ts';

/** As the API spells it. */

export const profileMembers = [
  'business_address',
  'business_email',
  'business_name',
  'business_phone',
  'external_metadata',
] as const;
export type OrganizationProfile = Record<(typeof profileMembers)[number], string>;

/** Mutable: the API changes it. */
export interface Organization {
  readonly id: string;
  readonly seq: number;
  readonly createTimeMs: number;
  readonly managedBy: string | undefined;
  /** `enabled` or `disabled`, by name. */
  readonly flags: Readonly<Record<string, string>>;
  /** Flags are `meta.flags`, which are fewer, instead of `meta.tenant_flags`. */
  readonly hasOldFlags: boolean;
  readonly userIds: readonly string[];
  name: string;
  accountIds: readonly string[];
  parentId: string | undefined;
  profile: OrganizationProfile | undefined;
  /** Its audit log answers 403. */
  refused: boolean;
}

const maxDepth = 5;

export class Registry<T extends { readonly id: string; readonly seq: number }> {
  readonly #byId = new Map<string, T>();
  #nextSeq = 0;

  add(facts: Omit<T, 'seq'>): T {
    const one = { ...facts, seq: this.#nextSeq++ } as unknown as T;
    this.#byId.set(one.id, one);
    return one;
  }

  get(id: string): T | undefined {
    return this.#byId.get(id);
  }

  delete(id: string): void {
    this.#byId.delete(id);
  }

  all(): T[] {
    return [...this.#byId.values()];
  }
}

export class OrganizationRegistry extends Registry<Organization> {
  hasChildren(id: string): boolean {
    return this.all().some((organization) => organization.parentId === id);
  }

  chain(organization: Organization): Organization[] {
    const chain = [organization];
    for (let at = organization.parentId; at !== undefined; ) {
      const parent = this.get(at);
      if (parent === undefined) break;
      chain.unshift(parent);
      at = parent.parentId;
    }
    return chain;
  }

  /** Undefined: it can. */
  whyNotBelow(parentId: string): string | undefined {
    const parent = this.get(parentId);
    if (parent === undefined) return `The parent organization ${parentId} does not exist.`;
    return this.chain(parent).length >= maxDepth ? `Organizations can be nested ${maxDepth} levels deep.` : undefined;
  }

  /** With flags by their new name (`tenant_flags`) or the old one (`flags`). */
  view(organization: Organization): Record<string, unknown> {
    const { id, name, managedBy, flags, profile } = organization;
    const parent = organization.parentId === undefined ? undefined : this.get(organization.parentId);
    const { account_creation, account_deletion, account_migration, account_mobility, sub_org_creation } = flags;
    const oldFlags = { account_creation, account_deletion, account_migration, account_mobility, sub_org_creation };
    return {
      id,
      create_time: new Date(organization.createTimeMs).toISOString(),
      name,
      meta: {
        ...(organization.hasOldFlags ? { flags: oldFlags } : { tenant_flags: flags }),
        hierarchy_tags: this.chain(organization).map((ancestor) => ancestor.id),
        ...(managedBy === undefined ? {} : { managed_by: managedBy }),
      },
      ...(parent === undefined ? {} : { parent: { id: parent.id, name: parent.name } }),
      ...(profile === undefined ? {} : { profile }),
    };
  }
}

const flagNames = [
  'account_creation',
  'account_creation_applies_tenant_defaults',
  'account_deletion',
  'account_migration',
  'account_mobility',
  'enterprise_capability',
  'member_management',
  'sub_org_creation',
] as const;

const dayMs = 86_400_000;

/** A UUIDv7 without dashes, as in Cloudflare's examples. */
export function organizationId(key: number, timeMs: number): string {
  const words = [0, 1, 2].map((n) => hex8(draw(key, n))).join('');
  return `${timeMs.toString(16).padStart(12, '0')}7${words.slice(0, 3)}a${words.slice(3, 18)}`;
}

export const tenantFlags = (bits: number): Record<string, string> =>
  Object.fromEntries(flagNames.map((name, n) => [name, (bits >>> n) & 1 ? 'enabled' : 'disabled']));

const profileOf = (name: string, bits: number): OrganizationProfile => ({
  business_address: `${1 + (bits % 400)} Harbour Street, 10115 Berlin`,
  business_email: `it@${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.example.com`,
  business_name: `${name} Ltd`,
  business_phone: `+49 30 555${(bits % 10_000).toString().padStart(4, '0')}`,
  external_metadata: `crm-${hex8(bits)}`,
});

export function populate(
  registry: OrganizationRegistry,
  { seed, organizations: count, startMs, hasSubOrganizations }: WorldOptions,
): Organization[] {
  const organizations: Organization[] = [];
  for (let n = 0; n < count; n++) {
    const key = keyOf(`organization ${n}`, seed);
    const bits = draw(key, 10);
    const round = Math.floor(n / companyNames.length);
    const name = `${companyNames[n % companyNames.length]}${round === 0 ? '' : ` ${round + 1}`}`;
    // Oldest first, at least two hundred days old: older than their logs.
    const createTimeMs = startMs - (200 + count - n) * dayMs - (bits % dayMs);
    const parent = hasSubOrganizations && n % 4 === 3 ? organizations[bits % n] : undefined;
    const isPossible = parent !== undefined && registry.whyNotBelow(parent.id) === undefined;
    const words = Array.from({ length: 4 + (bits % 9) }, (_, i) => idText(key, 100 + i));
    const organization = registry.add({
      id: organizationId(key, createTimeMs),
      createTimeMs,
      managedBy: bits % 5 === 0 ? idText(key, 50) : undefined,
      flags: tenantFlags(bits),
      hasOldFlags: bits % 3 === 1,
      accountIds: words.slice(0, 1 + (bits % 3)),
      userIds: words.slice(3),
      name,
      parentId: isPossible ? parent.id : undefined,
      profile: bits % 7 === 0 ? undefined : profileOf(name, bits),
      refused: false,
    });
    organizations.push(organization);
  }
  return organizations;
}

const idText = (key: number, n: number): string => [0, 1, 2, 3].map((word) => hex8(draw(key + n, word))).join('');

/** Equal shares, or the n-th is n times smaller than the first. */
export function shares(total: number, count: number, distribution: 'zipf' | 'uniform'): number[] {
  const weights = Array.from({ length: count }, (_, n) => (distribution === 'uniform' ? 1 : 1 / (n + 1)));
  const sum = weights.reduce((a, b) => a + b, 0);
  let weightSoFar = 0;
  let before = 0;
  return weights.map((weight) => {
    weightSoFar += weight;
    const until = Math.round((total * weightSoFar) / sum);
    const share = until - before;
    before = until;
    return share;
  });
}

function tell(template: StoryTemplate, organizationId: string): Story {
  const { result, path, request, ...facts } = template;
  const uri = path.replace('{org}', organizationId);
  const namesOrganization = request(0, 0, 0).includes('{org}');
  return {
    ...facts,
    uri,
    hasId: uri.endsWith('/'),
    request: namesOrganization ? (a, b, c) => request(a, b, c).replace('{org}', organizationId) : request,
    scope: '"organizations"',
    response: (b, c, d, id, time) => answerText(result(id, b, c, d, time)),
  };
}

/** What people do through organization-level APIs. The same for the same arguments. */
export function organizationVoice(seed: number, organizationId: string): Voice {
  const key = keyOf(organizationId, seed);
  return {
    key,
    source: { kind: 'organization', id: organizationId },
    ownerText: JSON.stringify({ id: organizationId }),
    actors: people(key, 48),
    strangeActors: strangePeople(key),
    agents: userAgents,
    stories: storyTemplates.map((template) => tell(template, organizationId)),
  };
}

type Counts = 'organizations' | 'entries' | 'accounts' | 'standaloneAccounts' | 'zones' | 'accountEntries';
/** `accountEntries`: in all accounts, with copies of user entries. */
export interface WorldOptions extends Readonly<Record<Counts | 'seed' | 'historyMs' | 'startMs', number>> {
  readonly distribution: 'zipf' | 'uniform';
  /** Every fourth organization is below an earlier one. */
  readonly hasSubOrganizations: boolean;
  /** Hardly anything that detections find. */
  readonly calm: boolean;
  /** Milliseconds since the epoch, without the offset. */
  readonly clock: () => number;
}
