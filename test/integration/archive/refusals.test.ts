import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test, vi } from 'vitest';
import { readArchiveOverview } from '../../../src/archive/archive-status.sql.ts';
import { readCatalogue, useArchive } from '../../../src/archive/catalogue.sql.ts';
import { addHold, releaseHold } from '../../../src/archive/holds.sql.ts';
import { DirectoryFault, withDirectory } from '../../../src/archive/store.ts';
import { openArchiveWorld } from '../../support/archive/archive-world.ts';
import { RETENTION_MS } from '../../support/postgres/store-fixture.ts';
import { exits } from '../../support/process/exits.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';

const world = forAllTests(() => openArchiveWorld(3));

afterEach(() => vi.unstubAllEnvs());

const large = forAllTests(() => openArchiveWorld(50));

test('a temporary directory that cannot be written to is said to be the reason, and TMPDIR the remedy', async () => {
  const file = join(world.directory, 'a-file');
  await writeFile(file, '');
  for (const [directory, reason] of [
    ['/nowhere', 'ENOENT'],
    [file, 'ENOTDIR'],
  ] as const) {
    vi.stubEnv('TMPDIR', directory);
    const { code, stderr } = await orgtrail('archive', 'run', '--month', '2024-01');
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
  // Nor is a full directory of the archive a full temporary directory.
  const archive = new DirectoryFault(
    'the disk or the quota of the directory is full: ENOSPC: no space left on device, write',
  );
  for (const fault of [other, archive]) await expect(withDirectory(() => Promise.reject(fault))).rejects.toBe(fault);
});

test('what is empty is not said to be whole', async () => {
  expect(await orgtrail('archive', 'verify')).toMatchObject({
    code: 0,
    stdout: `nothing was read: the catalogue has no object in ${world.store.name}\n`,
  });
  expect(await orgtrail('archive', 'run', '--month', '2031-01')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^2031-01: the database has no event of it, so nothing was written or read back\n/),
  });
});

test('an archive whose directory is not there is unreachable, for all that writes or reads it', async () => {
  const commands = [
    ['archive', 'verify'],
    ['archive', 'restore', '2024-01'],
    ['query', 'select count(*) from audit_events'],
    ['feed'],
  ];
  const isAway = async (command: readonly string[]) => {
    await rename(world.directory, `${world.directory}-away`);
    const { code, stderr } = await orgtrail(...command);
    await rename(`${world.directory}-away`, world.directory);
    expect({ command, code }).toEqual({ command, code: 4 });
    expect(stderr).toContain(
      `${world.store.name}: the directory does not exist: make it, or mount the disk that it is on`,
    );
    expect(stderr).not.toContain('please report');
  };
  await isAway(['archive', 'run', '--month', '2024-01']);
  expect(await orgtrail('archive', 'run', '--drop')).toMatchObject({ code: 0 });
  for (const command of commands) await isAway(command);
  for (const command of commands) expect(await orgtrail(...command)).toMatchObject({ code: 0 });
});

test('a file that restore cannot write is named, and leaves nothing behind', async () => {
  const folder = join(world.directory, 'folder');
  await mkdir(folder);
  for (const [file, reason] of [
    [join(world.directory, 'nowhere/january'), 'ENOENT'],
    [folder, 'EISDIR'],
  ] as const) {
    const { code, stderr } = await orgtrail('archive', 'restore', '2024-01', '--out', file);
    expect(stderr).toMatch(`orgtrail: --out: ${file} cannot be written: ${reason}`);
    expect(code).toBe(2);
  }
  expect((await readdir(world.directory)).filter((name) => name.endsWith('.unfinished'))).toEqual([]);
});

test('what only the owner of the schema may do says so to the account of a daemon', async () => {
  const { code, stderr } = await orgtrail('archive', 'end');
  expect(stderr).toBe(
    'orgtrail: this account may not end the archive\nTry: run it with a DATABASE_URL of the account that owns the schema\n',
  );
  expect(code).toBe(2);
});

test('a package without DuckDB says what is missing, and works but for that', async () => {
  const checkout = fileURLToPath(new URL('../../..', import.meta.url));
  const root = join(world.directory, 'package');
  for (const name of ['dist', 'drizzle', 'package.json', 'CHANGELOG.md'])
    await cp(join(checkout, name), join(root, name), { recursive: true });
  const run = async (...args: string[]) => {
    const child = spawn(process.execPath, [join(root, 'dist/orgtrail.js'), ...args], { env: world.env });
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
    return { code, stderr };
  };
  expect(await run('archive', 'run', '--month', '2024-01')).toMatchObject(
    exits(2, /the archive needs DuckDB.*install the package @duckdb\/node-api beside orgtrail/s),
  );
  expect(await run('query', 'select 1')).toMatchObject(
    exits(2, 'orgtrail: orgtrail query needs DuckDB, which is not installed here'),
  );
  expect(await run('archive', 'list')).toMatchObject({ code: 0 });
});

