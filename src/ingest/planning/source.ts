import type { Page } from '../entries/page.ts';
import type { Coverage, Range } from './coverage.ts';
import type { Hole, LaneState } from './lane.ts';
import type { SourceProgress } from './planner.ts';
import type { Direction, Filter, Lane, Walk, WalkAnswers } from './walk.ts';

/** The kind of thing that a log belongs to, and its id. All data is keyed by both. */
export interface SourceKey {
  readonly kind: string;
  readonly id: string;
}

export const keyOf = (source: SourceKey): string => `${source.kind}/${source.id}`;

export interface KindPolicy {
  readonly kind: string;
  readonly filters: readonly Filter[];
  readonly filterHash: string;
  readonly horizonMs: (nowMs: number) => number;
  /** Nothing before this is read a second time: retention may have dropped it. Undefined: that is the horizon. */
  readonly keptSinceMs?: ((nowMs: number) => number) | undefined;
}

export interface SourceState extends SourceKey, SourceProgress {
  /** Null for an account of none that is known. */
  readonly organizationId: string | null;
  readonly refused: boolean;
  readonly restMs: Partial<Readonly<Record<Lane, number>>>;
  readonly heldElsewhere: boolean;
  /** Undefined if its live tail has never been read. */
  readonly eventRate: EventRate | undefined;
}

/** The right to commit for a source: who holds the lease, its epoch, and the number of commits seen so far. */
export interface Lease extends SourceKey {
  /** As of the claim: entries are stored under it. */
  readonly organizationId: string | null;
  readonly owner: string;
  readonly epoch: number;
  /** A commit that expects another value does nothing. */
  readonly commitSeq: number;
}

export interface PageCommit {
  readonly lease: Lease;
  /** `emptyPage` if the walk changes without one. */
  readonly page: Page;
  readonly filterHash: string;
  readonly lane: Lane;
  readonly state: LaneState | undefined;
  readonly claims: readonly Coverage[];
  /** Undefined if the page says nothing of how often events happen. */
  readonly eventRate: EventRate | undefined;
  /** Undefined: the size of this page. */
  readonly largestPage?: number;
  readonly holes?: readonly Hole[];
  /** Undefined if no walk ends with it, or its end is no proof. */
  readonly reading?: Reading | undefined;
  readonly reads?: ClaimedReads | undefined;
  /** The lease is given back by the same statement, unless it is fenced or fails. */
  readonly endsTurn?: boolean;
}

/** A row of `coverage_readings`. */
export interface Reading {
  readonly range: Range;
  readonly method: 'first reading' | 'pass' | 'scrub';
  /** The pass or the round; 0 for the first reading. */
  readonly number: number;
  readonly direction: Direction;
  /** How long after the first reading a second one counts. */
  readonly againAfterMs: number;
}

/** A row of `evidence_reads`, if there is evidence. */
export interface ClaimedReads {
  readonly window: Range;
  readonly pages: number;
  readonly entries: number;
  readonly answers: WalkAnswers;
}

/** What a commit did; `fenced`: nothing, since another process holds the lease. */
export type CommitResult =
  | { readonly kind: 'fenced' }
  | ({ readonly kind: 'committed'; readonly lease: Lease } & PageCounts);

export interface PageCounts {
  readonly stored: number;
  readonly duplicates: number;
  /** Entries whose id was known with other content, seen for the first time. */
  readonly changed: number;
  readonly defective: number;
  /** For the live lane: first seen minus action time of each entry stored, in seconds. */
  readonly latenessSeconds: readonly number[];
  /** Entries that were stored in time that had been read before. */
  readonly covered: readonly CoveredEntries[];
}

export interface LaneFailure {
  readonly filterHash: string;
  readonly lane: Lane;
  readonly state: LaneState;
  readonly failure: string;
  readonly message: string;
  readonly backoffMs: number;
}

/** An organization as discovery found it; what the API did not send is undefined. */
export interface FoundOrganization {
  readonly id: string;
  readonly name?: string | undefined;
  readonly parentId?: string | undefined;
  readonly managedBy?: string | undefined;
  readonly createTime?: string | undefined;
  readonly meta?: unknown;
  readonly profile?: unknown;
}

export interface FoundAccount {
  readonly id: string;
  readonly name?: string | undefined;
  readonly type?: string | undefined;
  readonly createTime?: string | undefined;
  readonly settings?: unknown;
  readonly organizationId?: string | undefined;
}

type Change = 'appeared' | 'gone' | 'refused' | 'restored' | 'renamed' | 'moved' | 'left';

export interface OrganizationChange {
  readonly organizationId: string;
  readonly change: Change;
}

export interface AccountChange {
  readonly accountId: string;
  readonly change: Change;
}

/** Entries in time that pass `pass`, and no later one, had read before. */
export interface CoveredEntries {
  readonly pass: number;
  readonly entries: number;
}

/** Entries that could not be seen yet when their time was read, by what found them in the end. */
export interface LateEntries {
  /** By the number of a settle pass, or by the lane that looked back over time that had been read. */
  readonly foundBy: Readonly<Record<string, number>>;
  /** Of these, found by the last pass: what comes a little later will be missed. */
  readonly byLastPass: number;
  /** Entries in time that the last pass had read: no pass would ever have found them. */
  readonly beyondLastPass: number;
}

/**
 * Sorts the late entries of a commit. `lastPass` is the number of settle passes; 0 if there is the first reading alone. What the scrub lane
 * finds is not among them: whether it was late or has been missed cannot be told, and it is counted by itself.
 */
