import { ApiError } from '../../base/errors.ts';
import type { LeaseContext } from '../../postgres/leases.ts';
import type { Page } from '../entries/page.ts';
import type { Range } from '../planning/coverage.ts';
import type { Hole } from '../planning/lane.ts';
import type { LaneIntervals } from '../planning/planner.ts';
import type { RoundStart } from '../planning/scrub.ts';
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
import type { WindowLimit } from './window-limit.ts';

export interface ListingFilter {
  readonly ids?: readonly string[] | undefined;
  readonly parentId?: string;
  /** It ends with PartialListingError if it counts more than it names, or a credential that may show more was not
   * listed. */
  readonly mustBeWhole?: boolean;
}

export interface AccountsPage {
  readonly accounts: readonly FoundAccount[];
  /** Where it goes on, for any process; undefined: this was the last page. */
  readonly next: string | undefined;
  /** Undefined: the listing does not say, or some are left out. */
  readonly total: number | undefined;
  /** False on a last page that is not the end: the pages ran in a circle. */
  readonly complete: boolean;
}

export interface DueListing {
  readonly scope: string;
  readonly organizationId: string | undefined;
  readonly credential: string | undefined;
  readonly holder: string | undefined;
  readonly dead?: string | undefined;
  readonly lastAttempt: string | undefined;
}

/** What sync needs of Cloudflare. Failures are ApiError; an abort throws the signal's reason. */
export interface AuditApi {
  /** `attemptMs`: how long one attempt may take; undefined: as long as the client allows. */
  fetchPage(source: SourceKey, walk: Walk, signal: AbortSignal, attemptMs?: number): Promise<Page>;
  /** Page by page: all, these ids only, or what is below an organization. */
  listOrganizations(filter: ListingFilter, signal: AbortSignal): AsyncIterable<readonly FoundOrganization[]>;
  /** GET /accounts, from where an earlier page said that it goes on. `credential` names one of several. */
  listAccounts(signal: AbortSignal, credential?: string, from?: string): AsyncIterable<AccountsPage>;
  listAccountsOf(organizationId: string, signal: AbortSignal, from?: string): AsyncIterable<AccountsPage>;
  getOrganization(id: string, signal: AbortSignal): Promise<FoundOrganization>;
  /** `refused` is 403, and that there is no such organization. Any other failure throws. */
  probeAuditLog(source: SourceKey, signal: AbortSignal): Promise<'open' | 'refused'>;
  getProfile(id: string, signal: AbortSignal): Promise<unknown>;
  /** A lower bound of Cloudflare's time; undefined before its first response. */
  nowMs(): number | undefined;
}

export type AccountListingEnd =
  /** If a complete one named none, it rests for `emptyRestMs`, until it has been empty twice in a row. */
  | { readonly restMs: number; readonly emptyRestMs: number }
  /** `isShort`: it named fewer than it counts. */
  | { readonly failure: string; readonly message: string; readonly restMs: number; readonly isShort: boolean };

/** The answer for an organization that listings miss. `gone`: its log has been refused for long enough. */
export type LogNews = 'open' | 'refused' | 'gone';

/** Just enough to tell when the live tail is due, and whether anything else has changed. */
export interface SourceSurvey
  extends SourceKey,
    Pick<SourceState, 'refused' | 'heldElsewhere' | 'restMs' | 'eventRate' | 'largestPage'> {
  /** Differs once anything has changed that a plan depends on, but for what is here. */
  readonly version: string;
  /** The first reading may lack some in between. */
  readonly readSpan: Range | undefined;
  readonly walking: boolean;
}

