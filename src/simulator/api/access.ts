import type { Account } from '../accounts/account-registry.ts';
import { hasLateAccess, hasLostAccess, organizationIdOf } from '../faults/account-faults.ts';
import type { Organization } from '../organizations/organization-registry.ts';
import type { World } from '../world/world.ts';
import type { ApiCall } from './api-call.ts';
import type { Caller, Reach } from './credentials.ts';
import { errorReply, type Reply, refusal } from './reply.ts';

export interface AccessOptions {
  /** True: getting an organization, its profile and its accounts takes e-mail address and key, as OpenAPI says. */
  readonly keysOnly: boolean;
}

const ofOrganizations: readonly string[] = ['organizations', 'organization', 'profile', 'organization_accounts'];
const byKeyOnly: readonly string[] = ['organization', 'profile', 'organization_accounts'];

/** Who may do what: by the kind of the credential, and by what it reaches. */
export class Access {
  readonly #world: World;
  readonly #options: AccessOptions;

  constructor(world: World, options: AccessOptions) {
    this.#world = world;
    this.#options = options;
  }

  /** What a call is answered with that is not permitted; undefined when it is. */
  refusal(call: ApiCall): Reply | undefined {
    const { operation, source, caller } = call;
    if (caller.kind === 'account' && (ofOrganizations.includes(operation) || source?.kind === 'organization')) {
      return refusal(403);
    }
    if (caller.kind === 'account' && operation === 'user') return refusal(401);
    if (operation === 'user' && !caller.mayReadUser) return notOfTheCaller();
    if (this.#options.keysOnly && !caller.hasKey && byKeyOnly.includes(operation)) return refusal(403);
    if (source === undefined) return undefined;
    if (source.kind === 'organization') {
      const organization = this.#world.organizations.get(source.id);
      return organization === undefined || this.seesOrganization(caller, organization) ? undefined : refusal(403);
    }
    const account = this.#world.accounts.get(source.id);
    if (account !== undefined && this.seesAccount(caller, account) && !hasLateAccess(this.#world.faults, account)) {
      return undefined;
    }
    return operation === 'account' ? notOfTheCaller() : refusal(403);
  }

  seesOrganization({ kind, reach }: Caller, { id, seq }: Organization): boolean {
    return kind === 'user' && contains(reach.organizations, id, seq);
  }

  /** Whether the caller reaches the account: by itself, or through its organization. */
  seesAccount(caller: Caller, account: Account): boolean {
    const { faults, organizations } = this.#world;
    if (hasLostAccess(faults, account, caller)) return false;
    const { reach } = caller;
    if (reach.accounts !== undefined || reach.organizations === undefined) {
      return contains(reach.accounts, account.id, account.seq);
    }
    const organization = organizations.get(organizationIdOf(faults, account, organizations) ?? '');
    return organization !== undefined && this.seesOrganization(caller, organization);
  }
}

function notOfTheCaller(): Reply {
  return errorReply(403, 9109, 'Unauthorized to access requested resource');
}

function contains(list: Reach['accounts'], id: string, seq: number): boolean {
  return list === undefined || list.some((one) => one === (typeof one === 'number' ? seq : id));
}
