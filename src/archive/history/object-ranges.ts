import { OrgtrailError, reasonOf } from '../../errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import { noteBlocks, noteRead } from '../catalogue.sql.ts';
import { readObject } from '../read-object.ts';
import { isStorageFault } from '../store/object-store.ts';
import type { ByteRange, ObjectStore } from '../store/ports.ts';
import { blocksAround, hashBlocks, haveHashes } from './blocks.ts';
import { type HistoryObject, readBlocks } from './history-objects.sql.ts';
import { RecentlyUsed } from './recently-used.ts';

/** Reads parts of objects. */
export interface ObjectRanges {
  /** Rejects with OrgtrailError `archive_unreadable` unless they are bytes of the object that was compared with the database. */
  read(object: HistoryObject, range: ByteRange, signal?: AbortSignal): Promise<Buffer>;
}

const MAX_BLOCK_LISTS = 200;

/** Parts are believed by the hashes of their blocks. If the storage gives no parts, or others, the object is read whole, and kept until another one is. */
export const createObjectRanges = (pool: Pool, store: ObjectStore): ObjectRanges => {
  const blocksOf = new RecentlyUsed<number, Buffer | undefined>(MAX_BLOCK_LISTS);
  const wholes = new RecentlyUsed<number, Buffer>(1);
  const whole = (object: HistoryObject) => wholes.get(object.id, () => readWhole(pool, store, object, blocksOf));
  let givesRanges = true;
  return {
    read: async (object, range, signal) => {
      if (object.archive !== store.name) {
        throw unreadable(`${object.key} is in the archive ${object.archive}, and ORGTRAIL_ARCHIVE is ${store.name}`);
      }
      try {
        const blocks = await blocksOf.get(object.id, () => readBlocks(pool, object.id));
        if (blocks !== undefined && givesRanges) {
          const around = blocksAround(range, object.bytes);
          const bytes = await store.getRange(object.key, around, signal);
          if (bytes?.length === around.to - around.from && haveHashes(bytes, around.from, blocks)) {
            return bytes.subarray(range.from - around.from, range.to - around.from);
          }
        }
        const bytes = await whole(object);
        // The object is as it must be, so the storage is not.
        if (blocks !== undefined) givesRanges = false;
        return bytes.subarray(range.from, range.to);
      } catch (error) {
        signal?.throwIfAborted();
        throw inWords(error, store, object);
      }
    },
  };
};

/** Notes what was found: that it has a fault, or the hashes of its blocks. An account that may note nothing reads nevertheless. */
const readWhole = async (
  pool: Pool,
  store: ObjectStore,
  object: HistoryObject,
  blocksOf: RecentlyUsed<number, Buffer | undefined>,
): Promise<Buffer> => {
  const outcome = await readObject(store, object);
  if ('fault' in outcome) {
    await noteRead(pool, object.id, { fault: outcome.fault }).catch(() => {});
    throw unreadable(`${object.key} in ${store.name}: ${outcome.fault}`);
  }
  const blocks = hashBlocks(outcome.bytes);
  const known = await blocksOf.get(object.id, async () => undefined);
  if (known === undefined) {
    await noteBlocks(pool, object, blocks).catch(() => {});
    blocksOf.set(object.id, blocks);
  }
  return outcome.bytes;
};

const unreadable = (what: string): OrgtrailError =>
  new OrgtrailError('archive_unreadable', `an object of the archive cannot be believed: ${what}`, {
    hint: '`orgtrail archive verify` says what else is wrong; docs/archive.md says what to do',
  });

/** What the storage or the disk refuses. What the database refuses is left as it is. */
const inWords = (error: unknown, store: ObjectStore, { key }: HistoryObject): unknown => {
  if (!isStorageFault(error)) return error;
  return new OrgtrailError(
    'archive_unreadable',
    `the archive cannot be read: ${key} in ${store.name}: ${reasonOf(error)}`,
    {
      cause: error,
    },
  );
};
