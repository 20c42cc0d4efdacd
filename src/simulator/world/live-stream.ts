import { draw, keyOf } from './random.ts';
import type { World } from './world.ts';

const tickMs = 50;

/**
 * Appends entries while the simulator runs, at about the given rate, to organizations of today, earlier ones more often.
 * Which organization the n-th entry goes to depends on the seed alone; its action.time is the clock's.
 */
export class LiveStream {
  readonly #world: World;
  readonly #entriesPerSecond: number;
  readonly #key: number;
  readonly #startedAtMs = performance.now();
  readonly #timer: NodeJS.Timeout | undefined;
  #made = 0;

  constructor(world: World, entriesPerSecond: number) {
    this.#world = world;
    this.#entriesPerSecond = entriesPerSecond;
    this.#key = keyOf('live', world.seed);
    this.#timer = entriesPerSecond > 0 ? setInterval(() => this.#tick(), tickMs) : undefined;
  }

  /** Ends the stream. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const due = Math.floor(((performance.now() - this.#startedAtMs) * this.#entriesPerSecond) / 1000);
    const organizations = this.#world.organizations.all();
    for (; this.#made < due; this.#made++) {
      // Squaring the draw favours the front of the list.
      const place = (draw(this.#key, this.#made) / 4294967296) ** 2;
      const organization = organizations[Math.floor(place * organizations.length)];
      if (organization !== undefined)
        this.#world.generate(organization.id, { timeMs: Math.floor(this.#world.nowMs()) });
    }
  }
}
