import { ApiError } from '../../../errors.ts';
import { type KeptLease, LeaseLostError } from '../../../postgres/leases/keep-lease.ts';
import { LeaseRefused, leasedRun } from '../../../postgres/leases/leased-run.ts';
import type { FoundOrganization } from '../../planning/source.ts';
import { kindOf } from '../../sources/registry.ts';
import { planningTime } from '../planning-time.ts';
import type { AuditApi, SyncContext } from '../ports.ts';
import { confirmGone } from './confirm-gone.ts';
import { discoverAccounts } from './discover-accounts.ts';
import { PartialListingError } from './partial-listing.ts';

export interface Discovered {
  /** How many organizations and accounts are new, or there again. */
  readonly appeared: number;
  /** Why a listing of accounts failed, if one did and was not refused. */
  readonly error?: ApiError;
}

export interface DiscoveryOptions {
  /** Listings of accounts are begun for so long; if it is undefined, until none is due. */
  readonly accountsForMs?: number;
  /** Called when the organizations are known, before accounts are listed, which may take much longer. */
  readonly organizationsListed?: () => void;
}

/**
 * A discovery by one replica at a time. Undefined if another one lists, or did within `restMs`: then `serverTimeMs` is
 * what it learned of Cloudflare's time.
 */
export const discoverInTurn = async (
  context: SyncContext,
  restMs: number,
  signal: AbortSignal,
  options: DiscoveryOptions = {},
): Promise<Discovered | { readonly serverTimeMs: number | undefined }> => {
  const { store } = context;
  // `recordDiscovery` releases the lease.
  const ended = await leasedRun(context, {
    claim: async () => {
      const { mine, serverTimeMs } = await store.claimDiscovery(restMs);
      return mine ? undefined : new LeaseRefused(serverTimeMs);
    },
    renew: () => store.renewDiscovery(),
    run: (_, kept) => discover(context, AbortSignal.any([signal, kept.lost]), kept, options),
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
  { accountsForMs = Number.POSITIVE_INFINITY, organizationsListed }: DiscoveryOptions = {},
): Promise<Discovered> => {
  const { store, observer } = context;
  const recorder = createRecorder(context, lease);
  try {
    let complete = false;
    const listed = await listIfAllowed(context, async () => {
      complete = await listOrganizations(context, recorder, lease, signal);
    });
    organizationsListed?.();
    const { ids, appeared } = recorder;
    const accounts = await recordingSources(context, listed, () =>
      discoverAccounts(context, signal, lease, accountsForMs),
    );
    await store.recordDiscovery({ organizations: ids.size, serverTimeMs: knownNowMs(context) });
    observer.discovered?.({ organizations: ids.size, complete });
    return { ...accounts, appeared: appeared() + accounts.appeared };
  } catch (error) {
    if (signal.aborted || error instanceof LeaseLostError) throw error;
    await store.recordDiscovery({ error: error instanceof Error ? error.message : String(error) });
    observer.discoveryFailed?.({ error });
    throw error;
  }
};

/** True if the listing has named all there are. */
const listOrganizations = async (
  context: SyncContext,
  recorder: Recorder,
  lease: Lease,
  signal: AbortSignal,
): Promise<boolean> => {
  const { api, organizationIds } = context;
  if (organizationIds !== undefined) {
    await discoverByName(context, organizationIds, recorder, lease, signal);
    return false;
  }
  try {
    for await (const page of api.listOrganizations({ mustBeWhole: true }, signal)) await recorder.page(page);
  } catch (error) {
    // What one credential does not list at the moment is not missed because another one lists something.
    if (error instanceof PartialListingError) return false;
    throw error;
  }
  await recorder.end();
  await confirmGone(context, signal, lease);
  return true;
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

/** What is new has its source at once; without a listing of organizations, all sources have what is in force. */
const recordingSources = async (
  context: SyncContext,
  listed: boolean,
  work: () => Promise<Discovered>,
): Promise<Discovered> => {
  const found = await work();
  if (found.appeared > 0 || !listed)
    await context.store.syncSources(await credibleNowMs(context), context.window?.sinceMs);
  return found;
};

const knownNowMs = ({ api }: SyncContext): number => {
  const nowMs = api.nowMs();
  if (nowMs === undefined) throw new ApiError('unreadable', 'no response of the API carries a Date header');
  return nowMs;
};

/** The listing's own clock may be wrong, and nothing before the horizon is read. */
const credibleNowMs = async (context: SyncContext): Promise<number> => {
  const time = await planningTime(context);
  return time?.nowMs ?? knownNowMs(context);
};

type Lease = Pick<KeptLease, 'throwIfLost'>;
type Recorder = ReturnType<typeof createRecorder>;

/** Stores what the pages of one listing name. Throws LeaseLostError once another replica may have listed since. */
const createRecorder = (context: SyncContext, lease: Lease) => {
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

/** The organizations of an allow-list: as the listing shows them, else by their ids. Throws what failed after all are stored. */
const discoverByName = async (
  { api }: SyncContext,
  names: readonly string[],
  recorder: Recorder,
  lease: Lease,
  signal: AbortSignal,
): Promise<void> => {
  const wanted = new Set(names);
  let failure: ApiError | undefined;
  try {
    for await (const page of api.listOrganizations({ ids: names }, signal)) {
      await recorder.page(page.filter(({ id }) => wanted.has(id)));
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // A credential that may not list is what the allow-list is for.
    if (error.failure !== 'refused') failure = error;
  }
  const found: FoundOrganization[] = [];
  for (const id of names.filter((name) => !recorder.ids.has(name))) {
    lease.throwIfLost();
    try {
      found.push(failure === undefined ? await getById(api, id, signal) : { id });
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

const getById = async (api: AuditApi, id: string, signal: AbortSignal): Promise<FoundOrganization> => {
  try {
    return await api.getOrganization(id, signal);
  } catch (error) {
    // Its audit log may still answer; if not, the source shows as refused.
    if (error instanceof ApiError && (error.failure === 'refused' || error.failure === 'not_found')) return { id };
    throw error;
  }
};

/**
 * Reads profiles that have never been read, or not for a day. One that fails is left for the next time. If the credential may read none, which is
 * documented for API tokens, one request a day finds that out.
 */
export const readProfiles = async (context: SyncContext, limit: number, signal: AbortSignal): Promise<void> => {
  for (const id of await context.store.withoutProfile(limit)) {
    if (signal.aborted) return;
    try {
      await context.store.recordProfile(id, await context.api.getProfile(id, signal));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // Noted as asked for: a profile that is refused must not be asked for at every tick.
      if (error.failure === 'refused' && (await context.store.recordProfileRefused(id)) === 'all') return;
    }
  }
};
