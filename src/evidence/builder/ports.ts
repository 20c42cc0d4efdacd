import type { KeyOrder, KeyState } from '../append/keys-in-force.ts';
import type { Appended, BinaryFields, HoleRange, LogsToLoad } from '../append/logs.ts';
import type { ClockFound, CoverageSnapshot, DueFacts, NewEntry } from '../append/new-statements.ts';
import type { Checkpoint, LogName } from '../notes/checkpoint.ts';
import type { Tile } from '../tree/growing-tree.ts';
import type { TileId } from '../tree/tiles.ts';

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
  readonly checkpoints: readonly (Checkpoint & { readonly log: LogName; readonly note: string })[];
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

/** Every method is one statement, or reads alone. */
export interface EvidenceStore {
  /** Undefined: there is no log yet. */
  readLogs(): Promise<StoredLogs | undefined>;
  /** Unless there is a generation. */
  open(base: string): Promise<void>;
  claim(generation: number): Promise<Claim | { readonly heldBy: string | undefined }>;
  renew(claim: Claim): Promise<boolean>;
  release(claim: Claim): Promise<void>;
  load(logs: StoredLogs): Promise<LoadedLogs>;
  readKeys(generation: number): Promise<KeyState>;
  readTiles(log: LogName, generation: number, tiles: readonly TileId[]): Promise<readonly Tile[]>;
  readDue(generation: number): Promise<DueFacts>;
  /** As of one snapshot that survives a crash; undefined if the lease is lost. */
  readCoverage(claim: Claim, query: CoverageQuery): Promise<CoverageSnapshot | undefined>;
  readJumps(): Promise<readonly HoleRange[]>;
  /** That have to do with these positions. */
  readExplanations(range: HoleRange): Promise<readonly HoleRange[]>;
  /** (after, until] in order. A row is valid only while it is handed over. */
  copyEvents(after: number, until: number, take: (row: BinaryFields) => void): Promise<void>;
  readOrganizations(
    sources: readonly { readonly kind: string; readonly id: string }[],
  ): Promise<readonly (string | null)[]>;
  grow(growth: Growth): Promise<GrowthResult>;
  /** False: it must not be given out. */
  noteCheckpoint(claim: Claim, log: LogName, checkpoint: Checkpoint, note: string): Promise<boolean>;
  /** This process cannot sign, and no other does. */
  refuse(generation: number, reason: string): Promise<void>;
  noteState(claim: Claim, state: StoredLogs['state'], reason: string | undefined): Promise<void>;
  /** From here on, this is the server of the log. */
  goOnHere(claim: Claim): Promise<boolean>;
  /** Deletes what is no longer kept of checkpoints and requests. */
  thin(): Promise<void>;
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
