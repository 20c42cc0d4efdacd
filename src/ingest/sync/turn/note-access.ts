import type { SourceKey } from '../../planning/source.ts';
import { kindOf } from '../../sources/registry.ts';
import type { SyncContext } from '../ports.ts';

/** Notes that a log refuses, or answers again, and tells of it if that is news. */
export const noteAccess = async (
  { store, observer }: SyncContext,
  source: SourceKey,
  change: 'refused' | 'restored',
): Promise<void> => {
  if (!(await store.recordAccess({ kind: source.kind, id: source.id }, change))) return;
  if (kindOf(source).owner === 'account') observer.accountChanged?.({ accountId: source.id, change });
  else observer.organizationChanged?.({ organizationId: source.id, change });
};
