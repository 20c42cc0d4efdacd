import { escapeLiteral } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addHold } from '../../../src/archive/holds.sql.ts';
import { migrateDatabase } from '../../../src/postgres/schema/migrate.ts';
import { createLogin, type Login } from '../../support/accounts/login.ts';
import { documentedRecipes } from '../../support/deploy/documented-sql.ts';
import { commit, entryText, newSource } from '../../support/postgres/store-fixture.ts';
import { accountEntries } from '../../support/sync/account-entries.ts';
import { openWorld, type SyncWorld } from '../../support/sync/sync-world.ts';

const recipes = documentedRecipes('docs/cookbook.md');
let world: SyncWorld;
let reader: Login;
let variables: Readonly<Record<string, string>> = {};

/** 3,000 entries of organizations and 600 of an account in nine days, with later contents, a hold and a dropped month. */
beforeAll(async () => {
  world = await openWorld({ entries: 3_000, historyMs: 9 * DAY_MS }, { ORGTRAIL_HISTORY: '10d' });
  const { pool } = world.database;
  // What an account's own log has stands in an organization's here.
  const ofAccount = accountEntries(1, 'ed17574386854bf78a67040be0a770b0', {
    count: 600,
    endMs: Date.now() - DAY_MS / 4,
    lengthMs: 8 * DAY_MS,
  });
  world.simulator.append(world.simulator.summary().organizations[0]?.id ?? '', ofAccount);
  await using run = await world.open();
  expect((await run.sync()).finished).toBe(true);
  // As if they had been known for days: then what came only now was late.
  await pool.query("update organizations set first_seen_at = first_seen_at - interval '5 days'");
  const lease = await newSource(pool, 'changed');
  const text = entryText('changed', Date.now() - DAY_MS);
  const from = (id: string, address: string, timeMs: number) =>
    entryText(id, timeMs, {
      actor: { id: 'a', email: 'a@example.com', ip_address: address },
      action: { description: 'Add Member', type: 'create', result: 'success', time: new Date(timeMs).toISOString() },
    });
  await commit(pool, lease, [
    text,
    text.replace('create', 'update'),
    from('from home', '192.0.2.1', Date.now() - 8 * DAY_MS),
    from('from elsewhere', '192.0.2.2', Date.now() - DAY_MS),
  ]);
  // The fixture has put its own in force.
  await pool.query("update sources set filter_hash = 'none'");
  await addHold(
    { pool },
    {
      organizationId: undefined,
      sinceMs: undefined,
      beforeMs: undefined,
      reason: 'case 7',
      by: undefined,
    },
  );
  await pool.query(
    `insert into retention_drops (partition, month, events, changes, first_position, last_position, bytes, retention)
     values ('x', date_trunc('month', now()), 1, 0, 1, 1, 1, '1 year')`,
  );
  const { rows } = await pool.query<Record<string, string>>(
    `select actor_email as email, resource_id as resource, organization_id as organization, actor_token_id as token, position::text as position,
       substring(raw_uri from '/accounts/([^/]+)/') as account, (action_time at time zone 'Europe/Berlin')::date::text as day
     from audit_events where actor_token_id is not null and raw_uri like '%/accounts/%/%' and action_result = 'success'
       and action_type <> 'view' and actor_email is not null and resource_id is not null order by position limit 1`,
  );
  const since = new Date(Date.now() - 4 * DAY_MS).toISOString();
  variables = { ...rows[0], since, before: new Date().toISOString(), text: 'api-TOKEN'.replace('-', '_') };
  await migrateDatabase(pool, { roles: true });
  reader = await createLogin(world.database, ['orgtrail_reader']);
});
afterAll(async () => {
  await reader?.[Symbol.asyncDispose]();
  await world?.database.pool.query('drop owned by orgtrail_ingest, orgtrail_reader');
  await world?.[Symbol.asyncDispose]();
});

describe('docs/cookbook.md', () => {
  test('has numbered recipes', () => {
    expect(recipes.map(({ title }) => Number.parseInt(title, 10))).toEqual(recipes.map((_, n) => n + 1));
  });

  test.each(recipes.map((recipe) => [recipe.title, recipe] as const))('%s', async (_, { sql }) => {
    const { rows, fields } = await reader.pool.query(filledIn(sql));
    expect(rows.length).toBeGreaterThan(0);
    // Nothing but nulls in a column would be a question to the wrong place.
    for (const { name } of fields) {
      if (name === 'roles') continue;
      expect(
        rows.some((row) => row[name] !== null),
        name,
      ).toBe(true);
    }
  });

  test('"Was everything read": complete for a time that was, and says what is missing of one that was not', async () => {
    const sql = recipes.find(({ title }) => title.includes('everything read'))?.sql ?? '';
    const complete = async (since: number, before: number) => {
      variables = { ...variables, since: new Date(since).toISOString(), before: new Date(before).toISOString() };
      const { rows } = await reader.pool.query(filledIn(sql));
      return rows.filter((row) => row.organization_id !== 'changed');
    };
    const now = Date.now();
    const read = await complete(now - 4 * DAY_MS, now - DAY_MS);
    expect(read.map((row) => row.complete)).toEqual([true, true, true]);
    expect(read[0].missing).toBe('{}');
    const future = await complete(now - DAY_MS, now + DAY_MS);
    expect(future.map((row) => row.complete)).toEqual([false, false, false]);
    expect(future[0].unread).toMatchObject({ days: 1 });
  });
});

const DAY_MS = 86_400_000;

/** As psql puts them in. */
const filledIn = (sql: string): string =>
  sql.replaceAll(/:'(\w+)'/g, (_, name: string) => {
    const value = variables[name];
    if (value === undefined) throw new Error(`the test has no variable ${name}`);
    return escapeLiteral(value);
  });
