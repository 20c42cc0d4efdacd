import { S3Fault } from '../../base/s3/errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import { readCatalogue, readFeedId } from '../catalogue.sql.ts';
import { type ObjectKind, objectKinds } from '../columns.ts';
import { findObject, readObject } from '../manifest.ts';
import type { ObjectStore } from '../store.ts';
import { learnBounds } from '../verify-archive.ts';
import {
  noteSnapshot,
  readUnwritten,
  readWritten,
  renumberSnapshots,
  type TableOf,
  takeSnapshot,
} from './snapshots.sql.ts';
import { hintKeyOf, metadataKeyOf, type TableFile, tableFilesOf } from './table-files.ts';

export interface TableContext {
  readonly pool: Pool;
  readonly store: ObjectStore;
  /** The address of the archive as other engines name it: paths in the table begin with it. */
  readonly tableBase: string;
  /** Another database has written that number into the same bucket, such as the one that this is a copy of. */
  readonly onForeign?: (kind: ObjectKind, number: number, instead: number) => void;
}

export interface WrittenTable {
  readonly kind: ObjectKind;
  readonly snapshot: number;
  /** Written by this call. */
  readonly snapshots: number;
  readonly objects: number;
  readonly rows: number;
  readonly metadata: string;
}

/**
 * Brings the Iceberg tables over the objects up to the catalogue. PostgreSQL gives the numbers; each file is a function of the catalogue, so any
 * number of processes may write at once, and one that is killed leaves the old or the new state, which the next call completes. Nothing here ever
 * decides by these files.
 */
export const writeTables = async (context: TableContext, signal?: AbortSignal): Promise<readonly WrittenTable[]> => {
  const feedId = await readFeedId(context.pool);
  const tables: WrittenTable[] = [];
  for (const kind of objectKinds) {
    const of: TableOf = { archive: context.store.name, kind };
    await takeSnapshot(context.pool, of, context.tableBase);
    let snapshots = 0;
    while (await writeNext(context, of, feedId, signal)) snapshots += 1;
    const written = await writeHint(context, of, feedId, signal);
    if (written !== undefined) tables.push({ ...written, kind, snapshots });
  }
  return tables;
};

/** Whether there was one to write. */
const writeNext = async (
  context: TableContext,
  of: TableOf,
  feedId: string,
  signal: AbortSignal | undefined,
): Promise<boolean> => {
  const { pool, store, onForeign } = context;
  signal?.throwIfAborted();
  const snapshot = await readUnwritten(pool, of);
  if (snapshot === undefined) return false;
  const { number } = snapshot;
  const before = (await readWritten(pool, of)).filter((each) => each.number < number);
  const { files, entry, manifests } = tableFilesOf(of.kind, feedId, snapshot, before);
  for (const file of files) {
    if (await putOnce(store, file, signal)) continue;
    if (file !== files.at(-1))
      throw new Error(`${file.key} has other bytes than those that were written to ${store.name}`);
    let free = number + 1;
    while ((await findObject(store, metadataKeyOf(of.kind, feedId, free), signal)) !== undefined) free += 1;
    await renumberSnapshots(pool, of, number, free);
    onForeign?.(of.kind, number, free);
    return true;
  }
  await noteSnapshot(pool, of, { number, entry, manifests });
  return true;
};

/** False: it has other bytes. What is there is never replaced. */
const putOnce = async (store: ObjectStore, { key, bytes }: TableFile, signal?: AbortSignal): Promise<boolean> => {
  const found = await findObject(store, key, signal);
  if (found !== undefined) return found.equals(bytes);
  try {
    await store.put(key, bytes, signal, { once: true });
    return true;
  } catch (error) {
    if (!(error instanceof S3Fault && error.kind === 'exists')) throw error;
    return (await findObject(store, key, signal))?.equals(bytes) === true;
  }
};

/** The database is read again after writing: the last of several writers leaves the newest number. */
const writeHint = async (
  { pool, store, tableBase }: TableContext,
  of: TableOf,
  feedId: string,
  signal?: AbortSignal,
) => {
  const key = hintKeyOf(of.kind, feedId);
  for (let hinted: number | undefined; ; ) {
    const last = (await readWritten(pool, of)).at(-1);
    if (last === undefined) return undefined;
    const { number: snapshot, entry } = last;
    if (hinted === snapshot) {
      const summary = entry['summary'] as Readonly<Record<string, string>>;
      const [objects, rows] = [Number(summary['total-data-files']), Number(summary['total-records'])];
      return { snapshot, objects, rows, metadata: `${tableBase}/${metadataKeyOf(of.kind, feedId, snapshot)}` };
    }
    const text = Buffer.from(String(snapshot));
    if ((await findObject(store, key, signal))?.equals(text) !== true) await store.put(key, text, signal);
    hinted = snapshot;
  }
};

/** Of objects of earlier versions, before they are in the table; afterwards what the table says of them is fixed. Returns faults by key. */
export const learnMissingBounds = async (
  { pool, store }: Pick<TableContext, 'pool' | 'store'>,
  signal?: AbortSignal,
): Promise<readonly { readonly key: string; readonly fault: string }[]> => {
  const faults: { key: string; fault: string }[] = [];
  for (const object of await readCatalogue(pool)) {
    if (object.hasBounds || object.archive !== store.name) continue;
    signal?.throwIfAborted();
    const outcome = await readObject(store, object, signal);
    if ('fault' in outcome) faults.push({ key: object.key, fault: outcome.fault });
    else await learnBounds(pool, object, outcome.bytes);
  }
  return faults;
};
