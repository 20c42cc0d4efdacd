import type { KeyOrder } from '../append/keys-in-force.ts';
import type { Appended, LogToLoad } from '../append/log.ts';
import type { ClockFound } from '../append/new-statements.ts';
import type { Checkpoint } from '../notes/checkpoint.ts';

const logStates = ['building', 'ok', 'behind', 'halted', 'no key'] as const;

export interface StoredLog extends Checkpoint {
  readonly root: Buffer;
  readonly number: number;
  readonly base: string;
  readonly feedId: string;
  /** Undefined: nothing. */
  readonly signedSize: number | undefined;
  /** Each event up to it has its leaf. */
  readonly position: number;
  readonly state: (typeof logStates)[number];
  readonly stateReason: string | undefined;
  /** By an operator: no leaf follows. */
  readonly isEnded: boolean;
  readonly adoptedPosition: number;
  /** Of the feed, given out last. */
  readonly head: number;
  /** As the feed names itself: another one than that of the log if it was changed. */
  readonly feedOfHead: string;
  /** By the clock of the database. */
  readonly at: string;
  /** Undefined: the clock of the database is as it was stated last. */
  readonly clock: ClockFound | undefined;
  /** False: the log was last compared and written on another timeline. */
  readonly isHere: boolean;
  /** Of what it has verified of itself; the first of them. */
  readonly fault: string | undefined;
}

/** What building goes on from. */
export interface LoadedLog extends LogToLoad {
  /** False: the server may have lost some of the checkpoints. */
  readonly isHere: boolean;
  /** Signed last. */
  readonly checkpoint: SignedCheckpoint | undefined;
}

export interface Growth extends Appended {
  readonly epoch: number;
  readonly from: number;
  readonly to: number;
  readonly root: Buffer;
  readonly position: number;
}

/** `stale`: another process was faster. `stopped`: nothing may be signed. `moved`: the server is another one. */
export type GrowthResult = 'grown' | 'stale' | 'stopped' | 'moved';

export interface Claim {
  readonly epoch: number;
}

export interface NamedSource {
  readonly kind: string;
  readonly id: string;
}

export interface CoverageQuery {
  readonly filters: readonly { readonly kind: string; readonly hash: string }[];
  readonly everyMs: number;
  readonly limit: number;
  readonly except: readonly NamedSource[];
}

export interface LogSigner {
  /** 32 bytes. */
  readonly publicKey: Buffer;
  /** 64 bytes of Ed25519. The same text gives the same signature. */
  sign(text: string): Promise<Buffer>;
}

/** Stored, so that it may be given out. */
export interface SignedCheckpoint extends Checkpoint {
  readonly note: string;
}

export interface NewestCheckpoint extends SignedCheckpoint {
  /** Of its log. */
  readonly number: number;
  readonly root: Buffer;
  readonly madeAt: Date;
}

export interface EvidenceObserver {
  grown?(growth: { readonly leaves: number; readonly statements: number }): void;
  signed?(checkpoint: SignedCheckpoint): void;
  stopped?(state: StoredLog['state'], reason: string): void;
  /** On another server, where everything that was signed holds. */
  wentOn?(): void;
  clockStated?(clock: ClockFound): void;
  /** Sources with time that is covered and not stated. */
  coverageHeldBack?(sources: number): void;
  keyStated?(order: KeyOrder): void;
  /** A rotation is ordered to a key that this process has not. */
  keyMissing?(order: KeyOrder): void;
  /** What the log has found in a block of itself. */
  faultsFound?(block: number, faults: readonly string[]): void;
}
