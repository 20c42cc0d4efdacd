import { once } from 'node:events';
import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import { AbandonedError, createPool } from '../../../src/postgres/pool.ts';
import type { EventQuery } from '../../../src/search/query/event-query.ts';
import { searchEvents } from '../../../src/search/search-events.sql.ts';
import { parseMetrics } from '../../support/deploy/metrics-text.ts';
import { openFullWorld } from '../../support/feed/many-events.ts';
import { waitingBackends, withLock } from '../../support/postgres/lock-waits.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { until } from '../../support/process/until.ts';
import { serve } from '../../support/sync/served.ts';

const world = ofAllTests(() => openFullWorld(EVENTS));
const run = ofAllTests(() => world.open());
const served = ofAllTests(() => serve(run));

describe('exports', () => {
  test('are two at a time; some wait, the others are told what is busy and when to try again, and pages are served', async () => {
    const exports = [ask('/v1/search?format=ndjson'), ask('/events/export?format=csv')];
    for (const response of await Promise.all(exports.map(answered))) expect(response.statusCode).toBe(200);
    const waiting = Array.from({ length: 4 }, () => ask('/v1/search?format=ndjson'));
    await until('four wait', async () => (await metric('orgtrail_streams_waiting', 'export')) === 4);
    expect(await metric('orgtrail_streams_open', 'export')).toBe(2);
    const refused = await fetch(`${served.server.url}/v1/search?format=csv`);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '30']);
    expect(await refused.json()).toEqual({ status: 'busy', reason: 'busy: 2 exports are running, 4 more wait' });
    const page = await fetch(`${served.server.url}/events/export?format=csv`);
    expect([page.status, page.headers.get('retry-after')]).toEqual([503, '30']);
    expect(await page.text()).toMatch(/busy: 2 exports are running, 4 more wait/i);
    expect(await metric('orgtrail_streams_refused_total', 'export')).toBe(2);
    expect((await served.get('/v1/search?limit=5')).code).toBe(200);
    expect((await fetch(`${served.server.url}/events?limit=5`)).status).toBe(200);
    // One that ends makes room for one that waits; one that leaves the queue is passed over.
    waiting[0]?.destroy();
    for (const request of exports) request.destroy();
    const moved = await Promise.all(waiting.slice(1, 3).map(answered));
    expect(moved.map(({ statusCode }) => statusCode)).toEqual([200, 200]);
    for (const request of waiting) request.destroy();
    await until('all are over', async () => (await metric('orgtrail_streams_open', 'export')) === 0);
  });
});

describe('a search whose reader has gone', () => {
  test.each(['/v1/search', '/v1/search?format=csv', '/events'])('%s is told', async (path) => {
    const asked = Promise.withResolvers<AbortSignal | undefined>();
    const listen = (signal: AbortSignal | undefined) => {
      asked.resolve(signal);
      return new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(new AbandonedError())));
    };
    const search = {
      ...run.app.search,
      search: (_search: unknown, { signal }: { readonly signal?: AbortSignal | undefined }) => listen(signal),
      export: (_search: unknown, _format: unknown, signal?: AbortSignal) => ({
        [Symbol.asyncIterator]: () => ({ next: () => listen(signal) }),
      }),
    };
    await using listening = await serve({ ...run, app: { ...run.app, search } });
    const request = get(`${listening.server.url}${path}`, { agent: false }).on('error', () => {});
    const signal = await asked.promise;
    expect(signal?.aborted).toBe(false);
    request.destroy();
    await until('it is told', async () => signal?.aborted === true);
  });

  test('ends in the database', async () => {
    const pool = createPool(world.database.url, 1, () => {});
    const gone = new AbortController();
    await withLock(world.database.pool, 'lock table audit_events', async () => {
      const page = { cursor: undefined, limit: 5, signal: gone.signal };
      const searching = searchEvents(pool, everything, page, { firstMs: 600_000, totalMs: 600_000 });
      const fails = expect(searching).rejects.toBeInstanceOf(AbandonedError);
      await waitingBackends(world.database.pool, 1);
      gone.abort();
      await fails;
      await until('the server has ended it', async () => {
        const { rowCount } = await world.database.pool.query(
          `select from pg_stat_activity
           where datname = current_database() and wait_event_type = 'Lock' and backend_type = 'client backend'`,
        );
        return rowCount === 0;
      });
    });
    await pool.end();
  });
});

/** An export of them is larger than what the kernel takes of a reader that does not read. */
const EVENTS = 40_000;

const everything: EventQuery = { since: undefined, before: undefined, defects: false, changed: false };
const ask = (path: string): ClientRequest => get(`${served.server.url}${path}`, { agent: false }).on('error', () => {});

const answered = async (request: ClientRequest): Promise<IncomingMessage> =>
  ((await once(request, 'response')) as [IncomingMessage])[0];

const metric = async (name: string, kind: string): Promise<number | undefined> =>
  parseMetrics(await served.text('/metrics')).get(`${name}{kind="${kind}"}`);
