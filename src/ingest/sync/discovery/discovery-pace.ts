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
export interface DiscoveryPace {
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
