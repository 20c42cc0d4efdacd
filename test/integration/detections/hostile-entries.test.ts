import { beforeAll, describe, expect, test } from 'vitest';
import { startSimulator } from '../../../src/simulator/simulator.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { valuesOf } from '../../support/postgres/rows.ts';
import { commitAll, newSource } from '../../support/postgres/store-fixture.ts';
import { newAccountSource } from '../../support/sync/account-source.ts';
import { burstDeeds, COLLECTOR_TOKEN, deedEntry, singleDeeds } from '../../support/sync/attacks.ts';
import * as defective from '../../support/sync/defective-entries.ts';

const timeMs = Date.now() - 3_600_000;
const pool = poolOfTests();
const SEED = 11;

beforeAll(async () => {
  await pool.query("select orgtrail_create_partitions(now() - interval '70 days', now())");
  await pool.query('insert into collector_tokens (token_id) values ($1)', [COLLECTOR_TOKEN]);
});

describe('defective and hostile entries', () => {
  test('entries with every defect break no view', async () => {
    const entries = Object.values(defective).flatMap((value) => (Array.isArray(value) ? value : []));
    const texts = entries.map((entry) => (entry as defective.DefectiveEntry).text);
    expect(texts.length).toBeGreaterThan(40);
    await store('defects', texts);
    expect(await readAll()).toBe(texts.length);
    await pool.query("set orgtrail.bursts_since = '-infinity'; select * from detections; reset orgtrail.bursts_since");
  });

  test('an attack that hides in a defective entry is found', async () => {
    const request = { request: { settings: { enforce_twofactor: false } } };
    const members = { method: 'POST', uri: '/accounts/a/members' };
    const entry = (id: string, wording: Parameters<typeof deedEntry>[2], before: string, after: string) =>
      deedEntry(id, timeMs, wording).replace(before, after);
    const superAdministrator = { response: { result: { roles: [{ name: 'Super Administrator' }] } } };
    await store('hidden', [
      entry('nul', { resource: request }, '"scope"', '"x":"\\u0000","scope"'),
      entry('surrogate', { resource: request }, '"scope"', '"x":"\\ud800","scope"'),
      entry('number', { resource: request }, '"scope"', '"x":1e200000,"scope"'),
      entry('deep', { resource: request }, '"scope"', `"x":${defective.nested(6_000)},"scope"`),
      entry('nul in the type', { resource: { type: 'api_token' } }, '"api_token"', '"api_token\\u0000"'),
      entry(
        'nul and role',
        { action: { type: 'create' }, raw: members, resource: superAdministrator },
        '{}',
        '{"x":"\\u0000"}',
      ),
      entry('no time', { resource: { type: 'api_token' } }, '"time"', '"tome"'),
      entry('escaped', { raw: { uri: '/user/tokens' } }, '/user/tokens', '\\/user\\u002ftokens'),
    ]);
    expect(await foundIn('hidden')).toEqual([
      'api_token_changed: escaped',
      'api_token_changed: no time',
      'api_token_changed: nul in the type',
      'member_added: nul and role',
      'sso_or_mfa_changed: deep',
      'sso_or_mfa_changed: nul',
      'sso_or_mfa_changed: number',
      'sso_or_mfa_changed: surrogate',
      'super_administrator_added: nul and role',
    ]);
  });

  test('the summary has no control characters and is short; other columns are as stored', async () => {
    const description = `Create API Token\u001b[2J\r\n\u202e${'x'.repeat(1_000_000)}`;
    await store('loud', [
      deedEntry('loud', timeMs, { action: { description }, actor: { email: `${'é'.repeat(5_000)}\t@example.com` } }),
    ]);
    const { rows } = await pool.query(
      "select summary, action_description from detection_api_token_changed where source_id = 'loud'",
    );
    expect(rows).toHaveLength(1);
    expect(rows[0].summary).toMatch(/^Create API Token \[2J {3}x{177} \(t r1\) by é{200} from 203\.0\.113\.66$/);
    expect(rows[0].action_description).toBe(description);
  });

  test('texts made for regular expressions, quotes and other types are only texts', async () => {
    const strange = [
      "'; drop table audit_events; --",
      '%_\\',
      '(((((',
      '[^',
      '.*',
      '$1',
      '{}',
      '\u{1f4a9}',
      ' ',
      'a\nb',
    ];
    const texts = strange.flatMap((text, n) => [
      deedEntry(`texts ${n}`, timeMs, {
        action: { type: text, result: text, description: text },
        actor: { id: text, type: text, token_id: text },
        raw: { method: text, uri: text, status_code: text },
        resource: { id: text, type: text, product: text, request: text, response: [text] },
      }),
      deedEntry(`types ${n}`, timeMs, {
        action: { type: [text], result: { text }, description: 7 },
        actor: { type: null, id: 1 },
        raw: { method: true, uri: [text], status_code: 1e300 },
        resource: { type: { name: text }, product: 0, request: null, response: 5 },
      }),
    ]);
    await store('strange', texts);
    expect(await foundIn('strange')).toEqual([]);
    expect(await readAll()).toBeGreaterThanOrEqual(texts.length);
  });

  test('a URI of a megabyte that is made to be hard to match costs its length, not its square', async () => {
    const uris = ['/accounts/'.repeat(100_000), `/organizations/${'a'.repeat(1_000_000)}`, '/tokens-'.repeat(125_000)];
    await store(
      'long',
      uris.map((uri, n) => deedEntry(`long ${n}`, timeMs, { raw: { uri } })),
    );
    // A square would take hours: the statement's time-out is the assertion.
    expect(await foundIn('long')).toEqual([]);
  });
});

test('each attack is found in the log of an account, too, and nothing that only looks like one', async () => {
  const fromMs = Date.now() - DAY_MS;
  const deeds = [...singleDeeds(fromMs), ...burstDeeds(fromMs + DAY_MS / 2)];
  const lease = await newAccountSource(pool, ACCOUNT);
  await commitAll(pool, lease, [deeds.map(({ text }) => inAccount(text))]);
  const { rows } = await pool.query<{ line: string }>(
    "select detection || ': ' || id as line from detections where source_kind = 'account'",
  );
  const expected = deeds.flatMap(({ id, found }) => found.map((detection) => `${detection}: ${id}`));
  expect(rows.map(({ line }) => line).sort()).toEqual(expected.sort());
  await pool.query('truncate audit_events');
});

test(`a day of the ordinary voice of six accounts raises few alarms (seed ${SEED})`, async () => {
  const world = { organizations: 2, accounts: 3, entries: 2, accountEntries: 4_200, distribution: 'uniform' } as const;
  const simulator = await startSimulator({ ...world, seed: SEED, historyMs: 14 * DAY_MS });
  const logs = Map.groupBy(simulator.truth({ kind: 'account' }), ({ sourceId }) => sourceId);
  await simulator.close();
  for (const [id, entries] of logs) {
    const lease = await newAccountSource(pool, id);
    await commitAll(pool, lease, inPages(entries.map((entry) => entry.raw())));
  }
  const { rows } = await pool.query<{ detection: string; day: number; month: number }>(
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

const store = async (source: string, texts: readonly string[]): Promise<void> => {
  await commitAll(pool, await newSource(pool, source), [texts]);
};

const foundIn = (source: string) =>
  valuesOf<string>(pool, "select detection || ': ' || id as what from detections where source_id = $1 order by 1", [
    source,
  ]);

/** Every column of every view, traits included. */
const readAll = async (): Promise<number> => {
  const events = await pool.query('select * from audit_event_traits');
  await pool.query('select * from detections');
  return events.rowCount ?? 0;
};

const inPages = (texts: readonly string[]): readonly string[][] =>
  Array.from({ length: Math.ceil(texts.length / 200) }, (_, n) => texts.slice(n * 200, (n + 1) * 200));

const DAY_MS = 86_400_000;
const ACCOUNT = '4bb334f7c94c4a29a045f03944f072e5';

/** The same deed as the log of an account has it. */
const inAccount = (text: string): string =>
  text
    .replace(/"organization":\{[^}]*\}/, `"account":{"id":"${ACCOUNT}"}`)
    .replace('"scope":"organizations"', '"scope":"accounts"');
