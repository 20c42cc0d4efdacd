import { describe, expect, it } from 'vitest';
import { keepLease, LeaseLostError } from '../../../src/postgres/leases/keep-lease.ts';
import { manualTime } from '../../support/process/manual-time.ts';

const LEASE_MS = 300;

describe('keepLease', () => {
  it('renews three times a lease, for as long as it takes', async () => {
    const { time, pass } = manualTime();
    let renewals = 0;
    const kept = keepLease(time, {
      takenAtMs: time.nowMs(),
      leaseMs: LEASE_MS,
      renew: async () => {
        renewals += 1;
        return true;
      },
    });
    await pass(3_000);
    expect(kept.lost.aborted).toBe(false);
    expect(renewals).toBeGreaterThanOrEqual(29);
    kept.end();
    await pass(1_000);
    expect(renewals).toBeLessThanOrEqual(31);
    expect(kept.lost.aborted).toBe(false);
  });

  it('is lost at once when another replica has it', async () => {
    const { time, pass } = manualTime();
    const kept = keepLease(time, { takenAtMs: time.nowMs(), leaseMs: LEASE_MS, renew: async () => false });
    await pass(101);
    expect(kept.lost.reason).toBeInstanceOf(LeaseLostError);
    expect(() => kept.throwIfLost()).toThrow(LeaseLostError);
  });

  it('is lost when the database is away, or does not answer, for a whole lease and not before', async () => {
    for (const renew of [() => Promise.reject(new Error('away')), () => new Promise<boolean>(() => {})]) {
      const { time, pass } = manualTime();
      const kept = keepLease(time, { takenAtMs: time.nowMs(), leaseMs: LEASE_MS, renew });
      await pass(LEASE_MS - 1);
      expect(kept.lost.aborted).toBe(false);
      await pass(1);
      expect(kept.lost.aborted).toBe(true);
    }
  });

  it('counts from when the statement was sent, whatever the answer took; a commit renews, too', async () => {
    const { time, pass } = manualTime();
    const kept = keepLease(time, {
      takenAtMs: time.nowMs() - 200,
      leaseMs: LEASE_MS,
      renew: () => Promise.reject(new Error('away')),
    });
    await pass(50);
    kept.renewed(time.nowMs());
    await pass(LEASE_MS - 1);
    expect(kept.lost.aborted).toBe(false);
    await pass(1);
    expect(kept.lost.aborted).toBe(true);
  });

  it('after a pause of the process it is lost before any timer has run', async () => {
    const { time, pass } = manualTime();
    const kept = keepLease(time, { takenAtMs: time.nowMs(), leaseMs: LEASE_MS, renew: async () => true });
    kept.throwIfLost();
    const waking = pass(LEASE_MS, 1);
    expect(() => kept.throwIfLost()).toThrow(LeaseLostError);
    await waking;
    expect(kept.lost.aborted).toBe(true);
  });
});
