import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { startSimulator } from '../../../src/simulator/simulator.ts';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { runOrgtrail, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';

const simulator = ofAllTests(() => startSimulator({ organizations: 3, entries: 300, startMs: Date.now() - 60_000 }));
const { folder: directory } = temporaryFolder();
let env: Record<string, string>;
beforeAll(() => {
  env = {
    CLOUDFLARE_API_TOKEN: 'token-of-the-test',
    CLOUDFLARE_BASE_URL: simulator.baseUrl,
    ORGTRAIL_DATA_DIR: join(directory, 'fresh', 'data'),
    ORGTRAIL_HTTP_PORT: '0',
  };
});

describe('without DATABASE_URL', () => {
  test('sync makes a server of its own in a fresh directory, and stops it', async () => {
    const { code, stdout, stderr } = await runOrgtrail(['sync', '--json'], env);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ stored: 300, organizations: 3, failed: [], finished: true });
    expect(existsSync(pidFile())).toBe(false);
    const status = await runOrgtrail(['status'], env);
    expect(status).toMatchObject({ code: 0, stderr: '' });
    expect(status.stdout).toMatch(/^3 organizations: /);
    expect(existsSync(pidFile()), 'a command that reads stops the server, too').toBe(false);
  });

  test('evidence init makes a server, a schema and a key in a fresh directory; a daemon then builds', async () => {
    const fresh = {
      ...env,
      ORGTRAIL_DATA_DIR: join(directory, 'evidence', 'data'),
      ORGTRAIL_EVIDENCE_KEY_FILE: join(directory, 'evidence-key.pem'),
    };
    const withoutName = await runOrgtrail(['evidence', 'init'], fresh);
    expect(withoutName).toMatchObject({ code: 2, stdout: '' });
    expect(existsSync(join(directory, 'evidence'))).toBe(false);
    const named = { ...fresh, ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence' };
    const begun = await runOrgtrail(['evidence', 'init'], named);
    expect(begun.code, begun.stderr).toBe(0);
    expect(begun.stdout).toMatch(/^made a key: .*\nthe log is audit\.example\.com\/evidence\/\S+\.1\n/);
    expect((await runOrgtrail(['evidence', 'init'], named)).stdout).not.toContain('made a key');
    const daemon = startOrgtrail(['run'], named);
    await daemon.waitFor('evidence checkpoint');
    daemon.child.kill('SIGTERM');
    await daemon.ended;
    expect((await runOrgtrail(['evidence', 'verify'], named)).code).toBe(0);
    const nowhere = { ...named, ORGTRAIL_EVIDENCE_KEY_FILE: join(directory, 'no', 'folder', 'key.pem') };
    const refused = await runOrgtrail(['evidence', 'init'], nowhere);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('ORGTRAIL_EVIDENCE_KEY_FILE: the file cannot be made (ENOENT)');
  });

  test('after SIGKILL of a daemon the next sync goes on with the server that was left, and stops it', async () => {
    const daemon = startOrgtrail(['run'], env);
    await daemon.waitFor('orgtrail started');
    const pid = await serverPid();
    daemon.child.kill('SIGKILL');
    expect(await daemon.ended).toBe('SIGKILL');
    expect(await isRunning(pid), 'the server outlives its owner').toBe(true);

    const { code, stdout, stderr } = await runOrgtrail(['sync', '--json'], env);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ stored: 0, position: 300, failed: [] });
    expect(existsSync(pidFile())).toBe(false);
    await until('no server is left', async () => !(await isRunning(pid)));
  });

  test('a command beside a running daemon uses its server and leaves it to the daemon', async () => {
    const daemon = startOrgtrail(['run'], env);
    await daemon.waitFor('orgtrail started');
    const pid = await serverPid();
    const { code, stdout } = await runOrgtrail(['status', '--json'], env);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ position: 300 });
    expect(await isRunning(pid)).toBe(true);
    daemon.child.kill('SIGTERM');
    expect(await daemon.ended, daemon.stderr()).toBe(143);
    await until('no server is left', async () => !(await isRunning(pid)));
  });
});

const pidFile = () => join(env['ORGTRAIL_DATA_DIR'] ?? '', 'postgres', 'postmaster.pid');
const serverPid = async (): Promise<number> => Number((await readFile(pidFile(), 'utf8')).split('\n')[0]);

/** False also for one that has ended and has not been waited for yet: not every container's first process does. */
const isRunning = async (pid: number): Promise<boolean> => {
  const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (state !== undefined) return !/\) Z /.test(state);
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
