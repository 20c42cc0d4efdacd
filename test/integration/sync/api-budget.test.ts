import type { Pool } from 'pg';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import {
  type ApiBudget,
  createApiBudget,
  credentialFingerprint,
  gcraOf,
} from '../../../src/ingest/cloudflare/api-budget.sql.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { openStillClock } from '../../support/postgres/database-clock.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';

const database = databaseOfTests();
/** Of connections whose clock stands still, until the test lets time pass; that of another replica, too. */
let stillPool: Pool;
let otherPool: Pool;
const clock = forAllTests(() => openStillClock(database));
beforeAll(async () => {
  [stillPool, otherPool] = clock.pools;
});

describe('invariant 11: the API budget is held by all replicas together', () => {
  test.each([10, 60, 900])(
    'a clock of the database that goes back stops nothing for longer (%i requests)',
    async (requests) => {
      const fingerprint = `back ${requests}`;
      await takeAll(fingerprint, requests);
      await pass(-3_600_000);
      // The burst counts as used: what goes out comes one by one.
      const wait = await attempt(fingerprint, requests);
      expect(wait).toMatchObject({ because: 'budget' });
      expect((wait as { waitMs: number }).waitMs).toBeLessThanOrEqual(gcraOf(requests).spacingMs + 1);
      const admitted = await clock.inAWindow(() => takeAll(fingerprint, requests));
      expect(admitted).toBeGreaterThan(requests / 2);
      expect(admitted).toBeLessThanOrEqual(requests);
      await pass(3_600_000);
    },
  );

  test.each([10, 60, 900])(
    'no 5 minutes see more than %i requests, however greedy the callers are',
    async (requests) => {
      const atOnce = await takeAll(`greedy ${requests}`, requests);
      expect(atOnce).toBeGreaterThanOrEqual(Math.floor(requests / 10));
      const admitted = atOnce + (await clock.inAWindow(() => takeAll(`greedy ${requests}`, requests)));
      expect(admitted).toBeLessThanOrEqual(requests);
      expect(admitted, 'and the budget is used').toBeGreaterThanOrEqual(Math.floor(requests * 0.9));
    },
  );

  test('an hour of rest saves up no more than the burst', async () => {
    expect(await takeAll('rested', 60)).toBe(6);
    await pass(3_600_000);
    expect(await takeAll('rested', 60)).toBe(6);
  });

  test('requests that come close together are counted by few statements, each of them once', async () => {
    const requests = 3_000;
    const budget = budgetOf('together', requests);
    let statements = 0;
    const count = () => {
      statements += 1;
    };
    const { signal } = new AbortController();
    stillPool.on('acquire', count);
    const time = holdTime();
    for (let round = 0; round < 20; round += 1) await Promise.all([1, 2, 3, 4].map(() => budget.acquire(signal)));
    time.mockRestore();
    stillPool.off('acquire', count);
    expect(statements).toBeLessThan(40);
    // A permit that was taken ahead and not used is lost, and none is used twice.
    const left = await budgetOf('together', requests).available();
    expect(left).toBeLessThanOrEqual(300 - 80);
    expect(left).toBeGreaterThanOrEqual(300 - 80 - 16);
  });

  test('none is taken ahead if less than half of the burst is left', async () => {
    const requests = 300;
    const budget = budgetOf('few are left', requests);
    const { signal } = new AbortController();
    const time = holdTime();
    for (let request = 0; request < 29; request += 1) await budget.acquire(signal);
    time.mockRestore();
    // The row has whole microseconds.
    await pass(1);
    expect(await budgetOf('few are left', requests).available(), 'of 30').toBe(1);
    await budget.acquire(signal);
    expect(await attempt('few are left', requests)).toMatchObject({ because: 'budget' });
  });

  test('no 5 minutes see more than the budget, however many come at once in two replicas', async () => {
    const requests = 900;
    let admitted = 0;
    /** Forty at once, until one of them would have to wait. */
    const takeTogether = async (pool: Pool): Promise<void> => {
      const stopped = new AbortController();
      const onWait = () => stopped.abort(new Error('would wait'));
      const budget = createApiBudget({ pool, fingerprint: 'two crowds', requestsPerWindow: requests, onWait });
      const call = async () => {
        for (;;) {
          await budget.acquire(stopped.signal);
          admitted += 1;
        }
      };
      await Promise.allSettled(Array.from({ length: 40 }, call));
    };
    for (let step = 0; step <= 60; step += 1) {
      await Promise.all([takeTogether(stillPool), takeTogether(otherPool)]);
      if (step < 60) await pass(WINDOW_MS / 60);
    }
    expect(admitted).toBeLessThanOrEqual(requests);
    expect(admitted, 'and the budget is used').toBeGreaterThanOrEqual(Math.floor(requests * 0.85));
  });

  test('a pause also stops what was taken ahead', async () => {
    const waits: string[] = [];
    const stopped = new AbortController();
    const budget = createApiBudget({
      pool: stillPool,
      fingerprint: 'stopped ahead',
      requestsPerWindow: 3_000,
      onWait: (_, because) => {
        waits.push(because);
        stopped.abort(new Error('would wait'));
      },
    });
    for (let request = 0; request < 6; request += 1) await budget.acquire(stopped.signal);
    await budget.pause(60_000, 'retry_after');
    await expect(budget.acquire(stopped.signal)).rejects.toThrow('would wait');
    expect(waits).toEqual(['retry_after']);
  });

  test('who has to wait is told how long, and is admitted after it', async () => {
    expect(await takeAll('spaced', 60)).toBe(6);
    const wait = await attempt('spaced');
    expect(wait).toMatchObject({ because: 'budget' });
    if (wait === 'admitted') return;
    expect(wait.waitMs).toBeCloseTo(305_000 / 54, 0);
    await pass(wait.waitMs - 150);
    expect(await attempt('spaced')).toMatchObject({ because: 'budget', waitMs: expect.closeTo(150, 0) });
    await pass(150);
    expect(await attempt('spaced')).toBe('admitted');
  });

  test('a pause stops all requests with the same credential, and none with another', async () => {
    expect(await attempt('paused')).toBe('admitted');
    await budgetOf('paused').pause(60_000, 'retry_after');
    for (const pool of [stillPool, otherPool]) {
      const wait = await attempt('paused', 60, pool);
      expect(wait).toEqual({ because: 'retry_after', waitMs: expect.closeTo(60_000, 0) });
      expect(await attempt('not paused', 60, pool)).toBe('admitted');
    }
    await pass(60_000);
    expect(await attempt('paused')).toBe('admitted');
  });

  test('a pause may come before the first request; a shorter one does not shorten a longer one, a longer one lengthens it', async () => {
    const budget = budgetOf('pauses');
    await budget.pause(100_000, 'retry_after');
    expect(await budget.available()).toBe(0);
    await budget.pause(1_000, 'ratelimit');
    expect(await attempt('pauses')).toMatchObject({ because: 'retry_after', waitMs: expect.closeTo(100_000, 0) });
    await budget.pause(200_000, 'ratelimit');
    expect(await attempt('pauses')).toMatchObject({ because: 'ratelimit', waitMs: expect.closeTo(200_000, 0) });
    await pass(200_000);
    expect(await attempt('pauses')).toBe('admitted');
  });

  test('who waits through a pause goes on when it is over, and not before', async () => {
    const budget = budgetOf('short pause', 60, database.pool);
    const startMs = performance.now();
    await budget.pause(400, 'retry_after');
    await budget.acquire(new AbortController().signal);
    expect(performance.now() - startMs).toBeGreaterThan(390);
  });

  test('a credential that is renewed begins with what the old one has used, and with its pause', async () => {
    let fingerprint = 'before renewal';
    const budget = createApiBudget({ pool: stillPool, fingerprint: () => fingerprint, requestsPerWindow: 60 });
    const signal = new AbortController().signal;
    for (let request = 0; request < 5; request += 1) await budget.acquire(signal);
    fingerprint = 'renewed';
    expect(await budget.available(), '6 at once, 5 of them used').toBe(1);
    await budget.pause(60_000, 'retry_after');
    fingerprint = 'renewed again';
    expect(await budget.blockedSeconds()).toBe(60);
    expect(await budgetOf('renewed again').blockedSeconds(), 'for all replicas').toBe(60);
  });

  test('an abort ends the wait with its reason', async () => {
    const reason = new Error('shutdown');
    const stopped = new AbortController();
    await budgetOf('aborted').pause(60_000, 'retry_after');
    const options = { pool: stillPool, fingerprint: 'aborted', requestsPerWindow: 60 };
    const waiting = createApiBudget({ ...options, onWait: () => setImmediate(() => stopped.abort(reason)) });
    await expect(waiting.acquire(stopped.signal)).rejects.toBe(reason);
    await expect(budgetOf('other').acquire(stopped.signal)).rejects.toBe(reason);
    expect(await budgetOf('other').available(), 'and it took nothing').toBe(6);
  });

  test('what is available is what would be admitted at once', async () => {
    for (const requests of [10, 60, 70, 130, 900]) {
      const fingerprint = `available ${requests}`;
      const budget = budgetOf(fingerprint, requests);
      const burst = Math.floor(requests / 10);
      expect(await budget.available(), 'before the first request').toBe(burst);
      await budget.acquire(new AbortController().signal);
      // The row has whole microseconds.
      await pass(1);
      expect(await budget.available()).toBe(burst - 1);
      await pass(3_600_000);
      expect(await budget.available()).toBe(burst);
    }
  });

  test('a credential is named by a hash that does not hold it', () => {
    const name = credentialFingerprint('a-secret-token');
    expect(name).toMatch(/^[0-9a-f]{16}$/);
    expect(name).toBe(credentialFingerprint('a-secret-token'));
    expect(name).not.toBe(credentialFingerprint('another-token'));
  });
});

