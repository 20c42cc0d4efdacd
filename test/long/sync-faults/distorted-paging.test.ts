import { describe, expect, test } from 'vitest';
import { type Distort, sendTrue, startDistortedApi } from '../../support/network/distorted-api.ts';
import { cycleUntilClean, openWorld } from '../../support/sync/sync-world.ts';

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
