import { ApiError } from '../../../errors.ts';
import type { FoundOrganization } from '../../planning/source.ts';
import type { AuditApi, SyncContext } from '../ports.ts';
import type { Lease, Recorder } from './listing-recorder.ts';

/** At a discovery, of those that no listing shows. */
const ASKED_BY_ID_AGAIN = 5;

/** The organizations of an allow-list: as the listing shows them, else by their ids. Throws what failed after all are stored. */
export const discoverByName = async (
  { api, organizationListing }: SyncContext,
  names: readonly string[],
  recorder: Recorder,
  lease: Lease,
  signal: AbortSignal,
): Promise<void> => {
  let failure: ApiError | undefined;
  try {
    for await (const page of api.listOrganizations({ ids: names }, signal)) {
      organizationListing.requests += 1;
      await recorder.page(page);
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // A credential that may not list is what the allow-list is for.
    if (error.failure !== 'refused') failure = error;
  }
  const found: FoundOrganization[] = [];
  const unlisted = names.filter((name) => !recorder.ids.has(name));
  const due = askedNow(unlisted, organizationListing.askedById);
  for (const id of unlisted) {
    lease.throwIfLost();
    try {
      if (failure !== undefined || !due.has(id)) found.push({ id });
      else {
        organizationListing.requests += 1;
        found.push(await getById(api, id, signal));
        // The last one asked is the last in the order of the set.
        organizationListing.askedById.delete(id);
        organizationListing.askedById.add(id);
      }
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      failure = error;
      // What was asked for by name is pulled even if nothing else is known of it.
      found.push({ id });
    }
  }
  if (failure === undefined || api.nowMs() !== undefined) await recorder.page(found);
  if (failure !== undefined) throw failure;
};

/** All that were never asked for, and some of those that were asked for longest ago: their names seldom change. */
const askedNow = (ids: readonly string[], askedById: ReadonlySet<string>): ReadonlySet<string> => {
  const wanted = new Set(ids);
  const again = Array.from(askedById)
    .filter((id) => wanted.has(id))
    .slice(0, ASKED_BY_ID_AGAIN);
  return new Set([...ids.filter((id) => !askedById.has(id)), ...again]);
};

const getById = async (api: AuditApi, id: string, signal: AbortSignal): Promise<FoundOrganization> => {
  try {
    return await api.getOrganization(id, signal);
  } catch (error) {
    // Its audit log may still answer; if not, the source shows as refused.
    if (error instanceof ApiError && (error.failure === 'refused' || error.failure === 'not_found')) return { id };
    throw error;
  }
};
