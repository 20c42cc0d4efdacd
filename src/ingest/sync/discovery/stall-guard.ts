import { ApiError } from '../../../errors.ts';

/** Aborts what makes no progress for a time. */
export class StallGuard {
  /** Aborts with the signal that was given, and when nothing goes on. */
  readonly signal: AbortSignal;
  readonly #stalled = new AbortController();
  readonly #limitMs: number;
  #timer: NodeJS.Timeout;

  constructor(signal: AbortSignal, limitMs: number) {
    this.#limitMs = limitMs;
    this.signal = AbortSignal.any([signal, this.#stalled.signal]);
    this.#timer = this.#start();
  }

  progress(): void {
    this.end();
    this.#timer = this.#start();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  /** What was thrown: ApiError `timeout` if the guard has aborted it. */
  reasonOf(thrown: unknown): unknown {
    if (!this.#stalled.signal.aborted || thrown !== this.signal.reason) return thrown;
    return new ApiError('timeout', `the listing brought no page within ${this.#limitMs / 1_000} s`);
  }

  #start(): NodeJS.Timeout {
    return setTimeout(() => this.#stalled.abort(), this.#limitMs);
  }
}
