import { defectiveText, readFacts } from '../entries/entry-defects.ts';
import {
  draw,
  entryMark,
  entryParts,
  joinParts,
  padParts,
  type SourceKind,
  type SourceRef,
  timeText,
  type Voice,
} from '../entries/entry-text.ts';
import type { FaultName } from '../faults/fault-catalogue.ts';
import type { FaultPlan } from '../faults/fault-plan.ts';
import { type BaseHistory, type DefectDeal, lateness } from './base-history.ts';

/** By order time (usually action.time), ties by insertion. */
export interface LogPosition {
  readonly orderMs: number;
  /** From 0, in order of insertion. */
  readonly seq: number;
}

/** Appended after the start, or moved out of its place in the history. */
interface ExtraEntry extends LogPosition {
  readonly timeMs: number;
  readonly visibleAtMs: number;
  /** A function gives the same text every time. */
  readonly text: string | (() => string);
}

/** Default: stands at `timeMs`, visible at once. */
export interface NewEntry {
  readonly timeMs: number;
  readonly orderMs?: number;
  readonly visibleAtMs?: number | undefined;
  readonly text: string | ((index: number) => string);
}

export interface LogWindow {
  readonly sinceMs: number;
  readonly beforeMs: number;
  readonly sinceInclusive: boolean;
  readonly beforeInclusive: boolean;
  readonly direction: 'asc' | 'desc';
}

/** A generated history (only times; texts on demand) and later entries. Times are milliseconds since the epoch. */
export class AuditLog {
  readonly #base: BaseHistory;
  readonly #extras: ExtraEntry[] = [];
  #ordered: ExtraEntry[] = [];
  readonly #served: Uint8Array;
  readonly #servedExtras = new Set<number>();
  readonly #revisions = new Map<number, string[]>();
  #largestShiftMs = 0;

  constructor(base: BaseHistory) {
    this.#base = base;
    this.#served = new Uint8Array(base.count);
    for (const moved of base.moved.toSorted((a, b) => a.orderMs - b.orderMs)) {
      this.append({ ...moved, visibleAtMs: base.visibleAtMs(moved.index), text: () => base.text(moved.index) });
    }
  }

  get size(): number {
    return this.#base.count - this.#base.moved.length + this.#extras.length;
  }

  invisibleCount(nowMs: number): number {
    return this.#base.invisibleCount(nowMs) + this.#extras.filter(({ visibleAtMs }) => visibleAtMs > nowMs).length;
  }

  get nextSeq(): number {
    return this.#base.count + this.#extras.length;
  }

  get lastTimeMs(): number | undefined {
    return this.#ordered.at(-1)?.timeMs ?? this.#base.times.at(-1);
  }

