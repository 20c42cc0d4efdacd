import { ApiError } from '../../../errors.ts';
import { type KeptLease, LeaseLostError } from '../../../postgres/leases/keep-lease.ts';
import { LeaseRefused, leasedRun } from '../../../postgres/leases/leased-run.ts';
import { kindOf } from '../../sources/registry.ts';
import { credibleNowMs, knownNowMs } from '../planning-time.ts';
import type { SyncContext } from '../ports.ts';
import { confirmGone } from './confirm-gone.ts';
import { discoverByName } from './discover-by-name.ts';
import { createRecorder, type Lease, type Recorder } from './listing-recorder.ts';
import { PartialListingError } from './partial-listing.ts';

export interface Discovered {
  /** How many organizations are new, or there again. */
  readonly appeared: number;
}

/**
 * A discovery by one replica at a time. No discovery if another one lists, or one did within `restMs`: then `serverTimeMs` is
 * what it learned of Cloudflare's time.
 */
export const discoverInTurn = async (
  context: SyncContext,
  restMs: number,
  signal: AbortSignal,
): Promise<Discovered | { readonly serverTimeMs: number | undefined }> => {
  const { store } = context;
  // `recordDiscovery` releases the lease.
  const ended = await leasedRun(context, {
    claim: async () => {
      const { mine, serverTimeMs } = await store.claimDiscovery(restMs);
      return mine ? undefined : new LeaseRefused(serverTimeMs);
    },
    renew: () => store.renewDiscovery(),
    run: (_, kept) => discover(context, AbortSignal.any([signal, kept.lost]), kept),
  });
  if (ended instanceof LeaseRefused) return { serverTimeMs: ended.answer };
  return ended instanceof LeaseLostError ? { serverTimeMs: undefined } : ended;
};

/**
 * Walks the listing of organizations. Each page counts by itself: what it names is stored, and has its source, before the
 * next page is asked for. A listing that reached its end is complete: what it did not name is missed, and what has been
 * missed again is asked for its audit log. If the credential may not list and an allow-list is configured, each of its
 * organizations is asked for by id instead.
 * Throws what made it fail, after noting it for readiness.
 */
export const discover = async (
  context: SyncContext,
  signal: AbortSignal,
  lease: Pick<KeptLease, 'throwIfLost'>,
): Promise<Discovered> => {
  const { store, observer } = context;
  const recorder = createRecorder(context, lease);
  try {
    let whole: Whole = { complete: false };
    const listed = await listIfAllowed(context, async () => {
      whole = await listOrganizations(context, recorder, lease, signal);
    });
    const { ids, appeared } = recorder;
    // Without a listing, too, all sources have what is in force.
    if (!listed) await store.syncSources(await credibleNowMs(context), context.window?.sinceMs);
    await store.recordDiscovery({ organizations: ids.size, serverTimeMs: knownNowMs(context), short: whole.short });
    observer.discovered?.({ organizations: ids.size, ...whole });
    return { appeared: appeared() };
  } catch (error) {
    if (signal.aborted || error instanceof LeaseLostError) throw error;
    await store.recordDiscovery({ error: error instanceof Error ? error.message : String(error) });
    observer.discoveryFailed?.({ error });
    throw error;
  }
};

/** Whether a listing has named all there are; `short`: why not, if that is unusual. */
interface Whole {
  readonly complete: boolean;
  readonly short?: string;
}

const listOrganizations = async (
  context: SyncContext,
  recorder: Recorder,
  lease: Lease,
  signal: AbortSignal,
): Promise<Whole> => {
  const { api, organizationIds, organizationListing } = context;
  organizationListing.requests = 0;
  if (organizationIds !== undefined) {
    await discoverByName(context, organizationIds, recorder, lease, signal);
    return { complete: false };
  }
  try {
    for await (const page of api.listOrganizations({ mustBeWhole: true }, signal)) {
      organizationListing.requests += 1;
      await recorder.page(page);
    }
    organizationListing.organizations = recorder.ids.size;
  } catch (error) {
    // What it does not name, or one credential does not list at the moment, is not missed because something is listed.
    if (error instanceof PartialListingError) return { complete: false, short: error.message };
    throw error;
  }
  await recorder.end();
  await confirmGone(context, signal, lease);
  return { complete: true };
};

/** A credential that may not list organizations is asked so seldom, if only accounts are read. */
const REFUSED_REST_MS = 3_600_000;

/**
 * True if the organizations have been listed. If only accounts are read, a credential that may not list them (a token of an account) is no
 * failure, and they are asked for again after an hour.
 */
const listIfAllowed = async (context: SyncContext, list: () => Promise<void>): Promise<boolean> => {
  const { kinds, time, organizationListing } = context;
  const mustList = kinds.some((each) => kindOf(each).owner === 'organization');
  if (!mustList && time.nowMs() < organizationListing.restsUntilMs) return false;
  try {
    await list();
    return true;
  } catch (error) {
    const mayNot = error instanceof ApiError && (error.failure === 'refused' || error.failure === 'unauthorized');
    if (mustList || !mayNot) throw error;
    organizationListing.restsUntilMs = time.nowMs() + REFUSED_REST_MS;
    return false;
  }
};

/**
 * Reads profiles that have never been read, or not for a day, up to `atOnce` at the same time. One that fails is left for the next time. If the
 * credential may read none, which is documented for API tokens, one request a day finds that out: the first one is sent alone.
 */
export const readProfiles = async (
  context: SyncContext,
  limit: number,
  signal: AbortSignal,
  atOnce = 1,
): Promise<void> => {
  const waiting = [...(await context.store.withoutProfile(limit))];
  const first = waiting.shift();
  if (first === undefined || signal.aborted || !(await readProfile(context, first, signal))) return;
  const worker = async (): Promise<void> => {
    for (let id = waiting.shift(); id !== undefined && !signal.aborted; id = waiting.shift()) {
      const goesOn = await readProfile(context, id, signal).catch((error: unknown) => {
        waiting.length = 0;
        throw error;
      });
      if (!goesOn) waiting.length = 0;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
};

/** False if the credential may read no profile at all. */
const readProfile = async ({ api, store }: SyncContext, id: string, signal: AbortSignal): Promise<boolean> => {
  try {
    await store.recordProfile(id, await api.getProfile(id, signal));
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // Noted as asked for: a profile that is refused must not be asked for at every tick.
    return error.failure !== 'refused' || (await store.recordProfileRefused(id)) === 'one';
  }
};
