import { rmSync } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OrgtrailError, reasonOf } from '../errors.ts';
import { DirectoryFault } from './store/directory-store.ts';

const PREFIX = 'orgtrail-archive-';
const LEFT_OVER_MS = 86_400_000;

/**
 * Lends a directory for the time of `use`. What processes that were killed have left there is removed a day later. Rejects with OrgtrailError
 * `configuration` if there is none to write to, or no room is left while it is used.
 */
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

/** DuckDB has no codes. An archive in a directory that is full says so itself. */
const isFull = (error: unknown): boolean =>
  !(error instanceof DirectoryFault) && /ENOSPC|EDQUOT|No space left on device/.test(reasonOf(error));

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
