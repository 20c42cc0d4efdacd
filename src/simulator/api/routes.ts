import type { Operation } from '../faults/fault-plan.ts';
import type { SourceRef } from '../world/source.ts';
import { basePath } from './organization-call.ts';

/** What a path asks for. */
export interface Route {
  readonly operation: Operation;
  /** The organization or account in the path. */
  readonly source: SourceRef | undefined;
  /** The entry whose history is asked for. */
  readonly entryId: string | undefined;
}

const organizationForms: readonly (readonly [RegExp, Operation])[] = [
  [/^$/, 'organization'],
  [/^\/profile$/, 'profile'],
  [/^\/accounts$/, 'organization_accounts'],
  [/^\/logs\/audit$/, 'audit'],
  [/^\/logs\/audit\/([^/]+)\/history$/, 'history'],
];

const accountForms: readonly (readonly [RegExp, Operation])[] = [
  [/^$/, 'account'],
  [/^\/tokens\/verify$/, 'verify'],
  [/^\/logs\/audit$/, 'audit'],
  [/^\/logs\/audit\/product_categories$/, 'product_categories'],
  [/^\/logs\/audit\/([^/]+)\/history$/, 'history'],
];

const collections: Readonly<Record<string, Operation>> = {
  '/organizations': 'organizations',
  '/accounts': 'accounts',
  '/user': 'user',
  '/user/tokens/verify': 'verify',
};

/** The route of a path, or undefined when there is none. */
export function routeOf(path: string): Route | undefined {
  if (!path.startsWith(`${basePath}/`)) return undefined;
  const rest = path.slice(basePath.length);
  const operation = collections[rest];
  if (operation !== undefined) return { operation, source: undefined, entryId: undefined };
  const [, collection, id, tail = ''] = /^\/(organizations|accounts)\/([^/]+)(\/.*)?$/.exec(rest) ?? [];
  if (id === undefined) return undefined;
  const kind = collection === 'accounts' ? 'account' : 'organization';
  for (const [form, named] of kind === 'account' ? accountForms : organizationForms) {
    const match = form.exec(tail);
    if (match !== null) return decoded({ operation: named, source: { kind, id }, entryId: match[1] });
  }
  return undefined;
}

function decoded({ operation, source, entryId }: Route & { readonly source: SourceRef }): Route | undefined {
  try {
    const entry = entryId === undefined ? undefined : decodeURIComponent(entryId);
    return { operation, source: { ...source, id: decodeURIComponent(source.id) }, entryId: entry };
  } catch {
    return undefined;
  }
}

/** The two forms of an id: 32 hexadecimal digits, or a UUID of 36 characters. */
export function isIdentifier(text: string): boolean {
  return /^[0-9a-f]{32}$|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}
