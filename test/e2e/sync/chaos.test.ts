import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const command = fileURLToPath(new URL('../../../studies/chaos/chaos.ts', import.meta.url));
const SEED = 11;

test(`twelve seconds of chaos (seed ${SEED}): replicas killed and stopped, PostgreSQL crashed, and nothing lost, for readers over SQL and HTTP neither (invariants 1, 3 and 6)`, async () => {
  const args = `--for 12s --least-kills 6 --seed ${SEED} --lease 2s --settle 3s,8s --entries 5000 --json`;
  const { code, stdout, stderr } = await chaos(args.split(' '));
  const result = JSON.parse(stdout);
  expect(result, stderr).toMatchObject({
    missing: 0,
    duplicates: 0,
    positionsMissing: 0,
    contentMismatches: 0,
    readerViolations: 0,
    crashes: [],
    caughtUp: true,
    organizationsStored: 12,
    http: { violations: 0, firstViolations: [] },
  });
  expect(code).toBe(0);
  expect(result.stored).toBe(result.expected);
  expect(result.lastPosition).toBe(result.expected);
  expect(result.rowsRead).toBe(result.expected);
  expect(result.http.events).toBe(result.expected);
  expect(result.http.cut + result.http.left, 'bodies that were not read to their end').toBeGreaterThanOrEqual(1);
  expect(result.expected, 'new entries came while it ran').toBeGreaterThan(5_100);
  expect(result.kills).toBeGreaterThanOrEqual(5);
  expect(result.stopsBeyondLease).toBeGreaterThanOrEqual(2);
  expect(result.postgresRestarts).toBeGreaterThanOrEqual(1);
});

/** Runs the command as `npm run chaos -- ARGS` would. */
const chaos = async (args: readonly string[]): Promise<{ code: unknown; stdout: string; stderr: string }> => {
  const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const out: string[] = [];
  const err: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => out.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text));
  const [code] = await once(child, 'close');
  return { code, stdout: out.join(''), stderr: err.join('') };
};