test('holds in force stand at the months that they touch; faults are listed whole', async () => {
  const hold = { organizationId: undefined, beforeMs: undefined, by: undefined };
  const { id } = await addHold({ pool: large.owner }, { ...hold, sinceMs: Date.UTC(2024, 1, 3), reason: 'case 7' });
  const holds = async () => (await overview()).months.map(({ month, holds: those }) => [month, those]);
  expect(await holds()).toEqual([
    ['2024-02', [{ id, reason: 'case 7' }]],
    ['2024-01', []],
  ]);
  await releaseHold({ pool: large.owner }, id, undefined);
  expect((await holds())[0]?.[1]).toEqual([]);

  await large.owner.query(
    `insert into archive_objects (archive, key, kind, month, feed_id, first_position, last_position, events, bytes, sha256, ids_sha256, raw_sha256,
       columns_sha256, organizations, fault, verified_at)
     select 'file:///gone', 'v1/x.parquet', 'events', '2023-12-01', gen_random_uuid(), 1, 2, 2, 100, repeat('a', 64), repeat('a', 64),
       repeat('a', 64), repeat('a', 64), '[]', repeat('why ', 200), '-infinity'`,
  );
  const { faults, months } = await overview();
  expect(faults).toEqual([
    { month: '2023-12', archive: 'file:///gone', key: 'v1/x.parquet', fault: 'why '.repeat(200), isDropped: false },
  ]);
  expect(months.at(-1)).toMatchObject({ month: '2023-12', faulty: 1, isStored: false, provenAt: null });
  await large.owner.query('delete from archive_objects');
});

test('says which month is due next and when, and that none is if everything is kept', async () => {
  // January 2024 ended on 1 February; a day is left for late entries.
  const ageMs = Date.now() - Date.UTC(2024, 1, 2);
  const { nextDueAt, nextDueMonth, months } = await readArchiveOverview(large.daemon, ageMs + 3_600_000);
  expect(months).toEqual([]);
  expect(nextDueMonth).toBe('2024-01');
  expect(Math.abs((nextDueAt?.getTime() ?? 0) - Date.now() - 3_600_000)).toBeLessThan(60_000);
  expect(await readArchiveOverview(large.daemon, Number.POSITIVE_INFINITY)).toMatchObject({
    months: [],
    nextDueAt: null,
    nextDueMonth: null,
  });
});

test('a month goes from old enough over the archive to the archive alone, as its objects and the drop say', async () => {
  const [february, january, ...earlier] = (await overview()).months;
  expect(earlier).toEqual([]);
  expect(january).toMatchObject({ month: '2024-01', isStored: true, isOld: true, objects: 0, provenAt: null });
  expect(february).toMatchObject({ month: '2024-02', isStored: true, isOld: true, droppedAt: null });
  expect((await overview()).inUse).toBeUndefined();

  await large.change('january-7');
  await useArchive(large.daemon, large.store.name);
  await large.archive('2024-01');
  const catalogue = await readCatalogue(large.owner, '2024-01');
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const archived = (await overview()).months[1];
  expect(archived).toMatchObject({
    isStored: true,
    objects: catalogue.length,
    events: sum(catalogue.filter(({ kind }) => kind === 'events').map(({ events }) => events)),
    changes: 1,
    bytes: sum(catalogue.map(({ bytes }) => bytes)),
    droppedAt: null,
  });
  const read = catalogue.map(({ verifiedAt }) => Date.parse(verifiedAt ?? ''));
  expect(Math.floor((archived?.provenAt?.getTime() ?? 0) / 1_000) * 1_000).toBe(Math.min(...read));

  const { dropped } = await large.drop();
  expect(dropped.map(({ month }) => month)).toEqual(['2024-01', '2024-02']);
  const after = await overview();
  expect(after.inUse).toBe(large.store.name);
  expect(after.months[1]).toMatchObject({ isStored: false, isOld: false, droppedEvents: dropped[0]?.events });
  expect(after.months[1]?.droppedAt).toBeInstanceOf(Date);
});

const orgtrail = (...args: readonly string[]) => runInProcess(args, world.env);
const overview = () => readArchiveOverview(large.daemon, RETENTION_MS);
