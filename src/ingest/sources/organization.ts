import { auditLogV2, commonFilters, ownParameters, type SourceKind } from './source-kind.ts';

/** The audit log of an organization: what its administrators do through organization-level APIs. */
export const organization: SourceKind = {
  ...auditLogV2,
  owner: 'organization',
  permission: 'Organization Super Administrator',
  filters: { names: commonFilters, reserved: ownParameters },
  path: (segment) => `/organizations/${segment}/logs/audit`,
};
