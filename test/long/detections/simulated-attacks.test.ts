import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { FaultPlan } from '../../../src/simulator/faults/fault-plan.ts';
import { BaseHistory, DefectDeal } from '../../../src/simulator/world/base-history.ts';
import { organizationVoice } from '../../../src/simulator/world/organizations.ts';
import { compileRule, correlate } from '../../support/deploy/sigma-evaluator.ts';
import { readSigmaFiles } from '../../support/deploy/sigma-rules.ts';
import { type StoredEvent, storedEcs } from '../../support/feed/stored-ecs.ts';
import { databaseOfTests } from '../../support/postgres/database.ts';
import { commitAll, newSource } from '../../support/postgres/store-fixture.ts';
import { accountEntries } from '../../support/sync/account-entries.ts';
import { burstDeeds, COLLECTOR_TOKEN, type Deed, singleDeeds } from '../../support/sync/attacks.ts';

const SEED = 7;
const DAY_MS = 86_400_000;
const detections = readSigmaFiles().map(({ detection }) => detection);
/** Recent, since bursts are looked for in the last 31 days. */
const endMs = Date.now() - DAY_MS;
const database = databaseOfTests();
let ordinary: readonly Benign[];
let deeds: readonly Deed[];
let events: readonly StoredEvent[];
/** Each detection's events by id, as SQL has them. */
let found: ReadonlyMap<string, readonly string[]>;
beforeAll(async () => {
  const { pool } = database;
  await pool.query("select orgtrail_create_partitions(now() - interval '40 days', now())");
  await pool.query("insert into collector_tokens (token_id, note) values ($1, 'the one in use'), ('another', null)", [
    COLLECTOR_TOKEN,
  ]);
  deeds = [...singleDeeds(endMs - 5 * DAY_MS), ...burstDeeds(endMs - 2 * DAY_MS)];
  const histories = ORGANIZATIONS.map(benignHistory);
  ordinary = histories.flat().map((text) => JSON.parse(text));
  for (const [n, id] of ORGANIZATIONS.entries()) {
    const attack = n === 0 ? deeds.map(({ text }) => text) : [];
    await commitAll(pool, await newSource(pool, id), inPages([...(histories[n] ?? []), ...attack]));
  }
  events = await storedEcs(pool);
  const { rows } = await pool.query<{ detection: string; id: string }>('select detection, id from detections');
  const byDetection = Map.groupBy(rows, ({ detection }) => detection);
  found = new Map([...byDetection].map(([name, list]) => [name, list.map(({ id }) => id).sort()]));
});

describe(`simulated attacks within ordinary work (seed ${SEED})`, () => {
  test('there is a Sigma rule for each view that looks at one time, and they are in the view over all', async () => {
    const { rows } = await database.pool.query<{ name: string }>(
      "select substring(relname from 11) as name from pg_class where relkind = 'v' and relname like 'detection\\_%' order by 1",
    );
    expect(rows.map(({ name }) => name)).toEqual([...detections, ...ofTheTimeBefore].sort());
    expect([...found.keys()].sort()).toEqual(detections);
  });

  test.each(detections)('%s: each attack once, of the ordinary work what is documented, and nothing else', (name) => {
    const attacks = deeds.filter((deed) => deed.found.includes(name)).map(({ id }) => id);
    expect(attacks.length).toBeGreaterThan(1);
    const work = ordinary.filter((entry) => isExpected(name, entry)).map(({ id }) => id);
    expect(found.get(name)).toEqual([...attacks, ...work].sort());
    if (name.endsWith('_burst') || neverWork.includes(name)) expect(work).toEqual([]);
    else expect(work.length).toBeGreaterThan(10);
  });

  test.each(readSigmaFiles())(
    '$detection: the Sigma rule finds the same events',
    ({ detection, rule, correlation }) => {
      const matches = compileRule(rule, { collector_token_id: COLLECTOR_TOKEN });
      const single = events.filter(({ ecs }) => matches(ecs)).map(({ ecs }) => ecs);
      const all = correlation === undefined ? single : correlate(correlation, single);
      const ids = all.map((ecs) => (ecs['event'] as { id: string }).id).sort();
      expect(ids).toEqual(found.get(detection));
    },
  );

  test('has the severity that the Sigma rule has as its level', async () => {
    const { rows } = await database.pool.query<{ detection: string; severity: string }>(
      'select distinct detection, severity from detections order by 1',
    );
    const levels = readSigmaFiles().map(({ detection, about }) => ({ detection, severity: about.level }));
    expect(rows).toEqual(levels);
  });

  test('tells who did what, for people', async () => {
    const { rows } = await database.pool.query(
      `select detection, organization_name, actor, events::integer as events, summary,
         extract(epoch from action_time - first_time)::integer as seconds
       from detections where id in ('token rolled, by path', 'sweeper 10', 'own token not deleted') order by detection`,
    );
    const organization_name = `Name of ${ORGANIZATIONS[0]}`;
    const mallory = 'by mallory@example.com from 203.0.113.66';
    expect(rows).toEqual([
      {
        detection: 'api_token_changed',
        organization_name,
        actor: 'mallory@example.com',
        events: 1,
        seconds: 0,
        summary: `Something (t r1) ${mallory}`,
      },
      {
        detection: 'collector_token',
        organization_name,
        actor: 'mallory@example.com',
        events: 1,
        seconds: 0,
        summary: `Something (t r1) ${mallory}, failed`,
      },
      {
        detection: 'delete_burst',
        organization_name,
        actor: 'sweeper@example.com',
        events: 10,
        seconds: 45,
        summary:
          '10 deletes or more within 5 minutes, the tenth: Something (t r1) by sweeper@example.com from 203.0.113.66',
      },
    ]);
  });

  test('a time range is looked for in its partitions alone; bursts look at the last 31 days', async () => {
    const explain = async (view: string) => {
      const { rows } = await database.pool.query<{ 'QUERY PLAN': string }>(
        `explain (analyze, costs off, timing off) select * from ${view} where action_time > now() - interval '1 hour'`,
      );
      // Copies of entries about users are looked for in the one partition of their time: the others stand in the plan.
      const executed = rows.map((row) => row['QUERY PLAN']).filter((line) => !line.includes('(never executed)'));
      return executed.join('\n');
    };
    await database.pool.query("select orgtrail_create_partitions('2025-01-01', '2025-06-01')");
    for (const detection of [...detections, ...ofTheTimeBefore]) {
      const plan = await explain(`detection_${detection}`);
      expect(plan, detection).toMatch(/Subplans Removed: [5-9]/);
      expect(plan, detection).not.toContain('audit_events_2025');
    }
  });

  test('every query of docs/detections.md works', async () => {
    const docs = readFileSync(new URL('../../../docs/detections.md', import.meta.url), 'utf8');
    const blocks = [...docs.matchAll(/^```sql\n(.*?)^```|<<'SQL'.*?\n(.*?)^SQL/gms)].map(([, a, b]) => a ?? b ?? '');
    expect(blocks).toHaveLength(6);
    const sql = blocks
      .join(';')
      .replaceAll(/\$1|:last/g, '0')
      .replace(/\$__timeFilter\((\w+)\)/, "$1 > now() - interval '10 minutes'");
    await database.pool.query(`begin; ${sql}; rollback`);
  });
});

