import { type Account, accountView, organizationAccountView } from '../world/accounts.ts';
import type { World } from '../world/world.ts';
import {
  type Access,
  accountListingInterruption,
  isListingEmpty,
  organizationIdOf,
  shownName,
  withoutMissing,
} from './access.ts';
import type { ApiCall } from './credentials.ts';
import {
  BadRequest,
  encodeToken,
  errorReply,
  nameFilters,
  orBadRequest,
  placeIn,
  type Reply,
  successReply,
} from './reply.ts';

interface Context {
  readonly world: World;
  readonly access: Access;
  readonly listsImplicitAccounts: boolean;
}

/** Read-only: accounts change through the control API. Never throws on what a client sends. */
export const answerAboutAccounts = (context: Context, call: ApiCall): Reply =>
  orBadRequest(
    () => answer(context, call),
    (message) => errorReply(400, 1001, message),
  );

function answer(context: Context, call: ApiCall): Reply {
  switch (call.operation) {
    case 'accounts':
      return listing(context, call);
    case 'organization_accounts':
      return listingOfOrganization(context, call);
    case 'product_categories':
      return successReply(productCategories);
    case 'user':
      return userReply(call);
    case 'verify':
      return verifyReply(call);
    default: {
      const account = context.world.accounts.get(call.source?.id ?? '');
      return account === undefined
        ? errorReply(404, 1002, 'Account not found')
        : successReply(viewOf(context.world, account));
    }
  }
}

function listing({ world, access, listsImplicitAccounts }: Context, call: ApiCall): Reply {
  const { caller, occasion } = call;
  const { accounts, faults } = world;
  const shows = ({ isImplicit }: Account) => !isImplicit || listsImplicitAccounts || caller.kind === 'account';
  const reached = accounts.all().filter((account) => shows(account) && access.seesAccount(caller, account));
  const interruption = accountListingInterruption(faults, occasion);
  return interruption ?? listAccounts(world, call, isListingEmpty(faults, occasion, caller) ? [] : reached);
}

function listingOfOrganization({ world, access }: Context, call: ApiCall): Reply {
  const { accounts, organizations, faults } = world;
  const id = call.source?.id ?? '';
  if (organizations.get(id) === undefined) return errorReply(404, 1002, 'Organization not found');
  const inside = accounts
    .all()
    .filter((account) => organizationIdOf(faults, account, organizations) === id)
    .filter((account) => access.seesAccount(call.caller, account));
  const shown = isListingEmpty(faults, call.occasion, call.caller) ? [] : inside;
  return accountListingInterruption(faults, call.occasion) ?? listOrganizationAccounts(world, call, shown);
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
  const from = page === 1 ? 0 : Math.max(0, start + (faults.meets('shifted_account_page', occasion)?.by ?? 0));
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
