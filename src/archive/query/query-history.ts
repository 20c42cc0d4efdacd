import { statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import { readFeedHead } from '../../feed/feed-head.sql.ts';
import type { Pool } from '../../postgres/pool.ts';
import { type DroppedMonth, readDroppedMonths } from '../../search/archived-months.sql.ts';
import { type CataloguedObject, readCatalogue } from '../catalogue.sql.ts';
import { readObject } from '../manifest.ts';
import { checkUserQuery, type QueryDuckOptions, type QueryResult, runUserQuery } from '../parquet/query-duck.ts';
import { isStorageFault, type ObjectStore, withDirectory } from '../store.ts';
import { copyStoredRows, emptyView, meetsRange, type TimeRange, viewOf } from './stored-rows.sql.ts';

interface QueryContext {
  readonly pool: Pool;
  readonly store: ObjectStore | undefined;
  readonly observer?:
    | {
        fetched?(bytes: number, ofAll: number): void;
        /** It is awaited. */
        copied?(rows: number): void | Promise<void>;
        /** All is read; the statement begins. */
        read?(history: QueriedHistory): void;
      }
    | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface QueriedHistory {
  readonly months: readonly string[];
  readonly objects: number;
  readonly bytes: number;
  /** Of the objects, also outside of the time. */
  readonly archivedEvents: number;
  readonly storedEvents: number;
  /** Events behind this position are left out. */
  readonly upTo: number;
  /** Neither in the database nor in the archive. */
  readonly gone: readonly DroppedMonth[];
}

const MEGABYTE = 1_000_000;

/**
 * Runs one statement over all events of a time, in the archive and in the database, each once, as of one position. Only a temporary directory is
 * written to. Rejects with OrgtrailError for a statement that is refused, and if something of the time cannot be read: a result never silently
 * lacks a month. `sql`: that of DuckDB, over `audit_events`.
 */
export const queryHistory = async <T>(
  context: QueryContext,
  { sql, range, memoryMb }: { readonly sql: string; readonly range: TimeRange; readonly memoryMb: number },
  take: (result: QueryResult, history: QueriedHistory) => Promise<T>,
): Promise<T> =>
  await withDirectory(async (directory) => {
    const duck = { directory, memoryMb, spillMb: 1, view: emptyView(), files: [] };
    await checkUserQuery(sql, duck);
    const { view, files, history } = await readHistory(context, range, directory);
    const spillMb = Math.max(1, Math.floor((await usableBytes(directory)) / MEGABYTE));
    context.observer?.read?.(history);
    const full: QueryDuckOptions = { ...duck, spillMb, view, files };
    return await runUserQuery(sql, full, (result) => take(result, history), context.signal);
  });

/** The position comes first: later commits are left out on both sides. A month that is dropped meanwhile is then in the catalogue. */
const readHistory = async (context: QueryContext, range: TimeRange, directory: string) => {
  const { pool, observer, signal } = context;
  const { position: upTo, feedId } = await readFeedHead(pool);
  const goneBefore = await readDroppedMonths(pool, timesOf(range));
  const known = await readDropped(context, range);
  const archived = [...(await fetch(context, known, directory))];
  const stored = await copyStoredRows(pool, {
    range,
    upTo,
    feedId,
    directory,
    onRows: async (rows) => {
      await requireRoom(directory, MEGABYTE, 'rows of PostgreSQL');
      await observer?.copied?.(rows);
    },
    signal,
  });
  const later = await readDropped(context, range);
  const dropped = without(later, known);
  archived.push(...(await fetch(context, dropped, directory)));
  const gone = await readDroppedMonths(pool, timesOf(range));
  requireSame(goneBefore, gone);
  return {
    // A month that was dropped meanwhile, or came back, is in both.
    view: viewOf({ archived, stored: stored.files, range, upTo, twice: [...dropped, ...without(known, later)] }),
    files: [...archived, ...stored.files],
    history: { ...summaryOf([...known, ...dropped]), storedEvents: stored.rows, upTo, gone },
  };
};

const without = (objects: readonly CataloguedObject[], others: readonly CataloguedObject[]) =>
  objects.filter(({ id }) => !others.some((other) => other.id === id));

/** In the archive alone. Rejects if they are not in the archive that is configured. */
const readDropped = async ({ pool, store }: QueryContext, range: TimeRange): Promise<readonly CataloguedObject[]> => {
  const objects = (await readCatalogue(pool)).filter(
    ({ kind, droppedAt, month }) => kind === 'events' && droppedAt !== null && meetsRange(month, range),
  );
  const elsewhere = objects.find(({ archive }) => archive !== store?.name);
  if (elsewhere === undefined) return objects;
  const setting = store === undefined ? 'ORGTRAIL_ARCHIVE is not set' : `ORGTRAIL_ARCHIVE is ${store.name}`;
  throw new OrgtrailError('usage', `${elsewhere.month} is in the archive ${elsewhere.archive}, and ${setting}`, {
    hint: 'set it as the daemon has it, or leave that month out with --since and --before',
  });
};

/** Copies objects to files that only this process writes, each proven by its SHA-256. Rejects with OrgtrailError `archive_unreadable`. */
const fetch = async (
  { store, observer, signal }: QueryContext,
  objects: readonly CataloguedObject[],
  directory: string,
): Promise<readonly string[]> => {
  if (store === undefined || objects.length === 0) return [];
  const all = sumOf(objects, 'bytes');
  await requireRoom(directory, all, `${objects.length} objects of the archive`);
  const files: string[] = [];
  let bytes = 0;
  for (const object of objects) {
    signal?.throwIfAborted();
    const file = join(directory, `archived-${object.id}.parquet`);
    await fetchOne(store, object, file, signal);
    files.push(file);
    bytes += object.bytes;
    observer?.fetched?.(bytes, all);
  }
  return files;
};

const timesOf = ({ sinceMs, beforeMs }: TimeRange) => {
  const instant = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString());
  return { since: instant(sinceMs), before: instant(beforeMs) };
};

const requireSame = (before: readonly DroppedMonth[], after: readonly DroppedMonth[]): void => {
  const lost = after.find(({ month, events }) => events !== before.find((gone) => gone.month === month)?.events);
  if (lost === undefined) return;
  throw new OrgtrailError('source_failed', `${lost.month} was dropped without an archive while it was read`, {
    hint: 'repeat the query',
  });
};

const summaryOf = (objects: readonly CataloguedObject[]) => ({
  months: [...new Set(objects.map(({ month }) => month))],
  objects: objects.length,
  bytes: sumOf(objects, 'bytes'),
  archivedEvents: sumOf(objects, 'events'),
});

const sumOf = (objects: readonly CataloguedObject[], field: 'bytes' | 'events'): number =>
  objects.reduce((sum, object) => sum + object[field], 0);

const USABLE_SHARE = 0.8;

const fetchOne = async (
  store: ObjectStore,
  object: CataloguedObject,
  file: string,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const outcome = await readObject(store, object, signal).catch((error: unknown) => {
    signal?.throwIfAborted();
    if (!isStorageFault(error)) throw error;
    throw new OrgtrailError(
      'archive_unreadable',
      `the archive cannot be read: ${object.key} in ${store.name}: ${reasonOf(error)}`,
      { hint: 'docs/archive.md says which rights the key needs', cause: error },
    );
  });
  if ('fault' in outcome) {
    throw new OrgtrailError(
      'archive_unreadable',
      `an object of the archive cannot be believed: ${object.key} in ${store.name}: ${outcome.fault}`,
      { hint: '`orgtrail archive verify` says what else is wrong; --since and --before leave months out' },
    );
  }
  await writeFile(file, outcome.bytes, { mode: 0o600 });
};

const usableBytes = async (directory: string): Promise<number> => {
  const { bavail, bsize } = await statfs(directory);
  return Math.floor(bavail * bsize * USABLE_SHARE);
};

/** Rejects with OrgtrailError `usage` if there is none. */
const requireRoom = async (directory: string, bytes: number, what: string): Promise<void> => {
  const usable = await usableBytes(directory);
  if (bytes <= usable) return;
  const inMegabytes = (count: number) => Math.ceil(count / 1_000_000).toLocaleString('en');
  throw new OrgtrailError(
    'usage',
    `${what} take ${inMegabytes(bytes)} MB of the temporary directory, which has ${inMegabytes(usable)} MB to give`,
    { hint: 'ask for a shorter time with --since and --before, or set TMPDIR to a larger disk' },
  );
};
