import type { FoundOrganization } from '../domain/source.ts';
import { ApiError } from '../errors.ts';
import { type KeptLease, keepLease, LeaseLostError } from './keep-lease.ts';
import type { SyncContext } from './ports.ts';

/**
 * A discovery by one replica at a time. Undefined where another one lists, or did within `restMs`: then `serverTimeMs` is
 * what it learned of Cloudflare's time.
 */
export const discoverInTurn = async (
  context: SyncContext,
  restMs: number,
  signal: AbortSignal,
): Promise<{ appeared: number } | { readonly serverTimeMs: number | undefined }> => {
  const { store, time, leaseMs } = context;
  const takenAtMs = time.nowMs();
  const turn = await store.claimDiscovery(restMs);
  if (!turn.mine) return { serverTimeMs: turn.serverTimeMs };
  const kept = keepLease(time, { takenAtMs, leaseMs, renew: () => store.renewDiscovery() });
  try {
    return await discover(context, AbortSignal.any([signal, kept.lost]), kept);
  } catch (error) {
    if (!(error instanceof LeaseLostError)) throw error;
    return { serverTimeMs: undefined };
  } finally {
    kept.end();
  }
};

/**
 * Walks the listing of organizations, stores them and what changed, and gives each its source. Where the credential may
 * not list and an allow-list is configured, each of its organizations is asked for by id instead.
 * Throws what made it fail, after noting it for readiness. Returns how many are new.
 */
export const discover = async (
  context: SyncContext,
  signal: AbortSignal,
  lease: Pick<KeptLease, 'throwIfLost'>,
): Promise<{ appeared: number }> => {
  const { store, observer } = context;
  try {
    const { found, complete } = await findOrganizations(context, signal, lease);
    const changes = await store.recordListing(found, { complete });
    for (const change of changes) observer.organizationChanged?.(change);
    const nowMs = context.api.nowMs();
    if (nowMs === undefined) throw new ApiError('unreadable', 'no response of the API carries a Date header');
    await store.syncSources(context.horizonMs(nowMs), context.window?.sinceMs);
    await store.recordDiscovery({ organizations: found.length, serverTimeMs: nowMs });
    observer.discovered?.({ organizations: found.length, complete });
    return { appeared: changes.filter((change) => change.change === 'appeared').length };
  } catch (error) {
    if (signal.aborted || error instanceof LeaseLostError) throw error;
    await store.recordDiscovery({ error: error instanceof Error ? error.message : String(error) });
    observer.discoveryFailed?.({ error });
    throw error;
  }
};

const findOrganizations = async (
  context: SyncContext,
  signal: AbortSignal,
  lease: Pick<KeptLease, 'throwIfLost'>,
): Promise<{ found: readonly FoundOrganization[]; complete: boolean }> => {
  const { api, organizationIds } = context;
  const found = new Map<string, FoundOrganization>();
  try {
    for await (const organizations of api.listOrganizations({ ids: organizationIds }, signal)) {
      for (const organization of organizations) found.set(organization.id, organization);
      // Right after a pause of the process the signal may not know yet; the next page must not be asked for.
      lease.throwIfLost();
    }
  } catch (error) {
    const mayNotList = error instanceof ApiError && error.failure === 'refused';
    if (!mayNotList || organizationIds === undefined) throw error;
  }
  const complete = organizationIds === undefined;
  if (organizationIds === undefined) return { found: [...found.values()], complete };
  // What was asked for by name is pulled even where no listing shows it.
  for (const id of organizationIds) {
    lease.throwIfLost();
    if (!found.has(id)) found.set(id, await getById(context, id, signal));
  }
  const wanted = new Set(organizationIds);
  return { found: [...found.values()].filter((organization) => wanted.has(organization.id)), complete };
};

const getById = async (context: SyncContext, id: string, signal: AbortSignal): Promise<FoundOrganization> => {
  try {
    return await context.api.getOrganization(id, signal);
  } catch (error) {
    // Its audit log may be open all the same; if not, the source shows as refused.
    if (error instanceof ApiError && (error.failure === 'refused' || error.failure === 'not_found')) return { id };
    throw error;
  }
};

/** Reads profiles that have never been read, or not for a day. One that fails is left for the next time. */
export const readProfiles = async (context: SyncContext, limit: number, signal: AbortSignal): Promise<void> => {
  for (const id of await context.store.withoutProfile(limit)) {
    if (signal.aborted) return;
    try {
      await context.store.recordProfile(id, await context.api.getProfile(id, signal));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // Noted as asked for: a profile that is refused must not be asked for at every tick.
      if (error.failure === 'refused') await context.store.recordProfile(id, undefined);
    }
  }
};
