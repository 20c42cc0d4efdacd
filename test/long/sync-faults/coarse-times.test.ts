import { expect, test } from 'vitest';
import { sendTrue, startDistortedApi } from '../../support/network/distorted-api.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

test('an API that prints seconds, filters by milliseconds and refuses the cursor of each last page: all is read and claimed, without a hole', async () => {
  const options = {
    organizations: 1,
    entries: 8,
    historyMs: 4 * MINUTE_MS,
    faults: { last_page_dead_cursor: { status: 400 } },
  };
  await using world = await openWorld(options, { ORGTRAIL_HISTORY: '10m', ORGTRAIL_SETTLE: 'none' });
  const { organizations, nowMs } = world.simulator.summary();
  const secondMs = Math.floor(nowMs / 1_000) * 1_000;
  const atMs = (secondsAgo: number, ms: number) => new Date(secondMs - secondsAgo * 1_000 + ms).toISOString();
  const times = [
    atMs(200, 700),
    atMs(100, 1),
    atMs(100, 450),
    atMs(61, 999),
    atMs(60, 120),
    atMs(20, 330),
    atMs(20, 712),
  ];
  world.simulator.append(
    organizations[0]?.id ?? '',
    times.map((time, n) => JSON.stringify({ id: `entry-${n}`, action: { time, type: 'create' } })),
  );
  await using front = await startDistortedApi(world.simulator.baseUrl);
  front.distort(({ response, answer }) => {
    const printed = answer.body.toString().replace(/("time":"[^"]*:\d\d)\.\d+Z"/g, '$1Z"');
    sendTrue(response, { ...answer, body: Buffer.from(printed) });
  });
  await using run = await world.open({ CLOUDFLARE_BASE_URL: front.baseUrl });
  // What has happened since then is of the next cycles, however long a busy machine takes for one.
  const facts = async () => {
    const { rows } = await world.database.pool.query<{ holes: number; gaps: number; events: number }>(
      `select (select count(*) from coverage_holes)::integer as holes, (select count(*) from audit_events)::integer as events,
         (select count(*) from coverage_gaps where duration > interval '5 seconds' and since < to_timestamp($1::float8 / 1000))::integer as gaps`,
      [nowMs],
    );
    return rows[0];
  };
  for (let cycles = 0, gaps = 1; cycles < 12 && gaps > 0; cycles += 1) {
    await run.cycle();
    await world.endRests();
    gaps = (await facts())?.gaps ?? 0;
  }
  expect(await facts()).toEqual({ holes: 0, gaps: 0, events: [...world.simulator.truth()].length });
  expect(front.distorted).toBeLessThan(200);
});

const MINUTE_MS = 60_000;
