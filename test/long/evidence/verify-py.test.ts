import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';

// verify.py is tested in its own language: the tests share no code with the TypeScript, as the verifier does not.
const python = (...args: string[]): { status: number | null; output: string } => {
  const { status, stdout, stderr } = spawnSync('python3', ['-B', ...args], {
    encoding: 'utf8',
    env: { ...process.env, PYTHONUTF8: '1' },
  });
  return { status, output: `${stdout ?? ''}${stderr ?? ''}` };
};

const missing = python('-c', 'import sys; sys.exit(sys.version_info < (3, 9))').status !== 0;
if (missing) console.warn('The tests of verify.py are skipped: there is no python3 of 3.9 or later.');

describe.skipIf(missing)('verify.py (invariant 15)', () => {
  test('holds for honest bundles, finds each change, and draws as it says', { timeout: 600_000 }, () => {
    const { status, output } = python('-m', 'unittest', 'discover', '-s', 'test/long/evidence/python');
    expect(status, output).toBe(0);
    expect(output).not.toContain('ResourceWarning');
  });
});
