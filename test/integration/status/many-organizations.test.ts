import { execFile as execFileWithCallback, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { createMetrics } from '../../../src/app/telemetry/metrics.ts';
import { MOST_ORGANIZATIONS } from '../../../src/app/telemetry/status-gauges.ts';
import { streamKinds } from '../../../src/base/limits.ts';
import { createMetricsSource } from '../../../src/status/scrape.sql.ts';
import { createStatusReader, MOST_EACH } from '../../../src/status/status-reader.sql.ts';
import { parseMetrics } from '../../support/deploy/metrics-text.ts';
import { metricsAsked, readRules } from '../../support/deploy/prometheus-rules.ts';
import { poolOfTests } from '../../support/postgres/pool-of-tests.ts';
import { fillManySources } from '../../support/sync/many-sources.ts';

const execFile = promisify(execFileWithCallback);
const pool = poolOfTests();
beforeAll(async () => {
  const settings = { settleDelaysMs: [], liveMs: 60_000, settleMs: 60_000, settleDue: 0 };
  await fillManySources(pool, { accounts: ACCOUNTS, organizations: ORGANIZATIONS, ...settings });
});

test('/metrics is bounded, and its labels stay while delays change', async () => {
  const before = await scrape();
  expect(before.length).toBeLessThan(600_000);
  const samples = parseMetrics(before);
  expect(samples.get('orgtrail_accounts{state="active"}')).toBe(ACCOUNTS);
  for (const name of perOrganization) {
    expect([...samples.keys()].filter((key) => key.startsWith(`${name}{`))).toHaveLength(MOST_ORGANIZATIONS + 1);
  }
  await pool.query(
    `update coverage set ranges = ranges * tstzmultirange(tstzrange(null, now() - random() * interval '1 minute'))`,
  );
  const after = parseMetrics(await scrape());
  expect(after).not.toEqual(samples);
  expect([...after.keys()].filter(isOfStatus)).toEqual([...samples.keys()].filter(isOfStatus));
});

test('what is beyond the most urgent organizations still makes the alerts fire, and refused ones do not', async () => {
  const refused = ids.slice(0, MOST_ORGANIZATIONS + 20);
  await pool.query(`update organizations set state = 'refused' where id = any($1)`, [refused]);
  await setBack(refused, '2 hours');
  const refusals = { OrgtrailOrganizationRefused: 'warning' } as const;
  if (hasPromtool) await expectFiring(await scrape(), refusals);

  const [late = '', holed = ''] = ids.slice(-2);
  await setBack([late], '2 hours');
  await pool.query(
    `insert into coverage_holes (source_kind, source_id, filter_hash, pass, since, before, reason, message, next_attempt_at)
     values ('organization', $1, 'none', 0, now() - interval '1 day', now() - interval '23 hours', 'server', 'a hole', now())`,
    [holed],
  );
  const text = await scrape();
  expect(text).not.toMatch(new RegExp(`orgtrail_source_\\w+\\{organization_id="(?:${late}|${holed})"`));
  const others = (name: string) => parseMetrics(text).get(`${name}{organization_id="others"}`);
  expect(others('orgtrail_source_lag_seconds')).toBeGreaterThan(7_000);
  expect(others('orgtrail_coverage_holes')).toBe(1);
  if (!hasPromtool) return;
  await expectFiring(text, { ...refusals, OrgtrailCoverageHole: 'warning', OrgtrailNotFresh: 'critical' });
});

const ORGANIZATIONS = MOST_ORGANIZATIONS + 500;
/** Each organization has some, and they are too many to be told each. */
const ACCOUNTS = MOST_EACH + 500;
const ids: string[] = [];
beforeAll(async () => {
  const { rows } = await pool.query<{ id: string }>('select id from organizations order by id');
  ids.push(...rows.map(({ id }) => id));
});

const perOrganization = [
  'orgtrail_source_lag_seconds',
  'orgtrail_source_gap_seconds',
  'orgtrail_coverage_holes',
  'orgtrail_coverage_future_seconds',
  'orgtrail_retention_slack_seconds',
  'orgtrail_source_last_success_timestamp_seconds',
  'orgtrail_account_lag_seconds',
  'orgtrail_account_coverage_holes',
];
const isOfStatus = (sample: string): boolean => sample.includes('organization_id=');

const setBack = (organizations: readonly string[], by: string) =>
  pool.query(
    `update coverage set ranges = ranges * tstzmultirange(tstzrange(null, now() - $2::interval))
     where source_kind = 'organization' and source_id = any($1)`,
    [organizations, by],
  );

const scrape = (): Promise<string> =>
  createMetrics('1').scrape(
    createMetricsSource(
      {
        scrub: { share: 0 },
        sources: ['organization', 'account'],
        organizationIds: undefined,
        evidence: undefined,
        archive: undefined,
        retentionMs: 0,
        tickMs: 30_000,
        apiBudget: 1_000_000,
      },
      pool,
      { available: async () => 1, blockedSeconds: async () => 0 },
      [],
      {
        statusReader: createStatusReader(pool, {}),
        sinks: async () => [],
        streamLoad: () => ({
          streams: Object.fromEntries(streamKinds.map((kind) => [kind, { open: 0, waiting: 0 }])) as never,
          memoryBytes: 0,
        }),
      },
    ),
  );

const rules = fileURLToPath(new URL('../../../deploy/prometheus/rules.yml', import.meta.url));
const PROMTOOL = 'promtool';
const hasPromtool = spawnSync(PROMTOOL, ['--version']).status === 0;

/** Of the shipped rules about organizations and accounts, these fire if a daemon answers so for 20 minutes, and no others. */
const expectFiring = async (text: string, alerts: Readonly<Record<string, 'critical' | 'warning'>>): Promise<void> => {
  const asked = new Set(readRules().flatMap((rule) => ('alert' in rule ? metricsAsked(rule.expr) : [])));
  const series = [...parseMetrics(text)].flatMap(([name, value]) =>
    name.includes('{state=') || (isOfStatus(name) && asked.has(name.split('{')[0] ?? ''))
      ? [{ series: name.replace('{', '{job="orgtrail",'), values: `${value} `.repeat(5) }]
      : [],
  );
  const expected = Object.entries(alerts).map(([alert, severity]) => ({
    labels: `ALERTS{alertname="${alert}", alertstate="firing", job="orgtrail", severity="${severity}"}`,
    value: 1,
  }));
  const query = { expr: 'ALERTS{alertname!="OrgtrailDown", alertstate="firing"}', eval_time: '20m' };
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-rules-'));
  try {
    const file = join(directory, 'test.yml');
    const tests = [{ interval: '5m', input_series: series, promql_expr_test: [{ ...query, exp_samples: expected }] }];
    await writeFile(file, JSON.stringify({ rule_files: [rules], evaluation_interval: '5m', tests }));
    await execFile(PROMTOOL, ['test', 'rules', file]);
  } finally {
    await rm(directory, { recursive: true });
  }
};
