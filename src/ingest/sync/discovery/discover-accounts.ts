import { ApiError } from '../../../base/errors.ts';
import { type KeptLease, LeaseLostError, LeaseRefused, leasedRun } from '../../../postgres/leases.ts';
import { kindOf } from '../../sources/registry.ts';
import { type AccountsPage, credibleNowMs, type DueListing, type SyncContext } from '../ports.ts';
import { PartialListingError } from './discover.ts';

/** Longer if a listing takes many requests, or there are many. */
const COMPLETE_REST_MS = 900_000;
const REFUSED_REST_MS = 3_600_000;
const FAILED_REST_MS = 60_000;
/** An empty one is not believed before it is empty again. */
const EMPTY_REST_MS = 60_000;
/** A listing that did not name all that it counts costs as many requests as there are pages. */
const INCOMPLETE_REST_MS = 300_000;
/** One organization whose accounts are never answered for holds up the listings of the others. */
const STALL_MS = 60_000;
/** A command that lists once cannot wait for INCOMPLETE_REST_MS. */
const ATTEMPTS_OF_COMMAND = 5;
/** What is due changes meanwhile. */
const LISTINGS_AT_ONCE = 20;
const ACCOUNTS_PER_PAGE = 50;
/** A command waits for a listing that another process walks. */
const HELD_POLL_MS = 500;

interface AccountsDiscovery {
  /** No new page is asked for after this; undefined: until none is due. */
  readonly forMs?: number;
  /** When accounts that are new, or there again, have their sources. */
  readonly found?: () => void;
}

interface AccountsFound {
  readonly appeared: number;
  readonly error?: ApiError | undefined;
  /** Time was over before all that was due was listed. */
  readonly more: boolean;
}

/** Each listing that is due has a lease of its own: one that fails rests, and the others go on. Accounts that the
 * configuration names are made known, too. Throws when the database fails or the signal aborts. */
export const discoverAccounts = async (
  context: SyncContext,
  signal: AbortSignal,
  { forMs, found }: AccountsDiscovery = {},
): Promise<AccountsFound> => {
  const { store, kinds, observer, time, discoveryPace } = context;
  if (!kinds.some((each) => kindOf(each).owner === 'account')) return { appeared: 0, more: false };
  let appeared = await tell(context, await store.nameAccounts(), found);
  const untilMs = time.nowMs() + (forMs ?? Number.POSITIVE_INFINITY);
  const isOver = (): boolean => time.nowMs() >= untilMs;
  let listings = 0;
  let failure: ApiError | undefined;
  let more = false;
  const attempts = forMs === undefined ? ATTEMPTS_OF_COMMAND : 1;
  const most =
    forMs === undefined
      ? Number.POSITIVE_INFINITY
      : discoveryPace.accountsOfAtOnce(forMs, await store.countAccountListings());
  const nextDue = () => store.dueAccountListings(LISTINGS_AT_ONCE, Math.max(0, most - listings));
  for (let due = await nextDue(); due.length > 0 && !more; due = await nextDue()) {
    const free = due.filter(({ holder }) => holder === undefined);
    if (free.length === 0 && forMs !== undefined) break;
    if (free.length === 0) await time.sleep(HELD_POLL_MS, signal);
    for (const listing of free) {
      const ended = await listOne(context, listing, { signal, attempts, isOver, found });
      appeared += ended.appeared;
      failure = ended.error ?? failure;
      listings += 1;
      more = isOver();
      if (more) break;
    }
  }
  await tell(context, await store.takeGoneAccounts(), found);
  const accounts = appeared === 0 ? 0 : await store.countAccounts();
  observer.accountsListed?.({ listings, appeared, accounts });
  return { appeared, error: failure ?? (await refusalOfAll(context)), more };
};

/** One listing that is refused is nothing unusual, since others show the same accounts. */
const refusalOfAll = async ({ store }: SyncContext): Promise<ApiError | undefined> => {
  const reason = await store.refusedAccountListings();
  return reason === undefined ? undefined : new ApiError('refused', `no credential may list accounts: ${reason}`);
};

const tell = async (
  context: SyncContext,
  changes: Awaited<ReturnType<SyncContext['store']['nameAccounts']>>,
  found: AccountsDiscovery['found'],
): Promise<number> => {
  const { api, observer, store, window } = context;
  for (const change of changes) observer.accountChanged?.(change);
  const appeared = changes.filter(({ change }) => change === 'appeared' || change === 'restored');
  const ids = appeared.map(({ accountId }) => accountId);
  // Before the first answer of all, Cloudflare's time is not known: the next listing of organizations makes them then, and
  // those of a process that ends here.
  if (ids.length === 0 || api.nowMs() === undefined) return ids.length;
  await store.syncSources(await credibleNowMs(context), window?.sinceMs, ids);
  found?.();
  return ids.length;
};

interface Listing {
  readonly signal: AbortSignal;
  readonly attempts: number;
  readonly isOver: () => boolean;
  readonly found: AccountsDiscovery['found'];
}

interface ListingResult {
  readonly appeared: number;
  readonly error?: ApiError;
}

const nothing: ListingResult = { appeared: 0 };