export interface SyncStore {
  loadSources(): Promise<readonly SourceState[]>;
  /** The same sources in the same order; of each no more than tells whether to load it. */
  surveySources(take: (survey: SourceSurvey) => void): Promise<void>;
  loadSourcesOf(sources: readonly SourceKey[]): Promise<readonly SourceState[]>;
  /** The clocks of the database and, as stored, of Cloudflare. Takes back coverage of the future. */
  readTime(): Promise<{ readonly databaseMs: number; readonly serverMs: number | undefined; readonly trimmed: number }>;
  resourceTypes(source: SourceKey, range: Range): Promise<readonly string[]>;
  /** Where the newest part of a range begins that holds so many stored events; all of it if it holds fewer. Whole
   * seconds. */
  newestPart(source: SourceState, range: Range, entries: number): Promise<number>;
  /**
   * The first stored event in a range, or the last (`desc`); undefined also where other filter sets have stored some.
   */
  nearestStored(source: SourceState, range: Range, direction: Direction): Promise<Sentinel | undefined>;
  claim(source: SourceKey): Promise<{ readonly lease: Lease; readonly source: SourceState } | undefined>;
  renew(lease: Lease): Promise<boolean>;
  commit(commit: PageCommit): Promise<CommitResult>;
  release(lease: Lease): Promise<void>;
  noteScrub(part: ScrubPart): Promise<void>;
  recordFailure(lease: Lease, failure: LaneFailure): Promise<void>;
  recordAccess(source: SourceKey, access: 'refused' | 'restored'): Promise<boolean>;
  /** `complete`: all others are counted as missed; makes none gone. `under`: what is below this organization. */
  recordListing(
    found: readonly FoundOrganization[],
    listing: { readonly complete: boolean; readonly under?: string },
  ): Promise<readonly OrganizationChange[]>;
  /** Organizations that complete listings have missed, and whose logs are to be asked now. */
  takeMissed(limit: number): Promise<readonly string[]>;
  /** What is news; undefined also if it has been listed again, or was gone already. */
  recordLogAnswer(organizationId: string, answer: 'open' | 'refused'): Promise<LogNews | undefined>;
  withoutChildrenListed(limit: number): Promise<readonly string[]>;
  recordChildrenListed(organizationId: string): Promise<void>;
  /** The longest waiting first. `mostOfOrganizations`: of single organizations no more than so many, once a credential
   * has listed all. */
  dueAccountListings(limit: number, mostOfOrganizations: number): Promise<readonly DueListing[]>;
  claimAccountListing(listing: DueListing): Promise<{ readonly from: string | undefined } | undefined>;
  renewAccountListing(listing: DueListing): Promise<boolean>;
  /** Its walk goes on where it is, after the others that are due. */
  pauseAccountListing(listing: DueListing): Promise<void>;
  countWalkedAccounts(listing: DueListing): Promise<number>;
  recordAccounts(listing: DueListing, page: Pick<AccountsPage, 'accounts' | 'next'>): Promise<readonly AccountChange[]>;
  /** Others of the scope are counted as missed. False if not: the listing is empty and was not before. */
  endAccountListing(listing: DueListing, end: AccountListingEnd): Promise<boolean>;
  /** Why no listing works, as of their last attempts; undefined if one does. */
  refusedAccountListings(): Promise<string | undefined>;
  nameAccounts(): Promise<readonly AccountChange[]>;
  countAccountListings(): Promise<number>;
  countAccounts(): Promise<number>;
  /** Accounts that no listing shows any more: gone if their logs refuse, left if they answer. */
  takeGoneAccounts(): Promise<readonly AccountChange[]>;
  /** Not `mine` while another process lists, nor for `restMs` after the last attempt, unless that was this one's and
   * failed. `serverTimeMs`: Cloudflare's time at the last listing. */
  claimDiscovery(restMs: number): Promise<{ readonly mine: boolean; readonly serverTimeMs: number | undefined }>;
  renewDiscovery(): Promise<boolean>;
  recordDiscovery(
    result: { organizations: number; serverTimeMs: number; short?: string | undefined } | { error: string },
  ): Promise<void>;
  /** `oldestMs`: entries older than the horizons are about to come, too. `accountIds`: of these accounts alone. */
  syncSources(nowMs: number, oldestMs: number | undefined, accountIds?: readonly string[]): Promise<void>;
  withoutProfile(limit: number): Promise<readonly string[]>;
  recordProfile(organizationId: string, profile: unknown): Promise<void>;
  /** `all`: the credential has never read one, and all of them count as asked for. */
  recordProfileRefused(organizationId: string): Promise<'one' | 'all'>;
}

/** `proven`: its end was in doubt. `hole`: not even a part of a second can be read. `fenced`: another replica holds the
 * lease. `lost`: our lease expired before committing. */
type WalkResult = 'done' | 'proven' | 'narrowed' | 'hole' | 'fenced' | 'lost' | 'failed';

/** A source whose oldest unread time leaves Cloudflare's retention within `slackMs`. */
export interface NearRetention {
  readonly source: SourceKey;
  readonly slackMs: number;
}

