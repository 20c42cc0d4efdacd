import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { OrgtrailError } from '../../errors.ts';
import { MAX_ZIP_BYTES, writeZip } from '../../search/bundle/zip.ts';

/** Whether this is to be one file. */
export const isZip = (path: string): boolean => path.toLowerCase().endsWith('.zip');

/** Throws OrgtrailError `usage` if there is something of this name. */
export const requireNoFile = (file: string): void => {
  if (existsSync(file))
    throw new OrgtrailError('usage', `${file} exists already`, { hint: 'name a file that does not exist yet' });
};

/**
 * Writes the files of a folder (it has no folders in it) to a zip, in which they are below one folder of its name. It gets its name at the end.
 * Throws OrgtrailError `usage` if they are too large for one.
 */
export const zipFolder = async (folder: string, file: string, atMs: number, signal: AbortSignal): Promise<void> => {
  const names = readdirSync(folder).sort();
  const bytes = names.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  // Content that does not shrink grows by a few bytes, and headers come on top.
  if (bytes > MAX_ZIP_BYTES * 0.99) {
    throw new OrgtrailError('usage', `${Math.ceil(bytes / 2 ** 30)} GiB are too large for a zip`, {
      hint: 'name a folder, or search less time',
    });
  }
  const target = resolve(file);
  const root = basename(target).slice(0, -'.zip'.length);
  const unfinished = join(dirname(target), `.${basename(target)}.unfinished-${randomBytes(4).toString('hex')}`);
  const entries = names.map((name) => ({
    name: `${asciiOf(root)}/${name}`,
    pieces: { [Symbol.asyncIterator]: () => createReadStream(join(folder, name))[Symbol.asyncIterator]() },
  }));
  try {
    await pipeline(writeZip(entries, atMs), createWriteStream(unfinished, { flags: 'wx', mode: 0o600 }), { signal });
    requireNoFile(target);
    renameSync(unfinished, target);
  } finally {
    rmSync(unfinished, { force: true });
  }
};

/** The form has no encoding of its own for other names. */
const asciiOf = (name: string): string => name.replaceAll(/[^\w.-]/g, '_') || 'bundle';