const listOne = async (context: SyncContext, listing: DueListing, options: Listing): Promise<ListingResult> => {
  const { store } = context;
  const ended = await leasedRun(context, {
    claim: async () => (await store.claimAccountListing(listing)) ?? new LeaseRefused(undefined),
    renew: () => store.renewAccountListing(listing),
    run: ({ from }, lease) =>
      walkOne(context, listing, from, { ...options, lease, signal: AbortSignal.any([options.signal, lease.lost]) }),
  });
  return ended instanceof LeaseRefused || ended instanceof LeaseLostError ? nothing : ended;
};

const walkOne = async (
  context: SyncContext,
  listing: DueListing,
  first: string | undefined,
  { signal, lease, attempts, isOver, found }: Listing & { readonly lease: Pick<KeptLease, 'throwIfLost'> },
): Promise<ListingResult> => {
  const { store, observer, discoveryPace } = context;
  const { scope, organizationId } = listing;
  let appeared = 0;
  let requests = 0;
  const restMs = async (leastMs: number): Promise<number> => {
    const sent = Math.max(1, requests);
    if (organizationId !== undefined)
      return Math.max(leastMs, discoveryPace.accountsOfMs(sent, await store.countAccountListings()));
    // With those of its earlier parts.
    const all = Math.ceil((await store.countWalkedAccounts(listing)) / ACCOUNTS_PER_PAGE);
    return Math.max(leastMs, discoveryPace.accountsMs(Math.max(sent, all)));
  };
  let from = first;
  for (let attempt = 1; ; attempt += 1) {
    const stall = new StallGuard(signal, STALL_MS);
    try {
      for await (const page of pagesOf(context, listing, stall.signal, from)) {
        stall.progress();
        requests += 1;
        // Right after a pause of the process an old page must not be stored over a newer one.
        lease.throwIfLost();
        appeared += await tell(context, await store.recordAccounts(listing, page), found);
        if (page.next === undefined) await expectWhole(context, listing, page);
        else if (isOver()) {
          await store.pauseAccountListing(listing);
          return { appeared };
        }
      }
      const rests = { restMs: await restMs(COMPLETE_REST_MS), emptyRestMs: await restMs(EMPTY_REST_MS) };
      const believed = await store.endAccountListing(listing, rests);
      if (!believed) observer.accountListingEmpty?.({ scope });
      if (believed || attempts === 1) return { appeared };
    } catch (thrown) {
      const error = stall.reasonOf(thrown);
      if (!(error instanceof ApiError) || signal.aborted) throw error;
      const isRefused = ['refused', 'unauthorized', 'not_found'].includes(error.failure);
      const isAgain = error.failure === 'unreadable' && attempt < attempts;
      if (!isAgain) observer.accountListingFailed?.({ scope, error });
      const failedMs = error.failure === 'unreadable' ? INCOMPLETE_REST_MS : FAILED_REST_MS;
      const rest = isAgain ? 0 : await restMs(isRefused ? REFUSED_REST_MS : failedMs);
      await store.endAccountListing(listing, {
        failure: error.failure,
        message: error.message,
        restMs: rest,
        isShort: error instanceof PartialListingError,
      });
      // The client has already retried what passes by itself.
      if (!isAgain) return isRefused ? { appeared } : { appeared, error };
    } finally {
      stall.end();
    }
    from = (await store.claimAccountListing({ ...listing, lastAttempt: undefined }))?.from;
  }
};

const pagesOf = (
  { api }: SyncContext,
  { organizationId, credential }: DueListing,
  signal: AbortSignal,
  from: string | undefined,
): AsyncIterable<AccountsPage> =>
  organizationId === undefined
    ? api.listAccounts(signal, credential, from)
    : api.listAccountsOf(organizationId, signal, from);

/** Throws PartialListingError if the walk that ends with this page has not named all. */
const expectWhole = async ({ store }: SyncContext, listing: DueListing, page: AccountsPage): Promise<void> => {
  const named = await store.countWalkedAccounts(listing);
  if (page.complete && named >= (page.total ?? 0)) return;
  const lacking = page.total === undefined ? ', and its pages come again' : ` of ${page.total} that it counts`;
  throw new PartialListingError(new ApiError('unreadable', `the listing named ${named} accounts${lacking}`));
};

export class StallGuard {
  readonly signal: AbortSignal;
  readonly #stalled = new AbortController();
  readonly #limitMs: number;
  #timer: NodeJS.Timeout;

  constructor(signal: AbortSignal, limitMs: number) {
    this.#limitMs = limitMs;
    this.signal = AbortSignal.any([signal, this.#stalled.signal]);
    this.#timer = this.#start();
  }

  progress(): void {
    this.end();
    this.#timer = this.#start();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  /** ApiError `timeout` if the guard has aborted it. */
  reasonOf(thrown: unknown): unknown {
    if (!this.#stalled.signal.aborted || thrown !== this.signal.reason) return thrown;
    return new ApiError('timeout', `the listing brought no page within ${this.#limitMs / 1_000} s`);
  }

  #start(): NodeJS.Timeout {
    return setTimeout(() => this.#stalled.abort(), this.#limitMs);
  }
}
