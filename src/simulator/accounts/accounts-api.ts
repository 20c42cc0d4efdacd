import type { Access } from '../api/access.ts';
import type { ApiCall } from '../api/api-call.ts';
import { BadRequest, errorReply, type Reply, successReply } from '../api/reply.ts';
import { accountListingInterruption, isListingEmpty, organizationIdOf } from '../faults/account-faults.ts';
import type { World } from '../world/world.ts';
import { listAccounts, listOrganizationAccounts, viewOf } from './account-listing.ts';
import type { Account } from './account-registry.ts';
import { productCategories } from './product-categories.ts';

export interface AccountsApiOptions {
  /** False: `GET /accounts` shows no account that its users reach through its organization alone. */
  readonly listsImplicitAccounts: boolean;
}

/** What can be asked about accounts, users and tokens. Everything is read-only: accounts change through the control API. */
export class AccountsApi {
  readonly #world: World;
  readonly #access: Access;
  readonly #options: AccountsApiOptions;

  constructor(world: World, access: Access, options: AccountsApiOptions) {
    this.#world = world;
    this.#access = access;
    this.#options = options;
  }

  /** Answers one permitted call. Never throws on what a client sends. */
  handle(call: ApiCall): Reply {
    if (call.method !== 'GET') return errorReply(405, 10405, 'Method not allowed');
    try {
      return this.#answer(call);
    } catch (error) {
      if (error instanceof BadRequest) return errorReply(400, 1001, error.message);
      throw error;
    }
  }

  #answer(call: ApiCall): Reply {
    switch (call.operation) {
      case 'accounts':
        return this.#listing(call);
      case 'organization_accounts':
        return this.#ofOrganization(call);
      case 'product_categories':
        return successReply(productCategories);
      case 'user':
        return userReply(call);
      case 'verify':
        return verifyReply(call);
      default: {
        const account = this.#world.accounts.get(call.source?.id ?? '');
        return account === undefined
          ? errorReply(404, 1002, 'Account not found')
          : successReply(viewOf(this.#world, account));
      }
    }
  }

  #listing(call: ApiCall): Reply {
    const { caller, occasion } = call;
    const shows = ({ isImplicit }: Account): boolean =>
      !isImplicit || this.#options.listsImplicitAccounts || caller.kind === 'account';
    const reached = this.#world.accounts
      .all()
      .filter((account) => shows(account) && this.#access.seesAccount(caller, account));
    const { faults } = this.#world;
    const interruption = accountListingInterruption(faults, occasion);
    return interruption ?? listAccounts(this.#world, call, isListingEmpty(faults, occasion, caller) ? [] : reached);
  }

  #ofOrganization(call: ApiCall): Reply {
    const { accounts, organizations, faults } = this.#world;
    const id = call.source?.id ?? '';
    if (organizations.get(id) === undefined) return errorReply(404, 1002, 'Organization not found');
    const inside = accounts
      .all()
      .filter((account) => organizationIdOf(faults, account, organizations) === id)
      .filter((account) => this.#access.seesAccount(call.caller, account));
    const shown = isListingEmpty(faults, call.occasion, call.caller) ? [] : inside;
    return accountListingInterruption(faults, call.occasion) ?? listOrganizationAccounts(this.#world, call, shown);
  }
}

function userReply({ caller }: ApiCall): Reply {
  const { id, email } = caller;
  return successReply({
    id,
    email,
    first_name: null,
    last_name: null,
    telephone: null,
    country: null,
    zipcode: null,
    two_factor_authentication_enabled: true,
    two_factor_authentication_locked: false,
    suspended: false,
    has_pro_zones: false,
    has_business_zones: false,
    has_enterprise_zones: true,
    betas: [],
    organizations: [],
  });
}

// A user's token at `/user`, an account's at its account: anywhere else it is none.
function verifyReply({ caller, source }: ApiCall): Reply {
  const isRight = !caller.hasKey && (source === undefined ? caller.kind === 'user' : caller.kind === 'account');
  if (!isRight) return errorReply(401, 1000, 'Invalid API Token');
  const message = { code: 10000, message: 'This API Token is valid and active', type: null };
  return successReply({ id: caller.tokenId, status: 'active' }, undefined, [message]);
}
