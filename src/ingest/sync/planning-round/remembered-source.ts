import type { Range } from '../../planning/coverage.ts';
import type { Lane } from '../../planning/lanes.ts';
import type { PlanPolicy, SourceProgress } from '../../planning/planner.ts';
import { idleUntilMs } from '../../planning/polling/idle-lanes.ts';
import { spreadOf } from '../../planning/polling/poll-interval.ts';
import type { SourceState } from '../../planning/source.ts';
import { type PackedProgress, packed, readUpTo, unpacked } from './packed-progress.ts';
import type { PlannedSource, SourceSurvey } from './planned-source.ts';

/** Until when a lane has nothing to do, and with which pause between settle passes this was found. */
interface Idle {
  readonly untilMs: number;
  readonly settleMs: number;
}

interface Loaded {
  readonly version: string;
  readonly progress: PackedProgress;
  /** It is about to be changed otherwise than by a commit. */
  readonly isPassing: boolean;
}

/**
 * A source as this process knows it from plan to plan: from the last survey, and as it was loaded, which counts until its version changes. There
 * is one of it for each of many sources, so it is made once, and small.
 */
export class RememberedSource implements PlannedSource {
  readonly kind: string;
  readonly id: string;
  readonly spread: number;
  refused = false;
  heldElsewhere = false;
  walking = false;
  restMs: SourceState['restMs'] = {};
  eventRate: SourceState['eventRate'];
  /** The survey that it was in last. */
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

  get source(): this {
    return this;
  }

  get readUntilMs(): number {
    return this.#readSpan?.toMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Also if it has changed since. */
  readUpTo(fromMs: number): number | undefined {
    return this.#loaded && readUpTo(this.#loaded.progress, fromMs);
  }

  get version(): string {
    return this.#version;
  }

  get mustBeLoaded(): boolean {
    return this.#loaded?.version !== this.#version || this.#loaded.isPassing;
  }

  /** What is the same stays the same object: surveys leave no garbage behind that is as old as they are apart. */
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

  /** `version`: that of the survey before. If the source has changed since, the next survey says so. `delaysMs`: of pass 0, 1, … */
  load(state: SourceState, version: string, nowMs: number, delaysMs: readonly number[]): void {
    // What claims the future is about to be cut (trimFuture).
    const isPassing = state.coverage.some((ranges, pass) => (ranges.at(-1)?.toMs ?? 0) > nowMs - (delaysMs[pass] ?? 0));
    this.#loaded = { version, progress: packed(state), isPassing };
    this.#settle = undefined;
    this.#backfill = undefined;
    this.#scrub = undefined;
  }

  /**
   * If the source has changed since it was loaded, the live lane alone is planned, from what the survey says: there, the end of the first reading is
   * all that counts. (Unless a hole or an open walk does: then the turn itself decides.)
   */
  progressFor(lane: Lane, nowMs: number, { intervals: { settleMs } }: PlanPolicy): SourceProgress | undefined {
    if (this.#loaded?.version !== this.#version) return lane === 'live' ? this.#surveyed() : undefined;
    const idle = this.#idleOf(lane);
    // The pause between settle passes follows the number of sources: a lane may be idle for less by as much as it has changed.
    if (idle !== undefined && nowMs < idle.untilMs - Math.abs(settleMs - idle.settleMs)) return undefined;
    return unpacked(this.#loaded.progress);
  }

  noteIdle(lane: Lane, progress: SourceProgress, nowMs: number, policy: PlanPolicy): void {
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
