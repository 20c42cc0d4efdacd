import { Registry } from 'prom-client';
import { beforeAll, expect, test } from 'vitest';
import { createAccountGauges, showAccounts } from '../../../src/app/telemetry/status-gauges.ts';
import { laneIntervals } from '../../../src/ingest/planning/planner.ts';
import { keyOf } from '../../../src/ingest/planning/source.ts';
import { nearsLoss, sourceStates } from '../../../src/status/health.ts';
import {
  groupsOf,
  isAccount,
  type SourceGroup,
  type SourceWithState,
  totalsOf,
  urgency,
} from '../../../src/status/source-state.ts';
import { type AccountFigures, createStatusReader, MOST_EACH } from '../../../src/status/status-reader.sql.ts';
import type { StatusScope } from '../../../src/status/status-scope.sql.ts';
import { parseMetrics } from '../../support/deploy/metrics-text.ts';
import { createTestDatabase } from '../../support/postgres/database.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';
import { changeSources, changesOfSources } from '../../support/sync/change-sources.ts';
import { fillManySources } from '../../support/sync/many-sources.ts';
import { serve } from '../../support/sync/served.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const SEED = 20_261_127;
const pool = poolOfTests();
beforeAll(async () => {
  const settleDelaysMs = [600_000, 86_400_000];
  await fillManySources(pool, { accounts: ACCOUNTS, settleDelaysMs, ...laneIntervals(ACCOUNTS, 900), settleDue: 5 });
  // Organizations with logs of their own; accounts of each, and of none; and an account that has the id of an organization.
  await pool.query(
    `insert into organizations (id, name) select 'o' || n, 'Name ' || (n % 5) from generate_series(0, 9) n`,
  );
  await pool.query(`insert into accounts (id, name, organization_id) values ('o3', null, 'o4')`);
  await pool.query(
    `update accounts set organization_id = case when id < 'e' then 'o' || get_byte(decode(md5(id), 'hex'), 0) % 7 end where id <> 'o3'`,
  );
  await pool.query(
    `insert into sources (kind, id, organization_id, account_id, filter_hash, wanted_since, wanted_history, last_event_at)
     select 'organization', id, id, null, 'none', clock_timestamp() - interval '9 days', interval '548 days', clock_timestamp() - interval '1 hour'
     from organizations where id like 'o%' union all
     select 'account', id, null, id, 'none', clock_timestamp() - interval '9 days', interval '548 days', null from accounts where id = 'o3'`,
  );
  await pool.query(
    `insert into coverage (source_kind, source_id, filter_hash, pass, ranges)
     select kind, id, 'none', 0, tstzmultirange(tstzrange(clock_timestamp() - interval '10 days', clock_timestamp() - interval '5 seconds'))
     from sources where id like 'o%' and id <> 'o7'`,
  );
  await pool.query(
    `update account_organizations l set organization_id = a.organization_id from accounts a where a.id = l.account_id`,
  );
});

test(`of many sources, totals and the worst are those of all of them (seed ${SEED})`, async () => {
  const random = seededRandom(SEED);
  const seen = new Set<string>();
  for (let round = 0; round < 40; round += 1) {
    await change(random, round);
    const scope = scopes[round % scopes.length] ?? {};
    const reader = createStatusReader(pool, scope, 0);
    const [whole, many] = [await reader.read(pace, { all: true }), await reader.read(pace, { most: NAMED })];
    expect(many.isWhole, `round ${round}`).toBe(false);
    expect(sorted(many.groups), `round ${round}`).toEqual(sorted(groupsOf(whole.sources)).map(roughly));
    expect(many.sources.map(stateOf), `round ${round}`).toEqual(worstFirst(whole.sources).slice(0, NAMED).map(stateOf));
    expect(many.sources.map(asJson)).toEqual(worstFirst(whole.sources).slice(0, NAMED).map(asJson).map(roughly));
    expect(totalsOf(many.groups, 7)).toMatchObject({ sources: whole.sources.length, shown: 7 });
    const states = [sourceStates[round % sourceStates.length] ?? ''];
    const chosen = await reader.read(pace, { most: NAMED, states });
    const wanted = worstFirst(whole.sources).filter(({ state }) => states.includes(state));
    expect(chosen.sources.map(stateOf), `round ${round}`).toEqual(wanted.slice(0, NAMED).map(stateOf));
    for (const { state } of whole.sources) seen.add(state);
    if (whole.sources.some(nearsLoss)) seen.add('near loss');
    if (whole.sources.some(({ firstReading }) => firstReading)) seen.add('first reading');
    if (whole.sources.some(({ unprovenSeconds }) => unprovenSeconds > 0)) seen.add('unproven');
    if (whole.sources.some(({ lastFailure }) => lastFailure === 'coverage')) seen.add('future');
  }
  expect([...seen].sort()).toEqual([...sourceStates, 'first reading', 'future', 'near loss', 'unproven'].sort());
});

