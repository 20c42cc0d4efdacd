import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import type { Time } from '../../base/time.ts';
import { LeaseLostError, LeaseRefused, leasedRun } from '../../postgres/leases.ts';
import { Builder, type BuilderOptions, type HeldClaim, type StepResult } from './builder.ts';
import type { EvidenceStore } from './evidence-store.sql.ts';
import type { Claim } from './ports.ts';

export interface BuildingOptions extends BuilderOptions, LeaseOfBuilder {
  /** ORGTRAIL_EVIDENCE_INTERVAL. */
  readonly intervalMs: number;
  /** Resolves when there may be events behind a position, or after the timeout. */
  readonly waitBeyond: (position: number, timeoutMs: number, signal: AbortSignal) => Promise<void>;
  /** Once until it works again. */
  readonly onError: (reason: string) => void;
  /** For as long as the lease is held. */
  readonly anchor?: (builder: Builder, signal: AbortSignal) => Promise<void>;
  /** For as long as the lease is held: what is stored is compared with the log. */
  readonly verify?: (claim: Claim, signal: AbortSignal) => Promise<void>;
  /** Called with each lease, until it succeeds. */
  readonly noteSettings?: (claim: Claim) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Waiting events that are worth a checkpoint before the interval is over. */
const EVENTS_WORTH_ONE = 5_000;
const STALE_PAUSE_MS = 100;
const THIN_EVERY_MS = 3_600_000;

/** One process at a time; the others wait for its lease. What fails is retried after the interval. */
export const buildForever = async (options: BuildingOptions): Promise<void> => {
  const { time, intervalMs, onError, signal } = options;
  const builder = new Builder(options);
  let told: string | undefined;
  while (!signal.aborted) {
    try {
      await holdLease(builder, options, () => {
        told = undefined;
      });
    } catch (error) {
      const reason = reasonOf(error);
      if (!signal.aborted && reason !== told) onError(reason);
      told = reason;
      if (error instanceof OrgtrailError) await options.store.refuse(error.message).catch(() => {});
    }
    await time.sleep(intervalMs, signal).catch(() => {});
  }
};

export interface LeaseOfBuilder {
  readonly store: EvidenceStore;
  readonly time: Time;
  readonly leaseMs: number;
}

/** Resolves with why `run` did not run, or did not end, if the lease is another's. */
export const withLease = async <R>(
  { store, ...lease }: LeaseOfBuilder,
  run: (claim: HeldClaim, lost: AbortSignal) => Promise<R>,
): Promise<R | LeaseRefused<undefined> | LeaseLostError> =>
  await leasedRun<Claim, undefined, R>(lease, {
    claim: async () => {
      const claimed = await store.claim();
      return 'epoch' in claimed ? claimed : new LeaseRefused(undefined);
    },
    renew: (claim) => store.renew(claim),
    release: (claim) => store.release(claim),
    run: (claim, kept) => run({ ...claim, throwIfLost: () => kept.throwIfLost() }, kept.lost),
  });

const holdLease = async (builder: Builder, options: BuildingOptions, onStep: () => void): Promise<void> => {
  await builder.open();
  await withLease(options, async (held, lost) => {
    const noteSettings = untilNoted(options, held);
    await noteSettings();
    const ended = new AbortController();
    const over = AbortSignal.any([options.signal, lost, ended.signal]);
    const beside = [options.anchor?.(builder, over), options.verify?.(held, over)];
    try {
      await buildWhileHeld(builder, held, { ...options, noteSettings }, over, onStep);
    } finally {
      ended.abort();
      await Promise.all(beside);
    }
  });
};

/** Retried after a failure: what is shown of the settings is not worth a log that stands still. */
const untilNoted = ({ noteSettings, onError }: BuildingOptions, claim: Claim): (() => Promise<void>) => {
  let isNoted = noteSettings === undefined;
  let told: string | undefined;
  return async () => {
    if (isNoted) return;
    try {
      await noteSettings?.(claim);
      isNoted = true;
    } catch (error) {
      const reason = reasonOf(error);
      if (reason !== told) onError(reason);
      told = reason;
    }
  };
};

const buildWhileHeld = async (
  builder: Builder,
  claim: HeldClaim,
  options: BuildingOptions & { readonly noteSettings: () => Promise<void> },
  over: AbortSignal,
  onStep: () => void,
): Promise<void> => {
  const { store, time, intervalMs } = options;
  const pace = new Pace();
  let thinnedMs = Number.NEGATIVE_INFINITY;
  while (!over.aborted) {
    const { startedMs, position, kind } = await buildUntilDone(builder, claim, { ...options, pace }, over);
    onStep();
    await options.noteSettings();
    // A process with the next key carries out the order; if there is none, this one goes on after the pause.
    if (builder.isToYield) return;
    // Another replica may have the key that fits, or an operator has begun the next log.
    if (kind === 'stopped') await time.sleep(intervalMs, over).catch(() => {});
    if (time.nowMs() - thinnedMs > THIN_EVERY_MS) {
      await store.thin();
      thinnedMs = time.nowMs();
    }
    await waitForWork(options, { position, startedMs, busyForMs: builder.busyForMs }, over);
  }
};

const buildUntilDone = async (
  builder: Builder,
  claim: HeldClaim,
  { store, time, intervalMs, pace }: BuildingOptions & { readonly pace: Pace },
  over: AbortSignal,
): Promise<StepResult & { readonly startedMs: number }> => {
  const startedMs = time.nowMs();
  let signedMs = startedMs;
  for (;;) {
    claim.throwIfLost();
    const signs = time.nowMs() - signedMs >= intervalMs;
    const stepMs = time.nowMs();
    const result = await builder.step(claim, signs);
    if (signs) signedMs = time.nowMs();
    const pauseMs = pace.pauseAfter({ ...result, startedMs: stepMs, endedMs: time.nowMs() });
    if (pauseMs > 0) await time.sleep(pauseMs, over).catch(() => {});
    if (result.kind === 'done' || result.kind === 'stopped' || over.aborted) return { ...result, startedMs };
    if (result.kind === 'stale') {
      if (!(await store.renew(claim))) throw new LeaseLostError();
      await time.sleep(STALE_PAUSE_MS, over).catch(() => {});
    }
  }
};

/** The first event after a quiet time is signed at once; of many, a checkpoint is made after the interval, or if they are many. */
const waitForWork = async (
  { time, intervalMs, waitBeyond }: BuildingOptions,
  { position, startedMs, busyForMs }: { position: number; startedMs: number; busyForMs: number | undefined },
  over: AbortSignal,
): Promise<void> => {
  // Sources that wait for their statements have a turn before the interval is over.
  if (busyForMs !== undefined) return await waitBeyond(position + EVENTS_WORTH_ONE - 1, busyForMs, over);
  const restMs = startedMs + intervalMs - time.nowMs();
  if (restMs > 0) await waitBeyond(position + EVENTS_WORTH_ONE - 1, restMs, over);
  if (!over.aborted) await waitBeyond(position, intervalMs, over);
};

/** For commands: until nothing is left to do. Undefined: another process builds, or took over. */
export const buildOnce = async (builder: Builder, lease: LeaseOfBuilder): Promise<'done' | 'stopped' | undefined> => {
  await builder.open();
  const result = await withLease(lease, async (held) => {
    for (;;) {
      held.throwIfLost();
      const { kind } = await builder.step(held);
      if (kind !== 'more') return kind;
    }
  });
  return result === 'stopped' || result === 'done' ? result : undefined;
};

/** Events that come in at this share of the rate at which leaves are made keep the machine busy. */
const BUSY_SHARE = 0.5;
/** Of the time that a step took: 0.71 of the rate without a builder became 0.82 on two full cores; longer pauses gain little. */
const PAUSE_SHARE = 2;

interface PacedStep {
  /** Leaves after the step. */
  readonly size: number;
  /** Of the feed before the step; undefined if it did not look. */
  readonly head?: number;
  readonly startedMs: number;
  readonly endedMs: number;
}

/** Leaves ingestion its share of the machine: while events come in nearly as fast as leaves are made, each step is followed by a pause. */
class Pace {
  #before: PacedStep | undefined;

  /** In milliseconds. */
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
