import { expect, it, test } from 'vitest';
import { keepLease, type LeasedWork, LeaseLostError, LeaseRefused, leasedRun } from '../../../src/postgres/leases.ts';
import { pauseAfterTryMs } from '../../../src/postgres/schema/online-index.ts';
import { manualTime } from '../../support/process/manual-time.ts';

it('keepLease renews three times a lease, for as long as it takes', async () => {
  const { time, pass } = manualTime();
  let renewals = 0;
  const renew = async () => {
    renewals += 1;
    return true;
  };
  const kept = keepLease(time, { takenAtMs: time.nowMs(), leaseMs: LEASE_MS, renew });
  await pass(3_000);
  expect(kept.lost.aborted).toBe(false);
  expect(renewals).toBeGreaterThanOrEqual(29);
  kept.end();
  await pass(1_000);
  expect(renewals).toBeLessThanOrEqual(31);
  expect(kept.lost.aborted).toBe(false);
});

it('keepLease is lost at once when another replica has it', async () => {
  const { time, pass } = manualTime();
  const kept = keepLease(time, { takenAtMs: time.nowMs(), leaseMs: LEASE_MS, renew: async () => false });
  await pass(101);
  expect(kept.lost.reason).toBeInstanceOf(LeaseLostError);
  expect(() => kept.throwIfLost()).toThrow(LeaseLostError);
});

it('keepLease is lost when the database is away, or does not answer, for a whole lease and not before', async () => {
  for (const renew of [() => Promise.reject(new Error('away')), () => new Promise<boolean>(() => {})]) {
    const { time, pass } = manualTime();
    const kept = keepLease(time, { takenAtMs: time.nowMs(), leaseMs: LEASE_MS, renew });
    await pass(LEASE_MS - 1);
    expect(kept.lost.aborted).toBe(false);
    await pass(1);
    expect(kept.lost.aborted).toBe(true);
  }
});

it('keepLease counts from when the statement was sent, whatever the answer took; a commit renews, too', async () => {
  const { time, pass } = manualTime();
  const renew = () => Promise.reject(new Error('away'));
  const kept = keepLease(time, { takenAtMs: time.nowMs() - 200, leaseMs: LEASE_MS, renew });
  await pass(50);
  kept.renewed(time.nowMs());
  await pass(LEASE_MS - 1);
  expect(kept.lost.aborted).toBe(false);
  await pass(1);
  expect(kept.lost.aborted).toBe(true);
});

it('keepLease after a pause of the process it is lost before any timer has run (invariant 7)', async () => {
  const { time, pass } = manualTime();
  const kept = keepLease(time, { takenAtMs: time.nowMs(), leaseMs: LEASE_MS, renew: async () => true });
  kept.throwIfLost();
  const waking = pass(LEASE_MS, 1);
  expect(() => kept.throwIfLost()).toThrow(LeaseLostError);
  await waking;
  expect(kept.lost.aborted).toBe(true);
});

/** A run of a lease called `epoch 1`, and the calls in their order. */
const startRun = (work: Partial<LeasedWork<string, string, unknown>>) => {
  const calls: string[] = [];
  const { time, pass } = manualTime();
  const noted =
    <Value>(name: string, value: Value) =>
    async (lease?: string): Promise<Value> => {
      calls.push(lease === undefined ? name : `${name} ${lease}`);
      return value;
    };
  const ended = leasedRun<string, string, unknown>(
    { time, leaseMs: LEASE_MS },
    {
      claim: noted('claim', 'epoch 1'),
      renew: noted('renew', true),
      release: noted('release', undefined),
      run: noted('run', 'result'),
      ...work,
    },
  );
  return { ended, calls, pass };
};

/** What waits for the end of a lease: rejects with its reason. */
const untilLost = (lost: AbortSignal): Promise<never> =>
  new Promise((_, reject) => lost.addEventListener('abort', () => reject(lost.reason), { once: true }));

it('leasedRun acquires the lease, runs and releases it', async () => {
  const { ended, calls } = startRun({});
  expect(await ended).toBe('result');
  expect(calls).toEqual(['claim', 'run epoch 1', 'release epoch 1']);
});

it('leasedRun does not run, and releases nothing, if the claim is refused', async () => {
  const { ended, calls } = startRun({ claim: async () => new LeaseRefused('another replica') });
  expect(await ended).toEqual(new LeaseRefused('another replica'));
  expect(calls).toEqual([]);
});

it('leasedRun throws what the claim throws, and releases nothing', async () => {
  const { ended, calls } = startRun({ claim: () => Promise.reject(new Error('away')) });
  await expect(ended).rejects.toThrow('away');
  expect(calls).toEqual([]);
});

it('leasedRun renews while it runs, and not after', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { ended, calls, pass } = startRun({ run: () => promise });
  await pass(2 * LEASE_MS);
  const renewals = calls.filter((call) => call === 'renew epoch 1').length;
  expect(renewals).toBeGreaterThanOrEqual(5);
  resolve();
  await ended;
  await pass(2 * LEASE_MS);
  expect(calls.filter((call) => call === 'renew epoch 1')).toHaveLength(renewals);
  expect(calls.at(-1)).toBe('release epoch 1');
});

it('leasedRun resolves with the loss if another replica takes the lease while it runs', async () => {
  const { ended, calls, pass } = startRun({
    renew: async () => false,
    run: (_, kept) => untilLost(kept.lost),
  });
  await pass(LEASE_MS / 2);
  expect(await ended).toBeInstanceOf(LeaseLostError);
  expect(calls).toEqual(['claim', 'release epoch 1']);
});

it('leasedRun counts the lease from before the claim was sent', async () => {
  const claimed = Promise.withResolvers<string>();
  const { ended, pass } = startRun({
    claim: () => claimed.promise,
    renew: () => Promise.reject(new Error('away')),
    run: async (_, kept) => kept.throwIfLost(),
  });
  await pass(LEASE_MS);
  claimed.resolve('epoch 1');
  expect(await ended).toBeInstanceOf(LeaseLostError);
});

it('leasedRun releases after an error, and throws that error even if the release fails', async () => {
  let released = false;
  const { ended } = startRun({
    run: () => Promise.reject(new Error('broken')),
    release: () => {
      released = true;
      return Promise.reject(new Error('away'));
    },
  });
  await expect(ended).rejects.toThrow('broken');
  expect(released).toBe(true);
});

it('leasedRun releases when a stop aborts the run', async () => {
  const stop = new AbortController();
  const { ended, calls, pass } = startRun({
    run: (_, kept) => untilLost(AbortSignal.any([stop.signal, kept.lost])),
  });
  await pass(10);
  stop.abort(new Error('stopping'));
  await expect(ended).rejects.toThrow('stopping');
  expect(calls.at(-1)).toBe('release epoch 1');
});

it('leasedRun leaves the release to the run if there is none', async () => {
  const { ended, calls } = startRun({ release: undefined as never });
  expect(await ended).toBe('result');
  expect(calls).toEqual(['claim', 'run epoch 1']);
});

test('a statement asks for its lock ever less often, so that writers get most of the time', () =>
  expect([1, 2, 3, 4, 5, 6, 100].map(pauseAfterTryMs)).toEqual([200, 400, 800, 1_600, 3_200, 5_000, 5_000]));

const LEASE_MS = 300;
