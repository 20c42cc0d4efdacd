import type { Time } from '../../time/clock.ts';

/** Three attempts before it runs out. */
const RENEWALS_PER_LEASE = 3;

/** A lease that is renewed while its holder is at work. */
export interface KeptLease {
  /** Aborts when the lease has run out or has gone to another replica: nothing may be asked of Cloudflare from then on. */
  readonly lost: AbortSignal;
  /** Throws LeaseLostError if that is so; knows it even before the signal does, right after a pause of the process. */
  throwIfLost(): void;
  /** Another statement has renewed it, sent at this time. */
  renewed(sentAtMs: number): void;
  /** Ends the renewals. The lease itself is left as it is. */
  end(): void;
}

/** The replica was paused, or cut off from its database, for longer than a lease: another one may have the source. */
export class LeaseLostError extends Error {
  override readonly name: string = 'LeaseLostError';

  constructor() {
    super('the lease has run out or has gone to another replica');
  }
}

/**
 * Renews a lease taken by a statement sent at `takenAtMs`. What the database says of the lease counts for writing; this is
 * so that two replicas do not ask Cloudflare for the same source at once, however long an answer or a block takes.
 */
export const keepLease = (
  time: Time,
  options: { readonly takenAtMs: number; readonly leaseMs: number; readonly renew: () => Promise<boolean> },
): KeptLease => {
  const { leaseMs, renew } = options;
  const lost = new AbortController();
  const ended = new AbortController();
  const over = AbortSignal.any([lost.signal, ended.signal]);
  let validUntilMs = options.takenAtMs + leaseMs;
  const renewed = (sentAtMs: number) => {
    validUntilMs = Math.max(validUntilMs, sentAtMs + leaseMs);
  };
  const lose = () => lost.abort(new LeaseLostError());
  const watch = async (): Promise<void> => {
    while (time.nowMs() < validUntilMs) await time.sleep(validUntilMs - time.nowMs(), over);
    lose();
  };
  const renewAgain = async (): Promise<void> => {
    for (;;) {
      await time.sleep(leaseMs / RENEWALS_PER_LEASE, over);
      const sentAtMs = time.nowMs();
      // A database that is away for a moment does not end the lease: time does.
      const held = await renew().catch(() => undefined);
      if (held === true) renewed(sentAtMs);
      if (held === false) lose();
    }
  };
  // Both end by the rejection of a sleep.
  watch().catch(() => {});
  renewAgain().catch(() => {});
  return {
    lost: lost.signal,
    throwIfLost: () => {
      if (lost.signal.aborted || time.nowMs() >= validUntilMs) throw new LeaseLostError();
    },
    renewed,
    end: () => ended.abort(),
  };
};
