import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { reasonOf } from '../../errors.ts';
import type { ArchiveTarget } from '../archive-address.ts';
import type { ObjectStore } from './ports.ts';

type Directory = Extract<ArchiveTarget, { kind: 'file' }>;

/** A directory is not there, full, read-only, or of another account. The message says which. */
export class DirectoryFault extends Error {
  override readonly name = 'DirectoryFault';
}

/** Files below a directory, which must exist: one that is not mounted must not be mistaken for an empty one. Rejects with DirectoryFault. */
export const objectsInDirectory = ({ name, directory }: Directory): ObjectStore => ({
  name,
  put: (key, bytes) =>
    inDirectory(directory, async () => {
      // Of a disk that is read-only `mkdir` says that something is missing.
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

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

const ifThere = async <T>(read: () => Promise<T>): Promise<T | undefined> => {
  try {
    return await read();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
};

/** A pipe or a device in its place would let a reader wait without end. */
const openFile = async (path: string): Promise<FileHandle> => {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new Error(`${path} is not a file`);
};

/** Never half a file by its name: the name appears once all of it is on the disk. */
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
