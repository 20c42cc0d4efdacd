import { draw, keyOf } from './random.ts';
import type { SourceRef } from './source.ts';
import type { World } from './world.ts';

const tickMs = 50;
/** If there are accounts: of so many entries one is an organization's, one a user's, the others are accounts'. */
const turns = 10;
const userTurn = 5;

/**
 * Appends entries while the simulator runs, at about the given rate, to logs of today, earlier ones more often.
 * Which log the n-th entry goes to depends on the seed alone; its action.time is the clock's.
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
    const organizations = this.#world.organizations.all().map(({ id }): SourceRef => ({ kind: 'organization', id }));
    const accounts = this.#world.accounts.all().map(({ id }): SourceRef => ({ kind: 'account', id }));
    for (; this.#made < due; this.#made++) this.#make(organizations, accounts);
  }

  #make(organizations: readonly SourceRef[], accounts: readonly SourceRef[]): void {
    const order = { timeMs: Math.floor(this.#world.nowMs()) };
    const turn = accounts.length === 0 ? 0 : this.#made % turns;
    if (turn === userTurn) {
      this.#world.generateUserEntry(order);
      return;
    }
    const sources = turn === 0 ? organizations : accounts;
    // Squaring the draw favours the front of the list.
    const place = (draw(this.#key, this.#made) / 4294967296) ** 2;
    const source = sources[Math.floor(place * sources.length)];
    if (source !== undefined) this.#world.generate(source, order);
  }
}
