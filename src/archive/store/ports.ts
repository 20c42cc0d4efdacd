/** Of an object. */
export interface ByteRange {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

/** What was written, as the storage says. */
export interface PutReceipt {
  readonly versionId: string | undefined;
  /** Until when it can be neither changed nor deleted, if the address asks for that. */
  readonly lockedUntilMs: number | undefined;
}

/** Objects by key, below the address of an archive. Nothing here deletes any. */
export interface ObjectStore {
  /** As the catalogue calls it. */
  readonly name: string;
  put(key: string, bytes: Uint8Array, signal?: AbortSignal): Promise<PutReceipt>;
  /** All of its bytes, in one request: some storages answer a range with other bytes. Undefined: there is none. */
  get(key: string, signal?: AbortSignal): Promise<Buffer | undefined>;
  /**
   * Its bytes from `from` up to, not including, `to`. What comes must be compared: some storages answer with others. Undefined: there is none,
   * or it has no such bytes, or the storage gives no ranges.
   */
  getRange(key: string, range: ByteRange, signal?: AbortSignal): Promise<Buffer | undefined>;
  close(): Promise<void>;
}
