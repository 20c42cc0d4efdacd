import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { startCluster } from '../support/postgres/postgres-cluster.ts';
import { runOrgtrail } from '../support/process/orgtrail-process.ts';
import { expectTroubleSaid, startTroubled } from '../support/process/trouble.ts';
import { until } from '../support/process/until.ts';

/** A fresh cluster has 40 MB. */
const DISK = '100m';

const mountTool = (program: 'mount' | 'umount', ...args: string[]) => execFileSync(program, args, { stdio: 'pipe' });

/** Mounts a small file system; the reason where that is not possible. */
const mountDisk = (): { directory: string; reason?: string } => {
  const directory = mkdtempSync(join(tmpdir(), 'orgtrail-disk-'));
  try {
    mountTool('mount', '-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', directory);
    return { directory };
  } catch (error) {
    rmSync(directory, { recursive: true });
    return { directory, reason: error instanceof Error ? error.message : String(error) };
  }
};

const disk = mountDisk();
if (disk.reason !== undefined) console.warn(`skipped, needs to mount a small disk: ${disk.reason}`);

describe.skipIf(disk.reason !== undefined)('the disk of PostgreSQL', () => {
  afterAll(() => {
    mountTool('umount', '--lazy', disk.directory);
    rmSync(disk.directory, { recursive: true });
  });

  test('full in the middle of a backfill, and given room again', async () => {
    // The write-ahead log stays elsewhere: a server that cannot write it does not refuse statements, it crashes.
    await using cluster = await startCluster({ directory: join(disk.directory, 'data'), walElsewhere: true });
    const { url } = await cluster.createDatabase();
    await using troubled = await startTroubled(url, { simulator: { entries: 3_000 } });
    await until('the backfill is under way', async () => (await troubled.storedBy(url)) > 200);
    const ballast = join(disk.directory, 'ballast');
    await fill(ballast);
    // Something to write, also if the whole backfill was read while the disk was being filled.
    troubled.generate(30);
    await expectTroubleSaid(troubled, /No space left on device/);
    const named = /the disk of the database is full/;
    for (const path of ['/healthz', '/'])
      expect(await (await fetch(`${troubled.httpUrl}${path}`)).text()).toMatch(named);
    for (const command of [['status', '--fail-on', 'failing'], ['check']]) {
      const env = { DATABASE_URL: url, CLOUDFLARE_API_TOKEN: 'x', CLOUDFLARE_BASE_URL: troubled.simulator.baseUrl };
      const { code, stdout, stderr } = await runOrgtrail(command, env);
      expect(stdout + stderr).toMatch(named);
      expect(code).not.toBe(0);
    }
    await until('the log names it', async () => troubled.logs().includes('"cause":"database_full"'));
    troubled.generate(30);
    await rm(ballast);
    await troubled.untilExact(url);
    await troubled.stop();
  });
});

/** Writes a file until there is no room left. */
const fill = async (path: string): Promise<void> => {
  const file = await open(path, 'w');
  try {
    for (const block of [Buffer.alloc(1_048_576), Buffer.alloc(4_096)]) {
      while (
        await file.write(block).then(
          ({ bytesWritten }) => bytesWritten === block.length,
          () => false,
        )
      );
    }
  } finally {
    await file.close();
  }
};