test('metrics of many accounts are what those of each add up to, and all organizations are there', async () => {
  await pool.query(`update sources set access = 'refused' where kind = 'account' and id < '3'`);
  const reader = createStatusReader(pool, {}, 0);
  const [whole, figures] = [await reader.read(pace, { all: true }), await reader.figures(pace)];
  const each = await createStatusReader(pool, {}).figures(pace);
  expect('each' in each.accounts && 'groups' in figures.accounts).toBe(true);
  const expected = await metricsOf({ groups: groupsOf(whole.sources) });
  const shown = await metricsOf(figures.accounts);
  expect([...shown.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, value] of expected) expect(shown.get(name), name).toBeCloseTo(value, -1.5);
  expect(shown.get('orgtrail_accounts{state="refused"}')).toBeGreaterThan(0);
  expect(figures.organizations.map(keyOf)).toEqual(each.organizations.map(keyOf));
});

test('health and metrics that are asked for together share one reading of all sources, whichever comes first', async () => {
  const reader = createStatusReader(pool, {}, NAMED);
  const [figures, { groups }] = await Promise.all([reader.figures(pace), reader.read(pace)]);
  expect('groups' in figures.accounts && figures.accounts.groups).toBe(groups);
  expect((await reader.read(pace)).groups).toBe(groups);
  expect((await reader.read(pace, { states: ['refused'] })).groups).not.toBe(groups);
});

test('the sources of one organization and of one account are those among all, with the state that they have there', async () => {
  const reader = createStatusReader(pool, { accounts: 'all' });
  const { sources } = await reader.read(pace);
  for (const organizationId of ['o3', 'o4', 'none']) {
    const owned = await reader.ofOrganization(organizationId, pace);
    expect(owned.among).toBe(sources.length);
    expect(owned.sources.map(stateOf)).toEqual(
      sources.filter((source) => source.organizationId === organizationId).map(stateOf),
    );
  }
  expect((await reader.ofAccount('o3', pace)).sources.map(stateOf)).toEqual(
    sources.filter(({ accountId }) => accountId === 'o3').map(stateOf),
  );
  const listed = createStatusReader(pool, { organizationIds: ['o1'] });
  expect((await listed.ofAccount('o3', pace)).sources).toEqual([]);
});

