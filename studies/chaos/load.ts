import type { Simulator } from '../../src/simulator/interface.ts';
import { pause } from './pause.ts';

const TICK_MS = 50;
/** So many entries a tick go to one organization while a burst lasts: fewer than a page within one millisecond. */
const BURST_PER_TICK = 30;
const BURST_TICKS = 20;
/** That a burst begins with a tick: three or four a minute. The live lane looks back over two minutes at every tick. */
const BURST_CHANCE = 0.003;
const LARGE_ENTRIES = 120;
const LARGE_ENTRY_VALUES = 300;

/** Entries that come into being while the run lasts, so that something is always under way. */
export class Load {
  readonly #simulator: Simulator;
  readonly #organizationIds: readonly string[];
  readonly #random: () => number;
  #largePages = 0;

  constructor(simulator: Simulator, random: () => number) {
    this.#simulator = simulator;
    this.#organizationIds = simulator.summary().organizations.map(({ id }) => id);
    this.#random = random;
  }

  /** A trickle to all organizations and bursts to single ones, until the signal aborts. */
  async stream(entriesPerSecond: number, signal: AbortSignal): Promise<void> {
    const startedAtMs = performance.now();
    let made = 0;
    let burst: { readonly id: string; ticksLeft: number } | undefined;
    while (!signal.aborted) {
      const due = Math.floor(((performance.now() - startedAtMs) * entriesPerSecond) / 1_000);
      for (; made < due; made += 1) this.#simulator.generate(this.#anyOrganization(), 1);
      if (burst === undefined && this.#random() < BURST_CHANCE)
        burst = { id: this.#anyOrganization(), ticksLeft: BURST_TICKS };
      if (burst !== undefined) {
        this.#simulator.generate(burst.id, BURST_PER_TICK);
        burst.ticksLeft -= 1;
        if (burst.ticksLeft === 0) burst = undefined;
      }
      await pause(TICK_MS, signal);
    }
  }

  /** Adds a page's worth of large entries, which take a replica long to read and to write; returns where. */
  addLargePage(): string {
    const id = this.#anyOrganization();
    const number = this.#largePages;
    this.#largePages += 1;
    const nowMs = Date.now();
    const texts = Array.from({ length: LARGE_ENTRIES }, (_, index) =>
      largeEntry(`large-${number}-${index}`, nowMs, index),
    );
    this.#simulator.append(id, texts);
    return id;
  }

  #anyOrganization(): string {
    return this.#organizationIds[Math.floor(this.#random() * this.#organizationIds.length)] ?? '';
  }
}

/** About 4 kB. Every tenth one has a character that PostgreSQL cannot hold, so that the page is read entry by entry. */
const largeEntry = (id: string, nowMs: number, index: number): string => {
  const time = new Date(nowMs - LARGE_ENTRIES + index).toISOString();
  const values = Array.from({ length: LARGE_ENTRY_VALUES }, (_, n) => `{"v":${n}.${index}}`).join(',');
  const note = index % 10 === 0 ? '\\u0000' : 'ordinary';
  return `{"id":"${id}","action":{"type":"update","time":"${time}"},"actor":{"email":"a@example.com"},"resource":{"request":{"note":"${note}","values":[${values}]}}}`;
};
