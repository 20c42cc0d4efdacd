import { beforeAll, describe, expect, test } from 'vitest';
import { forgetNewest } from '../../support/postgres/schema-0-2-0.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { until } from '../../support/process/until.ts';
import { openRunning } from '../../support/sync/running-world.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

describe.concurrent('health over HTTP', () => {
  test('ready is what can serve, with or without Cloudflare; healthz tells that no listing comes', async () => {
    await using world = await openRunning();
    await using served = await serve(world);
    const ready = { code: 200, body: { status: 'ready', reasons: [] } };
    expect(await served.get('/livez')).toEqual({ code: 200, body: { status: 'ok' } });
    expect(await served.get('/readyz')).toEqual(ready);
    const listed = (state: string) => ({ body: { discovery: { state } } });
    expect(await served.get('/healthz')).toMatchObject({ body: { status: 'behind', ...listed('behind').body } });

    await world.cycle();
    expect(await served.get('/readyz')).toEqual(ready);
    expect(await served.get('/healthz')).toMatchObject({
      code: 200,
      body: { status: 'ok', feed_position: 600, ...listed('ok').body },
    });
    expect(await served.get('/v1/nothing')).toMatchObject({ code: 404 });

    await until('it is looked at before five minutes are over', async () => {
      await world.database.pool.query("update discovery set last_success_at = clock_timestamp() - interval '290 s'");
      const { body } = await served.get('/healthz');
      const { discovery } = body as { discovery: { state: string; age_seconds: number } };
      if (discovery.age_seconds >= 300) return false;
      expect(discovery.state).toBe('ok');
      return true;
    });
    await world.database.pool.query(
      "update discovery set last_success_at = clock_timestamp() - interval '301 s', last_error = 'it was refused'",
    );
    expect(await served.get('/readyz')).toEqual(ready);
    expect(await served.get('/healthz')).toMatchObject({
      body: { status: 'behind', discovery: { state: 'behind', last_error: 'it was refused' } },
    });
  });

  test('a first listing that failed: healthz says why', async () => {
    await using world = await openRunning({ faults: { listing_403: 1 } });
    await using served = await serve(world);
    await world.cycle().catch(() => {});
    expect(await served.get('/healthz')).toMatchObject({
      body: { status: 'refused', discovery: { age_seconds: null, last_error: expect.stringContaining('403') } },
    });
  });

  test('a database that is gone: alive, not ready, no numbers, and no credential in any answer', async () => {
    const world = await openWorld();
    await using run = await world.open();
    await using served = await serve(run);
    await run.cycle();
    await world[Symbol.asyncDispose]();
    expect(await served.get('/livez')).toMatchObject({ code: 200 });
    expect(await served.get('/readyz')).toEqual({
      code: 503,
      body: { status: 'not ready', reasons: [expect.stringMatching(/^the database does not answer: \w+/)] },
    });
    for (const path of ['/healthz', '/metrics', '/v1/status']) {
      expect(await served.get(path)).toEqual({
        code: 503,
        body: {
          status: 'unavailable',
          reason: expect.stringMatching(
            /^the database does not answer\. Try: check DATABASE_URL, that the server runs/,
          ),
        },
      });
    }
  });

  test('a schema that is not current: not ready, and the reason says so', async () => {
    await using world = await openRunning();
    await using served = await serve(world);
    await world.cycle();
    await forgetNewest(world.database.pool);
    expect(await served.get('/readyz')).toEqual({
      code: 503,
      body: { status: 'not ready', reasons: ['the schema is outdated'] },
    });
    await world.database.pool.query('update drizzle.__drizzle_migrations set created_at = created_at + 9');
    expect(await served.get('/readyz')).toMatchObject({ code: 503, body: { reasons: ['the schema is newer'] } });
  });

  test('healthz names each source with its state: fresh, quiet, behind, failing, refused', async () => {
    await using world = await openRunning({ organizations: 5, entries: 500 });
    await using served = await serve(world);
    const [fresh = '', quiet = '', behind = '', failing = '', refused = ''] = idsOf(world);
    await world.cycle();
    world.simulator.setRefused(refused, true);
    world.simulator.faults.set({ expired_cursor: 0, html_ok: { organizationId: failing } });
    world.simulator.setClockOffset(1_500);
    expect((await world.cycle()).failed).toHaveLength(2);
    const { pool } = world.database;
    await pool.query("update sources set last_event_at = last_event_at - interval '25 h' where id = $1", [quiet]);
    await pool.query(
      `update coverage set ranges = ranges - tstzmultirange(tstzrange(now() - interval '10 min', null)) where source_id = $1`,
      [behind],
    );
    await world.app.sync.store.claim({ kind: 'organization', id: fresh });
    await world.app.sync.store.claimDiscovery(0);
    const { code, body } = await served.get('/healthz');
    expect(code).toBe(200);
    expect(body).toMatchObject({
      status: 'failing',
      feed_position: 500,
      discovery: { organizations: 5, last_error: null },
    });
    const { sources } = body as {
      sources: { organization_id: string; state: string; lag_seconds: number; retention_slack_seconds: number }[];
    };
    const states = Object.fromEntries(sources.map((source) => [source.organization_id, source.state]));
    expect(states).toEqual({
      [fresh]: 'fresh',
      [quiet]: 'quiet',
      [behind]: 'behind',
      [failing]: 'failing',
      [refused]: 'refused',
    });
    const of = (id: string) => sources.find((source) => source.organization_id === id);
    expect(of(behind)?.lag_seconds).toBeGreaterThanOrEqual(600);
    expect(of(fresh)?.lag_seconds).toBeLessThan(60);
    const me = expect.stringMatching(/^.+\/\d+\/.+/);
    expect([of(fresh), of(quiet), body]).toMatchObject([
      { held_by: me },
      { held_by: null },
      { discovery: { held_by: me } },
    ]);
    expect(of(failing)).toMatchObject({ failures: 1, last_failure: 'unreadable', last_error: expect.any(String) });
    expect(of(refused)).toMatchObject({ last_failure: 'refused', last_error: expect.stringContaining('403') });
    expect(of(fresh)).not.toHaveProperty('last_error');
    const slackDays = (id: string) => Math.round((of(id)?.retention_slack_seconds ?? 0) / 86_400);
    expect(slackDays(fresh)).toBe(548);
    expect(slackDays(refused), 'all of it: its history of three days was read before').toBe(548);

    await pool.query('update lanes set failures = 0');
    expect(await served.get('/healthz')).toMatchObject({ body: { status: 'refused' } });
  });
});