test('health, status and console name the worst, and count all', async () => {
  const options = { organizations: 2, accounts: 2, entries: 200 };
  await using world = await openWorld(options, { ORGTRAIL_SOURCES: 'organizations,accounts' });
  const { accounts } = world.simulator.summary();
  const [refused, other] = accounts;
  if (refused === undefined || other === undefined) throw new Error('the simulator has no accounts');
  world.simulator.setRefused({ kind: 'account', id: refused.id }, true);
  await using run = await world.open();
  await using each = await serve(run);
  await using few = await serve(run, { mostEach: 3 });
  await run.sync();
  for (const path of ['/healthz', '/v1/status']) {
    const whole = (await each.get(path)).body as Answer;
    const many = (await few.get(path)).body as Answer;
    expect(Object.keys(whole)).toEqual(Object.keys(many).filter((key) => key !== 'totals'));
    expect(many.status).toBe(whole.status);
    expect(many.totals).toMatchObject({ sources: 6, shown: 3, accounts: { refused: 1 } });
    expect([whole.sources.length, many.sources.length]).toEqual([6, 3]);
    expect(many.sources[0]).toMatchObject({ state: 'refused' });
    expect(Object.keys(many.sources[0] ?? {})).toEqual(
      Object.keys(whole.sources.find(({ state }) => state === 'refused') ?? {}),
    );
  }
  const overview = await few.text('/');
  expect(overview).toContain('<p><a href="#accounts">1 account refused</a></p>');
  expect(overview).toContain(`<a href="/accounts/${refused.id}">`);
  for (const { id } of world.simulator.summary().organizations) expect(overview).toContain(`/organizations/${id}`);
  expect(overview).toContain('<dt>Accounts</dt><dd class="tile-value">4</dd>');
  expect(await few.text(`/organizations/${other.organizationId}`)).toContain(`<a href="/accounts/${other.id}">`);
  expect(await few.text(`/accounts/${other.id}`)).toContain(`<h1>${other.name}</h1>`);
});

test('orgtrail status names no more than a thousand unless asked, and says of how many', async () => {
  const database = await createTestDatabase();
  try {
    const accounts = MOST_EACH + 50;
    await fillManySources(database.pool, {
      accounts,
      settleDelaysMs: [],
      ...laneIntervals(accounts, 900),
      settleDue: 0,
    });
    await database.pool.query(
      `update sources set access = 'refused' where id in (select id from accounts where name in ('Account 7', 'Account 8', 'Account 9'))`,
    );
    const env = { DATABASE_URL: database.url, CLOUDFLARE_API_TOKEN: 'a-token-of-a-test', ORGTRAIL_SOURCES: 'accounts' };
    const status = async (...args: readonly string[]) => await runInProcess(['status', ...args], env);
    const json = async (...args: readonly string[]) => JSON.parse((await status('--json', ...args)).stdout) as Answer;

    const { stdout } = await status('--limit', '5');
    expect(stdout).toMatch(/^1,050 accounts: 3 refused, (?:\d+ fresh, )?(?:\d+ quiet)?; listed /m);
    expect(stdout.split('\n').filter((line) => / refused /.test(line) && line.startsWith('account '))).toHaveLength(3);
    expect(stdout).toMatch(/^1045 of 1,050 accounts not shown: .*\(--all shows them\)$/m);
    expect((await status('--limit', '0', '--fail-on', 'failing')).code).toBe(1);

    const many = await json();
    expect(many.sources).toHaveLength(MOST_EACH);
    expect(many.totals).toMatchObject({ sources: accounts, shown: MOST_EACH, accounts: { refused: 3 } });
    const all = await json('--all');
    expect(all.sources).toHaveLength(accounts);
    expect(all).not.toHaveProperty('totals');
    const refused = await json('--state', 'refused');
    expect(refused.sources.map(({ state }) => state)).toEqual(['refused', 'refused', 'refused']);
    expect(refused.totals).toMatchObject({ sources: accounts, shown: 3 });
    const one = await json('--account', 'Account 8');
    expect(one.sources.map(({ state }) => state)).toEqual(['refused']);
    expect(one).not.toHaveProperty('totals');
  } finally {
    await database.close();
  }
});

const ACCOUNTS = 150;

/** So few are named that most are not. */
const NAMED = 25;
const pace = { tickMs: 30_000, apiBudget: 900 };

