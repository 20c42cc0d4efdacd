import { describe, expect, test } from 'vitest';
import { parseMetrics } from '../../support/deploy/metrics-text.ts';
import { sendTrue, startDistortedApi } from '../../support/network/distorted-api.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { openRunning } from '../../support/sync/running-world.ts';
import { serve } from '../../support/sync/served.ts';
import { auditRequests, openWorld, type SyncRun, type SyncWorld } from '../../support/sync/sync-world.ts';

test('a listing that breaks on its second page, at the first start: the organizations of the first are pulled (invariant 10)', async () => {
  await using listed = await openListedWorld(5);
  const { world, front, cycle } = listed;
  const firstPage = idsOf(world).slice(0, PAGE_SIZE);
  breakPagesAfterFirst(front);
  await using run = await listed.open();
  await using served = await serve(run);
  for (let times = 0; times < 3; times += 1) {
    expect(await cycle(run)).toMatchObject({
      sources: PAGE_SIZE,
      failed: [],
      discoveryError: { failure: 'not_found' },
    });
  }
  expect(new Set(auditRequests(world.simulator).map(({ organizationId }) => organizationId))).toEqual(
    new Set(firstPage),
  );
  const { rows } = await world.database.pool.query('select distinct organization_id as id from audit_events');
  expect(rows.map(({ id }) => id).sort()).toEqual([...firstPage].sort());
  const health = await served.get('/healthz');
  expect(health, 'it says that others may be missing').toMatchObject({ body: { discovery: { state: 'behind' } } });

  front.distort(undefined);
  expect(await cycle(run)).toMatchObject({ sources: 5, failed: [], discoveryError: undefined });
  await world.expectExactTruth();
  expect(await served.get('/healthz')).toMatchObject({ body: { discovery: { state: 'ok' } } });
  // And later: what the broken listing did not come to is neither missed nor left.
  breakPagesAfterFirst(front);
  for (let times = 0; times < 3; times += 1) expect(await cycle(run)).toMatchObject({ sources: 5, failed: [] });
  await world.expectExactTruth();
  expect(await changesIn(world, 'gone')).toEqual([]);
  const { rows: missed } = await world.database.pool.query('select from organizations where missed_listings > 0');
  expect(missed).toEqual([]);
});

test('a listing that is empty, while all audit logs answer: nothing is gone, all is pulled on, and the log warns (invariant 10)', async () => {
  await using listed = await openListedWorld(3);
  const { world, front, cycle } = listed;
  await using run = await listed.open();
  await using served = await serve(run);
  await cycle(run);
  listOnly(front, []);
  for (let times = 0; times < 6; times += 1) {
    expect(await cycle(run)).toMatchObject({ sources: 3, failed: [], discoveryError: undefined });
  }
  await world.expectExactTruth();
  expect(await changesIn(world, 'gone')).toEqual([]);
  expect(await served.get('/healthz')).toMatchObject({ body: { vanished: [] } });
  for (const id of idsOf(world)) {
    const warnings = run
      .log()
      .split('\n')
      .filter((line) => line.includes(id) && line.includes('collection continues'));
    expect(warnings, 'once a day').toHaveLength(1);
  }
});

