import { request } from 'node:http';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { Validator } from '@seriousme/openapi-schema-validator';
import { describe, expect, test } from 'vitest';
import { printFeedCursor } from '../../../src/feed/feed.ts';
import { formatNames, formats } from '../../../src/formats/registry.ts';
import { multiplyEvents } from '../../support/feed/many-events.ts';
import { entryText } from '../../support/postgres/store-fixture.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { words } from '../../support/process/words.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const world = ofAllTests(() => open());

describe('GET /v1/events', () => {
  test('hands out all events in order, each once, to the byte, by the position of its header', async () => {
    const seen: string[] = [];
    let after = '0';
    for (;;) {
      const { status, lines, headers } = await world.get(`after=${after}&limit=37`);
      expect(status).toBe(200);
      expect(headers.get('content-type')).toBe('application/x-ndjson');
      expect(headers.get('orgtrail-head-position')).toBe('300');
      if (lines.length === 0) break;
      seen.push(...lines);
      after = headers.get('orgtrail-next-position') ?? '';
      expect(JSON.parse(lines.at(-1) ?? '').position).toBe(Number(after));
    }
    expect(positions(seen)).toEqual(world.rows.map(({ position }) => position));
    expect(seen.map((line) => line.slice(line.indexOf('"raw":') + 6, -1))).toEqual(world.rows.map(({ raw }) => raw));
  });

  test('every format says its type and has a line an event', async () => {
    for (const format of formatNames) {
      const { lines, headers } = await world.get(`format=${format}&limit=40`);
      expect(lines.length).toBe(40);
      expect(headers.get('content-type')).toBe(formats[format].contentType);
    }
  });

  test('with organizations: only theirs, and the next position lies behind what does not match', async () => {
    const [first, second] = [...new Set(world.rows.map(({ organization_id }) => organization_id))];
    const wanted = world.rows.filter(({ organization_id }) => [first, second].includes(organization_id));
    const all = await world.get(`organization=${first}&organization=${second}`);
    expect(positions(all.lines)).toEqual(wanted.map(({ position }) => position));
    expect(all.headers.get('orgtrail-next-position')).toBe('300');
    const some = await world.get(`organization=${first}&organization=${second}&limit=5`);
    expect(positions(some.lines)).toEqual(wanted.slice(0, 5).map(({ position }) => position));
    expect(some.headers.get('orgtrail-next-position')).toBe(String(wanted[4]?.position));
    const none = await world.get('organization=unknown');
    expect(none.lines).toEqual([]);
    expect(none.headers.get('orgtrail-next-position')).toBe('300');
  });

  test('the last line, on request, says where to go on', async () => {
    const { lines, headers } = await world.get('after=290&limit=4&last_line=true');
    expect(JSON.parse(lines.at(-1) ?? '')).toEqual({
      next_cursor: headers.get('orgtrail-next-cursor'),
      next_position: 294,
      feed_id: headers.get('orgtrail-feed-id'),
      check: headers.get('orgtrail-next-check'),
    });
    const nothing = await world.get('after=300&last_line=true&format=cef');
    expect(nothing.lines.map((line) => JSON.parse(line).next_position)).toEqual([300]);
  });

  test('gzip and zstd as the reader likes, the same bytes', async () => {
    const url = `${world.base}/v1/events?limit=200`;
    const plain = await rawBody(url, 'identity');
    expect(plain.encoding).toBeUndefined();
    const gzip = await rawBody(url, 'gzip');
    expect(gzip.encoding).toBe('gzip');
    expect(gunzipSync(gzip.body).equals(plain.body)).toBe(true);
    const zstd = await rawBody(url, 'gzip;q=0.5, zstd');
    expect(zstd.encoding).toBe('zstd');
    expect(zstdDecompressSync(zstd.body).equals(plain.body)).toBe(true);
    expect((await rawBody(url, 'br')).encoding).toBeUndefined();
    expect(zstd.body.length * 3).toBeLessThan(plain.body.length);
  });

  test('wait answers as soon as there is something, and empty when the time is over', async () => {
    await using world = await open();
    const over = await world.get('after=300&wait=1');
    expect(over.lines).toEqual([]);
    expect(over.headers.get('orgtrail-next-position')).toBe('300');
    const waiting = world.get('after=300&wait=60');
    const [organization] = world.world.simulator.summary().organizations;
    const other = world.get('after=300&wait=60&organization=unknown');
    world.world.simulator.append(organization?.id ?? '', [entryText('new', Date.now() - 10_000)]);
    await world.run.cycle();
    const { lines } = await waiting;
    expect(positions(lines)[0]).toBe(301);
    const { pool } = world.world.database;
    // Nothing for this organization: it goes on waiting until the server stops.
    const state = await Promise.race([
      other.catch(() => 'cut'),
      pool.query('select pg_sleep(0.2)').then(() => 'waits'),
    ]);
    expect(state).toBe('waits');
    await world.served.server.close();
    expect(await other.catch(() => 'cut')).toBe('cut');
  });
});