/** What may be the matter with sources beside what commits and failures change. */
const troubles = [
  `update sources set wanted_since = clock_timestamp() - interval '540 days' where id = any($1)`,
  `update lanes set failures = 1 + ascii(source_id) % 4, last_failure = null where source_id = any($1)`,
  `update lanes set failures = 0, last_failure = null where source_id = any($1) or source_id < '8'`,
  `update sources set last_event_at = clock_timestamp() - interval '3 days' where id = any($1)`,
  `update coverage set ranges = ranges + tstzmultirange(tstzrange(lower(ranges), now() + interval '1 hour')) where source_id = any($1)`,
  `update coverage_holes set before = since + interval '1 minute' where source_id = any($1)`,
  `insert into coverage_holes (source_kind, source_id, filter_hash, pass, since, before, reason, message, next_attempt_at)
   select 'organization', id, 'none', 0, now() - interval '1 day', now() - interval '23 hours', 'server', 'a hole', now()
   from organizations where id like 'o%' and id = any($1) on conflict do nothing`,
  `update coverage set ranges = ranges * tstzmultirange(tstzrange(now() - interval '3 days', null)) where source_id = any($1) and pass = 0`,
  `update organizations set state = 'refused' where id = any($1)`,
  `update organizations set state = 'gone' where id = any($1) and id > 'o8'`,
];

const change = async (random: () => number, round: number): Promise<void> => {
  const { rows } = await pool.query<{ id: string }>('select id from accounts order by id');
  const some = () => rows.filter(() => random() < 0.06).map(({ id }) => id);
  await changeSources(pool, round % changesOfSources, some(), Date.now());
  await changeSources(pool, Math.floor(random() * changesOfSources), some(), Date.now());
  rows.push(...Array.from({ length: 10 }, (_, n) => ({ id: `o${n}` })));
  await pool.query(troubles[round % troubles.length] ?? '', [some()]);
};

const scopes: readonly StatusScope[] = [
  {},
  { kinds: ['account'] },
  { organizationIds: ['o1', 'o3', 'o4'] },
  { accounts: 'organizations' },
  { kinds: ['organization', 'account'], organizationIds: ['o2'], accounts: ['o3'] },
];

/** The sources of all, the most urgent first: what is about to be lost, then by state, then the largest gap, then by name as they come. */
const worstFirst = (sources: readonly SourceWithState[]): readonly SourceWithState[] => {
  const isHealthy = ({ state }: SourceWithState) => state === 'fresh' || state === 'quiet';
  const isOwnerless = (source: SourceWithState) => isAccount(source) && source.organizationId === null;
  return sources.toSorted(
    (a, b) =>
      Number(nearsLoss(b)) - Number(nearsLoss(a)) ||
      Number(isHealthy(a)) - Number(isHealthy(b)) ||
      (isHealthy(a) ? Number(isOwnerless(b)) - Number(isOwnerless(a)) : 0) ||
      urgency.indexOf(a.state) - urgency.indexOf(b.state) ||
      (isHealthy(a) ? 0 : b.gapSeconds - a.gapSeconds),
  );
};

const stateOf = (source: SourceWithState): string => `${keyOf(source)} ${source.state} ${source.firstReading}`;
const sorted = (groups: readonly SourceGroup[]) => groups.toSorted((a, b) => (groupKey(a) < groupKey(b) ? -1 : 1));
const groupKey = ({ owner, organizationId, state }: SourceGroup) => `${owner} ${organizationId} ${state}`;

/** Time goes on between two statements. */
const roughly = (figures: object): object =>
  Object.fromEntries(
    Object.entries(figures).map(([name, value]) => [
      name,
      /Seconds/.test(name) && typeof value === 'number' ? expect.closeTo(value, -1.5) : value,
    ]),
  );

/** Without the seconds that the words of an error count. */
const asJson = (source: SourceWithState): object =>
  JSON.parse(JSON.stringify(source).replaceAll(/reaches \d+ s/g, 'reaches s'));

const metricsOf = async (accounts: AccountFigures) => {
  const registry = new Registry();
  const gauges = createAccountGauges([registry]);
  showAccounts(gauges, accounts, { gone: 0, vanished: 0 });
  return parseMetrics(await registry.metrics());
};

// With too many sources to name each, every surface has totals of all, names those that most need attention, and says how many it leaves out.

interface Answer {
  readonly status?: string;
  readonly sources: readonly { readonly state: string }[];
  readonly totals?: unknown;
}
