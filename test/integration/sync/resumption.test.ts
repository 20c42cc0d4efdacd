import { describe, expect, test } from 'vitest';
import {
  asAuditRequest,
  auditRequests,
  cycleUntilClean,
  openWorld,
  youngHistory,
} from '../../support/sync/sync-world.ts';

describe.concurrent('resumption', () => {
  test('a cycle that is aborted in a long walk goes on from the persisted cursor: no page twice but the one in hand', async () => {
    await using world = await openYoung();
    const abort = new AbortController();
    let pages = 0;
    {
      const pageCommitted = () => {
        pages += 1;
        if (pages === 9) abort.abort(new Error('killed'));
      };
      await using first = await world.open({}, { pageCommitted });
      await expect(first.cycle({ signal: abort.signal })).rejects.toThrow('killed');
    }
    const before = auditRequests(world.simulator);
    const asked = world.simulator.requestCount;
    await using second = await world.open();
    expect(await second.cycle()).toMatchObject({ failed: [], finished: true });
    const after = auditRequests(world.simulator, asked);
    const paths = [...before, ...after].map(({ path }) => path);
    expect(after[0]?.cursor, 'goes on from a cursor').not.toBeNull();
    // The page that was on its way, and the one that was asked for ahead.
    expect(paths.length - new Set(paths).size).toBeLessThanOrEqual(2);
    expect(after[0]?.query.get('before')).toBe(before[0]?.query.get('before'));
    await world.expectExactTruth();
  });

  test('a cursor that has expired by the restart is asked for once more; then half of its window is asked for, and nothing of before is claimed', async () => {
    await using world = await openYoung();
    let pages = 0;
    {
      const pageCommitted = () => {
        pages += 1;
      };
      await using first = await world.open({}, { pageCommitted });
      await first.cycle({ stopping: () => pages >= 12 });
    }
    const read = (await world.compare()).stored;
    expect(read).toBeGreaterThanOrEqual(200);
    expect((await world.database.pool.query('select from coverage where not isempty(ranges)')).rows).toEqual([]);
    const asked = world.simulator.requestCount;
    world.simulator.faults.set({ expired_cursor: { count: 2 } });
    await using second = await world.open();
    expect(await second.cycle()).toMatchObject({ failed: [], finished: true });
    const [refused, twice, again, ...others] = auditRequests(world.simulator, asked);
    expect(refused).toMatchObject({ status: 400, cursor: expect.any(String) });
    expect(twice?.path).toBe(refused?.path);
    expect(again?.cursor).toBeNull();
    const widthOf = (request = refused) => (request?.beforeMs ?? Number.NaN) - (request?.sinceMs ?? Number.NaN);
    expect(widthOf(again)).toBeLessThan(0.6 * widthOf());
    expect(others.filter(({ cursor }) => cursor !== null).length, 'in few windows').toBeGreaterThan(600 / 20 - 5);
    await world.expectExactTruth();
  });

  test('the page in hand is committed when the process is told to stop, and no further one begun', async () => {
    await using world = await openYoung();
    let stopping = false;
    let committed = 0;
    const pageCommitted = ({ stored }: { readonly stored: number }) => {
      committed += stored;
    };
    await using run = await world.open({}, { pageCommitted });
    const stop = world.simulator.onRequest((record) => {
      if (auditRequests(world.simulator).length === 3 && asAuditRequest(record) !== undefined) stopping = true;
    });
    const report = await run.cycle({ stopping: () => stopping });
    stop();
    expect(report.finished).toBe(false);
    const asked = auditRequests(world.simulator);
    expect(committed).toBe(asked.length * 20);
    await cycleUntilClean(world, run);
    await world.expectExactTruth();
  });
});

const openYoung = () => openWorld({ ...youngHistory, organizations: 1, pageCap: 20 }, { ORGTRAIL_HISTORY: '1h' });
