import type { SourceKey } from '../planning/source.ts';
import { kindOf } from '../sources/registry.ts';
import type { PageQuery } from '../sources/source-kind.ts';
import type { CloudflareClient } from './client.ts';
import { type ApiText, pathSegment } from './wire/request.ts';

export interface AuditPageRequest<T> extends PageQuery {
  readonly source: SourceKey;
  readonly signal: AbortSignal;
  /** See ApiRequest. */
  readonly attemptMs?: number | undefined;
  /** See ApiRequest: throws ApiError `unreadable` for a body that is worth asking for again. */
  readonly decode: (answer: ApiText) => T;
}

/** Asks for one page of a log, and decodes it from the very bytes that were sent. Rejects as the client does. */
export const fetchAuditPage = async <T>(client: CloudflareClient, page: AuditPageRequest<T>): Promise<T> => {
  const kind = kindOf(page.source);
  return await client.get({
    endpoint: `${kind.name}_audit_logs`,
    path: kind.path(pathSegment(page.source.id)),
    query: new URLSearchParams(kind.query(page).map(([name, value]): [string, string] => [name, value])),
    signal: page.signal,
    attemptMs: page.attemptMs,
    decode: page.decode,
  });
};
