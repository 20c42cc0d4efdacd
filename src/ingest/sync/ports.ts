import type { ApiError } from '../../base/errors.ts';
import type { LeaseContext } from '../../postgres/leases.ts';
import type { Page } from '../entries/page.ts';
import type { Range } from '../planning/coverage.ts';
import type { Hole } from '../planning/lane.ts';
import type { LaneIntervals } from '../planning/planner.ts';
import type {
  AccountChange,
  CommitResult,
  FoundAccount,
  FoundOrganization,
  KindPolicy,
  LaneFailure,
  LateEntries,
  Lease,
  OrganizationChange,
  PageCommit,
  PageCounts,
  ScrubFind,
  SourceKey,
  SourceState,
} from '../planning/source.ts';
import type { Direction, Lane, Sentinel, Walk } from '../planning/walk.ts';
import type { SourceSurvey } from './planned-source.ts';
import type { ScrubPart } from './scrub-rounds.sql.ts';
import type { WindowLimit } from './window-limit.ts';

export interface ListingFilter {
  readonly ids?: readonly string[] | undefined;
  readonly parentId?: string;
  /** What is missing in it counts: it ends with PartialListingError if it counts more than it names, or a credential that may show more has not been listed. */
  readonly mustBeWhole?: boolean;
}

export interface AccountsPage {
  readonly accounts: readonly FoundAccount[];
  /** Where the listing goes on, for this process or another one; undefined: this was its last page. */
  readonly next: string | undefined;
  /** How many accounts the listing counts; undefined: it does not say, or some are left out. */
  readonly total: number | undefined;
  /** False on a last page that is not the end: the pages ran in a circle. */
  readonly complete: boolean;
}

/** A listing of accounts that is due: of an organization, or of a credential. */
export interface DueListing {
  readonly scope: string;
  readonly organizationId: string | undefined;
  /** The one whose accounts are listed. */
  readonly credential: string | undefined;
  /** Another process walks it now. */
  readonly holder: string | undefined;
  /** Who walked it and is known to be dead. */
  readonly dead?: string | undefined;
  /** When it was tried last, as the database says it. */
  readonly lastAttempt: string | undefined;
}

/** What sync needs of Cloudflare. Failures are ApiError; an abort throws the signal's reason. */
export interface AuditApi {
  /**
   * The next page of the walk: its window with its overlaps, in its direction, from its cursor. `attemptMs`: how long one attempt may take;
   * undefined: as long as the client allows.
   */
  fetchPage(source: SourceKey, walk: Walk, signal: AbortSignal, attemptMs?: number): Promise<Page>;
  /** The listing, page by page: all of it, these ids only, or what is below an organization. */
  listOrganizations(filter: ListingFilter, signal: AbortSignal): AsyncIterable<readonly FoundOrganization[]>;
  /**
   * The accounts that a credential reaches (GET /accounts), page by page, or from where an earlier page said that it goes on.
   * `credential` names one of several.
   */
  listAccounts(signal: AbortSignal, credential?: string, from?: string): AsyncIterable<AccountsPage>;
  /** The accounts of an organization. */
  listAccountsOf(organizationId: string, signal: AbortSignal, from?: string): AsyncIterable<AccountsPage>;
  getOrganization(id: string, signal: AbortSignal): Promise<FoundOrganization>;
  /** Whether the log still answers: `refused` is 403, and that there is no such organization. Any other failure throws. */
  probeAuditLog(source: SourceKey, signal: AbortSignal): Promise<'open' | 'refused'>;
  /** Undefined if the organization has none. */
  getProfile(id: string, signal: AbortSignal): Promise<unknown>;
  /** A lower bound of Cloudflare's own time; undefined before its first response. */
  nowMs(): number | undefined;
}

/** How a listing of accounts ended. */
export type AccountListingEnd =
  /** It was complete. If it named none, it rests for `emptyRestMs` only, until it has been empty twice in a row. */
  | { readonly restMs: number; readonly emptyRestMs: number }
  /** `isShort`: it named fewer than it counts. */
  | { readonly failure: string; readonly message: string; readonly restMs: number; readonly isShort: boolean };

/** Of the log of an organization that listings miss. `gone`: it has been refused for long enough. */
export type LogNews = 'open' | 'refused' | 'gone';

