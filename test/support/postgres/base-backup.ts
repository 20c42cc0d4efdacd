import { execFile as execFileWithCallback } from 'node:child_process';
import { appendFile, chown, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { type PostgresCluster, startCopy } from './postgres-cluster.ts';

const execFile = promisify(execFileWithCallback);

/** A base backup that was taken while the server was at work. */
export interface BaseBackup {
  /**
   * Starts a server on it, once. `newTimeline`: as docs/operations says, by a recovery that ends with a promotion; else as a mere copy of
   * the data directory, which keeps its timeline.
   */
  restore(options: { readonly newTimeline: boolean }): Promise<PostgresCluster>;
}

/** Copies the data between pg_backup_start and pg_backup_stop, with the write-ahead log of that time. */
export const takeBaseBackup = async (server: PostgresCluster): Promise<BaseBackup> => {
  const base = await mkdtemp(join(tmpdir(), 'orgtrail-backup-'));
  const directory = join(base, 'data');
  const { uid, gid } = await stat(server.directory);
  await chown(base, uid, gid);
  const client = new Client({ connectionString: server.url() });
  await client.connect();
  try {
    await client.query(`select pg_backup_start('a test', true)`);
    // Files that vanish meanwhile are for the write-ahead log to make up for.
    await execFile('cp', ['-a', server.directory, directory]).catch(() => {});
    const { rows } = await client.query<{ label: string }>('select labelfile as label from pg_backup_stop(false)');
    await execFile('cp', ['-a', `${server.directory}/pg_wal/.`, join(directory, 'pg_wal')]).catch(() => {});
    const label = join(directory, 'backup_label');
    await writeFile(label, rows[0]?.label ?? '');
    await chown(label, uid, gid);
  } finally {
    await client.end();
  }
  await rm(join(directory, 'postmaster.pid'), { force: true });
  return {
    restore: async ({ newTimeline }) => {
      if (newTimeline) {
        await appendFile(join(directory, 'postgresql.conf'), `restore_command = 'false'\n`);
        await writeFile(join(directory, 'recovery.signal'), '');
        await chown(join(directory, 'recovery.signal'), uid, gid);
      }
      return await startCopy(base);
    },
  };
};
