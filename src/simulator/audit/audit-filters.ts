import { productsOf } from '../accounts/product-categories.ts';
import { BadRequest } from '../api/reply.ts';
import type { SourceKind } from '../world/source.ts';

type Path = readonly [string, string?];

/** Where in an entry each filter of the API looks. */
const paths: Readonly<Record<string, Path>> = {
  action_result: ['action', 'result'],
  action_type: ['action', 'type'],
  actor_context: ['actor', 'context'],
  actor_email: ['actor', 'email'],
  actor_id: ['actor', 'id'],
  actor_ip_address: ['actor', 'ip_address'],
  actor_token_id: ['actor', 'token_id'],
  actor_token_name: ['actor', 'token_name'],
  actor_type: ['actor', 'type'],
  id: ['id'],
  raw_cf_ray_id: ['raw', 'cf_ray_id'],
  raw_method: ['raw', 'method'],
  raw_status_code: ['raw', 'status_code'],
  raw_uri: ['raw', 'uri'],
  resource_id: ['resource', 'id'],
  resource_product: ['resource', 'product'],
  resource_scope: ['resource', 'scope'],
  resource_type: ['resource', 'type'],
};

/** The filters that only the logs of accounts have. */
const accountPaths: Readonly<Record<string, Path>> = {
  ...paths,
  account_name: ['account', 'name'],
  audit_log_id: ['id'],
  zone_id: ['zone', 'id'],
  zone_name: ['zone', 'name'],
};

/** Names of the filters; each exists as it is and with `.not`. */
export const auditFilterNames: readonly string[] = Object.keys(paths);

/** The same for the logs of accounts. */
export const accountFilterNames: readonly string[] = Object.keys(accountPaths);

interface Condition {
  readonly path: Path;
  readonly values: ReadonlySet<string>;
  /** False for `.not`: the value must be none of these. */
  readonly isWanted: boolean;
}

/** The conditions of a request: all must hold, repeated values of one are alternatives. */
export interface AuditFilters {
  /** The conditions in one canonical text: what a cursor is bound to. */
  readonly signature: string;
  /** True for the text of an entry that is asked for. Undefined when every entry is. */
  readonly matches: ((text: string) => boolean) | undefined;
}

function member(container: unknown, name: string): unknown {
  return typeof container === 'object' && container !== null ? (container as Record<string, unknown>)[name] : undefined;
}

function valueAt(entry: unknown, [first, second]: Path): string | undefined {
  const outer = member(entry, first);
  // The Ray id has an older name, under which the same filter finds it.
  const value =
    second === undefined
      ? outer
      : (member(outer, second) ?? (second === 'cf_ray_id' ? member(outer, 'cf_rayid') : undefined));
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

// Only the logs of accounts have categories; a category is a set of products more that are asked for.
function productsOfCategories(query: URLSearchParams, kind: SourceKind): string[] {
  if (kind !== 'account') return [];
  return query.getAll('product_category').flatMap((name) => {
    const products = productsOf(name);
    if (products === undefined) throw new BadRequest(`unknown product_category: ${name}`);
    return products;
  });
}

/**
 * Reads the filters from a query; unknown parameters are ignored, as are filters without a value. Throws BadRequest on a product
 * category that does not exist.
 */
export function auditFilters(query: URLSearchParams, kind: SourceKind = 'organization'): AuditFilters {
  const conditions: Condition[] = [];
  const signature: string[] = [];
  const products = productsOfCategories(query, kind);
  for (const [name, path] of Object.entries(kind === 'account' ? accountPaths : paths)) {
    for (const isWanted of [true, false]) {
      const given = query.getAll(isWanted ? name : `${name}.not`).filter((value) => value !== '');
      const values = isWanted && name === 'resource_product' ? [...given, ...products] : given;
      if (values.length === 0) continue;
      conditions.push({ path, values: new Set(values), isWanted });
      signature.push(JSON.stringify([name, isWanted, values.sort()]));
    }
  }
  if (conditions.length === 0) return { signature: '', matches: undefined };
  return {
    signature: signature.join(),
    matches: (text) => {
      const entry: unknown = JSON.parse(text);
      return conditions.every(({ path, values, isWanted }) => {
        const value = valueAt(entry, path);
        return value === undefined ? !isWanted : values.has(value) === isWanted;
      });
    },
  };
}
