import type { Activity } from './arrivals.ts';

/** In turns of asking all equally often, as src/ingest/planning/poll-interval.ts has them. */
const ORDINARY_LONGEST = 0.985;
const LONGEST = 1.9;
/** So many of all events may come later than the slowest hundredth of asking in turn does. */
const LATE_SHARE = 0.0099;
/** Where that hundredth begins, for events at any moment between two asks. */
const LATE_FROM = 0.99;
const STEEPNESSES = [0.5, 0.6, 0.7, 0.8];
const HALVINGS = 60;

/**
 * The median lag, as a share of round-robin's, if rates were constant and known to the last digit: the best of pauses that go as
 * 1/rate to some power, with p99 no worse than round-robin's and the bound kept. No rhythm, no bursts, none that wakes: the
 * planner may do better where it sees those, and does worse by what it does not know.
 */
export const limitOfConstantRates = ({ organizations, zipfExponent }: Activity, shortestTurns: number): number => {
  const weights = Array.from({ length: organizations }, (_, rank) => (rank + 1) ** -zipfExponent);
  const whole = weights.reduce((sum, weight) => sum + weight, 0);
  const shares = weights.map((weight) => weight / whole);
  const longest = longestPauses(shares);
  const medians = STEEPNESSES.map((steepness) => medianLag(shares, pauses(shares, longest, steepness, shortestTurns)));
  return Math.min(...medians) / 0.5;
};

/** The most silent ones pause for as long as the bound lets them, until as much is late as may be. */
const longestPauses = (descending: readonly number[]): readonly number[] => {
  let left = LATE_SHARE / (1 - LATE_FROM / LONGEST);
  let ordinary = descending.length;
  while (ordinary > 0 && left >= (descending[ordinary - 1] ?? 0)) {
    ordinary -= 1;
    left -= descending[ordinary] ?? 0;
  }
  return descending.map((_, rank) => (rank < ordinary ? ORDINARY_LONGEST : LONGEST));
};

/** In turns; all asks together take one for each organization and turn. */
const pauses = (
  shares: readonly number[],
  longest: readonly number[],
  steepness: number,
  shortest: number,
): readonly number[] => {
  const at = (scale: number) =>
    shares.map((share, n) => Math.min(longest[n] ?? 0, Math.max(shortest, scale * share ** -steepness)));
  const scale = halved(1e-9, 1e9, (middle) => at(middle).reduce((sum, pause) => sum + 1 / pause, 0) > shares.length);
  return at(scale);
};

/** The lag that half of all events stay below, in turns. */
const medianLag = (shares: readonly number[], pausesInTurns: readonly number[]): number =>
  halved(1e-6, 10, (lag) => {
    const sooner = shares.reduce((sum, share, n) => sum + share * Math.min(1, lag / (pausesInTurns[n] ?? 1)), 0);
    return sooner < 0.5;
  });

/** Where `isBelow` turns false, between two positive numbers. */
const halved = (from: number, to: number, isBelow: (middle: number) => boolean): number => {
  let [low, high] = [from, to];
  for (let halving = 0; halving < HALVINGS; halving += 1) {
    const middle = Math.sqrt(low * high);
    if (isBelow(middle)) low = middle;
    else high = middle;
  }
  return high;
};
