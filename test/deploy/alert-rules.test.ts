import { execFile as execFileWithCallback, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { isOfPromtoolAlone, schedule } from '../../studies/alerts/scenarios.ts';
import { metricsAsked, readRules } from '../support/deploy/prometheus-rules.ts';

const execFile = promisify(execFileWithCallback);
const rules = readRules();
const alerts = rules.flatMap((rule) => ('alert' in rule ? [rule] : []));
const caseFiles = ['rules', 'rules.day', 'rules.evidence'].map((name) => `${name}.test.yml`);
const PROMTOOL = 'promtool';
const hasPromtool = spawnSync(PROMTOOL, ['--version']).status === 0;

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
    expect(alerts).toHaveLength(35);
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

  test.skipIf(!hasPromtool)('fires when it should, and not before (promtool test rules)', async () => {
    await Promise.all(caseFiles.map((name) => execFile(PROMTOOL, ['test', 'rules', pathOf(name)])));
  });
});

const pathOf = (name: string): string => fileURLToPath(new URL(`../../deploy/prometheus/${name}`, import.meta.url));

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