  append(entry: NewEntry): number {
    const seq = this.nextSeq;
    const { timeMs, orderMs = timeMs, visibleAtMs = 0, text } = entry;
    const extra: ExtraEntry = {
      seq,
      timeMs,
      orderMs,
      visibleAtMs,
      text: typeof text === 'string' ? text : () => text(seq),
    };
    this.#extras.push(extra);
    let at = this.#ordered.length;
    while (at > 0 && (this.#ordered[at - 1] as ExtraEntry).orderMs > orderMs) at--;
    // A walk under way keeps its array: only the end may grow.
    if (at === this.#ordered.length) this.#ordered.push(extra);
    else this.#ordered = this.#ordered.toSpliced(at, 0, extra);
    this.#largestShiftMs = Math.max(this.#largestShiftMs, orderMs - timeMs);
    return seq;
  }

  /** As served now: the latest revision. */
  text(seq: number): string {
    const revisions = this.#revisions.size === 0 ? undefined : this.#revisions.get(seq);
    return revisions?.at(-1) ?? this.originalText(seq);
  }

  originalText(seq: number): string {
    if (seq < this.#base.count) return this.#base.text(seq);
    const text = this.#extra(seq).text;
    return typeof text === 'string' ? text : text();
  }

  timeMs(seq: number): number {
    return seq < this.#base.count ? (this.#base.times[seq] as number) : this.#extra(seq).timeMs;
  }

  position(seq: number): LogPosition {
    return { orderMs: seq < this.#base.count ? (this.#base.times[seq] as number) : this.#extra(seq).orderMs, seq };
  }

  isVisible(seq: number, nowMs: number): boolean {
    return (seq < this.#base.count ? this.#base.visibleAtMs(seq) : this.#extra(seq).visibleAtMs) <= nowMs;
  }

  /** The text is of the documented form: id and action.time need no reading. */
  isPlain(seq: number): boolean {
    return seq < this.#base.count && this.#base.isPlain(seq);
  }

  markServed(seq: number): void {
    if (seq < this.#base.count) this.#served[seq] = 1;
    else this.#servedExtras.add(seq);
  }

  wasServed(seq: number): boolean {
    return seq < this.#base.count ? this.#served[seq] === 1 : this.#servedExtras.has(seq);
  }

  /** Oldest first. */
  revise(seq: number, text: string): void {
    this.#revisions.set(seq, [...this.revisions(seq), text]);
  }

  /** Oldest first. */
  revisions(seq: number): readonly string[] {
    return this.#revisions.get(seq) ?? [];
  }

  /** Entries with action.time in the window, in its direction, from behind `after`. */
  *walk(window: LogWindow, after?: LogPosition): Generator<number> {
    const isAscending = window.direction === 'asc';
    const step = isAscending ? 1 : -1;
    const [baseFirst, baseEnd] = this.#bounds(this.#base.count, (i) => this.position(i), window, 0, after);
    const ordered = this.#ordered;
    const extraAt = (i: number): ExtraEntry => ordered[i] as ExtraEntry;
    const [extraFirst, extraEnd] = this.#bounds(ordered.length, extraAt, window, this.#largestShiftMs, after);
    let b = isAscending ? baseFirst : baseEnd - 1;
    let e = isAscending ? extraFirst : extraEnd - 1;
    while (true) {
      const hasBase = isAscending ? b < baseEnd : b >= baseFirst;
      const hasExtra = isAscending ? e < extraEnd : e >= extraFirst;
      if (!hasBase && !hasExtra) return;
      if (hasBase && (!hasExtra || (this.#base.times[b] as number) <= extraAt(e).orderMs === isAscending)) {
        if (!this.#base.isMoved(b)) yield b;
        b += step;
      } else {
        if (isInside(extraAt(e).timeMs, window)) yield extraAt(e).seq;
        e += step;
      }
    }
  }

  #extra(seq: number): ExtraEntry {
    const extra = this.#extras[seq - this.#base.count];
    if (extra === undefined) throw new RangeError(`The log has no entry number ${seq}.`);
    return extra;
  }

  #bounds(
    count: number,
    at: (index: number) => LogPosition,
    window: LogWindow,
    shiftMs: number,
    after: LogPosition | undefined,
  ): [first: number, end: number] {
    const untilMs = window.beforeMs + shiftMs;
    let first = firstIndex(count, (i) =>
      window.sinceInclusive ? at(i).orderMs >= window.sinceMs : at(i).orderMs > window.sinceMs,
    );
    let end = firstIndex(count, (i) =>
      window.beforeInclusive || shiftMs > 0 ? at(i).orderMs > untilMs : at(i).orderMs >= untilMs,
    );
    if (after !== undefined && window.direction === 'asc') {
      first = Math.max(
        first,
        firstIndex(count, (i) => compare(at(i), after) > 0),
      );
    } else if (after !== undefined) {
      end = Math.min(
        end,
        firstIndex(count, (i) => compare(at(i), after) >= 0),
      );
    }
    return [first, Math.max(first, end)];
  }
}

const compare = (a: LogPosition, b: LogPosition): number => a.orderMs - b.orderMs || a.seq - b.seq;

function isInside(timeMs: number, window: LogWindow): boolean {
  const isAfterStart = window.sinceInclusive ? timeMs >= window.sinceMs : timeMs > window.sinceMs;
  return isAfterStart && (window.beforeInclusive ? timeMs <= window.beforeMs : timeMs < window.beforeMs);
}

/** First index for which `holds`, else `count`. `holds` is ascending. */
function firstIndex(count: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Default: visible at once, unless `late`. */
export interface EntryOrder {
  readonly timeMs: number;
  readonly visibleAtMs?: number | undefined;
  /** Least length of its text, which then has no defect. */
  readonly bytes?: number | undefined;
}

type Place = Readonly<{ log: AuditLog; voice: Voice; deal: DefectDeal }>;
const equalWithinMs = 1000;

/** With the faults of the data that are on. */
export function newEntry(faults: FaultPlan, { log, voice, deal }: Place, order: EntryOrder): NewEntry {
  const { bytes } = order;
  const occasion = { number: draw(voice.key, log.nextSeq), source: voice.source };
  const happens = (name: FaultName): number | undefined => faults.fires(name, occasion);
  const lastMs = log.lastTimeMs ?? Number.NEGATIVE_INFINITY;
  // Only right after the last entry: later, it would be a late one.
  const canBeEqual = Math.abs(order.timeMs - lastMs) <= equalWithinMs;
  const timeMs = canBeEqual && happens('equal_timestamps') !== undefined ? lastMs : order.timeMs;
  const late = order.visibleAtMs === undefined ? happens('late') : undefined;
  const moved = happens('out_of_order');
  const marks =
    (happens('unknown_enums') === undefined ? 0 : entryMark.unknownEnum) +
    (happens('cf_rayid') === undefined ? 0 : entryMark.oldRayKey);
  const defect = bytes === undefined ? deal.next(log.nextSeq) : undefined;
  const lateAtMs = late === undefined ? 0 : timeMs + lateness(late, faults.parameters.lateDelayMs);
  return {
    timeMs,
    orderMs: moved === undefined ? timeMs : timeMs + 1 + (moved % 5000),
    visibleAtMs: order.visibleAtMs ?? lateAtMs,
    text: (index) => {
      if (defect !== undefined) return defectiveText(voice, index, timeMs, marks, defect);
      const parts = entryParts(voice, index, timeMs, marks);
      if (bytes !== undefined) padParts(parts, bytes);
      return joinParts(parts);
    },
  };
}

export interface TrueEntry {
  readonly sourceKind: SourceKind;
  /** Organization or account of the log. */
  readonly sourceId: string;
  /** Null if a text column could not hold it. */
  readonly id: string | null;
  /** Lower-case hexadecimal, of the first exact text (UTF-8). */
  readonly sha256: string;
  /** As written; null if missing or no date. */
  readonly actionTime: string | null;
  /** By which the log orders and selects. Milliseconds since the epoch. */
  readonly logTimeMs: number;
  /** sha256 of later texts (`changed_content`), oldest first. */
  readonly changes: readonly string[];
  raw(): string;
}

export function trueEntry(
  { kind, id }: SourceRef,
  log: AuditLog,
  seq: number,
  sha256: (text: string) => string,
): TrueEntry {
  const text = log.originalText(seq);
  const logTimeMs = log.timeMs(seq);
  // Reading a million plain entries takes seconds; their id has a fixed place.
  const facts = log.isPlain(seq)
    ? { id: text.slice(7, text.indexOf('"', 7)), actionTime: timeText(logTimeMs) }
    : readFacts(text);
  return {
    sourceKind: kind,
    sourceId: id,
    ...facts,
    sha256: sha256(text),
    logTimeMs,
    changes: log.revisions(seq).map(sha256),
    raw: () => log.originalText(seq),
  };
}
