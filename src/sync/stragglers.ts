import type { SourceKey } from '../domain/source.ts';

export const keyOf = (source: SourceKey): string => `${source.kind}/${source.id}`;

/**
 * Turns that outlive their cycle: Cloudflare does not answer for one organization, the next tick is due, and the others
 * must not wait (invariant 10). Later cycles leave these sources alone until the turn is over. One per daemon.
 */
export class Stragglers {
  readonly #turns = new Map<string, Promise<void>>();

  get size(): number {
    return this.#turns.size;
  }

  has(source: SourceKey): boolean {
    return this.#turns.has(keyOf(source));
  }

  /** `turn` may reject: its fault is the database's, which the cycle of that moment meets as well. */
  add(source: SourceKey, turn: Promise<void>): void {
    const key = keyOf(source);
    const over = turn.catch(() => {}).finally(() => this.#turns.delete(key));
    this.#turns.set(key, over);
  }

  /** Resolves when one of them is over. */
  async oneOver(): Promise<void> {
    await Promise.race(this.#turns.values());
  }

  /** Resolves when all are over. Called at shutdown, before what they use is closed. */
  async allOver(): Promise<void> {
    await Promise.all(this.#turns.values());
  }
}
