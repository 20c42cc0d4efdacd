import { type Coverage, endOfReadFrom } from '../../planning/coverage.ts';
import { idleLane, type KnownHole, type LaneState, type OlderTurn } from '../../planning/lane.ts';
import type { Lane } from '../../planning/lanes.ts';
import type { SourceProgress } from '../../planning/planner.ts';
import type { ScrubRound } from '../../planning/scrub.ts';

/**
 * All of a source's progress that decides whether its lanes have something to do, and not how wide a window they would read: in numbers, a
 * tenth of the memory. A source with an open walk, one of few, stays as it is.
 */
export type PackedProgress = readonly number[] | SourceProgress;

const isOpen = (progress: SourceProgress): boolean =>
  Object.values(progress.lanes).some((state) => state?.walk !== undefined);

/** `unpacked` gives it back. Used to remember what a process has loaded. */
export const packed = (progress: SourceProgress): PackedProgress => {
  const { coverage, unproven = [], readBefore = [], lanes, holes, largestPage } = progress;
  if (isOpen(progress)) return { coverage, unproven, readBefore, lanes, holes, largestPage };
  const round = lanes.scrub?.round;
  const older = lanes.backfill?.older;
  return [
    coverage.length,
    ...coverage.flatMap(packedRanges),
    ...packedRanges(unproven),
    ...packedRanges(readBefore),
    holes.length,
    ...holes.flatMap(({ pass, due, range }) => [pass, Number(due), range.fromMs, range.toMs]),
    ...(round === undefined ? [0] : [1, round.number, round.beganMs, round.untilMs, ...packedRanges(round.read)]),
    ...(older === undefined ? [0] : [1, Number(older.due), older.beforeMs]),
  ];
};

const packedRanges = (ranges: Coverage): readonly number[] => [
  ranges.length,
  ...ranges.flatMap(({ fromMs, toMs }) => [fromMs, toMs]),
];

/** What `packed` was given, as far as it decides which lanes have something to do. */
export const unpacked = (progress: PackedProgress): SourceProgress => {
  if (!isNumbers(progress)) return progress;
  const numbers = new Numbers(progress);
  const coverage = numbers.list(() => numbers.ranges());
  const unproven = numbers.ranges();
  const readBefore = numbers.ranges();
  const holes = numbers.list((): KnownHole => {
    const pass = numbers.next();
    const due = numbers.next() === 1;
    return { pass, due, range: numbers.range(), reason: '' };
  });
  const [round] = numbers.list((): ScrubRound => {
    const number = numbers.next();
    const beganMs = numbers.next();
    const untilMs = numbers.next();
    return { number, beganMs, untilMs, read: numbers.ranges() };
  });
  const [older] = numbers.list((): OlderTurn => {
    const due = numbers.next() === 1;
    return { due, beforeMs: numbers.next() };
  });
  return { coverage, unproven, readBefore, holes, lanes: lanesWith(round, older), largestPage: 0 };
};

/** `endOfReadFrom` of the first reading, without unpacking it: every plan asks that of all sources. */
export const readUpTo = (progress: PackedProgress, fromMs: number): number => {
  if (!isNumbers(progress)) return endOfReadFrom(fromMs, progress.coverage[0] ?? []);
  const [passes = 0, ranges = 0] = progress;
  // What follows is the first pass: two numbers for each range.
  const endAt = passes === 0 ? 0 : FIRST_RANGE_AT + 2 * ranges;
  for (let at = FIRST_RANGE_AT; at < endAt; at += 2) {
    const toMs = progress[at + 1] ?? 0;
    if (toMs > fromMs) return (progress[at] ?? 0) <= fromMs ? toMs : fromMs;
  }
  return fromMs;
};

/** Before it: the number of passes, and the number of ranges of the first one. */
const FIRST_RANGE_AT = 2;

const isNumbers = (progress: PackedProgress): progress is readonly number[] => Array.isArray(progress);

const lanesWith = (
  round: ScrubRound | undefined,
  older: OlderTurn | undefined,
): Partial<Readonly<Record<Lane, LaneState>>> => ({
  ...(round && { scrub: { ...idleLane, round } }),
  ...(older && { backfill: { ...idleLane, older } }),
});

/** Reads them one after the other. */
class Numbers {
  readonly #numbers: readonly number[];
  #at = 0;

  constructor(numbers: readonly number[]) {
    this.#numbers = numbers;
  }

  next(): number {
    const number = this.#numbers[this.#at] ?? 0;
    this.#at += 1;
    return number;
  }

  range(): Coverage[number] {
    const fromMs = this.next();
    return { fromMs, toMs: this.next() };
  }

  ranges(): Coverage {
    return this.list(() => this.range());
  }

  /** As many as the next number says. */
  list<T>(read: () => T): T[] {
    const list: T[] = [];
    for (let left = this.next(); left > 0; left -= 1) list.push(read());
    return list;
  }
}
