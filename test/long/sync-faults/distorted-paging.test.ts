import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type Distort, sendTrue, startDistortedApi } from '../../support/network/distorted-api.ts';
import { valuesOf } from '../../support/postgres/rows.ts';
import { expectClaimedImpliesStored, expectStoredOrVisible } from '../../support/sync/claims.ts';
import { afterADay, cycleUntilClean, openWorld } from '../../support/sync/sync-world.ts';

describe.concurrent('paging that the documentation does not rule out', () => {
  test('a last page whose cursor leads to empty pages without end: all is read, claimed, and after the first time cheaply', async () => {
    await using world = await openWorld({ organizations: 1, entries: 200 });
    await using front = await startDistortedApi(world.simulator.baseUrl);
    front.distort(withEndlessTail());
    await using run = await world.open({ CLOUDFLARE_BASE_URL: front.baseUrl });
    await cycleUntilClean(world, run);
    await world.expectExactTruth();
    const { rows } = await world.database.pool.query('select from coverage_holes');
    expect(rows).toEqual([]);
    const asked = front.distorted;
    for (const { id } of world.simulator.summary().organizations) world.simulator.generate(id, 5);
    await world.setClocks(120_000);
    await cycleUntilClean(world, run);
    await world.expectExactTruth();
    expect(front.distorted - asked, 'requests of another look').toBeLessThan(40);
  });

  test('a cursor that is ignored: the walk does not go round without end, and nothing is claimed', async () => {
    await using world = await openWorld({ organizations: 1, entries: 200 });
    let pages = 0;
    await using front = await startDistortedApi(world.simulator.baseUrl, {
      rewrite: (url) => url.searchParams.delete('cursor'),
    });
    front.distort((distortion) => {
      const body = JSON.parse(distortion.answer.body.toString()) as Body;
      pages += 1;
      if (body.result_info.cursor) body.result_info.cursor = `fresh-${pages}`;
      sendBody(distortion, body);
    });
    const narrowed: string[] = [];
    await using run = await world.open(
      { CLOUDFLARE_BASE_URL: front.baseUrl },
      { windowNarrowed: ({ reason }) => void narrowed.push(reason) },
    );
    // Windows that fit into a page are read; in wider ones, a page comes again.
    for (let cycles = 0; cycles < 60 && (await world.compare()).missing > 0; cycles += 1) {
      await run.cycle();
      await world.endRests();
    }
    expect(narrowed).toContain('page_repeated');
    await world.expectExactTruth();
  });

  test('an answer whose Date is behind the plan: what it cannot claim is not asked for again at once', async () => {
    await using world = await openWorld({ organizations: 2, entries: 100 });
    await using front = await startDistortedApi(world.simulator.baseUrl);
    const [behind = ''] = world.simulator.summary().organizations.map(({ id }) => id);
    front.distort(({ url, answer, response }) => {
      const lateMs = organizationOf(url) === behind ? 600_000 : 0;
      const date = new Date(Date.parse(answer.headers['date'] ?? '') - lateMs).toUTCString();
      sendTrue(response, answer, { date });
    });
    await using run = await world.open({ CLOUDFLARE_BASE_URL: front.baseUrl });
    await cycleUntilClean(world, run);
    const asked = front.distorted;
    expect(asked).toBeLessThan(30);
    expect(await run.cycle()).toMatchObject({ failed: [] });
    expect(front.distorted - asked).toBeLessThan(6);
  });

  test.each([204, 206])('a success with %i is not taken for a whole answer', async (status) => {
    await using world = await openWorld({ organizations: 1, entries: 60 });
    await using front = await startDistortedApi(world.simulator.baseUrl);
    front.distort(({ answer, response }) => {
      if (status === 204) response.writeHead(204, answer.headers).end();
      else {
        const body = JSON.parse(answer.body.toString()) as Body;
        body.result = body.result.slice(0, 3);
        body.result_info = {};
        sendTrue(response, { ...answer, status, body: Buffer.from(JSON.stringify(body)) });
      }
    });
    await using run = await world.open({ CLOUDFLARE_BASE_URL: front.baseUrl });
    expect((await run.cycle()).failed).toHaveLength(1);
    expect((await world.database.pool.query('select from coverage where not isempty(ranges)')).rows).toEqual([]);
    front.distort(undefined);
    await world.endRests();
    await cycleUntilClean(world, run);
    await world.expectExactTruth();
  });
});

test.each([
  [true, []],
  [false, ['cut']],
])(
  'a second of 120 entries that no filter splits, in a log whose pages were smaller (cursors %s): it is read, and claimed if it comes again in pages',
  async (hasCursors, reasons) => {
    await using world = await openWorld({
      organizations: 6,
      entries: 1_500,
      distribution: 'zipf',
      pageCap: 200,
      ownClock: true,
    });
    await using front = await startDistortedApi(world.simulator.baseUrl);
    front.distort((distortion) => {
      const body = JSON.parse(distortion.answer.body.toString()) as Body;
      sendBody(distortion, hasCursors ? body : { ...body, result_info: {} });
    });
    await using run = await world.open({ CLOUDFLARE_BASE_URL: front.baseUrl });
    await cycleUntilClean(world, run);
    await afterADay(world);
    const { organizations, nowMs } = world.simulator.summary();
    const time = new Date(Math.ceil(nowMs / 1_000) * 1_000 + 5_400).toISOString();
    const burst = Array.from({ length: 120 }, (_, n) =>
      JSON.stringify({ id: `burst-${n}`, action: { time, type: 'create' } }),
    );
    world.simulator.append(organizations.at(-1)?.id ?? '', burst);
    await world.setClocks(20_000);
    await cycleUntilClean(world, run);
    await world.expectExactTruth();
    await expectClaimedImpliesStored(world.database.pool, world.simulator);
    expect(await valuesOf(world.database.pool, 'select reason from coverage_holes')).toEqual(reasons);
  },
);

