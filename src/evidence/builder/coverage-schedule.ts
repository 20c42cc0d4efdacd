import type { LogsInMemory } from '../append/logs.ts';
import {
  type CoverageSnapshot,
  coverageEntries,
  isShrunk,
  type Moment,
  type NewEntry,
} from '../append/new-statements.ts';
import type { EvidenceStore } from './evidence-store.sql.ts';
import type { Claim, StoredLogs } from './ports.ts';

export interface CoverageOptions {
  /** `text` as canonicalFilters writes it. */
  readonly filters: readonly { readonly kind: string; readonly hash: string; readonly text: string }[];
  /** ORGTRAIL_EVIDENCE_STATEMENTS. */
  readonly everyMs: number;
  /** Sources of one commit. */
  readonly batch?: number;
  /** Between two looks, unless more sources are due; 0: with each step. */
  readonly lookMs?: number;
}

const BATCH = 50;
const LOOK_MS = 10_000;
/** While more sources are due than one commit has. */
const BUSY_LOOK_MS = 500;
/** Until sources that shrank are looked at again. */
const HELD_BACK_MS = 600_000;
/** The largest share of the time that looks take. */
const LOOK_SHARE = 0.02;

/**
 * A look reads the head of the feed and what is proven in one snapshot. The log grows to exactly that head, and no further,
 * before the statements are made: what they claim is at or below the size that they name.
 */
export class CoverageTurns {
  readonly #options: CoverageOptions;
  readonly #onHeldBack: (sources: number) => void;
  readonly #nowMs: () => number;
  /** Sources that shrank, by their keys. */
  readonly #heldBack = new Map<string, { readonly kind: string; readonly id: string; readonly untilMs: number }>();
  #pending: { readonly snapshot: CoverageSnapshot; readonly memory: LogsInMemory } | undefined;
  #nextLookMs = Number.NEGATIVE_INFINITY;
  #isBusy = false;

  /** `onHeldBack`: how many sources are not stated, since they shrank. */
  constructor(
    options: CoverageOptions,
    onHeldBack: (sources: number) => void = () => {},
    nowMs: () => number = () => performance.now(),
  ) {
    this.#options = options;
    this.#onHeldBack = onHeldBack;
    this.#nowMs = nowMs;
  }

  /** Nothing is stated before the first statement of the journal. */
  async look(store: EvidenceStore, claim: Claim, logs: StoredLogs, memory: LogsInMemory): Promise<void> {
    if (this.#pendingOf(memory) !== undefined || logs.journal.size === 0 || this.#nowMs() < this.#nextLookMs) return;
    const { filters, everyMs, batch = BATCH, lookMs = LOOK_MS } = this.#options;
    const startedMs = this.#nowMs();
    for (const [key, { untilMs }] of this.#heldBack) if (untilMs <= startedMs) this.#heldBack.delete(key);
    const query = { filters, everyMs, limit: batch, except: [...this.#heldBack.values()] };
    const snapshot = withoutShrunk(await store.readCoverage(claim, query), (shrunk) => this.#holdBack(shrunk));
    const endedMs = this.#nowMs();
    this.#isBusy = snapshot !== undefined && snapshot.found >= batch;
    const restMs = this.#isBusy ? Math.min(BUSY_LOOK_MS, lookMs) : lookMs;
    this.#nextLookMs = restMs === 0 ? endedMs : endedMs + Math.max(restMs, (endedMs - startedMs) / LOOK_SHARE);
    this.#pending = snapshot !== undefined && snapshot.sources.length > 0 ? { snapshot, memory } : undefined;
  }

  /** The log stops at the head of the snapshot. */
  cap(memory: LogsInMemory, head: number): number {
    return Math.min(head, this.#pendingOf(memory)?.head ?? head);
  }

  isPending(memory: LogsInMemory): boolean {
    return this.#pendingOf(memory) !== undefined;
  }

  /** Until the next look; undefined unless more sources are due. */
  get busyForMs(): number | undefined {
    return this.#isBusy ? Math.max(0, this.#nextLookMs - this.#nowMs()) : undefined;
  }

  /** If the stored log is exactly as large as the head. `memory` has not grown beyond what is stored. */
  take(memory: LogsInMemory, moment: Moment): NewEntry[] {
    const snapshot = this.#pendingOf(memory);
    if (snapshot?.head !== moment.tree.size) return [];
    this.#pending = undefined;
    const texts = new Map(this.#options.filters.map(({ hash, text }) => [hash, text]));
    return coverageEntries(snapshot, moment, (kind, id) => memory.chainOf(kind, id), texts);
  }

  #holdBack(sources: readonly { readonly kind: string; readonly id: string }[]): void {
    const untilMs = this.#nowMs() + HELD_BACK_MS;
    for (const { kind, id } of sources) this.#heldBack.set(JSON.stringify([kind, id]), { kind, id, untilMs });
    this.#onHeldBack(this.#heldBack.size);
  }

  #pendingOf(memory: LogsInMemory): CoverageSnapshot | undefined {
    return this.#pending?.memory === memory ? this.#pending.snapshot : undefined;
  }
}

/** Without sources that are read less than was stated: time that was stated as read stays so. */
const withoutShrunk = (
  snapshot: CoverageSnapshot | undefined,
  onShrunk: (sources: CoverageSnapshot['sources']) => void,
): (CoverageSnapshot & { readonly found: number }) | undefined => {
  if (snapshot === undefined) return undefined;
  const shrunk = snapshot.sources.filter(isShrunk);
  if (shrunk.length > 0) onShrunk(shrunk);
  const sources = snapshot.sources.filter((source) => !shrunk.includes(source));
  return { ...snapshot, sources, found: snapshot.sources.length };
};
