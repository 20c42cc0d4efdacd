import { endOfReadFrom, type Range } from '../planning/coverage.ts';
import { type PlanPolicy, planLane, type SourceProgress } from '../planning/planner.ts';
import { type PolledSource, spreadOf } from '../planning/poll-interval.ts';
import type { SourceKey, SourceState } from '../planning/source.ts';
import type { Lane } from '../planning/walk.ts';

/** Just enough to tell when the live tail is due, and whether anything else has changed. */
export interface SourceSurvey
  extends SourceKey,
    Pick<SourceState, 'refused' | 'heldElsewhere' | 'restMs' | 'eventRate' | 'largestPage'> {
  /** Differs once anything has changed that a plan depends on, but for what is here. */
  readonly version: string;
  /** The first reading may lack some in between. */
  readonly readSpan: Range | undefined;
  readonly walking: boolean;
}

export interface PlannedSource
  extends SourceKey,
    PolledSource,
    Pick<SourceState, 'refused' | 'heldElsewhere' | 'restMs'> {
  readonly source: SourceKey;
  /** Up to where everything from `fromMs` on has been read; undefined while not known. */
  readUpTo(fromMs: number): number | undefined;
  /** Undefined if the lane has nothing to do, or more of the source must be known first. */
  progressFor(lane: Lane, nowMs: number, policy: PlanPolicy): SourceProgress | undefined;
  noteIdle(lane: Lane, progress: SourceProgress, nowMs: number, policy: PlanPolicy): void;
}

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
