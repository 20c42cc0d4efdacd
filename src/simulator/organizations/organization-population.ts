import { draw, hex8, keyOf } from '../world/random.ts';
import { companyNames } from '../world/vocabulary.ts';
import type { Organization, OrganizationProfile, OrganizationRegistry } from './organization-registry.ts';

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

/** An id as Cloudflare's examples show them: a UUIDv7 without dashes. */
export function organizationId(key: number, timeMs: number): string {
  const words = [0, 1, 2].map((n) => hex8(draw(key, n))).join('');
  return `${timeMs.toString(16).padStart(12, '0')}7${words.slice(0, 3)}a${words.slice(3, 18)}`;
}

/** Flags of an organization, all of them `enabled` or `disabled`. */
export function tenantFlags(bits: number): Record<string, string> {
  return Object.fromEntries(flagNames.map((name, n) => [name, (bits >>> n) & 1 ? 'enabled' : 'disabled']));
}

function profileOf(name: string, bits: number): OrganizationProfile {
  return {
    business_address: `${1 + (bits % 400)} Harbour Street, 10115 Berlin`,
    business_email: `it@${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.example.com`,
    business_name: `${name} Ltd`,
    business_phone: `+49 30 555${(bits % 10_000).toString().padStart(4, '0')}`,
    external_metadata: `crm-${hex8(bits)}`,
  };
}

interface PopulationOptions {
  readonly seed: number;
  readonly count: number;
  readonly startMs: number;
  /** True: every fourth organization is below an earlier one. */
  readonly hasSubOrganizations: boolean;
}

/** Fills an empty registry; the same for the same options. */
export function populate(registry: OrganizationRegistry, options: PopulationOptions): Organization[] {
  const { seed, count, startMs, hasSubOrganizations } = options;
  const organizations: Organization[] = [];
  for (let n = 0; n < count; n++) {
    const key = keyOf(`organization ${n}`, seed);
    const bits = draw(key, 10);
    const round = Math.floor(n / companyNames.length);
    const name = `${companyNames[n % companyNames.length]}${round === 0 ? '' : ` ${round + 1}`}`;
    // Oldest first, none younger than two hundred days: an organization is older than its log.
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

function idText(key: number, n: number): string {
  return [0, 1, 2, 3].map((word) => hex8(draw(key + n, word))).join('');
}

/** How many of `total` entries each of `count` organizations has: equal shares, or the n-th one n times fewer than the first. */
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
