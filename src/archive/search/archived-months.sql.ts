import { BusyError } from '../../base/errors.ts';
import { ConcurrencyLimit } from '../../base/limits.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { ArchivedGroup, ArchivedMonths } from '../../search/archived/archived-columns.ts';
import type { MatchedRows, MatchMemory } from '../../search/archived/filter-rows.sql.ts';
import type { ObjectKind } from '../columns.ts';
import type { HistoryObject } from '../history/history-objects.sql.ts';
import { createObjectRanges, RecentlyUsed } from '../history/object-ranges.ts';
import {
  type GroupPlace,
  mayHaveValue,
  type ParquetFooter,
  readColumns,
  readFooter,
  type WantedColumns,
} from '../parquet/row-groups.ts';
import type { ObjectStore } from '../store.ts';

const MAX_FOOTERS = 64;
const FEW_COLUMNS = 8;
/** Positions of events with later contents. */
const MAX_CHANGED = 200_000;
/** Columns of a row group in memory each. */
const MAX_READING = 2;
const MAX_WAITING = 64;
const MAX_WAIT_MS = 30_000;
const RETRY_AFTER_SECONDS = 5;

/** Gives searches what was dropped, by the catalogue in the database. Closing it closes the store. */
export const createArchivedMonths = (pool: Pool, store: ObjectStore): ArchivedMonths => {
  const ranges = createObjectRanges(pool, store);
  const footers = new RecentlyUsed<number, ParquetFooter>(MAX_FOOTERS);
  const limit = new ConcurrencyLimit({
    maxRunning: MAX_READING,
    maxWaiting: MAX_WAITING,
    maxWaitMs: MAX_WAIT_MS,
    busy: () => new BusyError('busy: too many searches of the archive', RETRY_AFTER_SECONDS),
  });
  const footerOf = (object: HistoryObject) => footers.get(object.id, () => readFooter(object.bytes, reader(object)));
  const reader = (object: HistoryObject) => (from: number, to: number) => ranges.read(object, { from, to });
  const columnsOf = async <Name extends string>(
    object: HistoryObject,
    place: GroupPlace,
    wanted: Omit<WantedColumns<Name>, 'atOnce'>,
    signal?: AbortSignal,
  ) => {
    const leave = await limit.acquire(signal);
    try {
      const source = { footer: await footerOf(object), sizeBytes: object.bytes, read: reader(object) };
      return await readColumns(source, place, { ...wanted, atOnce: wanted.names.length > FEW_COLUMNS });
    } finally {
      leave();
    }
  };
  const groupsOf = async (object: HistoryObject): Promise<ArchivedGroup[]> => {
    const { groups, metadata } = await footerOf(object);
    return groups.map((place) => ({
      name: `${object.id} ${place.rowStart}`,
      month: object.month,
      rows: place.rowEnd - place.rowStart,
      firstPosition: place.firstPosition,
      lastPosition: place.lastPosition,
      firstTime: place.firstActionTime,
      lastTime: place.lastActionTime,
      mayHave: (column, value) => mayHaveValue(metadata, place, column, value),
      columns: (names, signal) => columnsOf(object, place, { names }, signal),
      columnsOfRows: (names, rows, signal) => columnsOf(object, place, { names, rows }, signal),
    }));
  };
  const allGroups = async (objects: readonly HistoryObject[]): Promise<readonly ArchivedGroup[]> => {
    const found: ArchivedGroup[] = [];
    for (const object of objects) found.push(...(await groupsOf(object)));
    return found;
  };
  return {
    groups: async (month, organization) => await allGroups(await readObjectsOf(pool, month, organization)),
    groupsAt: async (position) =>
      (await allGroups(await readObjectsAt(pool, position))).filter(
        ({ firstPosition, lastPosition }) => firstPosition <= position && lastPosition >= position,
      ),
    ...changesFrom(pool, createObjectRanges(pool, store)),
    close: () => store.close(),
  };
};

/** Later contents are few: their objects have no statistics of times, and are read whole, column by column. */
const changesFrom = (
  pool: Pool,
  ranges: ReturnType<typeof createObjectRanges>,
): Pick<ArchivedMonths, 'changed' | 'changesOf'> => {
  const objectsOf = (month: string) => readObjectsOf(pool, month, undefined, 'changes');
  const readAll = async <Name extends string>(objects: readonly HistoryObject[], names: readonly Name[]) => {
    const read = [];
    for (const object of objects) {
      const reading = (from: number, to: number) => ranges.read(object, { from, to });
      const footer = await readFooter(object.bytes, reading, 'seen_at');
      for (const place of footer.groups)
        read.push(
          await readColumns({ footer, sizeBytes: object.bytes, read: reading }, place, { names, atOnce: false }),
        );
    }
    return read;
  };
  const known = new RecentlyUsed<string, ReadonlySet<number>>(MAX_CHANGED, (positions) => positions.size + 1);
  const changed = async (objects: readonly HistoryObject[]) =>
    new Set((await readAll(objects, ['position'])).flatMap(({ position }) => Array.from(position, Number)));
  return {
    // What was dropped stays as it is. But a month can be dropped again, if more of it was stored meanwhile: then it has more objects.
    changed: async (month) => {
      const objects = await objectsOf(month);
      return await known.get(objects.map(({ id }) => id).join(' '), () => changed(objects));
    },
    changesOf: async (month, wanted) =>
      (await readAll(await objectsOf(month), ['position', 'seen_at', 'raw'])).flatMap(
        ({ position, seen_at: seenAt, raw }) =>
          Array.from(position, Number).flatMap((at, row) =>
            at === wanted
              ? [{ seenAt: seenAt[row] as bigint, rawText: Buffer.from(raw[row] as Uint8Array).toString() }]
              : [],
          ),
      ),
  };
};

const columns = `id::float8 as id, archive, key, to_char(month, 'YYYY-MM') as month, first_position::float8 as "firstPosition",
  last_position::float8 as "lastPosition", bytes::float8 as bytes, sha256, true as "isWanted"`;
const isDropped = 'superseded_at is null and dropped_at is not null';

/** In order of position; with an organization, those that have events of it. */
const readObjectsOf = async (
  pool: Pool,
  month: string,
  organization: string | undefined,
  kind: ObjectKind = 'events',
): Promise<readonly HistoryObject[]> => {
  const { rows } = await pool.query<HistoryObject>(
    `select ${columns} from archive_objects
     where ${isDropped} and kind = $1 and month = to_date($2, 'YYYY-MM') and ($3::text is null or organizations ? $3)
     order by first_position`,
    [kind, month, organization ?? null],
  );
  return rows;
};

const readObjectsAt = async (pool: Pool, position: number): Promise<readonly HistoryObject[]> => {
  const { rows } = await pool.query<HistoryObject>(
    `select ${columns} from archive_objects
     where ${isDropped} and kind = 'events' and last_position >= $1 and first_position <= $1 order by first_position`,
    [position],
  );
  return rows;
};

/** Some dozen bytes each. */
const MAX_ROWS = 1_000_000;
/** For a row group in which nothing was found. */
const GROUP_ROWS = 10;

export const createMatchMemory = (): MatchMemory =>
  new RecentlyUsed<string, MatchedRows>(MAX_ROWS, ({ rows }) => rows.length + GROUP_ROWS);