/** What sync needs of the store. All of it is safe to repeat. */
export interface SyncStore {
  /** All that are wanted, in the order of a plan. */
  loadSources(): Promise<readonly SourceState[]>;
  /** The same, if they are no more than so many; else undefined, and none is loaded. */
  loadFewSources(most: number): Promise<readonly SourceState[] | undefined>;
  /** Hands over the same sources in the same order, and of each no more than tells whether to load it. */
  surveySources(take: (survey: SourceSurvey) => void): Promise<void>;
  /** Those of these that are still wanted. */
  loadSourcesOf(sources: readonly SourceKey[]): Promise<readonly SourceState[]>;
  /** The clock of the database, and Cloudflare's time by what is stored of it. Takes back coverage of the future. */
  readTime(): Promise<{ readonly databaseMs: number; readonly serverMs: number | undefined; readonly trimmed: number }>;
  /** What kinds of resources a source has had events of around a time. */
  resourceTypes(source: SourceKey, range: Range): Promise<readonly string[]>;
  /** Where the newest part of a range begins that holds so many stored events of the source; all of it if it holds fewer. Whole seconds. */
  newestPart(source: SourceState, range: Range, entries: number): Promise<number>;
  /**
   * The first stored event in a range, or the last one (`desc`). Undefined if there is none, and if other filter sets have stored what those in
   * force may not match.
   */
  nearestStored(source: SourceState, range: Range, direction: Direction): Promise<Sentinel | undefined>;
  /** Undefined if another process holds the source. */
  claim(source: SourceKey): Promise<{ readonly lease: Lease; readonly source: SourceState } | undefined>;
  /** False if the lease has gone to another process. */
  renew(lease: Lease): Promise<boolean>;
  commit(commit: PageCommit): Promise<CommitResult>;
  release(lease: Lease): Promise<void>;
  /** Keeps what a page of the scrub lane showed, with the result of its round. */
  noteScrub(part: ScrubPart): Promise<void>;
  recordFailure(lease: Lease, failure: LaneFailure): Promise<void>;
  /** True if that is news. */
  recordAccess(source: SourceKey, access: 'refused' | 'restored'): Promise<boolean>;
  /**
   * `complete`: these are all there are, and all others are counted as missed; makes none of them gone. `under`: what was
   * listed is what is below this organization.
   */
  recordListing(
    found: readonly FoundOrganization[],
    listing: { readonly complete: boolean; readonly under?: string },
  ): Promise<readonly OrganizationChange[]>;
  /** Organizations that complete listings have missed twice or more and whose audit log is to be asked now, each at growing intervals. */
  takeMissed(limit: number): Promise<readonly string[]>;
  /** What is news; undefined also if it has been listed again meanwhile, or was gone already. */
  recordLogAnswer(organizationId: string, answer: 'open' | 'refused'): Promise<LogNews | undefined>;
  withoutChildrenListed(limit: number): Promise<readonly string[]>;
  recordChildrenListed(organizationId: string): Promise<void>;
  /**
   * The listings of accounts that are due, the longest waiting first. Makes those that are missing. `mostOfOrganizations`: once a credential has
   * listed all accounts that it reaches, of single organizations no more than so many, beside those whose own logs tell of accounts.
   */
  dueAccountListings(limit: number, mostOfOrganizations: number): Promise<readonly DueListing[]>;
  /** Undefined if another process walks it, or has since it was due. `from`: where its walk goes on. */
  claimAccountListing(listing: DueListing): Promise<{ readonly from: string | undefined } | undefined>;
  renewAccountListing(listing: DueListing): Promise<boolean>;
  /** Gives it back; its walk goes on where it is, after the others that are due. */
  pauseAccountListing(listing: DueListing): Promise<void>;
  /** How many accounts its walk has named so far. */
  countWalkedAccounts(listing: DueListing): Promise<number>;
  /** Stores what a page of a listing names, what changed, and where its walk goes on. */
  recordAccounts(listing: DueListing, page: Pick<AccountsPage, 'accounts' | 'next'>): Promise<readonly AccountChange[]>;
  /**
   * Gives the listing back. Of a complete listing, others of the scope are counted as missed. False if that was not done, since the listing is empty and was not before:
   * that is believed when it comes again.
   */
  endAccountListing(listing: DueListing, end: AccountListingEnd): Promise<boolean>;
  /** Why accounts may not be listed: what refuses all listings, as of their last attempts; undefined if one of them works. */
  refusedAccountListings(): Promise<string | undefined>;
  /** Makes known the accounts that the configuration names. */
  nameAccounts(): Promise<readonly AccountChange[]>;
  /** How many listings there are, of organizations and of credentials. */
  countAccountListings(): Promise<number>;
  /** Those whose logs are there to be read. */
  countAccounts(): Promise<number>;
  /** Accounts that no listing shows any more: gone if their logs refuse, and left if they answer. */
  takeGoneAccounts(): Promise<readonly AccountChange[]>;
  /**
   * Takes the right to list; not `mine` while another process lists, nor for `restMs` after the last attempt, unless that was this one's and failed.
   * `serverTimeMs` is then Cloudflare's time at the last listing, if there has been one.
   */
  claimDiscovery(restMs: number): Promise<{ readonly mine: boolean; readonly serverTimeMs: number | undefined }>;
  renewDiscovery(): Promise<boolean>;
  /** Gives the right to list back, too. */
  recordDiscovery(
    result: { organizations: number; serverTimeMs: number; short?: string | undefined } | { error: string },
  ): Promise<void>;
  /** As of Cloudflare's now. `oldestMs`: entries older than the horizons are about to come, too. */
  syncSources(nowMs: number, oldestMs: number | undefined): Promise<void>;
  withoutProfile(limit: number): Promise<readonly string[]>;
  recordProfile(organizationId: string, profile: unknown): Promise<void>;
  /** `all`: the credential has never read one, and all of them count as asked for. */
  recordProfileRefused(organizationId: string): Promise<'one' | 'all'>;
}

