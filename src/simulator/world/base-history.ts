import { type DefectName, defectiveText } from '../entries/entry-defects.ts';
import { draw, entryMark, entryParts, isChosen, joinParts, mix, type Voice } from '../entries/entry-text.ts';
import type { FaultPlan } from '../faults/fault-plan.ts';

/** `endMs`: exclusive. `deal`: also for what is appended, so that what may occur once occurs once. */
type HistoryOptions = Readonly<Record<'count' | 'endMs' | 'lengthMs', number>> &
  Readonly<{ voice: Voice; faults: FaultPlan; deal: DefectDeal }>;

type MovedEntry = Readonly<{ index: number; timeMs: number; orderMs: number }>;
const movedMark = 4;
const strangeMark = 8;

/** The log before the start: a time and a byte per entry, texts on demand, so that a million entries fit in some megabytes. */
export class BaseHistory {
  readonly count: number;
  /** action.time as the log sees it, ascending. Milliseconds since the epoch. */
  readonly times: Float64Array;
  /** Out of their place; `isMoved` is true. */
  readonly moved: readonly MovedEntry[];
  readonly #voice: Voice;
  readonly #marks: Uint8Array;
  readonly #defects = new Map<number, DefectName>();
  readonly #visibleAtMs = new Map<number, number>();

  constructor(options: HistoryOptions) {
    this.count = options.count;
    this.#voice = options.voice;
    this.#marks = new Uint8Array(options.count);
    this.times = historyTimes(options);
    this.#handOutDefects(options);
    this.moved = this.#handOutFaults(options.faults);
  }

  isMoved(index: number): boolean {
    return ((this.#marks[index] as number) & movedMark) !== 0;
  }

  isPlain(index: number): boolean {
    return ((this.#marks[index] as number) & strangeMark) === 0;
  }

  visibleAtMs(index: number): number {
    return this.#visibleAtMs.size === 0 ? 0 : (this.#visibleAtMs.get(index) ?? 0);
  }

  invisibleCount(nowMs: number): number {
    let count = 0;
    for (const [index, visibleAtMs] of this.#visibleAtMs) {
      if (visibleAtMs > nowMs && !this.isMoved(index)) count++;
    }
    return count;
  }

  text(index: number): string {
    const marks = this.#marks[index] as number;
    const timeMs = this.times[index] as number;
    const defect = (marks & strangeMark) === 0 ? undefined : this.#defects.get(index);
    return defect === undefined
      ? joinParts(entryParts(this.#voice, index, timeMs, marks))
      : defectiveText(this.#voice, index, timeMs, marks, defect);
  }

  #handOutDefects({ deal }: HistoryOptions): void {
    for (let index = 0; index < this.count; index++) {
      const defect = deal.next(index);
      if (defect === undefined) continue;
      this.#defects.set(index, defect);
      this.#marks[index] = strangeMark;
    }
  }

  #handOutFaults(faults: FaultPlan): MovedEntry[] {
    const names = ['unknown_enums', 'cf_rayid', 'late', 'out_of_order'] as const;
    const on = names.filter((name) => faults.isOn(name));
    const moved: MovedEntry[] = [];
    if (on.length === 0) return moved;
    const { key, source } = this.#voice;
    const { lateDelayMs } = faults.parameters;
    for (let index = 0; index < this.count; index++) {
      const occasion = { number: draw(key, index), source };
      for (const name of on) {
        const bits = faults.fires(name, occasion);
        if (bits === undefined) continue;
        if (name === 'unknown_enums') this.#mark(index, entryMark.unknownEnum);
        else if (name === 'cf_rayid') this.#mark(index, entryMark.oldRayKey);
        else if (name === 'late')
          this.#visibleAtMs.set(index, (this.times[index] as number) + lateness(bits, lateDelayMs));
        else moved.push(this.#move(index, bits));
      }
    }
    return moved;
  }

  #mark(index: number, mark: number): void {
    this.#marks[index] = (this.#marks[index] as number) | mark;
  }

  #move(index: number, bits: number): MovedEntry {
    this.#mark(index, movedMark);
    // Behind one of the next fifty: appended entries follow those of the same time.
    const behind = Math.min(this.count - 1, index + 1 + (bits % 50));
    return { index, timeMs: this.times[index] as number, orderMs: this.times[behind] as number };
  }
}

/** Between half of the delay and all of it. Milliseconds. */
export const lateness = (bits: number, lateDelayMs: number): number =>
  lateDelayMs / 2 + (bits % 1000) * (lateDelayMs / 2000);

/** Hands out defects in turn, at the configured rate. */
export class DefectDeal {
  readonly #voice: Voice;
  readonly #faults: FaultPlan;
  readonly #dealt = new Map<DefectName, number>();
  #turn: number;

  constructor(voice: Voice, faults: FaultPlan) {
    this.#voice = voice;
    this.#faults = faults;
    this.#turn = voice.key % 1000;
  }

  next(index: number): DefectName | undefined {
    const { defectRate, defects } = this.#faults.parameters;
    if (defectRate === 0 || defects.length === 0) return undefined;
    if (!isChosen(draw(this.#voice.key + 3, index), defectRate)) return undefined;
    const defect = defects[this.#turn++ % defects.length] as DefectName;
    const dealt = this.#dealt.get(defect) ?? 0;
    // A second `null` would not be unique, and megabytes add up.
    if (dealt >= (defect === 'null_entry' ? 1 : defect === 'large_entry' ? 3 : Number.POSITIVE_INFINITY))
      return 'no_id';
    this.#dealt.set(defect, dealt + 1);
    return defect;
  }
}

// With jitter, two of three on full seconds, as in the API.
function historyTimes({ voice, count, endMs, lengthMs, faults }: HistoryOptions): Float64Array {
  const times = new Float64Array(count);
  const canBeEqual = faults.isOn('equal_timestamps');
  let previous = 0;
  for (let index = 0; index < count; index++) {
    const bits = draw(voice.key + 1, index);
    const drawn = Math.floor(endMs - lengthMs + ((index + bits / 4294967296) * lengthMs) / count);
    const fullSecond = drawn - (drawn % 1000);
    let timeMs = bits % 3 !== 0 && fullSecond >= previous ? fullSecond : Math.max(drawn, previous);
    if (canBeEqual && index > 0) {
      const occasion = { number: mix(bits), source: voice.source };
      if (faults.fires('equal_timestamps', occasion) !== undefined) timeMs = previous;
    }
    times[index] = timeMs;
    previous = timeMs;
  }
  return times;
}
