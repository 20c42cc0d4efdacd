/** One request to the simulated API, as it was answered. */
export interface RequestRecord {
  /** When it arrived, by the simulator's clock. Milliseconds since the epoch. */
  readonly timeMs: number;
  /** When its response ended or its connection closed; undefined until then. Milliseconds since the epoch. */
  endedMs?: number;
  readonly method: string;
  /** The Host header: tells clients apart that were given different names of this server. */
  readonly host: string;
  /** Path and query as sent. */
  readonly path: string;
  /** 0 when no status was sent (`hung`, `connection_reset`, an answer whose client had gone). */
  readonly status: number;
  /** Fingerprint of the credential; `none` without one. */
  readonly credential: string;
  /** Whose budget it counts for: `user:` and an e-mail address, or `token:` and the fingerprint. */
  readonly owner: string;
  /** The fault that the response met on the wire, or that stands in place of an answer; those of paging and content are in its body. */
  readonly wireFault?: string;
}

const kept = 10_000;

/** The latest requests, and how many there were in all. */
export class RequestLog {
  readonly #records: RequestRecord[] = [];
  readonly #listeners = new Set<(record: RequestRecord) => void>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  add(record: RequestRecord): void {
    this.#records[this.#total++ % kept] = record;
    for (const listener of this.#listeners) listener(record);
  }

  /** The kept records, oldest first. */
  records(): RequestRecord[] {
    const head = this.#total % kept;
    return this.#total <= kept ? [...this.#records] : [...this.#records.slice(head), ...this.#records.slice(0, head)];
  }

  /** Calls the listener for every later request; returns what ends that. */
  onRequest(listener: (record: RequestRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
