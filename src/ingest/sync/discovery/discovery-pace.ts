const BUDGET_WINDOW_MS = 300_000;
const DAY_MS = 86_400_000;
/** Of the budget: 5 % together with 5,000 organizations, whose accounts are each listed once a day. */
const ORGANIZATIONS_SHARE = 0.012;
const ACCOUNTS_SHARE = 0.008;
const ACCOUNTS_OF_ORGANIZATIONS_SHARE = 0.015;
const DETAILS_SHARE = 0.0105;
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
  /** After so many requests for details of single organizations; 0 if all of them, once a day, take little. */
  detailsMs(requests: number, organizations: number): number;
}

/** `requestsPerWindow`: the smallest budget of a credential, in requests per 5 minutes. Pure. */
export const discoveryPace = (requestsPerWindow: number): DiscoveryPace => {
  const spacingMs = (share: number): number => BUDGET_WINDOW_MS / (requestsPerWindow * share);
  return {
    organizationsMs: (requests) => Math.min(LONGEST_ORGANIZATIONS_MS, requests * spacingMs(ORGANIZATIONS_SHARE)),
    accountsMs: (requests) => Math.min(LONGEST_ACCOUNTS_MS, requests * spacingMs(ACCOUNTS_SHARE)),
    accountsOfMs: (requests, organizations) =>
      Math.min(LONGEST_ACCOUNTS_MS, requests * organizations * spacingMs(ACCOUNTS_OF_ORGANIZATIONS_SHARE)),
    detailsMs: (requests, organizations) => {
      const eachMs = spacingMs(DETAILS_SHARE);
      return DETAILS * organizations * eachMs <= DAY_MS ? 0 : requests * eachMs;
    },
  };
};