/** For logs, metrics and progress. Must not throw and must not wait. */
export interface SyncObserver {
  discovered?(event: { readonly organizations: number; readonly complete: boolean; readonly short?: string }): void;
  organizationChanged?(event: OrganizationChange): void;
  accountChanged?(event: AccountChange): void;
  /** The due listings have been walked; of `accounts`, `appeared` are new or restored. */
  accountsListed?(event: { readonly listings: number; readonly appeared: number; readonly accounts: number }): void;
  accountListingFailed?(event: { readonly scope: string; readonly error: ApiError }): void;
  /** The listing was not empty before: it is not believed yet. */
  accountListingEmpty?(event: { readonly scope: string }): void;
  /** Listings miss it, but its audit log answers: collection continues. */
  missedButOpen?(event: { readonly organizationId: string }): void;
  discoveryFailed?(event: { readonly error: unknown }): void;
  /** `due`: have something to do. `nearRetention`: Cloudflare will soon delete unread time. */
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
  /** Missing in time that pass `pass` had read; stored now. */
  scrubFound?(event: ScrubFind & { readonly source: SourceKey; readonly window: Range }): void;
  windowNarrowed?(event: {
    readonly source: SourceKey;
    readonly lane: Lane;
    readonly claim: Range;
    readonly reason: string;
  }): void;
  holeFound?(event: Hole & { readonly source: SourceKey }): void;
  /** At every plan; positive: Cloudflare's clock is ahead of the database's. */
  clocksCompared?(event: { readonly aheadMs: number }): void;
  /** Rows of coverage that claimed the future, and were cut. */
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
  /** A credential that may not list organizations rests, if only accounts are read. */
  restsUntilMs: number;
  requests: number;
  organizations: number;
  /** Details of single organizations rest until then. */
  detailsAfterMs: number;
  readonly askedById: Set<string>;
}

export interface SourceBudget {
  /** The same for all that share it. */
  readonly name: string;
  /** Requests in any 5 minutes. */
  readonly requests: number;
}

export interface SyncContext extends LeaseContext {
  readonly api: AuditApi;
  readonly store: SyncStore;
  readonly observer: SyncObserver;
  readonly kinds: readonly KindPolicy[];
  readonly settleDelaysMs: readonly number[];
  /** A requested backfill, whatever the horizon. */
  readonly window?: { readonly sinceMs: number; readonly untilMs: number } | undefined;
  /** The allow-list: also the way in if the credential may not list. */
  readonly organizationIds: readonly string[] | undefined;
  readonly concurrency: number;
  readonly windows: WindowLimit;
  readonly organizationListing: OrganizationListing;
  readonly discoveryPace: DiscoveryPace;
  /** So that no lane starves. `requests`: of the sources' budget, in 5 minutes, if it is not that of all. */
  readonly intervals: (sources: number, requests?: number) => LaneIntervals;
  /** For one plan: whose budget each source is read with. Undefined: all share one. */
  readonly budgets?: (() => (source: SourceKey) => SourceBudget) | undefined;
  /** Between two plans: no source is polled more often. */
  readonly tickMs: number;
  readonly random: () => number;
  readonly scrub?: ScrubLeave | undefined;
}

/** Leave to read history again: a share of the API budget that all replicas have together. */
export interface ScrubLeave {
  readonly everyMs: number;
  /** Grants up to so many, without waiting; none while the budget is needed. */
  take(requests: number): Promise<number>;
  spend(requests: number): Promise<void>;
}

export interface ScrubPart {
  readonly source: SourceKey;
  readonly filterHash: string;
  readonly round: RoundStart;
  /** The oldest time that the round reads. */
  readonly sinceMs: number;
  readonly entries: number;
  /** Entries that were not stored, or only with other content; they are now. */
  readonly missing: number;
  readonly changed: number;
  /** How much time it was the last page of, in seconds. */
  readonly seconds: number;
  readonly ended: boolean;
}

const BUDGET_WINDOW_MS = 300_000;
const DAY_MS = 86_400_000;
/** Together 5 % of the budget, in any hour, with 5,000 organizations, whose accounts are each listed once a day. */
const ORGANIZATIONS_SHARE = 0.012;
const ACCOUNTS_SHARE = 0.008;
const ACCOUNTS_OF_ORGANIZATIONS_SHARE = 0.015;
const DETAILS_SHARE = 0.009;
/** Health and alerts report organizations that were listed longer than 5 minutes ago. */
const LONGEST_ORGANIZATIONS_MS = 240_000;
/** The database lets no listing of accounts rest for more than 25 hours (`nothing_of_the_future`). */
const LONGEST_ACCOUNTS_MS = DAY_MS;
/** The profile of an organization, and what is below it, once a day. */
const DETAILS = 2;

