import type { LogInMemory } from '../append/log.ts';
import { type Statable, statableOf, stateCoverage } from '../append/new-coverage.ts';
import type { CoverageSnapshot } from '../append/new-statements.ts';
import type { EvidenceStore } from './evidence-store.sql.ts';
import type { Claim, NamedSource, StoredLog } from './ports.ts';

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
/** Covered time without a request that is worth an alert: an answer's own Date has whole seconds. */
const UNASKED_US = 60_000_000n;

interface Pending {
  readonly snapshot: CoverageSnapshot;
  readonly statable: readonly Statable[];
  readonly memory: LogInMemory;
}

/**
 * A look reads the head of the feed and what is proven in one snapshot. The log grows to exactly that head, and no further,
 * before the statements are made: what they claim is a leaf below them.
 */
export class CoverageTurns {
  readonly #options: CoverageOptions;
  readonly #nowMs: () => number;
  /** Sources that shrank, by their keys. */
  readonly #shrunk = new Map<string, NamedSource & { readonly untilMs: number }>();
  /** They have time that is covered and not stated. */
  readonly #heldBack = new Set<string>();
  #pending: Pending | undefined;
  #nextLookMs = Number.NEGATIVE_INFINITY;
  #isBusy = false;

  constructor(options: CoverageOptions, nowMs: () => number = () => performance.now()) {
    this.#options = options;
    this.#nowMs = nowMs;
  }

  /** Resolves with how many sources have time that is not stated. Nothing is stated before the first leaf. */
  async look(store: EvidenceStore, claim: Claim, log: StoredLog, memory: LogInMemory): Promise<number | undefined> {
    if (this.#pendingOf(memory) !== undefined || log.size === 0 || this.#nowMs() < this.#nextLookMs) return undefined;
    const { filters, everyMs, batch = BATCH, lookMs = LOOK_MS } = this.#options;
    const startedMs = this.#nowMs();
    for (const [key, { untilMs }] of this.#shrunk) if (untilMs <= startedMs) this.#shrunk.delete(key);
    const query = { filters, everyMs, limit: batch, except: [...this.#shrunk.values()] };
    const unnumbered = await store.readUnnumbered(query);
    for (const { kind, id, organizationId } of unnumbered) memory.numberOf(kind, id, organizationId);
    const snapshot = unnumbered.length > 0 ? undefined : await store.readCoverage(claim, query);
    const endedMs = this.#nowMs();
    this.#isBusy = unnumbered.length > 0 || (snapshot?.sources.length ?? 0) >= batch;
    const restMs = unnumbered.length > 0 ? 0 : this.#isBusy ? Math.min(BUSY_LOOK_MS, lookMs) : lookMs;
    this.#nextLookMs = restMs === 0 ? endedMs : endedMs + Math.max(restMs, (endedMs - startedMs) / LOOK_SHARE);
    const statable = (snapshot?.sources ?? []).map(statableOf);
    const good = statable.filter(({ isShrunk }) => !isShrunk);
    for (const each of statable) this.#note(each, endedMs);
    this.#pending = snapshot !== undefined && good.length > 0 ? { snapshot, statable: good, memory } : undefined;
    return statable.length > 0 ? this.#heldBack.size : undefined;
  }

  /** The log stops at the head of the snapshot. */
  cap(memory: LogInMemory, head: number): number {
    return Math.min(head, this.#pendingOf(memory)?.snapshot.head ?? head);
  }

  isPending(memory: LogInMemory): boolean {
    return this.#pendingOf(memory) !== undefined;
  }

  /** Until the next look; undefined unless more sources are due. */
  get busyForMs(): number | undefined {
    return this.#isBusy ? Math.max(0, this.#nextLookMs - this.#nowMs()) : undefined;
  }

  /** If each event up to the head of the snapshot has its leaf, and none after it. */
  state(memory: LogInMemory, position: number): void {
    const pending = this.#pendingOf(memory);
    if (pending === undefined || pending.snapshot.head !== position) return;
    this.#pending = undefined;
    const texts = new Map(this.#options.filters.map(({ hash, text }) => [hash, text]));
    for (const each of pending.statable) stateCoverage(memory, pending.snapshot, each, texts);
  }

  #note({ source: { kind, id }, isShrunk, unaskedUs }: Statable, nowMs: number): void {
    const key = JSON.stringify([kind, id]);
    if (isShrunk) this.#shrunk.set(key, { kind, id, untilMs: nowMs + HELD_BACK_MS });
    if (isShrunk || unaskedUs > UNASKED_US) this.#heldBack.add(key);
    else this.#heldBack.delete(key);
  }

  #pendingOf(memory: LogInMemory): Pending | undefined {
    return this.#pending?.memory === memory ? this.#pending : undefined;
  }
}
