import { describe, expect, test } from 'vitest';
import { syncForever } from '../../../src/ingest/sync/daemon.ts';
import { until } from '../../support/process/until.ts';
import { asAuditRequest, auditRequests, cycleUntilClean, openWorld } from '../../support/sync/sync-world.ts';

describe.concurrent('each source for itself', () => {
  test('one organization that never answers holds up no other (invariant 10)', async () => {
    await using world = await openWorld();
    const [hanging = '', ...others] = world.simulator.summary().organizations.map(({ id }) => id);
    world.simulator.faults.set({ hung: { organizationId: hanging }, hangMs: 0 });
    const settled = new Set<string>();
    const abort = new AbortController();
    const othersDone = Promise.withResolvers<void>();
    await using run = await world.open(
      {},
      {
        sourceSettled: ({ source }) => {
          settled.add(source.id);
          if (settled.size === 2) othersDone.resolve();
        },
      },
      patient,
    );
    const cycle = run.cycle({ signal: abort.signal });
    await othersDone.promise;
    abort.abort(new Error('seen enough'));
    await expect(cycle).rejects.toThrow('seen enough');
    expect(settled).toEqual(new Set(others));
    expect(await world.compare()).toMatchObject({ stored: 400, missing: 200, extra: 0 });

    world.simulator.faults.set({ preset: 'none' });
    await cycleUntilClean(world, run);
    await world.expectExactTruth();
  });

  test('in the daemon, one that hangs does not hold up the next ticks of the others (invariant 10)', async () => {
    await using world = await openWorld({ organizations: 4, entries: 400 });
    const [hanging = '', ...others] = world.simulator.summary().organizations.map(({ id }) => id);
    const stop = new AbortController();
    let ticks = 0;
    const fifthTick = Promise.withResolvers<void>();
    await using run = await world.open(
      { ORGTRAIL_CONCURRENCY: '3' },
      {
        jobsPlanned: () => {
          ticks += 1;
          if (!stop.signal.aborted) for (const id of others) world.simulator.generate(id, 5);
          if (ticks === 5) fifthTick.resolve();
        },
      },
      patient,
    );
    world.simulator.faults.set({ hung: { organizationId: hanging }, hangMs: 0 });
    const syncing = syncForever(run.app.sync, {
      tickMs: 1_000,
      schedule: '* * * * * *',
      signal: stop.signal,
      stopping: () => stop.signal.aborted,
      onError: () => {},
    });
    await fifthTick.promise;
    const asked = auditRequests(world.simulator).filter(({ organizationId }) => organizationId === hanging);
    expect(asked).toHaveLength(1);
    await until('what came in since the first tick is stored', async () => (await world.compare()).stored > 300);
    stop.abort(new Error('seen enough'));
    await syncing.stop();

    world.simulator.faults.set({ preset: 'none' });
    world.simulator.setClockOffset(30_000);
    await world.endRests();
    await cycleUntilClean(world, run);
    await world.expectExactTruth();
  });

  test('in the daemon a failing source rests, longer each time, and the others do not', async () => {
    await using world = await openWorld({ ownClock: true });
    const [failing = ''] = world.simulator.summary().organizations.map(({ id }) => id);
    world.simulator.setRefused(failing, true);
    await using run = await world.open();
    const rest = async () => {
      const { rows } = await world.database.pool.query<{ failures: number; seconds: number }>(
        `select failures, extract(epoch from next_attempt_at - last_attempt_at)::float8 as seconds
         from lanes where source_id = $1 and lane = 'live'`,
        [failing],
      );
      return rows[0];
    };
    await run.cycle();
    expect(await rest()).toMatchObject({ failures: 1 });
    for (let failures = 1; failures <= 4; failures += 1) {
      const fullSeconds = 5 * 2 ** (failures - 1);
      const { seconds = 0 } = (await rest()) ?? {};
      expect(seconds).toBeGreaterThan(fullSeconds * 0.74);
      expect(seconds).toBeLessThan(fullSeconds + 0.5);

      await world.holdRests();
      const asked = world.simulator.requestCount;
      await world.setClocks(failures * 20_000);
      const resting = await run.cycle();
      expect(resting.failed, 'resting counts as failed').toMatchObject([{ id: failing }]);
      const organizations = auditRequests(world.simulator, asked).map(({ organizationId }) => organizationId);
      expect(organizations).toHaveLength(2);
      expect(organizations).not.toContain(failing);
      await world.endRests();
      await run.cycle();
    }
    world.simulator.setRefused(failing, false);
    await world.endRests();
    await run.cycle();
    expect(await rest()).toEqual({ failures: 0, seconds: null });
    await world.expectExactTruth();
  });

  test('a tick in a long backfill: the live gaps of all sources are asked for before further backfill', async () => {
    await using world = await openWorld({ historyMs: 90 * 86_400_000, entries: 6_000, pageCap: 10 });
    const ids = world.simulator.summary().organizations.map(({ id }) => id);
    const lanes: string[] = [];
    await using run = await world.open(
      { ORGTRAIL_HISTORY: '100d', ORGTRAIL_CONCURRENCY: '1' },
      { pageCommitted: ({ lane }) => void lanes.push(lane) },
    );
    // The next tick is due as soon as the backfill is well under way.
    const report = await run.cycle({ stopping: () => lanes.filter((lane) => lane === 'backfill').length > 40 });
    expect(report.finished).toBe(false);
    for (const id of ids) world.simulator.generate(id, 15);
    world.simulator.setClockOffset(30_000);

    const asked = world.simulator.requestCount;
    const newestMs = Date.now() - 60_000;
    await run.cycle({ stopping: () => lanes.filter((lane) => lane === 'backfill').length > 80 });
    const order = auditRequests(world.simulator, asked).map(({ organizationId, beforeMs }) => ({
      organizationId,
      live: beforeMs > newestMs,
    }));
    const firstBackfill = order.findIndex(({ live }) => !live);
    expect(firstBackfill).toBeGreaterThan(0);
    const liveFirst = order.slice(0, firstBackfill).map(({ organizationId }) => organizationId);
    expect(new Set(liveFirst)).toEqual(new Set(ids));
    expect(order.slice(firstBackfill).filter(({ live }) => live)).toEqual([]);
    await cycleUntilClean(world, run);
    await world.expectExactTruth();
  });

  test('the next page is on its way before the last one has been committed', async () => {
    // Time stands still: else there may be a live tail to ask for first, which is one page.
    const nowMs = Date.now();
    await using world = await openWorld({ organizations: 1, entries: 650, pageCap: 100, clock: () => nowMs });
    const events: string[] = [];
    await using run = await world.open({}, { pageCommitted: () => void events.push('committed') });
    // The first look is two pages; the history has more.
    await run.cycle({ stopping: () => events.length > 1 });
    events.length = 0;
    const askedTwice = Promise.withResolvers<void>();
    world.simulator.onRequest((record) => {
      if (asAuditRequest(record) !== undefined) events.push('asked');
      if (events.length === 2) askedTwice.resolve();
    });
    // The commit of the first page waits for this lock, while the request for the second goes out.
    const locker = await world.database.pool.connect();
    await locker.query('begin');
    await locker.query('lock table audit_events in share mode');
    const cycle = run.cycle();
    await askedTwice.promise;
    expect(events).toEqual(['asked', 'asked']);
    await locker.query('commit');
    locker.release();
    await cycle;
    await world.expectExactTruth();
  });
});

/** However long a busy machine takes for the others: what hangs neither ends nor is asked again. */
const patient = { timeouts: { headersMs: 3_600_000, attemptMs: 3_600_000 } };
