import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetMetadata } from 'hyparquet';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { endArchive, readCatalogue, useArchive } from '../../../src/archive/catalogue.sql.ts';
import { addHold, releaseHold } from '../../../src/archive/holds.sql.ts';
import { dropOldMonths } from '../../../src/archive/retention.sql.ts';
import type { ObjectStore } from '../../../src/archive/store.ts';
import { S3Fault } from '../../../src/base/s3/errors.ts';
import {
  type ArchiveWorld,
  type Archiving,
  openArchiveWorld,
  openFileArchive,
  storeWith,
} from '../../support/archive/archive-world.ts';
import { RETENTION_MS } from '../../support/postgres/store-fixture.ts';
import { forAllTests } from '../../support/process/for-all-tests.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';
import { until } from '../../support/process/until.ts';

describe('a month', () => {
  test('leaves the database only once the archive has it, to the byte, and gets a delta for events that come after it was archived', async () => {
    await using world = await openFileArchive();
    expect(await dropOldMonths(world.daemon, RETENTION_MS)).toMatchObject({
      dropped: [],
      kept: [
        { month: '2024-01', reason: isThereUpTo(0, 63) },
        { month: '2024-02', reason: isThereUpTo(0, 61) },
      ],
    });
    // Two replicas that archive the same month write the same objects.
    await Promise.all([world.archive(), world.archive()]);
    expect(await world.objects()).toHaveLength(2);
    expect((await readCatalogue(world.owner)).map(({ events }) => events)).toEqual([40, 21]);
    await world.addLate(3, 'late');
    expect(await obstacle(world)).toBe(isThereUpTo(63, 66));
    expect(await world.archive()).toEqual({ month: '2024-01', written: 1, proven: 2 });
    const before = await world.rowsOf('2024-01');
    expect((await world.drop()).dropped).toMatchObject([
      { month: '2024-01', events: 64 },
      { month: '2024-02', events: 1 },
    ]);
    expect([await world.rowsOf('2024-01'), await world.rowsOf('2024-02')]).toEqual([[], []]);
    expect(await world.rowsOf('2026-01')).toMatchObject([{ id: 'young' }]);
    expect(await world.archivedRows('2024-01')).toEqual(before);
    expect(await world.objects()).toHaveLength(4);
    const catalogue = await readCatalogue(world.owner);
    expect(catalogue.map(({ month, events, droppedAt }) => [month, events, droppedAt !== null])).toEqual([
      ['2024-01', 40, true],
      ['2024-01', 21, true],
      ['2024-01', 3, true],
      ['2024-02', 1, true],
    ]);
  });

  test('takes later contents of its events along, also one that comes late, and the drop has the hash of its ids as the catalogue', async () => {
    await using world = await openFileArchive(10);
    await world.change('january-7');
    await world.archive();
    await world.change('january-3');
    expect(await obstacle(world)).toBe('the archive has 1 of its 2 later contents');
    expect((await world.drop()).dropped[0]).toMatchObject({ month: '2024-01', changes: 2 });
    const changes = (await readCatalogue(world.owner, '2024-01')).filter(({ kind }) => kind === 'changes');
    expect(changes.reduce((sum, { events }) => sum + events, 0)).toBe(2);
    const { stdout } = await runInProcess(['archive', 'restore', '2024-01', '--changes'], world.env);
    const lines = stdout.split('\n').slice(0, -1);
    expect(lines.map((line) => JSON.parse(line).event_id)).toEqual(['january-3', 'january-7']);
    expect(lines[0]).toContain('\\"other\\":true');
    const { rows } = await world.owner.query(
      `select d.ids_sha256 = o.ids_sha256 as same, o.organizations from retention_drops d join archive_objects o using (month)
       where o.kind = 'events' and month = '2024-01-01'`,
    );
    expect(rows).toMatchObject([{ same: true, organizations: { o: { events: 10 }, p: { events: 1 } } }]);
  });

  test('stays while a hold covers it, unread and unwritten, and needs no archive again once the owner ends it; the account of a daemon cannot', async () => {
    await using world = await openFileArchive(3);
    const everything = { organizationId: undefined, sinceMs: undefined, beforeMs: undefined };
    const { id } = await addHold({ pool: world.owner }, { ...everything, reason: 'case 7', by: undefined });
    const reason = 'hold 1 covers events in it: case 7';
    expect((await world.drop()).kept).toMatchObject([{ reason }, { reason }]);
    expect(await world.objects()).toEqual([]);
    await releaseHold({ pool: world.owner }, id, undefined);
    await expect(world.daemon.query('delete from archive_policy')).rejects.toThrow('permission denied');
    expect(await endArchive(world.owner)).toBe(true);
    expect((await dropOldMonths(world.daemon, RETENTION_MS)).dropped).toHaveLength(2);
  });

  test('goes through with events of megabytes as well, in objects of bounded size', async () => {
    await using world = await openFileArchive();
    await world.owner.query(
      `insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw)
       select 'organization', 'o', 'o', 'large-' || n, 1000 + n, '2024-01-20T00:00:00Z',
         json_build_object('id', n, 'text', (select string_agg(md5(n || ' ' || m), '"') from generate_series(1, 30000 * case n when 4 then 6 else 1 end) m))
       from generate_series(1, 4) n`,
    );
    await world.owner.query('update feed_head set position = 1004');
    const before = await world.rowsOf('2024-01');
    const written = await world.archive('2024-01', { maxRows: 1_000_000, maxTextBytes: 2_000_000 });
    expect(written.written).toBeGreaterThan(2);
    expect((await dropOldMonths(world.daemon, RETENTION_MS)).dropped).toMatchObject([{ month: '2024-01', events: 65 }]);
    expect(await world.archivedRows('2024-01')).toEqual(before);
  });

  test('has the encodings of the version of Parquet that is asked for, and is read beside those of the other one', async () => {
    await using world = await openFileArchive();
    const run = (args: readonly string[], version = '2') =>
      runInProcess(['archive', ...args], { ...world.env, ORGTRAIL_ARCHIVE_PARQUET: version });
    const encodingsOf = async (month: string): Promise<readonly string[]> => {
      const [path = ''] = await world.objects(month);
      const { buffer, byteOffset, byteLength } = await readFile(path);
      const { row_groups: groups } = parquetMetadata(
        (buffer as ArrayBuffer).slice(byteOffset, byteOffset + byteLength),
      );
      return groups.flatMap(({ columns }) => columns.flatMap(({ meta_data }) => meta_data?.encodings ?? []));
    };
    expect(await run(['run', '--month', '2024-01'], '1')).toMatchObject({ code: 0 });
    expect(await run(['run', '--month', '2024-02'])).toMatchObject({ code: 0 });
    expect((await encodingsOf('2024-01')).filter((encoding) => encoding.startsWith('DELTA_'))).toEqual([]);
    expect(await encodingsOf('2024-02')).toContain('DELTA_LENGTH_BYTE_ARRAY');
    expect(await world.archivedRows('2024-01')).toEqual(await world.rowsOf('2024-01'));
    expect(await run(['verify', '--contents'])).toMatchObject({ code: 0 });
    const refused = { code: 2, stderr: expect.stringMatching(/ORGTRAIL_ARCHIVE_PARQUET.*1 or 2/s) };
    expect(await run(['run', '--month', '2024-01'], '3')).toMatchObject(refused);
  });
});

