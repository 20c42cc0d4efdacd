import { afterAll, beforeAll, expect, test } from 'vitest';
import { startSimulator } from '../../../src/simulator/simulator.ts';
import { createTestDatabase, type TestDatabase } from '../../support/postgres/database.ts';
import { commitAll } from '../../support/postgres/store-fixture.ts';
import { newAccountSource } from '../../support/sync/account-source.ts';
import { burstDeeds, COLLECTOR_TOKEN, singleDeeds } from '../../support/sync/attacks.ts';

const SEED = 11;
let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
  await database.pool.query("select orgtrail_create_partitions(now() - interval '70 days', now())");
  await database.pool.query('insert into collector_tokens (token_id) values ($1)', [COLLECTOR_TOKEN]);
});
afterAll(async () => {
  await database?.close();
});

test('each attack is found in the log of an account, too, and nothing that only looks like one', async () => {
  const fromMs = Date.now() - DAY_MS;
  const deeds = [...singleDeeds(fromMs), ...burstDeeds(fromMs + DAY_MS / 2)];
  const lease = await newAccountSource(database.pool, ACCOUNT);
  await commitAll(database.pool, lease, [deeds.map(({ text }) => inAccount(text))]);
  const { rows } = await database.pool.query<{ line: string }>(
    "select detection || ': ' || id as line from detections where source_kind = 'account'",
  );
  const expected = deeds.flatMap(({ id, found }) => found.map((detection) => `${detection}: ${id}`));
  expect(rows.map(({ line }) => line).sort()).toEqual(expected.sort());
  await database.pool.query('truncate audit_events');
});

const inPages = (texts: readonly string[]): readonly string[][] =>
  Array.from({ length: Math.ceil(texts.length / 200) }, (_, n) => texts.slice(n * 200, (n + 1) * 200));

test(`a day of the ordinary voice of six accounts raises few alarms (seed ${SEED})`, async () => {
  const world = { organizations: 2, accounts: 3, entries: 2, accountEntries: 4_200, distribution: 'uniform' } as const;
  const simulator = await startSimulator({ ...world, seed: SEED, historyMs: 14 * DAY_MS });
  const logs = Map.groupBy(simulator.truth({ kind: 'account' }), ({ sourceId }) => sourceId);
  await simulator.close();
  for (const [id, entries] of logs) {
    const lease = await newAccountSource(database.pool, id);
    await commitAll(database.pool, lease, inPages(entries.map((entry) => entry.raw())));
  }
  const { rows } = await database.pool.query<{ detection: string; day: number; month: number }>(
    `select detection, count(*) filter (where action_time > now() - interval '1 day')::integer as day, count(*)::integer as month
     from detections where action_time > now() - interval '31 days' group by 1 order by 1`,
  );
  // A user is seen in each of the few networks for the first time once.
  const newNetworks = rows.find(({ detection }) => detection === 'sign_in_from_new_network');
  const kinds = rows.filter(({ detection }) => detection !== 'sign_in_from_new_network');
  expect(newNetworks?.day ?? 0).toBeLessThan(3);
  // These are about kinds of work: they are raised whenever that is done, and a twenty-fifth of what is done is of each kind.
  expect(kinds.map(({ detection }) => detection)).toEqual([
    'api_token_changed',
    'cloudflare_staff',
    'member_added',
    'sso_or_mfa_changed',
    'super_administrator_added',
    'worker_secret_or_route_changed',
  ]);
});

const DAY_MS = 86_400_000;
const ACCOUNT = '4bb334f7c94c4a29a045f03944f072e5';

/** The same deed as the log of an account has it. */
const inAccount = (text: string): string =>
  text
    .replace(/"organization":\{[^}]*\}/, `"account":{"id":"${ACCOUNT}"}`)
    .replace('"scope":"organizations"', '"scope":"accounts"');
