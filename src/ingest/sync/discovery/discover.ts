import { ApiError } from '../../../base/errors.ts';
import { type KeptLease, LeaseLostError, LeaseRefused, leasedRun } from '../../../postgres/leases.ts';
import type { FoundOrganization } from '../../planning/source.ts';
import { kindOf } from '../../sources/registry.ts';
import { type AuditApi, credibleNowMs, knownNowMs, type SyncContext } from '../ports.ts';

export interface Discovered {
  readonly appeared: number;
}

/**
 * None if another replica lists, or did within `restMs`: then `serverTimeMs` is what it learned of Cloudflare's time.
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
 * Each page counts by itself: what it names is stored, and has its source, before the next page is asked for. What a
 * complete listing did not name is missed, and what is missed again is asked for its audit log. If the credential may
 * not list, the organizations of the allow-list are asked for by id. Throws what made it fail, after noting it for
 * readiness.
 */
export const discover = async (context: SyncContext, signal: AbortSignal, lease: Pick<KeptLease, 'throwIfLost'>) => {
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

/** A credential that may not list organizations is asked seldom, if only accounts are read. */
const REFUSED_REST_MS = 3_600_000;

/** If only accounts are read, a credential that may not list organizations (an account's token) is no failure. */
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

/** Profiles that were never read, or not for a day. One that fails is left for the next time. If the credential may
 * read none, which is documented for API tokens, one request a day finds that out: the first one is sent alone. */
export const readProfiles = async (context: SyncContext, limit: number, signal: AbortSignal, atOnce = 1) => {
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

const ASKED_BY_ID_AGAIN = 5;

/** The allow-list, as the listing shows it, else by ids. Throws what failed after all are stored. */
const discoverByName = async (
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

/** A listing that names nothing costs little. */
const MAX_ASKED = 10;
/** After that it is asked after another listing: discovery is not held up by it. */
const TIMEOUT_MS = 10_000;

type Answer = 'open' | 'refused' | undefined;

/**
 * Asks the logs of organizations that complete listings miss. Only one that goes on refusing makes its organization
 * gone: an empty or partial listing must not end any pulling. Throws what made it fail, except what Cloudflare
 * answered.
 */
const confirmGone = async (context: SyncContext, signal: AbortSignal, lease: Pick<KeptLease, 'throwIfLost'>) => {
  const { store, observer } = context;
  const ids = await store.takeMissed(MAX_ASKED);
  if (ids.length === 0) return;
  lease.throwIfLost();
  for (const [organizationId, answer] of await askAll(context, ids, signal)) {
    const news = answer && (await store.recordLogAnswer(organizationId, answer));
    if (news === 'open') observer.missedButOpen?.({ organizationId });
    else if (news !== undefined) observer.organizationChanged?.({ organizationId, change: news });
  }
};

const askAll = async ({ api, time }: SyncContext, ids: readonly string[], signal: AbortSignal) => {
  const timeout = new AbortController();
  const answered = new AbortController();
  time.sleep(TIMEOUT_MS, answered.signal).then(
    () => timeout.abort(),
    () => {},
  );
  const ask = async (id: string): Promise<readonly [string, Answer]> => {
    try {
      return [id, await api.probeAuditLog({ kind: 'organization', id }, AbortSignal.any([signal, timeout.signal]))];
    } catch (error) {
      if (signal.aborted || !(error instanceof ApiError || timeout.signal.aborted)) throw error;
      return [id, undefined];
    }
  };
  const asked = await Promise.allSettled(ids.map(ask));
  answered.abort();
  return asked.map((each) => {
    if (each.status === 'rejected') throw each.reason;
    return each.value;
  });
};

/** Cloudflare does not say whether its listing shows organizations below others unasked; once it has shown one, nothing
 * is asked. Else each organization is asked about once a day, `limit` of them at a time. Returns how many are new. */
export const findSubOrganizations = async (context: SyncContext, limit: number, signal: AbortSignal) => {
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

type Lease = Pick<KeptLease, 'throwIfLost'>;
type Recorder = ReturnType<typeof createRecorder>;

/** Throws LeaseLostError once another replica may have listed since. */
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
    /** What is known and was on none of its pages is missed. */
    end: () =>
      write(
        Array.from(ids, (id) => ({ id })),
        true,
      ),
  };
};

/** A listing counts more than it named, or a credential that may show more has not listed: nothing is missed by it. */
export class PartialListingError extends ApiError {
  constructor(cause: ApiError) {
    super(cause.failure, cause.message, { cause, apiCodes: cause.apiCodes });
  }
}
