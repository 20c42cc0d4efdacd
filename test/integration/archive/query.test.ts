import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { endArchive, useArchive } from '../../../src/archive/catalogue.sql.ts';
import { queryHistory } from '../../../src/archive/query/query-history.ts';
import { openObjectStore } from '../../../src/archive/store/object-store.ts';
import type { ObjectStore } from '../../../src/archive/store/ports.ts';
import { dropOldMonths } from '../../../src/retention/retention.sql.ts';
import { type ArchiveWorld, openArchiveWorld, smallObjects, storeWith } from '../../support/archive/archive-world.ts';
import { createMixedMonths } from '../../support/archive/mixed-months.ts';
import { queryWith, storedEvents } from '../../support/archive/run-query.ts';
import { commit, newSource, RETENTION_MS } from '../../support/postgres/store-fixture.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));

let world: ArchiveWorld;
let store: ObjectStore;
let query: ReturnType<typeof queryWith>;

const environment = (): Readonly<Record<string, string>> => ({
  DATABASE_URL: world.database.daemonUrl,
  ORGTRAIL_ARCHIVE: `file://${world.directory}`,
});

beforeEach(async () => {
  world = await openArchiveWorld();
  const target = { kind: 'file', name: `file://${world.directory}`, directory: world.directory } as const;
  store = openObjectStore(target, { accessKey: undefined, secretKey: undefined, environment: {} });
  query = queryWith(environment());
});
afterEach(() => world[Symbol.asyncDispose]());

const archive = (month: string) => archiveMonth({ pool: world.daemon, store, limits: smallObjects }, month);
const drop = async () => {
  await useArchive(world.daemon, store.name);
  return await dropOldMonths(world.daemon, RETENTION_MS, archive);
};
const everything = 'from audit_events order by position';
const positions = 'select count(*) as events, count(distinct position) as positions from audit_events';

