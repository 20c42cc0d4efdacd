import { statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OrgtrailError, reasonOf } from '../../errors.ts';
import type { CataloguedObject } from '../catalogue.sql.ts';
import { readObject } from '../read-object.ts';
import { isStorageFault } from '../store/object-store.ts';
import type { ObjectStore } from '../store/ports.ts';

export interface FetchOptions {
  readonly directory: string;
  /** Called with the bytes so far. */
  readonly onBytes: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What of the free disk a query may take. */
const USABLE_SHARE = 0.8;

/** Copies objects to files that only this process writes, each proven by its SHA-256. Rejects with OrgtrailError `archive_unreadable`. */
export const fetchObjects = async (
  store: ObjectStore,
  objects: readonly CataloguedObject[],
  { directory, onBytes, signal }: FetchOptions,
): Promise<readonly string[]> => {
  const files: string[] = [];
  let bytes = 0;
  for (const object of objects) {
    signal?.throwIfAborted();
    const file = join(directory, `archived-${object.id}.parquet`);
    await fetchOne(store, object, file, signal);
    files.push(file);
    bytes += object.bytes;
    onBytes(bytes);
  }
  return files;
};

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

/** What may still be written into the directory. */
export const usableBytes = async (directory: string): Promise<number> => {
  const { bavail, bsize } = await statfs(directory);
  return Math.floor(bavail * bsize * USABLE_SHARE);
};

/** Rejects with OrgtrailError `usage` if there is no room for so many bytes. */
export const requireRoom = async (directory: string, bytes: number, what: string): Promise<void> => {
  const usable = await usableBytes(directory);
  if (bytes <= usable) return;
  const inMegabytes = (count: number) => Math.ceil(count / 1_000_000).toLocaleString('en');
  throw new OrgtrailError(
    'usage',
    `${what} take ${inMegabytes(bytes)} MB of the temporary directory, which has ${inMegabytes(usable)} MB to give`,
    { hint: 'ask for a shorter time with --since and --before, or set TMPDIR to a larger disk' },
  );
};
