import type { KeptLease } from '../../../postgres/leases/keep-lease.ts';
import type { PageAnswer } from '../../entries/page.ts';
import { isWithin, type Range } from '../../planning/coverage.ts';
import type { LaneState } from '../../planning/lane.ts';
import type { SourceProgress } from '../../planning/planner.ts';
import type { EventRate } from '../../planning/polling/event-rate.ts';
import { readAgainAfterMs, SCRUB_PASS } from '../../planning/scrub.ts';
import type { Lease, Reading, SourceState } from '../../planning/source.ts';
import type { Walk } from '../../planning/walk.ts';
import type { SyncContext } from '../ports.ts';
import type { Job } from '../work-pool.ts';

/** The pass that a window is read for. */
export const passOf = ({ job, progress }: Pick<Turn, 'job' | 'progress'>, claim: Walk['claim']): number => {
  if (job.lane === 'scrub') return SCRUB_PASS;
  if (job.lane !== 'settle') return 0;
  const lacking = progress.coverage.findIndex(
    (ranges, pass) => pass > 0 && !ranges.some((each) => isWithin(claim, each)),
  );
  return lacking === -1 ? progress.coverage.length : lacking;
};

/** The record of a walk that has been read to its end: when and how its time was proven. */
export const readingOf = (
  turn: Pick<Turn, 'context' | 'job' | 'progress'>,
  { claim, direction, round }: Walk,
): Reading => {
  const how = { range: claim, direction, againAfterMs: readAgainAfterMs(turn.context.scrub?.everyMs) };
  if (round !== undefined) return { ...how, method: 'scrub', number: round.number };
  const pass = passOf(turn, claim);
  return { ...how, method: pass === 0 ? 'first reading' : 'pass', number: pass };
};

export interface TurnOptions {
  /** Aborts at once what is under way. */
  readonly signal: AbortSignal;
  /** True once no further page should be begun (shutdown); the page in hand is still committed. */
  readonly stopping: () => boolean;
}

/** One source in the hands of this process, for a few pages of one lane. */
export interface Turn {
  readonly context: SyncContext;
  readonly job: Job;
  readonly options: TurnOptions;
  readonly source: SourceState;
  readonly kept: KeptLease;
  lease: Lease;
  /** The lane at work, as last committed. */
  state: LaneState;
  progress: SourceProgress;
  eventRate: EventRate | undefined;
  largestPage: number;
  pages: number;
  /** That it has asked for, retries of the client not counted. */
  requests: number;
  /** Cloudflare's time: as planned, or as one of this turn's answers put it if that was earlier. Nothing later can be claimed. */
  nowMs: number;
  /** Its last commit has given the lease back: nothing more may be committed. */
  isReleased: boolean;
  /** What is being read. */
  window: Range | undefined;
  /** Answers that are no pages of the walk: to questions that prove its end, or parts of a second. */
  readonly asked: PageAnswer[];
}
