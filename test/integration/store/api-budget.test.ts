import type { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ApiBudget, createApiBudget, credentialFingerprint } from '../../../src/store/api-budget.ts';
import { createPool } from '../../../src/store/pool.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

const WINDOW_MS = 300_000;

let database: TestDatabase;
/** That of another replica. */
let otherPool: Pool;
beforeAll(async () => {
  database = await createTestDatabase();
  otherPool = createPool(database.url, 4, () => {});
});
afterAll(async () => {
  await otherPool?.end();
  await database?.close();
});

const budgetOf = (fingerprint: string, requestsPerWindow = 60, pool = database.pool): ApiBudget =>
  createApiBudget({ pool, fingerprint, requestsPerWindow });

/** What would happen: admitted at once, or how long it would wait and why. */
const attempt = async (fingerprint: string, requestsPerWindow = 60, pool = database.pool) => {
  const stopped = new AbortController();
  let wait: { waitMs: number; because: string } | undefined;
  const budget = createApiBudget({
    pool,
    fingerprint,
    requestsPerWindow,
    onWait: (waitMs, because) => {
      wait = { waitMs, because };
      stopped.abort(new Error('would wait'));
    },
  });
  try {
    await budget.acquire(stopped.signal);
    return 'admitted';
  } catch (error) {
    if (wait === undefined) throw error;
    return wait;
  }
};

/** Lets time pass for the row of a credential. */
const pass = (fingerprint: string, ms: number) =>
  database.pool.query(
    `update api_budget set next_free_at = next_free_at - make_interval(secs => $2::float8 / 1000),
       blocked_until = blocked_until - make_interval(secs => $2::float8 / 1000) where credential = $1`,
    [fingerprint, ms],
  );

/** Takes all that there is now. */
const takeAll = async (fingerprint: string, requestsPerWindow: number): Promise<number> => {
  for (let admitted = 0; ; admitted += 1) {
    if ((await attempt(fingerprint, requestsPerWindow)) !== 'admitted') return admitted;
  }
};

describe('invariant 11: the API budget is held by all replicas together', () => {
  for (const requests of [10, 60, 900]) {
    test(`no 5 minutes see more than ${requests} requests, however greedy the callers are`, async () => {
      const fingerprint = `greedy ${requests}`;
      const steps = 60;
      const startMs = performance.now();
      let admitted = await takeAll(fingerprint, requests);
      expect(admitted).toBeGreaterThanOrEqual(Math.floor(requests / 10));
      for (let step = 0; step < steps; step += 1) {
        await pass(fingerprint, WINDOW_MS / steps);
        admitted += await takeAll(fingerprint, requests);
      }
      // The seconds that the test itself took are on top of the 5 minutes.
      const extra = ((performance.now() - startMs) / WINDOW_MS) * requests;
      expect(admitted).toBeLessThanOrEqual(requests + Math.max(0, Math.ceil(extra) - Math.floor((5 / 305) * requests)));
      expect(admitted, 'and the budget is used').toBeGreaterThanOrEqual(Math.floor(requests * 0.9));
    });
  }

  test('an hour of rest saves up no more than the burst', async () => {
    expect(await takeAll('rested', 60)).toBe(6);
    await pass('rested', 3_600_000);
    expect(await takeAll('rested', 60)).toBe(6);
  });

  test('twelve callers of two replicas together get no more than burst and rate, in real time', async () => {
    const requests = 3_000;
    const [burst, perSecond] = [300, 2_700 / 305];
    const until = AbortSignal.timeout(2_000);
    const startMs = performance.now();
    let admitted = 0;
    const call = async (pool: Pool) => {
      const budget = budgetOf('crowd', requests, pool);
      for (;;) {
        await budget.acquire(until);
        admitted += 1;
      }
    };
    const calls = [...Array(6).fill(database.pool), ...Array(6).fill(otherPool)].map(call);
    const endings = await Promise.allSettled(calls);
    const seconds = (performance.now() - startMs) / 1_000;
    expect(endings.map((ending) => ending.status)).toEqual(Array(12).fill('rejected'));
    expect(admitted).toBeLessThanOrEqual(burst + perSecond * seconds + 1);
    expect(admitted).toBeGreaterThanOrEqual(burst);
  });

  test('who has to wait is told how long, and is admitted after it', async () => {
    expect(await takeAll('spaced', 60)).toBe(6);
    const wait = await attempt('spaced');
    expect(wait).toMatchObject({ because: 'budget' });
    if (wait === 'admitted') return;
    expect(wait.waitMs).toBeGreaterThan(3_000);
    expect(wait.waitMs).toBeLessThanOrEqual(305_000 / 54);
    await pass('spaced', wait.waitMs - 150);
    const startMs = performance.now();
    await budgetOf('spaced').acquire(new AbortController().signal);
    expect(performance.now() - startMs).toBeLessThan(3_000);
  });

  test('a pause stops everybody with the same credential, and nobody with another', async () => {
    expect(await attempt('paused')).toBe('admitted');
    await budgetOf('paused').pause(60_000, 'retry_after');
    for (const pool of [database.pool, otherPool]) {
      const wait = await attempt('paused', 60, pool);
      expect(wait).toMatchObject({ because: 'retry_after' });
      if (wait !== 'admitted') expect(wait.waitMs).toBeGreaterThan(50_000);
      expect(await attempt('not paused', 60, pool)).toBe('admitted');
    }
    await pass('paused', 60_000);
    expect(await attempt('paused')).toBe('admitted');
  });

  test('a pause may come before the first request', async () => {
    await budgetOf('early').pause(30_000, 'ratelimit');
    expect(await attempt('early')).toMatchObject({ because: 'ratelimit' });
    expect(await budgetOf('early').available()).toBe(0);
    await pass('early', 30_000);
    expect(await attempt('early')).toBe('admitted');
  });

  test('a shorter pause does not shorten a longer one; a longer one lengthens it', async () => {
    const budget = budgetOf('pauses');
    await budget.pause(100_000, 'retry_after');
    await budget.pause(1_000, 'ratelimit');
    expect(await attempt('pauses')).toMatchObject({ because: 'retry_after', waitMs: expect.closeTo(100_000, -4) });
    await budget.pause(200_000, 'ratelimit');
    expect(await attempt('pauses')).toMatchObject({ because: 'ratelimit', waitMs: expect.closeTo(200_000, -4) });
  });

  test('who waits through a pause goes on when it is over, and not before', async () => {
    const budget = budgetOf('short pause');
    await budget.pause(400, 'retry_after');
    const startMs = performance.now();
    await budget.acquire(new AbortController().signal);
    expect(performance.now() - startMs).toBeGreaterThan(350);
  });

  test('an abort ends the wait with its reason', async () => {
    const reason = new Error('shutdown');
    const stopped = new AbortController();
    await budgetOf('aborted').pause(60_000, 'retry_after');
    const options = { pool: database.pool, fingerprint: 'aborted', requestsPerWindow: 60 };
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
      expect(await budget.available()).toBe(burst - 1);
      await pass(fingerprint, 3_600_000);
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
