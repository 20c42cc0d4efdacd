/** The business profile as the API spells it; every member is a string. */
export interface OrganizationProfile {
  business_address: string;
  business_email: string;
  business_name: string;
  business_phone: string;
  external_metadata: string;
}

export const profileMembers = [
  'business_address',
  'business_email',
  'business_name',
  'business_phone',
  'external_metadata',
] as const satisfies readonly (keyof OrganizationProfile)[];

/** One simulated organization. Mutable: the API changes it. */
export interface Organization {
  readonly id: string;
  /** Order of the listing. */
  readonly seq: number;
  readonly createTimeMs: number;
  readonly managedBy: string | undefined;
  /** `enabled` or `disabled`, by flag name. */
  readonly flags: Readonly<Record<string, string>>;
  /** True: the API calls its flags `meta.flags`, which are fewer; else `meta.tenant_flags`. */
  readonly hasOldFlags: boolean;
  readonly userIds: readonly string[];
  name: string;
  accountIds: readonly string[];
  parentId: string | undefined;
  profile: OrganizationProfile | undefined;
  /** True: its audit log answers 403. */
  refused: boolean;
}

/** Cloudflare's limit on nesting of organizations. */
const maxDepth = 5;

/** The organizations there are, in the order in which they came. */
export class OrganizationRegistry {
  readonly #byId = new Map<string, Organization>();
  #nextSeq = 0;

  add(facts: Omit<Organization, 'seq'>): Organization {
    const organization = { ...facts, seq: this.#nextSeq++ };
    this.#byId.set(organization.id, organization);
    return organization;
  }

  get(id: string): Organization | undefined {
    return this.#byId.get(id);
  }

  delete(id: string): void {
    this.#byId.delete(id);
  }

  get size(): number {
    return this.#byId.size;
  }

  all(): Organization[] {
    return [...this.#byId.values()];
  }

  hasChildren(id: string): boolean {
    return this.all().some((organization) => organization.parentId === id);
  }

  /** Root first, the organization itself last. */
  chain(organization: Organization): Organization[] {
    const chain = [organization];
    for (let at = organization.parentId; at !== undefined; ) {
      const parent = this.#byId.get(at);
      if (parent === undefined) break;
      chain.unshift(parent);
      at = parent.parentId;
    }
    return chain;
  }

  /** Why no new organization can be put below the parent, or undefined when one can. */
  whyNotBelow(parentId: string): string | undefined {
    const parent = this.#byId.get(parentId);
    if (parent === undefined) return `The parent organization ${parentId} does not exist.`;
    return this.chain(parent).length >= maxDepth ? `Organizations can be nested ${maxDepth} levels deep.` : undefined;
  }

  /** The organization as the API shows it: its flags by the name of today (`tenant_flags`) or by the older one (`flags`). */
  view(organization: Organization): Record<string, unknown> {
    const { id, name, managedBy, flags, profile } = organization;
    const parent = organization.parentId === undefined ? undefined : this.#byId.get(organization.parentId);
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
