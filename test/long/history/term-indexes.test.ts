import { createHash } from 'node:crypto';
import fc from 'fast-check';
import type { PoolClient } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  byFilters,
  conditionsOf,
  rayPositions,
  rayStatement,
} from '../../../src/search/conditions/search-conditions.sql.ts';
import type { EventQuery } from '../../../src/search/query/event-query.ts';
import { readSearch } from '../../../src/search/query/search.ts';
import { searchEvents } from '../../../src/search/search-events.sql.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { indexesIn, indexNames } from '../../support/search/history-questions.ts';
import { makeLargeHistory } from '../../support/search/large-history.ts';

const md5 = (text: string): string => createHash('md5').update(text).digest('hex');
const rayOf = (n: number): string => md5(`ray ${n}`).slice(0, 16);
const database = databaseOfTests();
/** One connection for all: what it keeps of plans is from when November was empty. */
let client: PoolClient;
let names: ReadonlyMap<string, string>;
beforeAll(async () => {
  await makeLargeHistory(database.pool, { events: EVENTS, organizations: 60, untilMs: Date.parse(UNTIL) });
  names = await indexNames(database.pool);
  client = await database.pool.connect();
});
afterAll(() => client?.release());

/** Of the months behind it, however many there are by now, a plan may read all there is. */
let lastFilled = '2026_10';
const isEmpty = (month: string): boolean => month === 'default' || month > lastFilled;

const queryOf = (line: string): EventQuery => {
  const { search, faults } = readSearch({ q: line }, Date.now());
  expect(faults).toEqual([]);
  const { since, before, ...rest } = search;
  return { ...rest, since: since?.text, before: before?.text };
};

const explain = async (sql: string, values: readonly unknown[]): Promise<string> => {
  const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain ${sql}`, [...values]);
  return rows.map((row) => row['QUERY PLAN']).join('\n');
};

const planOf = async (query: EventQuery): Promise<string> => {
  const { sql, values } = conditionsOf(query, undefined, { low: undefined, high: undefined });
  return await explain(
    `select position from audit_events where ${sql} order by action_time desc, position desc limit 51`,
    values,
  );
};

/** Lines as people write them, and the indexes that may serve them. */
const terms: readonly (readonly [line: string, ...indexes: string[]])[] = [
  ['actor:person-5@org-12.example', ...'actor_email actor_id actor_token_id actor_ip_address names'.split(' ')],
  ['email:person-5@org-12.example', 'actor_email', 'names'],
  ['-action:view email:person-5@org-12*', 'actor_email', 'names'],
  ['ip:198.18.77.1', 'actor_ip_address'],
  [`actor_id:${md5('actor 12 5')}`, 'actor_id'],
  [`token:${md5('token 12 3')}`, 'actor_token_id', 'names'],
  ['token:ci-399', 'actor_token_id', 'names'],
  ['token:ci-399,ci-398', 'actor_token_id', 'names'],
  [`resource:${md5('resource 12 3')}`, 'resource_id'],
  [`organization:${md5('organization 12')}`, 'organization'],
  [`account:${md5('account')}`, 'account'],
  ['zone:zone-3.example.com', 'names'],
  ['defects:true', 'exceptions'],
];

const expectIndexes = (plan: string, indexes: readonly string[]): void => {
  const used = indexesIn(plan, names);
  expect(used.length, plan).toBeGreaterThan(0);
  for (const index of used) expect(indexes, plan).toContain(index);
  const scanned = [...plan.matchAll(/Seq Scan on audit_events_(\S+)/g)].map(([, month]) => month ?? '');
  expect(
    scanned.filter((month) => !isEmpty(month)),
    plan,
  ).toEqual([]);
};

const expectRay = async (): Promise<void> => {
  await client.query(`begin; ${byFilters}`);
  const plan = await explain(rayStatement, [rayOf(5)]);
  await client.query('rollback');
  expectIndexes(plan, ['ray']);
  const found = await planOf({ ...queryOf(`ray:${rayOf(5)}`), rayPositions: [5] });
  expectIndexes(found, ['position']);
};

describe('each term that has an index is served by it', () => {
  test.each(terms)('%s', async (line, ...indexes) => expectIndexes(await planOf(queryOf(line)), indexes));
  test('ray', expectRay);
});

describe('in a month that was empty when it was looked at last, too', () => {
  beforeAll(async () => {
    lastFilled = '2026_11';
    await client.query(
      `create temp table later as select * from audit_events where action_time >= '${UNTIL}'::timestamptz - interval '300 days'`,
    );
    await client.query(`update later set position = position + ${EVENTS}, id = md5('later' || position),
      raw_cf_ray_id = case when position % 997 = 0 then repeat('x', 5000) when position % 991 = 0 then '' when position % 983 = 0 then 'shared'
        when position <= ${EVENTS - 20_000 + MANY} then 'many' else left(md5('ray ' || position + ${EVENTS}), 16) end,
      defects = case when position % 4000 = 0 then array['test'] end,
      action_time = '${UNTIL}'::timestamptz + interval '20 days' * (position / ${2 * EVENTS}.0::float8)`);
    // By this connection, and without statistics of what it stores.
    const { rowCount } = await client.query('insert into audit_events select * from later');
    expect(rowCount).toBeGreaterThan(20_000);
  });

  test.each(terms)('%s', async (line, ...indexes) => expectIndexes(await planOf(queryOf(line)), indexes));
  test('ray', expectRay);

  test('what a ray id finds is what looking through everything finds', async () => {
    const { rows } = await client.query<{ ray: string }>(
      "select distinct raw_cf_ray_id as ray from later where position % 1000 = 0 or raw_cf_ray_id in ('many', 'shared')",
    );
    const known = [...rows.map(({ ray }) => ray), 'x'.repeat(5_000), rayOf(1), rayOf(17_000), rayOf(EVENTS)];
    const rays = fc.oneof(fc.constantFrom(...known), fc.string({ maxLength: 20 }), fc.string({ unit: 'grapheme' }));
    const lines = fc.constantFrom('', ' -action:view', ' since:2026-10-01', ' before:2026-11-05 result:success');
    await fc.assert(
      fc.asyncProperty(rays, lines, async (ray, line) => {
        fc.pre(ray !== '' && !ray.includes('\0'));
        const query = { ...queryOf(line), ray: ray.toWellFormed() };
        const { sql, values } = conditionsOf(query, undefined, { low: undefined, high: undefined });
        await client.query('begin; set local enable_bitmapscan = off');
        const { rows: expected } = await client.query<{ position: number }>(
          `select position::float8 as position from audit_events where ${sql} order by action_time desc, audit_events.position desc limit 500`,
          [...values],
        );
        await client.query('rollback');
        const page = await searchEvents(
          database.pool,
          query,
          { cursor: undefined, limit: 500 },
          { firstMs: 60_000, totalMs: 60_000 },
        );
        expect(page.events.map(({ position }) => position)).toEqual(expected.map(({ position }) => position));
      }),
      { seed: 18, numRuns: 60 },
    );
    expect(await rayPositions(database.pool, 'many', 60_000), 'many are looked through').toBeUndefined();
    expect((await rayPositions(database.pool, 'shared', 60_000))?.length).toBeGreaterThan(5);
    expect(await rayPositions(database.pool, rayOf(10 * EVENTS), 60_000)).toEqual([]);
  });
});

const EVENTS = 40_000;
const UNTIL = '2026-11-01T00:00:00Z';
const MANY = 1_500;
