import { draw, hex8, keyOf } from '../entries/entry-text.ts';
import { type Organization, type OrganizationRegistry, Registry, type WorldOptions } from './organizations.ts';
import { companyNames } from './vocabulary.ts';

export type Zone = Readonly<{ id: string; name: string }>;

/** Mutable: the API, the control API and faults change it. */
export interface Account {
  /** May be the id of an unrelated organization. */
  readonly id: string;
  /** Order of the listings. */
  readonly seq: number;
  readonly createTimeMs: number;
  readonly type: 'standard' | 'enterprise';
  readonly zones: readonly Zone[];
  readonly enforcesTwoFactor: boolean;
  /** Reached by its users through its organization alone. */
  readonly isImplicit: boolean;
  name: string;
  formerName: string;
  /** Undefined: stands alone. */
  organizationId: string | undefined;
  /** API access is off, and its audit log answers 403. */
  refused: boolean;
}

export class AccountRegistry extends Registry<Account> {}

/** As in `GET /accounts`; `organizationId` is the current one. */
export function accountView(
  account: Account,
  name: string,
  organizationId: string | undefined,
  organizations: OrganizationRegistry,
): Record<string, unknown> {
  const { id, type, createTimeMs, enforcesTwoFactor } = account;
  const organization = organizationId === undefined ? undefined : organizations.get(organizationId);
  const managed =
    organization === undefined
      ? {}
      : { managed_by: { parent_org_id: organization.id, parent_org_name: organization.name } };
  return {
    id,
    name,
    type,
    created_on: new Date(createTimeMs).toISOString(),
    settings: { enforce_twofactor: enforcesTwoFactor, abuse_contact_email: null },
    ...managed,
  };
}

/** As in `GET /organizations/{id}/accounts`: without an organization, with its API access. */
export function organizationAccountView(account: Account): Record<string, unknown> {
  const { id, name, type, createTimeMs, enforcesTwoFactor, refused } = account;
  return {
    id,
    created_on: new Date(createTimeMs).toISOString(),
    name,
    settings: {
      abuse_contact_email: null,
      access_approval_expiry: null,
      api_access_enabled: refused ? false : createTimeMs % 2 === 0 ? true : null,
      default_nameservers: 'cloudflare.standard',
      enforce_twofactor: enforcesTwoFactor,
      use_account_custom_ns_by_default: false,
    },
    type,
  };
}

/** The third account has the id of the third organization: an id alone names no source. */
const sharedIdPlace = 2;
const dayMs = 86_400_000;
const teams = ['Production', 'Staging', 'Marketing', 'Research', 'Retail', 'Internal Tools', 'Sandbox', 'Partners'];

/** The same for the same options. Organizations learn the ids of their accounts. */
export function populateAccounts(
  registry: AccountRegistry,
  organizations: readonly Organization[],
  options: WorldOptions,
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

type Facts = Readonly<{ place: number; id: string | undefined; name: string; organizationId: string | undefined }>;

function addAccount(registry: AccountRegistry, options: WorldOptions, facts: Facts): Account {
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

const digits = (key: number): string => [0, 1, 2, 3].map((word) => hex8(draw(key, word))).join('');
