import { addRange, type Range } from '../../../../src/ingest/planning/coverage.ts';
import { afterDone, idleLane, type KnownHole } from '../../../../src/ingest/planning/lane.ts';
import type { SourceProgress } from '../../../../src/ingest/planning/planner.ts';
import { claimForPass, type Walk } from '../../../../src/ingest/planning/walk.ts';

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

/** A source without any history. */
export const idle: SourceProgress = { coverage: [], lanes: {}, holes: [], largestPage: 0 };

/** The walk has been read to its end, which held nothing. */
export const claimed = (progress: SourceProgress, walk: Walk, delaysMs: readonly number[]): SourceProgress => ({
  ...progress,
  coverage: [0, ...delaysMs].map((delayMs, pass) =>
    claimForPass(walk, delayMs).reduce(addRange, progress.coverage[pass] ?? []),
  ),
  lanes: { ...progress.lanes, [walk.lane]: afterDone(progress.lanes[walk.lane] ?? idleLane, walk) },
});

/** One that the API does not serve, and that is not due. */
export const holeOf = (range: Range, more: Partial<KnownHole> = {}): KnownHole => ({
  pass: 0,
  reason: 'server',
  due: false,
  range,
  ...more,
});