/** How often to list, in milliseconds, so that listings take hardly any of the budget. `requests`: of one listing. */
interface DiscoveryPace {
  organizationsMs(requests: number): number;
  accountsMs(requests: number): number;
  accountsOfMs(requests: number, organizations: number): number;
  /** How many such listings a discovery may begin that comes every so often; infinite if all at once take little. */
  accountsOfAtOnce(everyMs: number, organizations: number): number;
  /** Between requests for details; 0 if all of them, once a day, take little. */
  detailsMs(requests: number, organizations: number): number;
}

/** Listings of thousands of credentials, each within its own budget, take this long each: one goes on at a time. */
const EACH_CREDENTIAL_MS = 200;

/** `requestsPerWindow`: the smallest budget of a credential, in requests per 5 minutes. */
export const discoveryPace = (requestsPerWindow: number, credentials = () => 1): DiscoveryPace => {
  const spacingMs = (share: number): number => BUDGET_WINDOW_MS / (requestsPerWindow * share);
  const eachDetailMs = spacingMs(DETAILS_SHARE);
  const areDetailsFew = (organizations: number): boolean => DETAILS * organizations * eachDetailMs <= DAY_MS;
  const accountsOfMs = (requests: number, organizations: number): number =>
    Math.min(LONGEST_ACCOUNTS_MS, requests * organizations * spacingMs(ACCOUNTS_OF_ORGANIZATIONS_SHARE));
  return {
    organizationsMs: (requests) => Math.min(LONGEST_ORGANIZATIONS_MS, requests * spacingMs(ORGANIZATIONS_SHARE)),
    accountsMs: (requests) =>
      Math.min(LONGEST_ACCOUNTS_MS, Math.max(requests * spacingMs(ACCOUNTS_SHARE), credentials() * EACH_CREDENTIAL_MS)),
    accountsOfMs,
    accountsOfAtOnce: (everyMs, organizations) =>
      areDetailsFew(organizations)
        ? Number.POSITIVE_INFINITY
        : Math.ceil((everyMs * organizations) / accountsOfMs(1, organizations)),
    detailsMs: (requests, organizations) => (areDetailsFew(organizations) ? 0 : requests * eachDetailMs),
  };
};

export interface PlanningTime {
  readonly nowMs: number;
  readonly clock: JobClock;
}

/** The clock of the database, and when it was read on the clock of this process. */
export interface JobClock {
  readonly databaseMs: number;
  readonly atMs: number;
}

/** By the last answer that this process had, else by the last stored listing; undefined before the first answer of all.
 * What is planned with it is claimed by the answers' own time. */
export const planningTime = async ({ api, store, time, observer }: SyncContext): Promise<PlanningTime | undefined> => {
  const { databaseMs, serverMs, trimmed } = await store.readTime();
  const clock = { databaseMs, atMs: time.nowMs() };
  if (trimmed > 0) observer.futureTrimmed?.({ rows: trimmed });
  const knownMs = api.nowMs() ?? serverMs;
  if (knownMs === undefined) return undefined;
  observer.clocksCompared?.({ aheadMs: knownMs - databaseMs });
  return { nowMs: clampToDatabaseClock(knownMs, databaseMs), clock };
};

/** Throws ApiError `unreadable` if no answer had a Date. */
export const knownNowMs = ({ api }: SyncContext): number => {
  const nowMs = api.nowMs();
  if (nowMs === undefined) throw new ApiError('unreadable', 'no response of the API carries a Date header');
  return nowMs;
};

/** The listing's own clock may be wrong, and nothing before the horizon is read. */
export const credibleNowMs = async (context: SyncContext): Promise<number> => {
  const time = await planningTime(context);
  return time?.nowMs ?? knownNowMs(context);
};

export const MAX_AHEAD_MS = 60_000;

/** A server further ahead of the database is not believed: future time would count as read. One that is behind costs
 * only delay. */
export const clampToDatabaseClock = (serverMs: number, databaseMs: number): number =>
  serverMs > databaseMs + MAX_AHEAD_MS ? databaseMs : serverMs;