const ORGANIZATIONS = ['019c4f65e7607d8c9f6f6b58aa3aff50', '019c4f65e7607d8c9f6f6b58aa3aff51', 'a7b9c3d2e8f4g1h5'];
const EACH = 1_200;

/** Sigma cannot ask for what was not there before: copies.test.ts has these. */
const ofTheTimeBefore = ['sign_in_from_new_network', 'sign_in_without_sso'];
/** What ordinary work never does. */
const neverWork = 'collector_token api_token_wide_scope protection_removed dns_records_deleted scim_changed'.split(' ');

const inPages = (texts: readonly string[], size = 200): readonly string[][] =>
  Array.from({ length: Math.ceil(texts.length / size) }, (_, n) => texts.slice(n * size, (n + 1) * size));

/** Twenty days of ordinary work in an organization and in an account, a tenth of it with words that no document has. */
const benignHistory = (organizationId: string): readonly string[] => {
  const faults = new FaultPlan(SEED);
  faults.patch({ unknown_enums: 0.1, cf_rayid: 0.1, equal_timestamps: 0.3 });
  const voice = organizationVoice(SEED, organizationId);
  const deal = new DefectDeal(voice, faults);
  const span = { count: EACH, endMs, lengthMs: 20 * DAY_MS };
  const history = new BaseHistory({ voice, ...span, faults, deal });
  const own = Array.from({ length: EACH }, (_, index) => history.text(index));
  return [...own, ...accountEntries(SEED, organizationId, span, faults)];
};

interface Benign {
  readonly id: string;
  readonly action: { readonly description: string; readonly type: string; readonly result: string };
  readonly actor: { readonly type: string };
  readonly raw: { readonly status_code: number };
  readonly resource: { readonly request: unknown; readonly response: unknown };
}

/** What docs/detections.md says of the simulated kinds of work: the truth that the views are measured by. */
const kinds: Readonly<Record<string, readonly string[]>> = {
  api_token_changed: ['Create API Token', 'Roll API Token', 'Delete API Token'],
  member_added: ['Add Member'],
  super_administrator_added: ['Add Member', 'Update Member'],
  // Every update of an account sends enforce_twofactor: a documented false positive.
  sso_or_mfa_changed: ['Update SSO Connector', 'Update Account Settings', 'Update Identity Provider'],
  worker_secret_or_route_changed: ['Create Worker Route'],
};

const isExpected = (detection: string, entry: Benign): boolean => {
  if (detection === 'cloudflare_staff') return entry.actor.type === 'cloudflare_admin';
  const { description, type, result } = entry.action;
  if (result === 'failure' || entry.raw.status_code >= 400 || type === 'view' || type === 'View') return false;
  if (detection === 'sso_or_mfa_changed' && type?.toLowerCase() === 'login') return false;
  if (kinds[detection]?.includes(description) !== true) return false;
  const payloads = JSON.stringify([entry.resource.request, entry.resource.response]);
  return detection !== 'super_administrator_added' || payloads.includes('"Super Administrator"');
};
