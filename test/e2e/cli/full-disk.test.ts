import { spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { ofAllTests } from '../../support/process/of-tests.ts';
import { runOrgtrail, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { temporaryFolder } from '../../support/process/temporary-folder.ts';
import { until } from '../../support/process/until.ts';
import { openRunning } from '../../support/sync/running-world.ts';

const { folder } = temporaryFolder();
const world = ofAllTests(() => openRunning({ organizations: 1, entries: 50 }));
beforeAll(() => world.sync());

test('output that the disk has no room for is said to be cut, and is no success', async () => {
  for (const command of [
    ['feed'],
    ['status', '--json'],
    ['query', '--ndjson', 'from audit_events'],
    ['evidence', 'status'],
  ]) {
    const running = startOrgtrail(command, world.ownerEnv, { within: toFullDisk });
    expect({ command, code: await running.ended }).toEqual({ command, code: 2 });
    expect(running.stderr()).toContain(
      'orgtrail: stdout cannot be written, so what is there is not all: ENOSPC: no space left on device, write\n',
    );
    expect(running.stderr()).not.toContain('please report');
  }
});

const hasMounts = spawnSync('unshare', ['-rm', 'true']).status === 0;

test.skipIf(!hasMounts)(
  'a bundle that the disk has no room for is said in a sentence, and leaves nothing',
  async () => {
    const evidence = {
      ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
      ORGTRAIL_EVIDENCE_KEY_FILE: join(folder, 'key.pem'),
    };
    const env = { ...world.ownerEnv, ...evidence };
    expect(await runOrgtrail(['evidence', 'init'], env)).toMatchObject({ code: 0 });
    {
      await using _ = await startDaemonProcess({ ...env, ORGTRAIL_EVIDENCE_INTERVAL: '1s' });
      await until('something is signed', async () => (await runOrgtrail(['evidence', 'checkpoint'], env)).code === 0);
    }
    const small = join(folder, 'small');
    await mkdir(small);
    const inSmall = [
      'sh',
      '-c',
      `mount -t tmpfs -o size=8k none ${small} && "$0" "$@"; code=$?; ls -A ${small}; exit $code`,
    ];
    for (const command of [
      ['evidence', 'export', join(small, 'bundle')],
      ['search', '--bundle', join(small, 'found.zip')],
      ['search', '--bundle', join(small, 'found')],
    ]) {
      const running = startOrgtrail(command, env, { within: ['unshare', '-rm', ...inSmall] });
      expect({ command, code: await running.ended }).toEqual({ command, code: 2 });
      expect(running.stderr()).toMatch(/^orgtrail: the disk or the quota is full: (ENOSPC|EDQUOT): /m);
      expect(running.stderr()).not.toContain('please report');
      expect(running.stdout()).toBe('');
    }
  },
);

const toFullDisk = ['sh', '-c', 'exec "$0" "$@" >/dev/full'];
