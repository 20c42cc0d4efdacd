import type { Pool, PoolClient } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPool } from '../../../src/postgres/pool.ts';
import type { EventQuery } from '../../../src/search/conditions/event-query.ts';
import { countEvents } from '../../../src/search/summary/count.sql.ts';
import { summarize } from '../../../src/search/summary/search-summary.sql.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { withLock } from '../../support/postgres/lock-waits.ts';
import { commit, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';

const everything: EventQuery = { since: undefined, before: undefined, defects: false, changed: false };
const nowMs = T0 + 3_600_000;

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  await commit(database.pool, await newSource(database.pool, 'one'), [entryText('a', T0), entryText('b', T0 + 60_000)]);
});
afterAll(async () => await database?.close());

/** The limits in milliseconds under which the statements of a count were run, in order. */
const limitsOfCounts = async (work: (pool: Pool) => Promise<unknown>): Promise<readonly number[]> => {
  const pool = createPool(database.url, 4, () => {});
  const limits: number[] = [];
  pool.on('connect', (client: PoolClient) => {
    const query: (...args: unknown[]) => unknown = client.query.bind(client);
    let limitMs = Number.NaN;
    const listen = (...args: unknown[]) => {
      const text = String(args[0]);
      limitMs = Number(/statement_timeout = (\d+)/.exec(text)?.[1] ?? limitMs);
      if (text.includes('date_bin')) limits.push(limitMs);
      return query(...args);
    };
    Object.assign(client, { query: listen });
  });
  try {
    await work(pool);
    return limits;
  } finally {
    await pool.end();
  }
};

describe('the statements of a count', () => {
  test.each([
    ['of one organization', { organization: 'one' }, 100, 230],
    [
      'of one organization in the line',
      { terms: [{ field: 'organization', isNegated: false, values: ['one'] }] },
      100,
      230,
    ],
    ['of all', {}, 400, 800],
  ] as const)('%s have its limit together, however little comes of them', async (_of, query, firstMs, totalMs) => {
    // Each waits until the server ends it, and so takes its whole limit.
    const limits = await withLock(database.pool, 'lock table audit_events in access exclusive mode', () =>
      limitsOfCounts(async (pool) => {
        const { count } = await summarize(pool, { ...everything, ...query }, 'page', nowMs);
        expect(count).toMatchObject({ events: 0, isAtLeast: true });
      }),
    );
    expect(limits[0]).toBe(firstMs);
    expect(limits.reduce((sum, limitMs) => sum + limitMs, 0)).toBeLessThanOrEqual(totalMs);
  });

  test.each([
    [50_000, [60_000, 70_000]],
    [119_990, [60_000]],
  ])('the finer one of a short history has what is left of it, after %i ms', async (passedMs, expected) => {
    let looks = 0;
    const clockMs = () => (looks++ === 0 ? 0 : passedMs);
    const limits = await limitsOfCounts(async (pool) => {
      const count = await countEvents(pool, everything, { firstMs: 60_000, totalMs: 120_000 }, nowMs, { clockMs });
      expect(count).toMatchObject({ events: 2, isAtLeast: false });
    });
    expect(limits).toEqual(expected);
  });
});
