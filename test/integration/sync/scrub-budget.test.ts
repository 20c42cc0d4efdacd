import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createApiBudget, gcraOf } from '../../../src/ingest/cloudflare/api-budget.sql.ts';
import { createScrubBudget, type ScrubBudget } from '../../../src/ingest/cloudflare/scrub-budget.sql.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { openStillClock, type StillClock } from '../../support/postgres/database-clock.ts';

const database = databaseOfTests();
let clock: StillClock;
beforeAll(async () => {
  clock = await openStillClock(database);
});
afterAll(async () => {
  await clock?.[Symbol.asyncDispose]();
});

describe('leave to read history again', () => {
  test('is a share of the budget: in two hours, all replicas together get no more, and hardly less', async () => {
    const replicas = [scrubOf('a day'), scrubOf('a day', 1)];
    let granted = 0;
    for (let ms = 0; ms < 2 * HOUR_MS; ms += TICK_MS) {
      for (const replica of replicas) granted += await replica.take(100);
      await passes(TICK_MS);
    }
    const most = (SHARE * REQUESTS * 2 * HOUR_MS) / 300_000;
    expect(granted).toBeLessThanOrEqual(most + 10);
    expect(granted).toBeGreaterThan(0.85 * most);
  });

  test('is never more than what is asked for, and what was not used saves up for two ticks', async () => {
    const budget = scrubOf('saved up');
    await passes(DAY_MS);
    expect(await budget.take(2)).toBe(2);
    await passes(DAY_MS);
    const most = await budget.take(1_000);
    expect(most).toBeGreaterThanOrEqual(8);
    expect(most).toBeLessThanOrEqual(10);
    expect(await budget.take(1_000)).toBe(0);
  });

  test('is refused while the whole budget is needed, and while it is blocked', async () => {
    const budget = scrubOf('needed');
    await useBudget('needed', 1);
    expect(await budget.take(5)).toBe(0);
    await useBudget('needed', 0.6);
    expect(await budget.take(5)).toBe(0);
    await useBudget('needed', 0.4);
    expect(await budget.take(2)).toBe(2);
    await createApiBudget({ pool: clock.pools[0], fingerprint: 'needed', requestsPerWindow: REQUESTS }).pause(
      60_000,
      'retry_after',
    );
    expect(await budget.take(2)).toBe(0);
    await passes(61_000);
    expect(await budget.take(2)).toBe(2);
  });

  test('what a turn sends beyond it is missing from the next', async () => {
    const budget = scrubOf('beyond');
    expect(await budget.take(1)).toBe(1);
    await budget.spend(44);
    for (let tick = 0; tick < 8; tick += 1) {
      await passes(TICK_MS);
      expect(await budget.take(5), `tick ${tick}`).toBe(0);
    }
    await passes(3 * TICK_MS);
    expect(await budget.take(5)).toBeGreaterThan(0);
  });

  test('a share so small that a tick earns none of it still has its turn', async () => {
    const budget = scrubOf('small', 0, 0.001);
    expect(await budget.take(5)).toBe(1);
    expect(await budget.take(5)).toBe(0);
    await passes((300_000 / (0.001 * REQUESTS)) * 1.2);
    expect(await budget.take(5)).toBe(1);
  });
});

const TICK_MS = 30_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** The default budget, and the default share of it. */
const REQUESTS = 900;
const SHARE = 0.05;

const scrubOf = (fingerprint: string, replica: 0 | 1 = 0, share = SHARE): ScrubBudget =>
  createScrubBudget({ pool: clock.pools[replica], fingerprint, requestsPerWindow: REQUESTS, share, tickMs: TICK_MS });

const passes = (ms: number) => clock.pass(ms);

/** As if the whole budget had been used up to so much of its burst. */
const useBudget = (fingerprint: string, share: number) =>
  database.pool.query(
    `insert into api_budget as b (credential, next_free_at)
     values ($1, (select at from still.clock) + $2 * interval '1 millisecond')
     on conflict (credential) do update set next_free_at = excluded.next_free_at`,
    [fingerprint, share * gcraOf(REQUESTS).toleranceMs],
  );
