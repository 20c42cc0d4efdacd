import type { ApiCall } from '../api/api-call.ts';
import { decodeToken, encodeToken } from '../api/opaque-token.ts';
import { BadRequest, type Reply, successReply } from '../api/reply.ts';
import { organizationIdOf, pageShift, shownName, withoutMissing } from '../faults/account-faults.ts';
import type { World } from '../world/world.ts';
import { type Account, accountView, organizationAccountView } from './account-registry.ts';

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

/** `GET /accounts`: pages by number, in the order of creation. Throws BadRequest if Cloudflare answers 400. */
export function listAccounts(world: World, { query, occasion }: ApiCall, reached: readonly Account[]): Reply {
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

/** The account as `GET /accounts` and `GET /accounts/{id}` show it. */
export function viewOf({ faults, organizations }: World, account: Account): Record<string, unknown> {
  const organizationId = organizationIdOf(faults, account, organizations);
  return accountView(account, shownName(faults, account), organizationId, organizations);
}

const nameFilters: Readonly<Record<string, (name: string, part: string) => boolean>> = {
  name: (name, whole) => name === whole,
  'name.startsWith': (name, part) => name.startsWith(part),
  'name.endsWith': (name, part) => name.endsWith(part),
  'name.contains': (name, part) => name.includes(part),
};

/**
 * `GET /organizations/{id}/accounts`: pages by token, in the order of creation or by name. Throws BadRequest if Cloudflare
 * answers 400.
 */
export function listOrganizationAccounts(
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
