import { seededRandom } from '../../test/support/process/seeded-random.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A burst is an hour of so many times the rate. */
const BURST_FACTOR = 100;

/** How active the organizations of a world are. */
export interface Activity {
  readonly organizations: number;
  readonly days: number;
  /** Events per organization and day, on average, bursts not counted. */
  readonly eventsPerDay: number;
  /** The k-th busiest has 1/k^exponent of the busiest one's rate; 0: all are alike. */
  readonly zipfExponent: number;
  /** Instead, the busiest has so many times the rate of the most silent, and their logarithms are evenly spread. */
  readonly span?: number;
  /** Of the rate, how much follows the hours of the day: 0 none, 1 all. */
  readonly rhythm: number;
  /** Per organization. */
  readonly burstsPerDay: number;
  /** The share that is silent until it wakes at some moment of the run, and the share that is not listed before that. */
  readonly sleepers: number;
  readonly newcomers: number;
  /** So much is there when the first request is sent; 0 if it is left out. */
  readonly historyDays?: number;
  /** So many more sources, spread alike, that have hardly any events: the logs of organizations beside those of accounts. */
  readonly quiet?: { readonly sources: number; readonly eventsPerDay: number };
}

export interface Arrivals {
  /** The first request is sent then. */
  readonly startMs: number;
  readonly endMs: number;
  /** By organization: when its events happen, ascending, in milliseconds from the start. */
  readonly times: readonly Float64Array[];
  /** From when on each is listed. */
  readonly appearsMs: readonly number[];
}

/** The events of a world, the same for the same seed: Poisson, by a rate that changes. */
export const drawArrivals = (activity: Activity, seed: number): Arrivals => {
  const random = seededRandom(seed);
  const { organizations, days, sleepers, newcomers, quiet } = activity;
  const startMs = (activity.historyDays ?? 0) * DAY_MS;
  const endMs = startMs + days * DAY_MS;
  const rates = [
    ...ratesOf(organizations, activity.eventsPerDay, activity.zipfExponent, activity.span),
    ...ratesOf(quiet?.sources ?? 0, quiet?.eventsPerDay ?? 0, activity.zipfExponent),
  ];
  const times: Float64Array[] = [];
  const appearsMs: number[] = [];
  for (const perMs of rates) {
    const kind = random();
    const wakesMs = kind < sleepers + newcomers ? startMs + (0.2 + 0.7 * random()) * days * DAY_MS : 0;
    appearsMs.push(kind < newcomers ? wakesMs : 0);
    times.push(drawTimes(activity, perMs, { fromMs: wakesMs, toMs: endMs }, random));
  }
  return { startMs, endMs, times, appearsMs };
};

/** Events per millisecond of each of so many, the busiest first. */
const ratesOf = (sources: number, eventsPerDay: number, zipfExponent: number, span?: number): number[] => {
  const shares = Array.from({ length: sources }, (_, rank) =>
    span === undefined ? (rank + 1) ** -zipfExponent : span ** (-rank / (sources - 1)),
  );
  const whole = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => ((share / whole) * sources * eventsPerDay) / DAY_MS);
};

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

const drawTimes = (activity: Activity, perMs: number, awake: Span, random: () => number): Float64Array => {
  // Three regions of the world, by their noon.
  const noonMs = (Math.floor(random() * 3) * DAY_MS) / 3 + random() * 2 * HOUR_MS;
  const highest = 1 + activity.rhythm;
  const byDay = poisson(perMs * highest, awake, random).filter(
    (t) => random() * highest < 1 + activity.rhythm * Math.cos((2 * Math.PI * (t - noonMs)) / DAY_MS),
  );
  const bursts = poisson(activity.burstsPerDay / DAY_MS, awake, random).flatMap((fromMs) =>
    poisson(perMs * BURST_FACTOR, { fromMs, toMs: Math.min(awake.toMs, fromMs + HOUR_MS) }, random),
  );
  return Float64Array.from([...byDay, ...bursts]).sort();
};

const poisson = (perMs: number, { fromMs, toMs }: Span, random: () => number): number[] => {
  const times: number[] = [];
  if (perMs === 0) return times;
  for (let t = fromMs; ; times.push(t)) {
    t -= Math.log(1 - random()) / perMs;
    if (t >= toMs) return times;
  }
};