describe('a cursor', () => {
  test('hands out all events, each once, and is all that a reader keeps', async () => {
    const seen: string[] = [];
    for (let query = 'limit=37'; ; ) {
      const { status, lines, headers } = await world.get(query);
      expect(status).toBe(200);
      if (lines.length === 0) break;
      seen.push(...lines);
      query = `limit=37&cursor=${headers.get('orgtrail-next-cursor')}`;
    }
    expect(positions(seen)).toEqual(world.rows.map(({ position }) => position));
    const last = JSON.parse((await world.get('limit=4&last_line=true')).lines.at(-1) ?? '');
    expect(positions((await world.get(`cursor=${last.next_cursor}&limit=1`)).lines)).toEqual([5]);
  });
});

describe('what is wrong is said', () => {
  test('what cannot be asked so: 400, and why', async () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ['after=-1', /after/],
      ['after=x', /after/],
      ['after=1.5', /after/],
      ['after=99999999999999999999', /after/],
      ['limit=0', /limit/],
      ['wait=301', /wait/],
      ['format=xml', /format/],
      ['organisation=1', /unknown parameter "organisation"; did you mean "organization"/],
      [`feed_id=${'x'.repeat(65)}`, /feed_id/],
      ['cursor=', /cursor/],
      ['cursor=x', /cursor is not a cursor of the feed/],
      [`cursor=${btoa('1 5 x  0')}`, /cursor is not a cursor/],
      [`cursor=${'x'.repeat(401)}`, /cursor/],
      [`cursor=${printFeedCursor({ position: 1, feedId: 'a', check: 'b', dropped: 0 })}x`, /cursor is not a cursor/],
      ['cursor=x&after=1', /cursor holds after already/],
      ['cursor=x&check=1&feed_id=x&dropped=1', /cursor holds check, dropped, feed_id already/],
    ];
    for (const [query, reason] of cases) {
      const { status, text } = await world.get(query);
      expect(status, query).toBe(400);
      expect(JSON.parse(text), query).toEqual({ status: 'bad request', reason: expect.stringMatching(reason) });
    }
  });

  test('a table that goes away: 500 before the first line, and a cut connection after it', async () => {
    await using world = await open({}, 3_000);
    const { pool } = world.world.database;
    await multiplyEvents(pool, 60_000);
    const response = await fetch(`${world.base}/v1/events?limit=60000`);
    const reader = response.body?.getReader();
    await reader?.read();
    await pool.query('alter table audit_events rename to away');
    const rest = async () => {
      for (;;) if ((await reader?.read())?.done) return 'whole';
    };
    await expect(rest()).rejects.toThrow(/terminated/);
    expect((await world.get('after=1')).status).toBe(500);
    await pool.query('alter table away rename to audit_events');
  });
});