export const sortLateEntries = (covered: readonly CoveredEntries[], lane: Lane, lastPass: number): LateEntries => {
  const foundBy: Record<string, number> = {};
  let byLastPass = 0;
  let beyondLastPass = 0;
  if (lane === 'scrub') return { foundBy, byLastPass, beyondLastPass };
  for (const { pass, entries } of covered) {
    if (pass >= lastPass) {
      beyondLastPass += entries;
      continue;
    }
    const finder = lane === 'settle' ? String(pass + 1) : lane;
    foundBy[finder] = (foundBy[finder] ?? 0) + entries;
    if (lane === 'settle' && pass + 1 === lastPass) byLastPass += entries;
  }
  return { foundBy, byLastPass, beyondLastPass };
};

/** What the scrub lane has found missing in time that had been read, and the last pass that had read it. */
export interface ScrubFind {
  readonly entries: number;
  readonly pass: number;
}

/** Undefined if there is nothing, or another lane has found it. */
export const foundByScrub = (covered: readonly CoveredEntries[], lane: Lane): ScrubFind | undefined => {
  const entries = covered.reduce((sum, each) => sum + each.entries, 0);
  if (lane !== 'scrub' || entries === 0) return undefined;
  return { entries, pass: Math.max(...covered.map(({ pass }) => pass)) };
};

/** How often events happen, over days and lately. Kept in `sources`, so that it survives a restart and is the same for
 * all replicas. */
export interface EventRate {
  readonly perHour: number;
  readonly recentPerHour: number;
}

export interface Observation {
  readonly events: number;
  readonly spanMs: number;
}

const HOUR_MS = 3_600_000;
/** What was seen so long ago weighs 1/e. */
const MEMORY_MS = 72 * HOUR_MS;
const RECENT_MEMORY_MS = HOUR_MS;
/** Before anything is known: as if one event had been seen a day, for six hours. The first look at a day outweighs it. */
const PRIOR_PER_HOUR = 1 / 24;
const PRIOR_MS = 6 * HOUR_MS;
/** Silence is never certain. */
const LEAST_PER_HOUR = 1 / (30 * 24);
/** Chance rarely moves a rate further than this. */
const STANDARD_DEVIATIONS = 2;

export const observed = (rate: EventRate | undefined, seen: Observation): EventRate => {
  const { events, spanMs } = seen;
  const known = rate ?? {
    perHour: (events * HOUR_MS + PRIOR_PER_HOUR * PRIOR_MS) / (spanMs + PRIOR_MS),
    recentPerHour: 0,
  };
  return {
    perHour: rate === undefined ? known.perHour : moved(known.perHour, seen, MEMORY_MS),
    recentPerHour: moved(known.recentPerHour, seen, RECENT_MEMORY_MS),
  };
};

const moved = (perHour: number, { events, spanMs }: Observation, memoryMs: number): number => {
  const kept = Math.exp(-spanMs / memoryMs);
  const weight = spanMs > 0 ? (1 - kept) / spanMs : 1 / memoryMs;
  return perHour * kept + events * HOUR_MS * weight;
};

export const observationOf = ({ claim, claimEntries }: Pick<Walk, 'claim' | 'claimEntries'>): Observation => ({
  events: claimEntries,
  spanMs: claim.toMs - claim.fromMs,
});

/** No more of a history counts: what was so long ago says little about tomorrow. */
const MAX_HISTORY_MS = 7 * 24 * HOUR_MS;

/** The average of a history's first window, for a week at most. */
export const historyObservationOf = (walk: Pick<Walk, 'claim' | 'claimEntries'>): Observation => {
  const { events, spanMs } = observationOf(walk);
  const countedMs = Math.min(spanMs, MAX_HISTORY_MS);
  return { events: (events * countedMs) / Math.max(1, spanMs), spanMs: countedMs };
};

/** Events an hour to be expected: of the long run, as far as sources differ by more than chance; and of late what is
 * beyond chance, a burst or a sleeper that wakes. */
export const expectedPerHour = (rates: readonly (EventRate | undefined)[]): Float64Array => {
  const { mean, hoursOfMean } = likeness(rates);
  const hours = (2 * MEMORY_MS) / HOUR_MS;
  const recentHours = (2 * RECENT_MEMORY_MS) / HOUR_MS;
  const expected = new Float64Array(rates.length).fill(mean);
  rates.forEach((rate, n) => {
    if (rate === undefined) return;
    const perHour = Math.max(LEAST_PER_HOUR, blend(rate.perHour, hours, mean, hoursOfMean));
    const chance = STANDARD_DEVIATIONS * Math.sqrt(perHour / recentHours);
    expected[n] = perHour + Math.max(0, rate.recentPerHour - perHour - chance);
  });
  return expected;
};

const blend = (a: number, aWeight: number, b: number, bWeight: number): number =>
  bWeight === Number.POSITIVE_INFINITY ? b : (a * aWeight + b * bWeight) / (aWeight + bWeight);

/** The mean, and for how many hours of looking it counts (a gamma prior, by its moments). */
const likeness = (rates: readonly (EventRate | undefined)[]): { mean: number; hoursOfMean: number } => {
  let known = 0;
  let sum = 0;
  let squares = 0;
  for (const rate of rates) {
    if (rate === undefined) continue;
    known += 1;
    sum += rate.perHour;
    squares += rate.perHour ** 2;
  }
  if (known === 0) return { mean: PRIOR_PER_HOUR, hoursOfMean: 0 };
  const mean = Math.max(LEAST_PER_HOUR, sum / known);
  const chance = (mean * HOUR_MS) / (2 * MEMORY_MS);
  const beyondChance = squares / known - (sum / known) ** 2 - chance;
  return { mean, hoursOfMean: beyondChance > 0 ? mean / beyondChance : Number.POSITIVE_INFINITY };
};
