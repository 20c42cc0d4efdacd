import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ArchiveTarget } from '../archive-address.ts';
import type { ObjectStore } from './ports.ts';

type Directory = Extract<ArchiveTarget, { kind: 'file' }>;

/** Files below a directory, which must exist: one that is not mounted must not be mistaken for an empty one. */
export const objectsInDirectory = ({ name, directory }: Directory): ObjectStore => ({
  name,
  put: async (key, bytes) => {
    await requireDirectory(directory);
    const file = join(directory, key);
    await mkdir(dirname(file), { recursive: true });
    await replaceFile(file, bytes);
    return { versionId: undefined, lockedUntilMs: undefined };
  },
  get: async (key) => {
    await requireDirectory(directory);
    try {
      return await readFile(join(directory, key));
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  },
  getRange: async (key, { from, to }) => {
    await requireDirectory(directory);
    const bytes = Buffer.allocUnsafeSlow(to - from);
    try {
      await using file = await open(join(directory, key), 'r');
      const { bytesRead } = await file.read(bytes, 0, bytes.length, from);
      return bytesRead === bytes.length ? bytes : undefined;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  },
  close: async () => {},
});

const requireDirectory = async (directory: string): Promise<void> => {
  try {
    await (await open(directory, 'r')).close();
  } catch (error) {
    if (!isMissing(error)) throw error;
    // It stays what it is to others: a fault of the disk.
    throw Object.assign(error, {
      message: 'the directory does not exist (ENOENT): make it, or mount the disk that it is on',
    });
  }
};

const isMissing = (error: unknown): error is Error =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT';

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
