import { auditLogV2, commonFilters, ownParameters, type SourceKind } from './source-kind.ts';

/** The audit log of an organization: what its administrators do through organization-level APIs. */
export const organization: SourceKind = {
  ...auditLogV2,
  owner: 'organization',
  permission: 'Organization Super Administrator',
  filters: { names: commonFilters, reserved: ownParameters },
  path: (segment) => `/organizations/${segment}/logs/audit`,
};

/** The audit log of an account: what is done in it, sign-ins and Cloudflare's own actions among it. */
export const account: SourceKind = {
  ...auditLogV2,
  owner: 'account',
  // What the beta of this log recorded has expired; older actions are in the first version of the API alone.
  firstEntryMs: Date.UTC(2026, 2, 10),
  permission: 'Account Settings Read',
  filters: {
    names: [...commonFilters, 'account_name', 'zone_id', 'zone_name', 'audit_log_id'],
    // Values are added to those of resource_product, and one that Cloudflare does not know is an error of its own.
    withoutNot: ['product_category'],
    reserved: ownParameters,
  },
  path: (segment) => `/accounts/${segment}/logs/audit`,
};

/** By `sources.kind` and `audit_events.source_kind`: a contract. To add one takes a file and a line here
 * (CONTRIBUTING.md). */
const registry = {
  organization,
  account,
};

export type SourceKindName = keyof typeof registry;

const sourceKinds: Readonly<Record<SourceKindName, SourceKind>> = registry;
export const sourceKindNames = Object.keys(registry) as readonly SourceKindName[];

/** Throws for a kind that this version does not have: it plans none of its sources. */
export const kindOf = ({ kind }: { readonly kind: string }): SourceKind & { readonly name: SourceKindName } => {
  const name = sourceKindNames.find((known) => known === kind);
  if (name === undefined) throw new Error(`this version knows no sources of kind "${kind}"`);
  return { ...sourceKinds[name], name };
};
