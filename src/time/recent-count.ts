/** The window is counted in so many parts: the total reaches back by up to one part less than the window. */
const PARTS = 60;

/** Counts what happened within the last while, in constant memory. */
export class RecentCount {
  readonly #partMs: number;
  readonly #nowMs: () => number;
  readonly #counts = new Map<number, number>();

  /** `nowMs` never goes back. */
  constructor(windowMs: number, nowMs: () => number) {
    this.#partMs = windowMs / PARTS;
    this.#nowMs = nowMs;
  }

  add(): void {
    const part = this.#part();
    this.#counts.set(part, (this.#counts.get(part) ?? 0) + 1);
    if (this.#counts.size > PARTS) this.#forget(part);
  }

  total(): number {
    this.#forget(this.#part());
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  #part(): number {
    return Math.floor(this.#nowMs() / this.#partMs);
  }

  #forget(now: number): void {
    for (const part of this.#counts.keys()) if (part <= now - PARTS) this.#counts.delete(part);
  }
}
