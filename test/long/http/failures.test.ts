import { describe, expect, test } from 'vitest';
import { openRunning } from '../../support/sync/running-world.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

describe('a request that fails', () => {
  test('for a reason of ours says so, not that the database does not answer, and the log has it with its id (invariant 14)', async () => {
    await using world = await openRunning({ entries: 60 });
    await using served = await serve(world);
    await world.cycle();
    await world.database.pool.query('alter table feed_head rename to away');
    try {
      for (const path of ['/', '/v1/status', '/v1/search', '/v1/events', '/events/export?format=csv']) {
        const response = await fetch(`${served.server.url}${path}`, { headers: path.startsWith('/v1') ? {} : html });
        const text = await response.text();
        expect(response.status, path).toBe(500);
        expect(text).not.toMatch(/does not answer|feed_head/i);
        const id = /nternal error \(request id ([\w-]+)\); the log has the details/.exec(text)?.[1] ?? 'none';
        const line = world
          .log()
          .split('\n')
          .find((one) => one.includes(id));
        expect(line, path).toMatch(/"level":"error".*relation \\"feed_head\\" does not exist.*"HTTP request failed"/);
        expect(line).toContain(`"path":"${path.split('?')[0]}"`);
      }
    } finally {
      await world.database.pool.query('alter table away rename to feed_head');
    }
  });

  test('because the database is gone: that it does not answer, in the API and on a page', async () => {
    const world = await openWorld({ entries: 60 });
    await using run = await world.open();
    await using served = await serve(run);
    await run.cycle();
    await world[Symbol.asyncDispose]();
    for (const path of ['/', '/events', '/v1/search']) {
      const response = await fetch(`${served.server.url}${path}`, { headers: path.startsWith('/v1') ? {} : html });
      expect(response.status).toBe(503);
      expect(await response.text()).toMatch(/the database does not answer/i);
    }
  });

  test('because all connections are in use, or held by a lock: that it is busy or slow, and when to come again', async () => {
    await using world = await openWorld({ entries: 60 });
    // So long a request waits for a connection, and three are held for longer: see store/search-coverage.ts.
    const patient = world.database.url.replace(/connect_timeout=\d+/, 'connect_timeout=2');
    await using run = await world.open({ DATABASE_URL: patient });
    await using served = await serve(run);
    await run.cycle();
    const search = () => fetch(`${served.server.url}/v1/search`);
    await Promise.all([search(), search(), search()]);
    const client = await world.database.pool.connect();
    await client.query('begin; lock table sources in access exclusive mode');
    try {
      const answers = await Promise.all(
        Array.from({ length: 6 }, async () => {
          const response = await search();
          return { response, body: (await response.json()) as { status: string; reason: string } };
        }),
      );
      for (const { response, body } of answers) {
        expect([response.status, body.status]).toEqual([503, expect.stringMatching(/^(busy|slow)$/)]);
        expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
      }
    } finally {
      await client.query('rollback');
      client.release();
    }
  });
});

test('what is not there: a page for browsers, JSON in the shape of the API for all others, without "Try again"', async () => {
  await using world = await openRunning({ entries: 60 });
  await using served = await serve(world);
  await world.cycle();
  const get = (path: string, init: RequestInit = {}) => fetch(`${served.server.url}${path}`, init);
  for (const path of ['/nowhere', '/events/99999999', '/organizations/none', '/events/a/b/c']) {
    const page = await get(path, { headers: html });
    const text = await page.text();
    expect([page.status, page.headers.get('content-type')], path).toEqual([404, 'text/html; charset=utf-8']);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(text).toMatch(/<h1>Not found<\/h1>/);
    expect(text).not.toContain('Try again');
  }
  for (const [path, init] of [
    ['/v1/nope', { headers: html }],
    ['/v1/nope', { method: 'POST' }],
    ['/nowhere', {}],
    ['/nowhere', { method: 'DELETE' }],
  ] as const) {
    const answer = await get(path, init);
    expect([answer.status, await answer.json()], path).toEqual([
      404,
      { status: 'not found', reason: expect.stringMatching(/^there is no (GET|POST|DELETE) \/(v1\/nope|nowhere)$/) },
    ]);
  }
});

const html = { accept: 'text/html,application/xhtml+xml' };
