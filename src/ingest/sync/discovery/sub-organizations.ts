import { ApiError } from '../../../errors.ts';
import type { FoundOrganization } from '../../planning/source.ts';
import { credibleNowMs } from '../planning-time.ts';
import type { SyncContext } from '../ports.ts';

/**
 * Asks for the organizations below those that are known. Cloudflare does not say whether its listing shows them unasked; as
 * soon as it has shown one, there is nothing to ask for. Else each organization is asked about once a day, `limit` of
 * them at a time. Returns how many are new; they have their sources, and are asked about in turn.
 */
export const findSubOrganizations = async (
  context: SyncContext,
  limit: number,
  signal: AbortSignal,
): Promise<number> => {
  const { api, store, observer, organizationIds } = context;
  if (organizationIds !== undefined) return 0;
  let appeared = 0;
  for (const parentId of await store.withoutChildrenListed(limit)) {
    if (signal.aborted) break;
    const ids = new Set<string>();
    const record = async (found: readonly FoundOrganization[], complete: boolean): Promise<void> => {
      const changes = await store.recordListing(found, { complete, under: parentId });
      for (const change of changes) observer.organizationChanged?.(change);
      appeared += changes.filter((change) => change.change === 'appeared').length;
    };
    try {
      for await (const found of api.listOrganizations({ parentId, mustBeWhole: true }, signal)) {
        for (const { id } of found) ids.add(id);
        await record(found, false);
      }
      // What is no longer below it is missed, as by the listing of all.
      await record(
        Array.from(ids, (id) => ({ id })),
        true,
      );
    } catch (error) {
      // Not worth a second try today: the listing itself tells of a credential or a network that is broken.
      if (!(error instanceof ApiError)) throw error;
    }
    await store.recordChildrenListed(parentId);
  }
  // The next listing may be minutes away.
  if (appeared > 0) await store.syncSources(await credibleNowMs(context), context.window?.sinceMs);
  return appeared;
};