describe('orgtrail query', () => {
  test('has every column of every event as the database had it: hot, archived but not dropped, dropped, with late events', async () => {
    const add = await createMixedMonths(world.owner, seededRandom(7));
    await add(20);
    const before = await storedEvents(world.owner);
    expect((await query(everything)).rows).toEqual(before);
    await useArchive(world.daemon, store.name);
    await archive('2024-01');
    expect(await query(everything)).toMatchObject({ rows: before, read: { objects: 0, stored_events: before.length } });
    await drop();
    const dropped = await query(everything);
    expect(dropped.rows).toEqual(before);
    expect(dropped.read).toMatchObject({ archived_months: ['2024-01', '2024-02'], dropped_without_archive: [] });
    expect(dropped.stderr).toMatch(
      /^read: 2 archived months \(2024-01 to 2024-02: \d+ objects, [\d,]+ events, [\d,]+ bytes\), \d+ rows of PostgreSQL, up to position \d+$/m,
    );
    expect(dropped.stderr).not.toContain('not searched');
    expect(dropped.stderr).toContain('2 archived months (2024-01, 2024-02) were searched as well.');
    await world.owner.query("select orgtrail_create_partitions('2024-01-01', '2024-02-28')");
    await world.addLate(3, 'late');
    const late = await query(everything);
    expect(late.rows.slice(0, before.length)).toEqual(before);
    expect(late.rows.slice(before.length).map(({ id }) => id)).toEqual(['late-0', 'late-1', 'late-2']);
  });

  test('fetches nothing outside of the time, and gives nothing outside of it', async () => {
    await drop();
    const february = await query(everything, '--since', '2024-02-01', '--before', '2024-03-01');
    expect(february.rows).toMatchObject([{ id: 'february' }]);
    expect(february.read).toMatchObject({ archived_months: ['2024-02'], objects: 1, stored_events: 0 });
    const part = await query(everything, '--since', '2024-01-15T00:00:00.090Z', '--before', '2024-01-15T00:00:01Z');
    expect(part.rows).toHaveLength(10);
    expect(part.read).toMatchObject({ archived_months: ['2024-01'] });
    // Also if what is outside cannot be read.
    await rm(join(world.directory, 'v1/events'), { recursive: true });
    expect(await query(everything, '--since', '2024-03-01')).toMatchObject({ code: 0, rows: [{ id: 'young' }] });
    expect(await query(everything, '--since', '2024-02-02')).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/an object of the archive cannot be believed: v1\/events.*: it is not there\n/),
    });
  });

  test('has entries without a time, and those of times that are far off', async () => {
    const times = ['0001-01-01T00:00:00Z', '1600-05-05T00:00:00Z', '2300-01-01T00:00:00Z', '9999-12-31T23:59:59Z'];
    const texts = times.map((time) => JSON.stringify({ id: time, action: { time } }));
    await commit(world.owner, await newSource(world.owner, 'odd'), ['{"id":"timeless"}', ...texts]);
    await drop();
    const sql = "select id, action_time from audit_events where source_id = 'odd' order by position";
    const expected = [null, ...times].map((time) => ({
      id: time ?? 'timeless',
      action_time: time?.replace('Z', '.000000Z') ?? null,
    }));
    expect((await query(sql)).rows).toEqual(expected);
    expect((await query(sql, '--before', '2000-01-01')).rows).toEqual(expected.slice(0, 3));
    expect((await query(sql, '--since', '2000-01-01')).rows).toEqual(expected.slice(3));
  });

  test('says when the time is complete, and when it is not', async () => {
    expect((await query(positions)).stderr).toMatch(
      /This may be incomplete: part of this time range has not been collected yet/,
    );
    await world.owner.query("update organizations set state = 'gone'");
    expect((await query(positions)).stderr).toContain('This result proves nothing: no organization is collected.');
    // Without an archive.
    await endArchive(world.owner);
    expect((await dropOldMonths(world.daemon, RETENTION_MS)).dropped).toHaveLength(2);
    const gone = await query(positions, '--since', '2024-01-01');
    expect(gone.stderr).toContain(
      'This is incomplete: 102 events of 2024-01 to 2024-02 were dropped without an archive.',
    );
    expect(gone.read).toMatchObject({ dropped_without_archive: [{ month: '2024-01', events: 101 }, { events: 1 }] });
    expect((await query(positions, '--since', '2024-03-01')).read).toMatchObject({ dropped_without_archive: [] });
  });

  test.each(['--csv', '--ndjson', 'table'])('prints %s', async (format) => {
    await drop();
    const sql = `select position, id, action_time, null as "no ""thing", [1, 2] as list, '=1+1' as formula, sum(position) over () as sum
      ${everything} limit 2`;
    const more = format === 'table' ? [] : [format];
    const { stdout, code } = await runInProcess(['query', ...more, sql], environment());
    expect(code).toBe(0);
    expect(stdout).toMatchSnapshot();
  });

  test('prints all rows as lines, and the first thousand as a table', async () => {
    const sql = 'select r from range(2500) as t (r)';
    const lines = await runInProcess(['query', '--ndjson', sql], environment());
    expect(
      lines.stdout
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line).r),
    ).toEqual(Array.from({ length: 2_500 }, (_, r) => r));
    const table = await runInProcess(['query', sql], environment());
    expect(table.stdout.split('\n')).toHaveLength(1_002);
    expect(table.stderr).toContain('these are the first 1,000 rows: --csv, --ndjson and --json print all');
    const exact = await runInProcess(['query', `${sql} limit 1000`], environment());
    expect(exact.stdout.split('\n')).toHaveLength(1_002);
    expect(exact.stderr).not.toContain('first 1,000');
  });
});

describe('a query over a history that changes meanwhile', () => {
  const range = { sinceMs: undefined, beforeMs: undefined };
  const run = async (changed: ObjectStore, copied?: () => Promise<void>) => {
    const found: (readonly unknown[])[] = [];
    const asked = { sql: `select position, id ${everything}`, memoryMb: 200, range };
    const context = { pool: world.daemon, store: changed, observer: copied && { copied } };
    const history = await queryHistory(context, asked, async (result, read) => {
      for await (const rows of result.rows()) found.push(...rows);
      return read;
    });
    return { found, history };
  };
  const expected = async () => (await storedEvents(world.owner)).map(({ position, id }) => [position, id]);

  test('has each event once if months are dropped behind the rows of PostgreSQL', async () => {
    const before = await expected();
    const { found, history } = await run(store, async () => {
      expect((await drop()).dropped).toHaveLength(2);
    });
    expect(found).toEqual(before);
    expect(history).toMatchObject({ months: ['2024-01', '2024-02'], storedEvents: before.length });
  });

  test('has each event once if a month is dropped before its rows are read, and after the catalogue was', async () => {
    const before = await expected();
    await useArchive(world.daemon, store.name);
    await dropOldMonths(world.daemon, RETENTION_MS, async (month) => {
      if (month === '2024-02') throw new Error('not yet');
      await archive(month);
    });
    let dropped = 0;
    const slow = storeWith(store, {
      get: async (key) => {
        if (dropped === 0) dropped += (await drop()).dropped.length;
        return await store.get(key);
      },
    });
    const { found, history } = await run(slow);
    expect(dropped).toBe(1);
    expect(found).toEqual(before);
    expect(history).toMatchObject({ months: ['2024-01', '2024-02'], storedEvents: 1 });
  });

  test('is refused if a month is dropped without an archive', async () => {
    const dropped = run(store, async () => {
      await dropOldMonths(world.daemon, RETENTION_MS);
    });
    await expect(dropped).rejects.toMatchObject({
      exitCode: 1,
      message: '2024-01 was dropped without an archive while it was read',
    });
  });

  test('leaves out what is committed after it began, also if it is in the archive by then', async () => {
    const before = await expected();
    const { found } = await run(store, async () => {
      await world.addLate(2, 'later');
      expect((await drop()).dropped).toHaveLength(2);
    });
    expect(found).toEqual(before);
    expect((await run(store)).found).toHaveLength(before.length + 2);
  });
});

