import { createHash } from 'node:crypto';
import { closeSync, type Dirent, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { OrgtrailError } from '../../errors.ts';
import { type BundleReader, bundleFiles } from '../bundle/layout.ts';

/** A bundle in a folder. */
export interface FolderReader extends BundleReader {
  /** Where a path of the layout is: a file of payload may be packed. */
  fileOf(path: string): { readonly file: string; readonly isPacked: boolean };
}

export interface ReadFolderOptions {
  readonly signal?: AbortSignal | undefined;
  /** So many bytes have been hashed. */
  readonly onHashed?: (bytes: number) => void;
}

const PACKED = '.gz';
const PIECE_BYTES = 1_048_576;

/**
 * Opens a bundle. If it has a README.txt, hashes every file for the list in it, a piece at a time. Throws OrgtrailError `usage` for what
 * is no folder or cannot be read.
 */
export const openFolder = async (folder: string, options: ReadFolderOptions = {}): Promise<FolderReader> => {
  const { names, others } = contentsOf(folder);
  const nameOf = new Map([...names].map((name) => [pathOf(name, names), name]));
  const fileOf = (path: string) => {
    const name = nameOf.get(path) ?? path;
    return { file: join(folder, name), isPacked: name !== path };
  };
  const hashes = names.has(bundleFiles.readme) ? await hashAll(folder, names, options) : undefined;
  return {
    paths: [...nameOf.keys()],
    others,
    ...(hashes && { hashes }),
    fileOf,
    read: (path) => (nameOf.has(path) ? readFileSync(fileOf(path).file) : undefined),
  };
};

/** What a link leads to is not in the bundle, and a pipe may never end: only files are read. */
const contentsOf = (folder: string): { readonly names: ReadonlySet<string>; readonly others: readonly string[] } => {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    const namesOf = (some: readonly Dirent[]): string[] =>
      some.map(({ parentPath, name }) => relative(folder, join(parentPath, name)).replaceAll(sep, '/')).sort();
    // A name that is no UTF-8 has this in place of what it is, and leads to no file.
    const isFile = (entry: Dirent): boolean => entry.isFile() && !entry.name.includes('\u{fffd}');
    return {
      names: new Set(namesOf(entries.filter(isFile))),
      others: namesOf(entries.filter((entry) => !isFile(entry) && !entry.isDirectory())),
    };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new OrgtrailError('usage', `${folder} cannot be read as a folder (${code})`);
  }
};

/** Only payload and withheld leaves may be packed. If a file is there both ways, the packed one keeps its own name, which no leaf has. */
const pathOf = (name: string, names: ReadonlySet<string>): string => {
  const plain = name.slice(0, -PACKED.length);
  const isPacked = /^events\/(?:payload|withheld)\//.test(name) && name.endsWith(PACKED) && !names.has(plain);
  return isPacked ? plain : name;
};

const hashAll = async (
  folder: string,
  names: ReadonlySet<string>,
  { signal, onHashed }: ReadFolderOptions,
): Promise<ReadonlyMap<string, string>> => {
  const hashes = new Map<string, string>();
  const piece = Buffer.alloc(PIECE_BYTES);
  let bytes = 0;
  for (const name of names) {
    const hash = createHash('sha256');
    for (const length of piecesOf(join(folder, name), piece)) {
      hash.update(piece.subarray(0, length));
      bytes += length;
      onHashed?.(bytes);
    }
    hashes.set(name, hash.digest('hex'));
    signal?.throwIfAborted();
    // Signals are heard in between.
    if (hashes.size % 256 === 0 || bytes > PIECE_BYTES) await setImmediate();
  }
  return hashes;
};

/** Reads a file into the same buffer again and again: how much of it counts. */
function* piecesOf(file: string, piece: Buffer): Generator<number> {
  const descriptor = openSync(file, 'r');
  try {
    for (;;) {
      const length = readSync(descriptor, piece);
      if (length === 0) return;
      yield length;
    }
  } finally {
    closeSync(descriptor);
  }
}
