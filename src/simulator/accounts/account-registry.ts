import type { OrganizationRegistry } from '../organizations/organization-registry.ts';

/** A zone as entries and the simulated world know it. */
export interface Zone {
  readonly id: string;
  readonly name: string;
}

/** One simulated account. Mutable: the API, the control API and faults change it. */
export interface Account {
  /** May be the id of an organization, too: the two have nothing to do with each other. */
  readonly id: string;
  /** Order of the listings. */
  readonly seq: number;
  readonly createTimeMs: number;
  readonly type: 'standard' | 'enterprise';
  readonly zones: readonly Zone[];
  readonly enforcesTwoFactor: boolean;
  /** True: its users reach it through its organization alone. */
  readonly isImplicit: boolean;
  name: string;
  /** The name that it had before. */
  formerName: string;
  /** Undefined: it stands alone. */
  organizationId: string | undefined;
  /** True: API access is switched off, and its audit log answers 403. */
  refused: boolean;
}

/** The accounts there are, in the order in which they came. */
export class AccountRegistry {
  readonly #byId = new Map<string, Account>();
  #nextSeq = 0;

  add(facts: Omit<Account, 'seq'>): Account {
    const account = { ...facts, seq: this.#nextSeq++ };
    this.#byId.set(account.id, account);
    return account;
  }

  get(id: string): Account | undefined {
    return this.#byId.get(id);
  }

  delete(id: string): void {
    this.#byId.delete(id);
  }

  all(): Account[] {
    return [...this.#byId.values()];
  }
}

/** The account as `GET /accounts` shows it; `organizationId`: the organization that it is in for now. */
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

/** The account as `GET /organizations/{id}/accounts` shows it: no organization, but whether it lets the API in. */
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
