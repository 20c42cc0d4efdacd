import type { SourceKindName } from '../../../src/ingest/sources/registry.ts';
import type { Simulator } from '../../../src/simulator/simulator-interface.ts';

/** How the simulated Cloudflare serves the logs of one kind, for the suite that every kind passes. */
export interface ServedLogs {
  /** Owners with such a log. */
  owners(simulator: Simulator): readonly string[];
  /** Ids of the entries of one log, as they are now. */
  entriesOf(simulator: Simulator, owner: string): readonly string[];
  /** The log answers 403 from now on, or again not. */
  setRefused(simulator: Simulator, owner: string, refused: boolean): void;
  /** Below the base URL. */
  path(owner: string): string;
}

export const servedLogs: Readonly<Record<SourceKindName, ServedLogs>> = {
  organization: {
    owners: (simulator) => simulator.summary().organizations.map(({ id }) => id),
    entriesOf: (simulator, owner) =>
      [...simulator.truth({ kind: 'organization' })].flatMap(({ sourceId, id }) =>
        sourceId === owner ? [id ?? ''] : [],
      ),
    setRefused: (simulator, owner, refused) => simulator.setRefused(owner, refused),
    path: (owner) => `/organizations/${owner}/logs/audit`,
  },
};
