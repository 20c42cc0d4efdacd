import { formatDuration } from '../base/time.ts';
import { laneIntervals } from '../ingest/planning/planner.ts';
import { longestPauseMs } from '../ingest/planning/poll-interval.ts';
import { RETENTION_NEAR_MS } from '../ingest/sources/source-kind.ts';
import type { CollectionRules } from '../search/search-coverage.sql.ts';

/** Quiet is healthy: an organization without changes. */
export const sourceStates = ['fresh', 'quiet', 'behind', 'incomplete', 'failing', 'refused'] as const;
export type SourceHealth = (typeof sourceStates)[number];

/** Seconds; null if there has never been one. */
export interface SourceFacts {
  readonly refused: boolean;
  /** In a row, of the lane that has most of them. */
  readonly failures: number;
  /** The kind of the last failure that made it rest. Null: none has, its windows are being halved. */
  readonly lastFailure: string | null;
  /** Holes: time that could not be collected, where entries may be missing. */
  readonly holes: number;
  /** Between now and the end of what has been read. */
  readonly lagSeconds: number;
  /** All that has not been read, the lag included. */
  readonly gapSeconds: number;
  /** How far what has been read reaches beyond now; negative: it ends before. Null: nothing has been read. */
  readonly futureSeconds: number | null;
  /** Since the action time of the newest event. */
  readonly sinceLastEventSeconds: number | null;
}

/** The clock of Cloudflare may be a minute ahead of that of the database. Nothing that was read reaches further. */
export const MAX_FUTURE_SECONDS = 61;

/** What is claimed of the future hides that nothing is read: the lag is none until then. */
export const claimsFuture = ({ futureSeconds }: Pick<SourceFacts, 'futureSeconds'>): boolean =>
  futureSeconds !== null && futureSeconds > MAX_FUTURE_SECONDS;

export const QUIET_AFTER_SECONDS = 86_400;
/** Ticks before a source is behind, or longest pauses if those take longer. */
const TICKS_UNTIL_BEHIND = 4;
const PAUSES_UNTIL_BEHIND = 2;
const MIN_BEHIND_SECONDS = 60;

/** How long a source is left unasked on purpose. Milliseconds. */
export interface Pauses {
  readonly tickMs: number;
  /** Of the most silent source. */
  readonly longestMs: number;
}

/** A silent source is polled less often on purpose: the longest pause counts for all. */
export const behindAfterSeconds = ({ tickMs, longestMs }: Pauses): number =>
  Math.max(MIN_BEHIND_SECONDS, (TICKS_UNTIL_BEHIND * tickMs) / 1_000, (PAUSES_UNTIL_BEHIND * longestMs) / 1_000);

/** A tick, or what the budget allows. */
export const pausesOf = (settings: { tickMs: number; apiBudget: number }, sources: number): Pauses => {
  const { tickMs, apiBudget } = settings;
  return { tickMs, longestMs: longestPauseMs({ tickMs, equalMs: laneIntervals(sources, apiBudget).liveMs }) };
};

/** The state names what has to be mended first. Behind: the live tail lags, or history is missing. `readSummary` says the same in SQL. */
export const sourceHealth = (facts: SourceFacts, pauses: Pauses): SourceHealth => {
  if (facts.refused) return 'refused';
  if (isFailing(facts) || claimsFuture(facts)) return 'failing';
  if (facts.holes > 0) return 'incomplete';
  if (Math.max(facts.lagSeconds, facts.gapSeconds) > behindAfterSeconds(pauses)) return 'behind';
  const { sinceLastEventSeconds } = facts;
  return sinceLastEventSeconds === null || sinceLastEventSeconds > QUIET_AFTER_SECONDS ? 'quiet' : 'fresh';
};

/** A window or two that could not be read to a credible end (an entry came between two answers) is the ordinary course. */
export const HALVINGS_UNTIL_FAILING = 3;

const isFailing = ({ failures, lastFailure }: SourceFacts): boolean =>
  failures > 0 && (lastFailure !== null || failures >= HALVINGS_UNTIL_FAILING);

/** Cloudflare will soon delete what is not collected: then it is lost permanently. */
export const nearsLoss = ({ retentionSlackSeconds }: { readonly retentionSlackSeconds: number }): boolean =>
  retentionSlackSeconds * 1_000 < RETENTION_NEAR_MS;

/** Null: it has not rested for a failure yet, its windows are being halved. */
export interface LaneTrouble {
  readonly lane: string;
  readonly failures: number;
  readonly lastFailure: string | null;
  readonly lastError: string | null;
}

/** `backfill fails: …`; says nothing about other lanes. */
export const laneTroubleText = ({ lane, lastFailure, lastError }: LaneTrouble): string =>
  `${lane} fails: ${lastError ?? lastFailure ?? 'its windows cannot be read, and are being halved'}`;

/** Listings that name fewer than they count, or not answered for every credential: what they leave out is not missed. */
export interface ShortListings {
  readonly of: 'organizations' | 'accounts';
  readonly listings: number;
  /** RFC 3339. */
  readonly since: string;
  readonly reason: string;
}

export interface ListingFacts {
  readonly shortListings: readonly ShortListings[];
  /** Why no credential may list accounts, if they are to be read. */
  readonly accountsRefused?: string;
}

/** How long it has been gone or left out of listings; null: not known. */
export interface GoneFacts {
  readonly goneSeconds: number | null;
}

export const VANISHED_SECONDS = 86_400;

/** Those that went within a day, which need attention; all of them if nothing is left to pull. */
export const vanishedOf = <T extends GoneFacts>(gone: readonly T[], sources: number): readonly T[] =>
  sources === 0 ? gone : gone.filter(({ goneSeconds }) => goneSeconds !== null && goneSeconds <= VANISHED_SECONDS);

/** Discovery runs at every tick that the budget allows; this many ticks, or minutes, without success are too many. */
export const discoveryTooOldSeconds = (tickMs: number): number => Math.max(300, (10 * tickMs) / 1_000);

export const collectionRulesOf = (
  config: Pick<CollectionRules, 'organizationIds'> & Parameters<typeof pausesOf>[0],
): CollectionRules => ({
  organizationIds: config.organizationIds,
  behindAfterSeconds: (organizations) => behindAfterSeconds(pausesOf(config, organizations)),
});

/** The one word on every surface for `gap_seconds`: all wanted time that is not collected, delay and holes included. */
export const NOT_COLLECTED = 'Not collected';
/** `lag_seconds`: from the end of what is collected to now. */
export const DELAY = 'Delay';

interface Uncollected {
  readonly gapSeconds: number;
  readonly lagSeconds: number;
}

/** `45s`; whole seconds, since the next turn collects what is less. */
export const collectionSpan = (seconds: number): string => (seconds < 1 ? '0s' : formatDuration(seconds * 1_000));

export const notCollectedSentence = ({ gapSeconds, lagSeconds }: Uncollected): string => {
  const all = `${NOT_COLLECTED}: ${collectionSpan(gapSeconds)}`;
  if (gapSeconds < 1) return `${all}.`;
  if (gapSeconds - lagSeconds < 1) return `${all}, the newest.`;
  return lagSeconds < 1 ? `${all}, of earlier time.` : `${all}, ${collectionSpan(lagSeconds)} of it the newest.`;
};
