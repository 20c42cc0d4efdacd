import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { endArchive } from '../../../src/archive/catalogue.sql.ts';
import { queryHistory } from '../../../src/archive/query/query-history.ts';
import { dropOldMonths } from '../../../src/archive/retention.sql.ts';
import type { ObjectStore } from '../../../src/archive/store.ts';
import { type ArchiveWorld, openFileArchive, storeWith } from '../../support/archive/archive-world.ts';
import { createMixedMonths } from '../../support/archive/mixed-months.ts';
import { queryWith, storedEvents } from '../../support/archive/run-query.ts';
import { jsonLines } from '../../support/feed/json-lines.ts';
import { commit, newSource, RETENTION_MS } from '../../support/postgres/store-fixture.ts';
import { exits } from '../../support/process/exits.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { seededRandom } from '../../support/process/seeded-random.ts';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));

describe('orgtrail query over a history that changes', () => {
  test('has every column of every event as the database had it: hot, archived but not dropped, dropped, with late events', async () => {
    await using world = await openFileArchive();
    const query = queryWith(world.env);
    const add = await createMixedMonths(world.owner, seededRandom(7));
    await add(20);
    const times = ['0001-01-01T00:00:00Z', '1600-05-05T00:00:00Z', '2300-01-01T00:00:00Z', '9999-12-31T23:59:59Z'];
    const texts = times.map((time) => JSON.stringify({ id: time, action: { time } }));
    await commit(world.owner, await newSource(world.owner, 'odd'), ['{"id":"timeless"}', ...texts]);
    const before = await storedEvents(world.owner);
    expect((await query(everything)).rows).toEqual(before);
    await world.archive('2024-01');
    expect(await query(everything)).toMatchObject({ rows: before, read: { objects: 0, stored_events: before.length } });
    await world.drop();
    const dropped = await query(everything);
    expect(dropped.rows).toEqual(before);
    expect(dropped.read).toMatchObject({ archived_months: ['2024-01', '2024-02'], dropped_without_archive: [] });
    expect(dropped.stderr).toMatch(
      /^read: 2 archived months \(2024-01 to 2024-02: \d+ objects, [\d,]+ events, [\d,]+ bytes\), \d+ rows of PostgreSQL, up to position \d+$/m,
    );
    expect(dropped.stderr).not.toContain('not searched');
    expect(dropped.stderr).toContain('2 archived months (2024-01, 2024-02) were searched as well.');

    // Entries without a time, and those of times that are far off.
    const odd = "select id, action_time from audit_events where source_id = 'odd' order by position";
    const ofOdd = [null, ...times].map((time) => ({
      id: time ?? 'timeless',
      action_time: time?.replace('Z', '.000000Z') ?? null,
    }));
    expect((await query(odd)).rows).toEqual(ofOdd);
    expect((await query(odd, '--before', '2000-01-01')).rows).toEqual(ofOdd.slice(0, 3));
    expect((await query(odd, '--since', '2000-01-01')).rows).toEqual(ofOdd.slice(3));

    await world.owner.query("select orgtrail_create_partitions('2024-01-01', '2024-02-28')");
    await world.addLate(3, 'late');
    const late = await query(everything);
    expect(late.rows.slice(0, before.length)).toEqual(before);
    expect(late.rows.slice(before.length).map(({ id }) => id)).toEqual(['late-0', 'late-1', 'late-2']);
  });

  test('has each event once if months are dropped behind the rows of PostgreSQL, and leaves out what is committed after it began, also if it is in the archive by then', async () => {
    await using world = await openFileArchive(3);
    const before = await expected(world);
    const { found, history } = await run(world, world.store, async () => {
      await world.addLate(2, 'later');
      expect((await world.drop()).dropped).toHaveLength(2);
    });
    expect(found).toEqual(before);
    expect(history).toMatchObject({ months: ['2024-01', '2024-02'], storedEvents: before.length });
    expect((await run(world, world.store)).found).toHaveLength(before.length + 2);
  });

  test('has each event once if a month is dropped before its rows are read, and after the catalogue was', async () => {
    await using world = await openFileArchive(3);
    const before = await expected(world);
    await dropOldMonths(world.daemon, RETENTION_MS, async (month) => {
      if (month === '2024-02') throw new Error('not yet');
      await world.archive(month);
    });
    let dropped = 0;
    const slow = storeWith(world.store, {
      get: async (key) => {
        if (dropped === 0) dropped += (await world.drop()).dropped.length;
        return await world.store.get(key);
      },
    });
    const { found, history } = await run(world, slow);
    expect(dropped).toBe(1);
    expect(found).toEqual(before);
    expect(history).toMatchObject({ months: ['2024-01', '2024-02'], storedEvents: 1 });
  });

  test('says when the time is complete, and when it is not; is refused if a month is dropped without an archive meanwhile', async () => {
    await using world = await openFileArchive(3);
    const query = queryWith(world.env);
    expect((await query(positions)).stderr).toMatch(
      /This may be incomplete: part of this time range has not been collected yet/,
    );
    await world.owner.query("update organizations set state = 'gone'");
    expect((await query(positions)).stderr).toContain('This result proves nothing: no organization is collected.');
    await endArchive(world.owner);
    const meanwhile = run(world, world.store, async () => {
      expect((await dropOldMonths(world.daemon, RETENTION_MS)).dropped).toHaveLength(2);
    });
    await expect(meanwhile).rejects.toMatchObject({
      exitCode: 1,
      message: expect.stringMatching(/^2024-01.* was dropped without an archive while it was read$/),
    });
    const gone = await query(positions, '--since', '2024-01-01');
    expect(gone.stderr).toContain(
      'This is incomplete: 5 events of 2024-01 to 2024-02 were dropped without an archive.',
    );
    expect(gone.read).toMatchObject({ dropped_without_archive: [{ month: '2024-01', events: 4 }, { events: 1 }] });
    expect((await query(positions, '--since', '2024-03-01')).read).toMatchObject({ dropped_without_archive: [] });
  });
});

