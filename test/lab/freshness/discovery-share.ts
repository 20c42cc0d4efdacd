import { discoveryPace } from '../../../src/ingest/sync/discovery/discovery-pace.ts';

const WINDOW_MS = 300_000;
const TICK_MS = 30_000;
const DAY_MS = 86_400_000;

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
