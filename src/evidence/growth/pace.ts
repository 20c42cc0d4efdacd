/** Events that come in at this share of the rate at which leaves are made keep the machine busy. */
const BUSY_SHARE = 0.5;
/** Of the time that a step took: 0.71 of the rate without a builder became 0.82 on two full cores; longer pauses gain little. */
const PAUSE_SHARE = 2;

/** What one step of the builder saw and did. */
export interface PacedStep {
  /** Leaves of `events` after it. */
  readonly size: number;
  /** Of the feed, as the step began; undefined if it did not look. */
  readonly head?: number;
  readonly startedMs: number;
  readonly endedMs: number;
}

/**
 * Leaves ingestion its share of the machine: while events come in nearly as fast as leaves are made of them, each step is followed by a pause.
 * The log gets behind by that, and catches up at full speed once fewer come in.
 */
export class Pace {
  #before: PacedStep | undefined;

  /** How long to wait after this step, in milliseconds. */
  pauseAfter(step: PacedStep): number {
    const before = this.#before;
    this.#before = step;
    const tookMs = step.endedMs - step.startedMs;
    const sinceMs = step.startedMs - (before?.startedMs ?? step.startedMs);
    if (before?.head === undefined || step.head === undefined || tookMs <= 0 || sinceMs <= 0) return 0;
    const leavesPerMs = (step.size - before.size) / tookMs;
    const eventsPerMs = (step.head - before.head) / sinceMs;
    return leavesPerMs > 0 && eventsPerMs >= leavesPerMs * BUSY_SHARE ? tookMs * PAUSE_SHARE : 0;
  }
}
