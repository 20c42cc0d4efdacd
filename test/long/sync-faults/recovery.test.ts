import { describe, expect, test } from 'vitest';
import { startApiGate } from '../../support/network/api-gate.ts';
import { auditRequests, openWorld } from '../../support/sync/sync-world.ts';

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

  test('a source that failed alone keeps its rest', async () => {
    await using world = await openWorld();
    await using run = await world.open();
    const [broken = ''] = world.simulator.summary().organizations.map(({ id }) => id);
    world.simulator.faults.set({ html_error: { organizationId: broken } });
    expect((await run.cycle()).failed).toHaveLength(1);
    await world.holdRests();
    world.simulator.faults.set({ preset: 'none' });
    expect((await run.cycle()).failed).toEqual([expect.objectContaining({ id: broken })]);
  });

  test('a refused one keeps it, too', async () => {
    await using world = await openWorld();
    await using run = await world.open();
    const [refused = ''] = world.simulator.summary().organizations.map(({ id }) => id);
    world.simulator.setRefused(refused, true);
    await run.cycle();
    await world.holdRests();
    world.simulator.faults.set({ server_error: { operation: 'organizations', count: 4 } });
    expect((await run.cycle()).discoveryError).toMatchObject({ failure: 'server' });
    const asked = world.simulator.requestCount;
    expect((await run.cycle()).failed).toEqual([expect.objectContaining({ id: refused })]);
    const organizations = auditRequests(world.simulator, asked).map(({ organizationId }) => organizationId);
    expect(organizations).not.toContain(refused);
  });
});
