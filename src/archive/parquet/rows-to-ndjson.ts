import { writeSync } from 'node:fs';
import type { BinaryRow } from '../../postgres/copy.ts';
import type { ArchiveColumn } from '../columns.ts';

const MICROSECONDS_TO_2000 = 946_684_800_000_000;
const BUFFER_BYTES = 262_144;
/** Such as \u001f for a byte. */
const LONGEST_ESCAPE_BYTES = 6;
const LONGEST_NUMBER_BYTES = 20;

/** Rows without what is null, the position first. On bytes: row_to_json takes four times as long. At once: what waits for the disk is in memory. */
export const linesOfRows = (columns: readonly ArchiveColumn[], descriptor: number) => {
  const encode = lineEncoder(columns);
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  let [filled, flushed, groupStart, longestLineBytes, largestGroupBytes] = [0, 0, 0, 0, 0];
  let [rows, firstPosition] = [0, 0];
  const flush = () => {
    writeAll(descriptor, buffer.subarray(0, filled));
    flushed += filled;
    filled = 0;
  };
  return {
    take: (row: BinaryRow): void => {
      if (rows === 0) firstPosition = integerAt(row.bytes, row.starts[0] ?? 0, row.lengths[0] ?? 0);
      rows += 1;
      const most = encode.mostBytes(row);
      if (filled + most > BUFFER_BYTES) flush();
      const large = most > BUFFER_BYTES ? Buffer.allocUnsafe(most) : undefined;
      const end = encode.write(row, large ?? buffer, filled);
      longestLineBytes = Math.max(longestLineBytes, end - filled);
      if (large === undefined) filled = end;
      else {
        writeAll(descriptor, large.subarray(0, end));
        flushed += end;
      }
    },
    bytes: () => flushed + filled,
    /** What was taken is in the file then. */
    endGroup: () => {
      flush();
      largestGroupBytes = Math.max(largestGroupBytes, flushed - groupStart);
      groupStart = flushed;
    },
    /** `largestGroupBytes`: between two calls of `endGroup`. */
    written: () => ({ rows, firstPosition, longestLineBytes, largestGroupBytes }),
  };
};

const writeAll = (descriptor: number, bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
};

const lineEncoder = (columns: readonly ArchiveColumn[]) => {
  const names = columns.map(({ name }, index) => Buffer.from(`${index === 0 ? '{' : ','}"${name}":`));
  const fixedBytes = names.reduce((sum, name) => sum + name.length + LONGEST_NUMBER_BYTES, 2);
  const isText = columns.map(({ type }) => type === 'VARCHAR');
  const offsets = columns.map(({ isTime }) => (isTime === true ? MICROSECONDS_TO_2000 : 0));
  return {
    mostBytes: ({ bytes }: BinaryRow): number => fixedBytes + LONGEST_ESCAPE_BYTES * bytes.length,
    /** Returns where the line ends, its line feed included. */
    write: ({ bytes, starts, lengths }: BinaryRow, out: Buffer, start: number): number => {
      let at = start;
      for (let field = 0; field < names.length; field += 1) {
        const [from, length] = [starts[field] ?? 0, lengths[field] ?? -1];
        if (length < 0) continue;
        at = copyBytes(names[field] ?? out, out, at);
        if (isText[field] === true) at = writeText(bytes, from, length, out, at);
        else at += out.write(numberAt(bytes, from, length, offsets[field] ?? 0), at, 'latin1');
      }
      out[at] = 0x7d;
      out[at + 1] = 0x0a;
      return at + 2;
    },
  };
};

/** In digits. Times before 1715 and after 2285 are not exact as numbers. */
const numberAt = (bytes: Buffer, at: number, length: number, offset: number): string => {
  const value = wholeAt(bytes, at, length);
  if (Number.isSafeInteger(value)) return String(value + offset);
  return String(bytes.readBigInt64BE(at) + BigInt(offset));
};

/** A position is always exact as a number. */
const integerAt = (bytes: Buffer, at: number, length: number): number => {
  const value = wholeAt(bytes, at, length);
  if (!Number.isSafeInteger(value)) throw new Error('a number that is too large for an archive');
  return value;
};

/** A bigint, an integer or a time: exact if it is a safe integer. */
const wholeAt = (bytes: Buffer, at: number, length: number): number => {
  if (length === 4) return bytes.readInt32BE(at);
  if (length !== 8) throw new Error(`a number of ${length} bytes`);
  return bytes.readInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
};

/** Faster than `set` for a few bytes. */
const copyBytes = (from: Uint8Array, to: Uint8Array, start: number): number => {
  let at = start;
  for (let index = 0; index < from.length; index += 1) {
    to[at] = from[index] ?? 0;
    at += 1;
  }
  return at;
};

const [QUOTE, BACKSLASH, FIRST_PRINTABLE] = [0x22, 0x5c, 0x20];

const writeText = (bytes: Uint8Array, from: number, length: number, out: Buffer, start: number): number => {
  let at = start;
  out[at] = QUOTE;
  at += 1;
  for (let index = from; index < from + length; index += 1) {
    const byte = bytes[index] ?? 0;
    if (byte < FIRST_PRINTABLE) {
      at += out.write(`\\u${byte.toString(16).padStart(4, '0')}`, at, 'latin1');
    } else {
      if (byte === QUOTE || byte === BACKSLASH) {
        out[at] = BACKSLASH;
        at += 1;
      }
      out[at] = byte;
      at += 1;
    }
  }
  out[at] = QUOTE;
  return at + 1;
};
