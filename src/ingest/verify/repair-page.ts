import type { Page } from '../entries/page.ts';
import { sortLateEntries } from '../planning/late-entries.ts';
import type { CommitResult, SourceKey } from '../planning/source.ts';
import { kindPolicyOf } from '../sync/kind-policy.ts';
import type { SyncContext } from '../sync/ports.ts';

/** A source that another process holds is waited for: longer than a lease, so that a dead holder is outlived. */
const HELD_POLL_MS = 500;
const LEASE_WAIT_TIMEOUT_MS = 90_000;

/** Another process had the source all the time. */
export class SourceHeldError extends Error {
  override readonly name = 'SourceHeldError';

  constructor() {
    super('another orgtrail held it all the time: it could not be repaired');
  }
}

/**
 * Commits a page that was read beside the daemon, through the daemon's own statement: what is stored stays, what is
 * missing is added, other content is recorded. Claims nothing for coverage, and leaves the lanes as they are. Holds
 * the lease for this one page, so that the live tail goes on in between. Throws SourceHeldError.
 */
export const repairPage = async (
  context: SyncContext,
  source: SourceKey,
  page: Page,
  options: { readonly signal: AbortSignal },
): Promise<void> => {
  const { time, observer } = context;
  const untilMs = time.nowMs() + LEASE_WAIT_TIMEOUT_MS;
  for (;;) {
    const result = await commitUnderLease(context, source, page);
    if (result?.kind === 'committed') {
      const late = sortLateEntries(result.covered, 'settle', context.settleDelaysMs.length);
      observer.pageCommitted?.({ ...result, source, lane: 'settle', entries: page.entries, late });
      return;
    }
    if (time.nowMs() >= untilMs) throw new SourceHeldError();
    await time.sleep(HELD_POLL_MS, options.signal);
  }
};

const commitUnderLease = async (
  { store, kinds }: SyncContext,
  source: SourceKey,
  page: Page,
): Promise<CommitResult | undefined> => {
  const claimed = await store.claim(source);
  if (claimed === undefined) return undefined;
  const { lease } = claimed;
  try {
    const nothing = { state: undefined, claims: [], eventRate: undefined };
    return await store.commit({
      lease,
      page,
      filterHash: kindPolicyOf({ kinds }, source).filterHash,
      lane: 'settle',
      ...nothing,
    });
  } finally {
    // It runs out by itself; the fault itself shows at the next statement.
    await store.release(lease).catch(() => {});
  }
};
