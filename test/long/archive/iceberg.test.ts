import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import avro from 'avsc';
import { describe, expect, test } from 'vitest';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { readFeedId } from '../../../src/archive/catalogue.sql.ts';
import { fieldsOf } from '../../../src/archive/columns.ts';
import { writeTables } from '../../../src/archive/iceberg/write-table.ts';
import { quoted, withDuck } from '../../../src/archive/parquet/parquet.ts';
import type { ObjectStore } from '../../../src/archive/store.ts';
import { type ArchiveWorld, openFileArchive, storeWith } from '../../support/archive/archive-world.ts';
import { runInProcess } from '../../support/process/run-in-process.ts';

describe('the Iceberg table', () => {
  test('has after each round the rows of the database, by the ids of columns as well; older snapshots stay as they were', async () => {
    await using world = await openTable();
    const seen = [];
    for (const { name, change, snapshots } of rounds) {
      await change(world);
      const [events] = await write(world);
      expect(events, name).toMatchObject({ kind: 'events', snapshots });
      const files = (await tableAt(world)).files;
      const rows = await rowsById(world, files);
      expect(rows, name).toEqual(await rowsOfDatabase(world));
      seen.push({ snapshot: events?.snapshot ?? 0, files });
    }
    for (const { snapshot, files } of seen) expect((await tableAt(world, snapshot)).files).toEqual(files);
    const { metadata } = await tableAt(world);
    expect(metadata.snapshots.map(({ summary }) => summary['operation'])).toEqual([
      'append',
      'append',
      'replace',
      'overwrite',
    ]);
    expect(metadata.snapshots.map(({ summary }) => summary['total-records'])).toEqual(['62', '65', '65', '65']);
    expect((await tableAt(world, undefined, 'iceberg-changes')).files).toHaveLength(1);
    const again = await runInProcess(['archive', 'iceberg'], world.env);
    expect(again).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('events: snapshot 4, as before: 5 objects, 65 rows'),
    });
  });

  test('is in its old or its new state, whole, behind every put of a process that ends there; the next one completes it with the same bytes', async () => {
    await using world = await openTable();
    for (const { change } of rounds.slice(0, -1)) await change(world);
    await write(world);
    const before = (await tableAt(world)).files;
    await rounds.at(-1)?.change(world);
    const states: string[] = [];
    const killed = storeWith(world.store, {
      put: async (...put) => {
        await world.store.put(...put);
        throw new Error('killed');
      },
    });
    // The manifest, the list, the metadata, the hint; the fifth call finds all of them.
    while (
      !(await write(world, killed).then(
        () => true,
        () => false,
      ))
    ) {
      const { files } = await tableAt(world);
      states.push(JSON.stringify(files) === JSON.stringify(before) ? 'old' : 'new');
    }
    expect(states).toEqual(['old', 'old', 'old', 'new']);
    expect(await rowsById(world, (await tableAt(world)).files)).toEqual(await rowsOfDatabase(world));
    const written = await tableFiles(world);
    await rm(join(world.directory, 'v1/iceberg'), { recursive: true });
    await rm(join(world.directory, 'v1/iceberg-changes'), { recursive: true });
    await world.owner.query('update archive_snapshots set entry = null, manifests = null, written_at = null');
    await Promise.all([write(world), write(world), write(world)]);
    expect(await tableFiles(world)).toEqual(written);
  });

  test('of another database in the same bucket stays as it is, and the next free number is taken', async () => {
    await using world = await openTable();
    await world.archive();
    const folder = join(world.directory, `v1/iceberg/feed=${await readFeedId(world.owner)}/metadata`);
    await write(world);
    for (const number of [2, 3]) await writeFile(join(folder, `v${number}.metadata.json`), '{}');
    await world.addLate(2, 'late');
    await world.archive();
    const { stdout } = await runInProcess(['archive', 'iceberg'], world.env);
    expect(stdout).toContain(
      'another database has written snapshot 2 of the table of events into this bucket: 4 is the next one here',
    );
    expect(await readFile(join(folder, 'v2.metadata.json'), 'utf8')).toBe('{}');
    expect(await readFile(join(folder, 'version-hint.text'), 'utf8')).toBe('4');
    expect((await tableAt(world)).metadata.snapshots.map((each) => each['sequence-number'])).toEqual([1, 4]);
  });

  test('names its files by ORGTRAIL_ARCHIVE_TABLE_BASE, all of them again when that changes', async () => {
    await using world = await openTable();
    await world.archive();
    await world.archive('2024-02');
    await write(world);
    const env = { ...world.env, ORGTRAIL_ARCHIVE_TABLE_BASE: 'gs://audit/copy' };
    const { stdout } = await runInProcess(['archive', 'iceberg', '--json'], env);
    const [{ metadata: at, snapshot }] = JSON.parse(stdout).tables;
    expect([snapshot, at]).toEqual([
      2,
      expect.stringMatching(/^gs:\/\/audit\/copy\/v1\/iceberg\/feed=.*\/metadata\/v2\.metadata\.json$/),
    ]);
    const { files, metadata } = await tableAt(world, undefined, 'iceberg', 'gs://audit/copy');
    expect(files).toHaveLength(3);
    expect(metadata.location).toMatch(/^gs:/);
    const wrong = await runInProcess(['archive', 'iceberg'], { ...env, ORGTRAIL_ARCHIVE_TABLE_BASE: 'gs://audit/' });
    expect(wrong).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('ORGTRAIL_ARCHIVE_TABLE_BASE must be like gs://'),
    });
  });
});

