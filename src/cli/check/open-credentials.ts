import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../errors.ts';
import { type AuditApiOptions, connectAuditApi } from '../../ingest/cloudflare/audit-api.ts';
import { type NamedCredential, sourceOfCredential } from '../../ingest/cloudflare/credential.ts';
import { createApiByCredential } from '../../ingest/cloudflare/credentials/by-credential.ts';
import type { StoredFacts } from '../../ingest/cloudflare/credentials/facts.sql.ts';
import { createRefusals } from '../../ingest/cloudflare/credentials/refusals.ts';
import { createPrincipal, type Principal } from '../../ingest/cloudflare/principal.ts';
import type { RequestBudget } from '../../ingest/cloudflare/wire/request.ts';
import { kindOf } from '../../ingest/sources/registry.ts';
import type { AuditApi } from '../../ingest/sync/ports.ts';

/** A credential of the configuration, and the API with it alone. */
export interface OpenedCredential extends NamedCredential {
  readonly api: AuditApi;
  readonly principal: Principal;
}

/** All of them, and one API that reads each source with the best one that may, as the daemon does. */
export interface OpenedCredentials {
  readonly each: readonly OpenedCredential[];
  readonly api: AuditApi;
  close(): Promise<void>;
}

type Connection = Omit<AuditApiOptions, 'credential' | 'budget' | 'principal'>;

export const openCredentials = (credentials: readonly NamedCredential[], connection: Connection): OpenedCredentials => {
  const nowMs = () => performance.now();
  const opened = credentials.map((named) => {
    const source = sourceOfCredential(named.credential);
    const principal = createPrincipal(source, nowMs);
    const { api, close } = connectAuditApi({ ...connection, credential: source, principal, budget: impatientBudget() });
    return { ...named, source, principal, api, close };
  });
  return {
    each: opened,
    api: createApiByCredential({
      current: () =>
        opened.map((one) => ({ ...one, key: one.name, countedFor: one.name, isUser: !one.principal.isItself() })),
      facts: factsOfListings(),
      refusals: createRefusals(nowMs),
      onListingFailed: () => {},
    }),
    close: async () => {
      await Promise.all(opened.map(({ close }) => close()));
    },
  };
};

/** What listings have shown here: the database may be what is broken. */
const factsOfListings = (): StoredFacts => {
  const shown = new Map<string, Set<string>>();
  const idsOf = (name: string, owner: string): Set<string> => {
    const key = `${owner} ${name}`;
    const ids = shown.get(key) ?? new Set<string>();
    shown.set(key, ids);
    return ids;
  };
  return {
    refresh: async () => {},
    hasRead: async () => {},
    reader: () => undefined,
    reads: () => 0,
    readsOrganizations: () => false,
    lists: (name, source) => idsOf(name, kindOf(source).owner).has(source.id),
    onlyAccount: (name) => {
      const [first, ...others] = idsOf(name, 'account');
      return others.length === 0 ? first : undefined;
    },
    hasListed: (name, owner, ids) => {
      for (const id of ids) idsOf(name, owner).add(id);
    },
  };
};

/** The database may be what is broken, and the few requests of a check need no accounting: a block is not waited for. */
const impatientBudget = (): RequestBudget => {
  let blockedMs = 0;
  return {
    acquire: async (signal) => {
      if (blockedMs > 5_000) {
        throw new ApiError(
          'throttled',
          `Cloudflare blocks this user's requests for another ${Math.round(blockedMs / 1_000)} s (429)`,
        );
      }
      await sleep(blockedMs, undefined, { signal });
      blockedMs = 0;
    },
    pause: async (durationMs) => {
      blockedMs = Math.max(blockedMs, durationMs);
    },
  };
};
