import type { Time } from '../../base/time.ts';
import { type Coverage, endOfReadFrom, type Range } from '../planning/coverage.ts';
import { idleLane, type KnownHole, type LaneState, type OlderTurn } from '../planning/lane.ts';
import { idleUntilMs, type PlanPolicy, planLane, type SourceProgress } from '../planning/planner.ts';
import { type PolledSource, spreadOf } from '../planning/poll-interval.ts';
import type { ScrubRound } from '../planning/scrub.ts';
import { keyOf, type SourceKey, type SourceState } from '../planning/source.ts';
import type { Lane } from '../planning/walk.ts';
import type { SourceSurvey, SyncContext, SyncStore } from './ports.ts';

interface RefreshOptions extends Pick<SyncContext, 'windows' | 'settleDelaysMs' | 'tickMs'> {
  readonly store: Loads;
  readonly time: Pick<Time, 'nowMs'>;
}

type Loads = Pick<SyncStore, 'surveySources' | 'loadSourcesOf'>;

/** Rows of one statement are all in memory at once. */
const LOADED_AT_ONCE = 1_000;
/** Whatever a version says, nothing is remembered for much longer. */
const REMEMBERED_MS = 3_600_000;
/** Time for loading, beside what else a tick does. */
const LOADING_MS = 250;

/** Each source as it was loaded, until its version changes. What has changed is loaded in the order in which that was
 * seen, so many for each plan: it may come later, and is never left out. */
export class RememberedSources {
  readonly #sources = new Map<string, PlannedSource>();
  /** The longest waiting first. */
  readonly #waiting = new Set<PlannedSource>();
  /** The longest ago first. */
  readonly #loaded = new Set<PlannedSource>();
  /** Live polls that plans had beyond the leave of their ticks, by budget: those after them have less. */
  readonly overdrawn = new Map<string | undefined, number>();
  #round = 0;

  /** As of Cloudflare's time. `whole`: nothing is left for a later plan. */
  async refresh(options: RefreshOptions, nowMs: number, whole: boolean): Promise<readonly PlannedSource[]> {
    const { time, tickMs } = options;
    const sources = await this.#survey(options);
    for (const source of sources) {
      if (source.mustBeLoaded) this.#waiting.add(source);
      else this.#waiting.delete(source);
    }
    const again = Math.ceil((sources.length * tickMs) / REMEMBERED_MS);
    const all = [...this.#waiting, ...this.#oldest(again)];
    const versions = new Map(all.map((source) => [source, source.version]));
    const startedMs = time.nowMs();
    for (let at = 0; at < all.length; at += LOADED_AT_ONCE) {
      if (!whole && at > 0 && time.nowMs() - startedMs >= LOADING_MS) break;
      await this.#load(options, all.slice(at, at + LOADED_AT_ONCE), versions, nowMs);
    }
    return sources;
  }

  async #survey({ store, windows }: RefreshOptions): Promise<readonly PlannedSource[]> {
    this.#round += 1;
    const round = this.#round;
    const sources: PlannedSource[] = [];
    await store.surveySources((survey) => {
      const key = keyOf(survey);
      let source = this.#sources.get(key);
      if (source === undefined) {
        source = new PlannedSource(survey);
        this.#sources.set(key, source);
      }
      source.survey(survey, round);
      sources.push(source);
      windows.sawPage(survey.largestPage);
    });
    if (sources.length < this.#sources.size) this.#forgetThoseBefore(round);
    return sources;
  }

  #forgetThoseBefore(round: number): void {
    for (const [key, source] of this.#sources) {
      if (source.round >= round) continue;
      this.#sources.delete(key);
      this.#loaded.delete(source);
      this.#waiting.delete(source);
    }
  }

  #oldest(most: number): readonly PlannedSource[] {
    const oldest: PlannedSource[] = [];
    for (const source of this.#loaded) {
      if (oldest.length >= most) break;
      if (!this.#waiting.has(source)) oldest.push(source);
    }
    return oldest;
  }

  async #load(
    { store, settleDelaysMs }: RefreshOptions,
    part: readonly PlannedSource[],
    versions: ReadonlyMap<PlannedSource, string>,
    nowMs: number,
  ): Promise<void> {
    const delaysMs = [0, ...settleDelaysMs];
    for (const state of await store.loadSourcesOf(part)) {
      const source = this.#sources.get(keyOf(state));
      const version = source && versions.get(source);
      if (source === undefined || version === undefined) continue;
      source.load(state, version, nowMs, delaysMs);
      this.#waiting.delete(source);
      this.#loaded.delete(source);
      this.#loaded.add(source);
    }
  }
}

/** Until when a lane is idle, and the pause between settle passes by which that was found. */
interface Idle {
  readonly untilMs: number;
  readonly settleMs: number;
}

interface Loaded {
  readonly version: string;
  readonly progress: PackedProgress;
  /** About to be changed otherwise than by a commit. */
  readonly isPassing: boolean;
}