test('a partial listing and a log that refuses: gone a quarter of an hour after two misses, told by log, health and metric; restored when listed again (invariant 10)', async () => {
  await using listed = await openListedWorld(2);
  const { world, front, cycle } = listed;
  const [stays = '', vanishes = ''] = idsOf(world);
  await using run = await listed.open();
  await using served = await serve(run);
  const vanished = async () => parseMetrics(await served.text('/metrics')).get('orgtrail_organizations_vanished');
  await cycle(run);
  expect(await served.get('/healthz')).toMatchObject({ body: { status: 'ok', vanished: [] } });
  listOnly(front, [stays]);
  world.simulator.setRefused(vanishes, true);
  await cycle(run);
  expect(await changesIn(world, 'gone'), 'missed once').toEqual([]);
  await cycle(run);
  expect(await changesIn(world, 'gone'), 'refused for a moment').toEqual([]);
  await world.ageRefusals();
  await cycle(run);
  expect(await changesIn(world, 'gone')).toEqual([vanishes]);
  expect(run.log()).toContain('organization gone');
  const { body } = await served.get('/healthz');
  expect(body).toMatchObject({
    status: 'vanished',
    sources: [{ organization_id: stays }],
    vanished: [{ organization_id: vanishes, organization_name: expect.any(String), gone_at: expect.any(String) }],
  });
  expect(await vanished()).toBe(1);
  expect(await served.get('/v1/status')).toMatchObject({ body: { vanished: [{ organizationId: vanishes }] } });
  expect(await served.text('/')).toContain('it is no longer listed, and its audit log refuses access');
  const status = await runInProcess(['status'], world.env);
  expect(status.stdout).toMatch(new RegExp(`^vanished: .+ \\(${vanishes}\\): it is no longer listed`, 'm'));
  // A day later it is no news any more.
  const back = (by: string) =>
    world.database.pool.query('update organization_changes set changed_at = changed_at - $1::interval', [by]);
  await back('25 hours');
  expect(await served.get('/healthz')).toMatchObject({ body: { status: 'ok', vanished: [] } });
  expect(await vanished()).toBe(0);
  await back('-25 hours');

  front.distort(undefined);
  world.simulator.setRefused(vanishes, false);
  await world.endRests();
  expect(await cycle(run)).toMatchObject({ sources: 2, failed: [] });
  expect(await changesIn(world, 'restored')).toEqual([vanishes]);
  expect(await served.get('/healthz')).toMatchObject({ body: { vanished: [] } });
  expect(await vanished()).toBe(0);
  await world.expectExactTruth();
});

test('a listing that counts more than it names: what it does not name is not missed; log, status and health say so', async () => {
  await using world = await openRunning({ organizations: 6, subOrganizations: false });
  await using served = await serve(world);
  await world.cycle();
  world.simulator.faults.set({ partial_listing: { firstOrganizations: 4, countsAll: true } });
  for (let times = 0; times < 3; times += 1)
    expect(await world.cycle()).toMatchObject({ sources: 6, discoveryError: undefined });
  const { rows } = await world.database.pool.query('select from organizations where missed_listings > 0');
  expect(rows).toEqual([]);
  expect(world.log().match(/the listing of organizations is not complete/g)).toHaveLength(1);
  expect(world.log()).toContain('named 2 of 6');
  const line = expect.stringMatching(
    /^incomplete: organizations have not been listed in full: .+ named 2 of 6 .+ \(since 2\S+Z\)\. Try: .+ ORGTRAIL_ORGANIZATIONS$/,
  );
  const discovery = { state: 'incomplete', last_error: null, troubles: [line] };
  expect(await served.get('/healthz')).toMatchObject({ body: { status: 'incomplete', discovery } });
  const status = await runInProcess(['status', '--fail-on', 'failing'], world.env);
  expect(status).toMatchObject({ code: 0 });
  expect(status.stdout.split('\n')).toContainEqual(line);
  const { shortListings } = JSON.parse((await runInProcess(['status', '--json'], world.env)).stdout).discovery;
  expect(shortListings).toMatchObject([{ of: 'organizations', listings: 1 }]);
  expect(await runInProcess(['status', '--fail-on', 'behind'], world.env)).toMatchObject({ code: 1 });
  world.simulator.faults.set({ partial_listing: { firstOrganizations: 4 } });
  await world.cycle();
  expect(await served.get('/healthz')).toMatchObject({ body: { status: 'ok', discovery: { state: 'ok' } } });
  expect((await world.database.pool.query('select from organizations where missed_listings > 0')).rowCount).toBe(4);
});