const WINDOW_MS = 300_000;

const budgetOf = (fingerprint: string, requestsPerWindow = 60, pool = stillPool): ApiBudget =>
  createApiBudget({ pool, fingerprint, requestsPerWindow });

/** What would happen: admitted at once, or how long it would wait and why. */
const attempt = async (fingerprint: string, requestsPerWindow = 60, pool = stillPool) => {
  const stopped = new AbortController();
  let wait: { waitMs: number; because: string } | undefined;
  const onWait = (waitMs: number, because: string) => {
    wait = { waitMs, because };
    stopped.abort(new Error('would wait'));
  };
  const acquired = createApiBudget({ pool, fingerprint, requestsPerWindow, onWait }).acquire(stopped.signal);
  return await acquired.then(
    () => 'admitted' as const,
    (error: unknown) => {
      if (wait === undefined) throw error;
      return wait;
    },
  );
};

/** In this process: a busy machine may need longer for a few requests than what is taken ahead lasts. */
const holdTime = () => vi.spyOn(performance, 'now').mockReturnValue(performance.now());

/** Lets time pass. */
const pass = (ms: number) => clock.pass(ms);

/** Takes all that there is now. */
const takeAll = async (fingerprint: string, requestsPerWindow: number): Promise<number> => {
  for (let admitted = 0; ; admitted += 1) {
    if ((await attempt(fingerprint, requestsPerWindow)) !== 'admitted') return admitted;
  }
};
