import type { Pool } from 'pg';
import { readNamedOrganizations } from './store/named-organizations.ts';
import type { AuditApi } from './sync/ports.ts';

/** The name of an organization; undefined: it has none, or is not known. For log lines. */
export type NameOf = (organizationId: string) => string | undefined;

/** Knows the names that the database has, and those of every listing since. */
export const watchNames = async (pool: Pool, api: AuditApi): Promise<{ nameOf: NameOf; api: AuditApi }> => {
  const names = new Map<string, string>();
  for (const { id, name } of await readNamedOrganizations(pool)) if (name !== null) names.set(id, name);
  return {
    nameOf: (id) => names.get(id),
    api: {
      ...api,
      listOrganizations: async function* (filter, signal) {
        for await (const page of api.listOrganizations(filter, signal)) {
          for (const { id, name } of page) if (name !== undefined) names.set(id, name);
          yield page;
        }
      },
    },
  };
};
