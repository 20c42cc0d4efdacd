import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { withDirectory } from '../../../src/archive/temporary-directory.ts';
import { type ArchiveWorld, openArchiveWorld } from '../../support/archive/archive-world.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';

let world: ArchiveWorld;
beforeAll(async () => {
  world = await openArchiveWorld();
});
afterAll(async () => world?.[Symbol.asyncDispose]());
afterEach(() => vi.unstubAllEnvs());

const run = (archive: string, more: Readonly<Record<string, string>> = {}) =>
  runInProcess(['archive', 'run', '--month', '2024-01'], {
    DATABASE_URL: world.database.daemonUrl,
    ORGTRAIL_ARCHIVE: archive,
    ...more,
  });

test('a temporary directory that cannot be written to is said to be the reason, and TMPDIR the remedy', async () => {
  const file = join(world.directory, 'a-file');
  await writeFile(file, '');
  for (const [directory, reason] of [
    ['/nowhere', 'ENOENT'],
    [file, 'ENOTDIR'],
  ] as const) {
    vi.stubEnv('TMPDIR', directory);
    const { code, stderr } = await run(`file://${world.directory}`);
    expect(code).toBe(2);
    expect(stderr).toMatch(`the temporary directory ${directory}: the archive cannot write there: ${reason}`);
    expect(stderr).toContain('TMPDIR must be a directory with 400 MB of room');
  }
});

test('so is one that gets full, whether the system or DuckDB says it', async () => {
  const full = { code: 'configuration', message: expect.stringContaining('no room is left for it: ENOSPC') };
  await expect(withDirectory(() => writeFile('/dev/full', 'rows'))).rejects.toMatchObject(full);
  const told = new Error('IO Error: Could not write file "/tmp/duckdb_temp_storage": No space left on device');
  await expect(withDirectory(() => Promise.reject(told))).rejects.toMatchObject({ code: 'configuration', cause: told });
  const other = new Error('another');
  await expect(withDirectory(() => Promise.reject(other))).rejects.toBe(other);
});

test('an archive whose directory is not there is unreachable', async () => {
  const missing = join(world.directory, 'not-mounted');
  const { code, stderr } = await run(`file://${missing}`);
  expect(code).toBe(4);
  expect(stderr).toMatch(`orgtrail: file://${missing}: the directory does not exist (ENOENT): make it`);
  expect(stderr).toContain('nothing was dropped');
});
