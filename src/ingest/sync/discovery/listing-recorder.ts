import type { KeptLease } from '../../../postgres/leases/keep-lease.ts';
import type { FoundOrganization } from '../../planning/source.ts';
import { credibleNowMs } from '../planning-time.ts';
import type { SyncContext } from '../ports.ts';

/** Of the discovery under way. */
export type Lease = Pick<KeptLease, 'throwIfLost'>;
export type Recorder = ReturnType<typeof createRecorder>;

/** Stores what the pages of one listing name. Throws LeaseLostError once another replica may have listed since. */
export const createRecorder = (context: SyncContext, lease: Lease) => {
  const { store, observer, window } = context;
  const ids = new Set<string>();
  let appeared = 0;
  let haveSources = false;
  const write = async (found: readonly FoundOrganization[], complete: boolean): Promise<void> => {
    // Right after a pause of the process the signal may not know yet: an old page must not be stored over a newer one.
    lease.throwIfLost();
    const changes = await store.recordListing(found, { complete });
    for (const change of changes) observer.organizationChanged?.(change);
    const isNew = changes.filter(({ change }) => change === 'appeared').length;
    appeared += isNew;
    if (!haveSources || isNew > 0) await store.syncSources(await credibleNowMs(context), window?.sinceMs);
    haveSources = true;
    // The next page must not be asked for, either.
    lease.throwIfLost();
  };
  return {
    ids: ids as ReadonlySet<string>,
    appeared: () => appeared,
    page: async (found: readonly FoundOrganization[]): Promise<void> => {
      for (const { id } of found) ids.add(id);
      await write(found, false);
    },
    /** The listing reached its end: what is known and was on none of its pages is missed. */
    end: () =>
      write(
        Array.from(ids, (id) => ({ id })),
        true,
      ),
  };
};
