import { describe, expect, test } from 'vitest';
import type { Timeouts } from '../../../src/ingest/cloudflare/wire/transport.ts';
import { type Distort, sendTrue, startDistortedApi } from '../../support/network/distorted-api.ts';
import { until } from '../../support/process/until.ts';
import { cycleUntilClean, openWorld } from '../../support/sync/sync-world.ts';

const html = Buffer.from('<!DOCTYPE html><html><body>Just a moment...</body></html>');

/** What is sent in place of every page for a whole cycle, the kind of failure, and what log and status say of it. */
const troubles: readonly (readonly [what: string, failure: keyof typeof ATTEMPTS, words: RegExp, distort: Distort])[] =
  [
    [
      'a body that ends short of its content-length',
      'connection',
      /other side closed|terminated/,
      ({ answer, response }) => {
        response.writeHead(200, { ...answer.headers, 'content-length': answer.body.length + 10 });
        response.write(answer.body, () => response.socket?.end());
      },
    ],
    ['no answer at all (half-open)', 'timeout', /no response headers within 1000 ms/, () => {}],
    [
      'a body that goes silent in its middle',
      'timeout',
      /no further data of the response body within 1000 ms/,
      ({ answer, response }) => {
        response.writeHead(200, { ...answer.headers, 'content-length': answer.body.length });
        response.write(answer.body.subarray(0, answer.body.length / 2));
      },
    ],
    [
      'a page of HTML that calls itself JSON',
      'unreadable',
      /not JSON|cannot be read/,
      ({ answer, response }) => sendTrue(response, { ...answer, body: html }, { 'content-type': 'application/json' }),
    ],
  ];

describe.concurrent('answers that are not what they should be', () => {
  test.each(troubles)('%s: %s, said in words, and then nothing is missing', async (_what, failure, words, distort) => {
    await using world = await openWorld({ organizations: 2, entries: 200 });
    await using front = await startDistortedApi(world.simulator.baseUrl);
    await using patient = await world.open({ CLOUDFLARE_BASE_URL: front.baseUrl });
    // The listing may come too late for the one that is hasty.
    await patient.cycle({ stopping: () => true });
    await using run = await world.open({ CLOUDFLARE_BASE_URL: front.baseUrl }, {}, { timeouts: timeoutsFor(words) });
    front.distort(distort);
    const report = await run.cycle();
    expect(report.failed).toHaveLength(2);
    // What has given up may be ahead of its request.
    await until('every attempt has come', async () => front.distorted >= 2 * ATTEMPTS[failure]);
    expect(front.distorted, 'so many attempts for each').toBe(2 * ATTEMPTS[failure]);
    const { sources } = await run.app.status();
    for (const { lastFailure, lastError } of sources) {
      expect(lastFailure).toBe(failure);
      expect(lastError).toMatch(words);
    }
    expect(run.log()).toMatch(/"msg":"sync failed for an organization; will retry after backoff"/);
    expect(run.log()).toMatch(words);
    expect((await world.compare()).stored).toBe(0);

    front.distort(undefined);
    await cycleUntilClean(world, patient);
    await world.expectExactTruth();
    expect((await run.app.status()).sources.map(({ lastError }) => lastError)).toEqual([null, null]);
  });

  test.each([
    ['text/html', { 'content-type': 'text/html; charset=utf-8' }],
    ['none', {}],
    ['application/octet-stream', { 'content-type': 'application/octet-stream' }],
  ])('pages whose content type is wrong (%s) are read: what they hold decides', async (_what, headers) => {
    await using world = await openWorld({ organizations: 2, entries: 200 });
    await using front = await startDistortedApi(world.simulator.baseUrl);
    await using run = await world.open({ CLOUDFLARE_BASE_URL: front.baseUrl });
    front.distort(({ answer, response }) => {
      const { date = '' } = answer.headers;
      sendTrue(response, { ...answer, headers: { date } }, headers);
    });
    expect(await run.cycle()).toMatchObject({ failed: [], finished: true });
    expect(front.distorted).toBeGreaterThan(3);
    await world.expectExactTruth();
  });

  test('a 503 that asks for an hour holds no worker: the source rests, the others are read', async () => {
    await using world = await openWorld({ organizations: 2, entries: 200 });
    await using front = await startDistortedApi(world.simulator.baseUrl);
    await using run = await world.open({ CLOUDFLARE_BASE_URL: front.baseUrl, ORGTRAIL_CONCURRENCY: '1' });
    const [busy = ''] = world.simulator.summary().organizations.map(({ id }) => id);
    front.distort(({ url, answer, response }) => {
      if (!url.pathname.includes(busy)) sendTrue(response, answer);
      else response.writeHead(503, { 'retry-after': '3600' }).end();
    });
    const report = await run.cycle();
    expect(report.failed).toEqual([expect.objectContaining({ id: busy })]);
    expect((await world.compare()).stored).toBe(100);
    const { rows } = await world.database.pool.query<{ rest: number }>(
      'select extract(epoch from next_attempt_at - clock_timestamp())::float8 as rest from lanes where source_id = $1',
      [busy],
    );
    expect(rows[0]?.rest).toBeGreaterThan(3_500);

    front.distort(undefined);
    await cycleUntilClean(world, run);
    await world.expectExactTruth();
  });
});

/** A time-out has held a worker for long enough. */
const ATTEMPTS = { connection: 4, timeout: 1, unreadable: 2 } as const;

/** For what a trouble is waited for no longer, by the words that say it: only this, since on a busy machine the rest may take longer. */
const timeoutsFor = (words: RegExp): Partial<Timeouts> => {
  if (words.source.startsWith('no response headers')) return { headersMs: 1_000 };
  return words.source.startsWith('no further data') ? { bodyIdleMs: 1_000 } : {};
};
