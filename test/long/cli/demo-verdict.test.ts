import { expect, test } from 'vitest';
import { catchUp } from '../../../src/cli/demo/verdict.sql.ts';
import { openRunning } from '../../support/sync/running-world.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

test('a pause of the API is waited for, however long it is, and what comes after it is the verdict', async () => {
  // The 31st request begins a block of five seconds; the history needs more.
  await using world = await openWorld({ budget: { requests: 31, windowMs: 5_000, blockMs: 5_000 }, pageCap: 8 });
  await using run = await world.open({ ORGTRAIL_SETTLE: 'none' });
  const cycle = run.cycle();
  const pauses: number[] = [];
  const pool = world.database.pool;
  // As soon as one is in force; comparing before would be a race of the daemon with the timeout.
  while ((await pool.query('select from api_budget where blocked_until > clock_timestamp()')).rowCount === 0);
  // Still shorter than a pause, and long enough for the daemon to go on after it, on a busy machine too.
  const patient = { ...options, timeoutMs: 4_000, onPause: (pauseMs: number) => pauses.push(pauseMs) };
  const verdict = await catchUp(pool, world.simulator, patient);
  expect(verdict).toMatchObject({ outcome: 'exact', comparison: { missing: 0, stored: 600 } });
  expect(pauses.length).toBeGreaterThan(0);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(5_000);
  await cycle;
});

test('what is of time that has not been collected is called so; an entry that is missing in collected time is a fault of the store', async () => {
  await using world = await openRunning({}, { ORGTRAIL_SETTLE: 'none' });
  await world.cycle();
  const [organization] = world.simulator.summary().organizations;
  const id = organization?.id ?? '';
  world.simulator.generate(id, 7, { actionTimeMs: Date.now() + 60_000 });
  const early = await catchUp(world.database.pool, world.simulator, options);
  expect(early).toMatchObject({ outcome: 'catching up', comparison: { missing: 7, extra: 0 } });
  world.simulator.generate(id, 1, { actionTimeMs: Date.now() - 3_600_000 });
  const verdict = await catchUp(world.database.pool, world.simulator, options);
  expect(verdict).toMatchObject({ outcome: 'wrong', comparison: { missing: 8, extra: 0 } });
});

/** Any pause of the API is longer. */
const options = { timeoutMs: 200, settlePasses: 0, onPause: () => {} };
