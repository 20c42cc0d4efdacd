import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PREFIX = 'orgtrail-archive-';
const LEFT_OVER_MS = 86_400_000;

/** Lends a directory for the time of `use`. What processes that were killed have left there is removed a day later. */
export const withDirectory = async <T>(use: (directory: string) => Promise<T>): Promise<T> => {
  await removeLeftOvers();
  const directory = await mkdtemp(join(tmpdir(), PREFIX));
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};

const removeLeftOvers = async (): Promise<void> => {
  const names = (await readdir(tmpdir())).filter((name) => name.startsWith(PREFIX));
  for (const name of names) {
    const path = join(tmpdir(), name);
    const found = await stat(path).catch(() => undefined);
    // Another account's stay.
    if (found !== undefined && Date.now() - found.mtimeMs > LEFT_OVER_MS) {
      await rm(path, { recursive: true, force: true }).catch(() => {});
    }
  }
};
