import type { AuditApi } from '../ingest/sync/ports.ts';
import type { Pool } from '../postgres/pool.ts';
import { readNamedOrganizations } from './named-organizations.sql.ts';

/** The name of an organization; undefined: it has none, or is not known. For log lines. */
export type NameOf = (organizationId: string) => string | undefined;

/** Knows the names that the database has, and those of every listing since. A start does not wait for them. */
export const watchNames = (pool: Pool, api: AuditApi): { nameOf: NameOf; api: AuditApi } => {
  const names = new Map<string, string>();
  readNamedOrganizations(pool).then(
    (known) => {
      for (const { id, name } of known) if (name !== null && !names.has(id)) names.set(id, name);
    },
    () => {
      // Log lines then have ids alone until the next listing. What else asks the database says what is wrong with it.
    },
  );
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