describe('an object', () => {
  test('that the storage does not give back as it was sent is not catalogued, nor one that an attempt before has left; if none can be replaced, it is catalogued as it is', async () => {
    await using world = await openFileArchive(3);
    const { store } = world;
    const cutting = storeWith(store, { put: (key, bytes) => store.put(key, bytes.subarray(0, -1)) });
    await expect(world.archive('2024-01', { store: cutting })).rejects.toThrow('but it has other bytes');
    const nothing = storeWith(store, { put: async () => ({ versionId: undefined, lockedUntilMs: undefined }) });
    const result = await world.drop({ store: nothing });
    expect(result).toMatchObject({ dropped: [], again: true });
    expect(result.kept[0]?.reason).toMatch(/^archiving it failed: .* it has other bytes/);
    const unreadable = storeWith(store, { get: async () => Promise.reject(new Error('killed')) });
    await expect(world.archive('2024-01', { store: unreadable })).rejects.toThrow('killed');
    expect(await readCatalogue(world.owner)).toEqual([]);
    const locked = storeWith(store, {
      put: async (key, bytes) => {
        if ((await store.get(key)) !== undefined) throw new S3Fault('exists', 'there is such an object already');
        return await store.put(key, bytes);
      },
    });
    await world.archive('2024-01', { store: locked });
    expect((await readCatalogue(world.owner)).length).toBeGreaterThan(0);
    expect((await world.drop({ store: locked })).dropped).toHaveLength(2);
  });

  describe('of a month that is archived', () => {
    const world = forAllTests(() => openFileArchive());
    beforeAll(async () => {
      await world.archive();
    });

    test('with other contents than the database cannot be catalogued by the account of a daemon', async () => {
      const { rows } = await world.owner.query('select * from archive_objects order by id limit 1');
      const [object] = rows;
      const claim = (other: Readonly<Record<string, string>>) => {
        const { ids_sha256: ids, raw_sha256: raw, columns_sha256: columns } = { ...object, ...other };
        return world.daemon.query(
          `select orgtrail_note_archived($1, 'x', 'events', '2024-01-01', $2, $3, $4, 10, $5, $6, $7, $8, null, null)`,
          [
            world.store.name,
            object.first_position,
            object.last_position,
            object.events,
            object.sha256,
            ids,
            raw,
            columns,
          ],
        );
      };
      for (const name of ['ids_sha256', 'raw_sha256', 'columns_sha256'])
        await expect(claim({ [name]: '0'.repeat(64) }), name).rejects.toThrow('does not hold what the database holds');
      await expect(world.daemon.query('update archive_objects set fault = null')).rejects.toThrow('permission denied');
    });

    test('does not let its month go if it was read back long ago, is of another archive, or has what was altered in the database since', async () => {
      const read = (ago: string) =>
        world.owner.query(`update archive_objects set verified_at = clock_timestamp() - interval '${ago}'`);
      await read('61 minutes');
      expect(await obstacle(world)).toMatch(/^the archive was not read back within the last hour/);
      await read('0');
      await useArchive(world.daemon, 's3://elsewhere');
      expect(await obstacle(world)).toBe(isThereUpTo(0, 63));
      await world.addLate(1, 'late');
      await expect(world.archive()).rejects.toThrow('the database has another archive in use, or none');
      await useArchive(world.daemon, world.store.name);
      await world.archive();
      const [event] = (await world.rowsOf('2024-01')).filter(({ id }) => id === 'january-5');
      const alter = (raw: string | undefined) =>
        world.owner.query(`update audit_events set raw = $1 where id = 'january-5'`, [raw]);
      await alter('{"id":"january-5"}');
      expect(await obstacle(world)).toMatch(/^the archive has other contents in/);
      await alter(event?.raw);
    });

    test('that was deleted, cut, altered in one bit or swapped outside is written again before the month is dropped', async () => {
      const before = await world.rowsOf('2024-01');
      const flipped = (bytes: Buffer) => {
        bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
        return bytes;
      };
      const damages: Readonly<Record<string, (file: string, other: string) => Promise<void>>> = {
        deleted: (file) => rm(file),
        cut: async (file) => writeFile(file, (await readFile(file)).subarray(0, -100)),
        altered: async (file) => writeFile(file, flipped(await readFile(file))),
        swapped: async (file, other) => writeFile(file, await readFile(other)),
      };
      for (const [name, damage] of Object.entries(damages)) {
        const [file = '', other = ''] = await world.objects('2024-01');
        await damage(file, other);
        const faults: string[] = [];
        const observer = { faulty: (_object: unknown, text: string) => void faults.push(text) };
        if (name === 'swapped') expect((await world.drop({ observer })).dropped).toHaveLength(2);
        else expect(await world.archive('2024-01', { observer }), name).toMatchObject({ written: 1, proven: 2 });
        expect(faults, name).toEqual([
          expect.stringContaining(name === 'deleted' ? 'it is not there' : 'it has other bytes'),
        ]);
        expect(await world.archivedRows('2024-01'), name).toEqual(before);
      }
    });
  });
});

