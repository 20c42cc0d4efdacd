import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { setRetentionPolicy } from '../../../src/retention/retention.sql.ts';
import {
  commit,
  entryText,
  newSource,
  RETENTION_DAYS,
  RETENTION_MS,
  T0,
} from '../../support/postgres/store-fixture.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { startDaemonProcess } from '../../support/process/running-daemon.ts';
import { openWorld } from '../../support/sync/sync-world.ts';

const january = Date.UTC(2024, 0, 15);

test('a daemon serves what it has dropped from the archive, as it was, and says so if it cannot', async () => {
  await using world = await openWorld({ organizations: 1, entries: 0 });
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-test-archive-'));
  try {
    const { pool } = world.database;
    await setRetentionPolicy(pool, RETENTION_MS);
    await pool.query('update discovery set server_time = clock_timestamp()');
    await pool.query("select orgtrail_create_partitions('2024-01-01', '2024-01-02')");
    const text = (n: number) => entryText(`e-${n}`, n % 3 === 0 ? T0 + n : january + n, { request: `\n${n}` });
    await commit(
      pool,
      await newSource(pool, 'o'),
      Array.from({ length: 60 }, (_, n) => text(n)),
    );
    const env = { ...world.env, DATABASE_URL: world.database.daemonUrl };
    const archiving = { ...env, ORGTRAIL_RETENTION: `${RETENTION_DAYS}d`, ORGTRAIL_ARCHIVE: `file://${directory}` };
    const names = ['orgtrail-next-cursor', 'orgtrail-next-position', 'orgtrail-next-check'];
    const answers = async (daemon: Awaited<ReturnType<typeof startDaemonProcess>>) => {
      const queries = ['limit=7', 'after=20&limit=11&format=ocsf', 'after=0&last_line=true', 'after=31&organization=o'];
      const read = await Promise.all(queries.map((query) => daemon.get(`/v1/events?${query}`)));
      return read.map(({ code, text: body, headers }) => ({
        code,
        body,
        headers: names.map((name) => headers.get(name)),
      }));
    };
    const command = (settings: Readonly<Record<string, string>>, ...args: string[]) =>
      runInProcess(['feed', '--after', '3', ...args], settings);
    const before = await (async () => {
      await using daemon = await startDaemonProcess(env);
      return { http: await answers(daemon), command: await command(env, '--last-line') };
    })();
    expect(before.http.map(({ code }) => code)).toEqual([200, 200, 200, 200]);
    {
      await using daemon = await startDaemonProcess(archiving);
      await daemon.process.waitFor('dropped a month of events older than ORGTRAIL_RETENTION');
      expect(await answers(daemon)).toEqual(before.http);
      expect(await command(archiving, '--last-line')).toEqual(before.command);
      const name = (await readdir(directory, { recursive: true })).find((file) => file.endsWith('.parquet')) ?? '';
      const bytes = await readFile(join(directory, name));
      await writeFile(join(directory, name), bytes.fill(7, 100, 200));
    }
    await using daemon = await startDaemonProcess(archiving);
    const refused = await daemon.get('/v1/events?limit=7');
    expect(refused).toMatchObject({
      code: 503,
      headers: expect.toSatisfy((of: Headers) => of.get('retry-after') === '60'),
    });
    expect(JSON.parse(refused.text)).toEqual({
      status: 'archive',
      reason: expect.stringMatching(/^an object of the archive cannot be believed: v1\/events\/.*: it has other bytes/),
    });
    expect(await command(archiving)).toMatchObject({
      code: 4,
      stdout: '',
      stderr: expect.stringContaining('cannot be believed'),
    });
    expect(await command(env)).toMatchObject({ code: 2, stderr: expect.stringContaining('retention dropped 2024-01') });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
