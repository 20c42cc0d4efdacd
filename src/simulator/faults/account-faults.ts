import type { Account } from '../accounts/account-registry.ts';
import type { Caller } from '../api/credentials.ts';
import { type Reply, refusal } from '../api/reply.ts';
import type { OrganizationRegistry } from '../organizations/organization-registry.ts';
import { draw } from '../world/random.ts';
import type { FaultPlan, Occasion } from './fault-plan.ts';

// What holds of an account for as long as its fault is on: a share of the accounts is always the same ones.
function occasionOf({ id, seq }: Account): Occasion {
  return { number: seq, source: { kind: 'account', id } };
}

/** What a listing of accounts is answered with, whatever page is asked for; undefined when no fault stands in its place. */
export function accountListingInterruption(faults: FaultPlan, occasion: Occasion): Reply | undefined {
  return faults.fires('account_listing_403', occasion) === undefined
    ? undefined
    : { ...refusal(403), fault: 'account_listing_403' };
}

/** True: a listing of accounts shows the caller none. */
export function isListingEmpty(faults: FaultPlan, occasion: Occasion, caller: Caller): boolean {
  return faults.meets('empty_account_listing', occasion, ({ credential }) => isMeant(credential, caller)) !== undefined;
}

/** True: the audit log of the account answers 403. */
export function isAccountRefused(faults: FaultPlan, account: Account): boolean {
  return faults.meets('account_refused', occasionOf(account)) !== undefined;
}

/** True: access to the account has not arrived yet. */
export function hasLateAccess(faults: FaultPlan, account: Account): boolean {
  return faults.meets('late_access', occasionOf(account)) !== undefined;
}

/** True: the caller no longer reaches the account. */
export function hasLostAccess(faults: FaultPlan, account: Account, caller: Caller): boolean {
  return (
    faults.meets('lost_access', occasionOf(account), ({ credential }) => isMeant(credential, caller)) !== undefined
  );
}

function isMeant(credential: string | undefined, { owner, email, fingerprint }: Caller): boolean {
  return credential === undefined || [owner, email, fingerprint].includes(credential);
}

/** The organization that an account is in: its own, or the next one in the listing while the account is moved. */
export function organizationIdOf(
  faults: FaultPlan,
  account: Account,
  organizations: OrganizationRegistry,
): string | undefined {
  const { organizationId } = account;
  if (organizationId === undefined || !faults.isOn('account_moved')) return organizationId;
  if (faults.meets('account_moved', occasionOf(account)) === undefined) return organizationId;
  const ids = organizations.all().map(({ id }) => id);
  return ids[(ids.indexOf(organizationId) + 1) % ids.length];
}

/** The name that `GET /accounts` and `GET /accounts/{id}` show. */
export function shownName(faults: FaultPlan, account: Account): string {
  return faults.meets('old_account_name', occasionOf(account)) === undefined ? account.name : account.formerName;
}

/** The page without the accounts that are missing from it, each by itself and again each time. */
export function withoutMissing(faults: FaultPlan, page: readonly Account[], occasion: Occasion): readonly Account[] {
  if (!faults.isOn('missing_account')) return page;
  return page.filter(({ id, seq }) => {
    const source = { kind: 'account', id } as const;
    return faults.fires('missing_account', { ...occasion, source, number: draw(occasion.number, seq) }) === undefined;
  });
}

/** By how many accounts a later page of `GET /accounts` is shifted. */
export function pageShift(faults: FaultPlan, occasion: Occasion): number {
  return faults.meets('shifted_account_page', occasion)?.by ?? 0;
}
