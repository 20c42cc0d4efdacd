/** A clock that never goes back, and waiting on it. */
export interface Time {
  /** Milliseconds from any start. */
  nowMs(): number;
  /** Rejects with the signal's reason if that aborts first. Does not keep the process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