test('the OpenAPI document is valid and has exactly the routes that there are', async () => {
  const document = (await (await fetch(`${world.base}/v1/openapi.json`)).json()) as {
    paths: Record<string, Record<string, { responses: Record<string, unknown>; parameters?: { name: string }[] }>>;
  };
  expect(await new Validator().validate(document)).toEqual({ valid: true });
  const documented = Object.entries(document.paths).flatMap(([url, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${url}`),
  );
  const { routes, hiddenRoutes } = world.served.server;
  const named = routes.map((route) => route.replaceAll(/:(\w+)/g, '{$1}').replace(/\*$/, '{*}'));
  expect(documented.sort()).toEqual(named.sort());
  // Only the console is left out: nothing of the API, nothing for health.
  expect(hiddenRoutes).toContain('POST /console/sign-in');
  for (const route of hiddenRoutes) expect(route).not.toMatch(/^\w+ \/(v1|livez|readyz|healthz|metrics)\b/);
  const events = document.paths['/v1/events']?.['get'];
  expect(events?.parameters?.map(({ name }) => name).sort()).toEqual(
    words(`
    account after check copies cursor dropped feed_id format last_line limit organization wait`),
  );
  expect(Object.keys(events?.responses ?? {})).toEqual(['200', '400', '401', '403', '409', '410', '429', '500', '503']);
});

// These change what is stored.
describe('a position of another feed, or of another time', () => {
  test('is answered with 409 and the reason', async () => {
    const first = await world.get('limit=10');
    const feedId = first.headers.get('orgtrail-feed-id');
    const check = first.headers.get('orgtrail-next-check');
    expect((await world.get(`after=10&feed_id=${feedId}&check=${check}`)).status).toBe(200);

    const other = await world.get('after=10&feed_id=11111111-1111-4111-8111-111111111111');
    expect(other.status).toBe(409);
    expect(JSON.parse(other.text)).toMatchObject({
      status: 'conflict',
      feed_id: feedId,
      position: 300,
      reason: expect.stringContaining('another database'),
    });
    const ahead = await world.get('after=301');
    expect(ahead.status).toBe(409);
    expect(JSON.parse(ahead.text).reason).toContain('restored from a backup');
    // As after a restore that went back, when other events took the same positions.
    await world.world.database.pool.query(
      'update audit_events set received_at = clock_timestamp() where position = 10',
    );
    const overtaken = await world.get(`after=10&feed_id=${feedId}&check=${check}`);
    expect(overtaken.status).toBe(409);
    expect(JSON.parse(overtaken.text).reason).toContain('now a different event');
  });

  test('in a cursor: of another database, of one that is behind, and of one that was restored: 409, always', async () => {
    await using other = await open({}, 12);
    const cursorOf = async (of: typeof world, query: string) =>
      (await of.get(query)).headers.get('orgtrail-next-cursor') ?? '';
    const reasonOf = async (cursor: string) => {
      const { status, text } = await world.get(`cursor=${cursor}`);
      return [status, JSON.parse(text).reason];
    };
    // Copies of one template have its feed id.
    await other.world.database.pool.query('update feed_head set feed_id = gen_random_uuid()');
    const elsewhere = await cursorOf(other, 'limit=10');
    expect(await reasonOf(elsewhere)).toEqual([409, expect.stringContaining('another database')]);
    const { pool } = world.world.database;
    const [ten, end] = [await cursorOf(world, 'limit=10'), await cursorOf(world, 'after=299')];
    // As after a restore that went back: other events take the same positions, or they have not been given out.
    await pool.query('update audit_events set received_at = clock_timestamp() where position = 10');
    expect(await reasonOf(ten)).toEqual([409, expect.stringContaining('now a different event')]);
    await pool.query('update feed_head set position = 200');
    expect(await reasonOf(end)).toEqual([409, expect.stringContaining('restored from a backup')]);
  });
});

const open = async (options: Parameters<typeof serve>[1] = {}, entries = 300) => {
  const world = await openWorld({ organizations: 4, entries, pageCap: 200 });
  const run = await world.open();
  await run.cycle();
  const served = await serve(run, options);
  const base = served.server.url.replace('0.0.0.0', '127.0.0.1');
  const { rows } = await world.database.pool.query<{
    id: string;
    position: number;
    raw: string;
    organization_id: string;
  }>('select id, position::float8 as position, raw::text as raw, organization_id from audit_events order by position');
  const get = async (query: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${base}/v1/events?${query}`, { headers });
    const text = await response.text();
    const lines = text.split('\n').slice(0, -1);
    return { status: response.status, headers: response.headers, text, lines };
  };
  return {
    world,
    run,
    served,
    base,
    get,
    rows,
    [Symbol.asyncDispose]: async () => {
      await served[Symbol.asyncDispose]();
      await run.close();
      await world[Symbol.asyncDispose]();
    },
  };
};

const positions = (lines: readonly string[]): number[] => lines.map((line) => JSON.parse(line).position);

/** The body as it comes over the wire. */
const rawBody = (url: string, acceptEncoding: string) =>
  new Promise<{ encoding: string | undefined; body: Buffer }>((resolve, reject) => {
    request(url, { headers: { 'accept-encoding': acceptEncoding } }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ encoding: response.headers['content-encoding'], body: Buffer.concat(chunks) }),
      );
    })
      .on('error', reject)
      .end();
  });
