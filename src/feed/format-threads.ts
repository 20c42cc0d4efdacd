import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { packageFile } from '../base/package-files.ts';
import { type FormatJob, type FormattedPart, formatRows } from './format-rows.ts';

/** With more, one reader is no faster: the rest of the process is at work all the time. */
const MAX_THREADS = 2;
/** The others are for PostgreSQL and for the rest of the process. */
const CORES_PER_THREAD = 2;
/** For what lives for one line only. With four times as much a thread takes 10 MB more, and is no faster. */
const YOUNG_GENERATION_MB = 4;
/** A thread ends, with its readers alone, if an entry takes more. The texts of an entry of 40 MB take 80 to 160. */
const OLD_GENERATION_MB = 256;
/** The way to another thread and back takes longer than formatting so few. New events come in such pieces. */
const MAX_ROWS_AT_ONCE = 10;
/** A few that are larger may take more than a moment. */
const MAX_BYTES_AT_ONCE = 65_536;
/** For a next reader. A thread takes 20 MB and more. */
const IDLE_MS = 60_000;

export const THREAD_FILE = 'dist/format-thread.js';

/** The memory of the job arrives as a plain array of the same shared bytes. */
export interface FormatRequest {
  readonly id: number;
  readonly job: FormatJob;
}

export type FormatResponse = { readonly id: number } & ({ readonly part: FormattedPart } | { readonly error: unknown });

type Pending = Pick<PromiseWithResolvers<FormattedPart>, 'resolve' | 'reject'>;

interface Thread {
  readonly worker: Worker;
  readonly pending: Map<number, Pending>;
}

interface FormatThreadsOptions {
  /** Hears why rows could not be formatted, or why a thread has ended by itself: only a defect or a lack of memory does that. */
  readonly onFailure: (error: unknown) => void;
  readonly maxThreads?: number;
  /** What a thread runs. Default: the thread of the bundle. Undefined, as when this is not a bundle: rows are formatted in this thread. */
  readonly file?: string | undefined;
}

/** A reader of history takes nothing from the rest of the process. Threads start with the first long piece, and end after an idle minute. */
export class FormatThreads {
  readonly #onFailure: (error: unknown) => void;
  readonly #maxThreads: number;
  readonly #file: string | undefined;
  readonly #threads = new Set<Thread>();
  #lastId = 0;
  #idle: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor({
    onFailure,
    maxThreads = threadsFor(availableParallelism()),
    file = bundledThread(),
  }: FormatThreadsOptions) {
    this.#onFailure = onFailure;
    this.#maxThreads = maxThreads;
    this.#file = file;
  }

  get width(): number {
    return this.#file === undefined ? 0 : this.#maxThreads;
  }

  get threads(): number {
    return this.#threads.size;
  }

  /** Rejects if rows cannot be formatted or the thread ends: nothing is written to the memory any more, which must be shared. */
  async format(job: FormatJob, rows: number): Promise<FormattedPart> {
    const isShort = rows <= MAX_ROWS_AT_ONCE && job.rowsEnd - job.from <= MAX_BYTES_AT_ONCE;
    if (isShort || this.#file === undefined) return formatRows(job);
    if (this.#isClosed) throw new Error('the feed is closed');
    clearTimeout(this.#idle);
    const thread = this.#leastBusy(this.#file);
    this.#lastId += 1;
    const id = this.#lastId;
    const request: FormatRequest = { id, job };
    try {
      return await new Promise<FormattedPart>((resolve, reject) => {
        thread.pending.set(id, { resolve, reject });
        thread.worker.ref();
        thread.worker.postMessage(request);
      });
    } finally {
      thread.pending.delete(id);
      if (thread.pending.size === 0) thread.worker.unref();
      this.#endWhenIdle();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#idle);
    await this.#end();
  }

  #leastBusy(file: string): Thread {
    const [least] = [...this.#threads].sort((a, b) => a.pending.size - b.pending.size);
    if (least !== undefined && (least.pending.size === 0 || this.#threads.size === this.#maxThreads)) return least;
    return this.#start(file);
  }

  #start(file: string): Thread {
    const worker = new Worker(file, {
      name: 'format',
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB, maxOldGenerationSizeMb: OLD_GENERATION_MB },
    });
    const thread: Thread = { worker, pending: new Map() };
    let failure: unknown;
    worker.unref();
    worker.on('message', (response: FormatResponse) => this.#answer(thread.pending.get(response.id), response));
    worker.on('error', (error: unknown) => {
      failure = error;
      this.#threads.delete(thread);
      this.#onFailure(error);
    });
    worker.on('exit', () => {
      this.#threads.delete(thread);
      const error = new Error('the thread that formats events has ended', { cause: failure });
      for (const { reject } of thread.pending.values()) reject(error);
    });
    this.#threads.add(thread);
    return thread;
  }

  #answer(pending: Pending | undefined, response: FormatResponse): void {
    if ('part' in response) pending?.resolve(response.part);
    else {
      this.#onFailure(response.error);
      pending?.reject(response.error);
    }
  }

  #endWhenIdle(): void {
    if (this.#isClosed || [...this.#threads].some(({ pending }) => pending.size > 0)) return;
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => void this.#end(), IDLE_MS).unref();
  }

  async #end(): Promise<void> {
    const ending = [...this.#threads];
    this.#threads.clear();
    await Promise.all(ending.map(({ worker }) => worker.terminate()));
  }
}

/**
 * Undefined where the code runs from src/: Node removes the types by WebAssembly, and two threads that do so can end the process
 * ("Check failed: jit_page.has_value()", https://github.com/nodejs/node/issues/64500). The thread of the bundle has no types.
 */
const bundledThread = (): string | undefined =>
  import.meta.filename.endsWith('.ts') ? undefined : packageFile(THREAD_FILE);

const threadsFor = (cores: number): number => Math.max(1, Math.min(MAX_THREADS, Math.floor(cores / CORES_PER_THREAD)));
