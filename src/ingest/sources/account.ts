import { auditLogV2, commonFilters, ownParameters, type SourceKind } from './source-kind.ts';

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