describe('organizations below others', () => {
  test('are found where the listing does not show them, are not gone for that, and are asked for once a day', async () => {
    await using world = await openWorld({ organizations: 12, entries: 600, listsSubOrganizations: false });
    const below = world.simulator.summary().organizations.filter(({ parentId }) => parentId !== null);
    expect(below.length, 'the simulator has some').toBeGreaterThan(0);
    await using run = await world.open();
    expect(await run.sync({ retries: 3 })).toMatchObject({ sources: 12, failed: [] });
    await world.expectExactTruth();

    const asked = world.simulator.requestCount;
    for (let cycle = 0; cycle < 3; cycle += 1) await run.cycle();
    await run.sync();
    const paths = world.simulator
      .requests()
      .slice(asked)
      .map(({ path }) => path);
    expect(listings(paths).filter((path) => path.includes('parent.id'))).toEqual([]);
    const { rows } = await world.database.pool.query(
      `select count(*)::integer as count from organizations where listed_under is not null and state = 'active'`,
    );
    expect(rows).toEqual([{ count: below.length }]);
  });

  test('are not asked for where the listing shows some', async () => {
    await using world = await openRunning({ organizations: 12, entries: 120 });
    await world.sync();
    expect(listings(world.simulator.requests().map(({ path }) => path)).length).toBeGreaterThan(0);
    expect(world.simulator.requests().filter(({ path }) => path.includes('parent.id'))).toEqual([]);
    await world.expectExactTruth();
  });
});

const PAGE_SIZE = 2;
const idsOf = (world: SyncWorld): string[] => world.simulator.summary().organizations.map(({ id }) => id);

const changesIn = async (world: SyncWorld, change: string): Promise<string[]> => {
  const { rows } = await world.database.pool.query(
    'select organization_id as id from organization_changes where change = $1 order by id',
    [change],
  );
  return rows.map(({ id }) => id);
};

const isListing = ({ pathname }: URL): boolean => pathname.endsWith('/organizations');

/** Organizations whose listing comes in pages of two, and answers what the test says. */
const openListedWorld = async (organizations: number) => {
  const stack = new AsyncDisposableStack();
  const world = stack.use(
    await openWorld({ organizations, entries: organizations * 50, subOrganizations: false, ownClock: true }),
  );
  const rewrite = (url: URL) => {
    if (isListing(url)) url.searchParams.set('page_size', String(PAGE_SIZE));
  };
  const front = stack.use(await startDistortedApi(world.simulator.baseUrl, { concerns: () => true, rewrite }));
  const open = () => world.open({ CLOUDFLARE_BASE_URL: front.baseUrl });
  /** The next cycle is half a minute later, so that there is something to ask. */
  let seconds = 0;
  const cycle = async (run: SyncRun) => {
    for (const id of idsOf(world)) world.simulator.generate(id, 3);
    seconds += 30;
    await world.setClocks(seconds * 1_000);
    return await run.cycle();
  };
  return { world, front, open, cycle, [Symbol.asyncDispose]: () => stack.disposeAsync() };
};

type Front = Awaited<ReturnType<typeof startDistortedApi>>;

const breakPagesAfterFirst = (front: Front) =>
  front.distort(({ url, answer, response }) => {
    if (isListing(url) && url.searchParams.has('page_token'))
      response.writeHead(404, { date: answer.headers['date'] }).end('{}');
    else sendTrue(response, answer);
  });

/** The listing names these, on one page, and is complete. */
const listOnly = (front: Front, ids: readonly string[]) =>
  front.distort(({ url, answer, response }) => {
    if (!isListing(url)) return sendTrue(response, answer);
    const { result } = JSON.parse(answer.body.toString('utf8')) as { result: { id: string }[] };
    const body = { success: true, errors: [], messages: [], result: result.filter(({ id }) => ids.includes(id)) };
    return sendTrue(response, { ...answer, body: Buffer.from(JSON.stringify(body)) });
  });

const listings = (paths: readonly string[]) => paths.filter((path) => /\/organizations\?/.test(path));
