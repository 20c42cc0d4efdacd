import { ApiError } from '../../errors.ts';
import type { SourceState } from '../planning/source.ts';
import { kindOf } from '../sources/registry.ts';
import type { SyncContext } from '../sync/ports.ts';
import type { SourceVerification, VerifyContext, VerifyOptions } from './ports.ts';
import { verifySource } from './verify-source.ts';

/** What there is to verify, and what time it is. */
export interface VerifyScope {
  readonly nowMs: number;
  readonly sources: readonly SourceState[];
  /** Organizations that Cloudflare lists (or that were named) and the store does not know: nothing of them is stored. */
  readonly unknown: readonly string[];
  /** The listing was refused: organizations that the store does not know were not looked for. */
  readonly listingRefused: boolean;
}

/** Lists the organizations, if their logs are read, and looks which the store knows. Throws ApiError if Cloudflare cannot be asked. */
export const findScope = async (context: SyncContext, signal: AbortSignal): Promise<VerifyScope> => {
  const { api, store, organizationIds, kinds } = context;
  const wanted = kinds.some((kind) => kindOf(kind).owner === 'organization');
  const { listed, refused } = await listedIds(context, signal, wanted);
  const nowMs = api.nowMs();
  if (nowMs === undefined) throw new ApiError('unreadable', 'no response of the API carries a Date header');
  const sources = await store.loadSources();
  if (!wanted) return { nowMs, sources, unknown: [], listingRefused: false };
  const known = new Set(sources.filter((source) => kindOf(source).owner === 'organization').map(({ id }) => id));
  const unknown = [...new Set([...listed, ...(organizationIds ?? [])])].filter((id) => !known.has(id));
  return { nowMs, sources, unknown, listingRefused: refused };
};

/** Without `all` it is asked for its first page alone, which says what time it is. */
const listedIds = async (
  { api, organizationIds }: SyncContext,
  signal: AbortSignal,
  all: boolean,
): Promise<{ readonly listed: ReadonlySet<string>; readonly refused: boolean }> => {
  const listed = new Set<string>();
  try {
    for await (const page of api.listOrganizations({ ids: organizationIds }, signal)) {
      for (const { id } of page) listed.add(id);
      if (!all) break;
    }
  } catch (error) {
    if (!(error instanceof ApiError) || error.failure !== 'refused') throw error;
    return { listed, refused: true };
  }
  return { listed, refused: false };
};

/**
 * Reads a closed window of every source again and compares it with the store, several at a time.
 * Called by the command `verify`. Throws when the database fails or the signal aborts; what Cloudflare does is in the results.
 */
export const verifySources = async (
  context: VerifyContext,
  sources: readonly SourceState[],
  options: VerifyOptions,
): Promise<readonly SourceVerification[]> => {
  const results: SourceVerification[] = [];
  const waiting = [...sources];
  const worker = async (): Promise<void> => {
    for (let source = waiting.shift(); source !== undefined; source = waiting.shift()) {
      const result = await verifySource(context, source, options);
      results.push(result);
      options.onSource(result);
    }
  };
  await Promise.all(Array.from({ length: context.concurrency }, worker));
  return results;
};
