import { ApiError } from '../../../errors.ts';
import type { KeptLease } from '../../../postgres/leases/keep-lease.ts';
import type { SyncContext } from '../ports.ts';

/** So many audit logs are asked per listing at most, so that one that names nothing costs little. */
const MAX_ASKED = 10;
/** A log that has not answered by then is asked after another listing: discovery is not held up by it. */
const TIMEOUT_MS = 10_000;

type Answer = 'open' | 'refused' | undefined;

/**
 * Asks the audit logs of organizations that complete listings miss again and again. Only one that goes on
 * refusing makes its organization gone: a listing that is empty or partial by mistake must not end any pulling. Called after every complete
 * listing, while it is still this replica's turn. Throws what made it fail, except what Cloudflare answered.
 */
export const confirmGone = async (
  context: SyncContext,
  signal: AbortSignal,
  lease: Pick<KeptLease, 'throwIfLost'>,
): Promise<void> => {
  const { store, observer } = context;
  const ids = await store.takeMissed(MAX_ASKED);
  if (ids.length === 0) return;
  lease.throwIfLost();
  for (const [organizationId, answer] of await askAll(context, ids, signal)) {
    const news = answer && (await store.recordLogAnswer(organizationId, answer));
    if (news === 'open') observer.missedButOpen?.({ organizationId });
    else if (news !== undefined) observer.organizationChanged?.({ organizationId, change: news });
  }
};

const askAll = async (
  { api, time }: SyncContext,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<readonly (readonly [id: string, answer: Answer])[]> => {
  const timeout = new AbortController();
  const answered = new AbortController();
  time.sleep(TIMEOUT_MS, answered.signal).then(
    () => timeout.abort(),
    () => {},
  );
  const ask = async (id: string): Promise<readonly [string, Answer]> => {
    try {
      return [id, await api.probeAuditLog({ kind: 'organization', id }, AbortSignal.any([signal, timeout.signal]))];
    } catch (error) {
      if (signal.aborted || !(error instanceof ApiError || timeout.signal.aborted)) throw error;
      return [id, undefined];
    }
  };
  const asked = await Promise.allSettled(ids.map(ask));
  answered.abort();
  return asked.map((each) => {
    if (each.status === 'rejected') throw each.reason;
    return each.value;
  });
};
