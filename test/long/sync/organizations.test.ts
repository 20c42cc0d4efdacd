import { describe, expect, test } from 'vitest';
import { ApiError } from '../../../src/base/errors.ts';
import { startDistortedApi } from '../../support/network/distorted-api.ts';
import { openRunning } from '../../support/sync/running-world.ts';
import { auditRequests, openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

describe.concurrent('organizations', () => {
  test('a refused one (403) shows as refused, the others complete; restored, it completes too (invariant 10)', async () => {
    await using world = await openRunning();
    const [refused = '', ...others] = idsOf(world);
    world.simulator.setRefused(refused, true);
    const first = await world.cycle();
    expect(first).toMatchObject({ sources: 3, failed: [{ id: refused }], finished: true });
    expect(await world.compare()).toMatchObject({ missing: 200, stored: 400, extra: 0, positionsMissing: 0 });
    expect(await stateOf(world, refused)).toBe('refused');
    expect(await changesOf(world, refused)).toEqual(['appeared', 'refused']);
    for (const other of others) expect(await stateOf(world, other)).toBe('active');
    // Still refused: no news, and asked again only after its rest.
    await world.holdRests();
    const asked = world.simulator.requestCount;
    expect((await world.cycle()).failed).toHaveLength(1);
    expect(auditRequests(world.simulator, asked).map(({ organizationId }) => organizationId)).not.toContain(refused);
    await world.endRests();
    await world.cycle();
    expect(await changesOf(world, refused)).toEqual(['appeared', 'refused']);

    world.simulator.setRefused(refused, false);
    await world.endRests();
    expect((await world.cycle()).failed).toEqual([]);
    expect(await stateOf(world, refused)).toBe('active');
    expect(await changesOf(world, refused)).toEqual(['appeared', 'refused', 'restored']);
    await world.expectExactTruth();
  });

  test('one refused in the middle of its walk goes on from the page it had', async () => {
    // Of a first page with ten entries or more the end would be in doubt.
    await using world = await openWorld({ organizations: 1, entries: 300 });
    let pages = 0;
    const id = idsOf(world)[0] ?? '';
    await using run = await world.open(
      { ORGTRAIL_CONCURRENCY: '1' },
      {
        pageCommitted: () => {
          pages += 1;
          if (pages === 3) world.simulator.setRefused(id, true);
        },
      },
    );
    expect((await run.cycle()).failed).toHaveLength(1);
    const read = auditRequests(world.simulator).filter(({ status }) => status === 200);
    world.simulator.setRefused(id, false);
    await world.endRests();
    const asked = world.simulator.requestCount;
    await run.cycle();
    const after = auditRequests(world.simulator, asked);
    const interrupted = after.filter(({ beforeMs }) => beforeMs === read.at(-1)?.beforeMs);
    expect(interrupted[0]?.cursor).toEqual(expect.any(String));
    expect(interrupted.filter(({ path }) => read.some((page) => page.path === path))).toEqual([]);
    await world.expectExactTruth();
  });

  test('a listing that is refused (403) fails a first cycle that knows nothing', async () => {
    await using world = await openRunning({ faults: { listing_403: 1 } });
    const failure = await world.sync({ retries: 3 }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ApiError);
    expect(failure).toMatchObject({ failure: 'refused', status: 403 });
    const { rows } = await world.database.pool.query('select last_error, last_success_at from discovery');
    expect(rows).toEqual([{ last_error: expect.stringContaining('403'), last_success_at: null }]);
  });

  test('with ORGTRAIL_ORGANIZATIONS the refused listing is not needed: those named are pulled, and no others', async () => {
    await using world = await openWorld({ faults: { listing_403: 1 } });
    const [one = '', two = '', three = ''] = idsOf(world);
    await using run = await world.open({ ORGTRAIL_ORGANIZATIONS: `${one},${three}` });
    expect(await run.cycle()).toMatchObject({ sources: 2, failed: [], discoveryError: undefined });
    expect(world.simulator.faults.fired().listing_403).toBeGreaterThan(0);
    expect(new Set(auditRequests(world.simulator).map(({ organizationId }) => organizationId))).toEqual(
      new Set([one, three]),
    );
    const { rows } = await world.database.pool.query('select name from organizations where id = any($1)', [
      [one, three],
    ]);
    expect(rows.every((row) => row.name !== null)).toBe(true);
    expect(await world.compare()).toMatchObject({ stored: 400, missing: 200, extra: 0, organizationsStored: 2 });

    world.simulator.faults.set({ preset: 'none' });
    await using all = await world.open();
    await all.cycle();
    expect(await changesOf(world, two)).toEqual(['appeared']);
    await world.expectExactTruth();
  });

  test('a cycle that stands alone lists again until nothing new appears', async () => {
    await using world = await openRunning({ faults: { missing_organization: { count: 1 } } });
    expect(await world.sync({ retries: 3 })).toMatchObject({ sources: 3, failed: [] });
    expect(world.simulator.faults.fired()).toEqual({ missing_organization: 1 });
    await world.expectExactTruth();
  });

  test('new ones are found by the next listing, in pages, and renamed ones noticed', async () => {
    await using world = await openRunning();
    await world.cycle();
    const created = await createOrganization(world, 'Newcomer');
    world.simulator.generate(created, 30);
    world.simulator.setClockOffset(30_000);
    expect(await world.cycle()).toMatchObject({ sources: 4, failed: [] });
    expect(await changesOf(world, created)).toEqual(['appeared']);
    await world.expectExactTruth();

    const headers = { authorization: 'Bearer token-of-the-test', 'content-type': 'application/json' };
    const body = JSON.stringify({ name: 'Renamed' });
    await fetch(`${world.simulator.baseUrl}/organizations/${created}`, { method: 'PUT', headers, body });
    world.simulator.setClockOffset(60_000);
    await world.cycle();
    expect(await changesOf(world, created)).toEqual(['appeared', 'renamed']);
    await world.expectExactTruth();
  });

  test('a page token that repeats is an error of the listing, and the organizations known are pulled on (invariant 9)', async () => {
    await using world = await openWorld();
    // So that few organizations are two pages.
    await using api = await startDistortedApi(world.simulator.baseUrl, {
      rewrite: ({ pathname, searchParams }) => {
        if (pathname.endsWith('/organizations')) searchParams.set('page_size', '5');
      },
    });
    await using run = await world.open({ CLOUDFLARE_BASE_URL: api.baseUrl });
    await run.cycle();
    for (const n of [1, 2, 3, 4]) await createOrganization(world, `Number ${n}`);
    for (const id of idsOf(world).slice(0, 3)) world.simulator.generate(id, 10);
    world.simulator.setClockOffset(30_000);
    world.simulator.faults.set({ repeated_page_token: 1 });
    const report = await run.cycle();
    expect(report).toMatchObject({ sources: 5, failed: [], discoveryError: { failure: 'unreadable' } });
    expect(String(report.discoveryError)).toContain('page token came twice');
    expect(world.simulator.faults.fired().repeated_page_token).toBeGreaterThan(0);
    // Each of the two that are not known has an entry of its own creation.
    const known = { extra: 0, missing: 2, positionsMissing: 0, organizationsStored: 5 };
    expect(await world.compare()).toMatchObject(known);

    world.simulator.faults.set({ preset: 'none' });
    await run.cycle({ stopping: () => true });
    expect(await world.compare()).toMatchObject({ organizationsStored: 7 });
  });
});

const idsOf = (world: SyncWorld): string[] => world.simulator.summary().organizations.map(({ id }) => id);

const stateOf = async (world: SyncWorld, id: string): Promise<string> => {
  const { rows } = await world.database.pool.query('select state from organizations where id = $1', [id]);
  return rows[0]?.state;
};

const changesOf = async (world: SyncWorld, id: string): Promise<string[]> => {
  const { rows } = await world.database.pool.query(
    'select change from organization_changes where organization_id = $1 order by id',
    [id],
  );
  return rows.map((row) => row.change);
};

const createOrganization = async (world: SyncWorld, name: string): Promise<string> => {
  const headers = { authorization: 'Bearer token-of-the-test', 'content-type': 'application/json' };
  const url = `${world.simulator.baseUrl}/organizations`;
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ name }) });
  const { result } = (await response.json()) as { result: { id: string } };
  return result.id;
};
