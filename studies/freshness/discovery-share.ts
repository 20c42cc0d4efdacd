import { discoveryPace } from '../../src/ingest/sync/ports.ts';

const WINDOW_MS = 300_000;
const TICK_MS = 30_000;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const LEAST_REST_MS = 900_000;
/** Asked for at once about single organizations, and listed before it is known that a credential lists all accounts. */
const DETAILS_AT_ONCE = 10;
const LISTINGS_AT_ONCE = 20;

export interface DiscoveryWorld {
  readonly organizations: number;
  readonly accounts: number;
  /** Requests per 5 minutes. */
  readonly budget: number;
}

/** The share of the budget that all listings and details of a world take in the long run. */
export const discoveryShare = ({ organizations, accounts, budget }: DiscoveryWorld): number => {
  const pace = discoveryPace(budget);
  const pages = (items: number, size: number) => Math.max(1, Math.ceil(items / size));
  const listing = pages(organizations, 1_000);
  const reached = pages(accounts, 50);
  // By ticks, as the daemon has it.
  const listedMs = Math.ceil(pace.organizationsMs(listing) / TICK_MS) * TICK_MS;
  // Each once a day, ten requests at a time.
  const details = Math.min((2 * organizations) / DAY_MS, 10 / pace.detailsMs(10, organizations));
  const perMs =
    listing / listedMs +
    reached / Math.max(900_000, pace.accountsMs(reached)) +
    organizations / Math.max(900_000, pace.accountsOfMs(1, organizations)) +
    details;
  return (perMs * WINDOW_MS) / budget;
};

/**
 * The largest share of the budget that all listings and details take in any hour of the first two days, once everything has been listed for the
 * first time: discovery by discovery, as the daemon has it.
 */
export const discoveryWorstHour = ({ organizations, accounts, budget }: DiscoveryWorld): number => {
  const pace = discoveryPace(budget);
  const listing = Math.max(1, Math.ceil(organizations / 1_000));
  const reached = Math.max(1, Math.ceil(accounts / 50));
  const everyMs = Math.max(1, Math.ceil(pace.organizationsMs(listing) / TICK_MS)) * TICK_MS;
  const atOnce = pace.accountsOfAtOnce(everyMs, organizations + 1);
  const restMs = Math.max(LEAST_REST_MS, pace.accountsOfMs(1, organizations + 1));
  const dueAtMs = Array.from({ length: organizations }, (_, n) => (n < LISTINGS_AT_ONCE ? restMs : 0));
  let [reachedAtMs, detailsAtMs, details, dayMs] = [pace.accountsMs(reached), 0, 2 * organizations, 0];
  const runs: { readonly atMs: number; readonly requests: number }[] = [];
  for (let atMs = everyMs; atMs < 2 * DAY_MS; atMs += everyMs) {
    let requests = listing;
    if (atMs >= reachedAtMs) {
      requests += reached;
      reachedAtMs = atMs + Math.max(LEAST_REST_MS, pace.accountsMs(reached));
    }
    const due = dueAtMs.flatMap((each, n) => (each <= atMs ? [n] : [])).slice(0, atOnce);
    for (const n of due) dueAtMs[n] = atMs + restMs;
    requests += due.length;
    if (atMs - dayMs >= DAY_MS) [details, dayMs] = [2 * organizations, atMs];
    if (atMs >= detailsAtMs) {
      const asked = Math.min(DETAILS_AT_ONCE, details);
      details -= asked;
      requests += asked;
      detailsAtMs = atMs + pace.detailsMs(DETAILS_AT_ONCE, organizations);
    }
    runs.push({ atMs, requests });
  }
  const ofHour = (fromMs: number): number =>
    runs.reduce((sum, { atMs, requests }) => sum + (atMs >= fromMs && atMs < fromMs + HOUR_MS ? requests : 0), 0);
  const largest = runs.reduce((most, { atMs }) => Math.max(most, ofHour(atMs)), 0);
  return (largest * WINDOW_MS) / (budget * HOUR_MS);
};