/**
 * A source from plan to plan: from the last survey, and as it was loaded. One of many, so it is made once, and small.
 */
export class PlannedSource implements SourceKey, PolledSource {
  readonly kind: string;
  readonly id: string;
  readonly spread: number;
  refused = false;
  heldElsewhere = false;
  walking = false;
  restMs: SourceState['restMs'] = {};
  eventRate: SourceState['eventRate'];
  round = 0;
  #version = '';
  #readSpan: Range | undefined;
  #loaded: Loaded | undefined;
  #settle: Idle | undefined;
  #backfill: Idle | undefined;
  #scrub: Idle | undefined;

  constructor({ kind, id }: SourceSurvey) {
    this.kind = kind;
    this.id = id;
    this.spread = spreadOf(this);
  }

  get readUntilMs(): number {
    return this.#readSpan?.toMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Up to where everything from `fromMs` on has been read, also if it has changed since; undefined while not known. */
  readUpTo(fromMs: number): number | undefined {
    return this.#loaded && readUpTo(this.#loaded.progress, fromMs);
  }

  get version(): string {
    return this.#version;
  }

  get mustBeLoaded(): boolean {
    return this.#loaded?.version !== this.#version || this.#loaded.isPassing;
  }

  /** What is the same stays the same object: surveys leave no garbage behind. */
  survey(survey: SourceSurvey, round: number): void {
    const { refused, heldElsewhere, walking, restMs, version, eventRate, readSpan } = survey;
    this.round = round;
    this.refused = refused;
    this.heldElsewhere = heldElsewhere;
    this.walking = walking;
    this.restMs = restMs;
    if (this.#version === version) return;
    this.#version = version;
    this.eventRate = eventRate;
    this.#readSpan = readSpan;
  }

  /** `version`: of the survey before. If the source has changed since, the next survey says so. */
  load(state: SourceState, version: string, nowMs: number, delaysMs: readonly number[]): void {
    // What claims the future is about to be cut (trimFuture).
    const isPassing = state.coverage.some((ranges, pass) => (ranges.at(-1)?.toMs ?? 0) > nowMs - (delaysMs[pass] ?? 0));
    this.#loaded = { version, progress: packed(state), isPassing };
    this.#settle = undefined;
    this.#backfill = undefined;
    this.#scrub = undefined;
  }

  /** Undefined if the lane has nothing to do, or more of the source must be known first. */
  progressWithWork(lane: Lane, nowMs: number, policy: PlanPolicy): SourceProgress | undefined {
    const progress = this.#progressFor(lane, nowMs, policy);
    if (progress === undefined || planLane(lane, progress, nowMs, policy) !== undefined) return progress;
    this.#noteIdle(lane, progress, nowMs, policy);
    return undefined;
  }

  /** If the source has changed since it was loaded, the live lane alone is planned, by the end of the first reading as
   * surveyed. (A hole or an open walk may count as well: the turn itself decides.) */
  #progressFor(lane: Lane, nowMs: number, { intervals: { settleMs } }: PlanPolicy): SourceProgress | undefined {
    if (this.#loaded?.version !== this.#version) return lane === 'live' ? this.#surveyed() : undefined;
    const idle = this.#idleOf(lane);
    // The pause between settle passes follows the number of sources: a lane may be idle for less by as much as it has changed.
    if (idle !== undefined && nowMs < idle.untilMs - Math.abs(settleMs - idle.settleMs)) return undefined;
    return unpacked(this.#loaded.progress);
  }

  #noteIdle(lane: Lane, progress: SourceProgress, nowMs: number, policy: PlanPolicy): void {
    if (lane === 'live' || this.#loaded?.version !== this.#version) return;
    const idle = { untilMs: idleUntilMs(lane, progress, nowMs, policy), settleMs: policy.intervals.settleMs };
    if (lane === 'settle') this.#settle = idle;
    else if (lane === 'backfill') this.#backfill = idle;
    else this.#scrub = idle;
  }

  #idleOf(lane: Lane): Idle | undefined {
    if (lane === 'live') return undefined;
    return lane === 'settle' ? this.#settle : lane === 'backfill' ? this.#backfill : this.#scrub;
  }

  #surveyed(): SourceProgress {
    return {
      coverage: [this.#readSpan ? [this.#readSpan] : []],
      lanes: {},
      holes: [],
      largestPage: 0,
      eventRate: this.eventRate,
    };
  }
}

/** All that decides whether lanes have something to do, and not how wide their windows are: in numbers, a tenth of the
 * memory. A source with an open walk, one of few, stays as it is. */
type PackedProgress = readonly number[] | SourceProgress;

const isOpen = (progress: SourceProgress): boolean =>
  Object.values(progress.lanes).some((state) => state?.walk !== undefined);

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

/** Without unpacking it: every plan asks that of all sources. */
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

  list<T>(read: () => T): T[] {
    const list: T[] = [];
    for (let left = this.next(); left > 0; left -= 1) list.push(read());
    return list;
  }
}
