import { describe, expect, test } from 'vitest';
import type { FaultName } from '../../../src/simulator/faults/fault-catalogue.ts';
import type { FaultPatch } from '../../../src/simulator/faults/fault-plan.ts';
import { startApiGate } from '../../support/network/api-gate.ts';
import { openRunning, untilClean } from '../../support/sync/running-world.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

/** Each of these is only about pages of the audit log, until the count is used up. */
const faults: readonly (readonly [what: string, name: FaultName, patch: FaultPatch])[] = [
  ['5xx answers, with a JSON body, with text and with none', 'server_error', audit('server_error', 0.3, 9)],
  ['HTML errors', 'html_error', audit('html_error', 0.3, 5)],
  ['HTML with status 200', 'html_ok', audit('html_ok', 0.3, 5)],
  ['slow bodies', 'slow_body', { ...audit('slow_body', 0.5, 8), slowBodyMs: 120 }],
  ['bodies that are cut off', 'cut_body', audit('cut_body', 0.3, 5)],
  ['connections that are reset', 'connection_reset', audit('connection_reset', 0.3, 5)],
  ['responses that hang until the connection breaks', 'hung', { ...audit('hung', 0.3, 3), hangMs: 200 }],
  ['a single 429 with Retry-After', 'throttled', { ...audit('throttled', 0.3, 1), retryAfterSeconds: 1 }],
];

function audit(name: FaultName, probability: number, count: number): FaultPatch {
  return { [name]: { probability, count, operation: 'audit' } };
}

describe.concurrent('faults of the wire', () => {
  test.each(faults)('%s: ends with exactly the truth', async (_what, name, patch) => {
    await using world = await openRunning({ faults: patch });
    await untilClean(world);
    expect(world.simulator.faults.fired()[name]).toBeGreaterThan(0);
    const { stored } = await world.expectExactTruth();
    expect(stored).toBe(600);
  });

  test('the listing gets over one of each, too', async () => {
    await using world = await openRunning();
    for (const [what, name] of faults) {
      const once = { [name]: { count: 1, operation: 'organizations' } };
      world.simulator.faults.set({ preset: 'none' });
      world.simulator.faults.set({ ...once, slowBodyMs: 120, hangMs: 200, retryAfterSeconds: 1 });
      const report = await world.cycle();
      expect(report, what).toMatchObject({ sources: 3, failed: [], discoveryError: undefined, finished: true });
      expect(world.simulator.faults.fired()[name], what).toBe(1);
    }
    await world.expectExactTruth();
  });
});

describe.concurrent('the end of an outage', () => {
  test('the first listing that works again ends the rests that the outage brought: all is read at once', async () => {
    await using world = await openWorld({ ownClock: true });
    await using gate = await startApiGate(Number(new URL(world.simulator.baseUrl).port));
    const base = world.simulator.baseUrl.replace(/:\d+/, `:${gate.port}`);
    await using run = await world.open({ CLOUDFLARE_BASE_URL: base });
    await run.cycle();
    await gate.setMode('refused');
    await world.setClocks(3_600_000);
    for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, 10);
    await world.setClocks(3_660_000);
    const report = await run.cycle();
    expect(report.failed).toHaveLength(3);
    expect(run.log()).toMatch(/ECONNREFUSED/);
    // As after an hour of failing.
    await world.database.pool.query(
      "update lanes set next_attempt_at = clock_timestamp() + interval '15 h' where failures > 0",
    );

    await gate.setMode('open');
    expect(await run.cycle()).toMatchObject({ failed: [], discoveryError: undefined });
    const { stored } = await world.expectExactTruth();
    expect(stored).toBe(630);
  });
});
