import { createHash } from 'node:crypto';
import { OrgtrailError, reasonOf } from '../../base/errors.ts';
import type { Pool } from '../../postgres/pool.ts';
import { noteBlocks, noteRead } from '../catalogue.sql.ts';
import { readObject } from '../manifest.ts';
import { type ByteRange, isStorageFault, type ObjectStore } from '../store.ts';
import { type HistoryObject, readBlocks } from './history-objects.sql.ts';

export type ObjectRanges = ReturnType<typeof createObjectRanges>;

const MAX_BLOCK_LISTS = 200;

/**
 * Reads parts of objects, which are believed by the hashes of their blocks. If the storage gives no parts, or others, the object is read whole, and
 * kept until another one is. Rejects with OrgtrailError `archive_unreadable` unless they are bytes of the object that was compared with the database.
 */
export const createObjectRanges = (pool: Pool, store: ObjectStore) => {
  const blocksOf = new RecentlyUsed<number, Buffer | undefined>(MAX_BLOCK_LISTS);
  const wholes = new RecentlyUsed<number, Buffer>(1);
  const whole = (object: HistoryObject) => wholes.get(object.id, () => readWhole(pool, store, object, blocksOf));
  let givesRanges = true;
  return {
    read: async (object: HistoryObject, range: ByteRange, signal?: AbortSignal): Promise<Buffer> => {
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

/** Notes a fault, or the hashes of the blocks. An account that may note nothing reads nevertheless. */
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

/** What the database refuses is left as it is. */
const inWords = (error: unknown, store: ObjectStore, { key }: HistoryObject): unknown => {
  if (!isStorageFault(error)) return error;
  const reason = `the archive cannot be read: ${key} in ${store.name}: ${reasonOf(error)}`;
  return new OrgtrailError('archive_unreadable', reason, { cause: error });
};

/** Of a block, which has a hash of its own: as in drizzle/schema/archive.sql. */
const BLOCK_BYTES = 262_144;
const HASH_BYTES = 32;

export const hashBlocks = (bytes: Uint8Array): Buffer => {
  const hashes: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES)
    hashes.push(
      createHash('sha256')
        .update(bytes.subarray(at, at + BLOCK_BYTES))
        .digest(),
    );
  return Buffer.concat(hashes);
};

const blocksAround = ({ from, to }: ByteRange, sizeBytes: number): ByteRange => ({
  from: from - (from % BLOCK_BYTES),
  to: Math.min(sizeBytes, Math.ceil(to / BLOCK_BYTES) * BLOCK_BYTES),
});

/** `bytes` begin with a block. */
const haveHashes = (bytes: Uint8Array, from: number, blocks: Buffer): boolean => {
  const first = (from / BLOCK_BYTES) * HASH_BYTES;
  const hashes = hashBlocks(bytes);
  return hashes.equals(blocks.subarray(first, first + hashes.length));
};

/** Those who ask at the same time share one making; one that fails is not kept. */
export class RecentlyUsed<K, V> {
  readonly #entries = new Map<K, { readonly value: Promise<V>; weight: number }>();
  readonly #maxWeight: number;
  readonly #weigh: (value: V) => number;

  /** One entry always stays, however much it weighs. */
  constructor(maxWeight: number, weigh: (value: V) => number = () => 1) {
    this.#maxWeight = maxWeight;
    this.#weigh = weigh;
  }

  get(key: K, make: () => Promise<V>): Promise<V> {
    const found = this.#entries.get(key);
    if (found !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, found);
      return found.value;
    }
    const entry = { value: make(), weight: 0 };
    this.#entries.set(key, entry);
    entry.value.then(
      (value) => {
        entry.weight = this.#weigh(value);
        this.#trim();
      },
      () => {
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
      },
    );
    return entry.value;
  }

  set(key: K, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value: Promise.resolve(value), weight: this.#weigh(value) });
    this.#trim();
  }

  #trim(): void {
    let weight = 0;
    for (const entry of this.#entries.values()) weight += entry.weight;
    for (const [key, entry] of this.#entries) {
      if (weight <= this.#maxWeight || this.#entries.size === 1) return;
      weight -= entry.weight;
      this.#entries.delete(key);
    }
  }
}
