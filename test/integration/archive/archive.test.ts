import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { endArchive, readCatalogue, useArchive } from '../../../src/archive/catalogue.sql.ts';
import { openObjectStore } from '../../../src/archive/store/object-store.ts';
import type { ObjectStore } from '../../../src/archive/store/ports.ts';
import { addHold } from '../../../src/retention/holds.sql.ts';
import { dropOldMonths, type RetentionResult } from '../../../src/retention/retention.sql.ts';
import { S3Fault } from '../../../src/s3/s3-fault.ts';
import { type ArchiveWorld, openArchiveWorld, smallObjects, storeWith } from '../../support/archive/archive-world.ts';
import { rowsOfParquet } from '../../support/archive/read-objects.ts';
import { RETENTION_MS } from '../../support/postgres/store-fixture.ts';

let world: ArchiveWorld;
let store: ObjectStore;

beforeEach(async () => {
  world = await openArchiveWorld();
  const target = { kind: 'file', name: `file://${world.directory}`, directory: world.directory } as const;
  store = openObjectStore(target, { accessKey: undefined, secretKey: undefined, environment: {} });
  await useArchive(world.daemon, store.name);
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

/** All of it with the rights of a daemon. */
const archive = (month = '2024-01', into = store) =>
  archiveMonth({ pool: world.daemon, store: into, limits: smallObjects }, month);

/** As the daemon's round does. */
const round = (into = store): Promise<RetentionResult> =>
  dropOldMonths(world.daemon, RETENTION_MS, (month) => archive(month, into));

const files = async (): Promise<readonly string[]> =>
  (await readdir(world.directory, { recursive: true })).filter((name) => name.endsWith('.parquet')).sort();

const rowsOfFiles = async (month: string) => {
  const rows = [];
  for (const file of await files()) {
    if (!file.includes(`month=${month}`) || !file.includes('events/')) continue;
    rows.push(...(await rowsOfParquet(await readFile(join(world.directory, file)))));
  }
  return rows;
};

const monthsHere = async () =>
  (
    await world.owner.query<{ month: string }>(
      `select distinct to_char(action_time at time zone 'UTC', 'YYYY-MM') as month from audit_events where isfinite(action_time) order by 1`,
    )
  ).rows.map(({ month }) => month);

describe('a month', () => {
  test('leaves the database only once the archive has it, to the byte', async () => {
    const before = await world.rowsOf('2024-01');
    expect(await dropOldMonths(world.daemon, RETENTION_MS)).toMatchObject({
      dropped: [],
      kept: [
        { month: '2024-01', reason: 'the archive has its events up to position 0, and still needs those up to 103' },
        { month: '2024-02', reason: expect.stringMatching(/^the archive has its events up to position 0/) },
      ],
    });
    expect((await round()).dropped).toMatchObject([
      { month: '2024-01', events: 101 },
      { month: '2024-02', events: 1 },
    ]);
    expect(await monthsHere()).toEqual(['2026-01']);
    const rows = await rowsOfFiles('2024-01');
    expect(rows.map(({ position, id, raw }) => ({ position: Number(position), id, raw }))).toEqual(before);
    expect(await files()).toHaveLength(4);
    const catalogue = await readCatalogue(world.owner);
    expect(catalogue.map(({ month, events, droppedAt }) => [month, events, droppedAt !== null])).toEqual([
      ['2024-01', 40, true],
      ['2024-01', 40, true],
      ['2024-01', 21, true],
      ['2024-02', 1, true],
    ]);
  });

  test('has the hash of its ids in retention_drops as in the catalogue', async () => {
    await archiveMonth({ pool: world.daemon, store }, '2024-01');
    await dropOldMonths(world.daemon, RETENTION_MS);
    const { rows } = await world.owner.query(
      `select d.ids_sha256 = o.ids_sha256 as same, o.organizations from retention_drops d join archive_objects o using (month)`,
    );
    expect(rows).toMatchObject([{ same: true, organizations: { o: { events: 100 }, p: { events: 1 } } }]);
  });

  test('gets a delta for events that come after it was archived', async () => {
    await archive();
    await world.addLate(3, 'late');
    expect((await dropOldMonths(world.daemon, RETENTION_MS)).kept[0]?.reason).toBe(
      'the archive has its events up to position 103, and still needs those up to 106',
    );
    expect(await archive()).toEqual({ month: '2024-01', written: 1, proven: 3 });
    expect((await round()).dropped).toMatchObject([{ month: '2024-01', events: 104 }, { month: '2024-02' }]);
    expect(await rowsOfFiles('2024-01')).toHaveLength(104);
  });

  test('takes later contents of its events along, also one that comes late', async () => {
    await world.change('january-7');
    await archive();
    await world.change('january-3');
    expect((await dropOldMonths(world.daemon, RETENTION_MS)).kept[0]?.reason).toBe(
      'the archive has 1 of its 2 later contents',
    );
    expect((await round()).dropped[0]).toMatchObject({ month: '2024-01', changes: 2 });
    const catalogue = await readCatalogue(world.owner, '2024-01');
    const changes = catalogue.filter(({ kind }) => kind === 'changes');
    expect(changes.reduce((sum, { events }) => sum + events, 0)).toBe(2);
    const texts = [];
    for (const { key } of changes) {
      const rows = await rowsOfParquet(await readFile(join(world.directory, key)));
      texts.push(...rows.map(({ raw, event_id }) => [event_id, raw]));
    }
    expect(texts).toContainEqual(['january-3', expect.stringContaining('"other":true')]);
  });

  test('stays while a hold covers it, and nothing is read or written meanwhile', async () => {
    await addHold(world.owner, {
      organizationId: undefined,
      sinceMs: undefined,
      beforeMs: undefined,
      reason: 'case 7',
      by: undefined,
    });
    expect((await round()).kept.map(({ reason }) => reason)).toEqual([
      'hold 1 covers events in it: case 7',
      'hold 1 covers events in it: case 7',
    ]);
    expect(await files()).toEqual([]);
  });

  test('is dropped without an archive again once the owner ends it; the account of a daemon cannot', async () => {
    await expect(world.daemon.query('delete from archive_policy')).rejects.toThrow('permission denied');
    expect(await endArchive(world.owner)).toBe(true);
    expect((await dropOldMonths(world.daemon, RETENTION_MS)).dropped).toHaveLength(2);
  });
});

describe('an object', () => {
  const [wrongBytes, lost] = ['it has other bytes', 'it is not there'];
  const damages: readonly [string, string, (file: string, all: readonly string[]) => Promise<void>][] = [
    ['deleted', lost, async (file) => await rm(file)],
    ['cut', wrongBytes, async (file) => await writeFile(file, (await readFile(file)).subarray(0, -100))],
    [
      'altered in one bit',
      wrongBytes,
      async (file) => {
        const bytes = await readFile(file);
        bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
        await writeFile(file, bytes);
      },
    ],
    ['swapped for another', wrongBytes, async (file, all) => await writeFile(file, await readFile(all[1] ?? ''))],
  ];
  test.each(damages)('that was %s outside is written again before the month is dropped', async (_, fault, damage) => {
    const before = await world.rowsOf('2024-01');
    await archive();
    const paths = (await files()).map((file) => join(world.directory, file));
    await damage(paths[0] ?? '', paths);
    const faults: string[] = [];
    const observer = { faulty: (_object: unknown, text: string) => void faults.push(text) };
    const result = await dropOldMonths(world.daemon, RETENTION_MS, (month) =>
      archiveMonth({ pool: world.daemon, store, observer, limits: smallObjects }, month),
    );
    expect(faults).toEqual([expect.stringContaining(fault)]);
    expect(result.dropped).toMatchObject([{ month: '2024-01' }, { month: '2024-02' }]);
    const rows = await rowsOfFiles('2024-01');
    expect(rows.map(({ position, id, raw }) => ({ position: Number(position), id, raw }))).toEqual(before);
  });

  test('that the storage does not give back as it was sent is not catalogued, whatever its name', async () => {
    const other = storeWith(store, {
      put: async (key, bytes) => await store.put(key, Buffer.from(bytes).subarray(0, bytes.length - 1)),
    });
    await expect(archive('2024-01', other)).rejects.toThrow('but it has other bytes');
    const nothing = storeWith(store, { put: async () => ({ versionId: undefined, lockedUntilMs: undefined }) });
    const result = await round(nothing);
    expect(result).toMatchObject({ dropped: [], again: true });
    expect(result.kept[0]?.reason).toMatch(/^archiving it failed: .* it has other bytes/);
    expect(await readCatalogue(world.owner)).toEqual([]);
    expect((await round()).dropped).toHaveLength(2);
  });

  test('that an attempt before has left in a bucket that lets none be replaced is catalogued as it is', async () => {
    const unreadable = storeWith(store, { get: async () => Promise.reject(new Error('killed')) });
    await expect(archive('2024-01', unreadable)).rejects.toThrow('killed');
    const locked = storeWith(store, {
      put: async (key, bytes) => {
        if ((await store.get(key)) !== undefined) throw new S3Fault('exists', 'there is such an object already');
        return await store.put(key, bytes);
      },
    });
    await archive('2024-01', locked);
    expect((await readCatalogue(world.owner)).length).toBeGreaterThan(0);
    expect((await round(locked)).dropped).toHaveLength(2);
  });

  test('with other contents than the database cannot be catalogued by the account of a daemon', async () => {
    await archive();
    const { rows } = await world.owner.query('select * from archive_objects order by id limit 1');
    const [object] = rows;
    const claim = (ids: string, raw: string, columns: string) =>
      world.daemon.query(
        `select orgtrail_note_archived($1, 'x', 'events', '2024-01-01', $2, $3, $4, 10, $5, $6, $7, $8, null, null)`,
        [store.name, object.first_position, object.last_position, object.events, object.sha256, ids, raw, columns],
      );
    const { ids_sha256: ids, raw_sha256: raw, columns_sha256: columns } = object;
    const words = 'does not hold what the database holds';
    await expect(claim('0'.repeat(64), raw, columns)).rejects.toThrow(words);
    await expect(claim(ids, '0'.repeat(64), columns)).rejects.toThrow(words);
    await expect(claim(ids, raw, '0'.repeat(64))).rejects.toThrow(words);
    await expect(world.daemon.query('update archive_objects set fault = null')).rejects.toThrow('permission denied');
  });

  test('that was read back long ago does not let its month go', async () => {
    await archive();
    await world.owner.query("update archive_objects set verified_at = clock_timestamp() - interval '61 minutes'");
    expect((await dropOldMonths(world.daemon, RETENTION_MS)).kept[0]?.reason).toMatch(
      /^the archive was not read back within the last hour/,
    );
  });

  test('is not what the database holds once an event was altered there', async () => {
    await archive();
    await world.owner.query(`update audit_events set raw = '{"id":"january-5"}' where id = 'january-5'`);
    expect((await dropOldMonths(world.daemon, RETENTION_MS)).kept[0]?.reason).toMatch(
      /^the archive has other contents in/,
    );
  });

  test('of another archive does not count', async () => {
    await archive();
    await useArchive(world.daemon, 's3://elsewhere');
    expect((await dropOldMonths(world.daemon, RETENTION_MS)).kept[0]?.reason).toMatch(
      /^the archive has its events up to position 0/,
    );
    await world.addLate(1, 'late');
    await expect(archive()).rejects.toThrow('the database has another archive in use, or none');
  });
});

test('two replicas that archive the same month write the same objects', async () => {
  await Promise.all([archive(), archive()]);
  expect(await files()).toHaveLength(3);
  expect((await readCatalogue(world.owner)).map(({ events }) => events)).toEqual([40, 40, 21]);
  expect((await round()).dropped).toHaveLength(2);
});

test('events of megabytes go through as well, in objects of bounded size', async () => {
  await world.owner.query(
    `insert into audit_events (source_kind, source_id, organization_id, id, position, action_time, raw)
     select 'organization', 'o', 'o', 'large-' || n, 1000 + n, '2024-01-20T00:00:00Z',
       json_build_object('id', n, 'text', (select string_agg(md5(n || ' ' || m), '"') from generate_series(1, 60000 * case n when 20 then 6 else 1 end) m))
     from generate_series(1, 20) n`,
  );
  await world.owner.query('update feed_head set position = 1020');
  const before = await world.rowsOf('2024-01');
  const limits = { maxRows: 1_000_000, maxTextBytes: 20_000_000 };
  const written = await archiveMonth({ pool: world.daemon, store, limits }, '2024-01');
  expect(written.written).toBeGreaterThan(2);
  expect((await dropOldMonths(world.daemon, RETENTION_MS)).dropped).toMatchObject([{ month: '2024-01', events: 121 }]);
  const rows = await rowsOfFiles('2024-01');
  expect(rows.map(({ position, id, raw }) => ({ position: Number(position), id, raw }))).toEqual(before);
});
