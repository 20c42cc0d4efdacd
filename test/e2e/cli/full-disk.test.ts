import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runOrgtrail, startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { until } from '../../support/process/until.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

test('output that the disk has no room for is said to be cut, and is no success', async () => {
  await using world = await openWorld({ organizations: 1, entries: 50 });
  await using run = await world.open();
  await run.sync();
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
    await using world = await openWorld({ organizations: 1, entries: 50 });
    await using run = await world.open();
    await run.sync();
    const folder = await mkdtemp(join(tmpdir(), 'orgtrail-full-'));
    const evidence = {
      ORGTRAIL_EVIDENCE_ORIGIN: 'audit.example.com/evidence',
      ORGTRAIL_EVIDENCE_KEY_FILE: join(folder, 'key.pem'),
    };
    const env = { ...world.ownerEnv, ...evidence };
    try {
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
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
);

const toFullDisk = ['sh', '-c', 'exec "$0" "$@" >/dev/full'];
