import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { parseMetrics, sumOf } from '../../support/deploy/metrics-text.ts';
import { startApiGate } from '../../support/network/api-gate.ts';
import { usageOf } from '../../support/process/process-usage.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

test('an outage with the backlog of an hour, then a block: alive, quiet, says so, and has everything afterwards', async () => {
  await using world = await openWorld({ clockOffsetMs: -HOUR_MS });
  await using gate = await startApiGate(Number(new URL(world.simulator.baseUrl).port));
  const base = world.simulator.baseUrl.replace(/:\d+/, `:${gate.port}`);
  await using daemon = await startDaemonProcess({ ...world.env, CLOUDFLARE_BASE_URL: base });
  const metrics = async () => parseMetrics((await daemon.get('/metrics')).text);
  const stored = (entries: number) => async () => (await world.compare()).stored === entries;
  await until('the history is stored', stored(600));
  expect((await daemon.get('/readyz')).code).toBe(200);

  const lines = () => daemon.process.stdout().split('\n').length;
  const pid = daemon.process.child.pid ?? 0;
  const [linesBefore, usageBefore, startedAt] = [lines(), await usageOf(pid), performance.now()];
  await gate.setMode('refused');
  await letAnHourPass(world);
  await daemon.process.waitFor('listing organizations failed');
  // So it stands in the database after an hour of this.
  await world.database.pool.query("update discovery set last_success_at = last_success_at - interval '1 hour'");
  for (const [mode, seconds] of [
    ['refused', 7],
    ['silent', 4],
    ['reset', 4],
  ] as const) {
    await gate.setMode(mode);
    await sleep(seconds * 1_000);
    expect((await daemon.get('/livez')).code).toBe(200);
    await until(`what is stored can be read (${mode})`, async () => (await daemon.get('/readyz')).code === 200);
    const { status, discovery } = await daemon.health();
    expect(status).not.toBe('ok');
    expect(discovery).toMatchObject({ state: 'behind', last_error: expect.stringMatching(/^GET \/organizations: /) });
    expect(discovery.age_seconds).toBeGreaterThan(3_600);
  }
  const elapsedMs = performance.now() - startedAt;
  const usage = await usageOf(pid);
  expect((usage.cpuMs - usageBefore.cpuMs) / elapsedMs, 'of a core').toBeLessThan(0.3);
  expect(lines() - linesBefore, 'log lines').toBeLessThan((60 * Math.max(15_000, elapsedMs)) / 15_000);
  const failed = async () => sumOf(await metrics(), 'orgtrail_api_requests_total', 'status="connection"');
  await until('it goes on asking', async () => (await failed()) > 4);
  const during = await metrics();
  expect(sumOf(during, 'orgtrail_discovery_age_seconds')).toBeGreaterThan(3_600);
  expect(sumOf(during, 'orgtrail_source_lag_seconds')).toBeGreaterThan(30);

  await gate.setMode('open');
  await until('the backlog is stored', stored(1_320));
  const listing = async () => (await daemon.health()).discovery.state;
  await until('the organizations are listed again', async () => (await listing()) === 'ok');
  await world.expectExactTruth();
  await blockForAWhile(world, metrics);
  await until('what came during the block is stored', stored(1_350));
  await world.expectExactTruth();
  expect(sumOf(await metrics(), 'orgtrail_api_blocked_seconds')).toBe(0);
  expect(await daemon.stop(), daemon.process.stderr()).toBe(143);
});

/** Everything is answered with 429; sees that nothing is sent for as long as that says. */
const blockForAWhile = async (world: SyncWorld, metrics: () => Promise<ReadonlyMap<string, number>>): Promise<void> => {
  const { simulator } = world;
  const before = sumOf(await metrics(), 'orgtrail_api_throttled_seconds_total');
  const times: number[] = [];
  const first = Promise.withResolvers<void>();
  const end = simulator.onRequest(() => {
    times.push(performance.now());
    first.resolve();
  });
  simulator.faults.set({ throttled: 1, retryAfterSeconds: BLOCK_SECONDS });
  await first.promise;
  for (const { id } of simulator.summary().organizations) simulator.generate(id, 10);
  await sleep(BLOCK_SECONDS * 500);
  // All answers block, so it is blocked nearly always; a busy machine may ask between two blocks.
  await until('it is blocked', async () => sumOf(await metrics(), 'orgtrail_api_blocked_seconds') > 0);
  expect(sumOf(await metrics(), 'orgtrail_api_requests_total', 'status="429"')).toBeGreaterThan(0);
  await sleep(BLOCK_SECONDS * 500);
  simulator.faults.set({ throttled: null });
  end();
  const startMs = times[0] ?? 0;
  const within = times.filter((timeMs) => timeMs < startMs + BLOCK_SECONDS * 1_000);
  const onTheirWay = within.filter((timeMs) => timeMs < startMs + BLOCK_SECONDS * 500);
  expect(within.length, 'nothing but what was on its way').toBe(onTheirWay.length);
  expect(onTheirWay.length).toBeLessThanOrEqual(4);
  expect(sumOf(await metrics(), 'orgtrail_api_throttled_seconds_total') - before).toBeGreaterThan(BLOCK_SECONDS - 1);
};

// As docs/development/how-it-is-tested.md says, but the daemon ticks every second instead of every 30.

const HOUR_MS = 3_600_000;
const BLOCK_SECONDS = 10;

const post = async (url: string, body: unknown): Promise<void> => {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
  expect(response.status).toBe(200);
};

/** Cloudflare's clock, which is an hour behind the database's, goes on to the same time, in which entries come into being in every organization. */
const letAnHourPass = async (world: SyncWorld): Promise<void> => {
  for (let part = 1; part <= 12; part += 1) {
    await post(`${world.simulator.controlUrl}/clock`, { offsetMs: (part * HOUR_MS) / 12 - HOUR_MS });
    for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, 20);
  }
};
