import { randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { kill, pid } from 'node:process';
import type { Time } from '../base/time.ts';

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

/** Names this process in leases: `HOST/PID/NAMESPACE-RANDOM`. A pid means something only within its namespace. */
export const createProcessIdentity = (): string =>
  `${hostname()}/${pid}/${pidNamespace()}-${randomBytes(4).toString('hex')}`;

/**
 * True if an owner is known to be dead: a process of this host and pid namespace whose pid is free, or is now our own.
 * Says nothing of other hosts and containers, be they of the same name: their leases run out.
 */
export const isDeadOwner = (owner: string, self: string): boolean => {
  const [host, ownerPid, instance] = owner.split('/');
  if (owner === self || host !== hostname() || instance?.split('-')[0] !== pidNamespace()) return false;
  return Number(ownerPid) === pid || !isAlive(Number(ownerPid));
};

/** The number of the pid namespace; `host` if the system has none. */
const pidNamespace = (): string => {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? 'host';
  } catch {
    return 'host';
  }
};

const isAlive = (otherPid: number): boolean => {
  try {
    return otherPid > 0 && kill(otherPid, 0);
  } catch (error) {
    // EPERM: the process is alive but belongs to another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
};
