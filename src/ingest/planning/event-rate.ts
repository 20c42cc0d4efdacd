import type { Walk } from './walk.ts';

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
