import { type BucketOptions, openBucket } from '../../s3/s3-bucket.ts';
import { S3Fault } from '../../s3/s3-fault.ts';
import type { ArchiveTarget } from '../archive-address.ts';
import { DirectoryFault, objectsInDirectory } from './directory-store.ts';
import type { ObjectStore } from './ports.ts';

/** What signs the requests, unless the address of the bucket names a file. */
export type ArchiveKeys = Pick<BucketOptions, 'accessKey' | 'secretKey' | 'environment'>;

/** An object has tens of megabytes; a slow line takes its time. */
const TIMEOUT_MS = 300_000;
const MAX_BYTES = 1_073_741_824;

/** What the bucket or the directory says: for the operator, and no fault of orgtrail's. */
export const isStorageFault = (error: unknown): error is S3Fault | DirectoryFault =>
  error instanceof S3Fault || error instanceof DirectoryFault;

/** Nothing is connected or read yet. Throws OrgtrailError `configuration` for a ca_file that cannot be read. */
export const openObjectStore = (target: ArchiveTarget, keys: ArchiveKeys): ObjectStore => {
  if (target.kind === 'file') return objectsInDirectory(target);
  const bucket = openBucket(target.address, { ...keys, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES });
  const { lockMs } = target.address;
  return {
    name: target.name,
    put: async (key, bytes, signal) => {
      const lockedUntilMs = lockMs === undefined ? undefined : Date.now() + lockMs;
      const lock = lockedUntilMs === undefined ? {} : { lockedUntilMs };
      const { versionId } = await bucket.put(key, bytes, lock, signal);
      return { versionId, lockedUntilMs };
    },
    get: async (key, signal) => (await bucket.get(key, undefined, signal))?.bytes,
    getRange: async (key, range, signal) => {
      try {
        return (await bucket.get(key, range, signal))?.bytes;
      } catch (error) {
        // Of a bucket that is there and lets it be read: it is too short, or the storage has no ranges.
        if (error instanceof S3Fault && error.kind === 'other') return undefined;
        throw error;
      }
    },
    close: () => bucket.close(),
  };
};
