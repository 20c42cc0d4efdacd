import { draw } from '../entries/entry-text.ts';
import type { FaultPlan, Occasion } from '../faults/fault-plan.ts';
import type { Account } from '../world/accounts.ts';
import type { Organization, OrganizationRegistry } from '../world/organizations.ts';
import type { World } from '../world/world.ts';
import type { ApiCall, Caller, Reach } from './credentials.ts';
import { errorReply, type Reply, refusal } from './reply.ts';

const ofOrganizations: readonly string[] = ['organizations', 'organization', 'profile', 'organization_accounts'];
const byKeyOnly: readonly string[] = ['organization', 'profile', 'organization_accounts'];
export type Access = ReturnType<typeof createAccess>;

/** `keysOnly`, as in OpenAPI: an organization, its profile and its accounts take e-mail address and key. */
export const createAccess = (world: World, keysOnly: boolean) => {
  const { faults, organizations, accounts } = world;
  const seesOrganization = ({ kind, reach }: Caller, { id, seq }: Organization): boolean =>
    kind === 'user' && contains(reach.organizations, id, seq);
  const seesAccount = (caller: Caller, account: Account): boolean => {
    if (hasLostAccess(faults, account, caller)) return false;
    const { reach } = caller;
    if (reach.accounts !== undefined || reach.organizations === undefined) {
      return contains(reach.accounts, account.id, account.seq);
    }
    const organization = organizations.get(organizationIdOf(faults, account, organizations) ?? '');
    return organization !== undefined && seesOrganization(caller, organization);
  };
  const refusalOf = ({ operation, source, caller }: ApiCall): Reply | undefined => {
    if (caller.kind === 'account' && (ofOrganizations.includes(operation) || source?.kind === 'organization')) {
      return refusal(403);
    }
    if (caller.kind === 'account' && operation === 'user') return refusal(401);
    if (operation === 'user' && !caller.mayReadUser) return notOfTheCaller();
    if (keysOnly && !caller.hasKey && byKeyOnly.includes(operation)) return refusal(403);
    if (source === undefined) return undefined;
    if (source.kind === 'organization') {
      const organization = organizations.get(source.id);
      return organization === undefined || seesOrganization(caller, organization) ? undefined : refusal(403);
    }
    const account = accounts.get(source.id);
    if (account !== undefined && seesAccount(caller, account) && !hasLateAccess(faults, account)) return undefined;
    return operation === 'account' ? notOfTheCaller() : refusal(403);
  };
  return { refusalOf, seesOrganization, seesAccount };
};

const notOfTheCaller = (): Reply => errorReply(403, 9109, 'Unauthorized to access requested resource');

const contains = (list: Reach['accounts'], id: string, seq: number): boolean =>
  list === undefined || list.some((one) => one === (typeof one === 'number' ? seq : id));

// A share of the accounts is always the same ones, for as long as the fault is on.
const occasionOf = ({ id, seq }: Account): Occasion => ({ number: seq, source: { kind: 'account', id } });

/** For any page of a listing of accounts; undefined without the fault. */
export const accountListingInterruption = (faults: FaultPlan, occasion: Occasion): Reply | undefined =>
  faults.fires('account_listing_403', occasion) === undefined
    ? undefined
    : { ...refusal(403), fault: 'account_listing_403' };

export const isListingEmpty = (faults: FaultPlan, occasion: Occasion, caller: Caller): boolean =>
  faults.meets('empty_account_listing', occasion, ({ credential }) => isMeant(credential, caller)) !== undefined;

export const isAccountRefused = (faults: FaultPlan, account: Account): boolean =>
  faults.meets('account_refused', occasionOf(account)) !== undefined;

const hasLateAccess = (faults: FaultPlan, account: Account): boolean =>
  faults.meets('late_access', occasionOf(account)) !== undefined;

const hasLostAccess = (faults: FaultPlan, account: Account, caller: Caller): boolean =>
  faults.meets('lost_access', occasionOf(account), ({ credential }) => isMeant(credential, caller)) !== undefined;

const isMeant = (credential: string | undefined, { owner, email, fingerprint }: Caller): boolean =>
  credential === undefined || [owner, email, fingerprint].includes(credential);

/** Its own, or the next one in the listing while the account is moved. */
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

/** As in `GET /accounts` and `GET /accounts/{id}`. */
export const shownName = (faults: FaultPlan, account: Account): string =>
  faults.meets('old_account_name', occasionOf(account)) === undefined ? account.name : account.formerName;

/** Decided for each account by itself, and again for each listing. */
export function withoutMissing(faults: FaultPlan, page: readonly Account[], occasion: Occasion): readonly Account[] {
  if (!faults.isOn('missing_account')) return page;
  return page.filter(({ id, seq }) => {
    const source = { kind: 'account', id } as const;
    return faults.fires('missing_account', { ...occasion, source, number: draw(occasion.number, seq) }) === undefined;
  });
}
