import { randomBytes } from 'node:crypto';
import { Client, type Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { createPool } from '../../../src/postgres/pool.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { conditionsOf, everything, withSpellings } from '../../../src/search/conditions/search-conditions.sql.ts';
import type { EventQuery } from '../../../src/search/query/event-query.ts';
import { readActor } from '../../../src/search/query/terms.ts';
import { searchEvents } from '../../../src/search/search-events.sql.ts';
import { withDatabase } from '../../support/postgres/postgres-server.ts';
import { indexesIn, indexNames } from '../../support/search/history-questions.ts';
import { makeLargeHistory } from '../../support/search/large-history.ts';

const LONG_NAME = `CI ${'x'.repeat(1_500)}`;
const name = `orgtrail_test_${randomBytes(6).toString('hex')}`;
let admin: Client;
let pool: Pool;
let names: ReadonlyMap<string, string>;

/** In a database that sorts as people do: there, only an index that is made for it serves what a text begins with. */
beforeAll(async () => {
  const server = inject('serverUrl');
  admin = new Client(server);
  await admin.connect();
  await admin.query(
    `create database ${name} template template0 encoding 'UTF8' locale_provider icu icu_locale 'en-US' locale 'C'`,
  );
  pool = createPool(withDatabase(server, name), 4, () => {});
  await migrateDatabase(pool);
  await makeLargeHistory(pool, { events: EVENTS, organizations: 60, untilMs: Date.parse('2026-11-01T00:00:00Z') });
  const change = (set: string, from: number) =>
    pool.query(`update audit_events set ${set} where position between ${from + 5_000} and ${from + 5_009}`);
  await change("actor_email = 'Zoe.Mixed@Example.com'", 1_000);
  await change("actor_email = 'zoe.mixed@example.com'", 2_000);
  await change("actor_token_name = 'Zebra Deploy'", 3_000);
  await change(`actor_token_name = '${LONG_NAME}'`, 4_000);
  await change("actor_ip_address = '2001:DB8:0:1::9'", 5_000);
  await change("actor_ip_address = '2001:0db8::0001:0:0:0:9'", 6_000);
  await change("actor_ip_address = '2001:db8:1:1::9'", 7_000);
  await change("account_id = 'a1', zone_id = 'z1', zone_name = 'Shop.Example'", 8_000);
  await pool.query('analyze audit_events');
  names = await indexNames(pool);
});
afterAll(async () => {
  await pool?.end();
  await admin?.query(`drop database if exists ${name} with (force)`);
  await admin?.end();
});

const email = ['actor_email', 'names'];
const token = ['names', 'actor_token_id'];
const address = ['actor_ip_address'];
const searches: readonly (readonly [actor: string, indexes: readonly string[], found: number])[] = [
  ['ZOE.mixed@example.com', email, 20],
  ['zoe*', [...email, ...token], 20],
  ['email:ZOE.M*', email, 20],
  ['zebra deploy', [...email, ...token, ...address, 'actor_id'], 10],
  ['token:Zebra*', token, 10],
  [`token:${LONG_NAME.toUpperCase()}`, token, 10],
  [`token:${LONG_NAME.slice(0, 300)}*`, token, 10],
  ['2001:db8:0:1::/64', address, 20],
  ['2001:db8::1:0:0:0:9', address, 20],
  ['2001:db8::/32', address, 30],
  ['2001:DB8:1:*', address, 10],
  ['198.18.201.3', address, -1],
  ['198.18.201.0/24', address, -1],
  ['198.18.201.2/31', address, -1],
  ['198.18.200.0/22', address, -1],
  ['198.18.2*', address, -1],
];

describe('a search for an actor', () => {
  test.each(searches.map((search) => [search[0].slice(0, 40), ...search] as const))(
    '%s: is served by its indexes, and finds what there is',
    async (_, text, indexes, found) => {
      const plan = await planOf({ actor: readActor(text) });
      const used = indexesIn(plan, names);
      expect(used.length, plan).toBeGreaterThan(0);
      // What is frequent is found soon by going back in time.
      for (const index of used) expect(found < 0 ? [...indexes, 'time'] : indexes, plan).toContain(index);
      expect(plan).not.toContain('Seq Scan on audit_events');
      const query = { ...everything, ...time, actor: readActor(text) };
      const timeLimit = { firstMs: 60_000, totalMs: 60_000 };
      const { events } = await searchEvents(pool, query, { cursor: undefined, limit: 500 }, timeLimit);
      if (found >= 0) expect(events.length).toBe(found);
      else expect(events.length).toBeGreaterThan(0);
    },
  );
});

describe('a search for an account or a zone', () => {
  test.each<readonly [Partial<EventQuery>, readonly string[]]>([
    [{ account: 'a1' }, ['account']],
    [{ zone: 'z1' }, ['names']],
    [{ zone: 'SHOP.example' }, ['names']],
  ])('%j: is served by its indexes, and finds what there is', async (asked, indexes) => {
    const plan = await planOf(asked);
    expect(indexesIn(plan, names).toSorted(), plan).toEqual(indexes);
    expect(plan).not.toContain('Seq Scan on audit_events');
    const timeLimit = { firstMs: 60_000, totalMs: 60_000 };
    const page = { cursor: undefined, limit: 500 };
    const { events } = await searchEvents(pool, { ...everything, ...time, ...asked }, page, timeLimit);
    expect(events.map(({ zoneName }) => zoneName)).toEqual(Array.from({ length: 10 }, () => 'Shop.Example'));
  });
});

test('each month has little in its index of names that is not sorted in yet', async () => {
  const ofMonths =
    "pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'audit_events_names'::regclass";
  const { rows } = await pool.query(`select distinct c.reloptions as options from ${ofMonths}`);
  expect(rows).toEqual([{ options: ['gin_pending_list_limit=128'] }]);
});

/** Enough that the planner prefers an index where one helps. */
const EVENTS = 40_000;
/** All that has events: months without are read faster without an index. */
const time = { since: '2025-06-01T00:00:00Z', before: '2026-11-01T00:00:00Z' };

const planOf = async (asked: Partial<EventQuery>): Promise<string> => {
  const query = await withSpellings(pool, { ...everything, ...time, ...asked }, 60_000);
  const { sql, values } = conditionsOf(query, undefined, { low: undefined, high: undefined });
  const { rows } = await pool.query<{ 'QUERY PLAN': string }>(
    `explain select * from audit_events where ${sql} order by action_time desc, position desc limit 51`,
    [...values],
  );
  return rows.map((row) => row['QUERY PLAN']).join('\n');
};
