import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const PROMTOOL = 'promtool';
const hasPromtool = spawnSync(PROMTOOL, ['--version']).status === 0;

test.skipIf(!hasPromtool).each(['rules', 'rules.day', 'rules.evidence'])(
  'the alerts fire when they should, and not before: %s.test.yml',
  async (name) => {
    const cases = fileURLToPath(new URL(`../../../deploy/prometheus/${name}.test.yml`, import.meta.url));
    expect((await promisify(execFile)(PROMTOOL, ['test', 'rules', cases])).stdout).toContain('SUCCESS');
  },
);