describe('an archive that is not as it must be', () => {
  const objects = async () =>
    (await readdir(join(world.directory), { recursive: true })).filter((name) => name.endsWith('.parquet'));

  test('is not used if an object was altered, and the reason names it', async () => {
    await drop();
    const [name = ''] = await objects();
    const path = join(world.directory, name);
    const bytes = await readFile(path);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(path, bytes);
    const { code, stderr, stdout } = await query(positions);
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' });
    expect(stderr).toContain(`${name} in file://${world.directory}: it has other bytes`);
  });

  test('is named if it is at another address, not configured or not mounted; a foreign object is not read', async () => {
    await drop();
    const env = { DATABASE_URL: world.database.daemonUrl };
    expect(await queryWith(env)(positions)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(
        `2024-01 is in the archive file://${world.directory}, and ORGTRAIL_ARCHIVE is not set`,
      ),
    });
    expect(await queryWith({ ...env, ORGTRAIL_ARCHIVE: 'file:///elsewhere' })(positions)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('and ORGTRAIL_ARCHIVE is file:///elsewhere'),
    });
    expect(await queryWith(env)(positions, '--since', '2024-06-01')).toMatchObject({ code: 0, rows: [{ events: 1 }] });
    const [name = ''] = await objects();
    await writeFile(
      join(world.directory, name.replace('.parquet', 'x.parquet')),
      await readFile(join(world.directory, name)),
    );
    expect((await query(positions)).rows).toEqual([{ events: 103, positions: 103 }]);
    await rm(world.directory, { recursive: true });
    expect(await query(positions)).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('the archive cannot be read: '),
    });
  });
});

describe('the process itself', () => {
  let temporary: string;
  beforeEach(async () => {
    temporary = await mkdtemp(join(tmpdir(), "orgtrail-test-query'"));
  });
  afterEach(() => rm(temporary, { recursive: true }));

  const start = (...args: readonly string[]) => {
    const env = { ...environment(), TMPDIR: temporary };
    const child = spawn(process.execPath, [join(checkout, 'dist/orgtrail.js'), 'query', ...args], { env });
    const ended = once(child, 'close');
    const output = text(child.stdout);
    output.catch(() => {});
    return { child, output, ended: async () => (await ended)[0] as number };
  };

  test('leaves nothing in its temporary directory', async () => {
    await drop();
    const { output, ended } = start('--csv', positions);
    expect(await ended()).toBe(0);
    expect(await output).toBe('"events","positions"\r\n103,103\r\n');
    expect(await readdir(temporary)).toEqual([]);
  });

  test('leaves nothing if the reader of its output goes away', async () => {
    await drop();
    const { child, ended } = start('--csv', "select r, repeat('a', 1000) from range(3000000) as t (r)");
    child.stdout.once('data', () => child.stdout.destroy());
    expect(await ended()).toBe(0);
    expect(await readdir(temporary)).toEqual([]);
  });

  test('stops at a signal in the middle of a statement, and leaves nothing', async () => {
    await drop();
    const { child, ended } = start(
      'select max(hash(a.r, b.r)) from range(1000000000) as a (r), range(1000000000) as b (r)',
    );
    for await (const chunk of child.stderr) {
      if (String(chunk).includes('read: ')) break;
    }
    child.kill('SIGTERM');
    expect(await ended()).toBe(143);
    expect(await readdir(temporary)).toEqual([]);
  });
});
