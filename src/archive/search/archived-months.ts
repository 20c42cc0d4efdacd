import { BusyError } from '../../errors.ts';
import { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { ArchivedGroup, ArchivedMonths } from '../../search/archived/ports.ts';
import { createObjectRanges } from '../history/object-ranges.ts';
import { RecentlyUsed } from '../history/recently-used.ts';
import {
  type GroupPlace,
  type ParquetFooter,
  readColumns,
  readFooter,
  type WantedColumns,
} from '../parquet/row-groups.ts';
import { mayHaveValue } from '../parquet/text-bounds.ts';
import type { ObjectStore } from '../store/ports.ts';
import { readObjectsAt, readObjectsOf, type SearchedObject } from './searched-objects.sql.ts';

const MAX_FOOTERS = 64;
const FEW_COLUMNS = 8;
/** Positions that are kept of events with later contents. */
const MAX_CHANGED = 200_000;
/** Each is columns of a row group in memory. */
const MAX_READING = 2;
const MAX_WAITING = 64;
const MAX_WAIT_MS = 30_000;
const RETRY_AFTER_SECONDS = 5;

/** Gives searches what was dropped from its objects, by the catalogue in the database. Closing it closes the store. */
export const createArchivedMonths = (pool: Pool, store: ObjectStore): ArchivedMonths => {
  const ranges = createObjectRanges(pool, store);
  const footers = new RecentlyUsed<number, ParquetFooter>(MAX_FOOTERS);
  const limit = new ConcurrencyLimit({
    maxRunning: MAX_READING,
    maxWaiting: MAX_WAITING,
    maxWaitMs: MAX_WAIT_MS,
    busy: () => new BusyError('busy: too many searches of the archive', RETRY_AFTER_SECONDS),
  });
  const footerOf = (object: SearchedObject) => footers.get(object.id, () => readFooter(object.bytes, reader(object)));
  const reader = (object: SearchedObject) => (from: number, to: number) => ranges.read(object, { from, to });
  const columnsOf = async <Name extends string>(
    object: SearchedObject,
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
  const groupsOf = async (object: SearchedObject): Promise<ArchivedGroup[]> => {
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
  const allGroups = async (objects: readonly SearchedObject[]): Promise<readonly ArchivedGroup[]> => {
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
  const readAll = async <Name extends string>(objects: readonly SearchedObject[], names: readonly Name[]) => {
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
  const changed = async (objects: readonly SearchedObject[]) =>
    new Set((await readAll(objects, ['position'])).flatMap(({ position }) => Array.from(position, Number)));
  return {
    // What was dropped changes no more. But a month can be dropped again, if more of it was stored meanwhile: then it has more objects.
    changed: async (month) => {
      const objects = await objectsOf(month);
      return await known.get(objects.map(({ id }) => id).join(' '), () => changed(objects));
    },
    changesOf: async (month, wanted) =>
      (await readAll(await objectsOf(month), ['position', 'seen_at', 'raw'])).flatMap(
        ({ position, seen_at: seenAt, raw }) =>
          Array.from(position, Number).flatMap((at, row) =>
            at === wanted
              ? [
                  {
                    position: at,
                    seenAt: seenAt[row] as bigint,
                    rawText: Buffer.from(raw[row] as Uint8Array).toString(),
                  },
                ]
              : [],
          ),
      ),
  };
};