const openTable = () => openFileArchive(60);

interface Round {
  readonly name: string;
  readonly snapshots: number;
  change(world: ArchiveWorld): Promise<void>;
}

const pathsOf = (world: ArchiveWorld) => world.objects('2024-01');

/** Objects are altered, so that they are written again; by the other version of the encodings, so that they get other bytes. */
const writeAgain = async (world: ArchiveWorld, index: number, maxRows: number): Promise<void> => {
  const path = (await pathsOf(world))[index] ?? '';
  await writeFile(path, 'altered');
  const { daemon: pool, store } = world;
  await archiveMonth({ pool, store, limits: { maxRows, maxTextBytes: 1_000_000 }, parquetVersion: 1 }, '2024-01');
};

const rounds: readonly Round[] = [
  {
    name: 'two months',
    snapshots: 1,
    change: async (world) => {
      await world.archive();
      await world.archive('2024-02');
    },
  },
  {
    name: 'late entries and later contents',
    snapshots: 1,
    change: async (world) => {
      await world.addLate(3, 'late');
      await world.change('january-7');
      await world.archive();
    },
  },
  { name: 'the same rows in another object', snapshots: 1, change: (world) => writeAgain(world, 0, 40) },
  {
    name: 'two objects with the rows of one',
    snapshots: 1,
    change: async (world) => {
      const { rows } = await world.owner.query(
        'select key from archive_objects where events = 3 and superseded_at is null',
      );
      const index = (await pathsOf(world)).findIndex((path) => path.endsWith(rows[0].key));
      await writeAgain(world, index, 2);
    },
  },
];

const write = (world: ArchiveWorld, store: ObjectStore = world.store) =>
  writeTables({ pool: world.daemon, store, tableBase: world.store.name });

interface Metadata {
  readonly location: string;
  readonly 'current-snapshot-id': number;
  readonly snapshots: readonly {
    readonly 'snapshot-id': number;
    readonly 'sequence-number': number;
    readonly 'manifest-list': string;
    readonly summary: Readonly<Record<string, string>>;
  }[];
}

/** As a reader without the database finds it: from the hint to the objects. */
const tableAt = async (world: ArchiveWorld, snapshot?: number, table = 'iceberg', base = world.store.name) => {
  const folder = join(world.directory, `v1/${table}/feed=${await readFeedId(world.owner)}/metadata`);
  const hint = await readFile(join(folder, 'version-hint.text'), 'utf8');
  const metadata: Metadata = JSON.parse(await readFile(join(folder, `v${hint}.metadata.json`), 'utf8'));
  const found = metadata.snapshots.find((each) =>
    snapshot === undefined
      ? each['snapshot-id'] === metadata['current-snapshot-id']
      : each['sequence-number'] === snapshot,
  );
  const path = (uri: string): string => {
    expect(uri.startsWith(`${base}/`)).toBe(true);
    return join(world.directory, uri.slice(base.length));
  };
  const files: string[] = [];
  for (const { manifest_path: manifest } of await rowsOfAvro(path(found?.['manifest-list'] ?? ''))) {
    for (const { status, data_file: file } of await rowsOfAvro(path(manifest))) {
      if (status !== 2) files.push(path(file.file_path));
    }
  }
  return { metadata, files: files.sort() };
};

// biome-ignore lint/suspicious/noExplicitAny: as the schema in the file says
const rowsOfAvro = async (file: string): Promise<any[]> => {
  const rows: unknown[] = [];
  await new Promise((resolve, reject) => {
    avro
      .createFileDecoder(file)
      .on('data', (row) => rows.push(row))
      .on('end', resolve)
      .on('error', reject);
  });
  return rows;
};

const duckTypes = { long: 'BIGINT', int: 'INTEGER', string: 'VARCHAR', timestamptz: 'TIMESTAMP WITH TIME ZONE' };

const rowsById = async (world: ArchiveWorld, files: readonly string[]) => {
  const columns = fieldsOf.events.map(
    ({ id, name, type }) => `${id}: {name: 'by_${name}', type: '${duckTypes[type]}', default_value: null}`,
  );
  return await withDuck({ memoryMb: 200, directory: world.directory }, async (duck) =>
    (
      await duck.runAndReadAll(
        `select by_position::integer as position, by_id as id, by_raw as raw, epoch_us(by_action_time)::varchar as at, by_actor_email as actor
         from read_parquet([${files.map(quoted).join(', ')}], schema = map {${columns.join(', ')}}, hive_partitioning = false) order by 1`,
      )
    ).getRowObjects(),
  );
};

const rowsOfDatabase = async ({ owner }: ArchiveWorld) =>
  (
    await owner.query(
      `select position::integer, id, raw::text, (extract(epoch from action_time) * 1000000)::bigint::text as at, actor_email as actor
       from audit_events where action_time < '2024-03-01' order by position`,
    )
  ).rows;

/** Below both folders, with their bytes. */
const tableFiles = async ({ directory }: ArchiveWorld): Promise<ReadonlyMap<string, string>> => {
  const files = new Map<string, string>();
  for (const name of (await readdir(directory, { recursive: true })).sort()) {
    if (/iceberg.*metadata\/[^/]+$/.test(name))
      files.set(name, (await readFile(join(directory, name))).toString('hex'));
  }
  return files;
};
