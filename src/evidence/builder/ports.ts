import type { KeyOrder, KeyState } from '../append/keys-in-force.ts';
import type { Appended, BinaryFields, HoleRange, LogsToLoad } from '../append/logs.ts';
import type { ClockFound, CoverageSnapshot, DueFacts, NewEntry } from '../append/new-statements.ts';
import type { Checkpoint, LogName } from '../notes/checkpoint.ts';
import type { Tile } from '../tree/growing-tree.ts';
import type { TileId } from '../tree/tiles.ts';

/** A log as it is stored: what a checkpoint of it says, and how much of it is signed. */
interface StoredLog extends Checkpoint {
  readonly root: Buffer;
  /** Undefined: nothing yet. */
  readonly signedSize: number | undefined;
}

/** How the newest generation stands, as of one moment. */
export interface StoredLogs {
  readonly generation: number;
  readonly events: StoredLog;
  readonly journal: StoredLog;
  readonly state: 'building' | 'ok' | 'behind' | 'forked' | 'halted';
  readonly stateReason: string | undefined;
  /** An operator has ended it: no leaf follows. */
  readonly isEnded: boolean;
  readonly adopted: number;
  readonly feedId: string;
  /** The last position that is given out. */
  readonly head: number;
  /** By the clock of the database, as statements have it. */
  readonly at: string;
  /** That clock went back, or is no longer as far from Cloudflare's as was stated last; undefined: neither is so. */
  readonly clock: ClockFound | undefined;
  /** False: the server has another timeline than the one that the log was last written on. */
  readonly isHere: boolean;
  /** The shortest retention that is allowed, as PostgreSQL writes an interval. */
  readonly retention: string | undefined;
}

/** The right edges of both logs, and what else building goes on from. */
export interface LoadedLogs extends LogsToLoad {
  /** False: the checkpoints were read from a server that may have lost some. */
  readonly isHere: boolean;
  /** The last that were signed. */
  readonly checkpoints: readonly (Checkpoint & { readonly log: LogName; readonly note: string })[];
}

/** One commit: both logs from their sizes to others. */
export interface Growth extends Pick<Appended, 'tiles' | 'monthKeys' | 'sources'> {
  readonly generation: number;
  readonly epoch: number;
  readonly from: Readonly<Record<LogName, number>>;
  readonly to: Readonly<Record<LogName, { readonly size: number; readonly root: Buffer }>>;
  readonly entries: readonly NewEntry[];
}

/** `stale`: another process was faster. `stopped`: nothing may be signed. `moved`: the server is another one. */
export type GrowthResult = 'grown' | 'stale' | 'stopped' | 'moved';

/** The right to build a generation. */
export interface Claim {
  readonly generation: number;
  readonly epoch: number;
}

/** Which sources are to be stated. */
export interface CoverageQuery {
  readonly filters: readonly { readonly kind: string; readonly hash: string }[];
  readonly everyMs: number;
  readonly limit: number;
  /** These are not. */
  readonly except: readonly { readonly kind: string; readonly id: string }[];
}

/** What building needs of the database. Every method is one statement, or reads alone. */
export interface EvidenceStore {
  /** Undefined: there is no log yet. */
  readLogs(): Promise<StoredLogs | undefined>;
  /** Makes the first generation, unless there is one. */
  open(base: string): Promise<void>;
  claim(generation: number): Promise<Claim | { readonly heldBy: string | undefined }>;
  renew(claim: Claim): Promise<boolean>;
  release(claim: Claim): Promise<void>;
  load(logs: StoredLogs): Promise<LoadedLogs>;
  /** What the journal says of keys, and what is ordered. */
  readKeys(generation: number): Promise<KeyState>;
  readTiles(log: LogName, generation: number, tiles: readonly TileId[]): Promise<readonly Tile[]>;
  readDue(generation: number): Promise<DueFacts>;
  /** Sources whose coverage is to be stated, as of one snapshot that survives a crash; undefined if the lease is lost. */
  readCoverage(claim: Claim, query: CoverageQuery): Promise<CoverageSnapshot | undefined>;
  readJumps(): Promise<readonly HoleRange[]>;
  /** Drops and jumps that have to do with these positions. */
  readExplanations(range: HoleRange): Promise<readonly HoleRange[]>;
  /** The events after a position and up to another, in order. A row is valid only while it is handed over. */
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
  /** From here on, this server is the one of the log. */
  goOnHere(claim: Claim): Promise<boolean>;
  /** Deletes checkpoints and rows of requests that are no longer kept. */
  thin(): Promise<void>;
}

/** Signs as the two logs, with one key. */
export interface LogSigner {
  /** 32 bytes. */
  readonly publicKey: Buffer;
  /** Of Ed25519, 64 bytes. The same text gives the same signature. */
  sign(text: string): Promise<Buffer>;
}

/** A checkpoint that was signed and stored: it may be given out. */
export interface SignedCheckpoint extends Checkpoint {
  readonly log: LogName;
  readonly note: string;
}

/** Hears what building does. */
export interface EvidenceObserver {
  /** Leaves of both logs were committed. */
  grown?(growth: { readonly events: number; readonly statements: number }): void;
  signed?(checkpoint: SignedCheckpoint): void;
  /** Nothing is signed any more, or for now. */
  stopped?(state: StoredLogs['state'], reason: string): void;
  /** Another server, and everything that was signed holds there. */
  wentOn?(): void;
  /** The journal says from now on that the clock of the database is another one. */
  clockStated?(clock: ClockFound): void;
  /** So many sources are not stated, since less of them is read than was stated last. */
  coverageHeldBack?(sources: number): void;
  /** The journal says from now on that another key signs. */
  keyStated?(order: KeyOrder): void;
  /** A rotation is ordered, and this process has not the new key. */
  keyMissing?(order: KeyOrder): void;
}
