import type { Time } from '../../base/time.ts';
import { intersect, isEmpty, type Range } from '../planning/coverage.ts';
import { SHORT_REST } from '../planning/planner.ts';
import { keyOf, type SourceKey } from '../planning/source.ts';
import { LEAST_SUSPECTED, MAX_EMPTY_PAGES, requestWindow, type Walk } from '../planning/walk.ts';

/** How long a refusal counts: an API may lift a limit, or a slow day may pass. */
const REMEMBERED_MS = 600_000;

/** Narrower windows are refused for what is in them, and not for their width. */
const NARROWEST_LIMIT_MS = 60_000;
const MIN_TIMEOUT_MS = 2_500;
const TIMEOUT_FACTOR = 4;
const PART_TIMEOUT_MS = 5_000;

/** What the API has served to this process: if wider windows were refused, no source tries as wide a one for a while.
 * Each source finds its own limits as well (lane.ts); this spares them the same two failures each. */
export class WindowLimit {
  readonly #time: Pick<Time, 'nowMs'>;
  #servedMs = 0;
  #slowestMs = 0;
  #largestPage = 0;
  #smallestCut = Number.POSITIVE_INFINITY;
  /** How far before the end of a window an entry has come, and how far behind its beginning. */
  #shownBackMs = 0;
  #shownOnMs = 0;
  #widestMs = 0;
  readonly #endless = new Set<string>();
  #suspected: { readonly source: string; readonly range: Range; readonly atMs: number } | undefined;
  #refused: { readonly widthMs: number; readonly atMs: number } | undefined;

  constructor(time: Pick<Time, 'nowMs'>) {
    this.#time = time;
  }

  /** Now or before this process began. */
  sawPage(entries: number): void {
    this.#largestPage = Math.max(this.#largestPage, entries);
  }

  /** An answer of so many entries was found cut, now or before this process began. */
  sawCut(entries = Number.POSITIVE_INFINITY): void {
    this.#smallestCut = Math.min(this.#smallestCut, entries);
  }

  /** Infinity if none is known. */
  get smallestCut(): number {
    return this.#smallestCut;
  }

  /** The largest page of all may be cut, and, as cuts vary, any from half of the smallest known one on. */
  get cutFrom(): number {
    return Math.min(this.#largestPage, Math.max(LEAST_SUSPECTED, this.#smallestCut / 2));
  }

  /**
   * Entries have come from so far from both ends: no wider window is believed to be empty, nor to be shown as a whole.
   */
  get shownMs(): number {
    const shownMs = Math.min(this.#shownBackMs, this.#shownOnMs);
    return shownMs >= (1 - SHORT_REST) * this.#widestMs ? this.#widestMs : shownMs;
  }

  /** Empty pages without end are known to come behind its last entry. */
  hasEndlessTails(source: SourceKey): boolean {
    return this.#endless.has(keyOf(source));
  }

  ended(source: SourceKey, walk: Walk): void {
    const { oldestMs, newestMs, emptyPages } = walk;
    if (oldestMs === undefined || newestMs === undefined) return;
    if (emptyPages >= MAX_EMPTY_PAGES) this.#endless.add(keyOf(source));
    const { fromMs, toMs } = requestWindow(walk);
    this.#widestMs = Math.max(this.#widestMs, toMs - fromMs);
    this.#shownBackMs = Math.max(this.#shownBackMs, toMs - oldestMs);
    this.#shownOnMs = Math.max(this.#shownOnMs, newestMs - fromMs);
  }

  /** The live tail waits as long as a look back, or a part of a second, takes. */
  get partTimeoutMs(): number {
    return Math.max(PART_TIMEOUT_MS, TIMEOUT_FACTOR * this.#slowestMs);
  }

  served(widthMs: number, tookMs: number): void {
    this.#servedMs = Math.max(this.#servedMs, widthMs);
    this.#slowestMs = Math.max(this.#slowestMs, tookMs);
  }

  /** The live tail waits as long as a window wider than any before takes. Undefined for a width that was served. */
  timeoutMs(widthMs: number): number | undefined {
    return widthMs > this.#servedMs ? Math.max(MIN_TIMEOUT_MS, TIMEOUT_FACTOR * this.#slowestMs) : undefined;
  }

  /** It failed while the API answered other requests. One window may hold an entry that cannot be read: only two that
   * share no time, or are of two sources, speak against their width. */
  refused(source: string, range: Range): void {
    const atMs = this.#time.nowMs();
    const before = this.#suspected;
    const isOld = before === undefined || atMs - before.atMs >= REMEMBERED_MS;
    // Of windows as wide, the first: the next ones overlap it in part, until one is clear of it.
    if (isOld || widthOf(range) < widthOf(before.range)) this.#suspected = { source, range, atMs };
    if (isOld || (before.source === source && !isEmpty(intersect(before.range, range)))) return;
    const widthMs = Math.max(widthOf(before.range), widthOf(range));
    this.#refused = { widthMs: Math.min(this.#limit() ?? widthMs, widthMs), atMs };
  }

  /** Half of what was refused, or what has been served; undefined if nothing speaks against any width. */
  get widestMs(): number | undefined {
    const refusedMs = this.#limit();
    return refusedMs && Math.max(NARROWEST_LIMIT_MS, this.#servedMs, refusedMs / 2);
  }

  #limit(): number | undefined {
    const { widthMs = 0, atMs = Number.NEGATIVE_INFINITY } = this.#refused ?? {};
    return widthMs > this.#servedMs && this.#time.nowMs() - atMs < REMEMBERED_MS ? widthMs : undefined;
  }
}

const widthOf = ({ fromMs, toMs }: Range): number => toMs - fromMs;
