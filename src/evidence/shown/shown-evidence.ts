import type { LeafProof } from '../bundle/found-events.ts';
import type { EventProof } from '../export/prove-events.sql.ts';
import type { ProvenUnder } from '../export/prove-leaves.sql.ts';
import type { NothingToExport } from '../export/snapshot.sql.ts';
import type { LogName } from '../notes/origin.ts';
import type { EvidenceStatus } from '../stored/evidence-status.sql.ts';
import type { NewestCheckpoint } from '../stored/newest-checkpoints.sql.ts';

/** One of the two logs of a generation. */
export interface ShownLog {
  readonly log: LogName;
  readonly generation: number;
  readonly origin: string;
  readonly size: number;
  /** Of the last signed checkpoint; null: nothing of it is signed. */
  readonly signedSize: number | null;
  readonly signedAt: Date | null;
  /** Set once an operator has ended it. */
  readonly endedAt: Date | null;
  readonly endedBy: string | null;
  readonly endedReason: string | null;
}

/** The first statement of a later generation. */
export interface ShownFork {
  readonly generation: number;
  readonly at: string;
  readonly cause: string;
  readonly by: string;
  /** So many leaves are the same in the generation before. */
  readonly commonSize: number;
}

/** A source, by its name if one is known. */
export interface NamedSource {
  readonly kind: string;
  readonly id: string;
  readonly name: string | null;
}

/** What the log itself says, which only an account that may read it can tell. */
export interface ShownJournal {
  /** The keys in force, of both logs. */
  readonly vkeys: readonly string[];
  /** When the first statement of this generation was made; null before it. */
  readonly begunAt: Date | null;
  /** The newest first. */
  readonly forks: readonly ShownFork[];
}

/** What is not stated of coverage. */
export interface ShownStatements {
  /** Sources without a statement: the first of them by name. */
  readonly unstated: readonly NamedSource[];
  /** The source whose last statement is the oldest one. */
  readonly oldest: (NamedSource & { readonly statedAt: Date }) | undefined;
}

/** What pages for people show of the evidence, and give out. All methods only read, and reject if the database does not answer. */
export interface ShownEvidence {
  /** Whether this process is configured to build or serve a log. There may still be one in the database. */
  readonly isConfigured: boolean;
  /** Undefined: there is no log. */
  status(): Promise<EvidenceStatus | undefined>;
  /** Both logs of the newest generations, the newest first. */
  logs(): Promise<readonly ShownLog[]>;
  statements(generation: number): Promise<ShownStatements>;
  /** Undefined: the account may not read the log. So for the next one. */
  journal(generation: number): Promise<ShownJournal | undefined>;
  /** The newest of each log of the newest generation. */
  checkpoints(): Promise<readonly NewestCheckpoint[] | undefined>;
  /**
   * The two files that prove an event, under the last signed checkpoint. Throws OrgtrailError `usage` if it has no signed leaf,
   * `evidence_fails` if it is not the event that was signed. Undefined as above.
   */
  prove(position: number, signal: AbortSignal): Promise<EventProof | undefined>;
  /** Proofs of many events (`proveLeaves`); why nothing is signed, if so. Undefined as above. */
  proveAll(
    positions: readonly number[],
    take: (proofs: readonly LeafProof[]) => void,
    signal: AbortSignal | undefined,
  ): Promise<ProvenUnder | NothingToExport | undefined>;
}
