import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

const PROMTOOL = 'promtool';

const promtool = (...args: readonly string[]) => spawnSync(PROMTOOL, args, { encoding: 'utf8' });

test.skipIf(promtool('--version').status !== 0).each(['rules', 'rules.day', 'rules.evidence'])(
  'the alerts fire when they should, and not before: %s.test.yml',
  (name) => {
    const { status, stderr } = promtool('test', 'rules', `deploy/prometheus/${name}.test.yml`);
    expect(status, stderr).toBe(0);
  },
);