test.each([/=/, /action_type=delete/])(
  'parts of a second that lack what the whole of it has shown (%s brings nothing) prove nothing',
  async (lost) => {
    const faults = { page_cap: { size: 200, cursors: 'none' as const } };
    await using world = await openWorld({ organizations: 1, entries: 20, pageCap: 1_000, faults });
    const { organizations, nowMs } = world.simulator.summary();
    world.simulator.generate(organizations[0]?.id ?? '', 450, { actionTimeMs: nowMs - 30 * MINUTE_MS });
    await using front = await startDistortedApi(world.simulator.baseUrl);
    front.distort((distortion) => {
      const { url, answer } = distortion;
      const body = JSON.parse(answer.body.toString()) as Body;
      const filters = [...url.searchParams].filter(([name]) => /^(action|actor|resource)_\w+$/.test(name));
      const isLost = filters.some(([name, value]) => lost.test(`${name}=${value}`));
      sendBody(distortion, isLost ? { ...body, result: [], result_info: {} } : body);
    });
    await using run = await world.open({ CLOUDFLARE_BASE_URL: front.baseUrl });
    for (let cycles = 0; cycles < 4; cycles += 1) {
      await run.cycle();
      await world.endRests();
    }
    expect(await expectStoredOrVisible(world.database.pool, world.simulator)).toBeGreaterThan(0);
    await expectClaimedImpliesStored(world.database.pool, world.simulator);
  },
);

test.each([
  ['the newest', 4, 50_000],
  ['the oldest', 4, 50_000],
  ['those that were asked for first', 4, 50_000],
  // Pages of others are whole and larger. The first look shows some 35 entries, and no page after it as many.
  ['the oldest', 1, 30_000],
])(
  'answers that are cut, and keep %s, of %i of 4 logs, without cursors, at %i bytes: all is read, nothing else is claimed',
  async (kept, logs, bytes) => {
    const options = { organizations: 4, entries: 900 * 4, historyMs: 4.5 * 86_400_000, pageCap: 1_000 };
    await using world = await openWorld(options, { ORGTRAIL_HISTORY: '5d' });
    await using front = await startDistortedApi(world.simulator.baseUrl);
    const cut = new Set(
      world.simulator
        .summary()
        .organizations.map(({ id }) => id)
        .slice(-logs),
    );
    const looked = new Set<string>();
    front.distort((distortion) => {
      const id = organizationOf(distortion.url);
      if (!cut.has(id)) return sendTrue(distortion.response, distortion.answer);
      const body = JSON.parse(distortion.answer.body.toString()) as Body;
      const isTurned = kept === (distortion.url.searchParams.get('direction') === 'asc' ? 'the newest' : 'the oldest');
      let leftBytes = bytes + (looked.has(id) ? 0 : 5_000);
      looked.add(id);
      const isKept = (entry: unknown) => {
        leftBytes -= 500 + (crc32((entry as { id: string }).id) % 900);
        return leftBytes >= 0;
      };
      const result = isTurned ? body.result.toReversed().filter(isKept).toReversed() : body.result.filter(isKept);
      sendBody(distortion, { ...body, result, result_info: {} });
    });
    await using run = await world.open({ CLOUDFLARE_BASE_URL: front.baseUrl });
    await cycleUntilClean(world, run);
    await world.expectExactTruth();
    await expectClaimedImpliesStored(world.database.pool, world.simulator);
    expect(front.distorted).toBeLessThan(900);
  },
);

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

interface Body {
  result: unknown[];
  result_info: { cursor?: string; count?: number };
}

const END = 'end-';
const organizationOf = (url: URL): string => url.pathname.split('/').at(-3) ?? '';

const sendBody = ({ response, answer }: Parameters<Distort>[0], body: Body): void =>
  sendTrue(response, { ...answer, status: 200, body: Buffer.from(JSON.stringify(body)) });

/** Every page has a cursor. That of the last page leads to empty pages without end. */
const withEndlessTail = (): Distort => {
  let pages = 0;
  const next = () => {
    pages += 1;
    return `${END}${pages}`;
  };
  return (distortion) => {
    const { url, answer } = distortion;
    const isBehind = url.searchParams.get('cursor')?.startsWith(END) === true;
    const empty: Body & { success: true } = { success: true, result: [], result_info: {} };
    const body = isBehind ? empty : (JSON.parse(answer.body.toString()) as Body);
    const cursor = body.result_info.cursor ? body.result_info.cursor : next();
    sendBody(distortion, { ...body, result_info: { ...body.result_info, cursor } });
  };
};

const MINUTE_MS = 60_000;
