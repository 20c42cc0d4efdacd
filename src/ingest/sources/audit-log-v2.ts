import { readPageBody } from '../entries/page.ts';
import { RETENTION_MS } from '../planning/upstream-retention.ts';
import type { PageQuery, SourceKind } from './source-kind.ts';

/** What all logs of Cloudflare's second audit-log API have in common: 18 months, the parameters of a page, and its envelope. */
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

/** Parameters that every page of such a log is asked for with. */
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
