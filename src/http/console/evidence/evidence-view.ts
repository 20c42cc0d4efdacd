import type { ShownEvidence, ShownJournal, ShownLog } from '../../../evidence/shown/shown-evidence.ts';
import type { EvidenceStatus } from '../../../evidence/stored/evidence-status.sql.ts';
import type { NewestCheckpoint } from '../../../evidence/stored/newest-checkpoints.sql.ts';

/** All that the page shows, read once. Undefined parts: the account may not read them. */
export interface EvidenceView {
  readonly status: EvidenceStatus;
  readonly logs: readonly ShownLog[];
  readonly journal: ShownJournal | undefined;
  readonly checkpoints: readonly NewestCheckpoint[] | undefined;
  readonly statements: Awaited<ReturnType<ShownEvidence['statements']>>;
  readonly isConfigured: boolean;
  readonly nowMs: number;
}

/** Not `/evidence`, where the logs themselves are served. */
export const EVIDENCE_PATH = '/evidence-log';
