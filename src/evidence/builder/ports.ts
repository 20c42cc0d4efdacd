import type { KeyOrder } from '../append/keys-in-force.ts';
import type { Appended, LogsToLoad } from '../append/logs.ts';
import type { ClockFound, NewEntry } from '../append/new-statements.ts';
import type { Checkpoint, LogName } from '../notes/checkpoint.ts';

interface StoredLog extends Checkpoint {
  readonly root: Buffer;
  /** Undefined: nothing. */
  readonly signedSize: number | undefined;
}

export interface StoredLogs {
  readonly generation: number;
  readonly events: StoredLog;
  readonly journal: StoredLog;
  readonly state: 'building' | 'ok' | 'behind' | 'forked' | 'halted';
  readonly stateReason: string | undefined;
  /** By an operator: no leaf follows. */
  readonly isEnded: boolean;
  readonly adopted: number;
  readonly feedId: string;
  /** Given out last. */
  readonly head: number;
  /** By the clock of the database. */
  readonly at: string;
  /** Undefined: the clock of the database is as it was stated last. */
  readonly clock: ClockFound | undefined;
  /** False: the log was last written on another timeline. */
  readonly isHere: boolean;
  /** As PostgreSQL writes an interval. */
  readonly retention: string | undefined;
}

/** What building goes on from. */
export interface LoadedLogs extends LogsToLoad {
  /** False: the server may have lost some of the checkpoints. */
  readonly isHere: boolean;
  /** Signed last. */
  readonly checkpoints: readonly SignedCheckpoint[];
}

export interface Growth extends Pick<Appended, 'tiles' | 'monthKeys' | 'sources'> {
  readonly generation: number;
  readonly epoch: number;
  readonly from: Readonly<Record<LogName, number>>;
  readonly to: Readonly<Record<LogName, { readonly size: number; readonly root: Buffer }>>;
  readonly entries: readonly NewEntry[];
}

/** `stale`: another process was faster. `stopped`: nothing may be signed. `moved`: the server is another one. */
export type GrowthResult = 'grown' | 'stale' | 'stopped' | 'moved';

export interface Claim {
  readonly generation: number;
  readonly epoch: number;
}

export interface CoverageQuery {
  readonly filters: readonly { readonly kind: string; readonly hash: string }[];
  readonly everyMs: number;
  readonly limit: number;
  readonly except: readonly { readonly kind: string; readonly id: string }[];
}

/** As both logs, with one key. */
export interface LogSigner {
  /** 32 bytes. */
  readonly publicKey: Buffer;
  /** 64 bytes of Ed25519. The same text gives the same signature. */
  sign(text: string): Promise<Buffer>;
}

/** Stored, so that it may be given out. */
export interface SignedCheckpoint extends Checkpoint {
  readonly log: LogName;
  readonly note: string;
}

export interface EvidenceObserver {
  grown?(growth: { readonly events: number; readonly statements: number }): void;
  signed?(checkpoint: SignedCheckpoint): void;
  stopped?(state: StoredLogs['state'], reason: string): void;
  /** On another server, where everything that was signed holds. */
  wentOn?(): void;
  clockStated?(clock: ClockFound): void;
  /** Sources that shrank, and are not stated. */
  coverageHeldBack?(sources: number): void;
  keyStated?(order: KeyOrder): void;
  /** A rotation is ordered to a key that this process has not. */
  keyMissing?(order: KeyOrder): void;
}
