import type { Pool, PoolClient } from 'pg';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { readSteps, searchStepsOf } from '../../../src/http/console/events/search-steps.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import type { FoundEvent } from '../../../src/search/answer.ts';
import type { EventQuery } from '../../../src/search/query/event-query.ts';
import type { SearchSource } from '../../../src/search/search-source.ts';
import { countEvents } from '../../../src/search/summary/count.sql.ts';
import { summarize } from '../../../src/search/summary/search-summary.sql.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { withLock } from '../../support/postgres/lock-waits.ts';
import { commit, entryText, newSource, T0 } from '../../support/postgres/store-fixture.ts';

const database = databaseOfTests();
beforeAll(async () => {
  await commit(database.pool, await newSource(database.pool, 'one'), [entryText('a', T0), entryText('b', T0 + 60_000)]);
});

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

test('top values of a part are not called a sample if no other event matches', async () => {
  let looks = 0;
  // The first part takes more than half of the time.
  const spy = vi.spyOn(performance, 'now').mockImplementation(() => (looks++ < 3 ? 0 : 500));
  try {
    const query = { ...everything, since: new Date(nowMs - 90 * 86_400_000).toISOString() };
    const { count, facets } = await summarize(database.pool, query, 'page', nowMs);
    expect([count.events, facets?.looked, facets?.isSample]).toEqual([2, 2, false]);
  } finally {
    spy.mockRestore();
  }
});

test('an exact answer is about the same events, whatever is stored while it is counted', async () => {
  const source = await newSource(database.pool, 'two');
  const appeared: number[] = [];
  const pool = new Proxy(database.pool, {
    get: (target, name) => {
      if (name !== 'connect') return Reflect.get(target, name);
      return async () => {
        appeared.push(appeared.length);
        await commit(target, source, [entryText(`c-${appeared.length}`, T0 + 120_000)]);
        return await target.connect();
      };
    },
  });
  const { count, facets } = await summarize(pool, everything, 'exact', nowMs);
  expect(appeared.length).toBeGreaterThan(2);
  expect(facets?.looked).toBe(count.events);
});

test('bars of a short time are few also if an event is a day ahead', async () => {
  await commit(database.pool, await newSource(database.pool, 'three'), [entryText('ahead', nowMs + 19 * 3_600_000)]);
  const query = { ...everything, since: new Date(nowMs - 60_000).toISOString() };
  for (const depth of ['page', 'exact'] as const) {
    const { count } = await summarize(database.pool, query, depth, nowMs);
    expect(count.events).toBe(1);
    expect(count.buckets.length).toBeLessThanOrEqual(73);
  }
});

test('an event that a search does not find is called neither its newest nor its oldest', async () => {
  const source = { search: async () => ({ events: [], more: false, reached: undefined }) } as unknown as SearchSource;
  const event = { sortTime: '2026-11-25 10:00:00+00', position: 7 } as FoundEvent;
  const steps = await readSteps(source, event, 'action=nothing-has-this', new AbortController().signal);
  const words = String(searchStepsOf(steps)?.toString());
  expect(words).toContain('Not in the result of this search');
  expect(words).not.toMatch(/Newest|Oldest/);
});

const everything: EventQuery = { since: undefined, before: undefined, defects: false, changed: false };
const nowMs = T0 + 3_600_000;

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
