import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { DirectoryFault } from '../../../src/archive/store/directory-store.ts';
import { withDirectory } from '../../../src/archive/temporary-directory.ts';
import { type ArchiveWorld, openArchiveWorld } from '../../support/archive/archive-world.ts';
import { RETENTION_DAYS } from '../../support/postgres/store-fixture.ts';
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

test('an archive in a directory that is full is not taken for a full temporary directory', async () => {
  const full = new DirectoryFault(
    'the disk or the quota of the directory is full: ENOSPC: no space left on device, write',
  );
  await expect(withDirectory(() => Promise.reject(full))).rejects.toBe(full);
});

test('what is empty is not said to be whole', async () => {
  const env = { DATABASE_URL: world.database.daemonUrl, ORGTRAIL_ARCHIVE: `file://${world.directory}` };
  expect(await runInProcess(['archive', 'verify'], env)).toMatchObject({
    code: 0,
    stdout: `nothing was read: the catalogue has no object in file://${world.directory}\n`,
  });
  expect(await runInProcess(['archive', 'run', '--month', '2031-01'], env)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^2031-01: the database has no event of it, so nothing was written or read back\n/),
  });
});

test('an archive whose directory is not there is unreachable, for all that writes or reads it', async () => {
  const archive = `file://${world.directory}`;
  const env = {
    DATABASE_URL: world.database.daemonUrl,
    ORGTRAIL_ARCHIVE: archive,
    ORGTRAIL_RETENTION: `${RETENTION_DAYS}d`,
  };
  const commands = [
    ['archive', 'verify'],
    ['archive', 'restore', '2024-01'],
    ['query', 'select count(*) from audit_events'],
    ['feed'],
  ];
  const isAway = async (command: readonly string[]) => {
    await rename(world.directory, `${world.directory}-away`);
    const { code, stderr } = await runInProcess(command, env);
    await rename(`${world.directory}-away`, world.directory);
    expect({ command, code }).toEqual({ command, code: 4 });
    expect(stderr).toContain(`${archive}: the directory does not exist: make it, or mount the disk that it is on`);
    expect(stderr).not.toContain('please report');
  };
  await isAway(['archive', 'run', '--month', '2024-01']);
  expect(await runInProcess(['archive', 'run', '--drop'], env)).toMatchObject({ code: 0 });
  for (const command of commands) await isAway(command);
  for (const command of commands) expect(await runInProcess(command, env)).toMatchObject({ code: 0 });
});

test('a file that restore cannot write is named, and leaves nothing behind', async () => {
  const env = { DATABASE_URL: world.database.daemonUrl, ORGTRAIL_ARCHIVE: `file://${world.directory}` };
  const folder = join(world.directory, 'folder');
  await mkdir(folder);
  for (const [file, reason] of [
    [join(world.directory, 'nowhere/january'), 'ENOENT'],
    [folder, 'EISDIR'],
  ] as const) {
    const { code, stderr } = await runInProcess(['archive', 'restore', '2024-01', '--out', file], env);
    expect(stderr).toMatch(`orgtrail: --out: ${file} cannot be written: ${reason}`);
    expect(code).toBe(2);
  }
  expect((await readdir(world.directory)).filter((name) => name.endsWith('.unfinished'))).toEqual([]);
});

test('what only the owner of the schema may do says so to the account of a daemon', async () => {
  const env = { DATABASE_URL: world.database.daemonUrl, ORGTRAIL_ARCHIVE: `file://${world.directory}` };
  for (const [command, what] of [
    [['archive', 'end'], 'end the archive'],
    [['hold', 'add', '--organization', 'o', '--reason', 'case 7'], 'add a hold'],
    [['hold', 'release', '1'], 'release a hold'],
  ] as const) {
    const { code, stderr } = await runInProcess(command, env);
    expect(stderr).toBe(
      `orgtrail: this account may not ${what}\nTry: run it with a DATABASE_URL of the account that owns the schema\n`,
    );
    expect(code).toBe(2);
  }
});
