import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { crc32, createInflateRaw } from 'node:zlib';
import { codeOf, OrgtrailError } from '../../base/errors.ts';
import type { BundleReader } from '../bundle/layout.ts';
import { EvidenceFault } from '../bytes.ts';

const PIECE_BYTES = 262_144;

/** Throws OrgtrailError `usage` for what cannot be read as a folder. `onRead`: bytes so far, each file is read twice. */
export const openFolder = (
  folder: string,
  { signal, onRead }: { readonly signal?: AbortSignal | undefined; readonly onRead?: (bytes: number) => void } = {},
): BundleReader => {
  let bytes = 0;
  const plain = async function* (path: string): AsyncGenerator<Buffer> {
    await using file = await open(join(folder, path));
    // One for all pieces: memory that is new costs more than the hashes.
    const room = Buffer.allocUnsafe(PIECE_BYTES);
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(room);
      if (bytesRead === 0) return;
      bytes += bytesRead;
      onRead?.(bytes);
      yield room.subarray(0, bytesRead);
    }
  };
  return {
    ...contentsOf(folder),
    pieces: (path, isPacked = false) => (isPacked ? unpacked(plain(path)) : plain(path)),
    sha256: async (path) => {
      const hash = createHash('sha256');
      for await (const piece of plain(path)) hash.update(piece);
      return hash.digest('hex');
    },
  };
};

/** What a link leads to is not in the bundle, and a pipe may never end: only files are read. */
const contentsOf = (folder: string): Pick<BundleReader, 'paths' | 'others'> => {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => ({
      path: relative(folder, join(entry.parentPath, entry.name)).replaceAll(sep, '/'),
      // A name that is no UTF-8 leads to no file.
      isFile: entry.isFile() && !entry.name.includes('\u{fffd}'),
      isFolder: entry.isDirectory(),
    }));
    const paths = (isWanted: (entry: (typeof entries)[number]) => boolean) =>
      entries
        .filter(isWanted)
        .map(({ path }) => path)
        .sort();
    return { paths: paths(({ isFile }) => isFile), others: paths(({ isFile, isFolder }) => !isFile && !isFolder) };
  } catch (error) {
    const code = codeOf(error) ?? '';
    throw new OrgtrailError('usage', `${folder} cannot be read as a folder (${code})`);
  }
};

const HEADER_BYTES = 10;
const TRAILER_BYTES = 8;
const NOT_UNPACKED = 'cannot be unpacked as one member of gzip';

/** RFC 1952, one member without flags, and nothing behind it. Throws an EvidenceFault. */
export async function* unpacked(packed: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let [read, crc, size] = [0, 0, 0];
  let tail = Buffer.alloc(0);
  const header: Buffer[] = [];
  const body = async function* () {
    for await (const piece of packed) {
      const skipped = Math.min(piece.length, Math.max(0, HEADER_BYTES - read));
      if (skipped > 0) header.push(Buffer.from(piece.subarray(0, skipped)));
      read += piece.length;
      tail = Buffer.concat([tail, piece.subarray(-TRAILER_BYTES)]).subarray(-TRAILER_BYTES);
      if (skipped < piece.length) yield Buffer.from(piece.subarray(skipped));
    }
  };
  const inflate = createInflateRaw({ chunkSize: PIECE_BYTES });
  try {
    for await (const piece of pipeline(Readable.from(body()), inflate, () => {}) as AsyncIterable<Buffer>) {
      crc = crc32(piece, crc);
      size += piece.length;
      yield piece;
    }
  } catch (error) {
    if (codeOf(error)?.startsWith('Z_') === true) throw new EvidenceFault(NOT_UNPACKED);
    throw error;
  }
  const isOneMember =
    Buffer.concat(header)
      .subarray(0, 4)
      .equals(Buffer.of(0x1f, 0x8b, 8, 0)) &&
    read === HEADER_BYTES + inflate.bytesWritten + TRAILER_BYTES &&
    tail.readUInt32LE(0) === crc &&
    tail.readUInt32LE(4) === size % 2 ** 32;
  if (!isOneMember) throw new EvidenceFault(NOT_UNPACKED);
}
