import { ApiError } from '../../../errors.ts';
import type { KeptLease } from '../../../postgres/leases/keep-lease.ts';
import { kindOf } from '../../sources/registry.ts';
import type { AccountsPage, DueListing, SyncContext } from '../ports.ts';

const MIN_INTERVAL_MS = 900_000;
const MAX_INTERVAL_MS = 86_400_000;
/** A listing that is refused is retried after an hour, any other failure after five minutes. */
const REFUSED_REST_MS = 3_600_000;
const FAILED_REST_MS = 300_000;
/** Asked for at once: what is due changes meanwhile. */
const LISTINGS_AT_ONCE = 20;

/**
 * Walks the listings of accounts that are due, for `forMs` at most, and makes known those that the configuration names. Each listing is for itself: one that fails
 * rests, and the others go on. Returns how many accounts are new, or are there again. Throws when the database fails, the signal aborts or the lease is lost.
 */
export const discoverAccounts = async (
  context: SyncContext,
  signal: AbortSignal,
  lease: Pick<KeptLease, 'throwIfLost'>,
  forMs: number,
): Promise<{ readonly appeared: number }> => {
  const { store, kinds, observer, time } = context;
  if (!kinds.some((each) => kindOf(each).owner === 'account')) return { appeared: 0 };
  let appeared = tell(context, await store.nameAccounts());
  const untilMs = time.nowMs() + forMs;
  let listings = 0;
  for (let due = await store.dueAccountListings(LISTINGS_AT_ONCE); due.length > 0; ) {
    for (const listing of due) {
      lease.throwIfLost();
      appeared += await listOne(context, listing, signal, lease);
      listings += 1;
    }
    due = time.nowMs() < untilMs ? await store.dueAccountListings(LISTINGS_AT_ONCE) : [];
  }
  tell(context, await store.takeGoneAccounts());
  const accounts = appeared === 0 ? 0 : await store.countAccounts();
  observer.accountsListed?.({ listings, appeared, accounts });
  return { appeared };
};

/** Returns how many of the accounts are new or restored. */
const tell = (
  { observer }: SyncContext,
  changes: Awaited<ReturnType<SyncContext['store']['nameAccounts']>>,
): number => {
  for (const change of changes) observer.accountChanged?.(change);
  return changes.filter(({ change }) => change === 'appeared' || change === 'restored').length;
};

const listOne = async (
  context: SyncContext,
  { scope, organizationId, credential }: DueListing,
  signal: AbortSignal,
  lease: Pick<KeptLease, 'throwIfLost'>,
): Promise<number> => {
  const { api, store, observer } = context;
  const pages =
    organizationId === undefined ? api.listAccounts(signal, credential) : api.listAccountsOf(organizationId, signal);
  const seen = new Set<string>();
  let appeared = 0;
  try {
    const complete = await walk(pages, async (page) => {
      // Right after a pause of the process an old page must not be stored over a newer one.
      lease.throwIfLost();
      for (const { id } of page.accounts) seen.add(id);
      appeared += tell(context, await store.recordAccounts(scope, page.accounts));
    });
    await store.endAccountListing(scope, { complete, seen, restMs: await intervalMs(context) });
  } catch (error) {
    if (!(error instanceof ApiError) || signal.aborted) throw error;
    observer.accountListingFailed?.({ scope, error });
    const restMs = ['refused', 'not_found'].includes(error.failure) ? REFUSED_REST_MS : FAILED_REST_MS;
    await store.endAccountListing(scope, { failure: error.failure, message: error.message, restMs });
  }
  return appeared;
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

/** All listings of accounts together cost no more than their share of the budget. */
const intervalMs = async ({ store, listingSpacingMs }: SyncContext): Promise<number> =>
  Math.min(MAX_INTERVAL_MS, Math.max(MIN_INTERVAL_MS, (await store.countAccountListings()) * listingSpacingMs));
