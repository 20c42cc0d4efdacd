import { randomUUID } from 'node:crypto';
import { constants, rmSync } from 'node:fs';
import { access, type FileHandle, mkdir, mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { codeOf, OrgtrailError, reasonOf } from '../base/errors.ts';
import { parseS3Address, type S3Address } from '../base/s3/address.ts';
import { type BucketOptions, openBucket } from '../base/s3/bucket.ts';
import { S3Fault } from '../base/s3/errors.ts';

/** They sign requests, unless the address of the bucket names a file. */
export type ArchiveKeys = Pick<BucketOptions, 'accessKey' | 'secretKey' | 'environment'>;

/** For an object of tens of megabytes on a slow line. */
const TIMEOUT_MS = 300_000;
const MAX_BYTES = 1_073_741_824;

/** By the bucket or the directory: for the operator, no fault of orgtrail's. */
export const isStorageFault = (error: unknown): error is S3Fault | DirectoryFault =>
  error instanceof S3Fault || error instanceof DirectoryFault;

/** Nothing is connected or read yet. Throws OrgtrailError `configuration` for a ca_file that cannot be read. */
export const openObjectStore = (target: ArchiveTarget, keys: ArchiveKeys): ObjectStore => {
  if (target.kind === 'file') return objectsInDirectory(target);
  const bucket = openBucket(target.address, { ...keys, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES });
  const { lockMs } = target.address;
  return {
    name: target.name,
    put: async (key, bytes, signal, once = {}) => {
      const lockedUntilMs = lockMs === undefined ? undefined : Date.now() + lockMs;
      const lock = lockedUntilMs === undefined ? {} : { lockedUntilMs };
      const { versionId } = await bucket.put(key, bytes, { ...lock, ...once }, signal);
      return { versionId, lockedUntilMs };
    },
    get: async (key, signal) => (await bucket.get(key, undefined, signal))?.bytes,
    getRange: async (key, range, signal) => {
      try {
        return (await bucket.get(key, range, signal))?.bytes;
      } catch (error) {
        // The bucket can be read: the object is too short, or the storage has no ranges.
        if (error instanceof S3Fault && error.kind === 'other') return undefined;
        throw error;
      }
    },
    close: () => bucket.close(),
  };
};

/** The message says whether the directory is not there, full, read-only, or of another account. */
export class DirectoryFault extends Error {
  override readonly name = 'DirectoryFault';
}

/** The directory must exist: one that is not mounted must not be mistaken for an empty one. Rejects with DirectoryFault. */
export const objectsInDirectory = ({ name, directory }: Extract<ArchiveTarget, { kind: 'file' }>): ObjectStore => ({
  name,
  put: (key, bytes) =>
    inDirectory(directory, async () => {
      // On a read-only disk `mkdir` would say that something is missing.
      await access(directory, constants.W_OK);
      const file = join(directory, key);
      await mkdir(dirname(file), { recursive: true });
      await replaceFile(file, bytes);
      return { versionId: undefined, lockedUntilMs: undefined };
    }),
  get: (key) =>
    inDirectory(directory, () =>
      ifThere(async () => {
        await using file = await openFile(join(directory, key));
        return await file.readFile();
      }),
    ),
  getRange: (key, { from, to }) =>
    inDirectory(directory, () =>
      ifThere(async () => {
        const bytes = Buffer.allocUnsafeSlow(to - from);
        await using file = await openFile(join(directory, key));
        const { bytesRead } = await file.read(bytes, 0, bytes.length, from);
        return bytesRead === bytes.length ? bytes : undefined;
      }),
    ),
  close: async () => {},
});

const inDirectory = async <T>(directory: string, use: () => Promise<T>): Promise<T> => {
  try {
    await (await open(directory, 'r')).close();
    return await use();
  } catch (error) {
    throw new DirectoryFault(wordsOf(codeOf(error), reasonOf(error)), { cause: error });
  }
};

const wordsOf = (code: unknown, reason: string): string => {
  if (code === 'ENOENT') return 'the directory does not exist: make it, or mount the disk that it is on';
  return code === 'ENOSPC' || code === 'EDQUOT' ? `the disk or the quota of the directory is full: ${reason}` : reason;
};

const ifThere = async <T>(read: () => Promise<T>): Promise<T | undefined> => {
  try {
    return await read();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
};

/** A pipe or a device would let a reader wait without end. */
const openFile = async (path: string): Promise<FileHandle> => {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new Error(`${path} is not a file`);
};

/** The name appears once the whole file is on the disk. */
const replaceFile = async (file: string, bytes: Uint8Array): Promise<void> => {
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    const handle = await open(temporary, 'wx');
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    const folder = await open(dirname(file), 'r');
    await folder.sync().finally(() => folder.close());
  } finally {
    await rm(temporary, { force: true });
  }
};

/** `to` is exclusive. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** As the storage says. */
export interface PutReceipt {
  readonly versionId: string | undefined;
  /** Until then it can be neither changed nor deleted, if the address asks for that. */
  readonly lockedUntilMs: number | undefined;
}

/** Below the address of an archive. Nothing here deletes any. */
export interface ObjectStore {
  readonly name: string;
  /** `once`: a storage that can refuses to replace an object. */
  put(key: string, bytes: Uint8Array, signal?: AbortSignal, once?: { readonly once?: boolean }): Promise<PutReceipt>;
  /** In one request: some storages answer a range with other bytes. Undefined: there is none. */
  get(key: string, signal?: AbortSignal): Promise<Buffer | undefined>;
  /** To be compared: some storages answer with other bytes. Undefined: there is none, or it has no such bytes, or the storage gives no ranges. */
  getRange(key: string, range: ByteRange, signal?: AbortSignal): Promise<Buffer | undefined>;
  close(): Promise<void>;
}

/** As ORGTRAIL_ARCHIVE names it. */
export type ArchiveTarget =
  | { readonly kind: 's3'; readonly name: string; readonly address: S3Address }
  /** `name`: in the database and in messages; the path is absolute. */
  | { readonly kind: 'file'; readonly name: string; readonly directory: string };

/** Else why the text cannot be read, as the end of a sentence; nothing of it is repeated, since it may have a secret by mistake. */
export const parseArchive = (text: string): ArchiveTarget | string => {
  const trimmed = text.trim();
  if (trimmed.startsWith('s3:')) {
    const address = parseS3Address(trimmed);
    return typeof address === 'string' ? address : { kind: 's3', name: address.name, address };
  }
  const directory = /^file:(?:\/\/)?(\/[^/\0][^\0]*?)\/?$/.exec(trimmed)?.[1];
  if (directory === undefined) {
    return 'must be like s3://bucket/prefix, or like file:///mnt/archive with an absolute path';
  }
  return { kind: 'file', name: `file://${directory}`, directory };
};

/** How engines name the address: without endpoint and region. */
export const tableBaseOf = (target: ArchiveTarget): string => {
  if (target.kind === 'file') return target.name;
  const { bucket, prefix } = target.address;
  return `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`;
};

export const tableBaseFault = (text: string): string | undefined =>
  /^[a-z][a-z0-9+.-]*:\/\/[^\s?#]*[^\s?#/]$/.test(text)
    ? undefined
    : 'must be like gs://bucket/prefix, without a slash at its end';

const PREFIX = 'orgtrail-archive-';
const LEFT_OVER_MS = 86_400_000;

/** What killed processes leave is removed a day later. Rejects with OrgtrailError `configuration` if nothing can be written. */
export const withDirectory = async <T>(use: (directory: string) => Promise<T>): Promise<T> => {
  const directory = await makeDirectory();
  // A second signal, or a reader of the output that went away, ends the process at once.
  const removeAtExit = () => rmSync(directory, { recursive: true, force: true });
  process.once('exit', removeAtExit);
  try {
    return await use(directory);
  } catch (error) {
    throw isFull(error) ? unusable('no room is left for it', error) : error;
  } finally {
    process.off('exit', removeAtExit);
    await rm(directory, { recursive: true, force: true });
  }
};

const makeDirectory = async (): Promise<string> => {
  try {
    await removeLeftOvers();
    return await mkdtemp(join(tmpdir(), PREFIX));
  } catch (error) {
    throw unusable('the archive cannot write there', error);
  }
};

const unusable = (what: string, cause: unknown): OrgtrailError =>
  new OrgtrailError('configuration', `the temporary directory ${tmpdir()}: ${what}: ${reasonOf(cause)}`, {
    hint: 'TMPDIR must be a directory with 400 MB of room that orgtrail may write to; nothing was dropped',
    cause,
  });

/** DuckDB has no codes. The fault of a directory that is full says so itself. */
const isFull = (error: unknown): boolean =>
  !(error instanceof DirectoryFault) && /ENOSPC|EDQUOT|No space left on device/.test(reasonOf(error));

const removeLeftOvers = async (): Promise<void> => {
  const names = (await readdir(tmpdir())).filter((name) => name.startsWith(PREFIX));
  for (const name of names) {
    const path = join(tmpdir(), name);
    const found = await stat(path).catch(() => undefined);
    // Those of another account stay.
    if (found !== undefined && Date.now() - found.mtimeMs > LEFT_OVER_MS) {
      await rm(path, { recursive: true, force: true }).catch(() => {});
    }
  }
};