describe('/v1/status', () => {
  const world = ofAllTests(() => openWorld());
  const run = ofAllTests(() => world.open());
  beforeAll(() => run.cycle());

  test.each(['0.0.0.0', '127.0.0.1'])('with a token configured (%s): only with that token', async (host) => {
    const feedToken = 'feed-token-of-the-test';
    await using served = await serve(run, { host, feedToken });
    for (const authorization of [
      undefined,
      'Bearer wrong-token-of-the-test',
      `Bearer ${feedToken}x`,
      `Bearer ${feedToken}${feedToken}`,
      `Bearer ${'x'.repeat(feedToken.length)}`,
      `Bearer ${'x'.repeat(8_000)}`,
      `Bearer \u00e9${feedToken}`,
      // Every beginning and every end of it, from nothing on.
      ...Array.from(feedToken, (_, length) => `Bearer ${feedToken.slice(0, length)}`),
      ...Array.from(feedToken, (_, length) => `Bearer ${feedToken.slice(length + 1)}`),
      feedToken,
      `Basic ${feedToken}`,
    ]) {
      const answer = await served.get('/v1/status', authorization === undefined ? {} : { authorization });
      // 429: too many wrong ones within a minute.
      expect([401, 429], authorization).toContain(answer.code);
      expect(JSON.stringify(answer)).not.toContain(feedToken);
    }
    expect(await served.get('/v1/status', { authorization: `Bearer ${feedToken}` })).toMatchObject({ code: 200 });
    expect(await served.get('/v1/status', { authorization: `bearer ${feedToken}` })).toMatchObject({ code: 200 });
    expect(await served.get('/healthz')).toMatchObject({ code: 200 });
  });
});

const idsOf = (world: SyncWorld): string[] => world.simulator.summary().organizations.map(({ id }) => id);
