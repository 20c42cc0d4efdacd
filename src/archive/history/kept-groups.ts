import { BusyError } from '../../errors.ts';
import { ConcurrencyLimit } from '../../limits/concurrency-limit.ts';
import { type GroupPlace, type ParquetFooter, readColumns, readFooter } from '../parquet/row-groups.ts';
import { copyColumns, type UserRows, userRowsOf } from './first-copies.ts';
import { type EventColumns, eventColumns, type FilterColumns, filterColumns } from './group-columns.ts';
import type { HistoryObject } from './history-objects.sql.ts';
import type { ObjectRanges } from './object-ranges.ts';
import { RecentlyUsed } from './recently-used.ts';

const MAX_FOOTERS = 32;
/** Of row groups, as they are in memory: the next piece of a reader is in the same group. */
const MAX_KEPT_BYTES = 48 * 1_048_576;
const MAX_KEPT_POSITIONS = 32;
const MAX_KEPT_USER_ROWS = 100_000;
/** Each is a row group in memory. */
const MAX_READING = 2;
const MAX_WAITING = 128;
const MAX_WAIT_MS = 30_000;
const RETRY_AFTER_SECONDS = 5;

/** Row groups of objects, by what is wanted of them; the last ones are kept. Throws BusyError if too many readers wait. */
export const createGroups = (ranges: ObjectRanges) => {
  const limit = new ConcurrencyLimit({
    maxRunning: MAX_READING,
    maxWaiting: MAX_WAITING,
    maxWaitMs: MAX_WAIT_MS,
    busy: () => new BusyError('busy: too many readers of the archive', RETRY_AFTER_SECONDS),
  });
  const footers = new RecentlyUsed<number, ParquetFooter>(MAX_FOOTERS);
  const events = new RecentlyUsed<string, EventColumns & { readonly bytes: number }>(
    MAX_KEPT_BYTES,
    ({ bytes }) => bytes,
  );
  const positions = new RecentlyUsed<string, FilterColumns>(MAX_KEPT_POSITIONS);
  const userRows = new RecentlyUsed<string, UserRows>(MAX_KEPT_USER_ROWS, ({ keys }) => keys.size);
  const reader = (object: HistoryObject) => (from: number, to: number) => ranges.read(object, { from, to });
  const footer = (object: HistoryObject) => footers.get(object.id, () => readFooter(object.bytes, reader(object)));
  const within = async <T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> => {
    const leave = await limit.acquire(signal);
    return await work().finally(leave);
  };
  const sourceOf = async (object: HistoryObject) => ({
    footer: await footer(object),
    sizeBytes: object.bytes,
    read: reader(object),
  });
  const nameOf = ({ id }: HistoryObject, { rowStart }: GroupPlace) => `${id} ${rowStart}`;
  return {
    footer,
    events: (object: HistoryObject, place: GroupPlace, signal?: AbortSignal) =>
      within(signal, () =>
        events.get(nameOf(object, place), async () => ({
          ...(await readColumns(await sourceOf(object), place, { names: eventColumns, atOnce: true })),
          bytes: place.bytes,
        })),
      ),
    userRows: (object: HistoryObject, place: GroupPlace) =>
      within(undefined, () =>
        userRows.get(nameOf(object, place), async () =>
          userRowsOf(await readColumns(await sourceOf(object), place, { names: copyColumns, atOnce: false })),
        ),
      ),
    positions: (object: HistoryObject, place: GroupPlace, signal?: AbortSignal) =>
      within(signal, () =>
        positions.get(nameOf(object, place), async () =>
          readColumns(await sourceOf(object), place, { names: filterColumns, atOnce: false }),
        ),
      ),
  };
};
