import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Files that are written once and never again, by paths with `/`. */
export interface WriteOnceFiles {
  /** What is `kept` outlives a crash of the machine. */
  put(path: string, bytes: Uint8Array): Promise<PutResult>;
  /** The names in a folder that have twenty digits, the largest first, so many at most; none if there is no such folder. */
  newestNumbers(folder: string, most: number): Promise<readonly string[]>;
  /** All of them, in any order. */
  allNumbers(folder: string): Promise<readonly string[]>;
  read(path: string): Promise<Buffer>;
}

export interface PutResult {
  /** `other`: there is such a file, and it has other bytes. */
  readonly outcome: 'kept' | 'same' | 'other';
  /** What the storage answered: the version. */
  readonly receipt?: Buffer;
}

const READ_ONLY = 0o444;

/** Files below a directory, which must exist: one that is not mounted must not be mistaken for an empty one. */
export const filesIn = (directory: string): WriteOnceFiles => ({
  put: async (path, bytes) => {
    await (await open(directory, 'r')).close();
    const file = join(directory, path);
    await mkdir(dirname(file), { recursive: true });
    return { outcome: await putFile(file, bytes) };
  },
  newestNumbers: async (folder, most) => (await numbersIn(directory, folder)).toSorted().slice(-most).toReversed(),
  allNumbers: (folder) => numbersIn(directory, folder),
  read: (path) => readFile(join(directory, path)),
});

const numbersIn = async (directory: string, folder: string): Promise<string[]> => {
  await (await open(directory, 'r')).close();
  const names = await readdir(join(directory, folder)).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => /^\d{20}$/.test(name));
};

const putFile = async (file: string, bytes: Uint8Array): Promise<'kept' | 'same' | 'other'> => {
  const there = await readIfThere(file);
  if (there !== undefined) return there.equals(bytes) ? 'same' : 'other';
  // Never half a file by its name: the name appears once all of it is on the disk.
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    await writeThrough(temporary, bytes);
    await link(temporary, file);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    return (await readFile(file)).equals(bytes) ? 'same' : 'other';
  } finally {
    await rm(temporary, { force: true });
  }
  await syncDirectory(dirname(file));
  return 'kept';
};

const readIfThere = async (file: string): Promise<Buffer | undefined> =>
  await readFile(file).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });

const writeThrough = async (file: string, bytes: Uint8Array): Promise<void> => {
  const handle = await open(file, 'wx', READ_ONLY);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
};

const syncDirectory = async (directory: string): Promise<void> => {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);