describe('orgtrail query over dropped months', () => {
  let query: ReturnType<typeof queryWith>;
  const world = forAllTests(() => openFileArchive());
  beforeAll(async () => {
    await world.drop();
    query = queryWith(world.env);
  });

  test('fetches nothing outside of the time, and gives nothing outside of it', async () => {
    const february = await query(everything, '--since', '2024-02-01', '--before', '2024-03-01');
    expect(february.rows).toMatchObject([{ id: 'february' }]);
    expect(february.read).toMatchObject({ archived_months: ['2024-02'], objects: 1, stored_events: 0 });
    const part = await query(everything, '--since', '2024-01-15T00:00:00.050Z', '--before', '2024-01-15T00:00:01Z');
    expect(part.rows).toHaveLength(10);
    expect(part.read).toMatchObject({ archived_months: ['2024-01'] });
    // Also if what is outside cannot be read.
    const events = join(world.directory, 'v1/events');
    await rename(events, `${events}-away`);
    expect(await query(everything, '--since', '2024-03-01')).toMatchObject({ code: 0, rows: [{ id: 'young' }] });
    expect(await query(everything, '--since', '2024-02-02')).toMatchObject(
      exits(4, /an object of the archive cannot be believed: v1\/events.*: it is not there\n/),
    );
    await rename(`${events}-away`, events);
  });

  test.each(['--csv', '--ndjson', 'table'])('prints %s', async (format) => {
    const sql = `select position, id, action_time, null as "no ""thing", [1, 2] as list, '=1+1' as formula, sum(position) over () as sum
      ${everything} limit 2`;
    const more = format === 'table' ? [] : [format];
    const { stdout, code } = await runInProcess(['query', ...more, sql], world.env);
    expect(code).toBe(0);
    expect(stdout).toMatchSnapshot();
  });

  test('prints all rows as lines, and the first thousand as a table', async () => {
    const sql = 'select r from range(2500) as t (r)';
    const lines = await runInProcess(['query', '--ndjson', sql], world.env);
    expect(jsonLines<{ r: number }>(lines.stdout).map(({ r }) => r)).toEqual(
      Array.from({ length: 2_500 }, (_, r) => r),
    );
    const table = await runInProcess(['query', sql], world.env);
    expect(table.stdout.split('\n')).toHaveLength(1_002);
    expect(table.stderr).toContain('these are the first 1,000 rows: --csv, --ndjson and --json print all');
    const exact = await runInProcess(['query', `${sql} limit 1000`], world.env);
    expect(exact.stdout.split('\n')).toHaveLength(1_002);
    expect(exact.stderr).not.toContain('first 1,000');
  });

  describe('as a process', () => {
    let temporary: string;
    beforeEach(async () => {
      temporary = await mkdtemp(join(tmpdir(), "orgtrail-test-query'"));
    });
    /** It leaves nothing. */
    afterEach(async () => {
      expect(await readdir(temporary)).toEqual([]);
      await rm(temporary, { recursive: true });
    });

    const start = (...args: readonly string[]) => {
      const env = { ...world.env, TMPDIR: temporary };
      const child = spawn(process.execPath, [join(checkout, 'dist/orgtrail.js'), 'query', ...args], { env });
      const ended = once(child, 'close');
      const output = text(child.stdout);
      output.catch(() => {});
      return { child, output, ended: async () => (await ended)[0] as number };
    };

    test('leaves nothing in its temporary directory', async () => {
      const { output, ended } = start('--csv', positions);
      expect(await ended()).toBe(0);
      expect(await output).toBe('"events","positions"\r\n63,63\r\n');
    });

    test('leaves nothing if the reader of its output goes away', async () => {
      const { child, ended } = start('--csv', "select r, repeat('a', 1000) from range(3000000) as t (r)");
      child.stdout.once('data', () => child.stdout.destroy());
      expect(await ended()).toBe(0);
    });

    test('stops at a signal in the middle of a statement, and leaves nothing', async () => {
      const { child, ended } = start(
        'select max(hash(a.r, b.r)) from range(1000000000) as a (r), range(1000000000) as b (r)',
      );
      for await (const chunk of child.stderr) {
        if (String(chunk).includes('read: ')) break;
      }
      child.kill('SIGTERM');
      expect(await ended()).toBe(143);
    });
  });

  test('does not use an archive in which an object was altered, and names it', async () => {
    const [path = ''] = await world.objects();
    const bytes = await readFile(path);
    const altered = Buffer.from(bytes);
    altered[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(path, altered);
    const { code, stderr, stdout } = await query(positions);
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' });
    const key = path.slice(world.directory.length + 1);
    expect(stderr).toContain(`${key} in ${world.store.name}: it has other bytes`);
    await writeFile(path, bytes);
  });

  test('names an archive that is at another address, not configured or not mounted; a foreign object is not read', async () => {
    const { ORGTRAIL_ARCHIVE: archive, ...env } = world.env;
    const refused = (reason: string) => exits(2, reason);
    expect(await queryWith(env)(positions)).toMatchObject(
      refused(`2024-01 is in the archive ${archive}, and ORGTRAIL_ARCHIVE is not set`),
    );
    expect(await queryWith({ ...env, ORGTRAIL_ARCHIVE: 'file:///elsewhere' })(positions)).toMatchObject(
      refused('and ORGTRAIL_ARCHIVE is file:///elsewhere'),
    );
    expect(await queryWith(env)(positions, '--since', '2024-06-01')).toMatchObject({ code: 0, rows: [{ events: 1 }] });
    const [path = ''] = await world.objects();
    await writeFile(path.replace('.parquet', 'x.parquet'), await readFile(path));
    expect((await query(positions)).rows).toEqual([{ events: 63, positions: 63 }]);
    await rm(world.directory, { recursive: true });
    expect(await query(positions)).toMatchObject(exits(4, 'the archive cannot be read: '));
  });
});

const everything = 'from audit_events order by position';
const positions = 'select count(*) as events, count(distinct position) as positions from audit_events';

/** What the library gives, of a store in which `copied` happens behind the rows of PostgreSQL. */
const run = async ({ daemon: pool }: ArchiveWorld, store: ObjectStore, copied?: () => Promise<void>) => {
  const found: (readonly unknown[])[] = [];
  const range = { sinceMs: undefined, beforeMs: undefined };
  const asked = { sql: `select position, id ${everything}`, memoryMb: 200, range };
  const history = await queryHistory({ pool, store, observer: copied && { copied } }, asked, async (result, read) => {
    for await (const rows of result.rows()) found.push(...rows);
    return read;
  });
  return { found, history };
};

const expected = async ({ owner }: ArchiveWorld) =>
  (await storedEvents(owner)).map(({ position, id }) => [position, id]);
