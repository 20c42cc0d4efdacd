import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createMetrics } from '../../src/app/telemetry/metrics.ts';
import { isOfPromtoolAlone, schedule } from '../../studies/alerts/scenarios.ts';
import { type Panel, promQueries, readDashboards, sqlQueries } from '../support/deploy/dashboards.ts';
import { metricsAsked, readRules, recordsAsked } from '../support/deploy/prometheus-rules.ts';

const rules = readRules();
const alerts = rules.flatMap((rule) => ('alert' in rule ? [rule] : []));
const caseFiles = ['rules', 'rules.day', 'rules.evidence'].map((name) => `${name}.test.yml`);

const readYaml = (path: string): unknown =>
  parse(readFileSync(new URL(`../../deploy/${path}`, import.meta.url), 'utf8'));

const compose = readYaml('compose/compose.yaml') as Compose;
const sources = readYaml('grafana/provisioning/datasources/orgtrail.yaml') as DataSources;
const { providers } = readYaml('grafana/provisioning/dashboards/orgtrail.yaml') as Providers;
const dashboards = readDashboards();

describe('deploy/prometheus/rules.yml', () => {
  test('asks only for metrics that there are', () => {
    const names = createMetrics('1')
      .registry.getMetricsAsArray()
      .map(({ name }) => name);
    const asked = rules.flatMap(({ expr }) => metricsAsked(expr));
    expect(asked.length).toBeGreaterThan(10);
    for (const name of asked) expect(names).toContain(name);
  });

  test('has, for each alert, a severity, a summary, what to do, and a section of its own in the runbook', () => {
    expect(alerts).toHaveLength(38);
    const sections = [...read('docs/operations/alerts.md').matchAll(/^## (\w+)$/gm)].map(([, name]) => name);
    for (const { alert, labels, annotations } of alerts) {
      expect(['critical', 'warning']).toContain(labels.severity);
      expect(annotations.summary).toMatch(/\S/);
      expect(annotations.description).toMatch(/\S/);
      expect(annotations.runbook_url).toBe(`docs/operations/alerts.md#${alert.toLowerCase()}`);
      expect(sections).toContain(alert);
    }
    expect(sections.filter((name) => name?.startsWith('Orgtrail'))).toHaveLength(alerts.length);
  });

  test('has, for each rule, a case in which it speaks, and for each alert one in which it does not', () => {
    const cases = caseFiles.map((name) => read(`deploy/prometheus/${name}`)).join('\n');
    for (const { alert } of alerts) {
      const fires = new RegExp(`alertname: ${alert}\\n +exp_alerts:\\n|labels: 'ALERTS\\{alertname="${alert}"`);
      const silent = new RegExp(`alertname: ${alert}, exp_alerts: \\[\\]`);
      expect(cases).toMatch(fires);
      expect(cases).toMatch(silent);
    }
    for (const rule of rules) if ('record' in rule) expect(cases).toContain(`expr: ${rule.record}\n`);
  });

  test('says what the live run of the alerts expects of each', () => {
    const scenarios = schedule.flat().flatMap((world) => world.scenarios);
    const expected = scenarios.flatMap((scenario) => Object.entries(scenario.alerts));
    const provoked = alerts.filter(({ alert }) => !isOfPromtoolAlone(alert));
    expect(expected.length).toBeGreaterThanOrEqual(provoked.length);
    for (const [name, pattern] of expected) {
      const summary = alerts.find(({ alert }) => alert === name)?.annotations.summary ?? '';
      const filledIn = ['1', '6', '1h '].map((value) =>
        summary
          .replaceAll('{{ $labels.sink }}', 'siem')
          .replaceAll('{{ $labels.anchor }}', 'file:/mnt/worm')
          .replaceAll(/\{\{.*?\}\}/g, value),
      );
      expect(
        filledIn.some((text) => pattern.test(text)),
        `${name}: ${summary} ${pattern}`,
      ).toBe(true);
    }
  });
});

describe('what Grafana is provisioned with', () => {
  test('data sources lead to services of the compose file, with a secret that Grafana is given', () => {
    expect(sources.apiVersion).toBe(1);
    expect(new Set(sources.datasources.map(({ uid }) => uid)).size).toBe(sources.datasources.length);
    for (const { url, secureJsonData } of sources.datasources) {
      const [, host = ''] = /^(?:http:\/\/)?([a-z]+):\d+$/.exec(url) ?? [];
      expect(Object.keys(compose.services)).toContain(host);
      const file = /\/run\/secrets\/(\w+)/.exec(secureJsonData?.password ?? '')?.[1];
      if (file !== undefined) expect(compose.services['grafana']?.secrets).toContain(file);
    }
  });

  test('dashboards and provisioning are mounted where they are looked for', () => {
    const mounted = compose.services['grafana']?.volumes ?? [];
    expect(mounted).toContain('../grafana/provisioning:/etc/grafana/provisioning:ro');
    expect(providers.length).toBe(1);
    for (const { options } of providers) expect(mounted).toContain(`../grafana/dashboards:${options.path}:ro`);
  });

  test('no two dashboards have a uid in common, and links lead to one of them', () => {
    const uids = dashboards.map(({ uid }) => uid);
    expect(uids.sort()).toEqual(['orgtrail-history', 'orgtrail-operations']);
    for (const { links } of dashboards) for (const { url } of links) expect(uids).toContain(url.replace('/d/', ''));
  });
});

describe.each(dashboards.map((dashboard) => [dashboard.file, dashboard] as const))('%s', (_, dashboard) => {
  const queried = dashboard.panels.filter(({ type }) => type !== 'row');

  test('has a known schema, panels with ids of their own, none on top of another, in 24 columns', () => {
    expect(dashboard.schemaVersion).toBe(39);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    for (const [index, { gridPos }] of dashboard.panels.entries()) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (const other of dashboard.panels.slice(index + 1)) expect(overlap(gridPos, other.gridPos)).toBe(false);
    }
  });

  test('every panel says what it shows, has thresholds, and queries a data source that there is', () => {
    expect(queried.length).toBeGreaterThan(10);
    // By a variable, which Grafana asks for where a dashboard is imported; as provisioned it is the data source of this folder.
    const chosen = dashboard.templating.list.filter(({ type }) => type === 'datasource');
    const provisioned = sources.datasources.map(({ uid, type, name }) => ({
      type,
      current: { text: name, value: uid },
    }));
    for (const { query, current } of chosen) expect(provisioned).toContainEqual({ type: query, current });
    const known = new Map(chosen.map(({ name, query }) => [`\${${name}}`, query]));
    for (const { title, description, datasource, targets = [], fieldConfig } of queried) {
      expect(description, title).toMatch(/\S{2}/);
      expect(fieldConfig?.defaults.thresholds, title).toBeDefined();
      expect(targets.length, title).toBeGreaterThan(0);
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
      for (const each of targets) expect(each.datasource).toEqual(datasource);
      expect(known.get(datasource?.uid ?? ''), title).toBe(datasource?.type);
    }
  });

  test('every variable that is used is defined, and every one that is defined is used', () => {
    const texts = queried.flatMap(({ targets = [] }) => targets.map(({ expr = '', rawSql = '' }) => expr + rawSql));
    texts.push(...queried.map(({ datasource }) => datasource?.uid ?? ''));
    const used = [...texts.join('\n').matchAll(/\$\{?(\w+)/g)].map(([, name = '']) => name);
    const defined = dashboard.templating.list.map(({ name }) => name);
    expect(new Set(used.filter((name) => !builtIn.has(name)))).toEqual(new Set(defined));
  });
});

describe('the queries of the dashboards', () => {
  test('ask for metrics and recorded series that there are', () => {
    const metrics = createMetrics('1').registry.getMetricsAsArray();
    const names = metrics.map(({ name }) => name);
    const records = readRules().flatMap((rule) => ('record' in rule ? [rule.record] : []));
    const asked = promQueries();
    for (const { panel, text } of asked) {
      for (const name of metricsAsked(text)) expect(names, panel).toContain(name);
      for (const name of recordsAsked(text)) expect(records, panel).toContain(name);
    }
    // Each metric of orgtrail is shown somewhere, directly or by way of a recorded series.
    const shown = [
      ...asked.map(({ text }) => text),
      ...readRules().flatMap((rule) => ('record' in rule ? [rule.expr] : [])),
    ];
    const unshown = [
      // An alert asks for it; otherwise it says as much as the lag.
      'orgtrail_coverage_future_seconds',
      'orgtrail_feed_position',
      'orgtrail_position_jumps',
      'orgtrail_entries_duplicate_total',
      'orgtrail_sink_position',
      // Alerts ask for them, and the console shows them.
      'orgtrail_accounts',
      'orgtrail_accounts_vanished',
      // `orgtrail status` and health say so if none works.
      'orgtrail_account_listings',
      'orgtrail_account_lag_seconds',
      'orgtrail_account_gap_seconds',
      'orgtrail_account_coverage_holes',
      'orgtrail_account_retention_slack_seconds',
    ];
    const own = names.filter((name) => name.startsWith('orgtrail_') && !unshown.includes(name));
    for (const name of own) expect(shown.flatMap(metricsAsked)).toContain(name);
  });

  test('have every variable filled in where a value goes into SQL, as a quoted string', () => {
    for (const { panel, text } of sqlQueries({ organization: 'all', action: 'all', result: 'all' })) {
      expect(text, panel).not.toMatch(/\$/);
    }
  });
});

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

interface Compose {
  readonly services: Readonly<Record<string, { readonly volumes?: readonly string[]; readonly secrets?: string[] }>>;
}

interface DataSources {
  readonly apiVersion: number;
  readonly datasources: readonly {
    readonly name: string;
    readonly uid: string;
    readonly type: string;
    readonly url: string;
    readonly secureJsonData?: { readonly password: string };
  }[];
}

interface Providers {
  readonly apiVersion: number;
  readonly providers: readonly { readonly type: string; readonly options: { readonly path: string } }[];
}

const builtIn = new Set(['__interval', '__timeFilter', '__timeGroupAlias']);

const overlap = (a: Panel['gridPos'], b: Panel['gridPos']): boolean =>
  a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
