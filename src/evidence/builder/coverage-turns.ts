import { type CoverageSnapshot, coverageEntries } from '../growth/coverage-entries.ts';
import type { Moment, NewEntry } from '../growth/due-statements.ts';
import type { LogsInMemory } from '../growth/logs-in-memory.ts';
import type { Claim, EvidenceStore, StoredLogs } from './ports.ts';

export interface CoverageOptions {
  /** Sources of these kinds that are read with these filters are stated; `text` as canonicalFilters writes it. */
  readonly filters: readonly { readonly kind: string; readonly hash: string; readonly text: string }[];
  /** How long a statement of a source is good for: ORGTRAIL_EVIDENCE_STATEMENTS. */
  readonly everyMs: number;
  /** So many sources in one commit. */
  readonly batch?: number;
  /** Between two looks for sources that are due, if the one before found all of them; 0: with each step. */
  readonly lookMs?: number;
}

const BATCH = 50;
const LOOK_MS = 10_000;
/** While more sources are due than one commit has. */
const BUSY_LOOK_MS = 500;
/** A look takes no more than this part of the time. */
const LOOK_SHARE = 0.02;

/**
 * When coverage is stated. A look reads the head of the feed and what is proven in one snapshot. The log grows to exactly that head, and no
 * further, before the statements are made: so they come whatever is being stored meanwhile, and what they claim is at or below the size
 * that they name. What a look has found is forgotten with the memory that it belongs to.
 */
export class CoverageTurns {
  readonly #options: CoverageOptions;
  readonly #nowMs: () => number;
  #pending: { readonly snapshot: CoverageSnapshot; readonly memory: LogsInMemory } | undefined;
  #nextLookMs = Number.NEGATIVE_INFINITY;
  #isBusy = false;

  constructor(options: CoverageOptions, nowMs: () => number = () => performance.now()) {
    this.#options = options;
    this.#nowMs = nowMs;
  }

  /** Looks, if it is time. Nothing is stated before the first statement of the journal. */
  async look(store: EvidenceStore, claim: Claim, logs: StoredLogs, memory: LogsInMemory): Promise<void> {
    if (this.#pendingOf(memory) !== undefined || logs.journal.size === 0 || this.#nowMs() < this.#nextLookMs) return;
    const { filters, everyMs, batch = BATCH, lookMs = LOOK_MS } = this.#options;
    const startedMs = this.#nowMs();
    const snapshot = await store.readCoverage(claim, { filters, everyMs, limit: batch });
    const endedMs = this.#nowMs();
    this.#isBusy = snapshot !== undefined && snapshot.sources.length >= batch;
    const restMs = this.#isBusy ? Math.min(BUSY_LOOK_MS, lookMs) : lookMs;
    this.#nextLookMs = restMs === 0 ? endedMs : endedMs + Math.max(restMs, (endedMs - startedMs) / LOOK_SHARE);
    this.#pending = snapshot !== undefined && snapshot.sources.length > 0 ? { snapshot, memory } : undefined;
  }

  /** Up to where the log may grow, so that it stops at the head of the snapshot. */
  cap(memory: LogsInMemory, head: number): number {
    return Math.min(head, this.#pendingOf(memory)?.head ?? head);
  }

  isPending(memory: LogsInMemory): boolean {
    return this.#pendingOf(memory) !== undefined;
  }

  /** How long until the next look; undefined while there is nothing more to do than to look now and then. */
  get busyForMs(): number | undefined {
    return this.#isBusy ? Math.max(0, this.#nextLookMs - this.#nowMs()) : undefined;
  }

  /** The statements of the snapshot, if the stored log is exactly as large as its head. `memory` has not grown beyond what is stored. */
  take(memory: LogsInMemory, moment: Moment): NewEntry[] {
    const snapshot = this.#pendingOf(memory);
    if (snapshot?.head !== moment.tree.size) return [];
    this.#pending = undefined;
    const texts = new Map(this.#options.filters.map(({ hash, text }) => [hash, text]));
    return coverageEntries(snapshot, moment, (kind, id) => memory.chainOf(kind, id), texts);
  }

  #pendingOf(memory: LogsInMemory): CoverageSnapshot | undefined {
    return this.#pending?.memory === memory ? this.#pending.snapshot : undefined;
  }
}
