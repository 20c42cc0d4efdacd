import { pipeline, Readable } from 'node:stream';
import { crc32, createDeflateRaw } from 'node:zlib';

/** A file of an archive. */
export interface ZipFile {
  /** ASCII. */
  readonly name: string;
  readonly pieces: AsyncIterable<Buffer> | Iterable<Buffer>;
}

/** What the form without the extension for large files can say, of each file and of all together. */
export const MAX_ZIP_BYTES = 0xffff_ffff;

/** Deflated, with sums and sizes behind the content: so nothing has to be known of a file before it is read. */
const METHOD = 8;
const SUMS_BEHIND = 0x08;
const VERSION = 20;
/** Made by Unix, so that the modes count. */
const MADE_BY = (3 << 8) | VERSION;
const READABLE_FILE = (0o100644 << 16) >>> 0;

interface Entry {
  readonly name: string;
  readonly offset: number;
  readonly sums: Sums;
}

interface Sums {
  crc: number;
  packed: number;
  bytes: number;
}

/**
 * An archive that every unzip reads (PKWARE APPNOTE 6.3.10, without ZIP64), piece by piece as the files are read. It has an end only if all
 * files were read: what breaks off does not open. Throws RangeError beyond 4 GiB.
 */
export async function* writeZip(files: Iterable<ZipFile>, atMs: number): AsyncGenerator<Buffer, void, void> {
  const time = dosTime(new Date(atMs));
  const entries: Entry[] = [];
  let offset = 0;
  for (const { name, pieces } of files) {
    const entry = { name, offset, sums: { crc: 0, packed: 0, bytes: 0 } };
    for await (const piece of writeFile(entry, time, pieces)) {
      offset += piece.length;
      yield piece;
    }
    requireRoom(offset, entry.sums.bytes);
    entries.push(entry);
  }
  const directory = Buffer.concat(entries.map((entry) => directoryEntry(entry, time)));
  requireRoom(offset + directory.length, 0);
  yield Buffer.concat([directory, endOf(entries.length, directory.length, offset)]);
}

async function* writeFile({ name, sums }: Entry, time: Buffer, pieces: ZipFile['pieces']): AsyncGenerator<Buffer> {
  const zeros = Buffer.alloc(12);
  yield Buffer.concat([u32(0x04034b50), u16(VERSION), head(time), zeros, u16(name.length), u16(0), Buffer.from(name)]);
  for await (const piece of deflated(counted(pieces, sums))) {
    sums.packed += piece.length;
    yield piece;
  }
  yield Buffer.concat([u32(0x08074b50), sumsOf(sums)]);
}

async function* counted(pieces: ZipFile['pieces'], sums: Sums): AsyncGenerator<Buffer> {
  for await (const piece of pieces) {
    sums.crc = crc32(piece, sums.crc);
    sums.bytes += piece.length;
    yield piece;
  }
}

const deflated = (pieces: AsyncIterable<Buffer>): AsyncIterable<Buffer> =>
  pipeline(Readable.from(pieces, { objectMode: true }), createDeflateRaw(), () => {}) as AsyncIterable<Buffer>;

const directoryEntry = ({ name, offset, sums }: Entry, time: Buffer): Buffer =>
  Buffer.concat([
    u32(0x02014b50),
    u16(MADE_BY),
    u16(VERSION),
    head(time),
    sumsOf(sums),
    u16(name.length),
    // No extra field, no comment, first disk, no kind of file.
    Buffer.alloc(8),
    u32(READABLE_FILE),
    u32(offset),
    Buffer.from(name),
  ]);

const endOf = (files: number, bytes: number, offset: number): Buffer =>
  Buffer.concat([u32(0x06054b50), u32(0), u16(files), u16(files), u32(bytes), u32(offset), u16(0)]);

const head = (time: Buffer): Buffer => Buffer.concat([u16(SUMS_BEHIND), u16(METHOD), time]);

const sumsOf = ({ crc, packed, bytes }: Sums): Buffer => Buffer.concat([u32(crc), u32(packed), u32(bytes)]);

/** In UTC; two seconds are one. */
const dosTime = (at: Date): Buffer => {
  const seconds = (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1);
  const day = ((at.getUTCFullYear() - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate();
  return Buffer.concat([u16(seconds), u16(day)]);
};

const requireRoom = (offset: number, bytes: number): void => {
  if (offset > MAX_ZIP_BYTES || bytes > MAX_ZIP_BYTES) throw new RangeError('a zip of more than 4 GiB');
};

const u16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
};

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
