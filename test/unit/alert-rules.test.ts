import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { createMetrics } from '../../src/metrics.ts';

const pathOf = (name: string): string => fileURLToPath(new URL(`../../deploy/prometheus/${name}`, import.meta.url));
const rules = readFileSync(pathOf('rules.yml'), 'utf8');
const alerts = rules.split(/^ {6}- alert: /m).slice(1);
const PROMTOOL = 'promtool';
const hasPromtool = spawnSync(PROMTOOL, ['--version']).status === 0;

describe('deploy/prometheus/rules.yml', () => {
  test('asks only for metrics that there are', () => {
    const names = createMetrics('1')
      .registry.getMetricsAsArray()
      .map(({ name }) => name);
    const asked = [...rules.matchAll(/\borgtrail_\w+/g)].map(([name]) => name);
    expect(asked.length).toBeGreaterThan(5);
    for (const name of asked) expect(names).toContain(name);
  });

  test('has, for each alert, a severity, a summary, and what to do', () => {
    expect(alerts).toHaveLength(9);
    for (const alert of alerts) {
      expect(alert).toMatch(/severity: (critical|warning) /);
      expect(alert).toMatch(/summary: \S/);
      expect(alert).toMatch(/description: >-\n {12}\S/);
    }
  });

  test.skipIf(!hasPromtool)(
    'fires when it should, and not before (promtool test rules)',
    () => {
      const { status, stdout, stderr } = spawnSync(PROMTOOL, ['test', 'rules', pathOf('rules.test.yml')], {
        encoding: 'utf8',
      });
      expect(status, stdout + stderr).toBe(0);
    },
    60_000,
  );
});
