import { join } from 'node:path';
import type { ArchiveContext, ObjectLimits } from '../ports.ts';
import { withDirectory } from '../temporary-directory.ts';
import { type Wanted, writeLines } from './object-lines.ts';
import { catalogueObject, type ObjectFile, storeObject, writeObject } from './write-object.ts';

/** What is held in memory and in the temporary directory at once depends on it. */
export const objectLimits: ObjectLimits = { maxRows: 1_000_000, maxTextBytes: 112 * 1_048_576 };

/**
 * Writes all rows between two positions as objects, in order, reads each back from the storage, and catalogues it, whereby the database
 * compares what was read back with what it holds. Returns how many. Rejects if what was read back is anything else: neither that object nor
 * one behind it is in the catalogue then.
 *
 * Two objects are at work at once, in two steps by turns: an object is sent and read back while the rows of the next one are copied, and
 * compared by the database while the next one becomes Parquet. So there are never the bytes of two of them, or two of DuckDB.
 */
export const writeObjects = async (
  context: ArchiveContext,
  wanted: Omit<Wanted, 'limits'>,
  signal?: AbortSignal,
): Promise<number> =>
  await withDirectory(async (directory) => {
    const { limits = objectLimits } = context;
    let [written, after] = [0, wanted.between.after];
    let object: ObjectFile | undefined;
    do {
      signal?.throwIfAborted();
      const next = { ...wanted, between: { ...wanted.between, after }, limits };
      const [stored, lines] = await both(
        object && storeObject(context, object, directory, signal),
        writeLines(context, next, join(directory, 'rows.ndjson'), signal),
      );
      const [, nextObject] = await both(
        stored && catalogueObject(context, stored),
        lines && writeObject(context, lines, directory),
      );
      if (stored !== undefined) written += 1;
      object = nextObject;
      after = lines?.lastPosition ?? after;
    } while (object !== undefined);
    return written;
  });

/** Waits for both also if one fails: neither may be at work on files that are removed meanwhile. */
const both = async <One, Other>(
  one: Promise<One> | undefined,
  other: Promise<Other> | undefined,
): Promise<[One | undefined, Other | undefined]> => {
  await Promise.allSettled([one, other]);
  return [await one, await other];
};