/**
 * `proven`: its end was in doubt, and other questions confirmed it. `narrowed`: its window could not be read and is halved. `hole`: not even a part of a
 * second can be read. `fenced`: rejected, another replica holds the lease. `lost`: our lease expired before committing.
 */
type WalkResult = 'done' | 'proven' | 'narrowed' | 'hole' | 'fenced' | 'lost' | 'failed';

/** A source whose oldest unread time leaves Cloudflare's retention within `slackMs`. */
export interface NearRetention {
  readonly source: SourceKey;
  readonly slackMs: number;
}

/** What happens while syncing, for logs, metrics and progress. Must not throw and must not wait. */
export interface SyncObserver {
  /** `short`: why it may lack some, whatever it has named. */
  discovered?(event: { readonly organizations: number; readonly complete: boolean; readonly short?: string }): void;
  organizationChanged?(event: OrganizationChange): void;
  accountChanged?(event: AccountChange): void;
  /** The listings of accounts that were due have been walked: of so many `accounts` that are known now, `appeared` are new or restored. */
  accountsListed?(event: { readonly listings: number; readonly appeared: number; readonly accounts: number }): void;
  /** A listing of accounts failed; it is retried after a while. */
  accountListingFailed?(event: { readonly scope: string; readonly error: ApiError }): void;
  /** A listing of accounts named none, and did not so before: that is not believed yet. */
  accountListingEmpty?(event: { readonly scope: string }): void;
  /** Listings miss it repeatedly, but its audit log answers: collection continues. */
  missedButOpen?(event: { readonly organizationId: string }): void;
  discoveryFailed?(event: { readonly error: unknown }): void;
  /** `due` names the sources that have something to do; `nearRetention` those whose unread time Cloudflare will soon delete. */
  jobsPlanned?(event: {
    readonly sources: number;
    readonly due: readonly SourceKey[];
    readonly nearRetention: readonly NearRetention[];
  }): void;
  pageCommitted?(
    event: PageCounts & {
      readonly source: SourceKey;
      readonly lane: Lane;
      readonly entries: number;
      readonly late: LateEntries;
    },
  ): void;
  walkEnded?(event: { readonly source: SourceKey; readonly lane: Lane; readonly result: WalkResult }): void;
  sourceSettled?(event: { readonly source: SourceKey }): void;
  /** So many entries were missing in time that pass `pass` had read. They are stored now. */
  scrubFound?(event: ScrubFind & { readonly source: SourceKey; readonly window: Range }): void;
  windowNarrowed?(event: {
    readonly source: SourceKey;
    readonly lane: Lane;
    readonly claim: Range;
    readonly reason: string;
  }): void;
  holeFound?(event: Hole & { readonly source: SourceKey }): void;
  /** At every plan: Cloudflare's clock and the database's differ by this much; positive: Cloudflare's is ahead. */
  clocksCompared?(event: { readonly aheadMs: number }): void;
  /** So many rows of coverage claimed the future, and were cut. */
  futureTrimmed?(event: { readonly rows: number }): void;
  sourceFailed?(event: {
    readonly source: SourceKey;
    readonly lane: Lane;
    readonly failure: string;
    readonly message: string;
    readonly backoffMs: number;
  }): void;
}

interface OrganizationListing {
  /** Of a credential that may not list organizations, if only accounts are read: until when it is not asked again. */
  restsUntilMs: number;
  /** How many the last listing took. */
  requests: number;
  organizations: number;
  /** Before that, nothing is asked about single organizations. */
  detailsAfterMs: number;
  /** Those that were asked for by their ids, the longest ago first. */
  readonly askedById: Set<string>;
}

/** The budget that a source is read with. */
export interface SourceBudget {
  /** The same for all that share it. */
  readonly name: string;
  /** In any 5 minutes. */
  readonly requests: number;
}

