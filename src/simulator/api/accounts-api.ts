import { type Account, accountView, organizationAccountView } from '../world/accounts.ts';
import type { World } from '../world/world.ts';
import {
  type Access,
  accountListingInterruption,
  isListingEmpty,
  organizationIdOf,
  pageShift,
  shownName,
  withoutMissing,
} from './access.ts';
import type { ApiCall } from './credentials.ts';
import { BadRequest, decodeToken, encodeToken, errorReply, type Reply, successReply } from './reply.ts';

interface AccountsApiOptions {
  /** False: `GET /accounts` hides accounts that users reach through their organization alone. */
  readonly listsImplicitAccounts: boolean;
}

/** Read-only: accounts change through the control API. */
export class AccountsApi {
  readonly #world: World;
  readonly #access: Access;
  readonly #options: AccountsApiOptions;

  constructor(world: World, access: Access, options: AccountsApiOptions) {
    this.#world = world;
    this.#access = access;
    this.#options = options;
  }

  /** Never throws on what a client sends. */
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

// Valid only for a user's token at `/user`, an account's at its account.
function verifyReply({ caller, source }: ApiCall): Reply {
  const isRight = !caller.hasKey && (source === undefined ? caller.kind === 'user' : caller.kind === 'account');
  if (!isRight) return errorReply(401, 1000, 'Invalid API Token');
  const message = { code: 10000, message: 'This API Token is valid and active', type: null };
  return successReply({ id: caller.tokenId, status: 'active' }, undefined, [message]);
}

function wholeIn(query: URLSearchParams, name: string, otherwise: number, least: number, most: number): number {
  const text = query.get(name);
  if (text === null) return otherwise;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new BadRequest(`${name} must be an integer between ${least} and ${most}`);
}

function directionIn(query: URLSearchParams): 'asc' | 'desc' {
  const text = query.get('direction') ?? 'asc';
  if (text !== 'asc' && text !== 'desc') throw new BadRequest('direction must be one of: asc, desc');
  return text;
}

/** Pages by number, in the order of creation. Throws BadRequest for Cloudflare's 400. */
function listAccounts(world: World, { query, occasion }: ApiCall, reached: readonly Account[]): Reply {
  const { faults } = world;
  const page = wholeIn(query, 'page', 1, 1, 999_999_999);
  const size = wholeIn(query, 'per_page', 20, 5, 50);
  const name = query.get('name')?.toLowerCase();
  const wanted = reached.filter((account) => name === undefined || shownName(faults, account).toLowerCase() === name);
  const all = directionIn(query) === 'asc' ? wanted : wanted.toReversed();
  const start = (page - 1) * size;
  const from = page === 1 ? 0 : Math.max(0, start + pageShift(faults, occasion));
  const slice = withoutMissing(faults, all.slice(from, from + size), occasion);
  const result = slice.map((account) => viewOf(world, account));
  return successReply(result, {
    page,
    per_page: size,
    total_pages: Math.ceil(all.length / size),
    count: result.length,
    total_count: all.length,
  });
}

function viewOf({ faults, organizations }: World, account: Account): Record<string, unknown> {
  const organizationId = organizationIdOf(faults, account, organizations);
  return accountView(account, shownName(faults, account), organizationId, organizations);
}

const nameFilters: Readonly<Record<string, (name: string, part: string) => boolean>> = {
  name: (name, whole) => name === whole,
  'name.startsWith': (name, part) => name.startsWith(part),
  'name.endsWith': (name, part) => name.endsWith(part),
  'name.contains': (name, part) => name.includes(part),
};

/** Pages by token, in the order of creation or by name. Throws BadRequest for Cloudflare's 400. */
function listOrganizationAccounts(
  { faults }: World,
  { query, occasion, source }: ApiCall,
  inside: readonly Account[],
): Reply {
  const size = wholeIn(query, 'page_size', 10, 0, 1000) || 10;
  const orderBy = query.get('order_by');
  if (orderBy !== null && orderBy !== 'account_name') throw new BadRequest('order_by must be account_name');
  const given = Object.keys(nameFilters).filter((name) => query.has(name));
  const wanted = inside.filter((account) =>
    given.every((name) => nameFilters[name]?.(account.name.toLowerCase(), query.get(name)?.toLowerCase() ?? '')),
  );
  const ordered = orderBy === null ? wanted : wanted.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const all = directionIn(query) === 'asc' ? ordered : ordered.toReversed();
  const binding = JSON.stringify([
    source?.id,
    orderBy,
    query.get('direction'),
    given.map((name) => [name, query.get(name)]),
  ]);
  const from = placeIn(query, binding);
  const slice = withoutMissing(faults, all.slice(from, from + size), occasion);
  const next = from + size < all.length ? { next_page_token: encodeToken({ f: binding, n: from + size }) } : {};
  return successReply(slice.map(organizationAccountView), { ...next, total_size: all.length });
}

function placeIn(query: URLSearchParams, binding: string): number {
  const token = query.get('page_token') || undefined;
  if (token === undefined) return 0;
  const content = decodeToken(token);
  if (typeof content?.['n'] !== 'number') throw new BadRequest('invalid page_token');
  if (content['f'] !== binding) throw new BadRequest('page_token does not belong to these filters');
  return content['n'];
}

interface ProductCategory {
  readonly label: string;
  readonly value: string;
  readonly products: readonly { readonly label: string; readonly value: string }[];
}

const category = (label: string, value: string, products: Readonly<Record<string, string>>): ProductCategory => ({
  label,
  value,
  products: Object.entries(products).map(([name, product]) => ({ label: name, value: product })),
});

/** Cloudflare publishes no list; this one covers what happens here. */
const productCategories: readonly ProductCategory[] = [
  category('Account Management', 'account', { Accounts: 'accounts', Members: 'members', 'API Tokens': 'api_tokens' }),
  category('DNS', 'dns', { 'DNS Records': 'dns_records' }),
  category('Zones', 'zones', { Zones: 'zones', 'Zone Settings': 'zone_settings', Cache: 'cache', 'SSL/TLS': 'ssl' }),
  category('Application Security', 'security', { Rulesets: 'rulesets' }),
  category('Developer Platform', 'workers', { Workers: 'workers', R2: 'r2', Pages: 'pages' }),
  category('Zero Trust', 'zerotrust', { Access: 'access', Gateway: 'gateway' }),
  category('User Profile', 'user', { User: 'user', Logins: 'login', Memberships: 'memberships' }),
];

/** In any letter case. */
export function productsOf(name: string): readonly string[] | undefined {
  const wanted = name.toLowerCase();
  return productCategories.find(({ value }) => value === wanted)?.products.map(({ value }) => value);
}
