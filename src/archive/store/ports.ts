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
  close(): Promise<void>;
}
