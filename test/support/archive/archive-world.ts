import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pool } from 'pg';
import type { ArchiveObserver } from '../../../src/archive/archive-month.ts';
import { archiveMonth } from '../../../src/archive/archive-month.ts';
import { useArchive } from '../../../src/archive/catalogue.sql.ts';
import { dropOldMonths, type RetentionResult, setRetentionPolicy } from '../../../src/archive/retention.sql.ts';
import type { ObjectStore } from '../../../src/archive/store.ts';
import { openObjectStore } from '../../../src/archive/store.ts';
import { createPool } from '../../../src/postgres/pool.ts';
import { createTestDatabase, type TestDatabase } from '../postgres/database.ts';
import {
  commit,
  entryText,
  newSource,
  RETENTION_DAYS,
  RETENTION_MS,
  T0,
  takeLease,
} from '../postgres/store-fixture.ts';
import { rowsOfParquet } from './read-objects.ts';

export const january = Date.UTC(2024, 0, 15);
const february = Date.UTC(2024, 1, 15);

export interface Archiving {
  /** Default: the files below the directory of the world. */
  readonly store?: ObjectStore;
  /** Of an object. Default: so few that a month of some events has several objects. */
  readonly maxRows?: number;
  readonly maxTextBytes?: number;
  readonly observer?: ArchiveObserver;
  readonly signal?: AbortSignal;
}

/** Texts that have broken readers and writers of other formats. */
const hostileTexts = [
  '"a \\"quoted\\" \\\\ text"',
  '"line\\nbreak \\u2028 \\u0000 \\ud800 \\u001f \\u001e"',
  '"é 😀 \\u00e9 \u00e9 \u{1F600} \u2028"',
  '{ "spaced" :\n\t[1.0, 1e400, -0, 12345678901234567890123] }',
  '""',
  '"\';--,\\t|"',
];

/** An entry whose exact text is unusual in more than one way. */
const hostileEntry = (id: string, timeMs: number, index: number): string => {
  const text = hostileTexts[index % hostileTexts.length];
  const plain = entryText(id, timeMs, { resource: { id: '', type: 'NULL' } });
  return `${plain.slice(0, -1)}, "request": ${text}}`;
};

/** A database with two old months and a young one, whose events are mixed in order of position. */
export interface ArchiveWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  /** As the owner, and as the daemon's account, which may drop what is older than RETENTION_MS. */
  readonly owner: Pool;
  readonly daemon: Pool;
  /** An empty directory. */
  readonly directory: string;
  /** The files below it. */
  readonly store: ObjectStore;
  /** Of commands and daemons with that archive and the rights of a daemon. */
  readonly env: {
    readonly DATABASE_URL: string;
    readonly ORGTRAIL_RETENTION: string;
    readonly ORGTRAIL_ARCHIVE: string;
  };
  /** As the daemon's round does: one month into the archive, and all old months, which leave the database. */
  archive(month?: string, archiving?: Archiving): ReturnType<typeof archiveMonth>;
  drop(archiving?: Archiving): Promise<RetentionResult>;
  /** The paths of all objects with events of this month, or of all, in order. */
  objects(month?: string): Promise<readonly string[]>;
  /** What these have, in the order of the objects. */
  archivedRows(month: string): Promise<readonly ArchivedRow[]>;
  /** Adds events to January 2024, as if they had been found late. */
  addLate(count: number, named: string): Promise<void>;
  /** Another content of an event of January. */
  change(id: string): Promise<void>;
  /** Every event of the month as the feed has it, by position. */
  rowsOf(month: string): Promise<readonly ArchivedRow[]>;
}

interface ArchivedRow {
  readonly position: number;
  readonly id: string;
  readonly raw: string;
}

export const openArchiveWorld = async (
  eventsOfJanuary = 100,
  idOf = (index: number): string => `january-${index}`,
): Promise<ArchiveWorld> => {
  const database = await createTestDatabase();
  const { pool: owner } = database;
  const daemon = createPool(database.daemonUrl, 4, () => {});
  const directory = await mkdtemp(join(tmpdir(), 'orgtrail-test-archive-'));
  const name = `file://${directory}`;
  const store = openObjectStore(
    { kind: 'file', name, directory },
    { accessKey: undefined, secretKey: undefined, environment: {} },
  );
  await owner.query("select orgtrail_create_partitions('2024-01-01', '2024-02-28')");
  await owner.query("select orgtrail_create_partitions('2026-01-01', '2026-01-02')");
  await owner.query('update discovery set server_time = clock_timestamp()');
  await setRetentionPolicy(owner, RETENTION_MS);
  const add = async (source: string, texts: readonly string[]) => {
    const lease = await newSource(owner, source).catch(() => takeLease(owner, source));
    await commit(owner, lease, texts);
  };
  await add(
    'o',
    Array.from({ length: eventsOfJanuary }, (_, index) => hostileEntry(idOf(index), january + index, index)),
  );
  await add('p', [entryText('february', february), entryText('young', T0), entryText('january-last', january + 5_000)]);
  const archive: ArchiveWorld['archive'] = (month = '2024-01', archiving = {}) => {
    const { store: into = store, maxRows = 40, maxTextBytes = 1_000_000, observer, signal } = archiving;
    const context = { pool: daemon, store: into, limits: { maxRows, maxTextBytes }, ...(observer && { observer }) };
    return archiveMonth(context, month, signal);
  };
  const objects: ArchiveWorld['objects'] = async (month = '') =>
    (await readdir(directory, { recursive: true }))
      .filter((file) => file.endsWith('.parquet') && file.includes('events/') && file.includes(`month=${month}`))
      .sort()
      .map((file) => join(directory, file));
  return {
    database,
    owner,
    daemon,
    directory,
    store,
    env: { DATABASE_URL: database.daemonUrl, ORGTRAIL_RETENTION: `${RETENTION_DAYS}d`, ORGTRAIL_ARCHIVE: name },
    archive,
    drop: (archiving) => dropOldMonths(daemon, RETENTION_MS, (month) => archive(month, archiving)),
    objects,
    archivedRows: async (month) => {
      const rows = [];
      for (const file of await objects(month)) rows.push(...(await rowsOfParquet(await readFile(file))));
      return rows.map(({ position, id, raw }) => ({ position: Number(position), id: String(id), raw: String(raw) }));
    },
    addLate: (count, named) =>
      add(
        'late',
        Array.from({ length: count }, (_, index) => hostileEntry(`${named}-${index}`, january + index, index)),
      ),
    change: (id) => add('o', [entryText(id, january, { other: true, request: '\n' })]),
    rowsOf: async (month) =>
      (
        await owner.query<ArchivedRow>(
          `select position::float8 as position, id, raw::text from audit_events
           where to_char(action_time at time zone 'UTC', 'YYYY-MM') = $1 order by position`,
          [month],
        )
      ).rows,
    [Symbol.asyncDispose]: async () => {
      await daemon.end();
      await database.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
};

/** The same with its directory as the archive in use. */
export const openFileArchive = async (eventsOfJanuary = 60): Promise<ArchiveWorld> => {
  const world = await openArchiveWorld(eventsOfJanuary);
  await useArchive(world.daemon, world.store.name);
  return world;
};

/** A store that does what `change` makes of it. */
export const storeWith = (store: ObjectStore, change: Partial<ObjectStore>): ObjectStore => ({ ...store, ...change });
