import { expect, test } from 'vitest';
import { startOrgtrail } from '../../support/process/orgtrail-process.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const toFullDisk = ['sh', '-c', 'exec "$0" "$@" >/dev/full'];

test('output that the disk has no room for is said to be cut, and is no success', async () => {
  await using world = await openWorld({ organizations: 1, entries: 50 });
  await using run = await world.open();
  await run.sync();
  for (const command of [['feed'], ['status', '--json'], ['query', '--ndjson', 'from audit_events']]) {
    const running = startOrgtrail(command, world.ownerEnv, { within: toFullDisk });
    expect({ command, code: await running.ended }).toEqual({ command, code: 2 });
    expect(running.stderr()).toContain(
      'orgtrail: stdout cannot be written, so what is there is not all: ENOSPC: no space left on device, write\n',
    );
    expect(running.stderr()).not.toContain('please report');
  }
});