/** Everything that sync needs. Built by app/sync-context.ts. */
export interface SyncContext extends LeaseContext {
  readonly api: AuditApi;
  readonly store: SyncStore;
  readonly observer: SyncObserver;
  /** The kinds of sources that are read, and how. */
  readonly kinds: readonly KindPolicy[];
  readonly settleDelaysMs: readonly number[];
  /** Only this is wanted, whatever the horizon: a requested backfill. */
  readonly window?: { readonly sinceMs: number; readonly untilMs: number } | undefined;
  /** The allow-list, if one is configured: also the way in if the credential may not list. */
  readonly organizationIds: readonly string[] | undefined;
  readonly concurrency: number;
  /** If there are more sources, a plan loads those that have changed. Default: 2,000. */
  readonly mostLoadedWhole?: number | undefined;
  readonly windows: WindowLimit;
  /** What this process learned when it listed organizations last. */
  readonly organizationListing: OrganizationListing;
  readonly discoveryPace: DiscoveryPace;
  /** How often each of so many sources may be asked, so that no lane starves. `requests`: of their budget, in 5 minutes, if it is not that of all. */
  readonly intervals: (sources: number, requests?: number) => LaneIntervals;
  /** For one plan: whose budget each source is read with. Undefined: one budget is for all. */
  readonly budgets?: (() => (source: SourceKey) => SourceBudget) | undefined;
  /** Between two plans, in milliseconds: no source is asked more often. */
  readonly tickMs: number;
  /** In [0, 1), for spreading retries. */
  readonly random: () => number;
  /** Undefined: history is not read a second time. */
  readonly scrub?: ScrubLeave | undefined;
}

/** Leave to read history again: a share of the API budget that all replicas have together. */
export interface ScrubLeave {
  /** A round begins no sooner than this after the beginning of the last one. */
  readonly everyMs: number;
  /** Grants up to so many requests, without waiting; none while the budget is needed for anything else. */
  take(requests: number): Promise<number>;
  /** What was sent beyond what had been granted: it is missing from what is granted next. */
  spend(requests: number): Promise<void>;
}

const BUDGET_WINDOW_MS = 300_000;
const DAY_MS = 86_400_000;
/** Of the budget: 5 % together, in any hour, with 5,000 organizations, whose accounts are each listed once a day. */
const ORGANIZATIONS_SHARE = 0.012;
const ACCOUNTS_SHARE = 0.008;
const ACCOUNTS_OF_ORGANIZATIONS_SHARE = 0.015;
const DETAILS_SHARE = 0.009;
/** Health and alerts take organizations that were listed longer than 5 minutes ago for a trouble. */
const LONGEST_ORGANIZATIONS_MS = 240_000;
/** The database lets no listing of accounts rest for more than 25 hours (`nothing_of_the_future`). */
const LONGEST_ACCOUNTS_MS = DAY_MS;
/** Of an organization, each once a day: its profile, and what is below it. */
const DETAILS = 2;

/** How often to list, in milliseconds, so that all listings together take hardly any of the budget. `requests`: how many a listing takes. */
interface DiscoveryPace {
  /** From one listing of organizations to the next. */
  organizationsMs(requests: number): number;
  /** Between two listings of all accounts that a credential reaches. */
  accountsMs(requests: number): number;
  /** Between two listings of the accounts of one organization, where so many organizations have such a listing. */
  accountsOfMs(requests: number, organizations: number): number;
  /**
   * Of so many listings of the accounts of single organizations, how many a discovery may begin that comes every so often. Infinite if all of them
   * at once take little.
   */
  accountsOfAtOnce(everyMs: number, organizations: number): number;
  /** After so many requests for details of single organizations; 0 if all of them, once a day, take little. */
  detailsMs(requests: number, organizations: number): number;
}

/** `requestsPerWindow`: the smallest budget of a credential, in requests per 5 minutes. Pure. */
export const discoveryPace = (requestsPerWindow: number): DiscoveryPace => {
  const spacingMs = (share: number): number => BUDGET_WINDOW_MS / (requestsPerWindow * share);
  const eachDetailMs = spacingMs(DETAILS_SHARE);
  const areDetailsFew = (organizations: number): boolean => DETAILS * organizations * eachDetailMs <= DAY_MS;
  const accountsOfMs = (requests: number, organizations: number): number =>
    Math.min(LONGEST_ACCOUNTS_MS, requests * organizations * spacingMs(ACCOUNTS_OF_ORGANIZATIONS_SHARE));
  return {
    organizationsMs: (requests) => Math.min(LONGEST_ORGANIZATIONS_MS, requests * spacingMs(ORGANIZATIONS_SHARE)),
    accountsMs: (requests) => Math.min(LONGEST_ACCOUNTS_MS, requests * spacingMs(ACCOUNTS_SHARE)),
    accountsOfMs,
    accountsOfAtOnce: (everyMs, organizations) =>
      areDetailsFew(organizations)
        ? Number.POSITIVE_INFINITY
        : Math.ceil((everyMs * organizations) / accountsOfMs(1, organizations)),
    detailsMs: (requests, organizations) => (areDetailsFew(organizations) ? 0 : requests * eachDetailMs),
  };
};
