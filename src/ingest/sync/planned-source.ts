import { endOfReadFrom, type Range } from '../planning/coverage.ts';
import { type PlanPolicy, planLane, type SourceProgress } from '../planning/planner.ts';
import { type PolledSource, spreadOf } from '../planning/poll-interval.ts';
import type { SourceKey, SourceState } from '../planning/source.ts';
import type { Lane } from '../planning/walk.ts';

/** What a statement over all sources says of each: as much as tells when its live tail is due, and whether anything else has changed. */
export interface SourceSurvey
  extends SourceKey,
    Pick<SourceState, 'refused' | 'heldElsewhere' | 'restMs' | 'eventRate' | 'largestPage'> {
  /** Differs once anything of the source has changed that a plan depends on, but for what is here. */
  readonly version: string;
  /** From the beginning to the end of what the first reading has read; it may lack some in between. */
  readonly readSpan: Range | undefined;
  /** A walk of its live tail is open. */
  readonly walking: boolean;
}

/** A source as a plan takes it, whether all of it was loaded or it is remembered. */
export interface PlannedSource
  extends SourceKey,
    PolledSource,
    Pick<SourceState, 'refused' | 'heldElsewhere' | 'restMs'> {
  /** What names it in jobs. */
  readonly source: SourceKey;
  /** Up to where the first reading has read everything from `fromMs` on; undefined while that is not known. */
  readUpTo(fromMs: number): number | undefined;
  /** All that is known of it; undefined if the lane is known to have nothing to do, or cannot be planned before more of the source is known. */
  progressFor(lane: Lane, nowMs: number, policy: PlanPolicy): SourceProgress | undefined;
  /** Such a lane has nothing to do as of `nowMs`. */
  noteIdle(lane: Lane, progress: SourceProgress, nowMs: number, policy: PlanPolicy): void;
}

/** All that is known of it, if the lane has something to do. */
export const progressWithWork = (
  planned: PlannedSource,
  lane: Lane,
  nowMs: number,
  policy: PlanPolicy,
): SourceProgress | undefined => {
  const progress = planned.progressFor(lane, nowMs, policy);
  if (progress === undefined || planLane(lane, progress, nowMs, policy) !== undefined) return progress;
  planned.noteIdle(lane, progress, nowMs, policy);
  return undefined;
};

/** Of one that was loaded for this plan. */
export const fromState = (state: SourceState): PlannedSource => ({
  kind: state.kind,
  id: state.id,
  refused: state.refused,
  heldElsewhere: state.heldElsewhere,
  restMs: state.restMs,
  eventRate: state.eventRate,
  walking: state.lanes.live?.walk !== undefined,
  source: state,
  spread: spreadOf(state),
  readUpTo: (fromMs) => endOfReadFrom(fromMs, state.coverage[0] ?? []),
  readUntilMs: state.coverage[0]?.at(-1)?.toMs ?? Number.NEGATIVE_INFINITY,
  progressFor: () => state,
  noteIdle: () => {},
});
