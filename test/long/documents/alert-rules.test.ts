import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

const PROMTOOL = 'promtool';
const hasPromtool = spawnSync(PROMTOOL, ['--version']).status === 0;

test.skipIf(!hasPromtool).each(['rules', 'rules.day', 'rules.evidence'])('alerts: %s.test.yml', (name) => {
  const { status, stderr } = spawnSync(PROMTOOL, ['test', 'rules', `deploy/prometheus/${name}.test.yml`]);
  expect(status, stderr.toString()).toBe(0);
});
