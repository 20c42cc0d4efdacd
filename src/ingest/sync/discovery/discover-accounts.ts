import { ApiError } from '../../../errors.ts';
import type { KeptLease } from '../../../postgres/leases/keep-lease.ts';
import { kindOf } from '../../sources/registry.ts';
import type { AccountsPage, DueListing, SyncContext } from '../ports.ts';
import { StallGuard } from './stall-guard.ts';

/** A listing that names all accounts is repeated after this, or later if it takes many requests, or there are many. */
const COMPLETE_REST_MS = 900_000;
/** A listing that is refused is retried after an hour, or later if there are so many of them. */
const REFUSED_REST_MS = 3_600_000;
/** One that failed is retried after a minute. */
const FAILED_REST_MS = 60_000;
/** One that is empty is not believed before it is empty again after this. */
const EMPTY_REST_MS = 60_000;
/** One that did not name all accounts that it counts: it costs as many requests as there are pages. */
const INCOMPLETE_REST_MS = 300_000;
/** So long no page may be missing: one organization whose accounts are never answered for holds up the listings of the others. */
const STALL_MS = 60_000;
/** A command that lists once and ends cannot wait for that. */
const ATTEMPTS_OF_COMMAND = 5;
/** Asked for at once: what is due changes meanwhile. */
const LISTINGS_AT_ONCE = 20;

export interface AccountsDiscovery {
  /** Listings are begun for so long; infinite: until none is due. */
  readonly forMs: number;
  /** So often discoveries come; undefined: it is the only one. */
  readonly everyMs?: number | undefined;
}

/**
 * Walks the listings of accounts that are due, for `forMs` at most, and makes known those that the configuration names. Each listing is for itself: one that fails
 * rests, and the others go on. Returns how many accounts are new, or are there again, and why a listing failed, if one did and was not refused, or all were. Throws when the database fails, the signal aborts or the lease is lost.
 */
export const discoverAccounts = async (
  context: SyncContext,
  signal: AbortSignal,
  lease: Pick<KeptLease, 'throwIfLost'>,
  { forMs, everyMs }: AccountsDiscovery,
): Promise<{ readonly appeared: number; readonly error?: ApiError }> => {
  const { store, kinds, observer, time, discoveryPace } = context;
  if (!kinds.some((each) => kindOf(each).owner === 'account')) return { appeared: 0 };
  let appeared = tell(context, await store.nameAccounts());
  const untilMs = time.nowMs() + forMs;
  let listings = 0;
  let failure: ApiError | undefined;
  const attempts = Number.isFinite(forMs) ? 1 : ATTEMPTS_OF_COMMAND;
  const most =
    everyMs === undefined
      ? Number.POSITIVE_INFINITY
      : discoveryPace.accountsOfAtOnce(everyMs, await store.countAccountListings());
  const nextDue = () => store.dueAccountListings(LISTINGS_AT_ONCE, Math.max(0, most - listings));
  for (let due = await nextDue(); due.length > 0; ) {
    for (const listing of due) {
      lease.throwIfLost();
      const ended = await listOne(context, listing, { signal, lease, attempts });
      appeared += ended.appeared;
      failure = ended.error ?? failure;
      listings += 1;
    }
    due = time.nowMs() < untilMs ? await nextDue() : [];
  }
  tell(context, await store.takeGoneAccounts());
  const accounts = appeared === 0 ? 0 : await store.countAccounts();
  observer.accountsListed?.({ listings, appeared, accounts });
  const error = failure ?? (await refusalOfAll(context));
  return error === undefined ? { appeared } : { appeared, error };
};

/** One listing that is refused is nothing unusual, since others show the same accounts. */
const refusalOfAll = async ({ store }: SyncContext): Promise<ApiError | undefined> => {
  const reason = await store.refusedAccountListings();
  return reason === undefined ? undefined : new ApiError('refused', `no credential may list accounts: ${reason}`);
};

/** Returns how many of the accounts are new or restored. */
const tell = (
  { observer }: SyncContext,
  changes: Awaited<ReturnType<SyncContext['store']['nameAccounts']>>,
): number => {
  for (const change of changes) observer.accountChanged?.(change);
  return changes.filter(({ change }) => change === 'appeared' || change === 'restored').length;
};

interface Listing {
  readonly signal: AbortSignal;
  readonly lease: Pick<KeptLease, 'throwIfLost'>;
  readonly attempts: number;
}

/** `error`: why it failed, unless it was refused. */
const listOne = async (
  context: SyncContext,
  { scope, organizationId, credential }: DueListing,
  { signal, lease, attempts }: Listing,
): Promise<{ readonly appeared: number; readonly error?: ApiError }> => {
  const { api, store, observer, discoveryPace } = context;
  const seen = new Set<string>();
  let appeared = 0;
  let requests = 0;
  const restMs = async (leastMs: number): Promise<number> => {
    const sent = Math.max(1, requests);
    if (organizationId === undefined) return Math.max(leastMs, discoveryPace.accountsMs(sent));
    return Math.max(leastMs, discoveryPace.accountsOfMs(sent, await store.countAccountListings()));
  };
  for (let attempt = 1; ; attempt += 1) {
    const stall = new StallGuard(signal, STALL_MS);
    try {
      const pages =
        organizationId === undefined
          ? api.listAccounts(stall.signal, credential)
          : api.listAccountsOf(organizationId, stall.signal);
      const complete = await walk(pages, async (page) => {
        stall.progress();
        requests += 1;
        // Right after a pause of the process an old page must not be stored over a newer one.
        lease.throwIfLost();
        for (const { id } of page.accounts) seen.add(id);
        appeared += tell(context, await store.recordAccounts(scope, page.accounts));
      });
      if (!complete) throw new ApiError('unreadable', 'the listing did not name all accounts that it counts');
      const rests = { restMs: await restMs(COMPLETE_REST_MS), emptyRestMs: await restMs(EMPTY_REST_MS) };
      const believed = await store.endAccountListing(scope, { seen, ...rests });
      if (seen.size === 0) observer.accountListingEmpty?.({ scope, again: believed });
      if (believed || attempts === 1) return { appeared };
    } catch (thrown) {
      const error = stall.reasonOf(thrown);
      if (!(error instanceof ApiError) || signal.aborted) throw error;
      const isRefused = ['refused', 'unauthorized', 'not_found'].includes(error.failure);
      // The client has already retried what passes by itself.
      if (error.failure === 'unreadable' && attempt < attempts) continue;
      observer.accountListingFailed?.({ scope, error });
      const failedMs = error.failure === 'unreadable' ? INCOMPLETE_REST_MS : FAILED_REST_MS;
      const rest = await restMs(isRefused ? REFUSED_REST_MS : failedMs);
      await store.endAccountListing(scope, { failure: error.failure, message: error.message, restMs: rest });
      return isRefused ? { appeared } : { appeared, error };
    } finally {
      stall.end();
    }
  }
};

/** Whether the last page said that the listing is complete. */
const walk = async (
  pages: AsyncIterable<AccountsPage>,
  store: (page: AccountsPage) => Promise<void>,
): Promise<boolean> => {
  let complete = false;
  for await (const page of pages) {
    await store(page);
    complete = page.complete;
  }
  return complete;
};