/** January has 101 events, so three objects. */
describe('an object that is read back while the next one is written', () => {
  let world: ArchiveWorld;
  let temporary: string;
  beforeAll(async () => {
    world = await openArchiveWorld();
    await useArchive(world.daemon, world.store.name);
    temporary = await mkdtemp(join(tmpdir(), 'orgtrail-test-overlap-'));
    vi.stubEnv('TMPDIR', temporary);
  });
  afterEach(async () => {
    expect(await temporaryFiles()).toEqual([]);
    await world.owner.query('delete from archive_objects');
    await rm(join(world.directory, 'v1'), { recursive: true });
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await rm(temporary, { recursive: true, force: true });
    await world[Symbol.asyncDispose]();
  });

  const temporaryFiles = async () =>
    (await readdir(temporary, { recursive: true })).map((name) => name.split('/').at(-1));
  const catalogued = async () => (await readCatalogue(world.owner)).map(({ events }) => events);
  /** Objects are read back with what `read` makes of the bytes of the how-manieth. */
  const readingBack = (read: (nth: number, bytes: Buffer | undefined) => Promise<Buffer | undefined>): Archiving => {
    let gets = 0;
    const get: ObjectStore['get'] = async (key, signal) => {
      gets += 1;
      return await read(gets, await world.store.get(key, signal));
    };
    return { store: storeWith(world.store, { get }) };
  };

  test('is not in the catalogue before that, and the rows of the next one are copied meanwhile', async () => {
    const seen: (readonly number[])[] = [];
    const slow = readingBack(async (nth, bytes) => {
      // Behind the last object there are no rows.
      await until('rows are copied', async () => (await temporaryFiles()).includes('rows.ndjson'));
      seen[nth - 1] = await catalogued();
      return bytes;
    });
    expect(await world.archive('2024-01', slow)).toMatchObject({ written: 3 });
    expect(seen).toEqual([[], [40], [40, 40]]);
    expect(await catalogued()).toEqual([40, 40, 21]);
  });

  test('and was altered before that is not in the catalogue, and none behind it', async () => {
    const altering = readingBack(async (nth, bytes) => (nth === 2 ? bytes?.subarray(1) : bytes));
    await expect(world.archive('2024-01', altering)).rejects.toThrow('but it has other bytes');
    expect(await catalogued()).toEqual([40]);
    expect(await temporaryFiles()).toEqual([]);
    expect(await world.archive()).toEqual({ month: '2024-01', written: 2, proven: 1 });
  });

  test('and is not what the database has by then is not in the catalogue, and none behind it', async () => {
    const wrong = readingBack(async (nth, bytes) => {
      if (nth === 2) await world.owner.query(`update audit_events set raw = '{"id":"other"}' where id = 'january-60'`);
      return bytes;
    });
    await expect(world.archive('2024-01', wrong)).rejects.toThrow('does not hold what the database holds');
    expect(await catalogued()).toEqual([40]);
  });

  test('and is stopped leaves what was catalogued, and no files', async () => {
    const stop = new AbortController();
    const stopping = readingBack(async (nth, bytes) => {
      if (nth === 2) stop.abort(new Error('stopped'));
      return bytes;
    });
    await expect(world.archive('2024-01', { ...stopping, signal: stop.signal })).rejects.toThrow();
    expect((await catalogued()).length).toBeLessThan(3);
    expect(await temporaryFiles()).toEqual([]);
    expect((await world.archive()).written).toBeGreaterThan(0);
    expect(await catalogued()).toEqual([40, 40, 21]);
  });
});

/** What keeps the first month, of a replica that archives nothing. */
const obstacle = async ({ daemon }: ArchiveWorld) =>
  (await dropOldMonths(daemon, RETENTION_MS)).kept.map(({ reason }) => reason)[0];

const isThereUpTo = (position: number, needed: number) =>
  `the archive has its events up to position ${position}, and still needs those up to ${needed}`;
