import { expect, test } from 'vitest';
import { parseMetrics } from '../../support/deploy/metrics-text.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { openRunning, type RunningWorld } from '../../support/sync/running-world.ts';
import { serve } from '../../support/sync/served.ts';

test('a second that cannot be read shows with its time and reason everywhere, and everything else is read (invariant 9)', async () => {
  const { world, poisoned, healthy, atMs } = await openPoisoned();
  await using _ = world;
  await using served = await serve(world);
  const { rows } = await world.database.pool.query('select count(*)::integer as stored from audit_events');
  expect(rows[0].stored, 'all but the poisoned one').toBe(40);
  const [since, before] = [new Date(atMs).toISOString(), new Date(atMs + 1_000).toISOString()];
  const hole = { since, before, reason: 'bad_request', message: expect.stringContaining('400') };

  const samples = parseMetrics(await served.text('/metrics'));
  expect(samples.get(`orgtrail_coverage_holes{organization_id="${poisoned}"}`)).toBe(1);
  expect(samples.get(`orgtrail_coverage_holes{organization_id="${healthy}"}`)).toBe(0);
  expect(samples.get('orgtrail_walks_total{lane="live",result="narrowed"}')).toBeGreaterThan(0);
  const holesFound = [...samples].filter(([name]) => /orgtrail_walks_total\{.*result="hole"/.test(name));
  expect(holesFound.map(([, value]) => value)).toEqual([1]);

  const health = (await served.get('/healthz')).body as { status: string; sources: readonly Record<string, unknown>[] };
  const ofHealth = (id: string) => health.sources.find((source) => source['organization_id'] === id);
  expect(health.status).toBe('incomplete');
  expect(ofHealth(poisoned)).toMatchObject({ state: 'incomplete', holes: 1, failures: 0, first_holes: [hole] });
  expect(ofHealth(healthy)).toMatchObject({ state: 'fresh', holes: 0 });
  expect(ofHealth(healthy)).not.toHaveProperty('first_holes');

  const { sources } = (await served.get('/v1/status')).body as { sources: { organizationId: string }[] };
  expect(sources.find(({ organizationId }) => organizationId === poisoned)).toMatchObject({
    state: 'incomplete',
    holes: 1,
    firstHoles: [hole],
    failingLanes: [],
    unprovenSeconds: 0,
  });

  const overview = await served.text('/');
  expect(overview).toContain('some time cannot be collected, and entries may be missing there');
  expect(overview).toContain('<span class="state state-incomplete">incomplete</span>');
  const page = await served.text(`/organizations/${poisoned}`);
  expect(page).toContain('<h2 id="holes">1 hole</h2>');
  expect(page).toMatch(/<td>bad_request <span class="sub">.*400.*<\/span><\/td>/);
  expect(page).toContain(`<time datetime="${since}">`);
  expect(page).toMatch(/<h2 id="gaps">Not collected: \d+s<\/h2>/);
  expect(page).toContain('not available</td>');
  expect(await served.text(`/organizations/${healthy}`)).not.toContain('id="holes"');

  const line = `(${poisoned}) from ${since} to ${before}: bad_request: `;
  const status = await runInProcess(['status'], world.env);
  expect(status.stdout).toContain(line);
  expect(status.stdout).toMatch(new RegExp(`^${poisoned} .* incomplete .*, 1 hole `, 'm'));
  const json = JSON.parse((await runInProcess(['status', '--json'], world.env)).stdout);
  const ofJson = json.sources.find((source: { organizationId: string }) => source.organizationId === poisoned);
  expect(ofJson).toMatchObject({ state: 'incomplete', holes: 1, firstHoles: [hole] });

  expect(world.log()).toMatch(/"level":"error".*"msg":"a hole: /);
});

test('sync and backfill end with 1 as long as a second of the time wanted cannot be read, and say which', async () => {
  const { world, poisoned, healthy, atMs } = await openPoisoned();
  await using _ = world;
  await world.close();
  const since = new Date(atMs).toISOString();
  const said = `1 second could not be collected: ${poisoned} ${since} (bad_request: `;
  const hole = { organizationId: poisoned, since, reason: 'bad_request' };

  const text = await runInProcess(['sync'], world.env);
  expect(text.code).toBe(1);
  expect(text.stdout).toContain(said);
  const sync = await runInProcess(['sync', '--json'], world.env);
  expect(sync.code).toBe(1);
  expect(JSON.parse(sync.stdout)).toMatchObject({ failed: [], holes: [hole], holeSeconds: 1, finished: true });

  const backfill = (sinceMs: number, untilMs: number, ...more: string[]) => {
    const window = ['--since', new Date(sinceMs).toISOString(), '--before', new Date(untilMs).toISOString()];
    return runInProcess(['backfill', ...window, ...more], world.env);
  };
  const around = await backfill(atMs - 10_000, atMs + 10_000);
  expect(around).toMatchObject({ code: 1, stdout: expect.stringContaining(said) });
  expect(await backfill(atMs + 1_000, atMs + 10_000), 'beside it').toMatchObject({ code: 0 });
  expect(await backfill(atMs - 10_000, atMs + 10_000, '--organization', healthy)).toMatchObject({ code: 0 });
  // What is served again is read when the hole is due, and then nothing is missing.
  world.simulator.faults.set({ poison_page: null });
  await world.database.pool.query('update coverage_holes set next_attempt_at = now()');
  const whole = await runInProcess(['sync', '--json'], world.env);
  expect(whole.code).toBe(0);
  expect(JSON.parse(whole.stdout)).toMatchObject({ stored: 1, holes: [], holeSeconds: 0 });
  await world.expectExactTruth();
});

test('a hole that Cloudflare has deleted meanwhile, or that is not wanted any more, is none of the status', async () => {
  const { world } = await openPoisoned();
  await using _ = world;
  await using served = await serve(world);
  await world.database.pool.query("update sources set wanted_history = interval '1 minute'");
  expect(await served.get('/healthz')).toMatchObject({ body: { status: 'ok', sources: [{ holes: 0 }, { holes: 0 }] } });
  expect(await served.text('/')).not.toContain('could not be collected');
});

test('a failing backfill beside a fresh live lane: the lane and its error show, everywhere (invariant 10)', async () => {
  await using world = await openRunning();
  await using served = await serve(world);
  await world.cycle();
  const [id = ''] = world.simulator.summary().organizations.map((organization) => organization.id);
  const { source, lease } = (await world.app.sync.store.claim({ kind: 'organization', id })) ?? {};
  if (source === undefined || lease === undefined) throw new Error('held');
  const live = source.lanes.live;
  if (live === undefined) throw new Error('no live lane');
  await world.app.sync.store.recordFailure(lease, {
    filterHash: 'none',
    lane: 'backfill',
    state: { ...live, failures: 3 },
    failure: 'server',
    message: 'it answered 502',
    backoffMs: 600_000,
  });
  await world.app.sync.store.release(lease);
  const { body } = await served.get('/healthz');
  const health = body as { status: string; sources: readonly Record<string, unknown>[] };
  expect(health.status).toBe('failing');
  expect(health.sources.find((each) => each['organization_id'] === id)).toMatchObject({
    state: 'failing',
    failures: 3,
    failing_lanes: [{ lane: 'backfill', failures: 3, last_failure: 'server', last_error: 'it answered 502' }],
  });
  for (const path of ['/', `/organizations/${id}`]) {
    expect(await served.text(path)).toContain('backfill fails: it answered 502');
  }
  const { stdout } = await runInProcess(['status'], world.env);
  expect(stdout).toMatch(new RegExp(`^failing: .*\\(${id}\\): backfill fails: it answered 502\\b`, 'm'));
});

test('what version 0.1 claimed shows as not proven until it is', async () => {
  await using world = await openRunning();
  await using served = await serve(world);
  await world.cycle();
  const { pool } = world.database;
  const unproven = async () =>
    [...parseMetrics(await served.text('/metrics'))]
      .filter(([name]) => name.startsWith('orgtrail_coverage_unproven_seconds{'))
      .map(([, seconds]) => Math.round(seconds));
  expect(await unproven()).toEqual([0, 0, 0]);
  await pool.query(
    "update coverage set proven = proven - tstzmultirange(tstzrange(now() - interval '20 hours', now() - interval '10 hours')) where pass = 0",
  );
  expect(await unproven()).toEqual([36_000, 36_000, 36_000]);
  expect(await served.get('/healthz')).toMatchObject({
    body: { status: 'ok', sources: [{}, {}, {}].map(() => ({ unproven_seconds: 36_000 })) },
  });
  expect(await served.text('/')).toContain('history that version 0.1 claimed');
  const [id = ''] = world.simulator.summary().organizations.map((organization) => organization.id);
  expect(await served.text(`/organizations/${id}`)).toContain('claimed by version 0.1');
  const { stdout } = await runInProcess(['status'], world.env);
  expect(stdout).toContain('not proven: history of 3 logs that version 0.1 claimed as read');
});

test('coverage of the future is cut and counted, and the difference of the clocks shows', async () => {
  await using world = await openRunning({ clockOffsetMs: -30_000 });
  await using served = await serve(world);
  await world.cycle();
  const samples = async () => parseMetrics(await served.text('/metrics'));
  expect((await samples()).get('orgtrail_coverage_trimmed_total')).toBe(0);
  expect((await samples()).get('orgtrail_clock_difference_seconds')).toBeLessThan(-20);
  await world.database.pool.query(
    "update coverage set ranges = ranges + tstzmultirange(tstzrange(now(), now() + interval '1 hour')) where pass = 0",
  );
  world.simulator.faults.set({ wrong_date: { offsetSeconds: 3_600 } });
  // The first answer tells the time; the next plan compares it.
  for (const _ of ['first', 'second']) await world.cycle();
  expect((await samples()).get('orgtrail_coverage_trimmed_total')).toBe(3);
  expect((await samples()).get('orgtrail_clock_difference_seconds')).toBeGreaterThan(3_000);
  expect(world.log()).toMatch(/"msg":"the clocks of Cloudflare and of the database differ/);
  expect(world.log()).toMatch(/"msg":"coverage claimed time that could not have been read yet/);
});

const MINUTE_MS = 60_000;

/** Two organizations with some minutes of history; in the first one, one entry makes every page with it answer 400. All else is read. */
const openPoisoned = async (): Promise<{ world: RunningWorld; poisoned: string; healthy: string; atMs: number }> => {
  const world = await openRunning(
    { organizations: 2, entries: 40, historyMs: 4 * MINUTE_MS },
    { ORGTRAIL_HISTORY: '10m', ORGTRAIL_SETTLE: 'none' },
  );
  const [poisoned = '', healthy = ''] = world.simulator.summary().organizations.map(({ id }) => id);
  const atMs = Math.floor(world.simulator.summary().nowMs / 1_000) * 1_000 - 3 * MINUTE_MS;
  const poison = { id: 'poison', action: { time: new Date(atMs + 500).toISOString() } };
  world.simulator.append(poisoned, [JSON.stringify(poison)]);
  world.simulator.faults.set({ poison_page: { ids: ['poison'], status: 400 } });
  await untilHoled(world);
  return { world, poisoned, healthy, atMs };
};

/** Ticks until everything else is read; what lanes rest in between is skipped. */
const untilHoled = async (world: RunningWorld): Promise<void> => {
  for (;;) {
    await world.cycle();
    const { rows } = await world.database.pool.query(
      `select (select count(*) from coverage_holes)::integer as holes,
         (select count(*) from coverage_gaps where duration > interval '5 seconds' and before < now() - interval '1 minute')::integer as gaps`,
    );
    if (rows[0].holes > 0 && rows[0].gaps === 0) return;
    await world.endRests();
  }
};
