import type { Organization } from '../organizations/organization-registry.ts';
import { draw, hex8, keyOf } from '../world/random.ts';
import { companyNames } from '../world/vocabulary.ts';
import type { Account, AccountRegistry, Zone } from './account-registry.ts';

export interface AccountOptions {
  readonly seed: number;
  /** In each organization. */
  readonly accounts: number;
  /** In none. */
  readonly standaloneAccounts: number;
  /** In each account. */
  readonly zones: number;
  readonly startMs: number;
}

/** The third account has the id of the third organization: kind and id together name a source, an id alone does not. */
const sharedIdPlace = 2;
const dayMs = 86_400_000;
const teams = ['Production', 'Staging', 'Marketing', 'Research', 'Retail', 'Internal Tools', 'Sandbox', 'Partners'];

/** Fills an empty registry; the same for the same options. Each organization learns the ids of its accounts. */
export function populateAccounts(
  registry: AccountRegistry,
  organizations: readonly Organization[],
  options: AccountOptions,
): Account[] {
  const { accounts, standaloneAccounts } = options;
  const made: Account[] = [];
  if (accounts > 0) {
    for (const organization of organizations) {
      const own = Array.from({ length: accounts }, (_, n) => {
        const id = made.length + n === sharedIdPlace ? organizations[sharedIdPlace]?.id : undefined;
        const name = `${organization.name} ${teamName(n)}`;
        return addAccount(registry, options, { place: made.length + n, id, name, organizationId: organization.id });
      });
      organization.accountIds = own.map(({ id }) => id);
      made.push(...own);
    }
  }
  for (let n = 0; n < standaloneAccounts; n++) {
    const name = `${companyNames[(n * 5 + 3) % companyNames.length]} Labs${n < 16 ? '' : ` ${n}`}`;
    made.push(addAccount(registry, options, { place: made.length, id: undefined, name, organizationId: undefined }));
  }
  return made;
}

interface Facts {
  readonly place: number;
  readonly id: string | undefined;
  readonly name: string;
  readonly organizationId: string | undefined;
}

function addAccount(registry: AccountRegistry, options: AccountOptions, facts: Facts): Account {
  const { seed, zones, startMs } = options;
  const { place, name, organizationId } = facts;
  const key = keyOf(`account ${place}`, seed);
  const bits = draw(key, 10);
  const slug = name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  return registry.add({
    id: facts.id ?? digits(key),
    createTimeMs: startMs - 150 * dayMs - (bits % (40 * dayMs)),
    type: bits % 4 === 0 ? 'standard' : 'enterprise',
    zones: Array.from(
      { length: zones },
      (_, n): Zone => ({ id: digits(key + 20 + n), name: `${slug}-${n + 1}.example` }),
    ),
    enforcesTwoFactor: bits % 2 === 0,
    isImplicit: organizationId !== undefined && (bits >>> 4) % 3 === 0,
    name,
    formerName: `${name} (old)`,
    organizationId,
    refused: false,
  });
}

function teamName(n: number): string {
  const round = Math.floor(n / teams.length);
  return `${teams[n % teams.length]}${round === 0 ? '' : ` ${round + 1}`}`;
}

function digits(key: number): string {
  return [0, 1, 2, 3].map((word) => hex8(draw(key, word))).join('');
}
