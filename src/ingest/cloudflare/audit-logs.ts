import type { CloudflareClient } from './client.ts';
import { type ApiText, pathSegment } from './wire/request.ts';

/** One page of one walk. All but `cursor` must be the same for all pages: what a changed window does is unknown. */
export interface AuditPageRequest<T> {
  readonly organizationId: string;
  /** Milliseconds since the epoch. Whether either bound is inclusive is nowhere defined. */
  readonly since: number;
  readonly before: number;
  /** `result_info.cursor` of the page before; undefined for the first page. */
  readonly cursor?: string | undefined;
  /** 1 to 1,000. Fewer may come, without its being the last page. */
  readonly limit: number;
  readonly direction: 'asc' | 'desc';
  /** The API's own names and values (`action_type.not`, `view`); one name may come more than once. */
  readonly filters: ReadonlyArray<readonly [name: string, value: string]>;
  readonly signal: AbortSignal;
  /** See ApiRequest. */
  readonly attemptMs?: number | undefined;
  /** See ApiRequest: throws ApiError `unreadable` for a body that is worth asking for again. */
  readonly decode: (answer: ApiText) => T;
}

export interface AuditLogsApi {
  /** The page, decoded from the very bytes that were sent. Rejects as the client does. */
  fetchPage<T>(page: AuditPageRequest<T>): Promise<T>;
}

export function createAuditLogsApi(client: CloudflareClient): AuditLogsApi {
  return {
    async fetchPage<T>(page: AuditPageRequest<T>) {
      const query = new URLSearchParams([
        // Both are required, and at most milliseconds are known to be understood.
        ['since', new Date(page.since).toISOString()],
        ['before', new Date(page.before).toISOString()],
        // Said even though one of them is the default.
        ['direction', page.direction],
        ['limit', String(page.limit)],
        ...page.filters.map(([name, value]): [string, string] => [name, value]),
      ]);
      if (page.cursor !== undefined) query.append('cursor', page.cursor);
      return await client.get({
        endpoint: 'organization_audit_logs',
        path: `/organizations/${pathSegment(page.organizationId)}/logs/audit`,
        query,
        signal: page.signal,
        attemptMs: page.attemptMs,
        decode: page.decode,
      });
    },
  };
}
