import type { Time } from '../../time/clock.ts';
import { type KeptLease, keepLease, LeaseLostError } from './keep-lease.ts';

/** The part of a worker's context that leases need. */
export interface LeaseContext {
  readonly time: Time;
  /** How long a lease lasts unless it is renewed. */
  readonly leaseMs: number;
}

/** The lease is not to be acquired now, and what the database said instead. */
export class LeaseRefused<Answer> {
  readonly answer: Answer;

  constructor(answer: Answer) {
    this.answer = answer;
  }
}

/** The statements of a lease, and what is done while it is held. */
export interface LeasedWork<Claimed, Answer, Result> {
  claim(): Promise<Claimed | LeaseRefused<Answer>>;
  /** False if the lease has gone to another replica. */
  renew(claimed: Claimed): Promise<boolean>;
  /** Does nothing if the lease has gone. Absent if the last statement of `run` releases it. */
  release?(claimed: Claimed): Promise<void>;
  /** Asks `kept` before it does what only the holder may do. */
  run(claimed: Claimed, kept: KeptLease): Promise<Result>;
}

/**
 * Acquires a lease, renews it while `run` lasts, and releases it however `run` ends. Resolves with what `run` returns, or with why it did
 * not run, or did not end. Throws what `claim` or `run` throws, after the release.
 */
export const leasedRun = async <Claimed, Answer, Result>(
  { time, leaseMs }: LeaseContext,
  { claim, renew, release, run }: LeasedWork<Claimed, Answer, Result>,
): Promise<Result | LeaseRefused<Answer> | LeaseLostError> => {
  // Before the statement is sent: the database counts from a later moment.
  const takenAtMs = time.nowMs();
  const claimed = await claim();
  if (claimed instanceof LeaseRefused) return claimed;
  const kept = keepLease(time, { takenAtMs, leaseMs, renew: () => renew(claimed) });
  try {
    return await run(claimed, kept);
  } catch (error) {
    if (error instanceof LeaseLostError) return error;
    throw error;
  } finally {
    kept.end();
    // If it fails, the lease expires by itself, and the error shows at the next statement.
    await release?.(claimed).catch(() => {});
  }
};
