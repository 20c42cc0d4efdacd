import { type Page, type PageBody, readPageBody } from '../entries/page.ts';
import type { Direction, Filter } from '../planning/walk.ts';

/** All but `cursor` must be the same for all pages: what a changed window does is unknown. */
export interface PageQuery {
  /** Whether either bound is inclusive is nowhere defined. */
  readonly since: number;
  readonly before: number;
  readonly cursor?: string | undefined;
  /** 1 to 1,000. Fewer may come, without its being the last page. */
  readonly limit: number;
  readonly direction: Direction;
  /** The API's own names and values (`action_type.not`, `view`); one name may come more than once. */
  readonly filters: readonly Filter[];
}

/** A kind of log, listed in `registry.ts`. The engine knows nothing else of it. */
export interface SourceKind {
  readonly owner: 'organization' | 'account';
  readonly retentionMs: number;
  /** Nothing older was ever recorded; undefined: not known. */
  readonly firstEntryMs?: number;
  /** In Cloudflare's words; said when it is refused. */
  readonly permission: string;
  readonly filters: FilterRules;
  /** Below the base URL. `segment` is the owner's id, encoded for a path. */
  path(segment: string): string;
  query(page: PageQuery): readonly (readonly [name: string, value: string])[];
  /** Throws UnreadablePageError for anything but a successful answer; no entry can make it throw. */
  readPage(body: PageBody, options: { readonly fastPath: boolean }): Page;
}

const DAY_MS = 86_400_000;

/** Cloudflare keeps audit logs for 18 months; older time is empty. The view sync_status has the same constant. */
export const RETENTION_MS = 548 * DAY_MS;

export const auditLogV2 = {
  retentionMs: RETENTION_MS,
  query: ({ since, before, cursor, limit, direction, filters }: PageQuery): (readonly [string, string])[] => [
    // Both are required, and at most milliseconds are known to be understood.
    ['since', new Date(since).toISOString()],
    ['before', new Date(before).toISOString()],
    // Said even though one of them is the default.
    ['direction', direction],
    ['limit', String(limit)],
    ...filters,
    ...(cursor === undefined ? [] : [['cursor', cursor] as const]),
  ],
  readPage: readPageBody,
} satisfies Partial<SourceKind>;

export const ownParameters: readonly string[] = ['since', 'before', 'cursor', 'limit', 'direction'];

/** Filters that every such log has, each also as NAME.not. From the published parameter lists. */
export const commonFilters = [
  'action_result',
  'action_type',
  'actor_context',
  'actor_email',
  'actor_id',
  'actor_ip_address',
  'actor_token_id',
  'actor_token_name',
  'actor_type',
  'id',
  'raw_cf_ray_id',
  'raw_method',
  'raw_status_code',
  'raw_uri',
  'resource_id',
  'resource_product',
  'resource_scope',
  'resource_type',
] as const;

/** Warn of unread time with less than this left, and more loudly with less than the second. */
export const RETENTION_NEAR_MS = 30 * DAY_MS;
export const RETENTION_URGENT_MS = 7 * DAY_MS;

/**
 * How long until the oldest time that is wanted and unread leaves Cloudflare's retention: 0 while it does so, all of
 * the retention if nothing is unread. `readUpTo`: where the first reading ends that has read everything from a time on.
 */
export const retentionSlackMs = (
  readUpTo: (fromMs: number) => number | undefined,
  horizonMs: number,
  nowMs: number,
): number | undefined => {
  const oldestKeptMs = nowMs - RETENTION_MS;
  const unreadMs = readUpTo(Math.max(horizonMs, oldestKeptMs));
  if (unreadMs === undefined) return undefined;
  return unreadMs >= nowMs ? RETENTION_MS : unreadMs - oldestKeptMs;
};

export interface FilterRules {
  readonly names: readonly string[];
  /** Those that the API cannot negate. */
  readonly withoutNot?: readonly string[];
  readonly reserved: readonly string[];
}

/** Sorted, each once; or every fault of the text. Values are not checked: the API's enumerations grow unannounced. */
export const parseFilters = (
  text: string,
  { names, withoutNot = [], reserved }: FilterRules,
): { filters: readonly Filter[]; faults: readonly string[] } => {
  const knownNames = new Set<string>([...names.flatMap((name) => [name, `${name}.not`]), ...withoutNot]);
  const faults: string[] = [];
  const filters = new Map<string, Filter>();
  for (const [name, value] of new URLSearchParams(text.trim().replace(/^\?/, ''))) {
    if (reserved.includes(name)) faults.push(`"${name}" is set by orgtrail itself and cannot be a filter`);
    else if (!knownNames.has(name)) faults.push(`unknown filter "${name}"; ${suggestion(name, names, withoutNot)}`);
    else if (value === '') faults.push(`filter "${name}" has no value`);
    else if (name.startsWith('raw_status_code') && !/^\d{3}$/.test(value))
      faults.push(`filter "${name}" must be a three-digit status code, not "${value}"`);
    else if (/^actor_email/.test(name) && value.includes(' '))
      faults.push(`filter "${name}": a "+" in a value is written %2B`);
    else filters.set(`${name}=${value}`, [name, value]);
  }
  return { filters: [...filters.keys()].sort().map((key) => filters.get(key) as Filter), faults };
};

/** The text whose hash names a filter set; '' for none. */
export const canonicalFilters = (filters: readonly Filter[]): string =>
  new URLSearchParams(filters.map(([name, value]): [string, string] => [name, value])).toString();

const suggestion = (name: string, names: readonly string[], withoutNot: readonly string[]): string => {
  if (withoutNot.includes(name.replace(/\.not$/, ''))) return `"${name.replace(/\.not$/, '')}" cannot be negated`;
  const bare = name
    .replace(/\.not$/, '')
    .replaceAll('.', '_')
    .replace(/\[.*$/, '');
  const near = names.find((known) => known === bare || known.replaceAll('_', '') === bare.replaceAll('_', ''));
  return near === undefined
    ? `the API has ${names.join(', ')}, each also as NAME.not${withoutNot.map((one) => `, and ${one}`).join('')}`
    : `did you mean "${near}${name.endsWith('.not') ? '.not' : ''}"?`;
};

/** Cloudflare's published values, with those seen beside them; others are in the rest, and more would only cost
 * requests. */
const knownValues: Readonly<Record<string, readonly string[]>> = {
  action_type: ['create', 'update', 'delete', 'view', 'login'],
  actor_type: ['user', 'account', 'cloudflare_admin', 'system', 'delegated_service'],
};
const MAX_RESOURCE_TYPES = 20;

/** How the entries of one second are split: by one field after the other, each value and all others by `.not`, so that
 * every entry is in exactly one part. Fields of the configured filters are left out. */
export const splitsOfSecond = (
  configured: readonly Filter[],
  resourceTypes: readonly string[],
): readonly (readonly (readonly Filter[])[])[] => {
  const used = new Set(configured.map(([name]) => name.replace(/\.not$/, '')));
  const values = { ...knownValues, resource_type: resourceTypes.slice(0, MAX_RESOURCE_TYPES) };
  return Object.entries(values)
    .filter(([field, known]) => !used.has(field) && known.length > 0)
    .map(([field, known]) => [
      ...known.map((value): readonly Filter[] => [[field, value]]),
      known.map((value): Filter => [`${field}.not`, value]),
    ]);
};
