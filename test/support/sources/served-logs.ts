import type { SourceKindName } from '../../../src/ingest/sources/registry.ts';
import type { Simulator } from '../../../src/simulator/interface.ts';

/** How the simulated Cloudflare serves the logs of one kind, for the suite that every kind passes. */
export interface ServedLogs {
  /** Owners with such a log. */
  owners(simulator: Simulator): readonly string[];
  /** Below the base URL. */
  path(owner: string): string;
}

export const servedLogs: Readonly<Record<SourceKindName, ServedLogs>> = {
  organization: {
    owners: (simulator) => simulator.summary().organizations.map(({ id }) => id),
    path: (owner) => `/organizations/${owner}/logs/audit`,
  },
  account: {
    owners: (simulator) => simulator.summary().accounts.map(({ id }) => id),
    path: (owner) => `/accounts/${owner}/logs/audit`,
  },
};

/** Ids of the entries of one log, as they are now, in order. */
export const servedIds = (simulator: Simulator, kind: SourceKindName, owner: string): readonly string[] =>
  [...simulator.truth({ kind })].flatMap(({ sourceId, id }) => (sourceId === owner ? [id ?? ''] : [])).sort();
